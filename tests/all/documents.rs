//! Documents that decide which events a rule sees: log sources and filters.

use serde_json::{Value, json};

use crate::harness::{policy_of, run};

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
