//! Scripts as parts of rules: predicates, groups, findings and windows, and those that fail.

use std::fs;

use rulectl::detect::Severity;
use rulectl::okta::Mapping;
use rulectl::policy::Policy;
use serde_json::{Value, json};

use crate::harness::{
    Received, at, event, lay_over, lines, load, memory, program, root, run, run_inputs, with,
};

/// A policy of one rule file and one script, `x.rhai`.
fn policy(rules: &str, script: &str) -> Policy {
    let folder = tempfile::tempdir().expect("a folder");
    lay_over(&root().join("tests/diagnostics/good"), folder.path());
    fs::write(folder.path().join("rules/sign_in.yml"), rules).expect("written");
    fs::write(folder.path().join("rules/x.rhai"), script).expect("written");
    fs::create_dir_all(folder.path().join("rules/lists")).expect("a folder");
    fs::write(
        folder.path().join("rules/lists/office.txt"),
        "192.0.2.*\nann*\n",
    )
    .expect("written");
    fs::write(
        folder.path().join("rules/lists/sites.csv"),
        "# kind: networks\nnetwork,site\n10.0.0.0/8,Berlin\n10.1.0.0/16,Tokyo\n",
    )
    .expect("written");
    load(folder.path())
}

const DETECTION: &str = "title: seen\nname: seen\nlogsource: {product: okta}\ndetection:\n  s: {eventType: '*'}\n  condition: s\n";

fn predicate(body: &str) -> Policy {
    let rules = format!("{DETECTION}rulectl: {{script: x.rhai#holds}}\n");
    policy(&rules, &format!("fn holds(event) {{ {body} }}\n"))
}

/// The body of a predicate, a record, and whether it is a match.
#[rustfmt::skip]
const PREDICATES: &[(&str, &str, bool)] = &[
    // the values of a field
    (r#"event.field("x") == "a""#, r#"{"x":"a"}"#, true),
    (r#"event.field("x") == "a""#, r#"{"x":"A"}"#, false),
    (r#"event.field("x.y") == 5"#, r#"{"x":{"y":5}}"#, true),
    (r#"event.field("x") == 5"#, r#"{"x":5.0}"#, true),
    (r#"event.field("x") == 4.5"#, r#"{"x":4.5}"#, true),
    (r#"event.field("x") == true"#, r#"{"x":true}"#, true),
    (r#"event.field("x") == "true""#, r#"{"x":true}"#, false),
    (r#"event.field("x") == ()"#, r#"{"x":null}"#, true),
    (r#"event.field("x") == ()"#, r#"{}"#, true),
    (r#"event.field("x") == ()"#, r#"{"x":{"y":1}}"#, true),
    (r#"event.field("x.y") == ["a", 2]"#, r#"{"x":[{"y":"a"},{"y":null},{"y":2}]}"#, true),
    (r#"event.field("x") == "a""#, r#"{"x":["a"]}"#, true),
    (r#"event.field_values("x") == ["a"]"#, r#"{"x":"a"}"#, true),
    (r#"event.field_values("x") == []"#, r#"{"x":null}"#, true),
    (r#"event.has_field("x")"#, r#"{"x":null}"#, true),
    (r#"event.has_field("x")"#, r#"{"y":1}"#, false),
    (r#"event.field("x") == 1.8446744073709552e19"#, r#"{"x":18446744073709551615}"#, true),
    (r#"event.field("x") == "ä""#, r#"{"x":"\u00e4"}"#, true),
    // comparisons
    (r#"like(event.field("x"), "SVC-*")"#, r#"{"x":"svc-backup"}"#, true),
    (r#"like(event.field("x"), "403")"#, r#"{"x":403}"#, true),
    (r#"like(event.field("x"), "*")"#, r#"{"x":null}"#, false),
    (r#"event.field("x").like("a?")"#, r#"{"x":["b","ab"]}"#, true),
    (r#"list("office").has(event.field("x"))"#, r#"{"x":"ANN@example.com"}"#, true),
    (r#"list("office").has(event.field("x"))"#, r#"{"x":["198.51.100.7","192.0.2.7"]}"#, true),
    (r#"list("office").has(event.field("x"))"#, r#"{}"#, false),
    (r#"list("sites").get(event.field("x"), "site") == "Tokyo""#, r#"{"x":"10.1.2.3"}"#, true),
    (r#"list("sites").get(event.field("x"), "site") == "Berlin""#, r#"{"x":["192.0.2.1","10.2.2.3","10.1.2.3"]}"#, true),
    (r#"list("sites").get(event.field("x"), "site") == ()"#, r#"{"x":["192.0.2.1",null]}"#, true),
    (r#"list("sites").get(event.field("x"), "site") == ()"#, r#"{}"#, true),
    (r#"list("sites.site").get(event.field("x"), "network") == "10.0.0.0/8""#, r#"{"x":"berlin"}"#, true),
    (r#"cidr(event.field("x"), "192.0.2.0/24")"#, r#"{"x":" 192.0.2.7"}"#, false),
    (r#"cidr(event.field("x"), "192.0.2.0/24")"#, r#"{"x":"192.0.2.7"}"#, true),
    (r#"cidr(event.field("x"), "2001:db8::1")"#, r#"{"x":"2001:db8:0::1"}"#, true),
    (r#"cidr(event.field("x"), "192.0.2.0/24")"#, r#"{"x":"somewhere"}"#, false),
    (r#"similarity(event.field("x"), "Firefox/123") > 0.8"#, r#"{"x":"firefox/124"}"#, true),
    (r#"similarity(event.field("x"), "Firefox/123") > 0.2"#, r#"{"x":"curl"}"#, false),
    (r#"number(event.field("x")) > 2"#, r#"{"x":" 2.5 "}"#, true),
    (r#"number(event.field("x")) == ()"#, r#"{"x":"inf"}"#, true),
    // times and places
    (r#"hour(event.field("x")) == 23 && minute(event.field("x")) == 5"#, r#"{"x":"2026-03-02T22:05:00-01:00"}"#, true),
    (r#"weekday(event.field("x")) == 7"#, r#"{"x":"2026-03-01T00:00:00Z"}"#, true),
    (r#"hour(event.field("x")) == ()"#, r#"{"x":"yesterday"}"#, true),
    (r#"event.time == "2026-03-02T10:00:00Z""#, r#"{"published":"2026-03-02T11:00:00+01:00"}"#, true),
    (r#"event.time == ()"#, r#"{}"#, true),
    (r#"seconds_between(event.time, "2026-03-02T10:00:01.5Z") == 1.5"#, r#"{"published":"2026-03-02T10:00:00Z"}"#, true),
    (r#"distance_km(event.field("x"), "151.2093", 40.7503, -73.9967) > 15900"#, r#"{"x":-33.8688}"#, true),
    (r#"distance_km(event.field("x"), 0, 0, 0) == ()"#, r#"{"x":91}"#, true),
    // a long text is cut, at a character
    (r#"event.field("x").len() == 4096"#, r#"{"x":"LONG"}"#, true),
];

#[test]
fn predicates() {
    for (body, record, expected) in PREDICATES {
        let record = record.replace("LONG", &"é".repeat(5_000));
        let rest = record.strip_prefix('{').expect("an object");
        let comma = if rest.starts_with('}') { "" } else { "," };
        let record = format!(r#"{{"eventType":"e"{comma}{rest}"#);
        let received = run_inputs(
            &predicate(body),
            vec![memory(record.clone().into_bytes())],
            Mapping::Okta,
            1,
        );
        assert!(
            received.counts.scripts.is_empty(),
            "{body}: {:?}",
            received.counts.scripts
        );
        assert_eq!(
            !received.outcomes.is_empty(),
            *expected,
            "{body} of {record}"
        );
    }
}

/// Ten events in a shuffled order, each second with an `x` that is no number.
fn mixed() -> Vec<Value> {
    let one = |at_second: i64| {
        let x: Value = if at_second % 2 == 0 {
            json!("text")
        } else {
            json!(1)
        };
        event([
            ("eventType", "e".into()),
            ("published", at(at_second, 0)),
            ("x", x),
        ])
    };
    [7, 2, 9, 4, 1, 8, 3, 6, 5, 0]
        .into_iter()
        .map(one)
        .collect()
}

#[test]
fn a_failure_is_counted_and_stops_nothing() {
    let policy = predicate("let x = event.field(\"x\");\n  x - 1 == 0");
    let events = mixed();
    let check = |received: &Received| {
        assert_eq!(received.outcomes.len(), 5);
        let failed: Vec<_> = received.counts.scripts.iter().collect();
        assert_eq!(failed.len(), 1);
        assert_eq!((failed[0].rule.as_str(), failed[0].failures), ("seen", 5));
        let first = "rules/x.rhai:2:5: there is no function `- (a text, a number)`";
        assert_eq!(failed[0].first, first);
    };
    check(&run(&policy, &events));
    for threads in [1, 2, 5] {
        let each = events
            .iter()
            .map(|event| memory(lines(std::slice::from_ref(event)).into_bytes()));
        check(&run_inputs(&policy, each.collect(), Mapping::Okta, threads));
    }
}

#[test]
fn a_column_that_is_not_there_is_a_failure() {
    let policy = predicate("list(\"sites\").get(\"10.0.0.1\", \"city\") == ()");
    let received = run(&policy, &mixed());
    assert_eq!(received.outcomes.len(), 0);
    let scripts = &received.counts.scripts;
    let firsts: Vec<_> = scripts.iter().map(|failed| &failed.first).collect();
    assert_eq!(firsts.len(), 1);
    assert!(
        firsts[0].contains("the list `sites` has no column `city`"),
        "{firsts:?}"
    );
}

#[test]
fn the_first_failure_is_that_of_the_earliest_event_whatever_the_threads() {
    let policy = predicate(r#"throw `${event.time}`"#);
    let events = mixed();
    for threads in [1, 3] {
        let each = events
            .iter()
            .map(|event| memory(lines(std::slice::from_ref(event)).into_bytes()));
        let received = run_inputs(&policy, each.collect(), Mapping::Okta, threads);
        let failed = received.counts.scripts.iter().next().expect("a failure");
        assert!(
            failed.first.ends_with("2026-03-02T10:00:00Z"),
            "{}",
            failed.first
        );
        assert_eq!(failed.failures, 10);
    }
}

#[test]
fn what_a_predicate_returns_must_be_true_or_false() {
    for (body, said) in [
        ("1", "`holds` returned a number, expected true or false"),
        ("()", "`holds` returned (), expected true or false"),
        ("\"x\"", "`holds` returned a text, expected true or false"),
        ("loop {}", "not done after 50000 operations"),
    ] {
        let received = run(&predicate(body), &[event([("eventType", "e".into())])]);
        let failed = received.counts.scripts.iter().next().expect("a failure");
        assert!(failed.first.ends_with(said), "{}", failed.first);
        assert!(received.outcomes.is_empty());
    }
}

#[test]
fn a_group_is_made_of_an_event() {
    let rules = format!("{DETECTION}rulectl: {{suppress: 1h, script: {{group: x.rhai#key}}}}\n");
    let script = "fn key(event) { let x = event.field(\"x\"); if x == 9 { throw \"nine\" } if x == 8 { return (); } x / 2 }";
    let of = |x: i64| {
        event([
            ("eventType", "e".into()),
            ("published", at(x, 0)),
            ("x", x.into()),
        ])
    };
    let received = run(&policy(&rules, script), &[2, 3, 4, 8, 9].map(of));
    let mut groups: Vec<_> = received
        .outcomes
        .iter()
        .map(|outcome| {
            (
                outcome.finding.group.get("key").cloned(),
                outcome.finding.count,
            )
        })
        .collect();
    groups.sort();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        groups,
        [(None, 1), (None, 1), (text("1"), 2), (text("2"), 1)]
    );
    assert_eq!(received.counts.scripts.iter().count(), 1);
    assert_eq!(received.counts.correlation.without_group, 2);
}

#[test]
fn a_script_describes_a_finding() {
    let script = r#"
        fn say(finding) {
            let who = finding.metadata_values("who");
            switch who[0] {
                "all" => #{severity: "critical", summary: `${finding.count} ${finding.hits} ${finding.level} ${finding.user} ${finding.first_seen} ${who} ${finding.title}`},
                "low" => #{severity: "low"},
                "nothing" => (),
                "odd" => #{severity: "urgent"},
                "key" => #{sverity: "low"},
                _ => throw "who",
            }
        }"#;
    let rules = format!(
        "{DETECTION}level: high\nrulectl:\n  user: actor.id\n  metadata: [who]\n  floor: {{severity: medium}}\n  script: {{finding: x.rhai#say}}\n"
    );
    let policy = policy(&rules, script);
    let of = |who: &str| {
        let event = event([
            ("eventType", "e".into()),
            ("published", at(0, 0)),
            ("who", who.into()),
        ]);
        let received = run(&policy, &[with(event, [("actor.id", "u1".into())])]);
        let outcome = received.outcomes[0].clone();
        let failure = received
            .counts
            .scripts
            .iter()
            .next()
            .map(|failed| failed.first.clone());
        (
            outcome.risk.severity,
            outcome.risk.score,
            outcome.finding.description,
            failure,
        )
    };
    let as_written = |failure: Option<&str>| {
        (
            Severity::High,
            0.64,
            "seen".to_owned(),
            failure.map(|text| format!("rules/x.rhai:{text}")),
        )
    };
    let all = "1 1 high u1 2026-03-02T10:00:00Z [\"all\"] seen";
    assert_eq!(of("all"), (Severity::Critical, 0.855, all.to_owned(), None));
    assert_eq!(
        of("low"),
        (Severity::Medium, 0.3, "seen".to_owned(), None),
        "the floor"
    );
    assert_eq!(of("nothing"), as_written(None));
    assert_eq!(
        of("odd"),
        as_written(Some(
            "3:13: `urgent` is not a severity, expected `low`, `medium`, `high` or `critical`"
        ))
    );
    assert_eq!(
        of("key"),
        as_written(Some(
            "3:13: `sverity` is not one of `severity` and `summary`"
        ))
    );
    assert_eq!(of("?"), as_written(Some("10:22: who")));
}

fn window(condition: &str, script: &str) -> Policy {
    let rules = format!(
        "{DETECTION}---\ntitle: other\nname: other\nlogsource: {{product: okta}}\ndetection:\n  s: {{x: 2}}\n  condition: s\n---\n\
         title: w\nname: w\ncorrelation:\n  type: script\n  rules: [seen, other]\n  group-by: [g]\n  timespan: 1m\n  condition: {{function: x.rhai#f{condition}}}\nrulectl: {{suppress: 0s}}\n"
    );
    policy(&rules, script)
}

/// At how many seconds the window was a hit.
fn hits(policy: &Policy, events: &[(i64, i64)]) -> Vec<String> {
    let one = |(second, x): &(i64, i64)| {
        event([
            ("eventType", "e".into()),
            ("published", at(*second, 1_000 * x)),
            ("g", "one".into()),
            ("x", (*x).into()),
        ])
    };
    let events: Vec<Value> = events.iter().map(one).collect();
    let received = run(policy, &events);
    assert!(
        received.counts.scripts.is_empty(),
        "{:?}",
        received.counts.scripts
    );
    let outcomes = received.outcomes.iter();
    outcomes
        .map(|outcome| outcome.finding.last_seen.expect("a time").to_string()[17..19].to_owned())
        .collect()
}

#[test]
fn a_window_is_what_its_rules_met_within_the_timespan() {
    let events = [(0, 1), (10, 2), (20, 2), (59, 3), (75, 1)];
    for (condition, body, expected) in [
        ("", "window.count == 4", vec!["59"]),
        (
            "",
            "window.events.len() == window.count",
            vec!["00", "10", "20", "59", "15"],
        ),
        (
            ", gte: 3",
            "window.distinct_values(\"x\").len()",
            vec!["59", "15"],
        ),
        (
            ", gt: 1.5, lt: 2.5",
            "number(window.newest.field(\"x\"))",
            vec!["10", "20"],
        ),
        ("", "window.newest.field(\"x\") == \"3\"", vec!["59"]),
        (
            "",
            "window.newest.rules == [\"seen\", \"other\"]",
            vec!["10", "20"],
        ),
        (
            "",
            "seconds_between(window.events[0].time, window.newest.time) > 58.0",
            vec!["59"],
        ),
        ("", "window.newest.has_field(\"y\")", vec![]),
    ] {
        let policy = window(condition, &format!("fn f(window) {{ {body} }}"));
        let mut expected = expected;
        let mut found = hits(&policy, &events);
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{body}{condition}");
    }
}

#[test]
fn a_large_window_is_counted_in_full_and_shown_in_part() {
    let policy = window(
        "",
        "fn f(window) { window.count == 300 && window.events.len() == 256 && window.events[0].field(\"x\") == \"44\" }",
    );
    let events: Vec<(i64, i64)> = (0..300).map(|n| (n / 10, n)).collect();
    assert_eq!(hits(&policy, &events).len(), 1);
}

#[test]
fn a_window_whose_script_fails_is_no_hit() {
    let policy = window(
        "",
        "fn f(window) { if window.count == 2 { throw \"two\" } true }",
    );
    let of = |second| {
        event([
            ("eventType", "e".into()),
            ("g", "one".into()),
            ("published", at(second, 0)),
        ])
    };
    let received = run(&policy, &[of(0), of(1), of(2)]);
    assert_eq!(received.outcomes.len(), 2);
    let failed = received.counts.scripts.iter().next().expect("a failure");
    assert_eq!((failed.rule.as_str(), failed.failures), ("w", 1));
    assert!(failed.first.ends_with(": two"), "{}", failed.first);
}

/// Each function of a rule is told by itself, whether or not they stand in one file.
#[test]
fn the_functions_of_one_rule_fail_each_by_itself() {
    let rules = format!(
        "{DETECTION}rulectl: {{suppress: 1h, script: {{matches: x.rhai#holds, group: x.rhai#key, finding: x.rhai#say}}}}\n"
    );
    let script = r#"fn thrown(text) { throw `${text}` }
        fn holds(event) { if event.field("x") == 1 { thrown("one") } true }
        fn key(event) { if event.field("x") == 2 { thrown("two") } "k" }
        fn say(finding) { thrown("three") }"#;
    let of = |x: i64| {
        event([
            ("eventType", "e".into()),
            ("published", at(x, 0)),
            ("x", x.into()),
        ])
    };
    let received = run(&policy(&rules, script), &[1, 1, 2, 3].map(of));
    let failed: Vec<_> = received.counts.scripts.iter().collect();
    let told = failed.iter().map(|one| {
        let why = one.first.rsplit(' ').next().unwrap_or_default();
        (one.function.as_str(), one.failures, why)
    });
    let expected = [
        ("rules/x.rhai#holds", 2, "one"),
        ("rules/x.rhai#key", 1, "two"),
        ("rules/x.rhai#say", 2, "three"),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    assert!(failed.iter().all(|one| one.rule == "seen"));
}

#[test]
fn a_script_is_part_of_the_policy() {
    let (one, other) = (predicate("true"), predicate("false"));
    assert_ne!(one.digest, other.digest);
    let folder = tempfile::tempdir().expect("a folder");
    lay_over(&root().join("tests/diagnostics/good"), folder.path());
    fs::write(
        folder.path().join("rules/more.yml"),
        format!("{DETECTION}rulectl: {{script: more/x.rhai#f}}\n"),
    )
    .expect("written");
    fs::create_dir(folder.path().join("rules/more")).expect("a folder");
    fs::write(
        folder.path().join("rules/more/x.rhai"),
        "fn f(event) { throw \"\u{1b}[31m\" }",
    )
    .expect("written");
    fs::write(folder.path().join("events.json"), "{\"eventType\":\"e\"}\n").expect("written");
    let ran = program()
        .current_dir(folder.path())
        .args(["run", "--events", "events.json"])
        .output()
        .expect("it runs");
    let said = String::from_utf8(ran.stdout).expect("UTF-8");
    assert_eq!(ran.status.code(), Some(0), "{said}");
    assert!(
        said.contains(
            "1 failure of rules/more/x.rhai#f for seen, first: rules/more/x.rhai:1:15: \\u{1b}[31m"
        ),
        "{said}"
    );
    let record = fs::read_to_string(folder.path().join("data/run.json")).expect("run.json");
    let record: Value = serde_json::from_str(&record).expect("JSON");
    let failed = &record["counts"]["scripts"][0];
    assert_eq!(failed["failures"], 1);
    assert_eq!(failed["function"], "rules/more/x.rhai#f");
    let policies = fs::read_dir(folder.path().join("data/policies")).expect("the archive");
    let kept = policies.filter_map(|entry| Some(entry.ok()?.path().join("rules/more/x.rhai")));
    assert_eq!(kept.filter(|path| path.exists()).count(), 1);
}

/// A case that expects nothing would pass where the script is broken.
#[test]
fn a_case_in_which_a_script_fails_has_failed() {
    let folder = tempfile::tempdir().expect("a folder");
    lay_over(&root().join("tests/diagnostics/good"), folder.path());
    let suite = "suite: s\ncases:\n  - name: quiet\n    events: [{eventType: e}]\n    expect: {findings: []}\n";
    for (path, text) in [
        (
            "rules/more.yml",
            format!("{DETECTION}rulectl: {{script: x.rhai#f}}\n").as_str(),
        ),
        ("rules/x.rhai", "fn f(event) { throw \"no\" }"),
        ("fixtures/s.test.yml", suite),
    ] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    let ran = program()
        .current_dir(folder.path())
        .arg("test")
        .output()
        .expect("it runs");
    let said = String::from_utf8(ran.stdout).expect("UTF-8");
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(
        said.contains("rules/x.rhai#f failed for seen, first: rules/x.rhai:1:15: no"),
        "{said}"
    );
}
