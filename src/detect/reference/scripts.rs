//! Scripts beside Sigma's lines: what a script sees of an event is what a line sees, and a
//! script that says the same as a line is true of the same events.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::detect::lists::Lists;
use crate::detect::reference::generate::{Case, FIELDS, LISTS, a_case};
use crate::detect::reference::{Asked, matches};
use crate::detect::{Answers, Detector, Logic, Rule, decode_rule, link_scripts};
use crate::diag::Problems;
use crate::document::parse_yaml_documents;
use crate::event::Event;
use crate::json::Reader;
use crate::json::reference::{text, values};
use crate::script::Scripts;

/// A line of Sigma, and the same in a script.
fn a_pair() -> impl Strategy<Value = (String, String)> {
    const TEXTS: [&str; 18] = [
        "FAILURE",
        "success",
        "user.session.start",
        "user.mfa.*",
        "a*b",
        "a?c",
        "*",
        "?",
        "abab",
        "Straße",
        "İx",
        "日本",
        "10.0.0.1",
        "true",
        "403",
        "4.5",
        "",
        " x ",
    ];
    let of_text = |(field, text, kind): (&str, &str, u8)| match kind {
        0 => (
            format!("{field}: '{text}'"),
            format!("event.field_values(\"{field}\").some(|v| v.like(\"{text}\"))"),
        ),
        1 => (
            format!("{field}|contains: '{text}'"),
            format!("event.field_values(\"{field}\").like(\"*{text}*\")"),
        ),
        _ => (
            format!("{field}|exists: true"),
            format!("event.has_field(\"{field}\")"),
        ),
    };
    let of_number = |(field, number, kind): (&str, i64, u8)| match kind {
        0 => (
            format!("{field}|gte: {number}"),
            format!(
                "event.field_values(\"{field}\").some(|v| number(v) != () && number(v) >= {number})"
            ),
        ),
        1 => (
            format!("{field}|lt: {number}"),
            format!(
                "event.field_values(\"{field}\").some(|v| number(v) != () && number(v) < {number})"
            ),
        ),
        _ => (
            format!("{field}|hour: {}", number.clamp(0, 23)),
            format!(
                "event.field_values(\"{field}\").some(|v| hour(v) == {})",
                number.clamp(0, 23)
            ),
        ),
    };
    let of_network = |(field, network): (&str, &str)| {
        (
            format!("{field}|cidr: '{network}'"),
            format!("cidr(event.field_values(\"{field}\"), \"{network}\")"),
        )
    };
    let of_list = |(field, (list, modifiers)): (&str, (&str, &str))| {
        (
            format!("{field}|{modifiers}: '%{list}%'"),
            format!("list(\"{list}\").has(event.field_values(\"{field}\"))"),
        )
    };
    let lists = vec![
        ("commands", "expand"),
        ("texts", "expand"),
        ("nets", "cidr|expand"),
        ("nets.name", "expand"),
        ("numbers", "expand"),
    ];
    let field = || select(FIELDS.to_vec());
    let networks = vec!["10.0.0.0/8", "10.0.0.0/24", "2001:db8::/32", "10.0.0.1"];
    prop_oneof![
        5 => (field(), select(TEXTS.to_vec()), 0..3_u8).prop_map(of_text),
        3 => (field(), select(vec![-1, 0, 5, 10, 403]), 0..3_u8).prop_map(of_number),
        1 => (field(), select(networks)).prop_map(of_network),
        2 => (field(), select(lists)).prop_map(of_list),
        1 => Just(of_list(("client.ipAddress", ("nets", "cidr|expand")))),
        1 => select(vec!["10.0.0.0/8", "10.0.0.1"]).prop_map(move |network| of_network(("client.ipAddress", network))),
    ]
}

/// A rule with the line, and one whose script says the same and tells the values of a field.
fn rules(line: &str, expression: &str, field: &str) -> (Vec<Rule>, Detector) {
    let rules = format!(
        "title: line\nlogsource: {{product: okta}}\ndetection: {{s: {{{line}}}, condition: s}}\n---\n\
         title: script\nlogsource: {{product: okta}}\ndetection: {{s: {{zzz: never}}, condition: not s}}\n\
         rulectl: {{script: {{matches: x.rhai#holds, group: x.rhai#values}}}}\n"
    );
    let script = format!(
        "fn holds(event) {{ {expression} }}\nfn values(event) {{ event.field_values(\"{field}\").to_string() }}\n"
    );
    let mut problems = Problems::default();
    let mut lists = Lists::default();
    for (path, text) in LISTS {
        let file = problems.add_file(path, text);
        lists.add(path, file, text, &mut problems);
    }
    let file = problems.add_file("rules/x.yml", &rules);
    let documents = parse_yaml_documents(file, &rules, &mut problems);
    let decode = |(at, node)| decode_rule(node, "rules/x.yml", at, &lists, &mut problems);
    let mut rules: Vec<Rule> = documents.iter().enumerate().filter_map(decode).collect();
    let mut scripts = Scripts::new(Arc::new(Answers::new(Arc::new(lists))));
    let file = problems.add_file("rules/x.rhai", &script);
    scripts.add("x.rhai", file, &script, &mut problems);
    link_scripts(&mut rules, &mut scripts, &mut problems);
    let detector = Detector::compile(&rules, &BTreeSet::new(), &mut problems);
    let said: Vec<&str> = problems
        .sorted()
        .iter()
        .map(|p| p.message.as_str())
        .collect();
    assert!(said.is_empty(), "{script}{said:?}");
    (rules, detector)
}

/// Which of the two rules match, and the group of the script's finding.
fn answer(detector: &Detector, event: &Value) -> (Vec<usize>, Option<String>) {
    let mut wanted = detector.wanted().clone();
    let id = wanted.add(["uuid"]);
    let mut reader = Reader::new(wanted);
    let canonical = event.to_string();
    let fields = reader
        .read_canonical(canonical.as_bytes())
        .expect("canonical");
    let event = Event {
        raw: canonical.as_bytes(),
        compact: true,
        fields,
        time: None,
        id,
    };
    let mut scratch = detector.scratch();
    let mut found = Vec::new();
    detector.scan(&mut scratch, &event, &mut found);
    let failures = scratch.take_failures();
    assert!(failures.is_empty(), "{failures:?}");
    let key = found.iter().find_map(|found| {
        let consumer = detector.consumers.get(1)?;
        let (_, id) = consumer.reporter.group_by.first()?;
        let values = crate::detect::capture::Values::of_bytes(found.captured.as_bytes());
        values.first(*id).map(str::to_owned)
    });
    (
        found.iter().map(|found| found.matcher as usize).collect(),
        key,
    )
}

/// The values of a field as a script writes them: those that are no null and no object.
fn written(field: &str, event: &Value) -> String {
    let whole = |value: &Value| value.is_i64() || value.is_u64() && value.as_i64().is_some();
    let shown = |value: &&Value| match value {
        Value::String(_) => Some(value.to_string()),
        Value::Number(number) if !whole(value) => Some(Value::from(number.as_f64()?).to_string()),
        _ => text(value).map(|text| text.to_string()),
    };
    let all: Vec<String> = values(field.split('.'), event)
        .iter()
        .filter_map(shown)
        .collect();
    format!("[{}]", all.join(", "))
}

#[test]
fn a_script_that_says_the_same_as_a_line_is_true_of_the_same_events() {
    let config = Config {
        cases: 150,
        max_shrink_iters: 500,
        failure_persistence: None,
        ..Config::default()
    };
    let (asked, matched) = (Cell::new(0), Cell::new(0));
    let cases = (a_case(), a_pair(), select(FIELDS.to_vec()));
    let outcome = TestRunner::new(config).run(&cases, |(case, (line, expression), field)| {
        let Case { events, .. } = case;
        let (rules, detector) = rules(&line, &expression, field);
        let Some(Logic::Detection(detection)) = rules.first().map(|rule| &rule.logic) else {
            panic!("a detection");
        };
        for event in events {
            let tree: Value = serde_json::from_str(&event).expect("an event");
            let plain = Asked {
                event: &tree,
                accessors: &[],
                known: &[],
            };
            let expected = matches(detection, plain);
            let (found, key) = answer(&detector, &tree);
            prop_assert_eq!(found.contains(&0), expected, "{}", &line);
            prop_assert_eq!(
                found.contains(&1),
                expected,
                "{}: {} of {}",
                &line,
                &expression,
                &event
            );
            if expected {
                let written = written(field, &tree);
                prop_assert_eq!(key, Some(crate::event::clip(&written).into_owned()));
                matched.set(matched.get() + 1);
            }
            asked.set(asked.get() + 1);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    let share = 100 * matched.get() / asked.get();
    assert!(
        (3..=90).contains(&share),
        "{share} % of {} answers are yes",
        asked.get()
    );
}
