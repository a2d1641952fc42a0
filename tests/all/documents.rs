//! Documents that decide which events a rule sees: log sources and filters.

use rulectl::policy;
use rulectl::render::problems_as_text;
use serde_json::{Value, json};

use crate::harness::{policy_of, root, run};

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

/// A sign-in with these texts.
fn with_texts(debug_data: Value) -> Value {
    json!({"eventType": "user.session.start", "published": "2026-03-02T10:00:00.000Z", "debugContext": {"debugData": debug_data}})
}

#[test]
fn what_is_inside_a_text_is_a_field_like_any_other() {
    let rules = r#"
title: Risky
name: risky
logsource: {product: okta}
detection:
  s:
    debugContext.debugData.risk.level: [HIGH, MEDIUM]
    debugContext.debugData.risk.reasons|contains: new device
    debugContext.debugData.logOnlySecurityData.behaviors.New IP: positive
    debugContext.debugData.risk|contains: 'level='
  condition: s
rulectl:
  summary: "{debugContext.debugData.risk.reasons}"
  metadata: [debugContext.debugData.logOnlySecurityData.risk.level]
  suppress: 1h
  group-by: [debugContext.debugData.risk.level]
---
title: Texts
accessors:
  debugContext.debugData.risk: map
  debugContext.debugData.logOnlySecurityData: json
"#;
    let event = |level: &str, reasons: &str| {
        with_texts(json!({
            "risk": format!("{{reasons={reasons}, level={level}}}"),
            "logOnlySecurityData": "{\"risk\":{\"level\":\"LOW\"},\"behaviors\":{\"New IP\":\"POSITIVE\"}}",
        }))
    };
    let events = [
        event("HIGH", "Anomalous Location, New Device"),
        event("MEDIUM", "New Device"),
        event("LOW", "New Device"),
        event("HIGH", "Anomalous Location"),
    ];
    let received = run(&policy_of(rules), &events);
    let mut found: Vec<_> = received
        .outcomes
        .iter()
        .map(|outcome| {
            let finding = serde_json::to_value(&outcome.finding).expect("JSON");
            [
                finding["group"].to_string(),
                finding["description"].to_string(),
                finding["metadata"].to_string(),
            ]
        })
        .collect();
    found.sort();
    let metadata = r#"{"debugContext.debugData.logOnlySecurityData.risk.level":["LOW"]}"#;
    let expected = [
        [
            r#"{"debugContext.debugData.risk.level":"HIGH"}"#,
            r#""Anomalous Location, New Device""#,
            metadata,
        ],
        [
            r#"{"debugContext.debugData.risk.level":"MEDIUM"}"#,
            r#""New Device""#,
            metadata,
        ],
    ];
    assert_eq!(found, expected);
}

#[test]
fn without_its_accessor_a_text_is_a_text() {
    let rule = "title: t\nname: risky\nlogsource: {product: okta}\ndetection:\n  s: {debugContext.debugData.risk.level: HIGH}\n  condition: s\n";
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rule.yml"), rule).expect("written");
    let loaded = policy::load_rules(folder.path());
    let text = problems_as_text(&loaded.problems, false);
    assert!(loaded.detector.is_some(), "{text}");
    assert!(
        text.contains("declare `debugContext.debugData.risk: map`"),
        "{text}"
    );
    let events = [with_texts(json!({"risk": "{level=HIGH}"}))];
    assert!(found(rule, &events).is_empty());
    let accessor = "---\naccessors: {debugContext.debugData.risk: map}\n";
    assert_eq!(found(&(rule.to_owned() + accessor), &events), ["risky"]);
}

#[test]
fn the_shipped_accessors_are_those_of_the_texts_that_are_known() {
    let text = std::fs::read_to_string(root().join("rules/okta_texts.yml")).expect("accessors");
    let declared = text.lines().filter_map(|line| line.trim().split_once(": "));
    let declared: Vec<_> = declared
        .filter(|(path, _)| path.starts_with("debugContext."))
        .collect();
    let above = |path: &str| rulectl::okta::text_above(&format!("{path}.x"));
    assert_eq!(declared.len(), 8, "{declared:?}");
    for (path, notation) in declared {
        assert_eq!(above(path), Some((path, notation)));
        assert_eq!(rulectl::okta::text_above(path), None);
    }
}

/// The rules that have findings, where the policy has these lists.
fn found_with(lists: &[(&str, &str)], rules: &str, events: &[Value]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    crate::harness::lay_over(&root().join("tests/diagnostics/good"), folder.path());
    std::fs::create_dir_all(folder.path().join("rules/lists")).expect("made");
    std::fs::write(folder.path().join("rules/sign_in.yml"), rules).expect("written");
    for (name, text) in lists {
        std::fs::write(folder.path().join("rules/lists").join(name), text).expect("written");
    }
    let received = run(&crate::harness::load(folder.path()), events);
    let names = received.outcomes.into_iter();
    names
        .filter_map(|outcome| outcome.finding.rule_name)
        .collect()
}

/// A rule of one search line.
fn line(name: &str, line: &str) -> String {
    format!(
        "title: {name}\nname: {name}\nlogsource: {{product: okta}}\ndetection:\n  s: {{eventType: user.session.start, {line}}}\n  condition: s\n---\n"
    )
}

fn from_address(address: &str, number: Value) -> Value {
    json!({"eventType": "user.session.start", "published": "2026-03-02T10:00:00.000Z", "client": {"ipAddress": address}, "securityContext": {"asNumber": number}})
}

#[test]
fn lists_are_texts_networks_and_numbers() {
    let lists = [
        (
            "vpn.csv",
            "operator,ip\nexample,192.0.2.1\nother,203.0.113.9\n",
        ),
        (
            "offices.csv",
            "# kind: networks\nnetwork,site\n10.0.0.0/8,Berlin\n2001:db8::/32,Tokyo\n",
        ),
        ("hosting.txt", "# kind: asn\nAS64500\n64501\n"),
    ];
    let rules = [
        line("vpn", "client.ipAddress|expand: '%vpn.ip%'"),
        line("office", "client.ipAddress|cidr|expand: '%offices%'"),
        line(
            "nearby",
            "client.ipAddress|cidr|expand: ['%offices.network%', 192.0.2.0/24]",
        ),
        line("hosted", "securityContext.asNumber|expand: '%hosting%'"),
        line("outside", "client.ipAddress|cidr|expand|neq: '%offices%'"),
    ]
    .concat();
    let cases: [(&str, Value, &[&str]); 8] = [
        ("192.0.2.1", json!(1), &["vpn", "nearby", "outside"]),
        ("10.1.2.3", json!(64500), &["office", "nearby", "hosted"]),
        (
            "2001:db8::1",
            json!("64501"),
            &["office", "nearby", "hosted"],
        ),
        ("203.0.113.9", Value::Null, &["vpn", "outside"]),
        ("example", json!(6450), &["outside"]),
        ("192.0.3.1", json!(64502), &["outside"]),
        ("192.0.3.1", json!("AS64500"), &["outside"]),
        (" 10.1.2.3", json!("064500"), &["outside"]),
    ];
    for (address, number, expected) in cases {
        let mut names = found_with(&lists, &rules, &[from_address(address, number)]);
        let mut expected: Vec<_> = expected.to_vec();
        names.sort();
        expected.sort_unstable();
        assert_eq!(names, expected, "{address}");
    }
}

#[test]
fn a_list_may_have_a_hundred_thousand_values() {
    let numbers = || 0..100_000_u32;
    let address = |number: u32| std::net::Ipv4Addr::from(0x0a00_0000 + 16 * number);
    let texts: String = numbers()
        .map(|number| format!("user-{number}@example.com\n"))
        .collect();
    let networks: String = numbers()
        .map(|number| format!("{}/28,site {number}\n", address(number)))
        .collect();
    let networks = format!("# kind: networks\nnetwork,site\n{networks}");
    let lists = [("users.txt", &*texts), ("sites.csv", &*networks)];
    let rules = [
        line("listed", "actor.alternateId|expand: '%users%'"),
        line("there", "client.ipAddress|cidr|expand: '%sites%'"),
    ]
    .concat();
    let event = |number: u32| {
        let mut event = from_address(&address(number).to_string(), Value::Null);
        event["actor"] = json!({"alternateId": format!("USER-{number}@example.com")});
        event
    };
    let events: Vec<_> = (99_000..101_000).map(event).collect();
    let names = found_with(&lists, &rules, &events);
    let of = |name: &str| names.iter().filter(|known| *known == name).count();
    assert_eq!(
        (of("listed"), of("there"), names.len()),
        (1_000, 1_000, 2_000)
    );
}
