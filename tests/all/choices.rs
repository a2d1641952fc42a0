//! The choices of `docs/semantics.md`, row by row: what each claims is tried.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rulectl::detect::{Relation, Severity};
use rulectl::event::{Digest, Time};
use rulectl::fmt::{FileKind, formatted};
use rulectl::geo::Databases;
use rulectl::import::{Source, import};
use rulectl::lab::diff::audits::Carrying;
use rulectl::lab::diff::effect::{Bounds, Least, effect_with};
use rulectl::lab::diff::{self, Answers, Effect, Moved, Side, changes};
use rulectl::llm::{About, Failure, Finish, Model, Reply, Request, Usage};
use rulectl::okta::Mapping;
use rulectl::pipeline::{self, Beginning, Filling, Outcome, Rejected, Settings, Sink};
use rulectl::policy;
use rulectl::recording::{Key, Of, Recording, ReplayingModel};
use rulectl::render::{Actors, Diffed, junit, markdown};
use rulectl::risk::Opinion;
use rulectl::slots::{Fate, Provenance, fill};
use rulectl::starter::FILES;
use serde_json::{Value, json};

use crate::diff_audits;
use crate::diff_effect;
use crate::explain;
use crate::harness::{lay_over, lines, memory, policy_of, root, run_inputs, run_with, small};

/// A search, a record as it is written, and whether the record matches.
type Case<'c> = (&'c str, &'c str, bool);

/// Which cases come out otherwise, with the condition `CONDITION` over the search `s`.
fn wrong(condition: &str, cases: &[Case<'_>]) -> Vec<String> {
    let differs = |(search, record, expected): &&Case<'_>| {
        let rule = format!(
            "title: seen\nlogsource: {{product: okta}}\ndetection:\n  s: {search}\n  condition: {condition}\n---\naccessors: {{m: map, j: json, j.m: map}}\n"
        );
        let inputs = vec![memory(record.as_bytes().to_vec())];
        let received = run_inputs(&policy_of(&rule), inputs, Mapping::Okta, 1);
        received.outcomes.is_empty() == *expected || !received.rejected.is_empty()
    };
    let shown = |(search, record, expected): &Case<'_>| {
        format!("{search}, {condition}: {record} should give {expected}")
    };
    cases.iter().filter(differs).map(shown).collect()
}

#[track_caller]
fn check(cases: &[Case<'_>]) {
    let wrong = wrong("s", cases);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn texts_and_case() {
    #[rustfmt::skip]
    check(&[
        ("{x: STRASSE}", r#"{"x":"straße"}"#, false),
        ("{x: straße}", r#"{"x":"STRAẞE"}"#, true),
        ("{x: 'ΑΣ'}", r#"{"x":"ασ"}"#, true),
        ("{x: 'ΑΣ'}", r#"{"x":"ας"}"#, false),
        ("{x: k}", "{\"x\":\"\u{212a}\"}", true),
        ("{x: i}", r#"{"x":"İ"}"#, false),
        ("{x: '?'}", r#"{"x":"İ"}"#, false),
        ("{x: '??'}", r#"{"x":"İ"}"#, true),
        ("{x|cased: '?'}", r#"{"x":"İ"}"#, true),
        ("{x: e\u{301}}", r#"{"x":"é"}"#, false),
        ("{x: ' a'}", r#"{"x":"a"}"#, false),
        ("{x: 'a*'}", "{\"x\":\"a\\nb\"}", true),
        ("{x: 'a?b'}", "{\"x\":\"a\\nb\"}", true),
        (r"{x: 'a\b'}", r#"{"x":"a\\b"}"#, true),
        (r"{x: 'a\\b'}", r#"{"x":"a\\b"}"#, true),
        (r"{x: 'a\\\b'}", r#"{"x":"a\\\\b"}"#, true),
        (r"{x: 'a\\\\b'}", r#"{"x":"a\\\\b"}"#, true),
        (r"{x: 'a\\\*'}", r#"{"x":"a\\*"}"#, true),
        (r"{x|contains: '\*'}", r#"{"x":"a*b"}"#, true),
        (r"{x|contains: '\*'}", r#"{"x":"ab"}"#, false),
        ("{x|contains: ''}", r#"{"x":""}"#, true),
        ("{x|contains: ''}", r#"{"y":""}"#, false),
    ]);
}

#[test]
fn numbers_booleans_and_what_is_no_scalar() {
    #[rustfmt::skip]
    check(&[
        ("{x: 1}", r#"{"x":1.0}"#, true),
        ("{x: 1.0}", r#"{"x":1}"#, true),
        ("{x: 1.0}", r#"{"x":"1"}"#, false),
        ("{x: 1}", r#"{"x":"1.0"}"#, false),
        ("{x: '4.03e2'}", r#"{"x":4.03e2}"#, false),
        ("{x: '403.0'}", r#"{"x":4.03e2}"#, true),
        ("{x|startswith: '40'}", r#"{"x":403}"#, true),
        ("{x|contains: 0}", r#"{"x":403}"#, true),
        ("{x: 9007199254740993}", r#"{"x":9007199254740993}"#, true),
        ("{x: 9007199254740993}", r#"{"x":9007199254740992}"#, false),
        ("{x|gt: 9007199254740992}", r#"{"x":9007199254740993}"#, false),
        ("{x: 18446744073709551616}", r#"{"x":18446744073709551616}"#, true),
        ("{x: true}", r#"{"x":"True"}"#, true),
        ("{x: true}", r#"{"x":1}"#, false),
        ("{x: true}", r#"{"x":"yes"}"#, false),
        ("{x|contains: ru}", r#"{"x":true}"#, true),
        ("{x: '*'}", r#"{"x":null}"#, false),
        ("{x: '*'}", r#"{"x":""}"#, true),
        ("{x: '*'}", r#"{"x":{"y":1}}"#, false),
        ("{x: '*'}", r#"{"x":[]}"#, false),
        ("{x: null}", r#"{"x":[]}"#, true),
        ("{x: null}", r#"{"x":[1,null]}"#, true),
        ("{x: null}", r#"{"x":{}}"#, false),
        ("{x: null}", r#"{"x":[{}]}"#, false),
        ("{x|gte: 5}", r#"{"x":" 5.5 "}"#, true),
        ("{x|gte: 5}", r#"{"x":"1e3"}"#, true),
        ("{x|gte: 5}", r#"{"x":"0x10"}"#, false),
        ("{x|gte: 5}", r#"{"x":"inf"}"#, false),
        ("{x|gte: 0}", r#"{"x":true}"#, false),
        ("{x|lt: 5}", r#"{"y":1}"#, false),
        ("{x|lt: 5}", r#"{"x":[9,1]}"#, true),
    ]);
}

#[test]
fn paths_and_negation() {
    #[rustfmt::skip]
    check(&[
        ("{a.b: 1}", r#"{"a.b":1}"#, false),
        ("{A.b: 1}", r#"{"a":{"b":1}}"#, false),
        ("{a.0: 1}", r#"{"a":[1]}"#, false),
        ("{a.b: 1}", r#"{"a":[[{"b":1}]]}"#, true),
        ("{a.b: 1}", r#"{"a":{"b":[2,[1]]}}"#, true),
        ("{a.b: 1, a.c: 2}", r#"{"a":[{"b":1},{"c":2}]}"#, true),
        ("{x|neq: 1}", r#"{"y":1}"#, true),
        ("{x|neq: [1, 2]}", r#"{"x":2}"#, false),
        ("{x|neq|all: ['*a*', '*b*']}", r#"{"x":"a"}"#, true),
        ("{x|neq|all: ['*a*', '*b*']}", r#"{"x":"ab"}"#, false),
        ("{x|neq: null}", r#"{"x":1}"#, true),
        ("{x|neq: null}", r#"{"y":1}"#, false),
        ("{x|exists|neq: true}", r#"{"x":null}"#, false),
        ("{x|contains|neq: a}", r#"{"x":["b","xa"]}"#, false),
        ("{x|exists: true}", r#"{"x":[]}"#, true),
        ("{x|exists: true}", r#"{"x":{}}"#, true),
        ("{x.y|exists: true}", r#"{"x":[{"z":1},{"y":null}]}"#, true),
        ("{x.y|exists: true}", r#"{"x":[]}"#, false),
    ]);
    let negated = wrong(
        "not s",
        &[
            ("{a.b: 1}", r#"{"a":[{"b":1},{"b":2}]}"#, false),
            ("{x|neq: 1}", r#"{"x":[1,2]}"#, true),
            ("{x: null}", r#"{"x":1}"#, true),
            ("{x|gt: 1}", r#"{"y":1}"#, true),
        ],
    );
    assert!(negated.is_empty(), "{}", negated.join("\n"));
}

#[test]
fn expressions_networks_times_and_other_fields() {
    #[rustfmt::skip]
    check(&[
        ("{x|re: b}", r#"{"x":"abc"}"#, true),
        ("{x|re: 'c$'}", "{\"x\":\"abc\\n\"}", false),
        ("{x|re: '^b'}", "{\"x\":\"a\\nb\"}", false),
        ("{x|re|m: '^b'}", "{\"x\":\"a\\nb\"}", true),
        ("{x|re: 'a.b'}", "{\"x\":\"a\\nb\"}", false),
        ("{x|re|s: 'a.b'}", "{\"x\":\"a\\nb\"}", true),
        ("{x|re|i: 'É'}", r#"{"x":"é"}"#, true),
        (r"{x|re: '^\d+$'}", r#"{"x":403}"#, true),
        (r"{x|re: '^\d$'}", r#"{"x":"٣"}"#, true),
        ("{x|re: ''}", r#"{"y":1}"#, false),
        ("{x|cidr: 10.1.2.3/8}", r#"{"x":"10.9.9.9"}"#, true),
        ("{x|cidr: 10.0.0.0/8}", r#"{"x":" 10.9.9.9"}"#, false),
        ("{x|cidr: 10.1.2.3}", r#"{"x":"10.1.2.3"}"#, true),
        ("{x|cidr: 10.0.0.0/8}", r#"{"x":"::ffff:10.1.2.3"}"#, false),
        ("{x|cidr: '2001:db8::/32'}", r#"{"x":"2001:0DB8:0::1"}"#, true),
        ("{x|cidr: 10.0.0.0/8}", r#"{"x":"10.1.2.3:443"}"#, false),
        ("{x|cidr: 10.0.0.0/8}", r#"{"x":"010.1.2.3"}"#, false),
        ("{x|hour: 22}", r#"{"x":"2026-03-03T00:30:00+02:00"}"#, true),
        ("{x|hour: 10}", r#"{"x":"2026-03-02 10:00:00"}"#, false),
        ("{x|hour: 10}", r#"{"x":1772445600}"#, false),
        ("{x|hour: 0}", r#"{"x":"2016-12-31T23:59:60Z"}"#, true),
        ("{x|day: 31}", r#"{"x":"2016-12-31T23:59:60Z"}"#, false),
        ("{x|week: 53}", r#"{"x":"2027-01-01T00:00:00Z"}"#, true),
        ("{x|year: 2027}", r#"{"x":"2027-01-01T00:00:00Z"}"#, true),
        ("{x|week: 1}", r#"{"x":"2024-12-31T00:00:00Z"}"#, true),
        ("{x|hour|gte: 22}", r#"{"x":"2026-03-02T23:59:59Z"}"#, true),
        ("{x|fieldref: y}", r#"{"x":[1,2],"y":["2",3]}"#, true),
        ("{x|fieldref: y}", r#"{"x":1,"y":1.0}"#, false),
        ("{x|fieldref: y}", r#"{"x":null,"y":null}"#, false),
        ("{x|fieldref|neq: y}", r#"{"x":1}"#, true),
        ("{x|fieldref: y}", r#"{"x":"ab","y":"a*"}"#, false),
        ("{x|fieldref|contains: y}", r#"{"x":"xaBx","y":"Ab"}"#, true),
        ("{x|fieldref|cased: y}", r#"{"x":"A","y":"a"}"#, false),
        ("{x|fieldref|startswith: y}", r#"{"x":"ab","y":""}"#, true),
    ]);
}

#[test]
fn other_spellings() {
    #[rustfmt::skip]
    check(&[
        ("{x|windash|contains: ' -f '}", "{\"x\":\"a \u{2014}f b\"}", true),
        ("{x|windash|contains: ' /f '}", r#"{"x":"a -f b"}"#, true),
        ("{x|windash|contains: a-b}", r#"{"x":"a/b"}"#, false),
        ("{x|windash|contains: ' --f'}", r#"{"x":" -/f"}"#, true),
        ("{x|windash|contains: ' \u{2014}f '}", r#"{"x":"a -f b"}"#, false),
        ("{x|base64: foo}", r#"{"x":"Zm9v"}"#, true),
        ("{x|base64: foo}", r#"{"x":"ZM9V"}"#, true),
        ("{x|cased|base64: foo}", r#"{"x":"ZM9V"}"#, false),
        ("{x|base64offset|contains: foo}", r#"{"x":"YWZvbw=="}"#, true),
        ("{x|wide|base64: a}", r#"{"x":"YQA="}"#, true),
        ("{x|utf16be|base64: a}", r#"{"x":"AGE="}"#, true),
        ("{x|utf16|base64: a}", r#"{"x":"//5hAA=="}"#, true),
        ("{x|wide: a}", r#"{"x":"a\u0000"}"#, true),
        ("[seen]", r#"{"seen":1}"#, false),
        ("[seen]", r#"{"x":{"y":["it was SEEN."]}}"#, true),
        ("[true]", r#"{"x":true}"#, true),
        ("[40]", r#"{"x":403}"#, true),
        ("['s*n']", r#"{"x":"it was seen"}"#, true),
        ("{'|all': [a, b]}", r#"{"x":"a","y":"b"}"#, true),
        ("{'|re': '^b'}", r#"{"x":"ab","y":"ba"}"#, true),
        ("{'|endswith': b}", r#"{"x":"ab"}"#, true),
        ("[{x: 1}, seen]", r#"{"y":"seen"}"#, true),
    ]);
}

#[test]
fn records() {
    #[rustfmt::skip]
    check(&[
        ("{x: 1}", r#"{"x":2,"x":1}"#, true),
        ("{x: 2}", r#"{"x":2,"x":1}"#, false),
        ("{x.y: 1}", r#"{"x":{"y":1},"x":{"z":1}}"#, false),
        ("{x: '?'}", r#"{"x":"\ud800"}"#, true),
        ("{x: \"\u{fffd}\"}", r#"{"x":"\ud800"}"#, true),
        ("{x: '-0'}", r#"{"x":-0}"#, false),
        ("{x: 0}", r#"{"x":-0}"#, true),
        ("{x|gt: 1}", r#"{"x":123456789012345678901234567890}"#, true),
    ]);
    let rule = "title: t\nlogsource: {product: okta}\ndetection:\n  s: {x: 1}\n  condition: s\n";
    for record in [
        r#"{"x":1e400}"#,
        r#"{"x":1}{"x":1"#,
        r#"{"x":01}"#,
        r#"{"x":NaN}"#,
    ] {
        let inputs = vec![memory(format!("{{}}\n{record}\n").into_bytes())];
        let received = run_inputs(&policy_of(rule), inputs, Mapping::Okta, 1);
        assert_eq!(received.rejected.len(), 1, "{record}");
        assert!(received.outcomes.is_empty(), "{record}");
    }
}

#[test]
fn values_inside_texts() {
    #[rustfmt::skip]
    check(&[
        ("{m.a: x}", r#"{"m":"{a=x}"}"#, true),
        ("{m.a: x}", r#"{"m":{"a":"x"}}"#, true),
        ("{m.a: x}", r#"{"m":[{"a":"y"},"{a=x}"]}"#, true),
        ("{m.a|exists: true}", r#"{"m":["a",1,null]}"#, false),
        ("{m|contains: 'a='}", r#"{"m":"{a=x}"}"#, true),
        ("[x]", r#"{"m":"{a=x}"}"#, true),
        ("{'|re': '^x$'}", r#"{"m":"{a=x}"}"#, false),
        ("{m.a: null}", r#"{"m":"{a=x"}"#, true),
        ("{m.a|exists: false}", r#"{"m":"{a=x"}"#, true),
        ("{j.a.b: 1}", r#"{"j":"{\"a\":\"{\\\"b\\\":1}\"}"}"#, false),
        ("{j.m.b: 1}", r#"{"j":"{\"m\":\"{b=1}\"}"}"#, true),
        ("{j.a: 2}", r#"{"j":"{\"a\":1, \"a\":2}"}"#, true),
        ("{j.a: 1}", r#"{"j":"{\"a\":1, \"a\":2}"}"#, false),
        ("{j.a|gte: 3}", r#"{"j":"{\"a\":3.5}"}"#, true),
        ("{j.a: 1}", r#"{"j":"{\"a\":1,\"b\":1e400}"}"#, false),
        ("{j.a: \"\u{fffd}\"}", r#"{"j":"{\"a\":\"\\ud800\"}"}"#, true),
        ("{m.b: z}", r#"{"m":"{a=x, b=[y, z]}"}"#, true),
        ("{m.a: 'null'}", r#"{"m":"{a=null}"}"#, true),
        ("{m.a: null}", r#"{"m":"{a=null}"}"#, false),
        ("{m.a: 5, m.b: true}", r#"{"m":"{a=5, b=true}"}"#, true),
        ("{m.a|lt: 6}", r#"{"m":"{a=5}"}"#, true),
        ("{m.a: 'x == y'}", r#"{"m":"{a=x == y}"}"#, true),
        ("{m.a: 'x, y == z'}", r#"{"m":"{a=x, y == z}"}"#, true),
        ("{m.a: 'x, y', m.b: z}", r#"{"m":"{a=x, y, b=z}"}"#, true),
        ("{m.a: 'x,b=y'}", r#"{"m":"{a=x,b=y}"}"#, true),
        ("{m.b: y}", r#"{"m":"{a=x,b=y}"}"#, false),
        ("{m.a: 'f[x, b=y]', m.b: null}", r#"{"m":"{a=f[x, b=y]}"}"#, true),
        ("{m.a: ':(]', m.b: x}", r#"{"m":"{a=:(], b=x}"}"#, true),
        ("{m.b: y}", r#"{"m":"{a=f[x, b=y}"}"#, true),
        ("{m.b|all: [y, z]}", r#"{"m":"{a=], b=y, b=z}"}"#, true),
        ("{m.a: 'x}', m.b: null}", r#"{"m":"{a=x}}, b=y"}"#, true),
        ("{m.b|all: [x, y]}", r#"{"m":"[{a=], b=x}, {b=y}]"}"#, true),
        ("{m.a: 'x]'}", r#"{"m":"{b, a=x]}"}"#, false),
        ("{m.a: '{x, y}'}", r#"{"m":"{a={x, y}}"}"#, true),
        ("{m.a|all: [x, y]}", r#"{"m":"{a=x, a=y}"}"#, true),
        ("{m.a: y}", r#"{"m":"[{a=x}, {a=y}]"}"#, true),
        ("{m|contains: y}", r#"{"m":"[x, y]"}"#, true),
        ("{m.New Device: POSITIVE}", r#"{"m":"{New Device=POSITIVE}"}"#, true),
        ("{m.a|fieldref: j.a}", r#"{"m":"{a=x}","j":"{\"a\":\"X\"}"}"#, true),
        ("{m.a|base64: foo}", r#"{"m":"{a=Zm9v}"}"#, true),
        ("{m.a|cidr: 10.0.0.0/8}", r#"{"m":"{a=10.1.2.3}"}"#, true),
    ]);
    let negated = wrong(
        "not s",
        &[
            ("{m.a: x}", r#"{"m":"{a=x"}"#, true),
            ("{m.a: x}", r#"{"m":"{a=y, a=x}"}"#, false),
        ],
    );
    assert!(negated.is_empty(), "{}", negated.join("\n"));
}

/// What databases know of `192.0.2.7`: France, AS64496.
#[test]
fn databases() {
    let country = |address: &str, said: &str| {
        format!(
            r#"{{"eventType":"x","client":{{"ipAddress":"{address}","geographicalContext":{{{said}}}}},"y":"FRANCE"}}"#
        )
    };
    let known = |said: &str| country("192.0.2.7", said);
    let name = "client.geographicalContext.country";
    #[rustfmt::skip]
    let cases = [
        (format!("{{{name}: france}}"), known(""), true),
        (format!("{{{name}: FR}}"), known(""), false),
        (format!("{{{name}: France}}"), known(r#""country":null"#), true),
        (format!("{{{name}: France}}"), known(r#""country":"""#), true),
        (format!("{{{name}: ''}}"), known(r#""country":"""#), false),
        (format!("{{{name}: France}}"), known(r#""country":[null,""]"#), true),
        (format!("{{{name}: null}}"), known(r#""country":[null,""]"#), false),
        (format!("{{{name}: France}}"), known(r#""country":[null,"Peru"]"#), false),
        (format!("{{{name}: null}}"), known(r#""country":[null,"Peru"]"#), true),
        (format!("{{{name}: France}}"), known(r#""country":" ""#), false),
        (format!("{{{name}: France}}"), known(r#""country":"unknown""#), false),
        (format!("{{{name}: France}}"), known(r#""country":{}"#), false),
        (format!("{{{name}: null}}"), known(""), false),
        (format!("{{{name}: null}}"), country("198.51.100.1", ""), true),
        (format!("{{{name}|exists: true}}"), known(""), true),
        (format!("{{{name}|exists: false}}"), country("10.0.0.1", ""), true),
        (format!("{{y|fieldref: {name}}}"), known(""), true),
        (format!("{{y|fieldref|neq: {name}}}"), known(""), false),
        ("[France]".to_owned(), known(""), true),
        ("[Example SARL]".to_owned(), known(""), false),
        ("['64496']".to_owned(), known(""), false),
        ("{securityContext.asNumber: 64496}".to_owned(), known(""), true),
        ("{securityContext.asNumber|gt: 64495}".to_owned(), known(""), true),
        ("{securityContext.asOrg|contains: sarl}".to_owned(), known(""), true),
    ];
    let fixtures = root().join("fixtures/databases");
    let [countries, systems] = ["countries.mmdb", "systems.mmdb"].map(|name| fixtures.join(name));
    let databases = Databases::open(Some(&countries), Some(&systems)).expect("databases");
    for (search, record, expected) in cases {
        let rule = format!(
            "title: seen\nlogsource: {{product: okta}}\ndetection:\n  s: {search}\n  condition: s\n"
        );
        let event: Value = serde_json::from_str(&record).expect("JSON");
        let received = run_with(&mut policy_of(&rule), &[event], &databases);
        assert_eq!(
            !received.outcomes.is_empty(),
            expected,
            "{search}: {record}"
        );
    }
}

/// A model that says one thing.
struct Says(String);

impl Model for Says {
    fn ask(&self, _: &Request) -> Result<Reply, Failure> {
        Ok(Reply {
            text: self.0.clone(),
            finish: Finish::Stop,
            model: "says".to_owned(),
            usage: Usage::default(),
        })
    }

    fn about(&self) -> About {
        About::default()
    }
}

#[test]
fn what_a_model_may_say() {
    let policy = small();
    let prompt = &policy.prompts["risk"];
    let reply = |likelihood: &str, rationale: &str| {
        format!(
            r#"{{"severity":"low","likelihood":{likelihood},"impact":0,"rationale":"{rationale}"}}"#
        )
    };
    #[rustfmt::skip]
    let cases = [
        (reply("60", "x"), true),
        (reply("60.0", "x"), true),
        (reply("60.5", "x"), false),
        (format!(" {}\n", reply("60", "x")), true),
        (format!("Sure: {}", reply("60", "x")), false),
        (reply("60", r"two\nlines"), true),
        (reply("60", r"\u202e"), false),
        (reply("60", r#"","severity":"high"#), false),
        (reply("100", "x"), true),
        (reply("101", "x"), false),
    ];
    for (text, expected) in cases {
        let check = |reply: &Value| Opinion::read(reply).map(drop);
        let asked = fill(prompt, &json!({}), &Says(text.clone()), &check);
        assert_eq!(
            asked.accepted.is_some(),
            expected,
            "{text}: {:?}",
            asked.refused
        );
        assert_eq!(asked.calls.len(), if expected { 1 } else { 2 }, "{text}");
    }
}

#[test]
fn what_the_default_of_a_slot_shows() {
    let policy = small();
    let prompt = &policy.prompts["notification"];
    let default = policy.slots["notification"].default.as_ref();
    let default = default.expect("a slot of the engineer's has one");
    let long = "ä".repeat(200);
    let cut = format!("[low] {}…", "ä".repeat(113));
    #[rustfmt::skip]
    let cases = [
        (json!({"severity": "high", "title": "x\ny"}), r"[high] x\u{a}y"),
        (json!({"severity": "high", "title": "\u{202e}\"<b>\""}), r#"[high] \u{202e}"<b>""#),
        (json!({"severity": "high", "title": "{{ incident.id }}"}), "[high] {{ incident.id }}"),
        (json!({"title": "x"}), "[unknown] x"),
        (json!({"severity": ["a", 1], "title": {"k": "v"}}), "[a, 1] k: v"),
        (json!({"severity": "low", "title": long}), &cut),
    ];
    for (incident, expected) in cases {
        let content = default.of(prompt, &json!({"incident": incident}));
        let content = content.expect("it satisfies its schema");
        assert_eq!(content["subject"], expected);
    }
}

/// Keeps what a run begins with.
#[derive(Default)]
struct Begun(Option<Beginning>);

impl Sink for Begun {
    fn begin(&mut self, beginning: &Beginning) -> std::io::Result<()> {
        self.0 = Some(beginning.clone());
        Ok(())
    }

    fn outcome(&mut self, _: &Outcome) -> std::io::Result<()> {
        Ok(())
    }

    fn reject(&mut self, _: &Rejected) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_a_run_is_routed_by() {
    let policy = small();
    let model = Says(r#"{"phase":"ingest","steps":[],"notes":""}"#.to_owned());
    let filling = Filling {
        model: Some(&model),
        summary: None,
    };
    let seen = |text: String, until: Option<Time>| {
        let settings = Settings {
            mapping: Mapping::Okta,
            since: None,
            until,
            strict: false,
            threads: 1,
            databases: Databases::NONE,
            evidence: None,
        };
        let (inputs, mut begun) = (vec![memory(text.into_bytes())], Begun::default());
        pipeline::run(&policy, &filling, inputs, &settings, &mut begun, &|_| {})
            .expect("a sink in memory");
        let summary = begun.0.and_then(|beginning| beginning.summary);
        summary.expect("a summary").count
    };
    let event = r#"{"eventType":"a","uuid":"1","published":"2026-03-02T10:00:00Z"}"#;
    let blank = " ".repeat(1 << 20);
    let cases = [
        // Second copies are among them.
        (format!("{event}\n").repeat(3), None, 3),
        (format!("{event}\n").repeat(10_001), None, 10_000),
        // Those outside the time range are not.
        (event.to_owned(), Some(Time(0)), 0),
        // What is no event is looked at too, and text without end is not.
        (format!("[{}{event}]", "0,".repeat(99_999)), None, 1),
        (format!("[{}{event}]", "0,".repeat(100_000)), None, 0),
        (
            format!("[{}{event}]", format!("\"{blank}\",").repeat(31)),
            None,
            1,
        ),
        (
            format!("[{}{event}]", format!("\"{blank}\",").repeat(40)),
            None,
            0,
        ),
    ];
    for (text, until, expected) in cases {
        let beginning: String = text.chars().take(40).collect();
        let length = text.len();
        assert_eq!(
            seen(text, until),
            expected,
            "{beginning}… of {length} bytes"
        );
    }
}

/// Fails in one way, whatever it is asked.
struct Fails(Failure);

impl Model for Fails {
    fn ask(&self, _: &Request) -> Result<Reply, Failure> {
        Err(self.0.clone())
    }

    fn about(&self) -> About {
        About::default()
    }
}

/// What is refused and what is over the budget is no failure of the endpoint; the rest is.
#[test]
fn whose_failure_it_is() {
    let policy = small();
    let host = || "h".to_owned();
    let said = String::new;
    let fails = |failure| Box::new(Fails(failure)) as Box<dyn Model>;
    let cases = [
        (Box::new(Says("{}".to_owned())) as _, Fate::Refused),
        (
            fails(Failure::BudgetSpent {
                limit: 1,
                of: "calls",
            }),
            Fate::OverBudget,
        ),
        (
            fails(Failure::ContextOverflow {
                host: host(),
                said: said(),
            }),
            Fate::Failed,
        ),
        (
            fails(Failure::LeftAlone {
                host: host(),
                times: 3,
            }),
            Fate::Failed,
        ),
    ];
    for (model, expected) in cases {
        let asked = fill(
            &policy.prompts["risk"],
            &json!({}),
            &*model,
            &|_: &Value| Ok(()),
        );
        assert_eq!(asked.fate(), expected, "{asked:?}");
    }
}

#[test]
fn what_a_recording_answers() {
    let request = |slot: &str, count: u32| Request {
        slot: slot.to_owned(),
        prompt: Digest::of(b"a prompt"),
        context: json!({ "finding": { "count": count } }),
        messages: Vec::new(),
        schema: json!({}),
        max_tokens: 10,
        timeout: Duration::from_secs(1),
    };
    let recorded = request("risk", 1);
    let model = |temperature| Of {
        model: "small".to_owned(),
        temperature,
    };
    let mut recording = Recording::new(model(None));
    let reply = Says("{}".to_owned()).ask(&recorded).expect("a reply");
    recording.insert(Key::of(&recorded), reply);
    let slower = Request {
        timeout: Duration::from_secs(60),
        ..recorded.clone()
    };
    let longer = Request {
        max_tokens: 11,
        ..recorded.clone()
    };
    let other = Of {
        model: "big".to_owned(),
        ..model(None)
    };
    let cases = [
        (&recorded, None, true),
        (&recorded, Some(model(None)), true),
        (&recorded, Some(model(Some(0.0))), false),
        (&recorded, Some(other), false),
        (&slower, None, true),
        (&longer, None, false),
        (&request("risk", 2), None, false),
        (&request("plan", 1), None, false),
    ];
    for (asked, configured, expected) in cases {
        let replaying = ReplayingModel::new(recording.clone(), configured.as_ref(), 1);
        let answers = [replaying.ask(asked), replaying.ask(asked)];
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0].is_ok(), expected, "{asked:?} of {configured:?}");
    }
}

/// A policy of these rules, as a side of a diff; `may` is what a model may do to a risk.
fn side(rules: &str, may: &str) -> Side {
    let copy = tempfile::tempdir().expect("a folder");
    lay_over(&root().join("tests/diagnostics/good"), copy.path());
    fs::write(copy.path().join("rules/sign_in.yml"), rules).expect("written");
    let routing = copy.path().join("routing.toml");
    let text = fs::read_to_string(&routing).expect("a file");
    let slot = "prompt = \"prompts/risk.md\"\n";
    let text = text.replace(slot, &format!("{slot}may = \"{may}\"\n"));
    fs::write(routing, text).expect("written");
    let side = diff::folder("side", copy.path()).side();
    side.expect("a policy")
}

/// Which way guardrails move that an expression of the policy is a part of.
fn guardrails_of_expressions() {
    let good = |from: &str, to: &str| {
        let copy = tempfile::tempdir().expect("a folder");
        lay_over(&root().join("tests/diff/policy"), copy.path());
        let routing = copy.path().join("routing.toml");
        let text = fs::read_to_string(&routing).expect("a file");
        assert!(text.contains(from), "no {from}");
        fs::write(routing, text.replacen(from, to, 1)).expect("written");
        let side = diff::folder("side", copy.path()).side();
        side.expect("a policy")
    };
    let promotion = "[promotion]\n";
    let when = |text: &str| good(promotion, &format!("{promotion}when = \"{text}\"\n"));
    let risk = "[slots.risk]\n";
    let formula = |text: &str| good(risk, &format!("{risk}formula = \"{text}\"\n"));
    let plain = || good("", "");
    let cases = [
        (
            plain(),
            when("count > 3"),
            "promotion.when",
            Moved::Stronger,
        ),
        (when("count > 3"), plain(), "promotion.when", Moved::Weaker),
        (
            when("count > 3"),
            when("count > 4"),
            "promotion.when",
            Moved::Undecided,
        ),
        (
            plain(),
            formula("likelihood"),
            "slots.risk.formula",
            Moved::Undecided,
        ),
    ];
    for (base, head, clause, expected) in cases {
        let moved = changes(&base, &head).guardrails;
        let moved: Vec<_> = moved
            .iter()
            .map(|guardrail| (guardrail.clause.as_str(), guardrail.moved))
            .collect();
        assert_eq!(moved, [(clause, expected)]);
    }
}

#[test]
fn what_a_change_means() {
    let detection = |detection: &str| {
        let rule = format!(
            "title: seen\nname: seen\nlogsource: {{product: okta}}\ndetection: {detection}\n"
        );
        side(&rule, "raise")
    };
    let counted = |window: &str, bound: &str| {
        let rules = format!(
            "title: seen\nname: seen\nlogsource: {{product: okta}}\ndetection: {{s: {{x: a}}, condition: s}}\n---\ntitle: many\ncorrelation: {{type: event_count, rules: [seen], timespan: {window}, condition: {{{bound}}}}}\n"
        );
        side(&rules, "raise")
    };
    let plain = || detection("{s: {x: a}, condition: s}");
    let pairs = [
        (
            plain(),
            detection("{s: {x: a}, f: {x: b}, condition: s and not f}"),
            Relation::Narrower,
        ),
        (
            plain(),
            detection("{s: {x: A}, condition: not not s}"),
            Relation::Equivalent,
        ),
        (
            detection("{s: {x|re: 'a+b'}, condition: s}"),
            detection("{s: {x|re: 'aa*b'}, condition: s}"),
            Relation::Undecided,
        ),
        (
            counted("10m", "gte: 5"),
            counted("5m", "gte: 5"),
            Relation::Narrower,
        ),
        (
            counted("10m", "gte: 5"),
            counted("10m", "gte: 4"),
            Relation::Broader,
        ),
        (
            counted("10m", "lt: 5"),
            counted("5m", "lt: 5"),
            Relation::Undecided,
        ),
    ];
    for (base, head, expected) in pairs {
        let changes = changes(&base, &head);
        let related = changes.items.iter().find_map(|item| item.relation.clone());
        let related = related.expect("a rule that does something else");
        assert_eq!(related.relation, expected, "{related:?}");
    }
    guardrails_of_expressions();
    let with = |rulectl: &str, may: &str| {
        let rule = format!(
            "title: seen\nname: seen\nlevel: high\nlogsource: {{product: okta}}\ndetection: {{s: {{x: a}}, condition: s}}\n{rulectl}"
        );
        side(&rule, may)
    };
    let floor = "rulectl: {floor: {severity: low, score: 0.1}}\n";
    for (may, expected) in [("raise", Moved::Stronger), ("set", Moved::Weaker)] {
        let moved = changes(&with(floor, may), &with("", may)).guardrails;
        let moved: Vec<Moved> = moved.iter().map(|guardrail| guardrail.moved).collect();
        assert_eq!(moved, [expected, expected], "{may}");
    }
}

#[test]
fn what_a_diff_pairs_and_what_it_calls_an_edit() {
    let burst = diff_effect::BURST;
    let events = diff_effect::bursts(&[("ann", 3), ("bob", 6)]);
    let told = |old: &str, new: &str| -> (usize, [u64; 3]) {
        let (base, head) = (diff_effect::side(old, &[]), diff_effect::side(new, &[]));
        let effect = diff_effect::diff(&base, &head, &events);
        let counts = effect.findings.counts;
        (
            effect.edits.len(),
            [counts.added, counts.removed, counts.changed],
        )
    };
    // A rule by its id, and by what it does where the ids differ: ids follow from names.
    assert_eq!(
        told(burst, &burst.replace("name: burst", "name: other")),
        (1, [0, 0, 2])
    );
    let both = burst
        .replace("name: burst", "name: other")
        .replace("gte: 3", "gte: 4");
    assert_eq!(told(burst, &both), (2, [1, 2, 0]));
    // A finding that begins at another event is the same one, where the times overlap.
    assert_eq!(
        told(burst, &burst.replace("gte: 3", "gte: 4")),
        (1, [0, 1, 1])
    );
    // Each hit is a finding, and they overlap: those that are the same are their own pairs.
    let each = format!("{burst}  suppress: 0s\n");
    let bob = "outcome.result: FAILURE, actor.alternateId|startswith: bob";
    let of_bob = each.replace("outcome.result: FAILURE", bob);
    assert_eq!(told(&each, &of_bob), (1, [0, 1, 0]));
    // Those that are not pair by the largest overlap.
    assert_eq!(
        told(&each, &each.replace("gte: 3", "gte: 4")),
        (1, [0, 2, 3])
    );
    // Prose is no edit.
    let prose = burst.replace(
        "level: high",
        "level: high\nstatus: stable\nreferences: [x]",
    );
    assert_eq!(told(burst, &prose), (0, [0, 0, 0]));
}

/// A side whose run asks for risks and plans with these words, of a burst of so many events, with
/// this floor, and with a step called so.
fn asking_side(prompt: &str, gte: u8, floor: &str, step: &str) -> Side {
    let rules = diff_effect::BURST.replace("gte: 3", &format!("gte: {gte}"));
    let asks = r#"["detector_agent", "risk_agent"]"#;
    let agent =
        "[agents.risk_agent]\ndescription = \"r\"\nruns = \"slot:risk\"\n\n[route.raw_events]";
    let slot = "[slots.plan]\nprompt = \"prompts/plan.md\"\n\n[slots.risk]";
    let side = diff_effect::side(
        &(rules + floor),
        &[
            ("routing.toml", r#"["detector_agent"]"#, asks),
            ("routing.toml", "[route.raw_events]", agent),
            ("routing.toml", "lock_account", step),
            ("tools.yaml", "lock_account", step),
        ],
    );
    let text = |slot: &str| {
        let front = "context: [finding.count, finding.group]\nschema: {type: object}";
        format!("---\nslot: {slot}\n{front}\n---\n{prompt}")
    };
    let mut files: Vec<(String, String)> = Vec::new();
    for file in &side.files {
        let text = match file.path.as_str() {
            "prompts/risk.md" => text("risk"),
            "routing.toml" => file.text.replace("[slots.risk]", slot),
            _ => file.text.to_string(),
        };
        files.push((file.path.clone(), text));
    }
    files.push(("prompts/plan.md".to_owned(), text("plan")));
    let texts = files.iter();
    let texts = texts.map(|(path, text)| (path.as_str(), text.as_str().into()));
    let loaded = policy::load_texts(texts);
    Side {
        name: side.name.clone(),
        policy: loaded.policy.expect("a policy"),
        files: loaded.files,
    }
}

/// Says a risk that is low, a plan of one step, or nonsense, and counts how often it is asked.
struct Judge(bool, AtomicUsize);

impl Model for Judge {
    fn ask(&self, request: &Request) -> Result<Reply, Failure> {
        self.1.fetch_add(1, Ordering::Relaxed);
        let text = match request.slot.as_str() {
            _ if !self.0 => "no",
            "plan" => r#"{"steps": [{"step_id": "lock_account"}]}"#,
            _ => r#"{"severity": "low", "likelihood": 10, "impact": 10}"#,
        };
        Ok(Reply {
            text: text.to_owned(),
            finish: Finish::Stop,
            model: "m".to_owned(),
            usage: Usage::default(),
        })
    }

    fn about(&self) -> About {
        About::default()
    }
}

#[test]
fn what_a_diff_takes_for_known_of_a_model() {
    let events = diff_effect::bursts(&[("ann", 6)]);
    // With a model that makes sense or not, or without: and how often it is asked.
    let told = |base: &Side, head: &Side, sense: Option<bool>| {
        let judge = Judge(sense.unwrap_or_default(), AtomicUsize::new(0));
        let answers = Answers {
            recording: None,
            model: sense.map(|_| &judge as &dyn Model),
        };
        let inputs = vec![memory(lines(&events).into_bytes())];
        let settings = diff_effect::settings(1);
        let effect = effect_with(base, head, inputs, &settings, answers, &|_| {});
        (effect.expect("it runs"), judge.1.into_inner())
    };
    let side = |prompt, gte, floor| asking_side(prompt, gte, floor, "lock_account");
    let base = side("Say", 3, "");
    let floored = side("Say", 3, "  floor: {severity: medium, score: 0.0}\n");
    let fewer = side("Say", 5, "");
    // The replies of the base are carried, also to a finding with other events, and through the
    // floor of the head. Another prompt is asked anew.
    let (effect, asked) = told(&base, &floored, Some(true));
    assert_eq!(asked, 2);
    let risk = &effect.risks.changed[0];
    let severities = [&risk.base, &risk.head].map(|side| side.severity);
    assert_eq!(severities, [Some(Severity::High), Some(Severity::Medium)]);
    assert_eq!(risk.head.fills["risk"], Provenance::Carried);
    assert_eq!(told(&base, &fewer, Some(true)).1, 2);
    assert_eq!(told(&base, &side("Tell", 3, ""), Some(true)).1, 4);
    // What is refused is carried and refused again.
    let (effect, asked) = told(&base, &fewer, Some(false));
    assert_eq!((asked, effect.risks.counts.changed), (4, 0));
    assert_eq!(effect.risks.counts.bounds, None);
    // What the head alone refuses is not known.
    let other = asking_side("Say", 3, "", "hold_account");
    let (effect, asked) = told(&base, &other, Some(true));
    assert_eq!(asked, 2);
    let head = effect.steps.counts.bounds.expect("bounds").head;
    assert_eq!((head.at_least, head.at_most), (0, 2));
    // With one prompt there is one fill, whatever it is; with two there are two.
    let bounds = |head: &Side| {
        let effect: Effect = told(&base, head, None).0;
        effect
            .risks
            .counts
            .bounds
            .map(|bounds: Bounds| bounds.changed)
    };
    assert_eq!(bounds(&fewer), None);
    let (at_least, at_most) = (0, 1);
    let open = Some(Least { at_least, at_most });
    assert_eq!(bounds(&side("Tell", 3, "")), open);
}

#[test]
fn what_a_gate_judges() {
    use chrono::NaiveDate;
    use rulectl::lab::diff::judge;

    let burst = diff_effect::BURST;
    let gated = |rules: &str, gate: &str| {
        let with_gate = format!("[gate]\n{gate}\n[promotion]");
        diff_effect::side(rules, &[("routing.toml", "[promotion]", &with_gate)])
    };
    let events = diff_effect::bursts(&[("ann", 3), ("bob", 3)]);
    let passed = |base: (&str, &str), head: (&str, &str)| -> bool {
        let (base, head) = (gated(base.0, base.1), gated(head.0, head.1));
        let effect = diff_effect::diff(&base, &head, &events);
        let today = NaiveDate::from_ymd_opt(2026, 3, 2).expect("a day");
        let verdict = judge([&base, &head], &changes(&base, &head), Some(&effect), today);
        verdict.expect("a gate").passed
    };
    // The stricter clause of both sides, and waivers of the head alone.
    let fewer = burst.replace("gte: 3", "gte: 4");
    let lost = "lost_findings = \"low\"";
    let waived = format!(
        "{lost}\n[[gate.waivers]]\nclause = \"lost_findings\"\nof = \"burst\"\nreason = \"noise\"\nuntil = 2026-03-02"
    );
    let none = "new_findings_per_day = 9";
    assert!(!passed((burst, lost), (&fewer, none)));
    assert!(!passed((burst, none), (&fewer, lost)));
    assert!(!passed((burst, &waived), (&fewer, lost)));
    assert!(passed((burst, lost), (&fewer, &waived)));
    // A rule does not get what another was given by taking its name for a title.
    let of_failed = waived.replace("\"burst\"", "\"failed\"");
    let titled = fewer.replace("title: Burst", "title: failed");
    assert!(!passed((burst, lost), (&titled, &of_failed)));
    // A budget that was overdrawn before is no matter of the change.
    let budget = "rules.burst.findings_per_day = 1";
    let more = format!("{burst}  suppress: 0s\n").replace("gte: 3", "gte: 2");
    assert!(passed((burst, budget), (burst, budget)));
    assert!(!passed((burst, budget), (&more, budget)));
}

#[test]
fn what_a_report_tells_of_a_log_and_what_of_a_doubt() {
    let burst = diff_effect::BURST;
    // `ann` is lost, `bob` stays with other reasons and another description.
    let described = burst.replace("gte: 3", "gte: 5").replace(
        "user: actor.id",
        "user: actor.id\n  summary: \"seen {count} of {actor.displayName}\"",
    );
    let when = |text: &str| format!("[promotion]\nwhen = \"{text}\"\n");
    let [before, now] = [when("1 > 2"), when("2 > 3")];
    let base = diff_effect::side(burst, &[("routing.toml", "[promotion]\n", &before)]);
    let head = diff_effect::side(&described, &[("routing.toml", "[promotion]\n", &now)]);
    let events = diff_effect::bursts(&[("bob", 6), ("ann", 3)]);
    let effect = diff_effect::diff(&base, &head, &events);
    let changes = changes(&base, &head);
    let diffed = Diffed {
        names: ["base", "head"],
        changes: &changes,
        effect: Some(&effect),
        audits: None,
        gate: None,
        actors: Actors::Numbered,
    };
    let comment = markdown(&diffed);
    // What is lost has the first number, also where another is earlier in the log.
    assert!(comment.contains("| finding, incident, 2 steps, 2 commands | `burst` for `actor-1` |"));
    assert!(comment.contains("| changed | `burst` for `actor-2` | 2026-03-02 |"));
    // The policy decides how many hits there are, and not what a description or a reason says.
    assert!(
        comment.contains("hits 4 → 2; other description, reasons |"),
        "{comment}"
    );
    let cases = junit(&diffed);
    assert!(cases.contains("<skipped message=\"undecided"), "{cases}");
    assert!(cases.contains("<failure type=\"inconclusive\""), "{cases}");
    assert!(cases.contains("<failure type=\"lost\""), "{cases}");
    // A gate lets `ann` go: then no rule fails, and what nobody can tell still does.
    let gate = format!("[gate]\nlost_findings = \"critical\"\n{now}");
    let gated = diff_effect::side(&described, &[("routing.toml", "[promotion]\n", &gate)]);
    let today = chrono::NaiveDate::from_ymd_opt(2026, 3, 2).expect("a day");
    let verdict = diff::judge([&base, &gated], &changes, Some(&effect), today);
    let cases = junit(&Diffed {
        gate: verdict.as_ref(),
        ..diffed
    });
    assert!(!cases.contains("<failure type=\"lost\""), "{cases}");
    assert!(cases.contains("<failure type=\"inconclusive\""), "{cases}");
}

#[test]
fn what_past_runs_found_and_what_was_proposed_then() {
    let fair = diff_audits::recorded(Some(&diff_audits::fair));
    let base = diff_audits::shipped(&[]);
    let told = |edits: &[(&str, &str, &str)]| {
        let head = diff_audits::shipped(edits);
        diff_audits::diff(&base, &head, &fair)
    };
    // What a rule says of itself is that of each side; what it finds is in the record.
    let level = told(&[("rules/mfa.yml", "level: high", "level: medium")]);
    assert_eq!(level.effect.findings.counts.changed, 2);
    assert!(level.effect.conclusive);
    let other = told(&[("rules/sign_in.yml", "gte: 5", "gte: 6")]);
    assert!(other.effect.is_empty() && !other.effect.conclusive);
    // A proposal answers also what reads differently.
    let allowed = told(&[(
        "routing.toml",
        "require = [\"planner_agent\"]",
        "require = []",
    )]);
    assert_eq!(
        allowed.routing.proposals.head["route"][&Carrying::Carried],
        4
    );
    assert!(allowed.effect.is_empty(), "the model proposed the planner");
    assert!(allowed.effect.conclusive);
    // What was refused then is refused now, and what nobody was asked for has its default.
    let refusing = |request: &Request| match request.slot.as_str() {
        "risk" => Ok("no JSON".to_owned()),
        _ => diff_audits::fair(request),
    };
    let refused = diff_audits::recorded(Some(&refusing));
    let lower = diff_audits::shipped(&[("routing.toml", "threshold  = 0.6", "threshold  = 0.4")]);
    let told = diff_audits::diff(&base, &lower, &refused);
    assert_eq!(told.routing.proposals.head["risk"][&Carrying::Refused], 6);
    assert_eq!(told.routing.proposals.head["route"][&Carrying::NotAsked], 2);
    assert!(told.effect.conclusive);
}

/// What is told of a rule that every event satisfies, on a day, with the lines around its condition.
fn told_with(before: &str, behind: &str, day: &str) -> Vec<String> {
    let rule = format!(
        "title: Everything\nlogsource: {{product: okta}}\ndetection:\n  s: {{eventType: user.session.start}}\n{before}  condition: s or not s{behind}\n"
    );
    let good = root().join("tests/diagnostics/good");
    let folder = tempfile::tempdir().expect("a folder");
    lay_over(&good, folder.path());
    fs::write(folder.path().join("rules/every.yml"), rule).expect("written");
    let mut problems = policy::load(folder.path()).problems;
    problems.settle(day.parse().expect("a day"), |_| true);
    let told = problems.sorted().into_iter();
    told.map(|problem| problem.code.to_owned()).collect()
}

#[test]
fn what_a_comment_suppresses() {
    let allow = |code: &str| format!("# rulectl:allow {code} until 2026-12-31: why\n");
    let (this, other) = (allow("RL0124"), allow("RL0123"));
    for (before, behind, day, expected) in [
        (this.clone(), String::new(), "2026-12-31", vec![]),
        (String::new(), format!(" {this}"), "2026-12-31", vec![]),
        (
            this.clone(),
            String::new(),
            "2027-01-01",
            vec!["RL0021", "RL0124"],
        ),
        (
            format!("{this}{other}"),
            String::new(),
            "2026-12-31",
            vec!["RL0022"],
        ),
        (
            format!("{this}\n"),
            String::new(),
            "2026-12-31",
            vec!["RL0022", "RL0124"],
        ),
        (
            format!("{other}  t: {{}}\n"),
            String::new(),
            "2026-12-31",
            vec!["RL0122", "RL0121"],
        ),
        (
            allow("RL0121"),
            String::new(),
            "2026-12-31",
            vec!["RL0020", "RL0124"],
        ),
        (
            format!("  t: {{actor.id: 'a {}'}}\n", this.trim()),
            " or t".to_owned(),
            "2026-12-31",
            vec!["RL0124"],
        ),
    ] {
        assert_eq!(
            told_with(&before, &behind, day),
            expected,
            "{before}{behind}"
        );
    }
}

#[test]
fn an_absence_is_warned_of_where_its_window_never_holds_both() {
    for (timespan, fires) in [("1h", false), ("2h", false), ("121m", true)] {
        let rules = format!(
            "title: Reset\nname: reset\nlogsource: {{product: okta}}\ndetection: {{s: {{eventType: user.account.reset_password}}, condition: s}}\n---\ntitle: In\nname: sign_in\nlogsource: {{product: okta}}\ndetection: {{s: {{eventType: user.session.start}}, condition: s}}\n---\ntitle: Absent\nname: never_in\ncorrelation: {{type: absent, rules: [reset, sign_in], timespan: 2h}}\n---\ntitle: Both\nname: both\ncorrelation: {{type: temporal, rules: [reset, never_in], timespan: {timespan}}}\n"
        );
        let good = root().join("tests/diagnostics/good");
        let folder = tempfile::tempdir().expect("a folder");
        lay_over(&good, folder.path());
        fs::write(folder.path().join("rules/sign_in.yml"), rules).expect("written");
        let loaded = policy::load(folder.path());
        let told = loaded.problems.sorted().into_iter();
        let is_warned = told.filter(|problem| problem.code == "RL0155").count() == 1;
        assert_eq!(is_warned, !fires, "{timespan}");
        let events = r#"{"eventType":"user.account.reset_password","published":"2026-01-01T00:00:00Z","uuid":"a"}
{"eventType":"x","published":"2026-01-02T00:00:00Z","uuid":"b"}
"#;
        let policy = loaded.policy.expect("a policy");
        let inputs = vec![memory(events.as_bytes().to_vec())];
        let received = run_inputs(&policy, inputs, Mapping::Okta, 1);
        let both = received
            .outcomes
            .iter()
            .filter(|outcome| outcome.finding.rule_name.as_deref() == Some("both"));
        assert_eq!(both.count() == 1, fires, "{timespan}");
    }
}

#[test]
fn what_is_near() {
    let nearest = |detection: &str, events: &[Value]| -> Vec<Value> {
        let rule = format!(
            "title: seen\nname: seen\nlogsource: {{product: okta}}\ndetection:\n{detection}"
        );
        let told = explain::policy(&rule, events).json(&["--rule", "seen"]);
        let examples = told["rules"][0]["examples"].as_array().cloned();
        let uuid = |example: &Value| example["uuid"].clone();
        examples.iter().flatten().map(uuid).collect()
    };
    let of = |uuid: &str, fields: Value| {
        let mut event = explain::event(uuid, 1, "t", "ann");
        let Value::Object(fields) = fields else {
            panic!("fields");
        };
        fields
            .into_iter()
            .for_each(|(name, value)| event[name] = value);
        event
    };
    let [one, two, none] = [
        of("one", json!({"x": 1})),
        of("two", json!({"x": 1, "y": 1, "w": 1, "v": 1})),
        of("none", json!({})),
    ];
    // The fewest clauses, of alternatives those of the nearest; then the most that are satisfied.
    let either = "  a: {x: 1, y: 2, z: 3}\n  b: {w: 1, v: 1, u: 2}\n  condition: a or b\n";
    let events = [one.clone(), none.clone(), two.clone()];
    assert_eq!(nearest(either, &events), ["two", "one"]);
    // Nothing that is satisfied is asked for.
    assert!(nearest("  a: {x: 2}\n  condition: a\n", std::slice::from_ref(&one)).is_empty());
    let known = "  a: {x: 1}\n  known: {y: 1}\n  condition: a and not known\n";
    assert_eq!(nearest(known, &[none, two]), ["two"]);
    let missing = "  a: {x: 2, y|neq: 7}\n  condition: a\n";
    assert!(nearest(missing, &[one]).is_empty());
}

#[test]
fn layouts() {
    let laid_out = |name: &str, text: &str| {
        let kind = FileKind::of(name).expect("a kind of file");
        formatted(name, text, kind).expect("it can be laid out")
    };
    for (name, text, expected) in [
        (
            "routing.toml",
            "[agents.z]\nruns = \"a\"\ndescription = \"b\"\n[agents.a]\n",
            "[agents.z]\ndescription = \"b\"\nruns = \"a\"\n[agents.a]\n",
        ),
        (
            "a.yml",
            "# a head\nlevel: low\n# a name\ntitle: x\ndetection: {}\n",
            "# a head\n# a name\ntitle: x\nlevel: low\ndetection: {}\n",
        ),
        (
            "a.yml",
            "level: &a low\ntitle: *a\ndetection: {}\n",
            "level: &a low\ntitle: *a\ndetection: {}\n",
        ),
    ] {
        assert_eq!(laid_out(name, text), expected);
    }
}

#[test]
fn imports() {
    let imported = |search: &str| {
        let text = format!(
            "title: A\nlogsource: {{product: okta}}\ndetection:\n  s:{search}\n  condition: s\n"
        );
        let source = Source {
            name: "a.yml".to_owned(),
            path: "a.yml".to_owned(),
            text,
        };
        let base = FILES.map(|(path, text)| (path.to_owned(), text.into()));
        let result = import(&base.into_iter().collect(), &[source]);
        assert!(result.refused.is_empty(), "{:?}", result.refused);
        result.imported[0].text.clone()
    };
    let written = imported(" {event.action: success}");
    assert!(written.contains("{eventType: success}"), "{written}");
    assert!(written.contains("rulectl: {user: actor.id}"), "{written}");
    for (search, expected) in [
        (
            " {event.outcome: failure}",
            " {outcome.result: [FAILURE, DENY]}",
        ),
        (
            " {event.outcome: 'Success'}",
            " {outcome.result: [SUCCESS, ALLOW]}",
        ),
        (
            " {event.outcome: [failure, CHALLENGE]}",
            " {outcome.result: [FAILURE, DENY, CHALLENGE]}",
        ),
        (
            " {event.outcome: CHALLENGE}",
            " {outcome.result: CHALLENGE}",
        ),
        (
            " {event.outcome|neq: success}",
            " {outcome.result|neq: [SUCCESS, ALLOW]}",
        ),
        (" {outcome.result: failure}", " {outcome.result: failure}"),
        (
            "\n    event.outcome:\n    - failure # not in\n    - 'success'",
            "\n    outcome.result:\n     [FAILURE, DENY, # not in\n      SUCCESS, ALLOW]",
        ),
        (
            "\n    event.outcome:\n      -   failure\n    eventType: a",
            "\n    outcome.result:\n         [FAILURE, DENY]\n    eventType: a",
        ),
        // Elsewhere the value may mean another thing.
        (
            " {event.outcome: &x failure, outcome.reason: *x}",
            " {outcome.result: &x failure, outcome.reason: *x}",
        ),
        (
            " {outcome.reason: &x failure, event.outcome: *x}",
            " {outcome.reason: &x failure, outcome.result: *x}",
        ),
        (
            "\n    event.outcome:\n      - &x failure\n    outcome.reason: *x",
            "\n    outcome.result:\n      - &x failure\n    outcome.reason: *x",
        ),
        (
            "\n    event.outcome: |-\n      failure",
            "\n    outcome.result: |-\n      failure",
        ),
        (
            "\n    'event.outcome': failure",
            "\n    'outcome.result': [FAILURE, DENY]",
        ),
    ] {
        let written = imported(search);
        assert!(written.contains(expected), "{search}: {written}");
    }
    let written = imported(" {event.outcome: unknown}");
    assert!(written.contains("[ABANDONED, CHALLENGE,"), "{written}");
}
