//! The command line: exit codes, formats, inputs and what is left behind.

use std::fs;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{lay_over, lines, log, program, root, sign_in, small_folder, small_place};

/// Variables of the environment.
type Env<'e> = &'e [(&'e str, &'e str)];

/// A folder for the files of one test.
pub fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Runs the program with its data in a folder; words are separated by blanks, and `LOGS/` is the bundled logs.
pub fn rulectl(folder: &Path, words: &str) -> Output {
    rulectl_with(folder, words, &[], b"")
}

pub fn rulectl_with(folder: &Path, words: &str, env: Env<'_>, stdin: &[u8]) -> Output {
    let logs = log("").display().to_string();
    let words = words
        .split_whitespace()
        .map(|word| word.replace("LOGS/", &logs));
    let words: Vec<String> = words.collect();
    let names_one = words
        .iter()
        .any(|word| ["init", "--policy"].contains(&word.as_str()));
    let mut command = program();
    command
        .current_dir(folder)
        .args(["--data", "data"])
        .args(words)
        .write_stdin(stdin)
        .envs(env.iter().copied());
    if !names_one && !folder.join("routing.toml").exists() {
        command.arg("--policy").arg(small_place());
    }
    command.output().expect("it runs")
}

pub fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

pub fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

#[track_caller]
fn check(what: &str, output: &Output, exit: i32, stdout: &str, stderr: &str) {
    let shown = format!(
        "{what}\n--- stdout\n{}\n--- stderr\n{}",
        out(output),
        err(output)
    );
    assert_eq!(output.status.code(), Some(exit), "{shown}");
    assert!(
        out(output).contains(stdout) && (!stdout.is_empty() || out(output).is_empty()),
        "no `{stdout}` in the stdout of {shown}"
    );
    assert!(
        err(output).contains(stderr) && (!stderr.is_empty() || err(output).is_empty()),
        "no `{stderr}` in the stderr of {shown}"
    );
}

/// Words, exit code, and what stdout and stderr hold; an empty text means that they are empty.
#[test]
fn exit_codes_and_streams_are_promises() {
    let folder = folder();
    let path = folder.path();
    fs::write(path.join("cut.gz"), [0x1f, 0x8b, 8, 0]).expect("written");
    fs::write(path.join("empty.ndjson"), "").expect("written");
    fs::create_dir(path.join("inner")).expect("a folder");
    // Before any run there is nothing to show.
    check(
        "show",
        &rulectl(path, "show"),
        2,
        "",
        "holds no finished run; make one with `rulectl run`",
    );
    #[rustfmt::skip]
    let cases = [
        ("run --events LOGS/demo-day.ndjson", 0, "Incidents: 4", ""),
        ("run --events LOGS/demo-day.ndjson LOGS/flat-demo.json", 0, "406 events from 2 inputs", ""),
        ("run --events LOGS/*-pretty.json", 0, "6 events from 2 inputs", ""),
        ("run --events LOGS/odd/malformed.ndjson", 0, "4 events", "5 records left out as no event"),
        ("run --events LOGS/odd/malformed.ndjson --strict", 2, "", "malformed.ndjson:2: not JSON"),
        ("run --events empty.ndjson", 0, "0 events", "no events were read"),
        ("run --events no-such.ndjson", 2, "", "`no-such.ndjson`: no such file"),
        ("run --events no-such.ndjson other.ndjson", 2, "", "`other.ndjson`: no such file"),
        ("run --events no-such-*.ndjson", 2, "", "matches no file"),
        ("run --events inner", 2, "", "`inner` is a directory"),
        ("run --events cut.gz", 2, "0 events", "cut.gz"),
        ("run --events LOGS/demo-day.ndjson cut.gz", 2, "397 events", "cut.gz"),
        ("run", 3, "", "--events"),
        ("run --events LOGS/demo-day.ndjson --frobnicate", 3, "", "--frobnicate"),
        ("run --events LOGS/demo-day.ndjson --threads 0", 3, "", "--threads"),
        ("run --events LOGS/demo-day.ndjson --since yesterday", 3, "", "expected a time such as"),
        ("run --events LOGS/demo-day.ndjson --hours 2 --since 2026-03-02", 3, "", "--hours"),
        ("run --events - --hours 2", 3, "", "--hours on stdin needs --until"),
        ("run --events - -", 2, "", "more than once"),
        ("run --events LOGS/demo-day.ndjson --fail-on high", 1, "Incidents: 4", ""),
        ("run --events LOGS/demo-day.ndjson --fail-on medium", 1, "Incidents: 4", ""),
        ("run --events LOGS/demo-day.ndjson --fail-on critical", 0, "Incidents: 4", ""),
        ("run --events LOGS/okta-doc-samples.ndjson --fail-on low", 0, "Incidents: 0", ""),
        ("run --events LOGS/demo-day.ndjson cut.gz --fail-on high", 2, "Incidents: 4", "cut.gz"),
        ("run --events LOGS/demo-day.ndjson", 0, "rulectl show finding", ""),
        ("show", 0, "INCIDENT", ""),
        ("show findings", 0, "not promoted", ""),
        ("show incidents", 0, "MFA fatigue", ""),
        ("show plans", 0, "collect_auth_logs", ""),
        ("show commands", 0, "curl --globoff -X", ""),
        ("show finding", 3, "", "which finding?"),
        ("show finding zzzz", 1, "", "no finding of the last run has an id that begins with `zzzz`"),
        ("show findings abcd", 3, "", "an id goes with `show finding ID`"),
        ("show nothing", 3, "", "nothing"),
        ("check", 0, "no problems", ""),
        ("check extra", 3, "", "extra"),
        ("--help", 0, "Exit codes", ""),
        ("--version", 0, "rulectl", ""),
        ("frobnicate", 3, "", "frobnicate"),
    ];
    for (words, exit, stdout, stderr) in cases {
        check(words, &rulectl(path, words), exit, stdout, stderr);
    }
}

#[test]
fn a_broken_policy_runs_nothing() {
    let folder = folder();
    lay_over(&root().join("tests/diagnostics/good"), folder.path());
    lay_over(&root().join("tests/diagnostics/conditions"), folder.path());
    for words in [
        "run --events LOGS/demo-day.ndjson",
        "run --format json --events LOGS/demo-day.ndjson",
        "test",
    ] {
        check(words, &rulectl(folder.path(), words), 2, "", "RL0120");
    }
    assert!(
        !folder.path().join("data").exists(),
        "nothing was activated"
    );
}

#[test]
fn every_format_holds_the_same_values() {
    let folder = folder();
    let path = folder.path();
    let json = |words: &str| -> Value {
        serde_json::from_str(&out(&rulectl(path, words)))
            .unwrap_or_else(|error| panic!("{words}: {error}"))
    };
    let ndjson = |words: &str| -> Vec<Value> {
        let text = out(&rulectl(path, words));
        text.lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{words}: {error}"))
            })
            .collect()
    };
    let document = json("run --format json --events LOGS/demo-day.ndjson");
    let mut stream = ndjson("run --format ndjson --events LOGS/demo-day.ndjson");
    assert_eq!(
        stream.pop().expect("the run"),
        serde_json::json!({"run": document["run"]})
    );
    assert_eq!(Value::from(stream), document["outcomes"]);
    assert_eq!(
        json("run --format json --events LOGS/okta-doc-samples.ndjson")["outcomes"],
        serde_json::json!([])
    );
    assert_eq!(
        ndjson("run --format ndjson --events LOGS/okta-doc-samples.ndjson").len(),
        1
    );

    rulectl(path, "run --events LOGS/demo-day.ndjson");
    for (what, count) in [
        ("findings", 6),
        ("incidents", 4),
        ("plans", 4),
        ("commands", 22),
        ("drafts", 4),
    ] {
        let list = json(&format!("show {what} --format json"));
        assert_eq!(
            Value::from(ndjson(&format!("show {what} --format ndjson"))),
            list,
            "{what}"
        );
        assert_eq!(list.as_array().map(Vec::len), Some(count), "{what}");
        let artifact =
            fs::read_to_string(path.join(format!("data/{what}.jsonl"))).expect("an artifact");
        assert_eq!(artifact.lines().count(), count, "{what}");
    }
    let id = document["outcomes"][0]["finding"]["id"]
        .as_str()
        .expect("an id");
    let one = json(&format!("show finding {id} --format json"));
    assert_eq!(one["finding"], document["outcomes"][0]["finding"]);
    assert_eq!(
        one["incident"],
        document["outcomes"][0]["response"]["incident"]
    );
    assert_eq!(one["plan"], document["outcomes"][0]["response"]["plan"]);
    assert!(
        json("check --format json")
            .as_array()
            .is_some_and(Vec::is_empty)
    );
}

/// `json` is one document and `ndjson` one value a line, for every command.
#[test]
fn test_and_check_keep_to_the_formats_too() {
    let folder = suite(SUITE);
    let text = out(&rulectl(folder.path(), "test --format json"));
    let document: Result<Value, _> = serde_json::from_str(&text);
    assert!(
        document.is_ok(),
        "`test --format json` is not one document:\n{text}"
    );
    let broken = self::folder();
    lay_over(&root().join("tests/diagnostics/good"), broken.path());
    lay_over(&root().join("tests/diagnostics/conditions"), broken.path());
    let lines = out(&rulectl(broken.path(), "check --format ndjson"))
        .lines()
        .count();
    assert_eq!(lines, 13, "`check --format ndjson` gives a problem a line");
}

#[test]
fn events_come_from_stdin_compressed_files_and_globs() {
    let folder = folder();
    let path = folder.path();
    let day = fs::read(log("demo-day.ndjson")).expect("the demo day");
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gz, &day).expect("memory");
    let gz = gz.finish().expect("memory");
    let zst = zstd::encode_all(&day[..], 1).expect("memory");
    fs::write(path.join("a day.ndjson.gz"), &gz).expect("written");
    fs::write(path.join("b.zst"), &zst).expect("written");
    fs::write(path.join("named-wrongly.json"), &gz).expect("written");
    #[rustfmt::skip]
    let cases: [(&str, &[u8], &str); 7] = [
        ("run --events -", &day, "397 events from 1 input"),
        ("run --events -", &gz, "397 events from 1 input"),
        ("run --events - b.zst", &day, "794 events from 2 inputs"),
        ("run --events a*.gz", b"", "397 events from 1 input"),
        ("run --events b.zst", b"", "397 events from 1 input"),
        ("run --events named-wrongly.json", b"", "397 events from 1 input"),
        ("run --events *.*", b"", "1,191 events from 3 inputs"),
    ];
    for (words, stdin, stdout) in cases {
        let output = rulectl_with(path, words, &[], stdin);
        check(words, &output, 0, stdout, "");
        assert!(
            out(&output).contains("Incidents: 4"),
            "{words}: copies count once"
        );
    }
}

#[test]
fn rejected_records_are_kept_with_their_reason() {
    let folder = folder();
    rulectl(folder.path(), "run --events LOGS/odd/malformed.ndjson");
    let text = fs::read_to_string(folder.path().join("data/rejects.jsonl")).expect("rejects");
    let log_text = fs::read(log("odd/malformed.ndjson")).expect("the log");
    let source: Vec<&[u8]> = log_text.split(|byte| *byte == b'\n').collect();
    let records: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a record"))
        .collect();
    let numbers: Vec<u64> = records
        .iter()
        .filter_map(|record| record["line"].as_u64())
        .collect();
    assert_eq!(numbers, [2, 3, 5, 8, 9]);
    for record in &records {
        let line = source[record["line"].as_u64().expect("a number") as usize - 1];
        let kept = match (record["record"].as_str(), record["record_hex"].as_str()) {
            (Some(text), None) => text.as_bytes().to_vec(),
            (None, Some(hex)) => (0..hex.len() / 2)
                .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex"))
                .collect(),
            other => panic!("{other:?}"),
        };
        assert_eq!(kept, line, "{record}");
        assert_eq!(record["length"].as_u64(), Some(line.len() as u64));
        assert!(
            record["reason"]
                .as_str()
                .is_some_and(|reason| !reason.is_empty())
                && record["input"]
                    .as_str()
                    .is_some_and(|input| input.ends_with("malformed.ndjson"))
        );
    }
}

#[test]
fn strict_leaves_the_old_artifacts_and_blames_the_record() {
    let folder = folder();
    rulectl(folder.path(), "run --events LOGS/demo-day.ndjson");
    let before = snapshot(&folder.path().join("data"));
    let output = rulectl(
        folder.path(),
        "run --events LOGS/odd/malformed.ndjson --strict",
    );
    check("--strict", &output, 2, "", "malformed.ndjson:2: ");
    assert!(
        !err(&output).contains("cannot be written"),
        "nothing failed to be written: {}",
        err(&output)
    );
    assert_eq!(snapshot(&folder.path().join("data")), before);
}

/// Every file of a folder, with its bytes.
fn snapshot(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = entries
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read(path).expect("bytes")))
        .collect();
    files.sort();
    files
}

#[test]
fn lower_cased_names_are_warned_of_and_read_on_request() {
    let folder = folder();
    let path = folder.path();
    let lower = |event: &Value| {
        event
            .to_string()
            .replace("eventType", "eventtype")
            .replace("alternateId", "alternateid")
    };
    let burst: String = (0..5)
        .map(|turn| lower(&sign_in("alice", "FAILURE", turn)) + "\n")
        .collect();
    fs::write(path.join("lower.ndjson"), burst).expect("written");
    #[rustfmt::skip]
    let cases = [
        ("run --events LOGS/odd/lower-cased.ndjson", "Findings that were not promoted: 0", "3 events with lower-cased field names, which no rule matches; read with `--mapping lowercase`"),
        ("run --events LOGS/odd/lower-cased.ndjson --mapping lowercase", "3 events", ""),
        ("run --events lower.ndjson", "Findings that were not promoted: 0", "5 events with lower-cased field names"),
        ("run --events lower.ndjson --mapping lowercase", "5 failed logins for alice@example.com", ""),
        ("run --events LOGS/flat-demo.json --mapping okta", "9 without an event type", "9 records without an `eventType`"),
    ];
    for (words, stdout, stderr) in cases {
        check(words, &rulectl(path, words), 0, stdout, stderr);
    }
}

#[test]
fn a_range_of_time_is_half_open_and_counts_back_from_the_newest_event() {
    let folder = folder();
    let path = folder.path();
    let events: Vec<Value> = [0, 1_800, 3_600, 5_400, 7_200]
        .into_iter()
        .map(|seconds| sign_in("alice", "SUCCESS", seconds))
        .collect();
    fs::write(path.join("events.ndjson"), lines(&events)).expect("written");
    let future = [
        events.clone(),
        vec![crate::harness::with(
            sign_in("alice", "SUCCESS", 0),
            [("published", "2199-01-01T00:00:00Z".into())],
        )],
    ]
    .concat();
    fs::write(path.join("future.ndjson"), lines(&future)).expect("written");
    // The events are at 10:00, 10:30, 11:00, 11:30 and 12:00.
    #[rustfmt::skip]
    let cases = [
        ("--events events.ndjson --since 2026-03-02T10:30:00Z", "4 events", ""),
        ("--events events.ndjson --since 2026-03-02T10:30:00.001Z", "3 events", ""),
        ("--events events.ndjson --until 2026-03-02T12:00:00Z", "4 events", ""),
        ("--events events.ndjson --since 2026-03-02 --until 2026-03-03", "5 events", ""),
        ("--events events.ndjson --since 2026-03-02T12:30:00+02:00", "4 events", ""),
        ("--events events.ndjson --hours 1", "3 events", "before 2026-03-02T12:00:00Z"),
        ("--events events.ndjson --hours 1 --until 2026-03-02T11:30:00Z", "2 events", "before 2026-03-02T11:30:00Z"),
        ("--events future.ndjson --hours 1 --until 2026-03-02T12:30:00Z", "2 events", "before 2026-03-02T12:30:00Z"),
    ];
    for (words, stdout, stderr) in cases {
        check(
            words,
            &rulectl(path, &format!("run {words}")),
            0,
            stdout,
            stderr,
        );
    }
    let stdin = rulectl_with(
        path,
        "run --events - --hours 1 --until 2026-03-02T12:00:01Z",
        &[],
        lines(&events).as_bytes(),
    );
    check(
        "stdin with --until",
        &stdin,
        0,
        "2 events",
        "2026-03-02T12:00:01Z",
    );
    let none = rulectl_with(
        path,
        "run --events LOGS/flat-demo.json --mapping okta --hours 1",
        &[],
        b"",
    );
    check(
        "no readable time",
        &none,
        2,
        "",
        "--hours has nothing to count back from",
    );
}

/// The hour that is read is the one that is announced: an event of the far future is not in it.
#[test]
fn an_event_in_the_future_is_not_of_the_last_hour() {
    let folder = folder();
    let future = crate::harness::with(
        sign_in("alice", "SUCCESS", 0),
        [("published", "2199-01-01T00:00:00Z".into())],
    );
    fs::write(
        folder.path().join("events.ndjson"),
        lines(&[
            sign_in("alice", "SUCCESS", 0),
            sign_in("alice", "SUCCESS", 7_200),
            future,
        ]),
    )
    .expect("written");
    let output = rulectl(folder.path(), "run --events events.ndjson --hours 1");
    check(
        "--hours",
        &output,
        0,
        "1 event from",
        "before 2026-03-02T12:00:00Z",
    );
}

/// A range that ends before it begins holds nothing whatever the log is: a slip, and not an empty result.
#[test]
fn a_range_that_ends_before_it_begins_is_wrong_usage() {
    let folder = folder();
    let output = rulectl(
        folder.path(),
        "run --events LOGS/demo-day.ndjson --since 2026-03-03 --until 2026-03-02",
    );
    check("--since after --until", &output, 3, "", "--since");
}

/// A folder that cannot be written is named, in our words.
#[test]
fn a_data_folder_that_is_a_file_is_named() {
    let folder = folder();
    fs::write(folder.path().join("data"), "").expect("written");
    let output = rulectl(folder.path(), "run --events LOGS/flat-demo.json");
    check("--data", &output, 2, "", "`data`");
    assert!(!err(&output).contains("os error"), "{}", err(&output));
}

/// A run without events says so, and not that its time cannot be read.
#[test]
fn a_run_without_events_has_no_times_to_show() {
    let folder = folder();
    let output = rulectl_with(folder.path(), "run --events -", &[], b"");
    check(
        "no events",
        &output,
        0,
        "0 events from 1 input",
        "no events were read",
    );
    assert!(
        !out(&output).contains("no readable time"),
        "{}",
        out(&output)
    );
}

#[test]
fn appended_artifacts_are_merged_by_id() {
    let folder = folder();
    let path = folder.path();
    let ids = || -> Vec<String> {
        let text = fs::read_to_string(path.join("data/findings.jsonl")).expect("findings");
        text.lines()
            .map(|line| {
                serde_json::from_str::<Value>(line).expect("a finding")["id"]
                    .as_str()
                    .expect("an id")
                    .to_owned()
            })
            .collect()
    };
    rulectl(path, "run --events LOGS/demo-day.ndjson");
    let demo = ids();
    rulectl(path, "run --append --events LOGS/flat-demo.json");
    let both = ids();
    assert_eq!((demo.len(), both.len()), (6, 8));
    assert!(both.starts_with(&demo), "what was there stays where it was");
    let before = snapshot(&path.join("data"));
    rulectl(path, "run --append --events LOGS/flat-demo.json");
    assert_eq!(ids(), both, "the same run again adds nothing");
    assert_eq!(snapshot(&path.join("data")), before);
    check("show", &rulectl(path, "show incidents"), 0, "bob", "");
    rulectl(path, "run --append --events LOGS/demo-day.ndjson");
    let mut again = ids();
    again.sort();
    let mut sorted = both.clone();
    sorted.sort();
    assert_eq!(again, sorted);
    rulectl(path, "run --events LOGS/flat-demo.json");
    assert_eq!(
        ids().len(),
        2,
        "without --append a run replaces what was there"
    );
}

/// A finding that a later run scores otherwise takes what hung on it along.
#[test]
fn appending_under_another_policy_leaves_no_contradiction() {
    let folder = small_folder();
    let path = folder.path();
    rulectl(path, "run --events LOGS/demo-day.ndjson");
    let routing = fs::read_to_string(path.join("routing.toml")).expect("a policy");
    let strict = routing
        .replace("threshold  = 0.6", "threshold  = 0.99")
        .replace("severities = [\"high\", \"critical\"]", "severities = []");
    assert_ne!(strict, routing);
    fs::write(path.join("routing.toml"), strict).expect("written");
    rulectl(path, "run --append --events LOGS/demo-day.ndjson");
    let lines = |name: &str| {
        let text =
            fs::read_to_string(path.join(format!("data/{name}.jsonl"))).expect("an artifact");
        text.lines().count()
    };
    let counts = [
        "findings",
        "risks",
        "incidents",
        "plans",
        "commands",
        "drafts",
        "routes",
    ]
    .map(lines);
    assert_eq!(counts, [6, 6, 0, 0, 0, 0, 1]);
}

#[test]
fn nothing_is_appended_to_artifacts_that_are_broken() {
    type Damage = fn(&Path);
    let breaks: [(&str, Damage); 2] = [
        ("garbage", |path| {
            let old = fs::read_to_string(path).expect("findings");
            fs::write(path, old + "garbage\n").expect("written");
        }),
        ("nothing", |path| fs::write(path, "").expect("written")),
    ];
    for (what, damage) in breaks {
        let folder = folder();
        rulectl(folder.path(), "run --events LOGS/demo-day.ndjson");
        damage(&folder.path().join("data/findings.jsonl"));
        let before = snapshot(&folder.path().join("data"));
        let output = rulectl(folder.path(), "run --append --events LOGS/flat-demo.json");
        check(what, &output, 2, "", "`findings.jsonl` in `data`");
        assert_eq!(snapshot(&folder.path().join("data")), before, "{what}");
    }
}

/// An array hides no group of its own accord; past the bound what is left out is counted and said.
#[test]
fn long_arrays_hide_no_group_in_silence() {
    let rule = "title: Pairs\nname: pairs\ncorrelation:\n  type: event_count\n  rules: [failed_login]\n  group-by: [target.id]\n  timespan: 10m\n  condition: {gte: 2}\n";
    for (elements, wanted, findings, cut) in
        [(101, 100, 1, 0), (1_000, 999, 1, 0), (1_001, 1_000, 0, 1)]
    {
        let folder = small_folder();
        let path = folder.path();
        fs::write(path.join("rules/pairs.yml"), rule).expect("written");
        let event = |target: String, second: u32| {
            format!(
                "{{\"eventType\":\"user.session.start\",\"outcome\":{{\"result\":\"FAILURE\"}},\"published\":\"2026-01-01T00:00:{second:02}Z\",\"target\":[{target}]}}\n"
            )
        };
        let id = |number: u32| format!("{{\"id\":\"v{number}\"}}");
        let many: Vec<String> = (0..elements).map(id).collect();
        let log = event(many.join(","), 0) + event(id(wanted), 1).as_str();
        fs::write(path.join("long.ndjson"), log).expect("written");
        let output = rulectl(path, "run --events long.ndjson --format ndjson");
        let last = out(&output)
            .lines()
            .last()
            .map(str::to_owned)
            .expect("a run");
        let run: Value = serde_json::from_str(&last).expect("JSON");
        let counts = (
            run["run"]["artifacts"]["findings"]["records"].as_u64(),
            run["run"]["counts"]["correlation"]["cut_groups"].as_u64(),
        );
        assert_eq!(counts, (Some(findings), Some(cut)), "{elements}");
    }
}

#[test]
fn a_damaged_archive_of_a_policy_is_mended() {
    let folder = folder();
    let run = || rulectl(folder.path(), "run --events LOGS/flat-demo.json");
    run();
    let policies = folder.path().join("data/policies");
    let archived = fs::read_dir(&policies).expect("an archive").flatten();
    let archived = archived
        .map(|entry| entry.path())
        .find(|path| path.is_dir())
        .expect("a policy");
    fs::remove_file(archived.join("tools.yaml")).expect("removed");
    fs::write(archived.join("routing.toml"), "changed").expect("written");
    run();
    for file in ["tools.yaml", "routing.toml"] {
        assert_eq!(
            fs::read(archived.join(file)).ok(),
            fs::read(small_place().join(file)).ok(),
            "{file}"
        );
    }
}

/// An input that failed beside a good one is not forgotten when the run is over.
#[test]
fn a_failed_input_is_remembered() {
    let folder = folder();
    let path = folder.path();
    fs::write(path.join("cut.gz"), [0x1f, 0x8b, 8, 0, 0, 0]).expect("written");
    let output = rulectl(path, "run --events LOGS/flat-demo.json cut.gz");
    check("run", &output, 2, "bob", "cut.gz");
    check("show", &rulectl(path, "show"), 0, "bob", "cut.gz");
}

/// Links to folders may go in a circle, and `.lock` may be one to something precious.
#[cfg(unix)]
#[test]
fn links_lead_nowhere() {
    use std::os::unix::fs::symlink;
    let folder = small_folder();
    let path = folder.path();
    for name in ["a", "b", "c", "d", "e", "f"] {
        symlink(".", path.join("rules").join(name)).expect("a link");
        symlink(".", path.join("fixtures").join(name)).ok();
    }
    check(
        "check",
        &rulectl(path, "check"),
        0,
        "`rules/a` has no effect: links to folders are not followed",
        "",
    );
    fs::create_dir_all(path.join("data")).expect("made");
    fs::write(path.join("precious"), "keep").expect("written");
    symlink("../precious", path.join("data/.lock")).expect("a link");
    check(
        "run",
        &rulectl(path, "run --events LOGS/flat-demo.json"),
        2,
        "",
        ".lock",
    );
    assert_eq!(
        fs::read_to_string(path.join("precious")).expect("there"),
        "keep"
    );
}

#[test]
fn a_reach_of_hours_has_bounds() {
    let folder = folder();
    #[rustfmt::skip]
    let cases = [
        ("0", 3, "", "'--hours <N>'"),
        ("1", 0, "bob", "reading the 1 hour before"),
        ("876000", 0, "bob", "reading the 876000 hours before"),
        ("876001", 3, "", "'--hours <N>'"),
        ("5124096", 3, "", "'--hours <N>'"),
    ];
    for (hours, exit, stdout, stderr) in cases {
        let words = format!("run --events LOGS/flat-demo.json --hours {hours}");
        check(hours, &rulectl(folder.path(), &words), exit, stdout, stderr);
    }
}

#[test]
fn a_second_writer_is_refused_and_readers_are_not() {
    let folder = folder();
    let path = folder.path();
    rulectl(path, "run --events LOGS/demo-day.ndjson");
    let before = snapshot(&path.join("data"));
    let lock = File::options()
        .write(true)
        .open(path.join("data/.lock"))
        .expect("the lock file");
    lock.lock().expect("the lock");
    check(
        "run",
        &rulectl(path, "run --events LOGS/flat-demo.json"),
        2,
        "",
        "another rulectl is writing to `data`",
    );
    check("show", &rulectl(path, "show"), 0, "INCIDENT", "");
    assert_eq!(snapshot(&path.join("data")), before);
    drop(lock);
    check(
        "run",
        &rulectl(path, "run --events LOGS/flat-demo.json"),
        0,
        "Incidents: 1",
        "",
    );
}

#[test]
fn artifacts_of_two_runs_do_not_pass_as_one() {
    let (one, two) = (folder(), folder());
    rulectl(one.path(), "run --events LOGS/demo-day.ndjson");
    rulectl(two.path(), "run --events LOGS/flat-demo.json");
    for artifact in [
        "findings",
        "risks",
        "routes",
        "incidents",
        "plans",
        "commands",
        "drafts",
    ] {
        let data = folder();
        lay_over(one.path(), data.path());
        let name = format!("data/{artifact}.jsonl");
        fs::copy(two.path().join(&name), data.path().join(&name)).expect("copied");
        let wanted = format!("`{artifact}.jsonl` in `data` is not the one that run.json names");
        check(
            artifact,
            &rulectl(data.path(), "show findings"),
            2,
            "",
            &wanted,
        );
        fs::remove_file(data.path().join(&name)).expect("removed");
        check(
            artifact,
            &rulectl(data.path(), "show findings"),
            2,
            "",
            &wanted,
        );
        check(
            artifact,
            &rulectl(data.path(), "run --events LOGS/demo-day.ndjson"),
            0,
            "Incidents: 4",
            "",
        );
        check(
            artifact,
            &rulectl(data.path(), "show findings"),
            0,
            "not promoted",
            "",
        );
    }
    fs::write(one.path().join("data/run.json"), "{}").expect("written");
    check("run.json", &rulectl(one.path(), "show"), 2, "", "run.json");
}

#[test]
fn a_run_leaves_nothing_but_its_artifacts() {
    let folder = folder();
    for words in [
        "run --events LOGS/demo-day.ndjson",
        "run --events LOGS/odd/malformed.ndjson --strict",
        "run --append --events LOGS/flat-demo.json",
    ] {
        rulectl(folder.path(), words);
    }
    let mut names: Vec<String> = fs::read_dir(folder.path().join("data"))
        .expect("the data")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    names.sort();
    let wanted = [
        ".lock",
        "audit",
        "commands.jsonl",
        "drafts.jsonl",
        "findings.jsonl",
        "incidents.jsonl",
        "plans.jsonl",
        "policies",
        "rejects.jsonl",
        "risks.jsonl",
        "routes.jsonl",
        "run.json",
    ];
    assert_eq!(names, wanted);
    assert_eq!(
        fs::read_dir(folder.path().join("data/policies"))
            .expect("the archive")
            .count(),
        2,
        "one policy and the list of generations"
    );
}

#[test]
fn a_finding_is_shown_by_the_beginning_of_its_id_or_its_incident_s() {
    let folder = folder();
    let path = folder.path();
    rulectl(path, "run --events LOGS/demo-day.ndjson");
    let incidents: Vec<Value> =
        serde_json::from_str(&out(&rulectl(path, "show incidents --format json"))).expect("JSON");
    for incident in &incidents {
        let (id, finding) = (
            incident["id"].as_str().expect("an id"),
            incident["finding_id"].as_str().expect("an id"),
        );
        let full = out(&rulectl(path, &format!("show finding {finding}")));
        for prefix in [&finding[..8], &finding.to_uppercase()[..12], &id[..8], id] {
            let output = rulectl(path, &format!("show finding {prefix}"));
            check(prefix, &output, 0, "What happened", "");
            assert_eq!(out(&output), full);
        }
        for section in [
            "Which rule noticed, and why",
            "What was decided",
            "What to do",
            "verdict",
            finding,
            id,
        ] {
            assert!(full.contains(section), "{section} is not in:\n{full}");
        }
    }
    // An empty beginning is that of all.
    let all = program()
        .current_dir(path)
        .args(["--data", "data", "show", "finding", ""])
        .output()
        .expect("it runs");
    check("an empty id", &all, 3, "", "6 findings begin with ``");
}

/// A suite of one case that passes and one that fails.
const SUITE: &str = "suite: bursts
cases:
  - name: five failures
    base: &base {eventType: user.session.start, outcome.result: FAILURE, actor.alternateId: alice@example.com}
    events: [{at: +0m, repeat: 5, every: +1m}]
    expect: {findings: [{rule: failed_login_burst, count: 5, group: {actor.alternateId: alice@example.com}}]}
  - name: a wrong count
    base: *base
    events: [{at: +0m, repeat: 7, every: +1m}]
    expect: {findings: [{rule: failed_login_burst, count: 8}]}
";

/// A policy folder with a suite.
fn suite(text: &str) -> TempDir {
    let folder = folder();
    lay_over(&root().join("tests/diagnostics/good"), folder.path());
    fs::create_dir(folder.path().join("fixtures")).expect("a folder");
    fs::write(folder.path().join("fixtures/bursts.test.yml"), text).expect("written");
    folder
}

#[test]
fn suites_pass_fail_or_are_broken() {
    let change = |from: &str, to: &str| {
        assert!(SUITE.contains(from), "{from}");
        SUITE.replace(from, to)
    };
    let good = change("count: 8", "count: 7");
    let failing = ["expected one of the findings to be this (-), and the nearest is (+)"];
    #[rustfmt::skip]
    let cases: Vec<(&str, String, &str, i32, &str, &str)> = vec![
        ("both pass", good.clone(), "test", 0, "2 passed, 0 failed", ""),
        ("one fails", SUITE.to_owned(), "test", 1, failing[0], ""),
        ("the failing one alone", SUITE.to_owned(), "test WRONG", 1, "0 passed, 1 failed", ""),
        ("the passing one alone", SUITE.to_owned(), "test bursts:.five five", 0, "1 passed, 0 failed", ""),
        ("no such case", good.clone(), "test seven", 1, "", "no case is called `seven`"),
        ("a near miss that is none", change("[{rule: failed_login_burst, count: 8}]", "[]"), "test", 1, "that nothing expected", ""),
        ("a wrong number", change("{findings: [{rule: failed_login_burst, count: 8}]}", "{findings: 2}"), "test", 1, "expected 2 findings, received 1", ""),
        ("a finding that is not there", change("repeat: 7", "repeat: 3"), "test", 1, "there is none left", ""),
        ("a misspelt key of a case", change("    expect: {findings: [{rule: failed_login_burst, count: 8}]}", "    expct: {}"), "test", 2, "", "did you mean `expect`?"),
        ("a misspelt field", change("count: 8", "cuont: 8"), "test", 2, "", "did you mean `count`?"),
        ("a misspelt kind", change("findings: [{rule: failed_login_burst, count: 8}]", "findngs: []"), "test", 2, "", "did you mean `findings`?"),
        ("a case that expects nothing", change("{findings: [{rule: failed_login_burst, count: 8}]}", "{}"), "test", 2, "", "the case expects nothing"),
        ("no such log", change("[{at: +0m, repeat: 7, every: +1m}]", "{file: logs/none.ndjson}"), "test", 2, "", "there is no log file `logs/none.ndjson`"),
        ("a bad offset", change("at: +0m, repeat: 7", "at: soon, repeat: 7"), "test", 2, "", "`soon` is not a time from the start"),
        ("a rule that does not exist", change("rule: failed_login_burst, count: 8", "rule: failed_logon_burst, count: 7"), "test", 1, "failed_logon_burst", "did you mean `failed_login_burst`?"),
        ("no cases", "suite: bursts\ncases: []\n".to_owned(), "test", 2, "", "the suite has no cases"),
        ("an empty file", String::new(), "test", 2, "", "one YAML document"),
    ];
    for (what, text, words, exit, stdout, stderr) in cases {
        check(
            what,
            &rulectl(suite(&text).path(), words),
            exit,
            stdout,
            stderr,
        );
    }
    let failed = out(&rulectl(suite(SUITE).path(), "test"));
    for line in [
        "FAILED bursts: a wrong count",
        "fixtures/bursts.test.yml",
        "-   \"count\": 8",
        "+   \"count\": 7",
        "again: rulectl test 'bursts: a wrong count'",
        "1 passed, 1 failed",
    ] {
        assert!(failed.contains(line), "{line} is not in:\n{failed}");
    }
    let none = folder();
    lay_over(&root().join("tests/diagnostics/good"), none.path());
    check(
        "no suites",
        &rulectl(none.path(), "test"),
        1,
        "",
        "the policy has no suites",
    );
}

/// A near miss that stays quiet because of a slip proves nothing, so that a field that Okta never sends is named.
#[test]
fn a_misspelt_field_of_an_event_is_noticed() {
    for (right, wrong) in [
        ("every: +1m", "evry: +1m"),
        ("outcome.result", "outcom.result"),
    ] {
        let output = rulectl(suite(&SUITE.replace(right, wrong)).path(), "test");
        assert!(
            err(&output).contains(wrong.split(':').next().unwrap_or_default()),
            "{wrong}: {}{}",
            out(&output),
            err(&output)
        );
    }
}

/// Neither stream is a terminal here, so that colour comes from `--color` alone.
#[test]
fn colour_is_asked_for_or_absent() {
    let folder = folder();
    let path = folder.path();
    fs::write(path.join("broken.ndjson"), "{}}\n").expect("written");
    #[rustfmt::skip]
    let cases: [(&str, Env<'_>, bool); 8] = [
        ("run --events broken.ndjson", &[], false),
        ("run --events broken.ndjson --color auto", &[], false),
        ("run --events broken.ndjson --color never", &[("CLICOLOR_FORCE", "1")], false),
        ("run --events broken.ndjson --color always", &[], true),
        ("run --events broken.ndjson --color always", &[("NO_COLOR", "1")], true),
        ("run --events broken.ndjson", &[("NO_COLOR", "1")], false),
        ("run --events broken.ndjson", &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], false),
        ("run --events broken.ndjson --color auto", &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], false),
    ];
    for (words, env, coloured) in cases {
        let output = rulectl_with(path, words, env, b"");
        for (stream, text) in [("stdout", out(&output)), ("stderr", err(&output))] {
            assert_eq!(
                text.contains('\u{1b}'),
                coloured,
                "{words} {env:?}: {stream}: {text}"
            );
        }
    }
    for words in [
        "run --format json --color always --events LOGS/demo-day.ndjson",
        "show findings --format ndjson --color always",
    ] {
        assert!(
            !out(&rulectl(path, words)).contains('\u{1b}'),
            "{words}: colour is not part of JSON"
        );
    }
    let policy = suite(SUITE);
    lay_over(&root().join("tests/diagnostics/conditions"), policy.path());
    for (words, coloured) in [
        ("check", false),
        ("check --color always", true),
        ("check --color never", false),
    ] {
        assert_eq!(
            out(&rulectl(policy.path(), words)).contains('\u{1b}'),
            coloured,
            "{words}"
        );
    }
}

/// The policy that made a run is archived, and its generation counts activations.
#[test]
fn generations_count_policies_that_were_activated() {
    let folder = suite(SUITE);
    let path = folder.path();
    let generation = || {
        let output = rulectl(path, "run --format json --events LOGS/flat-demo.json");
        let run: Value = serde_json::from_str(&out(&output)).expect("JSON");
        (
            run["run"]["generation"].as_u64().expect("a number"),
            run["run"]["policy"].as_str().expect("a digest").to_owned(),
        )
    };
    let rules = path.join("rules/sign_in.yml");
    let text = fs::read_to_string(&rules).expect("rules");
    let (first, digest) = generation();
    assert_eq!((first, generation().0), (1, 1));
    fs::write(&rules, text.replace("gte: 5", "gte: 4")).expect("written");
    let (second, other) = generation();
    assert_eq!((second, other != digest), (2, true));
    fs::write(&rules, &text).expect("written");
    assert_eq!(generation(), (3, digest.clone()));
    let archived = path
        .join("data/policies")
        .join(digest)
        .join("rules/sign_in.yml");
    assert_eq!(fs::read_to_string(archived).expect("the archive"), text);
}
