//! The two engines, held together: the same rules and the same events, made up near
//! the boundary of each rule, and the same answers.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::detect::engine::Engine;
use crate::detect::lists::Lists;
pub use crate::detect::reference::generate::LISTS;
use crate::detect::reference::generate::{ACCESSORS, Case, a_case};
use crate::detect::reference::{ADDRESS, Asked, Known, matches};
use crate::detect::search::{DecodedDetection, Detection, decode_detection};
use crate::diag::Problems;
use crate::document::parse_yaml;
use crate::geo::tests::mmdb::{country, database, system};
use crate::geo::{AddressFields, Database, Databases, Holds};
use crate::json::{Reader, Wanted};

/// A detection as YAML has it; the message of its first problem if it cannot be read.
pub fn detection(text: &str) -> Result<Detection, String> {
    let mut problems = Problems::default();
    let file = problems.add_file("rule", text);
    let mut lists = Lists::default();
    for (path, text) in LISTS {
        let file = problems.add_file(path, text);
        lists.add(path, file, text, &mut problems);
    }
    let node = parse_yaml(file, text, &mut problems);
    let decoded = node.map(|node| decode_detection(&node, &[], &lists, &mut problems));
    match decoded {
        Some(DecodedDetection::Ready(detection)) => Ok(detection),
        _ => {
            let problems = problems.sorted();
            Err(problems
                .first()
                .map(|problem| problem.message.clone())
                .unwrap_or_default())
        }
    }
}

/// Which of the detections each event satisfies, as the engine has it.
pub fn answers(detections: &[Detection], events: &[String]) -> Vec<Vec<usize>> {
    answers_with(detections, events, &Databases::NONE)
}

fn answers_with(
    detections: &[Detection],
    events: &[String],
    databases: &Databases,
) -> Vec<Vec<usize>> {
    let mut wanted = Wanted::default();
    let engine = Engine::new(detections.iter().enumerate(), &mut wanted);
    for (path, notation) in ACCESSORS {
        wanted.read_inside(path.split('.'), notation);
    }
    let supplier = databases.supplier(&FILLED, &mut wanted);
    let mut scratch = engine.scratch();
    let mut reader = Reader::new(wanted);
    if let Some(supplier) = supplier {
        reader.supplied_by(supplier);
    }
    let mut all = Vec::new();
    for event in events {
        let mut satisfied = Vec::new();
        let mut found = |at: usize, _: &mut dyn FnMut() -> Vec<String>| satisfied.push(at);
        if let Some(fields) = reader.read(event.as_bytes()) {
            engine.scan(&mut scratch, &fields, &mut found);
        } else {
            let tree: Value = serde_json::from_str(event).expect("an event");
            let canonical = tree.to_string();
            let fields = reader
                .read_canonical(canonical.as_bytes())
                .expect("canonical");
            engine.scan(&mut scratch, &fields, &mut found);
        }
        all.push(satisfied);
    }
    all
}

/// The fields that databases fill in the property: one of an object, one that crosses
/// arrays, and one that may stand below a scalar.
const FILLED: AddressFields = AddressFields {
    address: ADDRESS,
    country: "actor.alternateId",
    as_org: "target.displayName",
    as_number: "n.m",
};

/// What the databases of the property hold, each address with a field and its value.
fn known() -> Vec<Known> {
    let [name, org, number] = [FILLED.country, FILLED.as_org, FILLED.as_number];
    vec![
        ("192.0.2.1", name, json!("FAILURE")),
        ("192.0.2.1", org, json!("ab")),
        ("192.0.2.1", number, json!(403)),
        ("192.0.2.129", name, json!("user.session.start")),
        ("2001:db8::1", org, json!("Straße \"x\"")),
        ("2001:db8::1", number, json!(5)),
    ]
}

/// The same as databases, and a private address that they had better not know.
fn databases() -> Databases {
    let systems = [
        ("192.0.2.1/32", system(403, "ab")),
        ("2001:db8::1/128", system(5, "Straße \"x\"")),
        ("10.0.0.0/8", system(7, "cmd")),
    ];
    let countries = [
        ("192.0.2.0/25", country("ZZ", "FAILURE")),
        ("192.0.2.128/25", country("ZZ", "user.session.start")),
        ("10.0.0.0/8", country("ZZ", "cmd")),
    ];
    let opened = |bytes, holds| Database::of_bytes(bytes, "x", holds).expect("a database");
    Databases::new(
        Some(opened(database("X", &countries), Holds::Country)),
        Some(opened(database("X", &systems), Holds::Asn)),
    )
}

/// The same, as the reference has it.
fn expected(detections: &[Detection], events: &[String], known: &[Known]) -> Vec<Vec<usize>> {
    let satisfied = |event: &String| {
        let event: Value = serde_json::from_str(event).expect("an event");
        let event = Asked {
            event: &event,
            accessors: &ACCESSORS,
            known,
        };
        let numbered = detections.iter().enumerate();
        numbered
            .filter(|(_, detection)| matches(detection, event))
            .map(|(at, _)| at)
            .collect()
    };
    events.iter().map(satisfied).collect()
}

/// How many made-up events are asked: `RULECTL_CASES`, for a long run by hand.
pub fn cases() -> u32 {
    let asked = std::env::var("RULECTL_CASES")
        .ok()
        .and_then(|text| text.parse().ok());
    asked.unwrap_or(8_000)
}

#[test]
fn both_engines_give_the_same_answers() {
    let each = u32::try_from(Case::EVENTS).expect("few");
    let config = Config {
        cases: cases().div_ceil(each),
        max_shrink_iters: 2_000,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let (asked, matched) = (Cell::new(0), Cell::new(0));
    let (databases, known) = (databases(), known());
    let outcome = runner.run(&a_case(), |case| {
        let detections: Vec<Detection> = case
            .detections
            .iter()
            .filter_map(|text| detection(text).ok())
            .collect();
        let engine = answers_with(&detections, &case.events, &databases);
        let reference = expected(&detections, &case.events, &known);
        asked.set(asked.get() + detections.len() * case.events.len());
        matched.set(matched.get() + reference.iter().map(Vec::len).sum::<usize>());
        prop_assert_eq!(&engine, &reference, "{}", case.detections.join("---\n"));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    // Rules that all events satisfy, or none, would prove little.
    let share = 100 * matched.get() / asked.get();
    assert!(
        (10..=90).contains(&share),
        "{share} % of {} answers are yes",
        asked.get()
    );
}
