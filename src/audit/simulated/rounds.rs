//! Rounds of writing, failing and opening again: whatever fails and wherever, what was
//! acknowledged is there, nothing was done without its intent, and what was cut is told.
//!
//! `RULECTL_CASES` says how many rounds; the ordinary tests make a few hundred.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Dice, Fault, Simulated};
use crate::audit::read::Records;
use crate::audit::verify::verify_on;
use crate::audit::{Against, Audit, AuditError, Body, Clock, Options, Record, Recovery, blobs};
use crate::event::{Nanos, Time};

const FOLDER: &str = "data/audit";

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(0) };
}

fn options() -> Options {
    Options {
        clock: Clock {
            now: || Time((1_795_334_400 + NOW.get()) * Nanos::SECOND.0),
            mono: || 0,
        },
        run: Uuid::nil(),
        signer: None,
    }
}

fn open(disk: &Simulated) -> Result<(Audit, Recovery), AuditError> {
    Audit::open_on(Arc::new(disk.clone()), Path::new(FOLDER), options())
}

/// What whoever wrote was told, and did.
#[derive(Default)]
struct Promised {
    records: BTreeMap<u64, (String, Value)>,
    bodies: BTreeMap<Body, Vec<u8>>,
    /// The numbers of effects that happened.
    effects: BTreeSet<u64>,
    next: u64,
}

/// Writes until something fails or enough is written.
fn session(disk: &Simulated, dice: &mut Dice, promised: &mut Promised) -> Result<(), AuditError> {
    let (audit, _) = open(disk)?;
    let mut waiting = BTreeMap::new();
    for _ in 0..dice.below(30) {
        NOW.set(NOW.get() + [1, 1, 1, 1, 40_000, -50_000][dice.below(6)]);
        promised.next += 1;
        let n = promised.next;
        let body = json!({"n": n, "text": "x".repeat(dice.below(200))});
        match dice.below(8) {
            0..=2 => {
                let seq = audit.append("finding", body.clone())?;
                waiting.insert(seq, ("finding".to_owned(), body));
                continue;
            }
            3 => {
                let bytes = vec![n as u8 % 5; dice.below(300)];
                promised.bodies.insert(audit.keep(&bytes)?, bytes);
                continue;
            }
            4 | 5 => {
                let intent = audit.intend("call", body.clone())?;
                promised.effects.insert(n);
                waiting.insert(intent.seq(), ("call.intended".to_owned(), body));
                if dice.below(3) > 0 {
                    audit.conclude(intent, Ok(json!({})))?;
                }
            }
            6 => audit.commit()?,
            _ => drop(audit.checkpoint()?),
        }
        promised.records.append(&mut waiting);
    }
    if dice.below(2) == 0 {
        audit.close()?;
        promised.records.append(&mut waiting);
    }
    Ok(())
}

/// Opens what is left, with nothing failing, and holds it against what was promised.
fn check(disk: &Simulated, promised: &Promised) {
    disk.arm(None);
    let before = disk.files();
    let (audit, recovery) = open(disk).expect("the log opens");
    drop(audit);
    let after = disk.files();
    check_cut(&before, &after, &recovery);
    let read = Records::new(Arc::new(disk.clone()), Path::new(FOLDER)).expect("a log");
    let records: Vec<Record> = read.map(|record| record.expect("whole")).collect();
    for (seq, (kind, body)) in &promised.records {
        let record = records
            .get(*seq as usize)
            .expect("nothing acknowledged is missing");
        assert_eq!((&record.kind, &record.body), (kind, body));
    }
    let intents = records
        .iter()
        .filter(|record| record.kind == "call.intended");
    let intents: BTreeSet<u64> = intents.filter_map(|it| it.body["n"].as_u64()).collect();
    assert!(
        promised.effects.is_subset(&intents),
        "an effect without an intent"
    );
    for (body, bytes) in &promised.bodies {
        let read = blobs::read(disk, Path::new(FOLDER), body).expect("a body that was kept");
        assert_eq!(&read, bytes);
    }
    check_closed(&records);
    let report = verify_on(disk, Path::new(FOLDER), &Against::default(), &mut |_, _| {});
    let report = report.expect("a log");
    assert!(report.verified, "{:?}", report.findings);
    let told = records.iter().filter(|record| record.kind == "recovered");
    let told: BTreeSet<PathBuf> = told
        .filter_map(|record| record.body["file"].as_str())
        .map(|file| Path::new(FOLDER).join(file))
        .collect();
    let kept = after
        .into_keys()
        .filter(|path| path.starts_with("data/audit/torn"));
    let kept: BTreeSet<PathBuf> = kept.filter(|path| path.extension().is_none()).collect();
    assert_eq!(told, kept, "what was cut is kept, and recorded");
}

/// Each intent has an outcome, or one that is unknown.
fn check_closed(records: &[Record]) {
    let mut open = BTreeSet::new();
    for record in records {
        if record.kind == "call.intended" {
            open.insert(record.seq);
        } else if record.kind == "call.done" || record.kind == "intent.unknown" {
            let intent = record.body["intent"].as_u64().expect("a number");
            assert!(open.remove(&intent), "an outcome twice, or of nothing");
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

/// What opening took from a segment it kept and told.
fn check_cut(
    before: &BTreeMap<PathBuf, Vec<u8>>,
    after: &BTreeMap<PathBuf, Vec<u8>>,
    recovery: &Recovery,
) {
    let nothing = Vec::new();
    for (path, bytes) in before {
        let name = path.file_name().expect("a name").to_string_lossy();
        if path.parent() != Some(Path::new(FOLDER)) || !name.ends_with(".jsonl") {
            continue;
        }
        let is_of = |torn: &&crate::audit::Torn| torn.segment == name;
        let torn = recovery.torn.iter().find(|torn| {
            is_of(torn) && bytes.ends_with(&after[&Path::new(FOLDER).join(&torn.file)])
        });
        let cut = torn.map_or(0, |torn| torn.bytes as usize);
        let whole = &bytes[..bytes.len() - cut];
        let now = after.get(path).unwrap_or(&nothing);
        assert!(now.starts_with(whole), "{path:?} lost more than was told");
    }
}

fn fault(dice: &mut Dice) -> Option<(usize, Fault)> {
    let after = dice.below(80);
    let fault = match dice.below(8) {
        0..=3 => Fault::Crash,
        4 => Fault::Fails(ErrorKind::StorageFull, 1 + dice.below(8)),
        5 => Fault::Fails(ErrorKind::Other, 1),
        6 => Fault::Fails(ErrorKind::Other, 1 + dice.below(4)),
        _ => return None,
    };
    Some((after, fault))
}

fn round(seed: u64) {
    NOW.set(0);
    let mut dice = Dice(seed ^ 0x5eed);
    let disk = Simulated::new(seed);
    let mut promised = Promised::default();
    for _ in 0..1 + dice.below(5) {
        disk.arm(fault(&mut dice));
        let ended = session(&disk, &mut dice, &mut promised);
        assert!(
            ended.is_ok() || disk.is_down() || !is_unfit(&ended),
            "{ended:?}"
        );
        disk.arm(None);
        if disk.is_down() || dice.below(2) == 0 {
            disk.crash();
        }
        if dice.below(2) == 0 {
            check(&disk, &promised);
        }
    }
    disk.crash();
    check(&disk, &promised);
}

/// Whether an error says that the log is damaged, which no crash does to it.
fn is_unfit(ended: &Result<(), AuditError>) -> bool {
    matches!(
        ended,
        Err(AuditError::Damaged { .. } | AuditError::NoCheckpoint { .. })
    )
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_done_without_its_intent() {
    let rounds = std::env::var("RULECTL_CASES").ok();
    let rounds = rounds.and_then(|it| it.parse().ok()).unwrap_or(250);
    for seed in 0..rounds {
        let held = std::panic::catch_unwind(|| round(seed));
        assert!(held.is_ok(), "seed {seed}");
    }
}

/// The same session, with a crash at the first call that changes the disk, at the second, ….
#[test]
fn a_crash_may_come_at_any_call() {
    let mut crashes = 0;
    for seed in 0..6 {
        for at in 0.. {
            NOW.set(0);
            let disk = Simulated::new(seed * 1_000 + at);
            disk.arm(Some((at as usize, Fault::Crash)));
            let mut promised = Promised::default();
            let ended = session(&disk, &mut Dice(seed), &mut promised);
            let is_over = !disk.is_down();
            assert_eq!(is_over, ended.is_ok(), "{ended:?}");
            disk.crash();
            check(&disk, &promised);
            if is_over {
                break;
            }
            crashes += 1;
        }
    }
    assert!(crashes > 200, "{crashes}");
}

/// Every call that changes the disk fails once; what comes then says so, and does nothing.
#[test]
fn after_a_failure_nothing_is_recorded() {
    for kind in [ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem] {
        let disk = Simulated::new(1);
        let (audit, _) = open(&disk).expect("a log");
        audit.append("finding", json!({})).expect("added");
        disk.arm(Some((0, Fault::Fails(kind, 1))));
        let announced = audit.intend("call", json!({})).map(|intent| intent.seq());
        let told = announced.expect_err("not durable").to_string();
        let reason = std::io::Error::from(kind).to_string();
        assert!(told.contains(&reason), "{told} / {reason}");
        let writes = disk.writes();
        // The disk would take it again, and nobody asks it.
        for again in [
            audit.append("finding", json!({})).map(drop),
            audit.commit(),
            audit.keep(b"body").map(drop),
            audit.intend("call", json!({})).map(drop),
            audit.checkpoint().map(drop),
        ] {
            assert!(again.expect_err("closed").to_string().contains(&reason));
        }
        assert_eq!(disk.writes(), writes);
        drop(audit);
        assert!(open(&disk).is_ok(), "a new run goes on");
    }
}

#[test]
fn what_cannot_be_opened_for_writing_says_so() {
    for kind in [
        ErrorKind::ReadOnlyFilesystem,
        ErrorKind::StorageFull,
        ErrorKind::PermissionDenied,
    ] {
        let disk = Simulated::new(2);
        disk.arm(Some((0, Fault::Fails(kind, 1_000))));
        let told = open(&disk).expect_err("nothing can be written").to_string();
        let reason = std::io::Error::from(kind).to_string();
        assert!(told.contains(&reason) && told.contains(FOLDER), "{told}");
    }
}
