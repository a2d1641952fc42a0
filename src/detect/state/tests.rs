use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::detect::correlation::correlation_types;
use crate::detect::lists::Lists;
use crate::detect::reference::tests::cases;
use crate::detect::rule::decode_rule;
use crate::detect::{Answers, Finding, Tally, Windows, link_scripts};
use crate::diag::Problems;
use crate::document::parse_yaml_documents;
use crate::event::Event;
use crate::json::Reader;
use crate::script::Scripts;

const SECOND: i64 = 1_000_000_000;

/// Every type of correlation: its name, and what stands beside it.
const CORRELATIONS: [(&str, &str); 16] = [
    (
        "script",
        "rules: [a, b], condition: {function: w.rhai#odd, gte: 2}",
    ),
    ("event_count", "rules: [a], condition: {gte: 2}"),
    (
        "value_count",
        "rules: [a, b], condition: {field: what, gte: 2}",
    ),
    ("value_sum", "rules: [a], condition: {field: n, gt: 1.5}"),
    ("value_avg", "rules: [a], condition: {field: n, gt: 0.7}"),
    (
        "value_percentile",
        "rules: [a], condition: {field: n, percentile: 75, gt: 0.9}",
    ),
    (
        "value_median",
        "rules: [a, b], condition: {field: n, gt: 0.4}",
    ),
    (
        "temporal",
        "rules: [a, b, c], condition: a and (b or not c)",
    ),
    ("temporal", "rules: [a, b, c], condition: {gte: 2}"),
    ("temporal_ordered", "rules: [a, b, a]"),
    (
        "consecutive",
        "rules: [a, b], condition: {travel: {latitude: lat, longitude: n, at_least_km: 500}, without_coordinates: {country: country, within: 9s}}",
    ),
    (
        "consecutive",
        "rules: [a], condition: {pair: {s: {a.what|fieldref|neq: b.what}, condition: s}}",
    ),
    (
        "first_seen",
        "rules: [a, b], condition: {field: [what, n], warm-up: 5s}",
    ),
    ("absent", "rules: [a, b]"),
    ("repeat_until", "rules: [a, b], condition: {gte: 1}"),
    ("ratio", "rules: [a, b], condition: {gte: 0.5, at-least: 1}"),
];

/// Rules of every type, with every way in which findings are closed, and chains over some.
fn rules() -> String {
    let mut text = String::new();
    for letter in ["a", "b", "c"] {
        text.push_str(&format!(
            "title: {letter}\nname: {letter}\nlevel: low\nlogsource: {{product: okta}}\ndetection:\n  s: {{letters: {letter}}}\n  condition: s\nrulectl: {{user: who}}\n---\n"
        ));
    }
    let settings = "summary: '{count} of {what}', user: who, metadata: [what, n]";
    text.push_str(&format!("title: quiet\nname: quiet\nlogsource: {{product: okta}}\ndetection:\n  s: {{letters: c}}\n  condition: s\nrulectl: {{suppress: 7s, group-by: [who], {settings}}}\n---\n"));
    for (at, (name, rest)) in CORRELATIONS.iter().enumerate() {
        for (suppress, group) in [
            ("suppress: 0s, ", "who"),
            ("", "who, what"),
            ("suppress: 30h, ", ""),
        ] {
            let own = format!("x{at}{}", group.len());
            text.push_str(&format!(
                "title: {own}\nname: {own}\nlevel: high\ncorrelation: {{type: {name}, {rest}, group-by: [{group}], timespan: 10s, generate: true}}\nrulectl: {{{suppress}{settings}}}\n---\n"
            ));
        }
    }
    text.push_str(&format!(
        "title: chain\nname: chain\ncorrelation: {{type: event_count, rules: [x08, c], group-by: [it], timespan: 20s, condition: {{gte: 2}}, generate: true, aliases: {{it: {{x08: who, c: what}}}}}}\nrulectl: {{{settings}}}\n---\n"
    ).replace("x08", "x03"));
    text.push_str(&format!(
        "title: alerts\nname: alerts\ncorrelation: {{type: value_count, rules: {{level: high}}, group-by: [rulectl.user], timespan: 15s, condition: {{field: rulectl.rule, gte: 3}}}}\nrulectl: {{{settings}}}\n"
    ));
    text
}

/// Rules that change every number of a detector, and find nothing.
const OTHERS: &str = "title: o\nname: o\nlogsource: {product: okta}\ndetection:\n  s: {zone: z, country: zz}\n  condition: s\n---\ntitle: p\nname: p\ncorrelation: {type: event_count, rules: [o], group-by: [n, zone], timespan: 5s, condition: {gte: 1}}\nrulectl: {metadata: [country, lat, zone]}\n---\n";

/// How many events of the window satisfy the first rule and have a certain value.
const SCRIPT: &str = "fn odd(window) {\n    let n = 0;\n    for event in window.events {\n        if event.field(\"what\") == \"x\" || event.rules.contains(\"b\") { n += 1; }\n    }\n    n\n}\n";

/// A detection.
const LETTER: &str = "title: a\nname: a\nlogsource: {product: okta}\ndetection:\n  s: {letters: a}\n  condition: s\n";

fn detector(text: &str) -> Detector {
    let mut problems = Problems::default();
    let file = problems.add_file("rule", text);
    let documents = parse_yaml_documents(file, text, &mut problems);
    let lists = Lists::default();
    let mut rules: Vec<_> = documents
        .iter()
        .enumerate()
        .filter_map(|(at, node)| decode_rule(node, "rule", at, &lists, &mut problems))
        .collect();
    let mut scripts = Scripts::new(Arc::new(Answers::new(Arc::new(lists))));
    let file = problems.add_file("rules/w.rhai", SCRIPT);
    scripts.add("w.rhai", file, SCRIPT, &mut problems);
    link_scripts(&mut rules, &mut scripts, &mut problems);
    let detector = Detector::compile(&rules, &BTreeSet::new(), &mut problems);
    let said: Vec<String> = problems
        .sorted()
        .iter()
        .map(|p| p.message.clone())
        .collect();
    assert_eq!(problems.counts().0, 0, "{said:?}");
    detector
}

static WHOLE: LazyLock<Detector> = LazyLock::new(|| detector(&rules()));
static SHIFTED: LazyLock<Detector> = LazyLock::new(|| detector(&format!("{OTHERS}{}", rules())));

/// A time in seconds, and a record.
type Moment = (i64, String);

fn a_timeline() -> impl Strategy<Value = Vec<Moment>> {
    let letters = prop_oneof![
        4 => proptest::sample::select(vec![json!(["a"]), json!(["b"]), json!(["c"])]),
        1 => proptest::sample::select(vec![json!(["a", "b"]), json!(["b", "c"])]),
    ];
    let who = proptest::sample::select(vec![json!("ann"), json!("Ann"), json!(["ann", "bob"])]);
    let what =
        proptest::sample::select(vec![json!("x"), json!("y"), json!(["x", "z"]), json!(null)]);
    let n = proptest::sample::select(vec![json!(0.1), json!(1), json!("0.7"), json!(null)]);
    let lat = proptest::sample::select(vec![json!(0), json!(50), json!(null)]);
    // Some are days later: findings end for their age.
    let at = prop_oneof![9 => 0..90_i64, 1 => 86_300..86_420_i64];
    let moment = (letters, who, what, n, lat, at);
    proptest::collection::vec(moment, 1..50).prop_map(|moments| {
        let numbered = moments.into_iter().enumerate();
        numbered
            .map(|(number, (letters, who, what, n, lat, at))| {
                let record = json!({"uuid": number.to_string(), "letters": letters, "who": who, "what": what, "n": n, "lat": lat, "country": if at % 2 == 0 {"FR"} else {"CL"}});
                (at, record.to_string())
            })
            .collect()
    })
}

/// The matches of a timeline in their order.
fn matches(detector: &Detector, timeline: &[Moment]) -> Vec<Match> {
    let mut wanted = detector.wanted().clone();
    let id = wanted.add(["uuid"]);
    let mut reader = Reader::new(wanted);
    let mut scratch = detector.scratch();
    let mut matches = Vec::new();
    for (at, record) in timeline {
        let event = Event {
            raw: record.as_bytes(),
            compact: true,
            fields: reader.read(record.as_bytes()).expect("a record"),
            time: Some(Time(at * SECOND)),
            id,
        };
        detector.scan(&mut scratch, &event, &mut matches);
    }
    matches.sort_by(Match::compare);
    matches
}

/// What the windows find in these matches.
fn advance(
    windows: &mut Windows,
    detector: &Detector,
    matches: &[Match],
    live: bool,
) -> Vec<Finding> {
    let mut found = Vec::new();
    for matched in matches {
        if let Some(time) = matched.time.filter(|_| live) {
            found.extend(windows.pass(detector, Time(time.0 - 1)));
        }
        found.extend(windows.advance(detector, matched.clone()));
    }
    found
}

fn finish(
    mut windows: Windows,
    detector: &Detector,
    last: Time,
    found: &mut Vec<Finding>,
) -> Tally {
    let tally = windows.finish(detector, Some(last), |finding| {
        found.push(finding);
        Ok::<(), ()>(())
    });
    tally.expect("nothing fails")
}

#[test]
fn every_type_is_cut() {
    let cut: BTreeSet<&str> = CORRELATIONS.iter().map(|(name, _)| *name).collect();
    assert_eq!(cut, correlation_types().collect());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases().div_ceil(200), failure_persistence: None, ..ProptestConfig::default() })]

    /// Wherever windows are saved and restored, and into whatever other policy that has the
    /// rules, they find what they would have found.
    #[test]
    fn what_is_cut_in_two_finds_the_same(timeline in a_timeline(), at in 0..100_usize, live in any::<bool>()) {
        let (whole, shifted) = (&*WHOLE, &*SHIFTED);
        let last = Time(timeline.iter().map(|(at, _)| *at).max().unwrap_or_default() * SECOND);
        let new = |detector: &Detector| if live { Windows::live(detector) } else { Windows::new(detector) };
        let all = matches(whole, &timeline);
        let at = at * all.len() / 100;

        let mut windows = new(whole);
        let mut expected = advance(&mut windows, whole, &all, live);
        let expected_tally = finish(windows, whole, last, &mut expected);

        for after in [whole, shifted] {
            let mut windows = new(whole);
            let mut found = advance(&mut windows, whole, &all[..at], live);
            let saved = windows.save(whole);
            let (mut windows, restored) = Windows::restore(after, &saved).expect("what was saved");
            prop_assert!(restored.rules.iter().all(|(_, fate)| matches!(fate, Fate::Kept | Fate::New)));
            if std::ptr::eq(after, whole) {
                prop_assert!(windows.save(after) == saved, "saved again, other bytes");
            }
            found.extend(advance(&mut windows, after, &matches(after, &timeline)[at..], live));
            let tally = finish(windows, after, last, &mut found);
            let differs = found.iter().zip(&expected).find(|(found, expected)| found != expected);
            prop_assert!(differs.is_none(), "{:#?}", differs);
            prop_assert_eq!(found.len(), expected.len());
            prop_assert_eq!(tally, expected_tally);
        }
    }
}

#[test]
fn an_event_is_packed_once() {
    let counts = |name: &str| {
        format!(
            "---\ntitle: {name}\nname: {name}\ncorrelation: {{type: event_count, rules: [a], timespan: 10s, condition: {{gte: 1}}}}\nrulectl: {{metadata: [what]}}\n"
        )
    };
    let detector = detector(&format!("{LETTER}{}{}", counts("x"), counts("y")));
    let text = "x".repeat(500);
    let record = json!({"letters": "a", "what": text}).to_string();
    let mut windows = Windows::new(&detector);
    advance(
        &mut windows,
        &detector,
        &matches(&detector, &[(1, record)]),
        false,
    );
    windows.pass(&detector, Time(SECOND));
    let saved = windows.save(&detector);
    assert_eq!(String::from_utf8_lossy(&saved).matches(&text).count(), 1);
}

#[test]
fn a_rule_that_does_something_else_begins_anew() {
    let text = &format!(
        "{LETTER}{}",
        "---\ntitle: x\nname: x\ncorrelation: {type: event_count, rules: [a], timespan: 10s, condition: {gte: 1}}\n"
    );
    let before = detector(text);
    let timeline = vec![(1, json!({"letters": "a"}).to_string())];
    let mut windows = Windows::new(&before);
    advance(&mut windows, &before, &matches(&before, &timeline), false);
    windows.pass(&before, Time(SECOND));
    let saved = windows.save(&before);
    let outer = "---\ntitle: y\nname: y\ncorrelation: {type: event_count, rules: [x], timespan: 10s, condition: {gte: 1}}\n";
    let cases = [
        ("as it was", text.to_owned(), vec![("x", Fate::Kept)]),
        (
            "another title",
            text.replace("title: x", "title: z"),
            vec![("x", Fate::Kept)],
        ),
        (
            "another bound",
            text.replace("gte: 1", "gte: 2"),
            vec![("x", Fate::Changed(1))],
        ),
        (
            "another detection",
            text.replace("letters: a", "letters: b"),
            vec![("x", Fate::Changed(1))],
        ),
        (
            "another name",
            text.replace("name: x", "name: z"),
            vec![("x", Fate::Gone(1)), ("z", Fate::New)],
        ),
        (
            "it is named",
            text.to_owned() + outer,
            vec![("x", Fate::Rewired(1)), ("y", Fate::New)],
        ),
    ];
    for (name, text, expected) in cases {
        let after = detector(&text);
        let (_, restored) = Windows::restore(&after, &saved).expect("what was saved");
        let fates: Vec<_> = restored
            .rules
            .iter()
            .map(|(rule, fate)| (rule.as_str(), *fate))
            .collect();
        assert_eq!(fates, expected, "{name}");
    }
}

#[test]
fn what_is_no_state_is_refused() {
    let detector = detector(&rules());
    let saved = Windows::new(&detector).save(&detector);
    let refused = |bytes: &[u8]| Windows::restore(&detector, bytes).err();
    assert_eq!(refused(b""), Some(StateError::Other));
    assert_eq!(refused(b"{\"a\": 1}"), Some(StateError::Other));
    let mut other = saved.clone();
    other[8] = 9;
    assert_eq!(refused(&other), Some(StateError::Version(9)));
    for at in 9..saved.len() {
        let mut damaged = saved.clone();
        damaged[at] ^= 1;
        assert_eq!(refused(&damaged), Some(StateError::Damaged), "byte {at}");
    }
    for length in 8..saved.len() {
        assert_eq!(
            refused(&saved[..length]),
            Some(StateError::Damaged),
            "{length} bytes"
        );
    }
}
