//! Correlations and the events that they are asked of, made up near the
//! boundaries of their windows, and the two engines asked the same.

mod joined;
mod watched;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::detect::failures::Failures;
use crate::detect::groups::Group;
use crate::detect::lists::Lists;
use crate::detect::reference::correlation::{
    Bound, Correlation, Expression, Found, Kind, Letter, Occurrence, Of, PairOf, Travel, findings,
};
use crate::detect::reference::judges::{JUDGES, script};
use crate::detect::reference::tests::cases;
use crate::detect::rule::decode_rule;
use crate::detect::{
    Answers, Detector, Finding, Limits, Match, Rule, Tally, Windows, link_scripts,
};
use crate::diag::Problems;
use crate::document::parse_yaml_documents;
use crate::event::{Digest, Event, Time};
use crate::geo::tests::mmdb::{country, database, system};
use crate::geo::{AddressFields, Database, Databases, Holds};
use crate::json::Reader;
use crate::script::Scripts;

/// An event: the detections that it satisfies, the second, and its fields.
#[derive(Clone, Debug)]
struct Moment {
    letters: Vec<&'static str>,
    at: i64,
    who: Value,
    what: Value,
    num: Value,
    lat: Value,
    country: Value,
    /// The address, of which databases know something.
    ip: Value,
}

/// The detections: each is satisfied by the events that have its letter.
const LETTERS: [&str; 3] = ["a", "b", "c"];

/// What is said of the detections.
const SAID: [Letter; 3] = [
    ("a", Some("who"), false),
    ("b", Some("what"), true),
    ("c", None, true),
];

/// How many moments a timeline has at the most.
const MOMENTS: usize = 24;

fn a_timeline() -> impl Strategy<Value = Vec<Moment>> {
    vec(a_moment(), 1..MOMENTS)
}

fn a_moment() -> impl Strategy<Value = Moment> {
    let letters = prop_oneof![
        8 => select(LETTERS.to_vec()).prop_map(|letter| vec![letter]),
        1 => subsequence(LETTERS.to_vec(), 0..=2),
    ];
    let who = prop_oneof![
        6 => select(vec![json!("ann"), json!("ANN"), json!("bob")]),
        1 => select(vec![json!(["ann", "bob"]), json!(null)]),
    ];
    let what = prop_oneof![
        6 => select(vec![json!("x"), json!("y"), json!("z"), json!("X")]),
        1 => select(vec![json!(1), json!(["x", "y"]), json!(null), json!([])]),
    ];
    let lat = select(vec![json!(0), json!("10"), json!(null)]);
    let country = select(vec![json!("FR"), json!("Chile"), json!(null)]);
    let ip = select(vec![
        json!("192.0.2.1"),
        json!("2001:db8::1"),
        json!("x"),
        json!(null),
    ]);
    let moment = (
        letters,
        0..60_i64,
        (who, what),
        a_number(),
        lat,
        (country, ip),
    );
    moment.prop_map(
        |(letters, at, (who, what), num, lat, (country, ip))| Moment {
            letters,
            at,
            who,
            what,
            num,
            lat,
            country,
            ip,
        },
    )
}

/// A number or its text, several of them, or what is none.
fn a_number() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => select(vec![json!(1), json!(2), json!(-1), json!(2.5), json!(0.1), json!("0.2")]),
        1 => select(vec![json!(" 3 "), json!("1e3"), json!(1e17), json!(-0.0), json!(-1e17)]),
        1 => select(vec![json!(null), json!("x"), json!("inf"), json!("1e291"), json!(true), json!("")]),
        1 => select(vec![json!([1, "1", 2]), json!([0.1, "0.10"]), json!([]), json!(["x", 3])]),
    ]
}

/// What databases say where an event has no value.
const FILLED: AddressFields = AddressFields {
    address: "ip",
    country: "country",
    as_org: "what",
    as_number: "num",
};

/// What they hold: an address, a field and its value.
const KNOWN: [(&str, &str, &str); 4] = [
    ("192.0.2.1", "country", "Chile"),
    ("192.0.2.1", "what", "y"),
    ("192.0.2.1", "num", "2"),
    ("2001:db8::1", "country", "FR"),
];

fn databases() -> Databases {
    let opened = |bytes, holds| Database::of_bytes(bytes, "x", holds).expect("a database");
    let countries = [
        ("192.0.2.1/32", country("ZZ", "Chile")),
        ("2001:db8::/64", country("ZZ", "FR")),
    ];
    let systems = [("192.0.2.1/32", system(2, "y"))];
    Databases::new(
        Some(opened(database("X", &countries), Holds::Country)),
        Some(opened(database("X", &systems), Holds::Asn)),
    )
}

/// Correlations, each of which may name those before it.
fn correlations() -> impl Strategy<Value = Vec<Correlation>> {
    vec((a_kind(), any::<u64>()), 1..4).prop_map(|made| {
        let mut all: Vec<Correlation> = Vec::new();
        for (at, (kind, seed)) in made.into_iter().enumerate() {
            let mut names: Vec<String> = LETTERS.map(str::to_owned).to_vec();
            names.extend(all.iter().map(|correlation| correlation.name.clone()));
            all.push(a_correlation(at, kind, seed, &names));
        }
        all
    })
}

fn a_correlation(at: usize, kind: Kind, seed: u64, names: &[String]) -> Correlation {
    // Bits of the seed, a few at a time.
    let mut rest = seed;
    let mut draw = |of: usize| {
        let drawn = rest % of as u64;
        rest /= of as u64;
        drawn as usize
    };
    let (least, repeats) = match kind {
        Kind::Temporal
        | Kind::SoMany(_)
        | Kind::Says(_)
        | Kind::RepeatUntil(_)
        | Kind::Ratio(..) => (2, false),
        Kind::Absent | Kind::TemporalOrdered => (2, true),
        _ => (1, false),
    };
    let count = least + draw(2);
    let mut rules: Vec<String> = Vec::new();
    // The last names are those of correlations: chains are worth while.
    let mut next = draw(names.len());
    while rules.len() < count {
        let name = &names[names.len() - 1 - next % names.len()];
        if repeats || !rules.contains(name) {
            rules.push(name.clone());
        }
        next += 1 + draw(2);
    }
    let groups = [
        vec!["who"],
        vec![],
        vec!["who", "what"],
        vec!["what"],
        vec!["rulectl.user"],
        vec!["account"],
        vec!["account", "what"],
    ];
    let may_select = matches!(
        kind,
        Kind::EventCount(_)
            | Kind::ValueCount(..)
            | Kind::Value(..)
            | Kind::FirstSeen(..)
            | Kind::Consecutive { .. }
    );
    let selects = may_select && draw(3) == 0;
    if selects {
        rules.clear();
    }
    let group_by = groups[draw(groups.len())].clone();
    // A name of its own, or one that fields have too.
    let mut named = vec![["account", "who", "what", "num"][draw(4)]];
    if group_by.contains(&"account") && !named.contains(&"account") {
        named.push("account");
    }
    if draw(2) == 0 && !group_by.contains(&"account") {
        named.clear();
    }
    let mut meanings = |alias: &'static str| {
        let fields = ["who", "what", "account", "num"];
        let mut distinct = rules.clone();
        distinct.sort();
        distinct.dedup();
        let meant = distinct.into_iter().map(|rule| (rule, fields[draw(4)]));
        (alias, meant.collect())
    };
    let aliases = if selects {
        Vec::new()
    } else {
        named.into_iter().map(&mut meanings).collect()
    };
    Correlation {
        name: format!("x{at}"),
        kind,
        rules,
        selects,
        is_high: draw(2) == 0,
        user: [Some("who"), Some("account"), None][draw(3)],
        group_by,
        timespan: [5, 10, 20][draw(3)],
        suppress: [Some(0), None, Some(3), Some(15)][draw(4)],
        generate: draw(2) == 0,
        aliases,
        describes: draw(2) == 0,
    }
}

fn a_kind() -> impl Strategy<Value = Kind> {
    let fields = || {
        select(vec![
            vec!["what"],
            vec!["what", "who"],
            vec!["rulectl.rule"],
            vec!["account"],
        ])
    };
    let of = select(vec![
        Of::Sum,
        Of::Sum,
        Of::Average,
        Of::Average,
        Of::Percentile(None),
        Of::Percentile(Some(0)),
        Of::Percentile(Some(33_333)),
        Of::Percentile(Some(75_000)),
        Of::Percentile(Some(100_000)),
        Of::Median,
    ]);
    let limits = vec![
        -1.0,
        0.1,
        0.300_000_000_000_000_04,
        1.0,
        1.5,
        2.0,
        3.0,
        1e17,
    ];
    let field = select(vec!["num", "num", "num", "num", "account", "what"]);
    let judges = (0..JUDGES.len(), a_bound(vec![0.0, 1.0, 2.0, 3.0, 5.0]));
    prop_oneof![
        1 => (1..4_usize).prop_map(Kind::EventCount),
        1 => (fields(), 1..4_usize).prop_map(|(fields, least)| Kind::ValueCount(fields, least)),
        2 => (of, field, a_bound(limits)).prop_map(|(of, field, bound)| Kind::Value(of, field, bound)),
        1 => Just(Kind::Temporal),
        1 => a_bound(vec![1.0, 2.0]).prop_map(Kind::SoMany),
        1 => an_expression().prop_map(Kind::Says),
        2 => judges.prop_map(|(judge, bound)| {
            Kind::Script(judge, JUDGES[judge].is_bounded.then_some(bound))
        }),
        1 => Just(Kind::TemporalOrdered),
        1 => (fields(), select(vec![None, Some(0), Some(3), Some(10)]))
            .prop_map(|(fields, warm_up)| Kind::FirstSeen(fields, warm_up)),
        1 => Just(Kind::Absent),
        1 => (1..4_usize).prop_map(Kind::RepeatUntil),
        1 => (select(vec![250, 500, 1_000, 1_500]), 1..4_usize)
            .prop_map(|(thousandths, least)| Kind::Ratio(thousandths, least)),
        1 => a_pair(),
    ]
}

fn a_bound(limits: Vec<f64>) -> impl Strategy<Value = Bound> {
    // Of a whole number there is always one that is less, or another.
    let names = select(vec!["gt", "gte", "gte", "lte", "eq", "neq"]);
    (names, select(limits)).prop_map(|(name, limit)| Bound(name, limit))
}

fn an_expression() -> impl Strategy<Value = Expression> {
    let leaf = prop_oneof![
        6 => (0..4_usize).prop_map(Expression::Rule),
        1 => Just(Expression::OneOfThem),
        1 => Just(Expression::AllOfThem),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        let both = || {
            (
                inner.clone().prop_map(Box::new),
                inner.clone().prop_map(Box::new),
            )
        };
        prop_oneof![
            inner
                .clone()
                .prop_map(|inner| Expression::Not(Box::new(inner))),
            both().prop_map(|(one, other)| Expression::And(one, other)),
            both().prop_map(|(one, other)| Expression::Or(one, other)),
        ]
    })
}

/// An expression as a rule has it, with as few brackets as there may be.
fn expression(says: &Expression, rules: &[String]) -> String {
    let part = |inner: &Expression, bracketed: bool| {
        let text = expression(inner, rules);
        if bracketed { format!("({text})") } else { text }
    };
    let is_or = |inner: &Expression| matches!(inner, Expression::Or(..));
    match says {
        Expression::Rule(place) => rules[place % rules.len()].clone(),
        Expression::Not(inner) => {
            let is_longer = is_or(inner) || matches!(**inner, Expression::And(..));
            format!("not {}", part(inner, is_longer))
        }
        Expression::And(one, other) => {
            format!(
                "{} and {}",
                part(one, is_or(one)),
                part(other, is_or(other))
            )
        }
        Expression::Or(one, other) => format!("{} or {}", part(one, false), part(other, false)),
        Expression::OneOfThem => "1 of them".to_owned(),
        Expression::AllOfThem => "all of them".to_owned(),
    }
}

fn a_pair() -> impl Strategy<Value = Kind> {
    // Ten degrees are 1,112 km, in eight seconds 500,400 km/h.
    let travel = select(vec![
        (Some(500_000.0), None, None),
        (Some(500_000.0), Some(2_000.0), None),
        (None, Some(1_000.0), None),
        (None, Some(1_000.0), Some(6)),
    ]);
    let travel = travel.prop_map(|(faster_than_kmh, at_least_km, within)| Travel {
        faster_than_kmh,
        at_least_km,
        within,
    });
    let pair = select(vec![
        PairOf::Other("what"),
        PairOf::FromTo("what", "x", "y"),
        PairOf::Appears("what"),
    ]);
    let countries = proptest::option::of(select(vec![3, 8]));
    let asked = (
        proptest::option::of(travel),
        countries,
        proptest::option::of(pair),
    );
    asked.prop_map(|(travel, countries, pair)| {
        let nothing = travel.is_none() && countries.is_none();
        Kind::Consecutive {
            travel,
            countries,
            pair: pair.or(nothing.then_some(PairOf::Other("what"))),
        }
    })
}

fn consecutive(travel: Option<&Travel>, countries: Option<i64>, pair: Option<&PairOf>) -> String {
    let mut text = "type: consecutive\n  condition:\n".to_owned();
    if let Some(travel) = travel {
        text.push_str("    travel: {latitude: lat, longitude: lon");
        let limits = [
            ("faster_than_kmh", travel.faster_than_kmh),
            ("at_least_km", travel.at_least_km),
        ];
        for (key, limit) in limits {
            text.push_str(&limit.map_or(String::new(), |limit| format!(", {key}: {limit}")));
        }
        let within = travel.within.map(|within| format!(", within: {within}s"));
        text.push_str(&within.unwrap_or_default());
        text.push_str("}\n");
    }
    if let Some(within) = countries {
        text.push_str(&format!(
            "    without_coordinates: {{country: country, within: {within}s}}\n"
        ));
    }
    let search = pair.map(|pair| match pair {
        PairOf::Other(field) => format!("{{a.{field}|fieldref|neq: b.{field}}}"),
        PairOf::FromTo(field, from, to) => format!("{{a.{field}: {from}, b.{field}: {to}}}"),
        PairOf::Appears(field) => format!("{{a.{field}: null, b.{field}|exists: true}}"),
    });
    if let Some(search) = search {
        text.push_str(&format!("    pair: {{s: {search}, condition: s}}\n"));
    }
    text.trim_end().to_owned()
}

/// The correlation as a rule file has it.
fn document(at: usize, correlation: &Correlation) -> String {
    let kind = match &correlation.kind {
        Kind::EventCount(least) => format!("type: event_count\n  condition: {{gte: {least}}}"),
        Kind::ValueCount(fields, least) => format!(
            "type: value_count\n  condition: {{field: [{}], gte: {least}}}",
            fields.join(", ")
        ),
        Kind::Value(of, field, Bound(name, limit)) => {
            let (kind, share) = match of {
                Of::Sum => ("sum", None),
                Of::Average => ("avg", None),
                Of::Percentile(share) => ("percentile", *share),
                Of::Median => ("median", None),
            };
            let share = share.map_or(String::new(), |share| {
                format!(", percentile: {}", share as f64 / 1e3)
            });
            format!("type: value_{kind}\n  condition: {{field: {field}{share}, {name}: {limit}}}")
        }
        Kind::Temporal => "type: temporal".to_owned(),
        Kind::SoMany(Bound(name, limit)) => {
            format!("type: temporal\n  condition: {{{name}: {limit}}}")
        }
        Kind::Says(says) => {
            let says = expression(says, &correlation.rules);
            format!("type: temporal\n  condition: {says}")
        }
        Kind::Script(judge, bound) => {
            let name = JUDGES[*judge].name;
            let bound = bound.map_or(String::new(), |Bound(name, limit)| {
                format!(", {name}: {limit}")
            });
            format!("type: script\n  condition: {{function: w.rhai#{name}{bound}}}")
        }
        Kind::TemporalOrdered => "type: temporal_ordered".to_owned(),
        Kind::Absent => "type: absent".to_owned(),
        Kind::RepeatUntil(least) => format!("type: repeat_until\n  condition: {{gte: {least}}}"),
        Kind::Consecutive {
            travel,
            countries,
            pair,
        } => consecutive(travel.as_ref(), *countries, pair.as_ref()),
        Kind::Ratio(thousandths, least) => format!(
            "type: ratio\n  condition: {{gte: {}, at-least: {least}}}",
            *thousandths as f64 / 1e3
        ),
        Kind::FirstSeen(fields, warm_up) => {
            let warm_up = warm_up.map_or(String::new(), |warm_up| format!(", warm-up: {warm_up}s"));
            let fields = fields.join(", ");
            format!("type: first_seen\n  condition: {{field: [{fields}]{warm_up}}}")
        }
    };
    let mut settings = Vec::new();
    settings.extend(
        correlation
            .suppress
            .map(|suppress| format!("suppress: {suppress}s")),
    );
    settings.extend(correlation.user.map(|user| format!("user: {user}")));
    if correlation.describes {
        settings.push("metadata: [what], script: {finding: w.rhai#describe}".to_owned());
    }
    let aliases = correlation.aliases.iter().map(|(alias, meanings)| {
        let meanings = meanings
            .iter()
            .map(|(rule, field)| format!("{rule}: {field}"));
        let meanings: Vec<String> = meanings.collect();
        format!("{alias}: {{{}}}", meanings.join(", "))
    });
    let aliases: Vec<String> = aliases.collect();
    let aliases = aliases.join(", ");
    let settings = settings.join(", ");
    let level = if correlation.is_high { "high" } else { "low" };
    let rules = if correlation.selects {
        "{level: high}".to_owned()
    } else {
        format!("[{}]", correlation.rules.join(", "))
    };
    format!(
        "---\ntitle: X\nname: {}\nid: 00000000-0000-4000-8000-{at:012}\nlevel: {level}\nrulectl: {{{settings}}}\ncorrelation:\n  {kind}\n  rules: {rules}\n  group-by: [{}]\n  timespan: {}s\n  generate: {}\n  aliases: {{{aliases}}}\n",
        correlation.name,
        correlation.group_by.join(", "),
        correlation.timespan,
        correlation.generate,
    )
}

/// The detections, and the correlations behind them.
fn documents(correlations: &[Correlation]) -> String {
    let detections = SAID.map(|(letter, user, is_high)| {
        let user = user.map_or(String::new(), |user| format!("user: {user}"));
        let level = if is_high { "high" } else { "low" };
        format!(
            "---\ntitle: {letter}\nname: {letter}\nlevel: {level}\nrulectl: {{{user}}}\nlogsource: {{product: okta}}\ndetection:\n  s: {{letters: {letter}}}\n  condition: s\n"
        )
    });
    let correlations = correlations.iter().enumerate();
    let correlations = correlations.map(|(at, correlation)| document(at, correlation));
    format!(
        "{}{}",
        detections.concat(),
        correlations.collect::<String>()
    )
}

fn detector(text: &str) -> Detector {
    detector_of(text).0
}

/// The detector of rules, and the rules.
fn detector_of(text: &str) -> (Detector, Vec<Rule>) {
    let mut problems = Problems::default();
    let file = problems.add_file("rule", text);
    let documents = parse_yaml_documents(file, text, &mut problems);
    let lists = Lists::default();
    let numbered = documents.iter().enumerate();
    let mut rules: Vec<_> = numbered
        .filter_map(|(at, node)| decode_rule(node, "rule", at, &lists, &mut problems))
        .collect();
    let mut scripts = Scripts::new(Arc::new(Answers::new(Arc::new(lists))));
    let judges = script();
    let file = problems.add_file("rules/w.rhai", &judges);
    scripts.add("w.rhai", file, &judges, &mut problems);
    link_scripts(&mut rules, &mut scripts, &mut problems);
    let detector = Detector::compile(&rules, &BTreeSet::new(), &mut problems);
    let said: Vec<String> = problems
        .sorted()
        .iter()
        .map(|p| p.message.clone())
        .collect();
    assert_eq!(problems.counts().0, 0, "{text}\n{said:?}");
    (detector, rules)
}

fn records(timeline: &[Moment]) -> Vec<String> {
    let numbered = timeline.iter().enumerate();
    let record = |(at, moment): (usize, &Moment)| {
        json!({
            "uuid": at.to_string(), "letters": moment.letters, "who": moment.who,
            "what": moment.what, "num": moment.num, "lat": moment.lat, "lon": 5,
            "country": moment.country, "ip": moment.ip,
            "published": Time(moment.at * SECOND).to_string(),
        })
        .to_string()
    };
    numbered.map(record).collect()
}

const SECOND: i64 = 1_000_000_000;

/// What the engine finds.
fn found(detector: &Detector, timeline: &[Moment], limits: Limits) -> (Vec<Finding>, Tally) {
    let mut windows = Windows::within(detector, limits);
    let mut found = Vec::new();
    for matched in matches(detector, timeline) {
        found.extend(windows.advance(detector, matched));
    }
    let last = timeline.iter().map(|moment| Time(moment.at * SECOND)).max();
    let end = windows.finish(detector, last, |finding| {
        found.push(finding);
        Ok::<(), ()>(())
    });
    let mut failures = Failures::default();
    for finding in &mut found {
        detector.enrich(finding, &mut failures);
    }
    assert!(failures.is_empty(), "{failures:?}");
    (found, end.expect("nothing fails"))
}

/// The matches of a timeline, in order.
fn matches(detector: &Detector, timeline: &[Moment]) -> Vec<Match> {
    let mut wanted = detector.wanted().clone();
    let id = wanted.add(["uuid"]);
    let supplier = databases().supplier(&FILLED, &mut wanted);
    let mut reader = Reader::new(wanted);
    if let Some(supplier) = supplier {
        reader.supplied_by(supplier);
    }
    let mut scratch = detector.scratch();
    let mut matches = Vec::new();
    for (record, moment) in records(timeline).iter().zip(timeline) {
        let event = Event {
            raw: record.as_bytes(),
            compact: true,
            fields: reader.read(record.as_bytes()).expect("a record"),
            time: Some(Time(moment.at * SECOND)),
            id,
        };
        detector.scan(&mut scratch, &event, &mut matches);
    }
    matches.sort_by(Match::compare);
    matches
}

/// What the reference finds.
fn expected(correlations: &[Correlation], timeline: &[Moment]) -> (Vec<Found>, u64) {
    let texts = |value: &Value| -> Vec<String> {
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        };
        match value {
            Value::Array(items) => items.iter().filter_map(text).collect(),
            scalar => text(scalar).into_iter().collect(),
        }
    };
    let known = |moment: &Moment, field: &'static str, own: &Value| {
        let own = texts(own);
        let is_empty = own.iter().all(String::is_empty);
        let mut known = KNOWN.iter();
        let known = known.find(|(address, of, _)| moment.ip == *address && *of == field);
        let known = known
            .filter(|_| is_empty)
            .map(|(.., value)| vec![(*value).to_owned()]);
        (field, known.unwrap_or(own))
    };
    let mut matches: BTreeMap<String, Vec<Occurrence>> = BTreeMap::new();
    for ((at, moment), record) in timeline.iter().enumerate().zip(records(timeline)) {
        for letter in &moment.letters {
            matches
                .entry((*letter).to_owned())
                .or_default()
                .push(Occurrence {
                    at: moment.at,
                    late: false,
                    digest: Digest::of(record.as_bytes()),
                    id: at.to_string(),
                    values: [
                        ("who", texts(&moment.who)),
                        known(moment, "what", &moment.what),
                        known(moment, "num", &moment.num),
                        ("lat", texts(&moment.lat)),
                        known(moment, "country", &moment.country),
                    ]
                    .into(),
                });
        }
    }
    let last = timeline.iter().map(|moment| moment.at).max();
    findings(&SAID, correlations, &matches, last.unwrap_or_default())
}

/// A finding of the engine in the words of the reference.
fn told(finding: &Finding) -> Option<Found> {
    let name = finding.rule_name.as_deref().unwrap_or_default();
    Some(Found {
        last_hit: finding.created_at.map_or(-1, |time| time.0 / SECOND),
        rule: name.strip_prefix('x')?.parse().ok()?,
        group: finding
            .group
            .values()
            .map(|value| value.to_lowercase())
            .collect(),
        anchor: finding.anchor,
        ids: finding.okta_event_ids.clone(),
        hits: finding.hits as usize,
        said: finding
            .severity
            .map(|severity| (severity.as_str().to_owned(), finding.description.clone())),
    })
}

#[test]
fn both_correlate_alike() {
    let config = Config {
        cases: cases().div_ceil(8),
        max_shrink_iters: 4_000,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let (asked, hit) = (Cell::new(0), Cell::new(0));
    let case = (correlations(), a_timeline());
    let outcome = runner.run(&case, |(correlations, timeline)| {
        let text = documents(&correlations);
        let (engine, tally) = found(&detector(&text), &timeline, Limits::default());
        let engine: Vec<Found> = engine.iter().filter_map(told).collect();
        let (mut reference, waiting) = expected(&correlations, &timeline);
        reference
            .iter_mut()
            .for_each(|found| found.group = named(&correlations[found.rule], &found.group));
        reference.sort();
        prop_assert_eq!((tally.pending, tally.evicted), (waiting, 0), "{}", text);
        asked.set(asked.get() + 1);
        hit.set(hit.get() + usize::from(!reference.is_empty()));
        prop_assert_eq!(
            &engine,
            &reference,
            "{}\n{}",
            text,
            records(&timeline).join("\n")
        );
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    // Timelines on which nothing is found would prove little.
    let share = 100 * hit.get() / asked.get();
    assert!(share > 40, "{share} % of the timelines have findings");
}

/// The values of a group in the order of the names of its fields.
fn named(correlation: &Correlation, group: &[String]) -> Vec<String> {
    let fields = correlation.group_by.iter().zip(group);
    let fields: BTreeMap<_, _> = fields.collect();
    fields.into_values().cloned().collect()
}

/// A wait that ends comes behind the events of its instant, and is the later one of a pair with
/// them, whichever digest is the greater.
#[test]
fn the_later_one_of_a_pair_is_an_event_of_its_finding() {
    let mut wait = of_accounts(Kind::Absent);
    (wait.rules, wait.timespan) = (vec!["c".to_owned(), "a".to_owned()], 5);
    let mut pairs = of_accounts(Kind::Consecutive {
        travel: None,
        countries: None,
        pair: Some(PairOf::Other("what")),
    });
    (pairs.name, pairs.suppress) = ("x1".to_owned(), Some(9));
    pairs.rules = ["c", "b", "x0"].map(str::to_owned).into();
    let correlations = [wait, pairs];
    let detector = detector(&documents(&correlations));
    for other in 0..8 {
        let mut asked = done(5, 'u', json!("x"));
        asked.letters = vec!["c"];
        let mut between = done(10, 'u', json!(format!("y{other}")));
        between.letters = vec!["b"];
        let timeline = [asked, between];
        let (findings, _) = found(&detector, &timeline, Limits::default());
        let engine: Vec<Found> = findings.iter().filter_map(told).collect();
        let (reference, _) = expected(&correlations, &timeline);
        assert_eq!(
            engine.first().map(|found| found.ids.join(" ")),
            Some("0 1 0".to_owned())
        );
        let plain = |found: &[Found]| -> Vec<_> {
            let told = |found: &Found| (found.last_hit, found.ids.clone(), found.hits);
            found.iter().map(told).collect()
        };
        assert_eq!(plain(&engine), plain(&reference));
    }
}

/// However little may be kept, findings come in their order, and the same ones each time.
#[test]
fn what_is_over_a_limit_is_let_go_and_counted() {
    let config = Config {
        cases: cases().div_ceil(32),
        failure_persistence: None,
        ..Config::default()
    };
    let limits = (1..3_000_usize, 1..6_000_usize, 1..10_000_usize);
    let limits = limits.prop_map(|(group, rule, all)| Limits { group, rule, all });
    let case = (correlations(), a_timeline(), limits);
    let (asked, evicted) = (Cell::new(0), Cell::new(0));
    let outcome = TestRunner::new(config).run(&case, |(correlations, timeline, limits)| {
        let detector = detector(&documents(&correlations));
        let (findings, tally) = found(&detector, &timeline, limits);
        let orders: Vec<_> = findings.iter().map(Finding::order).collect();
        prop_assert!(orders.is_sorted());
        asked.set(asked.get() + 1);
        evicted.set(evicted.get() + usize::from(tally.evicted > 0));
        prop_assert_eq!((findings, tally), found(&detector, &timeline, limits));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    let share = 100 * evicted.get() / asked.get();
    assert!(share > 10, "{share} % of the timelines meet a limit");
}

/// What is told of weights from event to event is what a look at everything
/// says, and a rule keeps no more than it may.
#[test]
fn weights_are_true_and_limits_hold() {
    let config = Config {
        cases: cases().div_ceil(32),
        failure_persistence: None,
        ..Config::default()
    };
    let limits = (500..3_000_usize, 1_000..6_000_usize);
    // Seconds that are one, so that much comes at an instant.
    let seconds = select(vec![1, 1, 20, 60]);
    let case = (correlations(), a_timeline(), limits, seconds);
    let outcome =
        TestRunner::new(config).run(&case, |(correlations, mut timeline, limits, seconds)| {
            for moment in &mut timeline {
                moment.at -= moment.at % seconds;
            }
            let detector = detector(&documents(&correlations));
            let limits = Limits {
                group: limits.0,
                rule: limits.1,
                all: usize::MAX,
            };
            let mut windows = Windows::within(&detector, limits);
            for matched in matches(&detector, &timeline) {
                windows.advance(&detector, matched);
                let weights = windows.weights();
                // What is restored is weighed anew.
                let saved = windows.save(&detector);
                let (restored, _) = Windows::restore(&detector, &saved).expect("a state");
                prop_assert_eq!(&weights, &restored.weights());
                prop_assert!(
                    restored.save(&detector) == saved,
                    "saved again, other bytes"
                );
                prop_assert_eq!(windows.weight(), weights.iter().flatten().sum::<usize>());
                let waits = |consumer: usize| detector.consumers[consumer].waits();
                for (consumer, weights) in weights.iter().enumerate() {
                    let weight: usize = weights.iter().sum();
                    prop_assert!(weight <= limits.rule || waits(consumer), "{}", weight);
                }
            }
            Ok(())
        });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// A correlation of what the accounts do that rule `a` sees.
fn of_accounts(kind: Kind) -> Correlation {
    let answers = matches!(kind, Kind::Absent).then(|| "b".to_owned());
    Correlation {
        name: "x0".to_owned(),
        kind,
        rules: ["a".to_owned()].into_iter().chain(answers).collect(),
        selects: false,
        is_high: false,
        user: None,
        group_by: vec!["who"],
        timespan: 50,
        suppress: Some(0),
        generate: false,
        aliases: Vec::new(),
        describes: false,
    }
}

/// What an account does, with a name that is long enough to weigh more than what a window takes by itself.
fn done(at: i64, who: char, what: Value) -> Moment {
    Moment {
        letters: vec!["a"],
        at,
        who: who.to_string().repeat(400).into(),
        what,
        num: json!(null),
        lat: json!(null),
        country: json!(null),
        ip: json!(null),
    }
}

/// How many bytes are kept after a timeline.
fn kept_after(detector: &Detector, timeline: &[Moment]) -> usize {
    let mut windows = Windows::new(detector);
    for matched in matches(detector, timeline) {
        windows.advance(detector, matched);
    }
    windows.pass(detector, Time(timeline.len() as i64 * SECOND));
    windows.weights().iter().flatten().sum()
}

/// Seconds at which an account does something, and what is left of it.
#[test]
fn the_oldest_are_let_go_first() {
    /// Where there is room for two events and not for three, each of a group of its own or all of one.
    #[derive(Debug)]
    enum Two {
        Nowhere,
        OfAGroup,
        OfARule,
        AtAll,
    }
    use Two::{AtAll, Nowhere, OfAGroup, OfARule};
    let (three, new) = (Kind::EventCount(2), Kind::FirstSeen(vec!["what"], Some(0)));
    let waits = Kind::Absent;
    // Accounts in turn, a second each; how many findings there are, and how much was let go.
    #[rustfmt::skip]
    let cases: [(&Kind, Two, &str, usize, u64); 9] = [
        (&three, Nowhere, "abca", 1, 0),
        (&three, OfARule, "abca", 0, 2),
        (&three, OfARule, "abcc", 1, 1),
        (&three, AtAll, "abca", 0, 2),
        (&three, OfAGroup, "aa", 1, 0),
        (&three, OfAGroup, "aaa", 2, 1),
        (&new, Nowhere, "aa", 1, 0),
        (&new, OfARule, "aa", 1, 0),
        (&waits, OfARule, "abc", 0, 1),
    ];
    let timeline = |accounts: &str| -> Vec<Moment> {
        let numbered = (0..).zip(accounts.chars());
        numbered
            .map(|(at, who)| done(at, who, json!("x")))
            .collect()
    };
    for (kind, two, accounts, expected, evicted) in cases {
        let detector = detector(&documents(&[of_accounts(kind.clone())]));
        let less_than = |accounts| kept_after(&detector, &timeline(accounts)) - 1;
        let mut limits = Limits::default();
        match two {
            Nowhere => {}
            OfAGroup => limits.group = less_than("aaa") - size_of::<Group>(),
            OfARule => limits.rule = less_than("abc"),
            AtAll => limits.all = less_than("abc"),
        }
        let (findings, tally) = found(&detector, &timeline(accounts), limits);
        let of_rule = findings.iter().filter_map(told).count();
        let shown = format!("{kind:?} {two:?} {accounts}");
        assert_eq!((of_rule, tally.evicted), (expected, evicted), "{shown}");
    }
}

/// An instant of which some events were let go: what a row keeps of it can be saved and
/// restored, and no row begins there.
#[test]
fn no_row_begins_where_some_was_let_go() {
    let mut rows = of_accounts(Kind::TemporalOrdered);
    rows.rules = ["a", "b"].map(str::to_owned).into();
    let detector = detector(&documents(&[rows]));
    // Each word is what comes at one instant.
    let timeline = |words: &str| -> Vec<Moment> {
        let instants = (0..).zip(words.split(' '));
        let moments = instants.flat_map(|(at, word)| {
            let letters = LETTERS.into_iter();
            letters.flat_map(move |letter| vec![(at, letter); word.matches(letter).count()])
        });
        let moment = |(at, letter)| Moment {
            letters: vec![letter],
            ..done(at, 'u', json!("x"))
        };
        moments.map(moment).collect()
    };
    // With room for two, the third leaves itself alone.
    let group = kept_after(&detector, &timeline("aa")) - size_of::<Group>();
    let limits = Limits {
        group,
        ..Limits::default()
    };
    // How much is let go, and how many hits there are.
    #[rustfmt::skip]
    let cases = [
        ("a b", 0, 1),
        ("aaa", 2, 0),
        ("aaa b", 2, 0),
        ("aaa a a b", 4, 1),
    ];
    for (words, evicted, hits) in cases {
        let timeline = timeline(words);
        let mut windows = Windows::within(&detector, limits);
        for matched in matches(&detector, &timeline) {
            let time = matched.time.expect("a time");
            windows.advance(&detector, matched);
            windows.pass(&detector, time);
            let saved = windows.save(&detector);
            let (restored, _) = Windows::restore(&detector, &saved).expect(words);
            assert!(restored.save(&detector) == saved, "{words}");
        }
        let (findings, tally) = found(&detector, &timeline, limits);
        let told = findings.iter().filter_map(told).count();
        assert_eq!((tally.evicted, told), (evicted, hits), "{words}");
    }
}

/// Values of one group, a second each, and when the last is new, where there is
/// room for so many and a value must be warm for three seconds.
#[test]
fn what_was_let_go_does_not_come_back_as_new() {
    let mut rule = of_accounts(Kind::FirstSeen(vec!["what"], Some(3)));
    rule.timespan = 50;
    let detector = detector(&documents(&[rule]));
    let timeline = |values: &str| -> Vec<Moment> {
        let numbered = (0..).zip(values.chars());
        let value = |what: char| what.to_string().repeat(400).into();
        numbered
            .map(|(at, what)| done(at, 'u', value(what)))
            .collect()
    };
    let room_for_five = kept_after(&detector, &timeline("abcdef")) - size_of::<Group>() - 1;
    // With room for five, the sixth leaves the last three.
    #[rustfmt::skip]
    let cases: [(&str, bool, &[i64], u64); 7] = [
        ("abcde", false, &[3, 4], 0),
        ("abcdefa", false, &[3, 4, 5], 0),
        // The cut is at the fifth second, and what is new just then is not told.
        ("abcdef", true, &[3, 4], 3),
        // What was let go is not new just after,
        ("abcdefa", true, &[3, 4], 3),
        ("abcdeffa", true, &[3, 4], 3),
        // nor is anything else,
        ("abcdeffg", true, &[3, 4], 3),
        // and what is new after the warm-up is.
        ("abcdefffg", true, &[3, 4, 8], 3),
    ];
    for (values, is_narrow, expected, evicted) in cases {
        let mut limits = Limits::default();
        if is_narrow {
            limits.group = room_for_five;
        }
        let (findings, tally) = found(&detector, &timeline(values), limits);
        let hits: Vec<i64> = findings
            .iter()
            .filter_map(|finding| Some(finding.created_at?.0 / SECOND))
            .collect();
        assert_eq!(
            (hits.as_slice(), tally.evicted),
            (expected, evicted),
            "{values}"
        );
    }
}

/// Whatever is let go, and whenever: what is said to be new over a whole
/// timespan is new in the words of the reference, which forgets nothing.
#[test]
fn no_limit_makes_anything_new() {
    let config = Config {
        cases: cases().div_ceil(16),
        failure_persistence: None,
        ..Config::default()
    };
    let moments = vec((0..3_i64, 0..2_u8, 0..9_u8), 1..60);
    let case = (moments, 3..15_i64, 400..1_600_usize, any::<bool>());
    let (asked, told_of) = (Cell::new(0), Cell::new(0));
    let outcome = TestRunner::new(config).run(&case, |(moments, timespan, most, of_group)| {
        let mut at = 0;
        let moment = |(gap, who, what): (i64, u8, u8)| {
            at += gap;
            let mut moment = done(at, 'u', format!("v{what}").into());
            moment.who = format!("u{who}").into();
            moment
        };
        let timeline: Vec<Moment> = moments.into_iter().map(moment).collect();
        let mut rule = of_accounts(Kind::FirstSeen(vec!["what"], None));
        rule.timespan = timespan;
        let mut limits = Limits::default();
        if of_group {
            limits.group = most;
        } else {
            limits.rule = 2 * most;
        }
        let (findings, tally) = found(&detector(&documents(&[rule.clone()])), &timeline, limits);
        let told: BTreeSet<Found> = findings.iter().filter_map(told).collect();
        let (reference, _) = expected(&[rule], &timeline);
        let reference: BTreeSet<Found> = reference.into_iter().collect();
        prop_assert!(
            told.is_subset(&reference),
            "{:?}",
            told.difference(&reference)
        );
        asked.set(asked.get() + 1);
        told_of.set(told_of.get() + usize::from(tally.evicted > 0 && !told.is_empty()));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    let share = 100 * told_of.get() / asked.get();
    assert!(
        share > 10,
        "{share} % of the timelines meet a limit and have findings"
    );
}

/// It is bytes that count, and not events: of values, of what is made of them, and of open findings.
#[test]
fn large_events_weigh_more() {
    let values = |count: usize, length: usize| -> Value {
        let value = |at: usize| format!("{at:0length$}");
        (0..count).map(value).collect()
    };
    let count = Kind::EventCount(2);
    let distinct = Kind::ValueCount(vec!["what"], 2);
    let new = Kind::FirstSeen(vec!["what"], None);
    // The values of each of ten events of an account, and how many bytes they take at the least and the most.
    #[rustfmt::skip]
    let cases = [
        (&count, Some(0), 1, 1, 10 * 400..=10 * 1_200),
        (&distinct, Some(0), 2, 1, 10 * 400..=10 * 1_200),
        (&distinct, Some(0), 1_000, 500, 10 * 500_000..=10 * 800_000),
        (&new, Some(0), 1_000, 500, 2 * 500_000..=3 * 500_000),
        // An open finding is weighed as if it alone had its events.
        (&distinct, Some(50), 2, 1, 2 * 10 * 400..=2 * 10 * 1_200),
        (&distinct, Some(50), 1_000, 500, 2 * 10 * 500_000..=2 * 10 * 800_000),
    ];
    for (kind, suppress, count, length, bytes) in cases {
        let mut rule = of_accounts(kind.clone());
        rule.suppress = suppress;
        let timeline: Vec<Moment> = (0..10)
            .map(|at| done(at, 'a', values(count, length)))
            .collect();
        let kept = kept_after(&detector(&documents(&[rule])), &timeline);
        let shown = format!("{kind:?} {suppress:?} {count} of {length}: {kept}");
        assert!(bytes.contains(&kept), "{shown}");
    }
}
