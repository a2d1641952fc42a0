//! That explanations come to what the engine comes to, and their parts to what they do.

use std::cell::Cell;
use std::collections::BTreeSet;

use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::taken::Taken;
use super::told::all;
use super::*;
use crate::detect::reference::generate::{ACCESSORS, Case, a_case};
use crate::detect::reference::tests::{answers, cases, detection};
use crate::detect::search::Detection;
use crate::json::{Fields, Reader};

/// Calls `look` with the fields of an event, laid out as it may be.
fn read<T>(wanted: &Wanted, event: &str, look: impl FnOnce(&Fields<'_>) -> T) -> T {
    let mut wanted = wanted.clone();
    for (path, notation) in ACCESSORS {
        wanted.read_inside(path.split('.'), notation);
    }
    let mut reader = Reader::new(wanted);
    if let Some(fields) = reader.read(event.as_bytes()) {
        return look(&fields);
    }
    let tree: Value = serde_json::from_str(event).expect("an event");
    let canonical = tree.to_string();
    let fields = reader.read_canonical(canonical.as_bytes());
    look(&fields.expect("canonical"))
}

fn tree(detection: &Detection, event: &str) -> Clause {
    let mut wanted = Wanted::default();
    let taken = Taken::new(detection, &mut wanted);
    read(&wanted, event, |fields| {
        let mut tree = all(taken.told(fields), taken.place);
        tree.mark();
        assert_eq!(tree.holds, taken.holds(fields));
        assert_eq!(
            tree.holds,
            taken.passed(fields).iter().all(|passed| *passed)
        );
        tree
    })
}

/// Every clause is what its parts make it, and every leaf what its verdict says.
fn is_sound(clause: &Clause) {
    assert_eq!(clause.holds, clause.follows(), "{clause:?}");
    if let What::Line(line) = &clause.what {
        assert_eq!(clause.holds, line.verdict == Verdict::Matched, "{clause:?}");
        assert!(clause.parts.is_empty());
    }
    clause.parts.iter().for_each(is_sound);
}

/// Turns every leaf around that decides nothing.
fn turned(clause: &Clause) -> Clause {
    let mut turned = clause.clone();
    turned.parts = clause.parts.iter().map(self::turned).collect();
    turned.holds = if matches!(clause.what, What::Line(_)) {
        clause.holds == clause.decides
    } else {
        turned.follows()
    };
    turned
}

#[test]
fn explanations_come_to_what_the_engine_comes_to() {
    let each = u32::try_from(Case::EVENTS).expect("few");
    let config = Config {
        cases: cases().div_ceil(4 * each),
        max_shrink_iters: 2_000,
        failure_persistence: None,
        ..Config::default()
    };
    let (asked, held) = (Cell::new(0_usize), Cell::new(0_usize));
    let outcome = TestRunner::new(config).run(&a_case(), |case| {
        let texts = case.detections.iter();
        let mut detections: Vec<Detection> =
            texts.filter_map(|text| detection(text).ok()).collect();
        // Each second one is a filter of the one before, too.
        let filters = detections.clone();
        for (detection, filter) in detections.iter_mut().zip(filters.iter().skip(1)).step_by(2) {
            detection.add_filter("no more than that", filter.clone());
        }
        let engine = answers(&detections, &case.events);
        for (event, satisfied) in case.events.iter().zip(&engine) {
            for (at, detection) in detections.iter().enumerate() {
                let tree = tree(detection, event);
                let text = case.detections.join("---\n");
                proptest::prop_assert_eq!(tree.holds, satisfied.contains(&at), "{}", text);
                is_sound(&tree);
                proptest::prop_assert_eq!(turned(&tree).holds, tree.holds, "{:?}", tree);
                proptest::prop_assert!(leaves(&tree).iter().any(|leaf| leaf.decides));
                asked.set(asked.get() + 1);
                held.set(held.get() + usize::from(tree.holds));
            }
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    // Rules that all events satisfy, or none, would prove little.
    let share = 100 * held.get() / asked.get();
    assert!((5..=90).contains(&share), "{share} % hold");
}

/// The clauses that ask something of the event, in the order in which they are written.
fn leaves(clause: &Clause) -> Vec<&Clause> {
    if matches!(clause.what, What::Line(_) | What::Script(..)) {
        return vec![clause];
    }
    clause.parts.iter().flat_map(leaves).collect()
}

/// The verdicts on the lines of a search, in their order.
fn verdicts(search: &str, event: &Value) -> Vec<Verdict> {
    let detection = detection(&format!("s: {search}\ncondition: s\n")).expect("a search");
    let tree = tree(&detection, &event.to_string());
    let verdict = |leaf: &&Clause| match &leaf.what {
        What::Line(line) => line.verdict.clone(),
        other => panic!("{other:?}"),
    };
    leaves(&tree).iter().map(verdict).collect()
}

#[test]
fn a_line_says_why_it_does_not_hold() {
    use Verdict::{Absent, Empty, Excluded, Matched, WrongCase, WrongKind, WrongValue};
    let event = json!({
        "eventType": "user.session.start", "n": 5, "text": "One", "none": null, "list": [],
        "ip": "10.0.0.1", "at": "2026-03-02T10:00:00Z", "other": "ONE", "actor": {"Id": "x"},
    });
    #[rustfmt::skip]
    let cases = [
        ("{text: one}", Matched),
        ("{text: two}", WrongValue),
        ("{missing: one}", Absent(None)),
        ("{actor.id: x}", Absent(None)),
        ("{none: one}", Empty.clone()),
        ("{none: null}", Matched),
        ("{missing: null}", Matched),
        ("{text: null}", WrongValue),
        ("{list: one}", Empty),
        ("{text|cased: one}", WrongCase),
        ("{text|cased: two}", WrongValue),
        ("{text|cased: 'o*'}", WrongCase),
        ("{text|cased|contains: NE}", WrongCase),
        ("{text|cased: [two, one]}", WrongCase),
        ("{text|cased|contains|all: [O, NE]}", WrongCase),
        ("{text|cased|contains|all: [x, NE]}", WrongValue),
        ("{text|re: '^one$'}", WrongCase),
        ("{text|re|i: '^two$'}", WrongValue),
        ("{text|fieldref|cased: other}", WrongCase),
        ("{text|fieldref: other}", Matched),
        ("{text|fieldref: ip}", WrongValue),
        ("{text|gte: 5}", WrongKind(Kind::Number)),
        ("{n|gt: 5}", WrongValue),
        ("{text|hour: 5}", WrongKind(Kind::Time)),
        ("{at|hour: 5}", WrongValue),
        ("{text|cidr: 10.0.0.0/8}", WrongKind(Kind::Address)),
        ("{ip|cidr: 10.1.0.0/16}", WrongValue),
        ("{text|neq: one}", Excluded),
        ("{text|exists: false}", Excluded),
        ("{missing|exists: true}", Absent(None)),
        ("two", WrongValue),
    ];
    for (search, expected) in cases {
        assert_eq!(verdicts(search, &event), [expected], "{search}");
    }
}

#[test]
fn the_values_of_a_list_are_told_apart() {
    let detection =
        detection("s:\n  a|contains|all: [one, two, nine]\ncondition: s\n").expect("a detection");
    let tree = tree(&detection, r#"{"a": ["one", "two words"]}"#);
    let What::Line(line) = &leaves(&tree)[0].what else {
        panic!("{tree:?}");
    };
    assert_eq!(line.found, [json!("one"), json!("two words")]);
    assert_eq!((line.passed.len(), line.missed.len(), line.more), (2, 1, 0));
}

#[test]
fn a_field_of_another_case_is_told() {
    let event = json!({"actor": {"AlternateId": "x"}, "target": [{"Type": "User"}]});
    for (field, near) in [
        ("actor.alternateId", Some("actor.AlternateId")),
        ("Actor.alternateid", Some("actor.AlternateId")),
        ("target.type", Some("target.Type")),
        ("actor.id", None),
    ] {
        let mut verdict = Verdict::Absent(None);
        verdict.look_around(field, &event);
        assert_eq!(verdict, Verdict::Absent(near.map(str::to_owned)), "{field}");
    }
}

#[test]
fn steps_are_what_every_match_satisfies_in_the_order_of_the_condition() {
    let text = "a: {x: 1, y: 2}\nb: [{z: 3}, {w: 4}]\nc: {v: 5}\nd: {u: 6}\ncondition: a and b and not c and 1 of d*\n";
    let mut wanted = Wanted::default();
    let taken = Taken::new(&detection(text).expect("a detection"), &mut wanted);
    let steps: Vec<String> = taken.steps().map(|step| step.shown).collect();
    assert_eq!(steps, ["x: 1", "y: 2", "b", "not c", "u: 6"]);
    let spans: BTreeSet<u32> = taken.steps().map(|step| step.span.start).collect();
    assert_eq!(
        spans.len(),
        4,
        "what is no line stands where the condition does"
    );
}

#[test]
fn the_nearest_way_to_match_is_found() {
    let text =
        "a: {x: 1, y: 2}\nb: [{z: 3, w: 4}, {v: 5}]\nc: {u: 6}\ncondition: (a or b) and not c\n";
    let mut wanted = Wanted::default();
    let taken = Taken::new(&detection(text).expect("a detection"), &mut wanted);
    // How many clauses are missed, and how many that ask for something hold beside them.
    for (event, expected) in [
        (r#"{"x": 1, "y": 2}"#, (0, 2)),
        (r#"{"x": 1}"#, (1, 1)),
        (r#"{}"#, (1, 0)),
        (r#"{"x": 1, "u": 6}"#, (2, 1)),
        (r#"{"z": 3, "w": 4, "u": 6}"#, (1, 2)),
    ] {
        let distance = read(&wanted, event, |fields| taken.distance(fields));
        assert_eq!((distance.missed.len(), distance.held), expected, "{event}");
    }
}
