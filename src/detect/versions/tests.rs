//! What is claimed of two versions, against what the engine does and against plain cases.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::detect::reference::generate::{ACCESSORS, Case, a_case};
use crate::detect::reference::tests::{answers, cases, detection};
use crate::detect::reference::{Asked, matches};
use crate::detect::search::Detection;
use crate::detect::versions::{Relation, Remark, Versions, compare_detections, remarks};

/// Compares two detections, events being shown to the reference.
fn compare(base: &Detection, head: &Detection) -> Versions {
    let mut matching = |event: &Value| {
        let asked = Asked {
            event,
            accessors: &ACCESSORS,
            known: &[],
        };
        (matches(base, asked), matches(head, asked))
    };
    compare_detections(Some(base), Some(head), &mut matching)
}

fn of(text: &str) -> Detection {
    detection(text).unwrap_or_else(|problem| panic!("{problem}: {text}"))
}

/// A detection of one search whose lines these are.
fn lines(lines: &str) -> String {
    format!("s: {{{lines}}}\ncondition: s\n")
}

#[test]
fn plain_changes_are_decided() {
    use Relation::{Broader, Equivalent, Incomparable, Narrower};
    let cases = [
        ("eventType: a", "eventType: A", Equivalent),
        ("eventType: a", "eventType: [a, b]", Broader),
        ("eventType: a", "eventType: b", Incomparable),
        ("eventType: a", "eventType: a, n: 5", Narrower),
        (
            "eventType|startswith: user.session",
            "eventType|startswith: user.",
            Broader,
        ),
        (
            "eventType: user.session.start",
            "eventType|contains: session",
            Broader,
        ),
        ("eventType: abc", "eventType: a*c", Broader),
        ("eventType|cased: Abc", "eventType: abc", Broader),
        (
            "client.ipAddress|cidr: 10.0.0.0/8",
            "client.ipAddress|cidr: 10.1.0.0/16",
            Narrower,
        ),
        (
            "client.ipAddress: 10.1.2.3",
            "client.ipAddress|cidr: 10.1.0.0/16",
            Broader,
        ),
        ("n|gte: 5", "n|gt: 5", Narrower),
        ("n|gte: 5", "n|gte: 8", Narrower),
        ("n: 7", "n|gte: 5", Broader),
        ("n|lt: 5", "n|gt: 3", Incomparable),
        ("n: null", "n|exists: false", Narrower),
        ("n|exists: true", "n: 5", Narrower),
        ("eventType|neq: a", "eventType|neq: [a, b]", Narrower),
        (
            "eventType|contains|all: [a, b]",
            "eventType|contains: [a, b]",
            Broader,
        ),
        ("eventType|re: ^a$", "eventType|re: ^a$", Equivalent),
        ("eventType|re: ^a$", "eventType|re: ^b$", Incomparable),
        (
            "eventType|expand: '%texts%'",
            "eventType|expand: ['%texts%', new]",
            Broader,
        ),
        (
            "actor.id|fieldref: target.id",
            "actor.id|fieldref|contains: target.id",
            Broader,
        ),
    ];
    for (base, head, expected) in cases {
        let versions = compare(&of(&lines(base)), &of(&lines(head)));
        // What follows from a reference to a field, nobody works out.
        if base.contains("fieldref") {
            assert_ne!(versions.relation, Relation::Equivalent, "{base} and {head}");
            continue;
        }
        assert_eq!(
            versions.relation, expected,
            "{base} and {head}: {versions:?}"
        );
        let swapped = compare(&of(&lines(head)), &of(&lines(base)));
        assert_eq!(swapped.only_base, versions.only_head, "{base} and {head}");
        assert_eq!(swapped.only_head, versions.only_base, "{base} and {head}");
    }
}

#[test]
fn conditions_are_compared_by_what_they_say() {
    let searches = "a: {eventType: a}\nb: {outcome.result: b}\nc: {n: 5}\n";
    let cases = [
        ("a and b", "b and a", Relation::Equivalent),
        (
            "a and (b or c)",
            "(a and b) or (a and c)",
            Relation::Equivalent,
        ),
        ("not (a or b)", "not a and not b", Relation::Equivalent),
        ("a", "a and not b", Relation::Narrower),
        ("a and not b", "a and not 1 of [bc]", Relation::Undecided),
        ("1 of them", "all of them", Relation::Narrower),
        ("a or b", "a or c", Relation::Incomparable),
    ];
    for (base, head, expected) in cases {
        let text = |condition: &str| format!("{searches}condition: {condition}\n");
        let (Ok(base), Ok(head)) = (detection(&text(base)), detection(&text(head))) else {
            assert_eq!(
                expected,
                Relation::Undecided,
                "{base} and {head} are conditions"
            );
            continue;
        };
        assert_eq!(compare(&base, &head).relation, expected);
    }
}

#[test]
fn an_event_that_tells_two_versions_apart_has_what_it_needs_and_no_more() {
    let base = of("s: {eventType: user.session.start, outcome.result: FAILURE}\ncondition: s\n");
    let head = of(
        "s: {eventType: user.session.start, outcome.result: FAILURE}\nf: {client.ipAddress|cidr: 10.0.0.0/8}\ncondition: s and not f\n",
    );
    let versions = compare(&base, &head);
    assert_eq!(versions.relation, Relation::Narrower);
    let expected = serde_json::json!({
        "eventType": "user.session.start",
        "outcome": {"result": "failure"},
        "client": {"ipAddress": "10.0.0.0"},
    });
    assert_eq!(versions.only_base, Some(expected));
    assert_eq!(versions.only_head, None);
}

#[test]
fn very_many_values_are_one_where_they_stand_in_the_same_lines() {
    let values = |count: usize| {
        (0..count)
            .map(|at| format!("v{at}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let text = |count: usize| lines(&format!("eventType: [{}]", values(count)));
    let versions = compare(&of(&text(2_000)), &of(&text(2_001)));
    assert_eq!(versions.relation, Relation::Broader);
    assert_eq!(
        versions.only_head,
        Some(serde_json::json!({"eventType": "v2000"}))
    );
}

#[test]
fn too_many_different_tests_are_not_tried() {
    let text = |count: usize| {
        let parts: Vec<String> = (0..count).map(|at| format!("f{at}: a")).collect();
        lines(&parts.join(", "))
    };
    let versions = compare(&of(&text(70)), &of(&text(71)));
    assert_eq!(versions.relation, Relation::Undecided);
    assert!(versions.why.is_some());
}

const CONDITIONS: [&str; 8] = [
    "s0",
    "s0 and s1",
    "s0 or s1",
    "s0 and not s1",
    "s0 and not 1 of s*",
    "s0 or not s1 and s2",
    "all of s*",
    "1 of s*",
];

/// The detections of a case, each beside one with another condition, and beside the next.
fn pairs(case: &Case, condition: &str) -> Vec<(String, String)> {
    let other = |text: &String| {
        let searches = text.split("condition: ").next().unwrap_or_default();
        (text.clone(), format!("{searches}condition: {condition}\n"))
    };
    let next = case
        .detections
        .windows(2)
        .map(|pair| (pair[0].clone(), pair[1].clone()));
    case.detections.iter().map(other).chain(next).collect()
}

#[test]
fn no_claim_contradicts_the_engine() {
    let config = Config {
        cases: cases().div_ceil(200),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let (decided, all) = (Cell::new(0), Cell::new(0));
    let outcome = TestRunner::new(config).run(
        &(a_case(), select(CONDITIONS.to_vec())),
        |(case, condition)| {
            for (base, head) in pairs(&case, condition) {
                let (Ok(one), Ok(other)) = (detection(&base), detection(&head)) else {
                    continue;
                };
                let versions = compare(&one, &other);
                all.set(all.get() + 1);
                decided.set(decided.get() + u32::from(versions.relation != Relation::Undecided));
                let both = [one, other];
                let witnesses = [
                    (&versions.only_base, [true, false]),
                    (&versions.only_head, [false, true]),
                ];
                let witnesses = witnesses
                    .into_iter()
                    .filter_map(|(event, is)| Some((event.as_ref()?.to_string(), Some(is))));
                let events: Vec<(String, Option<[bool; 2]>)> = case
                    .events
                    .iter()
                    .map(|event| (event.clone(), None))
                    .chain(witnesses)
                    .collect();
                let texts: Vec<String> = events.iter().map(|(event, _)| event.clone()).collect();
                for ((event, is), satisfied) in events.iter().zip(answers(&both, &texts)) {
                    let (of_base, of_head) = (satisfied.contains(&0), satisfied.contains(&1));
                    prop_assert!(is.is_none_or(|is| is == [of_base, of_head]), "{}", event);
                    let holds = match versions.relation {
                        Relation::Equivalent => of_base == of_head,
                        Relation::Narrower => of_base || !of_head,
                        Relation::Broader => of_head || !of_base,
                        Relation::Incomparable | Relation::Undecided => true,
                    };
                    prop_assert!(
                        holds,
                        "{:?} of\n{}and\n{}: {}",
                        versions.relation,
                        base,
                        head,
                        event
                    );
                }
            }
            Ok(())
        },
    );
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    let share = 100 * decided.get() / all.get();
    assert!(share >= 40, "{share} % of {} pairs are decided", all.get());
}

/// A detection with the second search like the first, where it is to be so.
fn with_twins(text: &str, condition: &str, are_twins: bool) -> String {
    let searches = text.split("condition: ").next().unwrap_or_default();
    let first = searches.split("s1:\n").next().unwrap_or_default();
    let twins = format!("{first}{}", first.replacen("s0:", "s1:", 1));
    let searches = if are_twins { &twins } else { searches };
    format!("{searches}condition: {condition}\n")
}

/// Whether every field of an event has one value: no array stands in it, nor a text with values.
fn is_simple(event: &Value) -> bool {
    match event {
        Value::Array(_) => false,
        Value::Object(fields) => !fields.contains_key("t") && fields.values().all(is_simple),
        _ => true,
    }
}

#[test]
fn what_never_or_always_holds_does_so_for_the_reference() {
    const CONDITIONS: [&str; 6] = [
        "s0 and s1",
        "s0 and not s1",
        "s0 or not s1",
        "not s0 or s1",
        "not s0 and not s1",
        "s0 or s1",
    ];
    let config = Config {
        cases: cases().div_ceil(100),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let (never, always) = (Cell::new(0), Cell::new(0));
    let made = (a_case(), select(CONDITIONS.to_vec()), proptest::bool::ANY);
    let outcome = TestRunner::new(config).run(&made, |(case, condition, are_twins)| {
        for text in &case.detections {
            let text = with_twins(text, condition, are_twins);
            let Ok(detection) = detection(&text) else {
                continue;
            };
            let events = case.events.iter();
            let events = events.map(|event| serde_json::from_str(event).expect("an event"));
            let events: Vec<Value> = events.collect();
            for is_single in [false, true] {
                let told = remarks(&detection, &|_| is_single);
                let is_never = told.iter().any(|one| matches!(one, Remark::Never(_)));
                let is_always = told.iter().any(|one| matches!(one, Remark::Always(_)));
                never.set(never.get() + u32::from(is_never));
                always.set(always.get() + u32::from(is_always));
                for event in events.iter().filter(|event| !is_single || is_simple(event)) {
                    let asked = Asked {
                        event,
                        accessors: &ACCESSORS,
                        known: &[],
                    };
                    let holds = matches(&detection, asked);
                    prop_assert!(!(is_never && holds), "never: {}{}", text, event);
                    prop_assert!(!is_always || holds, "always: {}{}", text, event);
                }
            }
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    let (never, always) = (never.get(), always.get());
    assert!(
        never >= 20 && always >= 20,
        "{never} never, {always} always"
    );
}
