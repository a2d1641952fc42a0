//! A log on the real disk: written, left in every state, and opened again.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::event::{Nanos, Time};

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(0) };
}

/// 2026-11-22T08:00:00Z, a second more at each look, and what a test adds.
fn now() -> Time {
    const BEGIN: i64 = 1_795_334_400;
    NOW.set(NOW.get() + 1);
    Time((BEGIN + NOW.get()) * Nanos::SECOND.0)
}

fn pass(days: i64) {
    NOW.set(NOW.get() + days * 86_400);
}

fn options() -> Options {
    Options {
        clock: Clock {
            now,
            mono: || u64::try_from(NOW.get()).expect("after the beginning") * 1_000,
        },
        run: Uuid::nil(),
        signer: None,
    }
}

fn open(folder: &TempDir) -> (Audit, Recovery) {
    Audit::open(folder.path(), options()).expect("a log")
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn records(folder: &Path) -> Vec<Record> {
    let records = read(folder).expect("a log");
    records.map(|it| it.expect("a record")).collect()
}

fn kinds(folder: &Path) -> Vec<String> {
    records(folder).into_iter().map(|it| it.kind).collect()
}

fn segment(folder: &TempDir) -> PathBuf {
    folder.path().join("2026-11-22.jsonl")
}

#[test]
fn what_is_appended_is_read_back_in_its_order() {
    let folder = folder();
    let (audit, recovery) = open(&folder);
    assert!(recovery.begun);
    assert_eq!(
        audit.append("finding", json!({"id": "a"})).expect("added"),
        1
    );
    assert_eq!(
        audit.append("finding", json!({"id": "b"})).expect("added"),
        2
    );
    audit.commit().expect("durable");
    let checkpoint = audit.close().expect("closed");
    let found = records(folder.path());
    let ids: Vec<&Value> = found.iter().map(|it| &it.body["id"]).collect();
    assert_eq!(ids, [&Value::Null, &json!("a"), &json!("b"), &Value::Null]);
    assert_eq!(
        kinds(folder.path()),
        ["log.begun", "finding", "finding", "checkpoint"]
    );
    assert_eq!((checkpoint.records, checkpoint.head), (3, found[2].hash));
    assert_eq!(checkpoint.pin(), format!("2:{}", found[2].hash));
    let kept = fs::read_to_string(folder.path().join("head.json")).expect("a file");
    assert_eq!(
        serde_json::from_str::<Checkpoint>(&kept).expect("a checkpoint"),
        checkpoint
    );
    // The next run goes on.
    let (audit, recovery) = open(&folder);
    assert_eq!(recovery, Recovery::default());
    assert_eq!(audit.append("finding", json!({})).expect("added"), 4);
    audit.close().expect("closed");
    assert_eq!(records(folder.path()).len(), 6);
}

#[test]
fn a_day_is_a_segment_and_the_next_begins_behind_a_checkpoint() {
    let folder = folder();
    let (audit, _) = open(&folder);
    let intent = audit.intend("okta.call", json!({})).expect("announced");
    pass(1);
    audit.append("finding", json!({})).expect("added");
    pass(-1); // the clock steps back: no earlier segment
    audit.append("finding", json!({})).expect("added");
    pass(3);
    audit.checkpoint().expect("a checkpoint");
    let mut names: Vec<String> = segment::segments(&disk::RealDisk, folder.path())
        .expect("segments")
        .into_iter()
        .map(|it| it.date)
        .collect();
    names.sort();
    assert_eq!(names, ["2026-11-22", "2026-11-23", "2026-11-25"]);
    let expected = [
        "log.begun",
        "okta.call.intended",
        "checkpoint",
        "segment",
        "finding",
        "finding",
        "checkpoint",
        "segment",
        "checkpoint",
    ];
    assert_eq!(kinds(folder.path()), expected);
    // What is open is known behind any number of days.
    drop((audit, intent));
    let (_, recovery) = open(&folder);
    let unknown = Unknown {
        intent: 1,
        kind: "okta.call.intended".to_owned(),
    };
    assert_eq!(recovery.unknown, [unknown]);
}

#[test]
fn an_intent_has_an_outcome_or_is_closed_as_unknown() {
    let folder = folder();
    let (audit, _) = open(&folder);
    let done = audit
        .intend("okta.call", json!({"n": 1}))
        .expect("announced");
    audit
        .conclude(done, Ok(json!({"status": 200})))
        .expect("added");
    let failed = audit
        .intend("okta.call", json!({"n": 2}))
        .expect("announced");
    audit
        .conclude(failed, Err(json!("no answer")))
        .expect("added");
    let lost = audit
        .intend("model.call", json!({"n": 3}))
        .expect("announced");
    assert_eq!(lost.seq(), 5);
    audit.commit().expect("durable");
    drop(audit);
    let (audit, recovery) = open(&folder);
    assert_eq!(recovery.unknown.len(), 1);
    drop(audit);
    assert_eq!(open(&folder).1.unknown, [], "it is closed once");
    let found = records(folder.path());
    assert_eq!(found[2].body, json!({"intent": 1, "status": 200}));
    assert_eq!(found[4].body, json!({"intent": 3, "outcome": "no answer"}));
    assert_eq!(found[6].kind, "intent.unknown");
    assert_eq!(
        found[6].body,
        json!({"intent": 5, "kind": "model.call.intended"})
    );
}

#[test]
fn a_torn_tail_is_set_aside_and_recorded() {
    let tails: [&[u8]; 4] = [b"{\"body\":", b"\0\0\0\0", b"no record\n", b"\xff\n{}\n\0"];
    for tail in tails {
        let folder = folder();
        let (audit, _) = open(&folder);
        audit.append("finding", json!({})).expect("added");
        audit.commit().expect("durable");
        drop(audit);
        let whole = fs::read(segment(&folder)).expect("a segment");
        fs::write(segment(&folder), [&whole, tail].concat()).expect("written");
        let (audit, recovery) = open(&folder);
        let [torn] = recovery.torn.as_slice() else {
            panic!("{recovery:?}")
        };
        assert_eq!(torn.bytes, tail.len() as u64);
        assert_eq!(
            fs::read(folder.path().join(&torn.file)).expect("kept"),
            tail
        );
        audit.append("finding", json!({})).expect("added");
        audit.close().expect("closed");
        let found = records(folder.path());
        assert_eq!(found[2].kind, "recovered");
        assert_eq!(found[2].body, json!(torn));
        assert_eq!(open(&folder).1, Recovery::default(), "it is recorded once");
    }
}

#[test]
fn a_recovery_that_was_cut_off_goes_on() {
    let folder = folder();
    let (audit, _) = open(&folder);
    audit.append("finding", json!({})).expect("added");
    audit.commit().expect("durable");
    drop(audit);
    let torn = b"torn";
    let name = format!("2026-11-22_99_{}", crate::event::Digest::of(torn));
    fs::create_dir(folder.path().join("torn")).expect("a folder");
    fs::write(folder.path().join("torn").join(&name), torn).expect("written");
    let recovery = open(&folder).1;
    assert_eq!(recovery.torn[0].file, format!("torn/{name}"));
    pass(1);
    let (audit, recovery) = open(&folder);
    assert_eq!(recovery, Recovery::default());
    audit.append("finding", json!({})).expect("added");
    audit.close().expect("closed");
    assert_eq!(
        open(&folder).1,
        Recovery::default(),
        "also from the next day's segment"
    );
}

#[test]
fn a_segment_of_which_nothing_was_durable_goes() {
    for leftover in ["", "{\"bo"] {
        let folder = folder();
        let (audit, _) = open(&folder);
        audit.append("finding", json!({})).expect("added");
        audit.close().expect("closed");
        fs::write(folder.path().join("2026-11-23.jsonl"), leftover).expect("written");
        let (audit, recovery) = open(&folder);
        assert_eq!(recovery.torn.len(), usize::from(!leftover.is_empty()));
        audit.close().expect("closed");
        assert!(!folder.path().join("2026-11-23.jsonl").exists());
        records(folder.path());
    }
}

#[test]
fn what_no_crash_leaves_is_refused() {
    type Damage = fn(&TempDir);
    let damage: [(&str, Damage); 6] = [
        ("more follows than a crash can spoil", |folder| {
            let mut bytes = fs::read(segment(folder)).expect("a segment");
            bytes.extend(vec![b'x'; record::BATCH + 1]);
            fs::write(segment(folder), bytes).expect("written");
        }),
        ("another segment follows", |folder| {
            let bytes = fs::read(segment(folder)).expect("a segment");
            fs::write(segment(folder), &bytes[..bytes.len() - 1]).expect("written");
            fs::write(folder.path().join("2026-11-23.jsonl"), "").expect("written");
        }),
        ("`head.json` says that 3 were durable", |folder| {
            let bytes = fs::read_to_string(segment(folder)).expect("a segment");
            let begin = bytes.lines().next().expect("a line");
            fs::write(segment(folder), format!("{begin}\n")).expect("written");
        }),
        ("`head.json` says that 3 were durable", |folder| {
            fs::remove_file(segment(folder)).expect("removed");
        }),
        ("is not a checkpoint", |folder| {
            fs::write(folder.path().join("head.json"), "{}").expect("written");
        }),
        ("it goes on from an earlier segment", |folder| {
            pass(1);
            open(folder).0.close().expect("closed");
            fs::remove_file(segment(folder)).expect("removed");
        }),
    ];
    for (expected, damage) in damage {
        let folder = folder();
        let (audit, _) = open(&folder);
        audit.append("finding", json!({})).expect("added");
        audit.close().expect("closed");
        damage(&folder);
        let before = fs::read(segment(&folder)).ok();
        let error = Audit::open(folder.path(), options()).expect_err("damaged");
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(
            fs::read(segment(&folder)).ok(),
            before,
            "nothing is touched"
        );
    }
}

#[test]
fn reading_ends_where_the_chain_does() {
    let folder = folder();
    let (audit, _) = open(&folder);
    for at in 0..5 {
        audit.append("finding", json!({"at": at})).expect("added");
    }
    audit.close().expect("closed");
    let text = fs::read_to_string(segment(&folder)).expect("a segment");
    let changed = text.replace("\"at\":3", "\"at\":7");
    fs::write(segment(&folder), changed).expect("written");
    let found: Vec<_> = read(folder.path()).expect("a log").collect();
    assert_eq!(found.len(), 5);
    let error = found[4].as_ref().expect_err("changed").to_string();
    assert!(
        error.contains("2026-11-22.jsonl` line 5: its hash is not that of its content"),
        "{error}"
    );
    let nowhere = read(&folder.path().join("nowhere")).map(|_| ());
    assert!(matches!(nowhere, Err(AuditError::NoLog(_))));
}

#[test]
fn what_cannot_be_recorded_is_refused_and_nothing_else_is_lost() {
    let folder = folder();
    let (audit, _) = open(&folder);
    for kind in [
        "",
        "Finding",
        "a b",
        "checkpoint",
        "log.begun",
        &"a".repeat(65),
    ] {
        let refused = audit.append(kind, json!({}));
        assert!(matches!(refused, Err(AuditError::Kind(_))), "{kind}");
    }
    let large = audit.append("finding", json!("x".repeat(record::BATCH)));
    assert!(matches!(large, Err(AuditError::TooLarge { .. })));
    let odd = audit.append("finding", json!({"n": u64::MAX}));
    let told = odd.expect_err("refused").to_string();
    assert!(
        told.contains("18446744073709551615") && told.contains("`finding`"),
        "{told}"
    );
    assert_eq!(audit.append("finding", json!({})).expect("added"), 1);
    audit.close().expect("closed");
    records(folder.path());
}

#[test]
fn many_bodies_are_stored_at_once() {
    for count in [0, 1, 2, 31, 33, 100] {
        let folder = folder();
        let (audit, _) = open(&folder);
        // Of three in a row two are the same.
        let bodies: Vec<Vec<u8>> = (0..count)
            .map(|at| format!("body {}", at - at % 3 / 2).into_bytes())
            .collect();
        audit.keep_all(&bodies).expect("stored");
        for body in &bodies {
            let kept = blobs::body(folder.path(), &Body::of(body));
            assert_eq!(kept.expect("there"), *body);
        }
    }
}

#[test]
fn bodies_that_cannot_be_stored_are_the_end_of_recording() {
    let folder = folder();
    let (audit, _) = open(&folder);
    fs::write(folder.path().join("blobs"), "").expect("written");
    let bodies = ["a", "b", "c"].map(|body| body.as_bytes().to_vec());
    audit.keep_all(&bodies).expect_err("no folder");
    let refused = audit.append("finding", json!({}));
    assert!(matches!(refused, Err(AuditError::Closed(_))), "{refused:?}");
}

#[test]
fn a_full_buffer_writes_itself() {
    let folder = folder();
    let (audit, _) = open(&folder);
    for _ in 0..10 {
        audit
            .append("finding", json!("x".repeat(1 << 20)))
            .expect("added");
    }
    assert!(fs::metadata(segment(&folder)).expect("a file").len() > 6 << 20);
    audit.close().expect("closed");
    assert_eq!(records(folder.path()).len(), 12);
}

#[test]
fn threads_share_a_log() {
    let folder = folder();
    let (audit, _) = Audit::open(folder.path(), Options::live(None)).expect("a log");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let audit = &audit;
            scope.spawn(move || {
                for at in 0..50 {
                    let body = audit.keep(format!("{}", at % 7).as_bytes()).expect("kept");
                    let record = json!({"thread": thread, "at": at, "blob": body});
                    audit.append("finding", record).expect("added");
                    audit.commit().expect("durable");
                }
            });
        }
    });
    audit.close().expect("closed");
    let found = records(folder.path());
    assert_eq!(found.len(), 402);
    for thread in 0..8 {
        let of = found.iter().filter(|it| it.body["thread"] == thread);
        let ats: Vec<u64> = of.filter_map(|it| it.body["at"].as_u64()).collect();
        assert_eq!(
            ats,
            (0..50).collect::<Vec<u64>>(),
            "in the order of the thread"
        );
    }
    let mut named_bodies = Vec::new();
    found
        .iter()
        .for_each(|it| named(&it.body, &mut |one| named_bodies.push(one)));
    assert_eq!(named_bodies.len(), 400);
    for one in named_bodies {
        assert!(body(folder.path(), &one).is_ok());
    }
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_is_an_error() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "").expect("written");
    let error = Audit::open(&file.join("audit"), options()).expect_err("no folder");
    assert!(error.to_string().contains("cannot be used"), "{error}");
}

/// A log of an earlier version of the program goes on to verify. `BLESS_AUDIT=1` writes it anew, with
/// another id and another key.
#[test]
fn the_example_verifies() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/audit-example");
    if std::env::var_os("BLESS_AUDIT").is_some() {
        write_example(&example);
    }
    let against = Against {
        pin: Some(
            Pin::parse(&fs::read_to_string(example.join("pin")).expect("a pin")).expect("a pin"),
        ),
        key: Some(PublicKey::read(&example.join("key.pub")).expect("a key")),
    };
    let report = verify(&example.join("audit"), &against, &mut |_, _| {}).expect("a log");
    assert!(report.verified, "{:?}", report.findings);
    assert_eq!(
        (report.segments, report.checkpoints, report.signed),
        (2, 2, 2)
    );
    assert_eq!(
        (report.bodies, report.pruned.len(), report.unknown),
        (1, 1, 1)
    );
}

fn write_example(example: &Path) {
    let _ = fs::remove_dir_all(example);
    fs::create_dir_all(example).expect("a folder");
    let secret = folder();
    let key = secret.path().join("key");
    Signer::generate(&key).expect("a key");
    fs::copy(public_file(&key), example.join("key.pub")).expect("copied");
    let signed = || Options {
        signer: Some(Signer::read(&key).expect("a key")),
        ..options()
    };
    let log = example.join("audit");
    let (audit, _) = Audit::open(&log, signed()).expect("a log");
    let finding =
        json!({"finding_id": "9c1f", "rule": "failed_login_burst", "user": "ann@example.com"});
    audit.append("finding", finding).expect("added");
    let prompt = audit
        .keep(b"Score this finding: five failed sign-ins of ann@example.com")
        .expect("kept");
    let intent = audit
        .intend("model.call", json!({"finding_id": "9c1f", "blob": prompt}))
        .expect("announced");
    let reply = audit.keep(br#"{"severity":"high"}"#).expect("kept");
    audit
        .conclude(intent, Ok(json!({"blob": reply})))
        .expect("added");
    let lost = audit
        .intend("okta.call", json!({"tool": "list_users"}))
        .expect("announced");
    drop((audit, lost));
    pass(1);
    let (audit, _) = Audit::open(&log, signed()).expect("the log");
    let doomed = doomed(&log, Which::One(prompt.sha256), now(), &mut |_| {}).expect("a log");
    audit.prune(&doomed, "it names a person").expect("pruned");
    let pin = audit.close().expect("closed").pin();
    fs::write(example.join("pin"), pin + "\n").expect("written");
}
