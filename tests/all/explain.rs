//! `rulectl explain`: what it says of events, logs and windows.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{lay_over, lines, log, program, root, small_folder};

/// A policy of these rules, with a log of these events beside it.
pub struct Asked(TempDir);

pub fn policy(rules: &str, events: &[Value]) -> Asked {
    let folder = tempfile::tempdir().expect("a folder");
    lay_over(&root().join("tests/diagnostics/good"), folder.path());
    fs::write(folder.path().join("rules/sign_in.yml"), rules).expect("written");
    fs::write(folder.path().join("log.ndjson"), lines(events)).expect("written");
    Asked(folder)
}

impl Asked {
    /// The exit code, and what is written to standard output and error.
    fn run(&self, words: &[&str]) -> (i32, String, String) {
        let mut command = program();
        let command = command
            .args(["explain", "--events", "log.ndjson"])
            .args(words)
            .current_dir(self.0.path());
        let output = command.output().expect("runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let code = output.status.code().expect("an exit code");
        (code, text(output.stdout), text(output.stderr))
    }

    pub fn json(&self, words: &[&str]) -> Value {
        let (code, out, err) = self.run(&[&["--format", "json"], words].concat());
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        serde_json::from_str(&out).expect("JSON")
    }
}

pub fn event(uuid: &str, minute: i64, event_type: &str, who: &str) -> Value {
    json!({
        "uuid": uuid, "published": format!("2026-03-02T10:{minute:02}:00Z"),
        "eventType": event_type, "actor": {"alternateId": who},
    })
}

/// Detections of the event types `a`, `b` and `c`, and a correlation over them.
pub fn correlation(written: &str) -> String {
    let detections = ["a", "b", "c"].map(|name| {
        format!("title: {name}\nname: {name}\nlogsource: {{product: okta}}\ndetection: {{s: {{eventType: t.{name}}}, condition: s}}\n---\n")
    });
    format!(
        "{}title: X\nname: x\ncorrelation:\n  group-by: [actor.alternateId]\n  timespan: 10m\n{written}",
        detections.concat()
    )
}

/// Types of events, each with its minute.
fn timeline(moments: &[(&str, i64)]) -> Vec<Value> {
    let numbered = moments.iter().enumerate();
    let event = |(at, (name, minute)): (usize, &(&str, i64))| {
        event(&format!("e{at}"), *minute, &format!("t.{name}"), "ann")
    };
    numbered.map(event).collect()
}

/// A correlation, the events that it sees, how far its nearest window comes, and the rules that
/// are missing there.
type Missed<'c> = (&'c str, &'c [(&'c str, i64)], &'c str, &'c [&'c str]);

#[test]
fn windows_that_miss_say_how_far_they_came() {
    #[rustfmt::skip]
    let cases: [Missed<'_>; 10] = [
        ("  type: event_count\n  rules: [a]\n  condition: {gte: 3}\n", &[("a", 0), ("a", 5), ("a", 14), ("a", 30)],
         "2 events within 10m, where gte 3 is asked", &[]),
        ("  type: value_count\n  rules: [a, b]\n  condition: {field: eventType, gte: 3}\n", &[("a", 0), ("b", 5), ("a", 6)],
         "2 values of `eventType` within 10m, where gte 3 is asked: t.a, t.b", &[]),
        ("  type: temporal\n  rules: [a, b, c]\n", &[("a", 0), ("c", 5), ("a", 6)],
         "2 of 3 rules are met, where all of a, b, c within 10m is asked", &["b"]),
        ("  type: temporal\n  rules: [a, b, c]\n  condition: a and b and not c\n", &[("a", 0), ("c", 5)],
         "1 of 3 rules are met, where a and b and not c within 10m is asked", &["b", "c"]),
        ("  type: temporal_ordered\n  rules: [a, b, c]\n", &[("b", 0), ("c", 1), ("a", 2), ("b", 3)],
         "the first 2 in this order, where a, then b, then c within 10m is asked", &[]),
        ("  type: repeat_until\n  rules: [a, b]\n  condition: {gte: 2}\n", &[("a", 0), ("a", 1)],
         "2 events of a within 10m, where gte 2 and then b is asked", &["b"]),
        ("  type: ratio\n  rules: [a, b]\n  condition: {gt: 0.9, at-least: 2}\n", &[("b", 0), ("b", 1), ("a", 2)],
         "0.500 events of a on each of b within 10m, where gt 0.9 is asked of 2 of b at least", &[]),
        ("  type: first_seen\n  rules: [a, b]\n  condition: {field: eventType, warm-up: 5m}\n", &[("a", 0), ("b", 1)],
         "a new value of `eventType`, of a group that is known for 1m, where 5m is asked", &["a"]),
        ("  type: absent\n  rules: [a, b]\n", &[("a", 0), ("b", 7)],
         "answered after 7m, where no b within 10m after a is asked", &[]),
        ("  type: consecutive\n  rules: [a, b]\n  condition: {pair: {other: {a.eventType|fieldref|neq: b.eventType}, condition: other}}\n",
         &[("a", 0), ("a", 3)], "`pair` does not hold of it and the event 3m before", &["b"]),
    ];
    for (written, moments, so_far, missing) in cases {
        let asked = policy(&correlation(written), &timeline(moments));
        let told = asked.json(&["--rule", "x"]);
        let windows = &told["rules"][0]["windows"];
        assert_eq!(windows["hits"], 0, "{written}: {windows}");
        let nearest = &windows["windows"][0];
        assert_eq!(nearest["so_far"], so_far, "{written}: {nearest}");
        let none = json!([]);
        let said = nearest.get("missing").unwrap_or(&none);
        assert_eq!(*said, json!(missing), "{written}: {nearest}");
        assert_eq!(nearest["group"], json!({"actor.alternateId": "ann"}));
    }
}

#[test]
fn a_window_says_what_is_in_it_and_what_is_too_old() {
    let rules = correlation("  type: event_count\n  rules: [a]\n  condition: {gte: 3}\n");
    let asked = policy(
        &rules,
        &timeline(&[("a", 0), ("a", 5), ("b", 6), ("a", 14)]),
    );
    let told = asked.json(&["--rule", "x", "--uuid", "e3"]);
    let windows = &told["rules"][0]["windows"];
    let window = &windows["windows"][0];
    let uuids = |events: &Value| -> Vec<Value> {
        let events = events.as_array().expect("events");
        events.iter().map(|event| event["uuid"].clone()).collect()
    };
    assert_eq!(uuids(&window["events"]), ["e1", "e3"]);
    assert_eq!(window["too_old"]["uuid"], "e0");
    assert_eq!(window["hit"], false);
    assert_eq!(windows["feeds"][0]["events"], 3);
    assert_eq!(windows["feeds"][0]["examples"][0]["matches"], true);
    // The event of another rule enters no window, and its clause says why.
    let told = asked.json(&["--rule", "x", "--uuid", "e2"]);
    let windows = &told["rules"][0]["windows"];
    assert_eq!(windows["windows"], json!([]));
    let line = &windows["feeds"][0]["examples"][0]["tree"]["parts"][0];
    assert_eq!(line["verdict"], "wrong_value");
    assert_eq!(line["found"], json!(["t.b"]));
    assert_eq!(line["place"]["file"], "rules/sign_in.yml");
}

#[test]
fn groups_with_hits_are_not_among_the_nearest() {
    let rules = correlation("  type: event_count\n  rules: [a]\n  condition: {gte: 3}\n");
    let mut events = timeline(&[("a", 0), ("a", 1), ("a", 2), ("a", 3)]);
    events.push(event("x", 9, "t.a", "bob"));
    events.push(event("y", 9, "t.a", ""));
    events[5]["actor"] = json!({});
    let windows = policy(&rules, &events).json(&["--rule", "x"])["rules"][0]["windows"].clone();
    assert_eq!(
        (&windows["hits"], &windows["findings"]),
        (&json!(2), &json!(1))
    );
    let nearest = windows["windows"].as_array().expect("windows");
    assert_eq!(nearest.len(), 1, "{windows}");
    assert_eq!(nearest[0]["group"], json!({"actor.alternateId": "bob"}));
    assert_eq!(windows["left_out"]["without_group"], 1);
    assert_eq!(
        (&windows["counted"], &windows["groups"]),
        (&json!(5), &json!(2))
    );
}

const DETECTION: &str = "title: Token by a stranger\nname: token\nlogsource: {product: okta}\n\
    detection:\n  made: {eventType: t.made, actor.alternateId|cased: [ann, bob]}\n  known: {client.zone: office}\n  condition: made and not known\n\
    ---\ntitle: Not for us\nname: other\nlogsource: {product: windows}\ndetection: {s: {eventType: x}, condition: s}\n";

#[test]
fn each_verdict_stands_beside_its_clause() {
    let mut odd = event("odd", 1, "t.made", "ANN");
    odd["client"] = json!({"Zone": "office\u{1b}[31m"});
    let mut known = event("known", 2, "t.made", "bob");
    known["client"] = json!({"zone": "office"});
    let asked = policy(DETECTION, &[odd, known, event("ann", 3, "t.made", "ann")]);
    let (code, out, _) = asked.run(&["--rule", "TOKEN BY A STRANGER", "--line", "1"]);
    assert_eq!(code, 0);
    assert!(out.contains("wrong case: found \"ANN\""), "{out}");
    assert!(
        out.contains("wrong case of field: the event has `client.Zone`, and names match exactly"),
        "{out}"
    );
    let told = asked.json(&["--rule", "token", "--uuid", "known"]);
    let example = &told["rules"][0]["examples"][0];
    assert_eq!(
        (&told["chosen"], &example["matches"]),
        (&json!(1), &json!(false))
    );
    let not = &example["tree"]["parts"][1];
    assert_eq!(
        (&not["kind"], &not["holds"], &not["decides"]),
        (&json!("not"), &json!(false), &json!(true))
    );
    assert_eq!(not["parts"][0]["parts"][0]["decides"], true);
    assert_eq!(example["tree"]["parts"][0]["decides"], false);
    let told = asked.json(&[]);
    let kinds: Vec<&Value> = told["rules"]
        .as_array()
        .expect("rules")
        .iter()
        .map(|rule| &rule["kind"])
        .collect();
    assert_eq!(kinds, ["detection", "inactive"]);
    let steps = &told["rules"][0]["steps"];
    let counts: Vec<(u64, u64)> = steps
        .as_array()
        .expect("steps")
        .iter()
        .map(|step| {
            (
                step["reached"].as_u64().expect("a count"),
                step["stopped"].as_u64().expect("a count"),
            )
        })
        .collect();
    assert_eq!(counts, [(3, 0), (3, 1), (2, 1)]);
}

#[test]
fn what_a_log_says_is_made_visible() {
    let asked = policy(
        DETECTION,
        &[event("a\u{1b}[2J", 1, "t.made", "\u{202e}nna")],
    );
    for words in [&["--line", "1"][..], &[]] {
        let (code, out, err) = asked.run(words);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(!out.contains(['\u{1b}', '\u{202e}']), "{out}");
        assert!(out.contains("\\u{202e}nna"), "{out}");
    }
}

#[test]
fn what_nobody_can_explain_is_said() {
    let asked = policy(DETECTION, &[event("one", 1, "t.made", "ann")]);
    let cases: [(&[&str], i32, &str); 5] = [
        (
            &["--rule", "tokne"],
            3,
            "no rule is called `tokne`; did you mean `token`?",
        ),
        (
            &["--uuid", "two"],
            1,
            "no event that was read has an id that begins with `two`",
        ),
        (
            &["--line", "7"],
            1,
            "no event begins on line 7 of the first file",
        ),
        (&["--line", "0"], 3, "invalid value '0' for '--line <N>'"),
        (&["--line", "1", "--uuid", "one"], 3, "cannot be used with"),
    ];
    for (words, expected, said) in cases {
        let (code, _, err) = asked.run(words);
        assert!(
            code == expected && err.contains(said),
            "{words:?}: {code} {err}"
        );
    }
    let mut command = program();
    let command = command.args(["explain", "--events", "-"]);
    let output = command.write_stdin("").output().expect("runs");
    let err = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(3));
    assert!(err.contains("standard input can be read once"), "{err}");
}

#[test]
fn the_answer_does_not_depend_on_threads_or_the_order_of_events() {
    let text = fs::read_to_string(log("demo-day.ndjson")).expect("the log");
    let mut lines: Vec<&str> = text.lines().collect();
    let folder = tempfile::tempdir().expect("a folder");
    let mut answers = Vec::new();
    for threads in ["1", "3"] {
        let file = folder.path().join("log.ndjson");
        fs::write(&file, lines.join("\n")).expect("written");
        let mut command = program();
        let command = command.args([
            "explain",
            "--threads",
            threads,
            "--format",
            "json",
            "--events",
        ]);
        let output = command.arg(&file).output().expect("runs");
        let mut told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        for rule in told["rules"].as_array_mut().expect("rules") {
            for example in rule
                .get_mut("examples")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                example["line"] = Value::Null;
            }
        }
        answers.push(told);
        lines.reverse();
    }
    assert_eq!(answers[0], answers[1]);
}

/// The program in a folder: its exit code, and what it writes to standard output and error.
fn in_folder(folder: &TempDir, words: &[&str]) -> (i32, String, String) {
    let output = program().args(words).current_dir(folder.path()).output();
    let output = output.expect("runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let code = output.status.code().expect("an exit code");
    (code, text(output.stdout), text(output.stderr))
}

#[test]
fn decisions_are_explained_by_the_policy_that_made_them() {
    let folder = small_folder();
    let routing = folder.path().join("routing.toml");
    let text = fs::read_to_string(&routing).expect("routing");
    let when = "severities = [\"critical\"]\nwhen = \"severity == \\\"low\\\" || (hits >= 2 && finding_type != \\\"MFA_FATIGUE\\\")\"";
    let changed = text.replace("severities = [\"high\", \"critical\"]", when);
    assert_ne!(changed, text);
    fs::write(&routing, changed).expect("written");
    let log = log("demo-day.ndjson");
    let log = log.to_str().expect("UTF-8");
    let (code, ..) = in_folder(&folder, &["run", "--events", log]);
    assert_eq!(code, 0);
    // What the folder says by now is of no account.
    fs::write(&routing, "nothing").expect("written");
    let (code, out, err) = in_folder(
        &folder,
        &["explain", "finding", "126ffb74", "--format", "json"],
    );
    assert_eq!((code, err.as_str()), (0, ""));
    let told: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(told["promoted"], true);
    let clauses: Vec<(&Value, &Value)> = told["clauses"]
        .as_array()
        .expect("clauses")
        .iter()
        .map(|clause| (&clause["clause"], &clause["holds"]))
        .collect();
    let expected = [
        (&json!("promotion.threshold"), &json!(false)),
        (&json!("promotion.severities"), &json!(false)),
        (&json!("promotion.when"), &json!(true)),
    ];
    assert_eq!(clauses, expected);
    let parts = &told["clauses"][2]["parts"];
    assert_eq!(
        (&parts[0]["holds"], &parts[1]["holds"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(parts[1]["parts"][0]["said"], "hits = 3");
    assert_eq!(parts[1]["parts"][0]["place"]["file"], "routing.toml");
    let floor = told["risk"]
        .as_array()
        .expect("values")
        .iter()
        .find(|one| one["name"] == "floor");
    assert_eq!(floor.expect("a floor")["value"], "medium and 0.30");
    let (code, out, _) = in_folder(&folder, &["explain", "incident", "126ffb74"]);
    assert_eq!(code, 0);
    assert!(
        out.contains("planner_agent: route.incident.require[0]"),
        "{out}"
    );
    let (code, _, err) = in_folder(&folder, &["explain", "finding", "ffffffff"]);
    assert!(
        code == 1 && err.contains("no finding of the last run has an id that begins with"),
        "{code} {err}"
    );
    let (code, _, err) = in_folder(&folder, &["explain", "finding", "126ffb74", "--line", "1"]);
    assert!(
        code == 3 && err.contains("cannot be used with"),
        "{code} {err}"
    );
    fs::remove_dir_all(folder.path().join("data/policies")).expect("removed");
    let (code, _, err) = in_folder(&folder, &["explain", "finding", "126ffb74"]);
    assert!(
        code == 4 && err.contains("is not in the archive of the data folder"),
        "{code} {err}"
    );
}

#[test]
fn it_is_said_who_put_an_agent_into_a_route() {
    let folder = small_folder();
    lay_over(&root().join("fixtures"), &folder.path().join("fixtures"));
    let words = [
        "run",
        "--events",
        "fixtures/logs/demo-day.ndjson",
        "--slots",
        "replay",
    ];
    let (code, _, err) = in_folder(&folder, &words);
    assert!(code == 0 || code == 4, "{err}");
    let (code, out, _) = in_folder(
        &folder,
        &["explain", "incident", "3f91ab46", "--format", "json"],
    );
    assert_eq!(code, 0);
    let told: Value = serde_json::from_str(&out).expect("JSON");
    let route = &told["routes"][1];
    assert!(route["proposed"].is_array(), "{route}");
    let proposed: Vec<&str> = route["proposed"]
        .as_array()
        .expect("agents")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for member in route["members"].as_array().expect("members") {
        let name = member["name"].as_str().expect("a name");
        let by = member["by"].as_str().expect("somebody");
        let is_proposed = by == "a recording of the model proposed it";
        assert_eq!(is_proposed, proposed.contains(&name), "{member}");
        assert!(member["place"]["line"].is_u64(), "{member}");
    }
}

#[test]
fn a_failed_case_says_why_its_rule_was_quiet_or_not() {
    let rules = correlation("  type: event_count\n  rules: [a]\n  condition: {gte: 3}\n");
    let asked = policy(&rules, &[]);
    let folder = asked.0;
    let suite = "suite: s\ncases:\n\
        \x20 - name: too few\n    base: {eventType: t.a, actor.alternateId: ann}\n    events: [{repeat: 2}]\n    expect: {findings: [{rule: x}]}\n\
        \x20 - name: too many\n    base: {eventType: t.a, actor.alternateId: ann}\n    events: [{repeat: 3, every: 1m}]\n    expect: {findings: []}\n\
        \x20 - name: another number\n    base: {eventType: t.a, actor.alternateId: ann}\n    events: [{repeat: 3}]\n    expect: {findings: [{rule: x, count: 4}]}\n";
    fs::create_dir_all(folder.path().join("fixtures")).expect("a folder");
    fs::write(folder.path().join("fixtures/s.test.yml"), suite).expect("written");
    let (code, out, _) = in_folder(&folder, &["test", "--format", "json"]);
    assert_eq!(code, 1, "{out}");
    let told: Value = serde_json::from_str(&out).expect("JSON");
    let explained = |case: usize| &told["cases"][case]["explained"];
    let windows = |case: usize| &explained(case)[0]["rules"][0]["windows"]["windows"][0];
    assert_eq!(
        windows(0)["so_far"],
        "2 events within 10m, where gte 3 is asked"
    );
    assert_eq!(
        (&windows(1)["hit"], &windows(1)["events"][2]["uuid"]),
        (&json!(true), &json!("event-3"))
    );
    assert_eq!(explained(1)[0]["chosen"], 1);
    // That it came is not in doubt.
    assert_eq!(*explained(2), Value::Null);
    let (_, out, _) = in_folder(&folder, &["test", "too few"]);
    assert!(
        out.contains("  |     2 events within 10m, where gte 3 is asked"),
        "{out}"
    );
}

#[test]
fn a_script_is_the_last_to_be_asked() {
    let rule = "title: X\nname: x\nlogsource: {product: okta}\ndetection: {s: {eventType: t.a}, condition: s}\nrulectl: {script: 'x.rhai#odd'}\n";
    let script = "fn odd(event) {\n  let n = number(event.field(\"n\"));\n  if n == 7 { return n + [] }\n  n % 2 == 1\n}\n";
    let of = |uuid: &str, event_type: &str, number: i64| {
        let mut event = event(uuid, 1, event_type, "ann");
        event["n"] = json!(number);
        event
    };
    let events = [
        of("even", "t.a", 2),
        of("odd", "t.a", 3),
        of("other", "t.b", 3),
        of("fails", "t.a", 7),
    ];
    let asked = policy(rule, &events);
    fs::write(asked.0.path().join("rules/x.rhai"), script).expect("written");
    for (uuid, verdict, matches) in [
        ("even", "wrong_value", false),
        ("odd", "matched", true),
        ("other", "not_asked", false),
        ("fails", "failed", false),
    ] {
        let told = asked.json(&["--rule", "x", "--uuid", uuid]);
        let example = &told["rules"][0]["examples"][0];
        assert_eq!(example["matches"], matches, "{example}");
        let script = &example["tree"]["parts"][1];
        assert_eq!(
            (&script["kind"], &script["verdict"]),
            (&json!("script"), &json!(verdict))
        );
        assert_eq!(
            script["place"],
            json!({"file": "rules/sign_in.yml", "line": 5, "column": 19})
        );
    }
    let told = asked.json(&["--rule", "x"]);
    let rule = &told["rules"][0];
    assert_eq!(
        (&rule["matched"], &rule["steps"][1]["stopped"]),
        (&json!(1), &json!(2))
    );
}

#[test]
fn of_two_places_the_fastest_way_between_them_is_nearest() {
    let rules = correlation(
        "  type: consecutive\n  rules: [a]\n  condition: {travel: {latitude: lat, longitude: lon, faster_than_kmh: 900}}\n",
    );
    let of = |uuid: &str, minute: i64, who: &str, lat: f64| {
        let mut event = event(uuid, minute, "t.a", who);
        event["lat"] = json!(lat);
        event["lon"] = json!(0);
        event
    };
    let events = [
        of("a", 0, "ann", 0.0),
        of("b", 9, "ann", 0.1),
        of("c", 0, "bob", 0.0),
        of("d", 9, "bob", 1.0),
    ];
    let windows = policy(&rules, &events).json(&["--rule", "x"])["rules"][0]["windows"].clone();
    let nearest = &windows["windows"][0];
    assert_eq!(nearest["group"]["actor.alternateId"], "bob");
    let said = "111 km in 9m is 741 km/h, where faster than 900 km/h and at least 0 km within 10m is asked";
    assert_eq!(nearest["so_far"], said);
}

#[test]
fn an_event_that_waits_says_so_and_so_does_its_answer() {
    let rules = correlation("  type: absent\n  rules: [a, b]\n");
    let events = timeline(&[
        ("b", 0),
        ("a", 1),
        ("a", 2),
        ("b", 4),
        ("a", 30),
        ("a", 45),
        ("c", 50),
    ]);
    let asked = policy(&rules, &events);
    let rest = "where no b within 10m after a is asked";
    for (uuid, said) in [
        ("e0", "nothing waits for it"),
        ("e1", "waits"),
        ("e3", "answered after 3m"),
    ] {
        let windows = asked.json(&["--rule", "x", "--uuid", uuid])["rules"][0]["windows"].clone();
        assert_eq!(windows["windows"][0]["so_far"], format!("{said}, {rest}"));
        assert_eq!(
            (&windows["answered"], &windows["hits"]),
            (&json!(2), &json!(1))
        );
        assert_eq!(windows["waiting"], 1);
    }
}

#[test]
fn what_is_found_instead_is_counted_while_it_is_not_too_much() {
    let of = |count: usize| -> Vec<Value> {
        let events = (0..count).map(|at| event(&format!("e{at}"), 1, &format!("t.{at}"), "ann"));
        events.collect()
    };
    let rule = "title: X\nname: x\nlogsource: {product: okta}\ndetection: {s: {eventType: t.x}, condition: s}\n";
    let step = |count: usize| {
        policy(rule, &of(count)).json(&["--rule", "x"])["rules"][0]["steps"][0].clone()
    };
    let few = step(1_000);
    assert_eq!(few["found"][0], json!({"value": "t.0", "events": 1}));
    assert_eq!(few.get("found_many"), None);
    let many = step(1_001);
    assert_eq!(
        (many.get("found"), &many["found_many"]),
        (None, &json!(true))
    );
    assert_eq!(many["stopped"], 1_001);
}

#[test]
fn of_many_chosen_events_it_is_said_how_many_are_not_shown() {
    let events: Vec<Value> = (0..8)
        .map(|at| event(&format!("same-{at}"), at, "t.made", "ann"))
        .collect();
    let asked = policy(DETECTION, &events);
    for (words, more) in [
        (
            ["--rule", "token", "--uuid", "same-"],
            Some("\nand 3 events more, which are not shown\n"),
        ),
        (["--rule", "token", "--uuid", "same-7"], None),
    ] {
        let (code, out, _) = asked.run(&words);
        assert_eq!(code, 0, "{out}");
        assert_eq!(out.contains("not shown"), more.is_some(), "{out}");
        assert!(more.is_none_or(|more| out.ends_with(more)), "{out}");
    }
}

#[test]
fn why_a_record_of_a_line_is_no_event_is_said() {
    let asked = policy(DETECTION, &[event("one", 1, "t.made", "ann")]);
    let path = asked.0.path().join("log.ndjson");
    let good = fs::read_to_string(&path).expect("a log");
    fs::write(&path, format!("{good}{{\"uuid\": \"\u{1b}[31m\n{good}")).expect("written");
    for (line, said) in [
        ("2", "error: line 2 of the first file is no event: "),
        ("9", "error: no event begins on line 9 of the first file"),
    ] {
        let (code, _, err) = asked.run(&["--rule", "token", "--line", line]);
        assert_eq!(code, 1, "{err}");
        assert!(err.contains(said) && !err.contains('\u{1b}'), "{err}");
    }
    let (code, ..) = asked.run(&["--rule", "token", "--line", "3"]);
    assert_eq!(code, 0);
}

#[test]
fn a_field_of_another_case_is_found_instead_of_an_absent_one() {
    let events: Vec<Value> = (0..4)
        .map(|at| {
            let mut event = event(&format!("e-{at}"), at, "t.made", "ann");
            event["client"] = match at {
                0 => json!({"other": "office"}),
                _ => json!({"Zone": "office"}),
            };
            event
        })
        .collect();
    let rule = "title: In the office\nname: office\nlogsource: {product: okta}\n\
        detection: {s: {eventType: t.made, client.zone: office}, condition: s}\n";
    let asked = policy(rule, &events);
    let (_, out, _) = asked.run(&["--rule", "office"]);
    let said = "found instead: the field `client.Zone`, of another case (3)\n";
    assert!(out.contains(said), "{out}");
    let told = asked.json(&["--rule", "office"]);
    let near = &told["rules"][0]["steps"][1]["near"];
    assert_eq!(near, &json!([{"field": "client.Zone", "events": 3}]));
}

#[test]
fn how_much_keywords_were_looked_for_in_is_said() {
    let rule = "title: A word\nname: word\nlogsource: {product: okta}\n\
        detection: {s: [sesame], condition: s}\n";
    let asked = policy(rule, &[event("one", 1, "t.made", "ann")]);
    let (_, out, _) = asked.run(&["--rule", "word", "--uuid", "one"]);
    assert!(out.contains("sesame"), "{out}");
    assert!(
        out.contains("not found in any of 4 values of the event"),
        "{out}"
    );
}
