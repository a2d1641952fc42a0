//! Detectors that share a scan find what each of them finds by itself.

use super::*;
use crate::detect::accessors::{Accessors, decode_accessors};
use crate::detect::{Joined, Joint};
use crate::document::parse_yaml;

/// How the rules of another side differ from those of the first.
#[derive(Clone, Debug)]
struct Other {
    /// What its detection `a` looks for.
    letter: &'static str,
    /// The first so many correlations are the same.
    same: usize,
    correlations: Vec<Correlation>,
    /// Whether its texts are read inside.
    reads_inside: bool,
}

fn an_other() -> impl Strategy<Value = Other> {
    let parts = (
        select(&LETTERS[..]),
        0..4_usize,
        correlations(),
        any::<bool>(),
    );
    parts.prop_map(|(letter, same, correlations, reads_inside)| Other {
        letter,
        same,
        correlations,
        reads_inside,
    })
}

/// Accessors that lead into a field that no event has, so that what is found is as it was.
fn accessors() -> Accessors {
    let mut problems = Problems::default();
    let text = "title: t\naccessors: {nowhere: json}\n";
    let file = problems.add_file("accessors", text);
    let node = parse_yaml(file, text, &mut problems).expect("a document");
    let mut accessors = Accessors::default();
    decode_accessors(&node, &mut accessors, &mut problems);
    assert_eq!(problems.counts().0, 0);
    accessors
}

/// A side: its detector, and its rules by id.
fn side(text: &str, reads_inside: bool) -> (Detector, BTreeMap<uuid::Uuid, Rule>) {
    let (mut detector, rules) = detector_of(text);
    if reads_inside {
        detector.read_inside(&accessors());
    }
    detector.note_supplied(&databases().paths(&FILLED));
    (
        detector,
        rules.into_iter().map(|rule| (rule.id, rule)).collect(),
    )
}

fn jointly(joined: &[Joined<'_>], timeline: &[Moment]) -> Vec<Vec<Finding>> {
    let joint = Joint::new(joined);
    let scanners = joint.scanners().iter();
    let mut all: Vec<Match> = scanners
        .flat_map(|scanner| matches(scanner, timeline))
        .collect();
    all.sort_by(Match::compare);
    let mut findings = vec![Vec::new(); joined.len()];
    let mut each = |of: &[usize], finding: Finding| {
        of.iter()
            .for_each(|side| findings[*side].push(finding.clone()));
        Ok(())
    };
    let mut windows = joint.windows();
    for found in all {
        windows.advance(found, &mut each).expect("nothing fails");
    }
    let last = timeline.iter().map(|moment| Time(moment.at * SECOND)).max();
    windows.finish(last, &mut each).expect("nothing fails");
    while windows.finish_next(&mut each).expect("nothing fails") {}
    findings
}

#[test]
fn detectors_find_together_what_each_finds_alone() {
    let config = Config {
        cases: cases().div_ceil(32),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let case = (correlations(), vec(an_other(), 1..4), a_timeline());
    let (shared, apart) = (Cell::new(0), Cell::new(0));
    let outcome = TestRunner::new(config).run(&case, |(first, others, timeline)| {
        let mut sides = vec![side(&documents(&first), false)];
        for other in &others {
            let same = first.iter().take(other.same);
            let rest = other.correlations.iter().skip(other.same);
            let mut all: Vec<Correlation> = Vec::new();
            for (at, correlation) in same.chain(rest).enumerate() {
                // What it names may not be there.
                let known: Vec<String> = all.iter().map(|known| known.name.clone()).collect();
                let is_known =
                    |name: &String| LETTERS.contains(&name.as_str()) || known.contains(name);
                if at == all.len() && correlation.rules.iter().all(is_known) {
                    all.push(correlation.clone());
                } else {
                    break;
                }
            }
            let text =
                documents(&all).replace("{letters: a}", &format!("{{letters: {}}}", other.letter));
            sides.push(side(&text, other.reads_inside));
        }
        let joined: Vec<Joined<'_>> = sides
            .iter()
            .map(|(detector, rules)| Joined {
                detector,
                rules,
                outside: Digest::of(b""),
            })
            .collect();
        let together = jointly(&joined, &timeline);
        for ((detector, _), mut together) in sides.iter().zip(together) {
            let (mut alone, _) = found(detector, &timeline, Limits::default());
            alone.sort_by_key(Finding::order);
            together.sort_by_key(Finding::order);
            prop_assert_eq!(&together, &alone, "{}", documents(&first));
        }
        let joint = Joint::new(&joined);
        for id in sides[0].1.keys() {
            let own = joint.meaning(0, *id);
            let is_shared = own.is_some() && own == joint.meaning(1, *id);
            shared.set(shared.get() + usize::from(is_shared));
            apart.set(apart.get() + usize::from(own.is_some() && !is_shared));
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(
        shared.get() > 100 && apart.get() > 100,
        "{shared:?} {apart:?}"
    );
}
