//! `rulectl detect`: what a line is, which there are, and in which order.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{at, event, lines, log, policy_of, program, run, sign_in, small_place, with};

/// One failure, and bursts of them; the single rule is silent unless `GENERATE` says otherwise.
const BURST: &str = "
title: Failed
name: failed
id: 00000000-0000-4000-8000-000000000001
logsource: {product: okta}
detection:
  selection: {eventType: user.session.start, outcome.result: FAILURE}
  condition: selection
---
title: Burst
id: 00000000-0000-4000-8000-000000000002
level: high
author: Anna
correlation:
  type: event_count
  rules: [failed]
  group-by: [actor.alternateId]
  timespan: 10m
  condition: {gte: 3}
  generate: GENERATE
";

/// Matches every sign-in, and would merge them in findings.
const SIGN_IN: &str = "
title: Sign-in
id: 00000000-0000-4000-8000-000000000003
level: low
logsource: {product: okta}
detection:
  selection: {eventType: user.session.start}
  condition: selection
rulectl: {suppress: 1h, group-by: [actor.id], metadata: [client.ipAddress], summary: '{actor.id}'}
";

/// A folder of files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("inside the folder")).expect("a folder");
        fs::write(path, text).expect("written");
    }
    folder
}

fn detect(folder: &Path, words: &str, stdin: &str) -> Output {
    let mut command = program();
    let words = words.split_whitespace();
    let words = words.map(|word| word.replace("LOGS/", &log("").display().to_string()));
    command.current_dir(folder).arg("detect").args(words);
    command.write_stdin(stdin).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Each line as rule (its last digit), first event id, and for findings `count/hits`.
fn brief(output: &[u8]) -> Vec<String> {
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("a line is JSON");
        let rule = line["rule"].as_str().expect("a rule");
        let event = line["event_ids"][0].as_str().unwrap_or("-");
        let rule = rule.chars().last().expect("an id");
        match line.get("count") {
            Some(count) => format!("{rule} {event} {count}/{}", line["hits"]),
            None => format!("{rule} {event}"),
        }
    };
    text(output).lines().map(line).collect()
}

fn failures(account: &str, seconds: &[i64]) -> Vec<Value> {
    let one = |second: &i64| sign_in(account, "FAILURE", *second);
    seconds.iter().map(one).collect()
}

/// What it shows, the rules, the events, options, and the lines.
type Case<'c> = (&'c str, &'c str, &'c [Value], &'c str, &'c [&'c str]);

#[test]
fn which_lines_there_are_and_in_which_order() {
    let silent = BURST.replace("GENERATE", "false");
    let loud = BURST.replace("GENERATE", "true");
    let both = format!("{SIGN_IN}---{silent}");
    let newest_first = failures("ann", &[60, 30, 0]);
    let copies = [
        failures("ann", &[0, 0]),
        failures("bob", &[5]),
        failures("ann", &[0]),
    ]
    .concat();
    let untimed = vec![
        sign_in("ann", "FAILURE", 9),
        with(sign_in("bob", "FAILURE", 0), [("published", "soon".into())]),
    ];
    let nameless = vec![with(sign_in("ann", "FAILURE", 0), [("uuid", Value::Null)])];
    #[rustfmt::skip]
    let cases: [Case<'_>; 12] = [
        ("a rule that a correlation names is silent", &silent, &newest_first, "",
            &["2 ann-FAILURE-0 3/1"]),
        ("unless the correlation says `generate`: matches as they come, findings last", &loud, &newest_first, "",
            &["1 ann-FAILURE-60", "1 ann-FAILURE-30", "1 ann-FAILURE-0", "2 ann-FAILURE-0 3/1"]),
        ("sorted: all by their last hit", &loud, &newest_first, "--sorted",
            &["1 ann-FAILURE-0", "1 ann-FAILURE-30", "1 ann-FAILURE-60", "2 ann-FAILURE-0 3/1"]),
        ("`suppress` and `group-by` of a detection merge nothing", SIGN_IN, &newest_first, "",
            &["3 ann-FAILURE-60", "3 ann-FAILURE-30", "3 ann-FAILURE-0"]),
        ("and merge nothing where sorted", SIGN_IN, &newest_first, "--sorted",
            &["3 ann-FAILURE-0", "3 ann-FAILURE-30", "3 ann-FAILURE-60"]),
        ("an event that two rules match has a line of each", &both, &newest_first, "",
            &["3 ann-FAILURE-60", "3 ann-FAILURE-30", "3 ann-FAILURE-0", "2 ann-FAILURE-0 3/1"]),
        ("a copy is where it stands, and counts once in a correlation", &loud, &copies, "",
            &["1 ann-FAILURE-0", "1 ann-FAILURE-0", "1 bob-FAILURE-5", "1 ann-FAILURE-0"]),
        ("a copy is left out where sorted", SIGN_IN, &copies, "--sorted",
            &["3 ann-FAILURE-0", "3 bob-FAILURE-5"]),
        ("an event without a time meets detections", &loud, &untimed, "",
            &["1 ann-FAILURE-9", "1 bob-FAILURE-0"]),
        ("and comes first where sorted", &loud, &untimed, "--sorted",
            &["1 bob-FAILURE-0", "1 ann-FAILURE-9"]),
        ("an event without an id has none", SIGN_IN, &nameless, "",
            &["3 -"]),
        ("a range leaves out what is outside", SIGN_IN, &newest_first, "--since 2026-03-02T10:00:20Z --until 2026-03-02T10:01:00Z",
            &["3 ann-FAILURE-30"]),
    ];
    for (name, rules, events, options, expected) in cases {
        let folder = folder(&[("rules.yml", rules)]);
        for threads in [1, 3] {
            let words = format!("--rules rules.yml --events - --threads {threads} {options}");
            let output = detect(folder.path(), &words, &lines(events));
            assert!(output.status.success(), "{name}: {}", text(&output.stderr));
            assert_eq!(brief(&output.stdout), expected, "{name}");
        }
    }
}

#[test]
fn a_line_has_these_keys() {
    let rules = BURST.replace("GENERATE", "true");
    let folder = folder(&[("rules.yml", &rules)]);
    let ann = with(
        sign_in("ann", "FAILURE", 0),
        [("actor.alternateId", "Ann\u{202e}".into())],
    );
    let second = with(
        ann.clone(),
        [("published", at(1, 5)), ("uuid", Value::Null)],
    );
    let third = with(
        ann.clone(),
        [("published", at(2, 0)), ("uuid", "\u{1b}[2J".into())],
    );
    let events = [ann, second, third];
    let digests = events
        .clone()
        .map(|event| rulectl::event::Digest::of_record(event.to_string().as_bytes()).to_string());
    let output = detect(
        folder.path(),
        "--rules rules.yml --events -",
        &lines(&events),
    );
    let failed = "00000000-0000-4000-8000-000000000001";
    let found = |time: Value, ids: Value, at: usize| {
        format!(
            r#"{{"rule":"{failed}","title":"Failed","level":"medium","time":{time},"event_ids":{ids},"event_digests":["{}"]}}"#,
            digests[at]
        )
    };
    let burst = format!(
        r#"{{"rule":"00000000-0000-4000-8000-000000000002","title":"Burst","level":"high","author":"Anna","first_seen":"2026-03-02T10:00:00Z","last_seen":"2026-03-02T10:00:02Z","group":{{"actor.alternateId":"Ann\u202e"}},"count":3,"hits":1,"event_ids":["ann-FAILURE-0","\u001b[2J"],"event_digests":["{}"]}}"#,
        digests.join("\",\"")
    );
    let expected = [
        found(at(0, 0), json!(["ann-FAILURE-0"]), 0),
        found(at(1, 5), json!([]), 1),
        found(at(2, 0), json!(["\u{1b}[2J"]), 2),
        burst,
    ];
    assert_eq!(
        text(&output.stdout),
        expected.map(|line| line + "\n").concat()
    );
    assert_eq!(text(&output.stderr), "3 events: 3 matches, 1 finding\n");
}

/// Words, exit code, how many lines on stdout, and what stderr holds.
#[test]
fn exit_codes_and_streams_are_promises() {
    let quiet = BURST.replace("GENERATE", "false");
    let other = SIGN_IN.replace("product: okta", "product: windows");
    let folder = folder(&[
        ("good/deep/er/rule.yml", SIGN_IN),
        ("good/deep/burst.yaml", &quiet),
        ("good/README.txt", "no rule"),
        ("good/.hidden/rule.yml", "title: ["),
        ("broken/a.yml", "title: A\n"),
        ("broken/b.yml", SIGN_IN),
        ("twice/a.yml", SIGN_IN),
        ("twice/b.yml", SIGN_IN),
        ("other/windows.yml", &other),
        ("lists/lists/watched.txt", "user.session.start\n"),
        (
            "lists/listed.yml",
            &SIGN_IN.replace(
                "eventType: user.session.start",
                "'eventType|expand': '%watched%'",
            ),
        ),
        (
            "listed/listed.yml",
            &SIGN_IN.replace(
                "eventType: user.session.start",
                "'eventType|expand': '%watched%'",
            ),
        ),
        ("empty/notes.md", "nothing"),
        ("bare.ndjson", "{}\n"),
        ("cut.gz", "\u{1f}"),
        ("two.ndjson", &lines(&failures("ann", &[0, 1]))),
    ]);
    fs::write(folder.path().join("cut.gz"), [0x1f, 0x8b, 8, 0]).expect("written");
    #[rustfmt::skip]
    let cases = [
        ("--rules good --events two.ndjson", 0, 2, "2 events: 2 matches, 0 findings\n"),
        ("--rules good --events two.ndjson --out -", 0, 2, "2 matches"),
        ("--rules good --events two.ndjson --out found.ndjson", 0, 0, "2 matches"),
        ("--rules good --events two.ndjson --format ndjson", 0, 2, "2 matches"),
        ("--rules good --events two.ndjson --format json", 3, 0, "--format ndjson"),
        ("--rules good/deep/er/rule.yml --events two.ndjson", 0, 2, "2 matches"),
        ("--rules good/deep/burst.yaml --events two.ndjson", 0, 0, "2 events: 0 matches, 0 findings"),
        ("--rules broken --events two.ndjson", 2, 0, "broken/a.yml"),
        ("--rules broken --events two.ndjson --out broken.ndjson", 2, 0, "RL0101"),
        ("--rules twice --events two.ndjson", 2, 0, "in `twice/a.yml`"),
        ("--rules other --events two.ndjson", 0, 0, "RL0105"),
        ("--rules lists --events two.ndjson", 0, 2, "2 matches"),
        ("--rules listed --events two.ndjson", 0, 0, "watched"),
        ("--rules empty --events two.ndjson", 2, 0, "`empty` holds no rules"),
        ("--rules empty/notes.md --events two.ndjson", 2, 0, "`empty/notes.md` holds no rules"),
        ("--rules nowhere --events two.ndjson", 2, 0, "no folder or file of rules `nowhere`"),
        ("--rules good --events nowhere.ndjson", 2, 0, "`nowhere.ndjson`: no such file"),
        ("--rules good --events two.ndjson cut.gz", 2, 2, "cut.gz"),
        ("--rules good --events two.ndjson --out no/such", 2, 0, "`no/such` cannot be written: no such file"),
        ("--rules good --events two.ndjson --out two.ndjson", 3, 0, "`--out` names a file that is read"),
        ("--rules good --events two.ndjson --rejects ./two.ndjson", 3, 0, "`--rejects` names a file that is read"),
        ("--rules good/deep/er/rule.yml --events two.ndjson --out good/deep/er/rule.yml", 3, 0, "names a file that is read"),
        ("--rules good --events two.ndjson --out both --rejects both", 3, 0, "name one file"),
        ("--rules good --events bare.ndjson", 0, 0, "without an `eventType`"),
        ("--rules good", 3, 0, "--events"),
        ("--events two.ndjson", 3, 0, "--rules"),
        ("--rules good --events LOGS/odd/malformed.ndjson",  0, 4, "5 records left out as no event: `--rejects FILE` keeps them"),
        ("--rules good --events LOGS/odd/malformed.ndjson --rejects bad.jsonl",  0, 4, "see bad.jsonl for the reasons"),
        ("--rules good --events LOGS/odd/malformed.ndjson --strict", 2, 0, "malformed.ndjson:2: not JSON"),
    ];
    for (words, exit, stdout, stderr) in cases {
        let output = detect(folder.path(), words, "");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(exit), "{words}: {said}");
        assert_eq!(text(&output.stdout).lines().count(), stdout, "{words}");
        assert!(said.contains(stderr), "{words}: {said}");
    }
    let read = |name: &str| fs::read_to_string(folder.path().join(name));
    assert_eq!(read("found.ndjson").expect("written").lines().count(), 2);
    assert_eq!(read("bad.jsonl").expect("written").lines().count(), 5);
    assert!(
        read("broken.ndjson").is_err(),
        "nothing is made where rules are broken"
    );
    assert_eq!(
        read("two.ndjson").expect("untouched"),
        lines(&failures("ann", &[0, 1]))
    );
}

/// `detect` is the same detection as `run`: same findings of correlations, and
/// a match for each event of the findings of a single-event rule.
#[test]
fn the_demo_day_has_the_findings_of_a_run() {
    let folder = folder(&[]);
    let rules = small_place().join("rules").display().to_string();
    let words = format!("--rules {rules} --events LOGS/demo-day.ndjson --sorted");
    let detected = text(&detect(folder.path(), &words, "").stdout);
    let mut run = program();
    run.args(["run", "--format", "ndjson", "--events"]);
    run.arg(log("demo-day.ndjson"))
        .arg("--data")
        .arg(folder.path());
    let ran = text(&run.output().expect("it runs").stdout);
    let keys = [
        "rule",
        "level",
        "first_seen",
        "last_seen",
        "group",
        "count",
        "hits",
        "event_digests",
    ];
    let picked = |finding: &Value| keys.map(|key| finding[key].clone());
    let parse = |line: &str| serde_json::from_str::<Value>(line).expect("a line is JSON");
    let of_run: Vec<_> = ran
        .lines()
        .map(parse)
        .filter(|line| !line["finding"].is_null())
        .map(|line| picked(&line["finding"]))
        .collect();
    let of_detect: Vec<_> = detected
        .lines()
        .map(parse)
        .map(|line| picked(&line))
        .collect();
    assert_eq!(of_detect, of_run);
    assert_eq!(of_detect.len(), 6);
}

/// Many matches over several chunks: the bytes do not depend on threads, and
/// where no event is there twice, `--sorted` gives the same lines in another order.
/// A rule alone, whose script and lists stand beside it, and what stands there besides.
const NAMING: &str = "
title: Known
logsource: {product: okta}
detection:
  selection: {actor.alternateId|expand: '%known.people%'}
  condition: selection
rulectl: {script: by_hand.rhai#is_by_hand}
";

#[test]
fn one_file_finds_what_it_names_beside_it() {
    let folder = folder(&[
        ("rules/known.yml", NAMING),
        (
            "rules/by_hand.rhai",
            "fn is_by_hand(event) { !list(\"robots\").has(event.field(\"actor.id\")) }",
        ),
        ("rules/lists/known.people.txt", "ann@example.com\n"),
        ("rules/lists/robots.txt", "00u9\n"),
        ("rules/broken.yml", "title: ["),
        ("rules/broken.rhai", "fn ("),
        ("rules/lists/broken.csv", "a,b\n1\n"),
        ("rules/lists/notes.md", "no list"),
        ("alone/known.yml", NAMING),
        ("alone/notes.txt", "no rules"),
    ]);
    let of = |id: &str| {
        let event = with(sign_in("ann", "SUCCESS", 0), [("actor.id", id.into())]);
        format!("{event}\n")
    };
    for (rules, id, exit, said) in [
        ("rules/known.yml", "00u1", 0, "1 event: 1 match"),
        ("rules/known.yml", "00u9", 0, "1 event: 0 matches"),
        (
            "alone/known.yml",
            "00u1",
            2,
            "there is no script `by_hand.rhai`",
        ),
        ("alone/notes.txt", "00u1", 2, "notes.txt` holds no rules"),
        ("rules", "00u1", 2, "broken.yml"),
    ] {
        let output = detect(
            folder.path(),
            &format!("--rules {rules} --events -"),
            &of(id),
        );
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(exit), "{rules} {id}: {stderr}");
        assert!(stderr.contains(said), "{rules} {id}: {stderr}");
    }
}

#[test]
fn threads_change_no_byte() {
    let rules = format!("{SIGN_IN}---{}", BURST.replace("GENERATE", "true"));
    let folder = folder(&[("rules.yml", &rules)]);
    let padding = Value::from("x".repeat(2_000));
    let padded = |at: i64| {
        let event = sign_in(&format!("u{}", at % 97), "FAILURE", at * 7 % 1_200);
        with(event, [("padding", padding.clone())])
    };
    let events: Vec<Value> = (0..1_200).map(padded).collect();
    fs::write(folder.path().join("log.ndjson"), lines(&events)).expect("written");
    let run = |options: &str| {
        let words = format!("--rules rules.yml --events log.ndjson {options}");
        text(&detect(folder.path(), &words, "").stdout)
    };
    let ordered = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let plain = run("--threads 1");
    let sorted = run("--sorted --threads 1");
    assert!(plain.lines().count() > 2_400);
    assert!(plain == run("--threads 2") && plain == run("--threads 5"));
    assert!(sorted == run("--sorted --threads 4") && sorted != plain);
    assert_eq!(ordered(&plain), ordered(&sorted));
}

/// Whoever reads stdout may stop.
#[cfg(unix)]
#[test]
fn a_closed_stdout_ends_it_quietly() {
    let folder = folder(&[("rules.yml", SIGN_IN)]);
    let many = lines(&vec![
        event([("eventType", "user.session.start".into())]);
        5_000
    ]);
    fs::write(folder.path().join("log.ndjson"), many).expect("written");
    let script = format!(
        "{{ {} detect --rules rules.yml --events log.ndjson; echo \"exit $?\" >&2; }} | head -n 1 >/dev/null",
        env!("CARGO_BIN_EXE_rulectl")
    );
    let shell = std::process::Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path())
        .output();
    let said = text(&shell.expect("sh runs").stderr);
    assert!(
        said.ends_with("exit 0\n") && !said.contains("error"),
        "{said}"
    );
}

/// Over the accounts and kinds of other rules, which stand in their `rulectl` blocks.
const OVER_OTHERS: &str = "\
title: Two kinds of alerts about one account
name: two_alerts
correlation:
  type: value_count
  rules: {finding_type: '*_ALERT'}
  group-by: [rulectl.user]
  timespan: 1h
  condition: {field: rulectl.finding_type, gte: 2}
---
title: Failed
logsource: {product: okta}
detection: {s: {outcome.result: FAILURE}, condition: s}
rulectl: {user: actor.id, finding_type: A_ALERT}
---
title: Signed in
logsource: {product: okta}
detection: {s: {outcome.result: SUCCESS}, condition: s}
rulectl: {user: actor.id, finding_type: B_ALERT}
";

#[test]
fn a_correlation_over_what_rules_say_of_themselves_finds_what_a_run_finds() {
    let folder = tempfile::tempdir().expect("a folder");
    let [rules, events] = ["rules.yml", "events.ndjson"].map(|name| folder.path().join(name));
    std::fs::write(&rules, OVER_OTHERS).expect("written");
    let log = [
        sign_in("ann", "FAILURE", 0),
        sign_in("ann", "SUCCESS", 60),
        sign_in("bob", "FAILURE", 70),
    ];
    std::fs::write(&events, lines(&log)).expect("written");
    let run = run(&policy_of(OVER_OTHERS), &log);
    let title = "Two kinds of alerts about one account";
    let found = run
        .outcomes
        .iter()
        .filter(|o| o.finding.rule_title == title);
    assert_eq!(found.count(), 1);
    for how in [&[][..], &["--sorted"], &["--follow"]] {
        let output = program()
            .args(["detect", "--rules"])
            .arg(&rules)
            .arg("--events")
            .arg(&events)
            .args(how)
            .output()
            .expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let is_last = |line: &&str| line.contains(title) && !line.contains("\"status\":\"open\"");
        assert_eq!(text.lines().filter(is_last).count(), 1, "{how:?}: {text}");
    }
}
