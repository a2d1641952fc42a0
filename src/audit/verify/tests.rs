//! Logs that were changed in every way, in memory: `RULECTL_CASES` says how many changes of a
//! log of 10,000 records are tried, which are 200 in the ordinary tests.

use std::cell::Cell;
use std::sync::{Arc, OnceLock};

use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::audit::simulated::{Dice, Simulated};
use crate::audit::{Audit, Clock, Options, Signer};
use crate::event::Nanos;

const FOLDER: &str = "data/audit";

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(0) };
}

fn options(signer: Option<Signer>) -> Options {
    Options {
        clock: Clock {
            now: || {
                NOW.set(NOW.get() + 1);
                Time((1_795_334_400 + NOW.get()) * Nanos::SECOND.0)
            },
            mono: || 0,
        },
        run: Uuid::nil(),
        signer,
    }
}

fn open(disk: &Simulated, signer: Option<Signer>) -> Audit {
    let folder = Path::new(FOLDER);
    Audit::open_on(Arc::new(disk.clone()), folder, options(signer))
        .expect("a log")
        .0
}

fn report(disk: &Simulated, against: &Against) -> Report {
    verify_on(disk, Path::new(FOLDER), against, &mut |_, _| {}).expect("a log")
}

fn problems(report: &Report) -> Vec<Problem> {
    report
        .findings
        .iter()
        .map(|finding| finding.problem)
        .collect()
}

fn key() -> (Signer, PublicKey) {
    static PEM: OnceLock<(Signer, PublicKey)> = OnceLock::new();
    let make = || {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        let public = Signer::generate(&path).expect("a key");
        (Signer::read(&path).expect("the key"), public)
    };
    PEM.get_or_init(make).clone()
}

/// A log of so many records over two days, with bodies and checkpoints that are signed, and the pin of its end.
fn log(records: u64) -> (Simulated, Against) {
    NOW.set(0);
    let (signer, public) = key();
    let disk = Simulated::new(1);
    let audit = open(&disk, Some(signer));
    for at in 0..records - 6 {
        let body = match at % 10 {
            0 => json!({"blob": audit.keep(format!("body {}", at % 3).as_bytes()).expect("kept")}),
            _ => json!({"at": at, "score": at as f64 / 3.0, "text": "Zürich"}),
        };
        audit.append("finding", body).expect("added");
        if at == records / 2 {
            audit.checkpoint().expect("a checkpoint");
            NOW.set(NOW.get() + 86_400);
        }
    }
    let checkpoint = audit.close().expect("closed");
    assert_eq!(checkpoint.records + 1, records - 1);
    let against = Against {
        pin: Some(Pin::Checkpoint(checkpoint)),
        key: Some(public),
    };
    (disk, against)
}

fn take(verifier: &mut Verifier, line: &[u8]) {
    match line.strip_suffix(b"\n") {
        Some(line) => verifier.take(&Found::Line(line), false),
        None => verifier.take(&Found::Open(line), false),
    }
}

#[test]
fn a_log_that_nobody_touched_verifies() {
    let (disk, against) = log(100);
    let report = report(&disk, &against);
    assert!(report.verified, "{:?}", report.findings);
    assert_eq!((report.segments, report.records, report.bodies), (2, 99, 3));
    assert_eq!((report.checkpoints, report.signed), (3, 3));
    assert_eq!(
        report.unproved.len(),
        1,
        "the checkpoint itself is behind the pin: {:?}",
        report.unproved
    );
    let alone = super::tests::report(&disk, &Against::default());
    assert!(alone.verified);
    assert_eq!(alone.unproved.len(), 2, "{:?}", alone.unproved);
}

/// The lines of a log, to be changed and verified from the change on.
struct Lab<'l> {
    segments: Vec<(Segment, Vec<Vec<u8>>)>,
    /// What a verifier knows before each line.
    before: Vec<Verifier<'l>>,
}

impl<'l> Lab<'l> {
    fn new((disk, against): &'l (Simulated, Against)) -> Self {
        let found = segments(disk, Path::new(FOLDER)).expect("segments");
        let files = disk.files();
        let lines = |segment: &Segment| -> Vec<Vec<u8>> {
            let bytes = files[&segment.path].split_inclusive(|byte| *byte == b'\n');
            bytes.map(<[u8]>::to_vec).collect()
        };
        let segments: Vec<_> = found
            .into_iter()
            .map(|it| (it.clone(), lines(&it)))
            .collect();
        let mut verifier = Verifier::new(disk, Path::new(FOLDER), against);
        let mut before = Vec::new();
        for (segment, lines) in &segments {
            verifier.begin(segment);
            for line in lines {
                before.push(verifier.clone());
                take(&mut verifier, line);
            }
            verifier.end();
        }
        assert!(verifier.finish().expect("a report").verified);
        Self { segments, before }
    }

    fn lines(&self) -> usize {
        self.before.len()
    }

    /// The segment and the line in it of a line of the log.
    fn at(&self, line: usize) -> (usize, usize) {
        let mut left = line;
        for (at, (_, lines)) in self.segments.iter().enumerate() {
            if left < lines.len() {
                return (at, left);
            }
            left -= lines.len();
        }
        panic!("line {line}")
    }

    /// Whether it is noticed that other lines stand in a segment from some line on.
    fn is_noticed(&self, line: usize, lines: &[Vec<u8>]) -> bool {
        let mut verifier = self.before[line].clone();
        let (segment, at) = self.at(line);
        for (later, (segment, rest)) in self.segments.iter().enumerate().skip(segment) {
            let is_changed = later == self.at(line).0;
            if !is_changed {
                verifier.begin(segment);
            }
            // A changed line break may join two lines, or part one.
            let bytes = if is_changed {
                lines[at..].concat()
            } else {
                rest.concat()
            };
            for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                take(&mut verifier, line);
                if !verifier.report.findings.is_empty() {
                    return true;
                }
            }
            verifier.end();
        }
        !verifier.finish().expect("a report").verified
    }

    fn change(&self, line: usize, change: &str, edit: impl FnOnce(&mut Vec<Vec<u8>>, usize)) {
        let (segment, at) = self.at(line);
        let mut lines = self.segments[segment].1.clone();
        edit(&mut lines, at);
        assert!(
            self.is_noticed(line, &lines),
            "not noticed: {change} of line {line}"
        );
    }

    /// One line, and no other, is another: whatever it is, it is not what was written there.
    fn flip(&self, line: usize, byte: usize, to: u8) {
        self.change(line, "a flip", |lines, at| lines[at][byte] = to);
    }

    fn any(&self, dice: &mut Dice) {
        let line = dice.below(self.lines());
        let (segment, at) = self.at(line);
        let lines = &self.segments[segment].1;
        let is_last = line + 1 == self.lines();
        match dice.below(7) {
            0 if !is_last => self.change(line, "removal", |lines, at| drop(lines.remove(at))),
            1 if at + 1 < lines.len() => {
                self.change(line, "swap", |lines, at| lines.swap(at, at + 1))
            }
            2 => self.change(line, "copy", |lines, at| {
                let copy = lines[at].clone();
                lines.insert(at, copy);
            }),
            3 => {
                let other = dice.below(lines.len());
                self.change(line, "insertion", |lines, at| {
                    let cut = [&lines[other][..9], b"x\n"].concat();
                    lines.insert(at, cut);
                });
            }
            4 if line + 2 < self.lines() => {
                self.change(line, "truncation", |lines, at| lines.truncate(at))
            }
            _ => {
                let byte = dice.below(lines[at].len());
                let to = lines[at][byte] ^ (1 << dice.below(8));
                self.flip(line, byte, to);
            }
        }
    }
}

/// Each byte becomes another: the one a bit away, which stays JSON most often, a digit or a letter of the same kind.
#[test]
fn every_byte_of_a_hundred_records_counts() {
    let log = log(100);
    let lab = Lab::new(&log);
    for line in 0..lab.lines() {
        let (segment, at) = lab.at(line);
        let bytes = lab.segments[segment].1[at].clone();
        for (place, byte) in bytes.iter().enumerate() {
            let near = match byte {
                b'0'..=b'8' | b'a'..=b'e' => byte + 1,
                b'9' => b'8',
                b'f' => b'e',
                other => other ^ 1,
            };
            lab.flip(line, place, near);
        }
    }
}

#[test]
fn every_line_that_is_removed_moved_or_added_is_noticed() {
    let log = log(100);
    let lab = Lab::new(&log);
    for line in 0..lab.lines() {
        let is_last = line + 1 == lab.lines();
        let (segment, at) = lab.at(line);
        // Against the pin: the last checkpoint is not what it knows, but what stands before it.
        if !is_last {
            lab.change(line, "removal", |lines, at| drop(lines.remove(at)));
            lab.change(line, "truncation", |lines, at| lines.truncate(at));
        }
        if at + 1 < lab.segments[segment].1.len() {
            lab.change(line, "swap", |lines, at| lines.swap(at, at + 1));
        }
        lab.change(line, "copy", |lines, at| {
            let copy = lines[at].clone();
            lines.insert(at, copy);
        });
        lab.change(line, "insertion", |lines, at| {
            lines.insert(at, b"{}\n".to_vec())
        });
        lab.change(line, "a blank line", |lines, at| {
            lines.insert(at, b"\n".to_vec())
        });
        lab.change(line, "a blank", |lines, at| lines[at].insert(1, b' '));
    }
}

#[test]
fn any_change_of_a_long_log_is_noticed() {
    let cases = std::env::var("RULECTL_CASES").ok();
    let cases = cases.and_then(|it| it.parse().ok()).unwrap_or(200);
    let log = log(if cases > 200 { 10_000 } else { 1_000 });
    let lab = Lab::new(&log);
    let mut dice = Dice(7);
    for _ in 0..cases {
        lab.any(&mut dice);
    }
}

#[test]
fn whole_segments_count_too() {
    let expected: [(&str, Edit, &[Problem]); 6] = [
        (
            "the first is gone",
            |disk| disk.put(&day(22), None),
            &[Problem::Segment, Problem::Chain],
        ),
        (
            "the last is gone",
            |disk| disk.put(&day(23), None),
            &[Problem::Head, Problem::Pin],
        ),
        (
            "it has another name",
            |disk| {
                let bytes = disk.files()[&day(23)].clone();
                disk.put(&day(23), None);
                disk.put(&day(24), Some(&bytes));
            },
            &[Problem::Segment],
        ),
        (
            "an older name, so that its records are later than it",
            |disk| {
                let bytes = disk.files()[&day(22)].clone();
                disk.put(&day(22), None);
                disk.put(&day(21), Some(&bytes));
            },
            &[Problem::Segment],
        ),
        (
            "an empty one more",
            |disk| disk.put(&day(24), Some(b"")),
            &[Problem::Segment],
        ),
        (
            "no copy of the head",
            |disk| disk.put(Path::new("data/audit/head.json"), Some(b"{}")),
            &[Problem::Head],
        ),
    ];
    for (what, edit, problems) in expected {
        let (disk, against) = log(100);
        edit(&disk);
        let report = report(&disk, &against);
        let found = super::tests::problems(&report);
        for problem in problems {
            assert!(found.contains(problem), "{what}: {:?}", report.findings);
        }
    }
}

type Edit = fn(&Simulated);

fn day(day: u32) -> std::path::PathBuf {
    Path::new(FOLDER).join(format!("2026-11-{day}.jsonl"))
}

/// What a chain alone cannot tell: a log that was written anew, from its first record on.
#[test]
fn a_log_written_anew_is_known_by_the_pin_or_by_the_key() {
    let (_, against) = log(100);
    let disk = Simulated::new(3);
    NOW.set(0);
    let audit = open(&disk, None);
    for _ in 0..200 {
        audit.append("finding", json!({})).expect("added");
    }
    audit.close().expect("closed");
    assert!(report(&disk, &Against::default()).verified);
    let pinned = report(
        &disk,
        &Against {
            key: None,
            ..against.clone()
        },
    );
    assert_eq!(problems(&pinned), [Problem::Pin]);
    let by_hash = Pin::Record(50, Digest::of(b"another"));
    let pinned = report(
        &disk,
        &Against {
            pin: Some(by_hash),
            key: None,
        },
    );
    assert_eq!(problems(&pinned), [Problem::Pin]);
    let signed = report(
        &disk,
        &Against {
            pin: None,
            ..against
        },
    );
    assert_eq!(problems(&signed), [Problem::Signature]);
}

#[test]
fn a_body_is_there_or_was_pruned() {
    let name = |text: &str| Digest::of(text.as_bytes());
    let place = |text: &str| blobs::place(Path::new(FOLDER), &name(text));
    let (disk, against) = log(100);
    disk.put(&place("body 1"), None);
    disk.put(&place("body 2"), Some(b"something"));
    let found = report(&disk, &against);
    assert_eq!(problems(&found), [Problem::Missing, Problem::Damaged]);
    // A record that says so, and comes later, excuses what is gone, and nothing else.
    let audit = open(&disk, Some(key().0));
    let intent = audit.intend(
        "prune",
        json!({"reason": "retention", "removed": [name("body 1"), name("body 2")]}),
    );
    audit
        .conclude(intent.expect("announced"), Ok(json!({})))
        .expect("added");
    audit.commit().expect("durable");
    let found = report(&disk, &against);
    assert_eq!(problems(&found), [Problem::Damaged]);
    assert_eq!(found.pruned.len(), 1);
    assert_eq!(
        (found.pruned[0].bodies, found.pruned[0].reason.as_str()),
        (2, "retention")
    );
    // Named again behind that, it must be there.
    disk.put(&place("body 2"), None);
    assert!(report(&disk, &against).verified);
    audit
        .append(
            "finding",
            json!({"blob": {"sha256": name("body 1"), "bytes": 6}}),
        )
        .expect("added");
    audit.close().expect("closed");
    assert_eq!(problems(&report(&disk, &against)), [Problem::Missing]);
}

#[test]
fn findings_are_bounded_and_counted() {
    let (disk, against) = log(400);
    let bytes = disk.files()[&day(22)].clone();
    let changed = String::from_utf8(bytes)
        .expect("a text")
        .replace("Zürich", "Zuerich");
    disk.put(&day(22), Some(changed.as_bytes()));
    let report = report(&disk, &against);
    assert_eq!(report.findings.len(), MAX_FINDINGS);
    assert!(report.more > 20, "{}", report.more);
}

#[test]
fn a_pin_is_read_as_it_is_written() {
    let (_, against) = log(100);
    let Some(Pin::Checkpoint(checkpoint)) = against.pin else {
        panic!("a checkpoint")
    };
    let text = serde_json::to_string(&checkpoint).expect("JSON");
    assert_eq!(Pin::parse(&text), Some(Pin::Checkpoint(checkpoint.clone())));
    let expected = Pin::Record(checkpoint.records - 1, checkpoint.head);
    assert_eq!(
        Pin::parse(&format!(" {}\n", checkpoint.pin())),
        Some(expected)
    );
    for bad in [
        "",
        "7",
        "7:",
        "x:00",
        "{}",
        "-1:00",
        &format!("7:{}", "G".repeat(64)),
    ] {
        assert_eq!(Pin::parse(bad), None, "{bad}");
    }
}
