//! Documents that decide which events a rule sees: log sources and filters.

use serde_json::{Value, json};

use crate::harness::{policy_of, run};

/// Names of rules.
type Names<'n> = &'n [&'n str];

/// A rule on sign-ins with this log source.
fn sign_in(name: &str, source: &str) -> String {
    format!(
        "title: Sign-in\nname: {name}\nlogsource: {source}\ndetection: {{s: {{eventType: user.session.start}}, condition: s}}\n"
    )
}

/// The rules that have findings, in order of their names.
fn found(rules: &str, events: &[Value]) -> Vec<String> {
    let received = run(&policy_of(rules), events);
    let mut names: Vec<String> = received
        .outcomes
        .into_iter()
        .filter_map(|outcome| outcome.finding.rule_name)
        .collect();
    names.sort();
    names
}

fn start(account: &str) -> Value {
    json!({"eventType": "user.session.start", "published": "2026-03-02T10:00:00.000Z", "actor": {"alternateId": account}})
}

#[test]
fn a_rule_runs_when_its_log_source_may_be_okta() {
    let cases = [
        ("{product: okta, service: okta}", true),
        ("{product: Okta}", true),
        ("{product: okta, service: system_log}", true),
        ("{service: okta}", true),
        ("{category: authentication}", true),
        ("{product: windows}", false),
        ("{product: azure, service: okta}", false),
        ("{service: sysmon}", false),
        ("{category: process_creation}", false),
    ];
    for (source, runs) in cases {
        let names = found(&sign_in("seen", source), &[start("ann")]);
        assert_eq!(!names.is_empty(), runs, "{source}");
    }
}

#[test]
fn a_correlation_counts_nothing_of_a_rule_that_is_not_run() {
    let correlation = "---\ntitle: Any\nname: any\ncorrelation: {type: event_count, rules: [seen], timespan: 1h, condition: {gte: 1}}\n";
    let rules = |source: &str| sign_in("seen", source) + correlation;
    assert_eq!(found(&rules("{product: okta}"), &[start("ann")]), ["any"]);
    assert!(found(&rules("{product: windows}"), &[start("ann")]).is_empty());
}

/// A filter with this body for the rules that it names.
fn filter(source: &str, rules: &str, body: &str) -> String {
    format!(
        "---\ntitle: Service accounts\nlogsource: {source}\nfilter: {{rules: {rules}, {body}}}\n"
    )
}

const NOT_SVC: &str = "svc: {actor.alternateId|startswith: svc}, condition: not svc";
const SVC: &str = "svc: {actor.alternateId|startswith: svc}, condition: svc";
const OKTA: &str = "{product: okta}";

#[test]
fn a_filter_must_hold_for_the_rules_that_it_names() {
    let two = |filters: &[String]| {
        let id = "6f1c8f5e-0d5b-4a53-9d39-2f6f0e5f7c11";
        let second = sign_in("two", "{product: okta, service: okta}");
        format!(
            "{}---\nid: {id}\n{second}{}",
            sign_in("one", OKTA),
            filters.concat()
        )
    };
    let by_id = "[6F1C8F5E-0D5B-4A53-9D39-2F6F0E5F7C11]";
    let okta_okta = "{product: okta, service: okta}";
    #[rustfmt::skip]
    let cases: [(&str, Vec<String>, Names<'_>, Names<'_>); 14] = [
        ("none", vec![], &["one", "two"], &["one", "two"]),
        ("by name", vec![filter(OKTA, "[one]", NOT_SVC)], &["one", "two"], &["two"]),
        ("by id, in any case", vec![filter(OKTA, by_id, NOT_SVC)], &["one", "two"], &["one"]),
        ("one name, no list", vec![filter(OKTA, "one", NOT_SVC)], &["one", "two"], &["two"]),
        ("both", vec![filter(OKTA, "[one, two]", NOT_SVC)], &["one", "two"], &[]),
        ("any", vec![filter(OKTA, "any", NOT_SVC)], &["one", "two"], &[]),
        ("all, which is any", vec![filter(OKTA, "ALL", NOT_SVC)], &["one", "two"], &[]),
        ("without `not`, only these", vec![filter(OKTA, "any", SVC)], &[], &["one", "two"]),
        ("a narrower log source", vec![filter(okta_okta, "any", NOT_SVC)], &["one", "two"], &["one"]),
        ("a narrower log source, by name", vec![filter(okta_okta, "[one, two]", NOT_SVC)], &["one", "two"], &["one"]),
        ("another product's", vec![filter("{product: windows}", "any", NOT_SVC)], &["one", "two"], &["one", "two"]),
        ("two filters", vec![filter(OKTA, "[one]", NOT_SVC), filter(OKTA, "any", SVC)], &[], &["two"]),
        ("a list that is missing", vec![filter(OKTA, "any", "x: {actor.id|expand: '%none%'}, condition: not x")], &["one", "two"], &["one", "two"]),
        ("a condition over its own searches", vec![filter(OKTA, "any", "s: {actor.id: x}, t: {actor.id: null}, condition: not s and t")], &["one", "two"], &["one", "two"]),
    ];
    for (what, filters, person, service) in cases {
        assert_eq!(found(&two(&filters), &[start("ann")]), person, "{what}");
        assert_eq!(found(&two(&filters), &[start("svc-1")]), service, "{what}");
    }
}

#[test]
fn a_filtered_event_is_not_counted_either() {
    let correlation = "---\ntitle: Any\nname: any\ncorrelation: {type: event_count, rules: [seen], timespan: 1h, condition: {gte: 1}}\n";
    let rules = sign_in("seen", OKTA) + filter(OKTA, "[seen]", NOT_SVC).as_str() + correlation;
    assert_eq!(found(&rules, &[start("ann")]), ["any"]);
    assert!(found(&rules, &[start("svc-1")]).is_empty());
}

#[test]
fn the_reasons_name_the_filter() {
    let rules = sign_in("seen", OKTA) + filter(OKTA, "[seen]", SVC).as_str();
    let received = run(&policy_of(&rules), &[start("svc-1")]);
    let reasons: Vec<_> = received
        .outcomes
        .iter()
        .flat_map(|outcome| &outcome.finding.reasons)
        .collect();
    assert_eq!(
        reasons,
        [
            "s: eventType: user.session.start",
            "filter Service accounts: svc: actor.alternateId|startswith: svc"
        ]
    );
}
