//! What the audit takes, beside what the disk takes alone: `cargo bench --bench audit`.
//!
//! Every figure is of the same run: the disk's own rate first, since it bounds what a commit of
//! each record can do.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "without its material there is nothing to measure, and figures are for stdout"
)]

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use rulectl::audit::{Against, Audit, Options, size, verify};
use serde_json::{Value, json};

/// Each rate is of so long.
const WHILE: Duration = Duration::from_secs(3);

fn main() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    println!("| work | records/s |\n|---|--:|");
    tell(
        "the disk: a line of 500 bytes and fdatasync",
        disk(folder.path()),
    );
    tell("1 thread, a commit for each record", threads(1, 1));
    tell("1 thread, a commit for 100 records", threads(1, 100));
    tell("1 thread, a commit for 1,000 records", threads(1, 1_000));
    tell("8 threads, a commit for each record", threads(8, 1));
    tell("64 threads, a commit for each record", threads(64, 1));
    verifying(folder.path());
}

fn tell(work: &str, rate: f64) {
    println!("| {work} | {rate:.0} |");
}

/// A record as a finding makes it, about 500 bytes on its line.
fn record(at: usize) -> Value {
    json!({
        "id": format!("{at:036}"),
        "rule": "4f6c3f0e-8f1c-4a57-9a55-2f2f0d8f9c11",
        "score": 0.42,
        "severity": "medium",
        "count": at % 17,
    })
}

fn disk(folder: &Path) -> f64 {
    let path = folder.join("lines");
    let options = OpenOptions::new().append(true).create(true).open(path);
    let mut file: File = options.expect("a file");
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < WHILE {
        file.write_all(&[b'x'; 500]).expect("written");
        file.sync_data().expect("synced");
        count += 1;
    }
    rate(count, begun.elapsed())
}

fn threads(threads: usize, batch: usize) -> f64 {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let (audit, _) = Audit::open(folder.path(), Options::live(None)).expect("a log");
    let begun = Instant::now();
    let count = std::thread::scope(|scope| {
        let write = || {
            let mut count = 0;
            while begun.elapsed() < WHILE {
                for _ in 0..batch {
                    audit.append("finding", record(count)).expect("added");
                    count += 1;
                }
                audit.commit().expect("durable");
            }
            count
        };
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(write)).collect();
        all.into_iter()
            .map(|one| one.join().expect("a count"))
            .sum()
    });
    rate(count, begun.elapsed())
}

fn verifying(folder: &Path) {
    let log = folder.join("audit");
    let (audit, _) = Audit::open(&log, Options::live(None)).expect("a log");
    for at in 0..300_000 {
        audit.append("finding", record(at)).expect("added");
    }
    audit.close().expect("closed");
    let begun = Instant::now();
    let report = verify(&log, &Against::default(), &mut |_, _| {}).expect("a log");
    let took = begun.elapsed();
    assert!(report.verified);
    tell("verify", rate(300_000, took));
    let bytes = usize::try_from(size(&log)).expect("a size");
    println!(
        "\nverify: {:.0} MB/s of {} MB",
        rate(bytes, took) / 1e6,
        bytes / 1_000_000
    );
}

#[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
