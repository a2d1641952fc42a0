//! The audit from outside: a writer that is killed, and the commands.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rulectl::audit::{Against, Audit, Options, body, named, read, verify};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::program;

/// Tells the test program that it is the writer.
const WRITES_TO: &str = "RULECTL_TEST_WRITES_TO";

/// A process writes, three threads of it, and is killed at some moment; what it said to be durable
/// is there, and what it did was announced. `RULECTL_CASES` says how many times.
#[test]
fn a_writer_that_is_killed_loses_nothing_that_it_acknowledged() {
    if let Some(folder) = std::env::var_os(WRITES_TO) {
        write_for_ever(Path::new(&folder));
    }
    let rounds = std::env::var("RULECTL_CASES").ok();
    let rounds: u64 = rounds.and_then(|it| it.parse().ok()).unwrap_or(20);
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::new();
    for round in 0..rounds {
        // From the seed: some while the log is still being opened.
        acknowledged.extend(killed_after(folder.path(), round * 7_919 % 24));
        check_killed(folder.path(), &acknowledged);
    }
    assert!(acknowledged.len() as u64 > rounds, "{}", acknowledged.len());
}

/// Starts the writer, kills it when it has acknowledged so many records, while it goes on, and gives all that it acknowledged: numbers of records and what they say.
fn killed_after(folder: &Path, wait: u64) -> Vec<(u64, u64)> {
    let name = "audit::a_writer_that_is_killed_loses_nothing_that_it_acknowledged";
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(WRITES_TO, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(writer.stdout.take().unwrap());
    let mut line = String::new();
    while line != "begins\n" {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "the writer begins");
    }
    let mut rest = String::new();
    for _ in 0..wait {
        said.read_line(&mut rest).unwrap();
    }
    writer.kill().unwrap();
    writer.wait().unwrap();
    said.read_to_string(&mut rest).unwrap();
    // The last line may be cut, and then its number is not what was said.
    let lines = rest
        .rsplit_once('\n')
        .map_or("", |(whole, _)| whole)
        .lines();
    let numbers = lines.map(|line| line.split_once(' ').unwrap_or_else(|| panic!("{line}")));
    numbers
        .map(|(seq, n)| (seq.parse().unwrap(), n.parse().unwrap()))
        .collect()
}

fn write_for_ever(folder: &Path) -> ! {
    let say = |text: &str| {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).unwrap();
        out.flush().unwrap();
    };
    say("\nbegins\n");
    let (audit, _) = Audit::open(&folder.join("audit"), Options::live(None)).unwrap();
    let effects = OpenOptions::new()
        .append(true)
        .create(true)
        .open(folder.join("effects"))
        .unwrap();
    std::thread::scope(|scope| {
        for thread in 0..3_u64 {
            let (audit, mut effects) = (&audit, &effects);
            scope.spawn(move || {
                for at in 0_u64.. {
                    let n = at * 3 + thread;
                    let body = json!({"n": n, "text": "x".repeat(n as usize % 700)});
                    let seq = match n % 5 {
                        0 => {
                            let intent = audit.intend("effect", body).unwrap();
                            let seq = intent.seq();
                            effects
                                .write_all(format!("{seq} {n}\n").as_bytes())
                                .unwrap();
                            audit.conclude(intent, Ok(json!({}))).unwrap();
                            seq
                        }
                        1 => {
                            let kept = audit.keep(format!("body {}", n % 97).as_bytes()).unwrap();
                            audit
                                .append("record", json!({"n": n, "blob": kept}))
                                .unwrap()
                        }
                        2 if n % 20 == 2 => {
                            audit.checkpoint().unwrap();
                            audit.append("record", body).unwrap()
                        }
                        _ => audit.append("record", body).unwrap(),
                    };
                    audit.commit().unwrap();
                    say(&format!("{seq} {n}\n"));
                }
            });
        }
    });
    unreachable!("the threads write for ever")
}

fn check_killed(folder: &Path, acknowledged: &BTreeMap<u64, u64>) {
    let log = folder.join("audit");
    let (audit, _) = Audit::open(&log, Options::live(None)).unwrap();
    drop(audit);
    let records: Vec<_> = read(&log).unwrap().map(Result::unwrap).collect();
    let number = |seq: u64| records[seq as usize].body["n"].as_u64();
    for (seq, n) in acknowledged {
        assert_eq!(number(*seq), Some(*n), "record {seq} was acknowledged");
    }
    let effects = fs::read_to_string(folder.join("effects")).unwrap_or_default();
    for effect in effects.lines() {
        let (seq, n) = effect.split_once(' ').unwrap();
        assert_eq!(
            number(seq.parse().unwrap()),
            n.parse().ok(),
            "an effect without its intent"
        );
    }
    for record in &records {
        named(&record.body, &mut |one| assert!(body(&log, &one).is_ok()));
    }
    let report = verify(&log, &Against::default(), &mut |_, _| {}).unwrap();
    assert!(report.verified, "{:?}", report.findings);
}

/// A data folder with an audit of a few records.
fn data() -> TempDir {
    let data = tempfile::tempdir().unwrap();
    let (audit, _) = Audit::open(&data.path().join("audit"), Options::live(None)).unwrap();
    let reply = audit.keep(b"a reply").unwrap();
    audit
        .append("finding", json!({"id": "f1", "title": "=HYPERLINK()"}))
        .unwrap();
    audit
        .append("model.reply", json!({"finding_id": "f1", "blob": reply}))
        .unwrap();
    audit
        .append("finding", json!({"id": "f2", "title": "\u{202e}evil"}))
        .unwrap();
    audit.close().unwrap();
    data
}

/// Runs `rulectl audit` and gives its exit code and both streams.
fn audit(data: &TempDir, words: &[&str]) -> (i32, String, String) {
    let mut command = program();
    command.env_remove("RULECTL_AUDIT_KEY_FILE");
    run(command
        .arg("--data")
        .arg(data.path())
        .arg("audit")
        .args(words))
}

fn run(command: &mut assert_cmd::Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn segment(data: &TempDir) -> PathBuf {
    let entries = fs::read_dir(data.path().join("audit")).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    paths
        .find(|path| path.extension().is_some_and(|it| it == "jsonl"))
        .unwrap()
}

#[test]
fn records_are_selected_and_shown() {
    let data = data();
    let seqs = |words: &[&str]| -> Vec<u64> {
        let (exit, out, err) = audit(&data, &[&["show", "--format", "ndjson"], words].concat());
        assert_eq!((exit, err.as_str()), (0, ""));
        let records = out
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        records
            .map(|record| record["seq"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(seqs(&[]), [0, 1, 2, 3, 4]);
    assert_eq!(seqs(&["--kind", "finding"]), [1, 3]);
    assert_eq!(seqs(&["--kind", "model", "--kind", "log"]), [0, 2]);
    assert_eq!(seqs(&["--grep", "\"f1\""]), [1, 2]);
    assert_eq!(seqs(&["--seq", "1..2"]), [1, 2]);
    assert_eq!(seqs(&["--seq", "3.."]), [3, 4]);
    assert_eq!(seqs(&["--seq", "2"]), [2]);
    assert_eq!(seqs(&["--limit", "2"]), [0, 1]);
    assert_eq!(seqs(&["--last", "2", "--kind", "finding"]), [1, 3]);
    assert_eq!(seqs(&["--since", "2100-01-01T00:00:00Z"]), [0; 0]);
    assert_eq!(
        seqs(&["--until", "2100-01-01T00:00:00Z", "--last", "1"]),
        [4]
    );
    assert_eq!(
        seqs(&["--run", "00000000-0000-0000-0000-000000000000"]),
        [0; 0]
    );
    let (_, json, _) = audit(&data, &["show", "--format", "json"]);
    assert_eq!(serde_json::from_str::<Vec<Value>>(&json).unwrap().len(), 5);
    let (_, json, _) = audit(&data, &["show", "--format", "json", "--kind", "nothing"]);
    assert_eq!(json, "[]\n");
    let (_, text, _) = audit(&data, &["show"]);
    assert_eq!(text.lines().count(), 5);
    assert!(text.contains("\\u202eevil"), "{text}");
    for words in [
        ["show", "--seq", "x"],
        ["show", "--since", "today"],
        ["prune", "--blob", "x"],
    ] {
        assert_eq!(audit(&data, &words).0, 3, "{words:?}");
    }
}

#[test]
fn an_export_is_a_table_without_formulas() {
    let data = data();
    let (exit, out, _) = audit(&data, &["export", "--to", "csv", "--kind", "finding"]);
    let rows: Vec<&str> = out.split_terminator("\r\n").collect();
    assert_eq!((exit, rows.len()), (0, 3));
    assert_eq!(rows[0], "seq,time,run,kind,ids,body");
    assert!(
        rows[1]
            .contains(",finding,f1,\"{\"\"id\"\":\"\"f1\"\",\"\"title\"\":\"\"=HYPERLINK()\"\"}\""),
        "{}",
        rows[1]
    );
    let (_, out, _) = audit(&data, &["export", "--to", "ndjson"]);
    assert_eq!(out.lines().count(), 5);
}

#[test]
fn a_pin_and_a_key_prove_what_the_log_alone_cannot() {
    let data = data();
    let key = data.path().join("key.pem");
    let (exit, out, _) = audit(&data, &["keygen", key.to_str().unwrap()]);
    assert_eq!(exit, 0);
    assert!(out.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{out}");
    let (exit, _, err) = audit(&data, &["keygen", key.to_str().unwrap()]);
    assert_eq!(exit, 2);
    assert!(err.contains("never overwritten"), "{err}");
    let (exit, out, _) = audit(&data, &["checkpoint"]);
    assert_eq!(exit, 0);
    let pin = out.trim().to_owned();
    let public = format!("{}.pub", key.display());

    let (exit, out, _) = audit(&data, &["verify", "--pin", &pin]);
    assert!(exit == 0 && out.starts_with("verified: "), "{out}");
    assert!(out.contains("  who wrote it"), "{out}");
    let (exit, out, _) = audit(&data, &["verify", "--public-key", &public]);
    assert!(exit == 1 && out.contains("it is not signed"), "{out}");

    // Signed, as the environment says; others may read the key, and that is said.
    let signed = |words: &[&str]| {
        let mut command = program();
        command.env("RULECTL_AUDIT_KEY_FILE", &key);
        run(command
            .arg("--data")
            .arg(data.path())
            .arg("audit")
            .args(words))
    };
    let (exit, out, err) = signed(&["checkpoint", "--format", "json"]);
    assert_eq!((exit, err.as_str()), (0, ""));
    assert!(serde_json::from_str::<Value>(&out).unwrap()["signature"].is_string());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let (exit, _, err) = signed(&["checkpoint"]);
        assert!(exit == 0 && err.contains("may read the key file"), "{err}");
    }
    fs::write(&key, "no key").unwrap();
    let (exit, _, err) = signed(&["checkpoint"]);
    assert!(
        exit == 2 && err.contains("is not a private Ed25519 key"),
        "{err}"
    );

    // A copy of the head is a pin too; cut behind it, the log does not verify.
    let head = data.path().join("audit/head.json");
    let copy = data.path().join("pin.json");
    fs::copy(&head, &copy).unwrap();
    fs::remove_file(&head).unwrap();
    let text = fs::read_to_string(segment(&data)).unwrap();
    let cut: String = text.split_inclusive('\n').take(3).collect();
    fs::write(segment(&data), cut).unwrap();
    let (exit, out, _) = audit(&data, &["verify", "--format", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((exit, &report["verified"]), (0, &json!(true)));
    assert!(
        report["unproved"][0]
            .as_str()
            .unwrap()
            .contains("nothing is missing at the end")
    );
    let (exit, out, _) = audit(&data, &["verify", "--pin", copy.to_str().unwrap()]);
    assert!(exit == 1 && out.contains("it was cut"), "{out}");
    let (exit, _, err) = audit(&data, &["verify", "--pin", "nothing"]);
    assert!(
        exit == 3 && err.contains("the pin `nothing` is neither"),
        "{err}"
    );
}

#[test]
fn a_change_is_told_with_its_place() {
    let data = data();
    let text = fs::read_to_string(segment(&data)).unwrap();
    fs::write(segment(&data), text.replace("evil", "good")).unwrap();
    let (exit, out, _) = audit(&data, &["verify"]);
    assert_eq!(exit, 1);
    assert!(out.starts_with("does not verify: "), "{out}");
    assert!(
        out.contains(".jsonl:4 (record 3): its hash is not that of its content: it was changed"),
        "{out}"
    );
    let (exit, out, _) = audit(&data, &["verify", "--format", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (exit, &report["findings"][0]["problem"]),
        (1, &json!("hash"))
    );
    // What stands before it is shown, and then what is wrong.
    let (exit, out, err) = audit(&data, &["show"]);
    assert_eq!((exit, out.lines().count()), (2, 3));
    assert!(
        err.contains("line 4: its hash is not that of its content"),
        "{err}"
    );
    let nowhere = tempfile::tempdir().unwrap();
    for words in [
        &["verify"][..],
        &["show"],
        &["checkpoint"],
        &["prune"],
        &["prune", "--dry-run"],
    ] {
        let (exit, _, err) = audit(&nowhere, words);
        assert!(
            exit == 2 && err.contains("holds no audit log"),
            "{words:?}: {err}"
        );
    }
    assert!(!nowhere.path().join("audit").exists());
}

#[test]
fn a_body_is_pruned_and_the_log_says_so() {
    let data = data();
    let (_, out, _) = audit(
        &data,
        &["show", "--format", "ndjson", "--kind", "model.reply"],
    );
    let record: Value = serde_json::from_str(&out).unwrap();
    let digest = record["body"]["blob"]["sha256"].as_str().unwrap();
    let (exit, out, _) = audit(&data, &["prune"]);
    assert!(exit == 0 && out.starts_with("removed 0 bodies"), "{out}");
    let (exit, out, _) = audit(&data, &["prune", "--older-than", "0s", "--dry-run"]);
    assert!(exit == 0 && out.starts_with("would remove 1 body"), "{out}");
    let asked = ["prune", "--blob", digest, "--reason", "it names a person"];
    let (exit, out, _) = audit(&data, &asked);
    assert!(exit == 0 && out.contains(digest), "{out}");
    let (exit, out, _) = audit(&data, &["verify"]);
    assert!(
        exit == 0 && out.contains("1 body on ") && out.contains("it names a person"),
        "{out}"
    );
    let (exit, _, err) = audit(&data, &asked);
    assert!(exit == 3 && err.contains("there is no body"), "{err}");
}

#[test]
fn a_second_writer_is_refused_and_a_reader_is_not() {
    let data = data();
    let lock = rulectl::store::RunLock::take(data.path()).unwrap();
    for words in [&["checkpoint"][..], &["prune"]] {
        let (exit, _, err) = audit(&data, words);
        assert!(
            exit == 2 && err.contains("another rulectl is writing to"),
            "{err}"
        );
    }
    for words in [&["verify"][..], &["show"], &["prune", "--dry-run"]] {
        assert_eq!(audit(&data, words).0, 0, "{words:?}");
    }
    drop(lock);
    assert_eq!(audit(&data, &["checkpoint"]).0, 0);
}
