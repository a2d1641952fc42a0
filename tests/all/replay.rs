//! Runs that are recorded, replayed and told: what comes out the same, what does not, and why.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::harness::{log, program, root, small_folder};

/// Runs the program in a folder; `LOGS/` is the bundled logs, `DATABASES/` the databases.
fn rulectl(folder: &Path, words: &str) -> Output {
    rulectl_on(folder, words, b"")
}

fn rulectl_on(folder: &Path, words: &str, stdin: &[u8]) -> Output {
    let logs = log("").display().to_string();
    let databases = root().join("fixtures/databases").display().to_string() + "/";
    let words = words.split_whitespace().map(|word| {
        word.replace("LOGS/", &logs)
            .replace("DATABASES/", &databases)
    });
    let mut command = program();
    command.current_dir(folder).args(words).write_stdin(stdin);
    command.output().expect("it runs")
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn both(output: &Output) -> String {
    format!("{}{}", out(output), err(output))
}

#[track_caller]
fn check(output: &Output, exit: i32, holds: &str) {
    let shown = both(output);
    assert_eq!(output.status.code(), Some(exit), "{shown}");
    assert!(shown.contains(holds), "no `{holds}` in {shown}");
}

/// The records of the audit.
fn records(folder: &Path) -> Vec<Value> {
    let lines = out(&rulectl(folder, "replay --format json"));
    assert!(lines.starts_with('{'), "{lines}");
    let audit = folder.join("data/audit");
    let records = rulectl::audit::read(&audit).expect("an audit");
    let as_value = |record: rulectl::audit::Record| serde_json::json!({"seq": record.seq, "kind": record.kind, "body": record.body});
    records
        .map(|record| as_value(record.expect("a record")))
        .collect()
}

fn of_kind<'r>(records: &'r [Value], kind: &str) -> Vec<&'r Value> {
    records
        .iter()
        .filter(|record| record["kind"] == kind)
        .collect()
}

/// Each file that is a body.
fn blobs(folder: &Path) -> Vec<PathBuf> {
    let mut blobs = Vec::new();
    for part in fs::read_dir(folder.join("data/audit/blobs")).expect("bodies") {
        let part = part.expect("a folder").path();
        let files = fs::read_dir(part).expect("a folder");
        blobs.extend(files.map(|file| file.expect("a file").path()));
    }
    blobs
}

#[test]
fn what_a_run_decided_comes_out_the_same() {
    let runs = [
        "run --events LOGS/demo-day.ndjson",
        "run --events LOGS/demo-day.ndjson LOGS/flat-demo.json LOGS/event-hook.json LOGS/odd/odd-shapes.ndjson",
        "run --events LOGS/array-pretty.json LOGS/concatenated-pretty.json LOGS/odd/malformed.ndjson --threads 2",
        "run --events LOGS/odd/lower-cased.ndjson --mapping lowercase",
        "run --events LOGS/flat-demo.json --mapping flat",
        "run --events LOGS/demo-day.ndjson --since 2026-03-02T12:00:00Z",
        "run --events LOGS/demo-day.ndjson --follow",
        "run --events LOGS/flat-demo.json LOGS/demo-day.ndjson LOGS/event-hook.json --follow --lateness 1h --append",
    ];
    let folder = small_folder();
    for (at, words) in runs.iter().enumerate() {
        let ran = rulectl(folder.path(), words);
        assert_eq!(ran.status.code(), Some(0), "{words}: {}", err(&ran));
        let replayed = rulectl(folder.path(), "replay --format json");
        check(&replayed, 0, "");
        let report: Value = serde_json::from_slice(&replayed.stdout).expect("JSON");
        let run = &report["runs"][at];
        assert!(run["recorded"].as_u64() > Some(0), "{words}: {run}");
        assert_eq!(run["recorded"], run["same"], "{words}: {run}");
        assert_eq!(run["different"], 0, "{words}: {run}");
    }
    let all = rulectl(folder.path(), "replay");
    check(&all, 0, "in 8 runs came out the same, byte for byte");
}

#[test]
fn a_run_that_goes_on_from_state_comes_out_the_same() {
    let folder = small_folder();
    let day = fs::read_to_string(log("demo-day.ndjson")).expect("the demo day");
    let lines: Vec<&str> = day.lines().collect();
    let (before, after) = lines.split_at(318);
    let words = "run --events - --follow --state live.state --append";
    for part in [before, after] {
        let ran = rulectl_on(folder.path(), words, (part.join("\n") + "\n").as_bytes());
        assert_eq!(ran.status.code(), Some(0), "{}", err(&ran));
    }
    let records = records(folder.path());
    assert_eq!(of_kind(&records, "state.restored").len(), 1);
    check(
        &rulectl(folder.path(), "replay"),
        0,
        "in 2 runs came out the same",
    );
}

#[test]
fn what_comes_together_is_one_body() {
    let folder = small_folder();
    rulectl(folder.path(), "run --events LOGS/demo-day.ndjson --follow");
    let records = records(folder.path());
    let evidence = of_kind(&records, "evidence");
    let findings = of_kind(&records, "finding");
    assert!(
        findings.len() > 10 && evidence.len() <= 3,
        "{} {}",
        findings.len(),
        evidence.len()
    );
    assert!(evidence[0]["seq"].as_u64() < findings[0]["seq"].as_u64());
    let bytes = fs::read(log("demo-day.ndjson")).expect("the demo day");
    let digest = rulectl::event::Digest::of(&bytes).to_string();
    let input = of_kind(&records, "input")[0];
    assert_eq!(input["body"]["inputs"][0]["sha256"], digest);
}

#[test]
fn databases_are_part_of_what_was_decided() {
    let folder = small_folder();
    let databases = "--geoip DATABASES/countries.mmdb --asn DATABASES/systems.mmdb";
    let ran = rulectl(
        folder.path(),
        &format!("run --events LOGS/demo-day.ndjson {databases}"),
    );
    assert_eq!(ran.status.code(), Some(0), "{}", err(&ran));
    check(
        &rulectl(folder.path(), "replay"),
        4,
        "it asked other databases",
    );
    let with = rulectl(folder.path(), &format!("replay {databases}"));
    check(&with, 0, "came out the same");
}

/// The recorded demo day, which `fixtures/record_audit.sh` makes.
#[test]
fn the_recorded_demo_day_comes_out_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let fixture = root().join("fixtures/audit").display().to_string();
    let replayed = rulectl(folder.path(), &format!("replay --data {fixture}"));
    check(
        &replayed,
        0,
        "84 of 84 recorded decisions in 2 runs came out the same",
    );
    let verified = rulectl(folder.path(), &format!("audit verify {fixture}/audit"));
    check(&verified, 0, "verified: the audit in");
}

#[test]
fn bodies_are_kept_for_as_long_as_the_policy_says() {
    let folder = small_folder();
    let path = folder.path();
    rulectl(path, "run --events LOGS/demo-day.ndjson");
    check(&rulectl(path, "audit prune"), 0, "removed 0 bodies");
    let routing = fs::read_to_string(path.join("routing.toml")).expect("a text");
    let routing = format!("{routing}\n[audit]\nretention = \"0s\"\n");
    fs::write(path.join("routing.toml"), routing).expect("written");
    check(&rulectl(path, "audit prune"), 0, "removed 1 body");
    check(
        &rulectl(path, "audit verify"),
        0,
        "no record of the last 0s names it",
    );
    check(&rulectl(path, "replay"), 4, "it was pruned");
    fs::write(path.join("routing.toml"), "[audit]\nretention = 7").expect("written");
    check(&rulectl(path, "audit prune"), 2, "`7` has no unit");
}

#[test]
fn each_arrow_is_recorded_before_what_follows() {
    let folder = small_folder();
    rulectl(folder.path(), "run --events LOGS/demo-day.ndjson");
    let records = records(folder.path());
    let kinds: Vec<&str> = records
        .iter()
        .map(|record| record["kind"].as_str().expect("a text"))
        .collect();
    let begin = [
        "log.begun",
        "policy.intended",
        "policy.done",
        "run.begun",
        "route",
        "evidence",
        "input",
        "finding",
        "risk",
        "incident",
        "route",
        "plan",
        "commands",
        "draft",
        "finding",
    ];
    assert_eq!(kinds[..begin.len()], begin);
    let end = [
        "artifacts.intended",
        "artifacts.done",
        "run.ended",
        "checkpoint",
    ];
    assert_eq!(kinds[kinds.len() - end.len()..], end);

    // What was read is told by what `sha256sum` says, and what was written by what `run.json` says.
    let input = of_kind(&records, "input")[0];
    let bytes = fs::read(log("demo-day.ndjson")).expect("the demo day");
    let digest = rulectl::event::Digest::of(&bytes).to_string();
    assert_eq!(input["body"]["inputs"][0]["sha256"], digest);
    let run = fs::read(folder.path().join("data/run.json")).expect("a run");
    let run: Value = serde_json::from_slice(&run).expect("JSON");
    let intended = of_kind(&records, "artifacts.intended")[0];
    assert_eq!(intended["body"]["artifacts"], run["artifacts"]);
}

#[test]
fn an_artifact_that_cannot_be_recorded_is_not_written() {
    let folder = small_folder();
    rulectl(folder.path(), "run --events LOGS/demo-day.ndjson");
    let before = fs::read(folder.path().join("data/run.json")).expect("a run");
    fs::remove_dir_all(folder.path().join("data/audit")).expect("removed");
    fs::write(folder.path().join("data/audit"), "in the way").expect("written");
    let ran = rulectl(
        folder.path(),
        "run --events LOGS/flat-demo.json --format ndjson",
    );
    check(&ran, 2, "the audit in");
    assert_eq!(out(&ran), "", "nothing is told that is not recorded");
    let after = fs::read(folder.path().join("data/run.json")).expect("a run");
    assert_eq!(before, after);
    let without = rulectl(folder.path(), "run --events LOGS/flat-demo.json --no-audit");
    check(&without, 0, "Nothing was executed");
}

#[test]
fn what_is_secret_is_in_no_record_and_changes_no_decision() {
    let folder = small_folder();
    let path = folder.path();
    let secret = "\n[audit]\nsecret = [\"target.displayName\", \"transaction\", \"debugContext.debugData.url\"]\n";
    let routing = fs::read_to_string(path.join("routing.toml")).expect("a text");
    let routing = format!("{routing}{secret}");
    fs::write(path.join("routing.toml"), routing).expect("written");
    let plain = rulectl(
        path,
        "run --events LOGS/demo-day.ndjson --format ndjson --no-audit",
    );
    let ran = rulectl(path, "run --events LOGS/demo-day.ndjson --format ndjson");
    assert_eq!(out(&plain), out(&ran));
    let records = records(path);
    let evidence = &of_kind(&records, "evidence")[0]["body"];
    assert!(
        evidence["masked"]
            .as_array()
            .is_some_and(|masked| masked.len() >= 2),
        "{evidence}"
    );
    for blob in blobs(path) {
        let bytes = fs::read(blob).expect("a body");
        let text = zstd::decode_all(bytes.as_slice()).expect("zstd");
        let text = String::from_utf8(text).expect("UTF-8");
        for line in text.lines() {
            let kept: Value = serde_json::from_str(line).expect("JSON");
            let record = &kept["event"]["record"];
            let target = &record["target"][0]["displayName"];
            assert!(target.is_null() || *target == "***", "{line}");
            let transaction = &record["transaction"];
            assert!(transaction.is_null() || *transaction == "***", "{line}");
        }
    }
    check(&rulectl(path, "replay"), 0, "came out the same");
}

#[test]
fn a_secret_in_a_key_that_stands_twice_is_in_no_record() {
    let folder = small_folder();
    let path = folder.path();
    let routing = fs::read_to_string(path.join("routing.toml")).expect("a text");
    let routing = format!("{routing}\n[audit]\nsecret = [\"request.ipChain\"]\n");
    fs::write(path.join("routing.toml"), routing).expect("written");
    let text = fs::read_to_string(log("demo-day.ndjson")).expect("the demo day");
    let twice = r#"{"request":{"ipChain":"canary"},"request":{},"#;
    let text: String = text
        .lines()
        .map(|line| line.replacen('{', twice, 1) + "\n")
        .collect();
    rulectl_on(path, "run --events -", text.as_bytes());
    let blobs = blobs(path);
    assert!(!blobs.is_empty());
    for blob in blobs {
        let bytes = fs::read(blob).expect("a body");
        let text = zstd::decode_all(bytes.as_slice()).expect("zstd");
        let text = String::from_utf8(text).expect("UTF-8");
        assert!(!text.contains("canary"), "{text}");
    }
    check(&rulectl(path, "replay"), 0, "came out the same");
}

#[test]
fn an_event_that_looks_like_an_envelope_is_one_event_again() {
    let folder = small_folder();
    let path = folder.path();
    let rule = "title: Any\nname: any\nlevel: high\nlogsource: {product: okta}\ndetection: {s: {outcome.result: FAILURE}, condition: s}\n";
    fs::write(path.join("rules/any.yml"), rule).expect("written");
    for inner in [
        r#""data":{"events":[{"outcome":{"result":"FAILURE"}},{}]}"#,
        r#""eventType":"com.okta.event_hook""#,
        r#""eventType":"com.okta.event_hook","data":{"events":[]}"#,
    ] {
        let event = format!(
            r#"{{"data":{{"events":[{{"outcome":{{"result":"FAILURE"}},"published":"2026-03-02T00:00:00.000Z",{inner}}}]}}}}"#
        );
        let ran = rulectl_on(path, "run --events -", event.as_bytes());
        check(&ran, 0, "Incidents: 1");
        check(&rulectl(path, "replay"), 0, "came out the same");
    }
}

#[test]
fn a_silent_source_makes_a_body_an_hour_and_not_a_second() {
    let folder = small_folder();
    let audit = folder.path().join("data/audit");
    let (log, _) =
        rulectl::audit::Audit::open(&audit, rulectl::audit::Options::live(None)).expect("a log");
    let mut recorder = rulectl::record::Recorder::new(Some(&log));
    let time_went_by = || rulectl::pipeline::Evidence {
        lines: b"{\"advance\":{\"after\":0,\"watermark\":\"2026-03-02T00:00:00Z\"}}\n".to_vec(),
        ..Default::default()
    };
    let kept = || {
        let records = rulectl::audit::read(&audit).expect("a log");
        let kinds = records.map(|record| record.expect("a record").kind);
        kinds.filter(|kind| kind == "evidence").count()
    };
    for _ in 0..3 {
        recorder.evidence(time_went_by()).expect("taken");
        recorder.commit().expect("durable");
    }
    assert_eq!(kept(), 0);
    recorder.checkpoint().expect("durable");
    assert_eq!(kept(), 1, "all of it in one");
    recorder.evidence(time_went_by()).expect("taken");
    let event = rulectl::pipeline::Evidence {
        events: 1,
        ..time_went_by()
    };
    recorder.evidence(event).expect("taken");
    recorder.commit().expect("durable");
    assert_eq!(kept(), 2, "an event does not wait");
}

#[test]
fn what_differs_is_named_with_its_cause() {
    let folder = small_folder();
    let other = small_folder();
    let routing = fs::read_to_string(other.path().join("routing.toml")).expect("a text");
    let routing = routing.replace("threshold  = 0.6", "threshold  = 0.9");
    let routing = routing.replace(
        "severities = [\"high\", \"critical\"]\n\n# --- slots",
        "severities = [\"critical\"]\n\n# --- slots",
    );
    fs::write(other.path().join("routing.toml"), routing).expect("written");
    rulectl(folder.path(), "run --events LOGS/demo-day.ndjson");
    let words = format!("replay --under {}", other.path().display());
    let replayed = rulectl(folder.path(), &words);
    check(&replayed, 1, "cause     the policy is another: it was ");
    check(&replayed, 1, "`/promotion/promoted` was true, and is false");
    check(
        &replayed,
        1,
        "incident of 17496623-97c8-5096-99d5-06f345335f72: is not made any more",
    );

    let words = format!("replay --under {} --format json", other.path().display());
    let report: Value =
        serde_json::from_slice(&rulectl(folder.path(), &words).stdout).expect("JSON");
    let run = &report["runs"][0];
    let numbers = ["recorded", "same", "different"].map(|key| run[key].as_u64().expect("a number"));
    assert_eq!(numbers[0], numbers[1] + numbers[2]);
    assert_eq!(run["changed"][0]["what"], "policy");
}

#[test]
fn what_is_gone_makes_a_replay_inconclusive() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage, i32, &str); 5] = [
        (
            "bodies are gone",
            |folder| {
                for blob in blobs(folder) {
                    fs::remove_file(blob).expect("removed");
                }
            },
            4,
            "is gone: it was pruned",
        ),
        (
            "a body is another",
            |folder| {
                fs::write(
                    &blobs(folder)[0],
                    zstd::encode_all(&b"{}"[..], 0).expect("zstd"),
                )
                .expect("written");
            },
            4,
            "is damaged",
        ),
        (
            "the archive is gone",
            |folder| {
                fs::remove_dir_all(folder.join("data/policies")).expect("removed");
            },
            4,
            "is not in the archive of the data folder",
        ),
        (
            "the archive was changed",
            |folder| {
                let archive = fs::read_dir(folder.join("data/policies")).expect("an archive");
                for entry in archive {
                    let file = entry.expect("an entry").path().join("prompts/plan.md");
                    if let Ok(text) = fs::read_to_string(&file) {
                        fs::write(file, text + "\nmore\n").expect("written");
                    }
                }
            },
            4,
            "was changed in the archive",
        ),
        (
            "a record was changed",
            |folder| {
                let mut segments = fs::read_dir(folder.join("data/audit")).expect("an audit");
                let segment = segments.find_map(|entry| {
                    let path = entry.expect("an entry").path();
                    (path.extension()? == "jsonl").then_some(path)
                });
                let segment = segment.expect("a segment");
                let text = fs::read_to_string(&segment).expect("a text");
                fs::write(
                    segment,
                    text.replace("promotion.threshold 0.60", "promotion.threshold 0.61"),
                )
                .expect("written");
            },
            1,
            "it was changed",
        ),
    ];
    for (name, damage, exit, holds) in cases {
        let folder = small_folder();
        rulectl(folder.path(), "run --events LOGS/demo-day.ndjson");
        damage(folder.path());
        let replayed = rulectl(folder.path(), "replay");
        let shown = both(&replayed);
        assert_eq!(replayed.status.code(), Some(exit), "{name}: {shown}");
        assert!(shown.contains(holds), "{name}: no `{holds}` in {shown}");
    }
    let empty = small_folder();
    check(&rulectl(empty.path(), "replay"), 2, "holds no audit log");
}

#[test]
fn a_decision_is_explained_by_the_number_of_a_record_or_an_id() {
    let folder = small_folder();
    rulectl(folder.path(), "run --events LOGS/demo-day.ndjson");
    let first = of_kind(&records(folder.path()), "finding")[0]["seq"].clone();
    for word in ["c411690a", "17496623", &first.to_string()] {
        let explained = rulectl(folder.path(), &format!("replay {word}"));
        check(&explained, 0, "15990 km in 1h 1m");
        check(&explained, 0, "demo-day.ndjson, line 41");
        check(&explained, 0, "7 of 7 recorded decisions came out the same");
    }
    check(
        &rulectl(folder.path(), "replay ffffffff"),
        3,
        "no record of the audit is about `ffffffff`",
    );
    check(
        &rulectl(
            folder.path(),
            "replay --run 00000000-0000-0000-0000-000000000000",
        ),
        3,
        "the audit records no run",
    );
}

#[test]
fn the_status_of_an_incident_is_an_audited_event() {
    let folder = small_folder();
    let path = folder.path();
    check(
        &rulectl(path, "incident 17496623 closed"),
        2,
        "holds no finished run",
    );
    rulectl(path, "run --events LOGS/demo-day.ndjson");
    check(
        &rulectl(path, "incident 17496623 triaged --by dana"),
        0,
        "incident 17496623 is triaged (it was open)",
    );
    check(
        &rulectl(path, "incident c411690a closed --note VPN"),
        0,
        "incident 17496623 is closed (it was triaged)",
    );
    for (words, exit, holds) in [
        (
            "incident 126ffb74 closed",
            3,
            "no incident of the last run is called",
        ),
        (
            "incident zz closed",
            3,
            "no incident of the last run is called",
        ),
        (
            "incident 17496623 done",
            3,
            "possible values: open, triaged, closed",
        ),
        ("show incidents", 0, "closed"),
        ("show finding c411690a", 0, "status    closed by "),
    ] {
        check(&rulectl(path, words), exit, holds);
    }
    // A later run finds it again, and it is still closed; the artifacts are as the run wrote them.
    rulectl(path, "run --events LOGS/demo-day.ndjson");
    let shown = out(&rulectl(path, "show incidents --format json"));
    let incidents: Vec<Value> = serde_json::from_str(&shown).expect("JSON");
    let closed = incidents
        .iter()
        .filter(|incident| incident["status"] == "closed");
    assert_eq!(closed.count(), 1);
    let records = records(path);
    let set = of_kind(&records, "incident.status");
    assert_eq!(set.len(), 2);
    assert_eq!(set[0]["body"]["by"], "dana");
    assert_eq!(set[1]["body"]["note"], "VPN");
    check(&rulectl(path, "replay"), 0, "in 2 runs came out the same");
}

#[test]
fn an_incident_that_opened_is_not_withdrawn() {
    let folder = small_folder();
    let path = folder.path();
    fs::write(
        path.join("rules/fading.yml"),
        "\
title: Fading
name: fading
logsource: {product: okta, service: okta}
detection:
  s: {eventType: user.session.start, outcome.result: FAILURE, actor.alternateId: fade@example.com}
  condition: s
rulectl:
  suppress: 1h
  group-by: [actor.alternateId]
  script: {finding: fading.rhai#describe}
",
    )
    .expect("written");
    fs::write(
        path.join("rules/fading.rhai"),
        "\
fn describe(finding) {
    #{severity: if finding.count > 1 { \"low\" } else { \"critical\" }}
}
",
    )
    .expect("written");
    let event = |minute: u32| {
        format!(
            "{{\"eventType\":\"user.session.start\",\"outcome\":{{\"result\":\"FAILURE\"}},\"actor\":{{\"alternateId\":\"fade@example.com\"}},\"published\":\"2026-03-02T10:{minute:02}:00Z\",\"uuid\":\"{minute}\"}}\n"
        )
    };
    let log = [event(0), event(10), event(20)].concat();
    let words = "run --events - --follow --format ndjson";
    let ran = rulectl_on(path, words, log.as_bytes());
    let lines: Vec<Value> = out(&ran)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let fading: Vec<&Value> = lines
        .iter()
        .filter(|line| line["finding"]["rule_name"] == "fading")
        .collect();
    assert_eq!(fading.len(), 2, "{}", both(&ran));
    assert_eq!(fading[0]["risk"]["severity"], "critical");
    assert_eq!(fading[1]["risk"]["severity"], "low");
    assert_eq!(fading[1]["promotion"]["promoted"], true);
    assert!(
        fading[1]["promotion"]["reasons"]
            .to_string()
            .contains("not withdrawn")
    );
    let artifacts = fs::read_to_string(path.join("data/findings.jsonl")).expect("findings");
    assert_eq!(artifacts.lines().count(), 1, "the closed one alone");
    check(&rulectl(path, "replay"), 0, "came out the same");
}
