//! Who looks at windows changes nothing in them, and sees of each whether it is a hit.

use super::*;
use crate::detect::{Watch, Watched};

/// What a detector finds while each of its correlations is looked at, at every event.
fn watched(
    detector: &Detector,
    rules: &[Rule],
    timeline: &[Moment],
) -> (Vec<Finding>, Vec<Watched>) {
    let rules = rules.iter().map(|rule| rule.id).collect();
    let matches = matches(detector, timeline);
    let chosen = matches.iter().map(|matched| matched.digest).collect();
    let mut windows = Windows::watched(detector, Watch::new(detector, &rules, chosen));
    let mut found = Vec::new();
    for matched in matches {
        found.extend(windows.advance(detector, matched));
    }
    let last = timeline.iter().map(|moment| Time(moment.at * SECOND)).max();
    let end = windows.finish(detector, last, |finding| {
        found.push(finding);
        Ok::<(), ()>(())
    });
    end.expect("nothing fails");
    for finding in &mut found {
        detector.enrich(finding, &mut Failures::default());
    }
    let watch = windows.take_watch().expect("somebody looks");
    (found, watch.seen())
}

#[test]
fn windows_lack_nothing_where_they_are_hits_and_something_elsewhere() {
    let config = Config {
        cases: cases().div_ceil(16),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let (hits, others, nearest) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let case = (correlations(), a_timeline());
    let outcome = TestRunner::new(config).run(&case, |(correlations, timeline)| {
        let text = documents(&correlations);
        let (mut detector, rules) = detector_of(&text);
        detector.note_supplied(&databases().paths(&FILLED));
        let (alone, _) = found(&detector, &timeline, Limits::default());
        let (beside, seen) = watched(&detector, &rules, &timeline);
        prop_assert_eq!(&beside, &alone, "{}", &text);
        for of_rule in seen {
            let rule = rules.iter().find(|rule| rule.id == of_rule.rule);
            let name = rule.and_then(|rule| rule.name.as_deref());
            let mut named = correlations.iter();
            let correlation = named.find(|correlation| Some(correlation.name.as_str()) == name);
            let kind = &correlation.expect("a correlation").kind;
            // What a script or a pair comes to is no number, and who waits makes no window.
            let is_number = !matches!(
                kind,
                Kind::Script(..) | Kind::Consecutive { .. } | Kind::Absent
            );
            for glimpse in of_rule.chosen.iter().filter(|_| is_number) {
                prop_assert_eq!(
                    glimpse.hit,
                    glimpse.lacks == 0.0,
                    "{:?}\n{}",
                    glimpse,
                    &text
                );
                let kept = if glimpse.hit { &hits } else { &others };
                kept.set(kept.get() + 1);
            }
            for glimpse in &of_rule.nearest {
                prop_assert!(!glimpse.hit && !glimpse.so_far.is_empty(), "{:?}", glimpse);
                nearest.set(nearest.get() + 1);
            }
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    let told = (hits.get(), others.get(), nearest.get());
    assert!(told.0 > 100 && told.1 > 100 && told.2 > 100, "{told:?}");
}
