//! The same bytes from the same events, in whatever order, packing and number of threads they come.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use rulectl::okta::Mapping;
use serde_json::Value;

use crate::harness::{log, memory, program, run_inputs, small};

/// What a run leaves: its stdout, and every artifact but `run.json`, which names the inputs.
#[derive(PartialEq)]
struct Left {
    stdout: String,
    files: BTreeMap<String, String>,
}

/// Runs the shipped policy over a file, in a folder of its own.
fn run(bytes: &[u8], name: &str, words: &[&str]) -> Left {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, data) = (folder.path().join(name), folder.path().join("data"));
    fs::write(&file, bytes).expect("written");
    let ran = program()
        .arg("run")
        .arg("--data")
        .arg(&data)
        .arg("--events")
        .arg(&file)
        .args(words)
        .output()
        .expect("it runs");
    assert_eq!(
        ran.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let stdout = String::from_utf8(ran.stdout).expect("UTF-8");
    Left {
        stdout: stdout.replace(&data.display().to_string(), "DATA"),
        files: artifacts(&data),
    }
}

fn artifacts(data: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(data).expect("the data folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        })
        .map(|path| {
            (
                path.file_name()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned(),
                fs::read_to_string(&path).expect("text"),
            )
        })
        .collect()
}

fn demo_day() -> Vec<u8> {
    fs::read(log("demo-day.ndjson")).expect("the demo day")
}

/// The lines in another order: `key` gives each its place.
fn reordered<K: Ord>(bytes: &[u8], key: impl Fn(usize, &str) -> K) -> Vec<u8> {
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    let mut lines: Vec<(usize, &str)> = text.lines().enumerate().collect();
    lines.sort_by_key(|(at, line)| key(*at, line));
    lines
        .iter()
        .flat_map(|(_, line)| [line.as_bytes(), b"\n"].concat())
        .collect()
}

/// The minute of an event, and a number that is always the same and says nothing.
fn shuffled_within_a_minute(at: usize, line: &str) -> (String, u64) {
    let event: Value = serde_json::from_str(line).expect("an event");
    let minute = event["published"]
        .as_str()
        .expect("a time")
        .get(..16)
        .expect("to the minute")
        .to_owned();
    (minute, shuffled(at, line))
}

fn shuffled(at: usize, _: &str) -> u64 {
    (at as u64)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(29)
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn the_same_events_leave_the_same_bytes() {
    let day = demo_day();
    let expected = run(&day, "events.ndjson", &[]);
    let halves: Vec<u8> = [
        &gzipped(&day[..day.len() / 2])[..],
        &gzipped(&day[day.len() / 2..])[..],
    ]
    .concat();
    let array = format!(
        "[{}]",
        String::from_utf8(day.clone())
            .expect("UTF-8")
            .trim_end()
            .replace('\n', ",\n")
    );
    let pretty: String = String::from_utf8(day.clone())
        .expect("UTF-8")
        .lines()
        .map(|line| {
            serde_json::to_string_pretty(&serde_json::from_str::<Value>(line).expect("an event"))
                .expect("JSON")
                + "\n"
        })
        .collect();
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<u8>, &str, &[&str])> = vec![
        ("a second run", day.clone(), "events.ndjson", &[]),
        ("one thread", day.clone(), "events.ndjson", &["--threads", "1"]),
        ("two threads", day.clone(), "events.ndjson", &["--threads", "2"]),
        ("seven threads", day.clone(), "events.ndjson", &["--threads", "7"]),
        ("another name", day.clone(), "other.log", &[]),
        ("shuffled within a minute", reordered(&day, shuffled_within_a_minute), "events.ndjson", &[]),
        ("shuffled altogether", reordered(&day, shuffled), "events.ndjson", &["--threads", "2"]),
        ("newest first", reordered(&day, |at, _| std::cmp::Reverse(at)), "events.ndjson", &[]),
        ("gzip", gzipped(&day), "events.gz", &[]),
        ("gzip in two members", halves, "events.gz", &[]),
        ("zstd", zstd::encode_all(&day[..], 3).expect("memory"), "events.zst", &[]),
        ("an array", array.into_bytes(), "events.json", &[]),
        ("Windows line ends", String::from_utf8(day.clone()).expect("UTF-8").replace('\n', "\r\n").into_bytes(), "events.ndjson", &[]),
        ("a byte order mark", [b"\xef\xbb\xbf", &day[..]].concat(), "events.ndjson", &[]),
    ];
    for (what, bytes, name, words) in cases {
        let left = run(&bytes, name, words);
        for (file, text) in &expected.files {
            assert_eq!(left.files.get(file), Some(text), "{what}: {file}");
        }
        assert!(
            left == expected,
            "{what}:\n{}",
            similar::TextDiff::from_lines(&expected.stdout, &left.stdout).unified_diff()
        );
    }
    // Keys are sorted when such a copy is made, so it has other digests; what is found is the same.
    assert_eq!(
        found(&run(pretty.as_bytes(), "events.json", &[])),
        found(&expected)
    );
}

/// Each finding as the truth file writes it.
fn found(left: &Left) -> Vec<(String, String, String, u64, u64, String, String)> {
    let records = left.files["findings.jsonl"]
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a finding"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    records
        .map(|record| {
            let kind = match record["finding_type"].as_str() {
                Some("FAILED_LOGIN_BURST") => "login_burst",
                Some("IMPOSSIBLE_TRAVEL") => "impossible_travel",
                Some("MFA_FATIGUE") => "mfa_fatigue",
                other => panic!("{other:?}"),
            };
            let moment = |key: &str| time(&text(&record[key]));
            (
                kind.to_owned(),
                text(&record["user_id"]),
                text(&record["rule_name"]),
                record["count"].as_u64().expect("a count"),
                record["hits"].as_u64().expect("hits"),
                moment("first_seen"),
                moment("last_seen"),
            )
        })
        .collect()
}

fn time(text: &str) -> String {
    rulectl::event::Time::parse(text)
        .expect("a time")
        .to_string()
}

#[test]
fn what_is_found_in_the_demo_day_is_the_truth_and_nothing_else() {
    let truth: Value =
        serde_json::from_slice(&fs::read(log("demo-day.truth.json")).expect("the truth"))
            .expect("JSON");
    let rule = |kind: &str| {
        match kind {
            "login_burst" => "failed_login_burst",
            other => other,
        }
        .to_owned()
    };
    let expected: Vec<_> = truth["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|finding| {
            let text = |key: &str| finding[key].as_str().expect("a text").to_owned();
            (
                text("kind"),
                text("user_id"),
                rule(&text("kind")),
                finding["count"].as_u64().expect("a count"),
                finding["hits"].as_u64().expect("hits"),
                time(&text("first")),
                time(&text("last")),
            )
        })
        .collect();
    let left = run(&demo_day(), "events.ndjson", &[]);
    assert_eq!(found(&left), expected);
    let total = truth["events"]["total"].as_u64().expect("a total");
    assert!(
        left.stdout
            .starts_with(&format!("{total} events from 1 input")),
        "{}",
        left.stdout
    );
    let near: Vec<&str> = truth["near_misses"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|miss| miss["user"].as_str())
        .collect();
    assert!(
        near.len() >= 8 && near.iter().all(|user| !left.stdout.contains(user)),
        "a near miss was found"
    );
}

/// Several inputs are one log: cut anywhere between two lines, and with a piece given twice.
#[test]
fn a_log_in_pieces_is_the_same_log() {
    let policy = small();
    let text = String::from_utf8(demo_day()).expect("UTF-8");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let whole = run_inputs(
        &policy,
        vec![memory(text.clone().into_bytes())],
        Mapping::Auto,
        2,
    );
    for cut in [1, 100, 250, 396] {
        let (head, tail) = (lines[..cut].concat(), lines[cut..].concat());
        for pieces in [
            vec![&head, &tail],
            vec![&tail, &head],
            vec![&head, &tail, &tail],
        ] {
            let inputs = pieces
                .into_iter()
                .map(|piece| memory(piece.clone().into_bytes()))
                .collect();
            assert_eq!(
                run_inputs(&policy, inputs, Mapping::Auto, 2).outcomes,
                whole.outcomes,
                "{cut}"
            );
        }
    }
}
