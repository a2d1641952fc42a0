//! Reading the fields that rules want out of records, and what a tree costs.

use divan::Bencher;
use divan::counter::BytesCount;
use rulectl::json::{Notation, Reader, Wanted};
use rulectl::okta::{Mapping, Records};
use serde_json::Value;

use crate::events;

const EVENTS: usize = 1_000;

/// Those that the rules of SigmaHQ read, and the time and id of an event.
const PATHS: [&str; 13] = [
    "uuid",
    "published",
    "eventType",
    "displayMessage",
    "actor.alternateId",
    "client.ipAddress",
    "client.userAgent.rawUserAgent",
    "outcome.result",
    "outcome.reason",
    "securityContext.isProxy",
    "target.displayName",
    "debugContext.debugData.behaviors",
    "debugContext.debugData.logOnlySecurityData",
];

/// What rules may ask of the texts that hold values.
const INSIDE: [&str; 3] = [
    "debugContext.debugData.risk.level",
    "debugContext.debugData.behaviors.New Device",
    "debugContext.debugData.logOnlySecurityData.risk.level",
];
const TEXTS: [(&str, Notation); 3] = [
    ("debugContext.debugData.risk", Notation::Map),
    ("debugContext.debugData.behaviors", Notation::Map),
    ("debugContext.debugData.logOnlySecurityData", Notation::Json),
];

/// Straight from the bytes of compact JSON.
#[divan::bench]
fn compact(bencher: Bencher<'_, '_>) {
    let mut reader = Reader::new(wanted());
    measure(bencher, events::lines(EVENTS), |line| {
        assert!(reader.read(line.as_bytes()).is_some());
    });
}

/// The same, and what three of their texts hold.
#[divan::bench]
fn compact_and_inside_of_texts(bencher: Bencher<'_, '_>) {
    let mut wanted = wanted();
    for path in INSIDE {
        wanted.add(path.split('.'));
    }
    for (path, notation) in TEXTS {
        wanted.read_inside(path.split('.'), notation);
    }
    let mut reader = Reader::new(wanted);
    measure(bencher, events::lines(EVENTS), |line| {
        assert!(reader.read(line.as_bytes()).is_some());
    });
}

/// As an event: what is an envelope or another shape is noticed, the time is read.
#[divan::bench]
fn events_of_compact_records(bencher: Bencher<'_, '_>) {
    read(bencher, events::lines(EVENTS));
}

/// The same of records with blanks between their tokens, which are made compact first.
#[divan::bench]
fn events_of_records_with_blanks(bencher: Bencher<'_, '_>) {
    read(bencher, events::with_blanks(&events::lines(EVENTS)));
}

/// A tree of everything, to compare with.
#[divan::bench]
fn tree_of_serde_json(bencher: Bencher<'_, '_>) {
    measure(bencher, events::lines(EVENTS), |line| {
        let tree: Value = serde_json::from_str(line).expect("an event is JSON");
        divan::black_box(tree);
    });
}

fn read(bencher: Bencher<'_, '_>, lines: Vec<String>) {
    let mut records = Records::new(Mapping::Auto, &wanted());
    measure(bencher, lines, |line| {
        let read = records.read(line.as_bytes(), &mut |event, _| {
            divan::black_box(event);
        });
        assert_eq!(read, Ok(()));
    });
}

fn wanted() -> Wanted {
    let mut wanted = Wanted::default();
    for path in PATHS {
        wanted.add(path.split('.'));
    }
    wanted
}

fn measure(bencher: Bencher<'_, '_>, lines: Vec<String>, mut read: impl FnMut(&str)) {
    let bytes: usize = lines.iter().map(String::len).sum();
    bencher
        .counter(BytesCount::new(bytes))
        .bench_local(|| lines.iter().for_each(|line| read(line)));
}
