//! The first beat: the records of a chunk → matches, rejects and counts.

use serde::{Deserialize, Serialize};

use crate::detect::{Detector, Failures, Match, Scratch};
use crate::event::{Event, Time};
use crate::geo::Databases;
use crate::json::Wanted;
use crate::okta::{Kind, Mapping, Records};
use crate::pipeline::{Counts, Evidence, parallel};
use crate::redact::Secrets;
use crate::source::{Chunk, Input, Place, Reader, Record, Reject, SourceError};

/// How events are read.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How a record's fields become Okta's.
    pub mapping: Mapping,
    /// Events before this are left out.
    pub since: Option<Time>,
    /// Events at or after this are left out.
    pub until: Option<Time>,
    /// Whether the first record that is no event ends the run.
    pub strict: bool,
    /// On how many threads.
    pub threads: usize,
    /// What is known of addresses where events leave it empty.
    pub databases: Databases,
    /// Whether the events that satisfy a rule are kept as evidence, and what of them is secret.
    pub evidence: Option<Secrets>,
}

/// A stretch of input that is no event, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// The input.
    pub input: String,
    /// The line it begins on, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
    /// How many bytes it has; nothing is there where something is missing between records.
    pub length: u64,
    /// The first 64 KiB, where they are UTF-8.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub record: Option<String>,
    /// The first 64 KiB in hexadecimal digits, where they are not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub record_hex: Option<String>,
}

/// What a chunk gave.
#[derive(Default)]
pub(super) struct Scanned {
    pub(super) matches: Vec<Match>,
    pub(super) rejected: Vec<Rejected>,
    pub(super) counts: Counts,
    pub(super) evidence: Evidence,
}

/// So much of a rejected record is kept.
const KEPT: usize = 64 << 10;

/// What a thread needs to scan chunks.
pub(super) struct Scanner<'d> {
    detector: &'d Detector,
    records: Records,
    scratch: Scratch,
}

impl<'d> Scanner<'d> {
    pub(super) fn new(detector: &'d Detector, settings: &Settings) -> Self {
        Self {
            detector,
            records: Records::with(settings.mapping, detector.wanted(), &settings.databases),
            scratch: detector.scratch(),
        }
    }

    /// For events that were read before.
    pub(super) fn again(detector: &'d Detector, settings: &Settings) -> Self {
        let Self {
            detector,
            records,
            scratch,
        } = Self::new(detector, settings);
        Self {
            detector,
            records: records.of_events(),
            scratch,
        }
    }
}

pub(super) fn scan(
    scanner: &mut Scanner<'_>,
    chunk: &Chunk,
    settings: &Settings,
    names: &[String],
) -> Scanned {
    let mut scanned = Scanned::default();
    scanned.counts.bytes = chunk.bytes();
    for record in chunk.records() {
        scanner.record(&record, settings, names, &mut scanned);
    }
    for reject in chunk.rejects() {
        scanned.counts.rejected += 1;
        scanned.rejected.push(Rejected::stretch(reject, names));
    }
    scanned.counts.scripts = scanner.take_failures();
    scanned.rejected.sort_by_key(|rejected| rejected.line);
    scanned
}

impl Scanner<'_> {
    /// What scripts could not answer since this was asked last.
    pub(super) fn take_failures(&mut self) -> Failures {
        self.scratch.take_failures()
    }

    /// Adds what one record gives.
    pub(super) fn record(
        &mut self,
        record: &Record<'_>,
        settings: &Settings,
        names: &[String],
        scanned: &mut Scanned,
    ) {
        let Self {
            detector,
            records,
            scratch,
        } = self;
        let read = records.read(record.bytes, &mut |event, kind| {
            if !scanned.event(event, kind, settings) {
                return;
            }
            let before = scanned.matches.len();
            detector.scan(scratch, event, &mut scanned.matches);
            let found = scanned.matches.get(before);
            if let Some((found, secrets)) = found.zip(settings.evidence.as_ref()) {
                let kept = (settings.mapping, secrets);
                scanned
                    .evidence
                    .event(event, found.digest, record.place, kept);
            }
        });
        if let Err(reason) = read {
            let rejected = Rejected::record(record, names, reason.to_string());
            scanned.counts.rejected += 1;
            scanned.rejected.push(rejected);
        }
    }
}

impl Rejected {
    /// A stretch of input that is no record.
    pub(super) fn stretch(reject: &Reject, names: &[String]) -> Self {
        let reason = reject.reason.clone();
        Self::new(reject.place, names, reason, &reject.bytes, reject.length)
    }

    /// A record that is no event.
    pub(super) fn record(record: &Record<'_>, names: &[String], reason: String) -> Self {
        let kept = record.bytes.get(..KEPT).unwrap_or(record.bytes);
        let length = record.bytes.len() as u64;
        Self::new(record.place, names, reason, kept, length)
    }

    fn new(place: Place, names: &[String], reason: String, kept: &[u8], length: u64) -> Self {
        let input = names.get(place.input as usize).cloned().unwrap_or_default();
        let record = std::str::from_utf8(kept).ok().map(str::to_owned);
        let hex = || kept.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            input,
            line: place.line,
            reason,
            length,
            record_hex: if record.is_none() { Some(hex()) } else { None },
            record,
        }
    }
}

impl Scanned {
    /// Counts an event: whether it is in the time range.
    pub(super) fn event(&mut self, event: &Event<'_>, kind: Kind, settings: &Settings) -> bool {
        if !in_range(event.time, settings) {
            self.counts.outside_range += 1;
            return false;
        }
        self.counts.events += 1;
        self.counts.without_time += u64::from(event.time.is_none());
        self.counts.saw(event.time);
        self.counts.lower_cased += u64::from(kind == Kind::LowerCased);
        self.counts.without_type += u64::from(kind == Kind::Untyped);
        true
    }
}

/// An event without a readable time is in every range: nobody can say that it is outside.
pub(super) fn in_range(time: Option<Time>, settings: &Settings) -> bool {
    time.is_none_or(|time| {
        settings.since.is_none_or(|since| time >= since)
            && settings.until.is_none_or(|until| time < until)
    })
}

/// The time of the newest event that is not after `now`; inputs that fail are left to the run itself.
#[must_use]
pub fn newest(inputs: Vec<Input>, settings: &Settings, now: Time) -> Option<Time> {
    let records = || Records::new(settings.mapping, &Wanted::default());
    let newest_of = |records: &mut Records, chunk: Result<Chunk, SourceError>| {
        let mut newest = None;
        for record in chunk.ok()?.records() {
            // What is no event has no time; the run itself will say so.
            let _ = records.read(record.bytes, &mut |event, _| {
                newest = newest.max(event.time.filter(|time| *time <= now));
            });
        }
        newest
    };
    let mut newest = None;
    let taken: Result<(), std::convert::Infallible> = parallel::map_in_order(
        Reader::new(inputs),
        settings.threads,
        records,
        newest_of,
        |time| {
            newest = newest.max(time);
            Ok(())
        },
    );
    taken.map_or(None, |()| newest)
}
