//! Whether a log is as it was written, and what of that cannot be said.
//!
//! The log is read once, a line at a time. What is held is one line, the findings (at most
//! [`MAX_FINDINGS`] of them), the digests of the bodies that were looked at or are missing, and
//! those that were pruned.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use memchr::memmem;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::audit::AuditError;
use crate::audit::blobs::{self, Body, BodyError, named};
use crate::audit::checkpoint::{Checkpoint, Signed};
use crate::audit::disk::{Disk, RealDisk};
use crate::audit::key::PublicKey;
use crate::audit::read::Chain;
use crate::audit::record::{BATCH, Line, read_digest};
use crate::audit::recover::{read_head, segment_of_first};
use crate::audit::segment::{Found, Lines, Segment, date_of, segments};
use crate::event::{Digest, Time};

/// So many findings are told one by one; the rest is counted.
pub const MAX_FINDINGS: usize = 100;

/// What a log is held against.
#[derive(Clone, Debug, Default)]
pub struct Against {
    /// What was noted elsewhere of the log, when it was shorter.
    pub pin: Option<Pin>,
    /// The key that signed its checkpoints.
    pub key: Option<PublicKey>,
}

/// What was noted elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// A copy of `head.json`.
    Checkpoint(Checkpoint),
    /// `SEQ:HASH`: the hash of a record.
    Record(u64, Digest),
}

impl Pin {
    /// The pin that a text is: `SEQ:HASH`, or the JSON of a `head.json`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some((seq, hash)) = text.split_once(':')
            && let (Ok(seq), Some(hash)) = (seq.parse(), read_digest(hash))
        {
            return Some(Self::Record(seq, hash));
        }
        serde_json::from_str(text).ok().map(Self::Checkpoint)
    }

    /// The number of the record that it knows, and its hash.
    fn record(&self) -> Option<(u64, Digest)> {
        match self {
            Self::Record(seq, hash) => Some((*seq, *hash)),
            Self::Checkpoint(checkpoint) => checkpoint
                .records
                .checked_sub(1)
                .map(|seq| (seq, checkpoint.head)),
        }
    }
}

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing is wrong.
    pub problem: Problem,
    /// The file, below the folder of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in it, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The number that the record there claims.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// What was found and what was expected.
    pub what: String,
}

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// A line that was not written so.
    Form,
    /// A record whose hash is another's.
    Hash,
    /// A record that does not follow the one before.
    Chain,
    /// A segment that does not begin or end as one does, or has the name of another day.
    Segment,
    /// An end that is not whole.
    Torn,
    /// A checkpoint that says something else than the log.
    Checkpoint,
    /// A signature that is not the key's.
    Signature,
    /// A body that is gone, without having been pruned.
    Missing,
    /// A body that is not what its name says.
    Damaged,
    /// A log that is not the one that was pinned, or is shorter.
    Pin,
    /// A `head.json` that does not belong to the log.
    Head,
}

/// What was found out about a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether nothing is wrong.
    pub verified: bool,
    /// The id of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<Uuid>,
    /// How many segments it has.
    pub segments: u64,
    /// How many lines were read.
    pub records: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many checkpoints agree with the log.
    pub checkpoints: u64,
    /// How many of them are signed by the key.
    pub signed: u64,
    /// The number and the hash of the last record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<(u64, Digest)>,
    /// How many bodies are there and are what they are called.
    pub bodies: u64,
    /// Bodies that were removed, as recorded.
    pub pruned: Vec<Pruned>,
    /// What a crash left, and was cut, as recorded.
    pub torn: Vec<TornHere>,
    /// Intents of which it is not known what became of them.
    pub unknown: u64,
    /// The first of what is wrong.
    pub findings: Vec<Finding>,
    /// How many more things are wrong.
    pub more: u64,
    /// What could not be proved, and why.
    pub unproved: Vec<String>,
}

/// Bodies that were removed together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// The record that announced it.
    pub seq: u64,
    /// When.
    pub time: Time,
    /// Why.
    pub reason: String,
    /// How many.
    pub bodies: u64,
}

/// A tail that was cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TornHere {
    /// The record that says so.
    pub seq: u64,
    /// How many bytes were cut.
    pub bytes: u64,
    /// Where they are kept.
    pub file: String,
}

/// Verifies the log of a folder. `progress` is told how many bytes and records were read.
///
/// # Errors
///
/// When there is no log, or a file cannot be read.
pub fn verify(
    folder: &Path,
    against: &Against,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, AuditError> {
    verify_on(&RealDisk, folder, against, progress)
}

pub(super) fn verify_on(
    disk: &dyn Disk,
    folder: &Path,
    against: &Against,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, AuditError> {
    let found = segments(disk, folder)?;
    if found.is_empty() {
        return Err(AuditError::NoLog(folder.to_owned()));
    }
    let mut verifier = Verifier::new(disk, folder, against);
    let last = found.len() - 1;
    for (at, segment) in found.iter().enumerate() {
        verifier.segment(segment, at == last, progress)?;
    }
    verifier.finish()
}

#[derive(Clone)]
struct Verifier<'v> {
    disk: &'v dyn Disk,
    folder: &'v Path,
    against: &'v Against,
    report: Report,
    chain: Chain,
    here: Here,
    /// The kind of the last record.
    last_kind: String,
    pinned: Pinned,
    head: Option<Checkpoint>,
    headed: Pinned,
    /// Bodies that are there as they should be.
    whole: HashSet<Digest>,
    /// Those that are not, and the last record that names each.
    missing: HashMap<Digest, Missing>,
    /// When a body was removed last.
    removed: HashMap<Digest, u64>,
    blob: memmem::Finder<'static>,
}

/// Where the verifier is.
#[derive(Clone, Default)]
struct Here {
    file: String,
    date: String,
    /// When its day ends.
    end: i64,
    line: usize,
    seq: Option<u64>,
}

#[derive(Clone)]
struct Missing {
    seq: u64,
    place: (String, usize),
    error: BodyError,
}

/// Whether a record that is known from elsewhere was met.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Pinned {
    #[default]
    NotYet,
    Met,
    Other,
}

impl Pinned {
    fn look(&mut self, known: Option<(u64, Digest)>, seq: u64, hash: Digest) {
        if let Some((at, expected)) = known
            && at == seq
            && *self != Self::Other
        {
            *self = if expected == hash {
                Self::Met
            } else {
                Self::Other
            };
        }
    }
}

impl<'v> Verifier<'v> {
    fn new(disk: &'v dyn Disk, folder: &'v Path, against: &'v Against) -> Self {
        Self {
            disk,
            folder,
            against,
            report: Report::default(),
            chain: Chain::BEGIN,
            here: Here::default(),
            last_kind: String::new(),
            pinned: Pinned::default(),
            head: None,
            headed: Pinned::default(),
            whole: HashSet::new(),
            missing: HashMap::new(),
            removed: HashMap::new(),
            blob: memmem::Finder::new(b"\"blob"),
        }
    }

    fn segment(
        &mut self,
        segment: &Segment,
        is_last: bool,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), AuditError> {
        let failed = || AuditError::io(&segment.path);
        let mut lines = Lines::new(self.disk.open(&segment.path).map_err(failed())?);
        self.begin(segment);
        while let Some(found) = lines.next().map_err(failed())? {
            self.take(&found, is_last);
            if self.report.records.is_multiple_of(256) {
                progress(self.report.bytes, self.report.records);
            }
        }
        self.end();
        Ok(())
    }

    fn begin(&mut self, segment: &Segment) {
        if self.report.segments == 0 {
            self.read_head();
        }
        self.report.segments += 1;
        self.here = Here {
            file: format!("{}.jsonl", segment.date),
            date: segment.date.clone(),
            end: segment.end,
            ..Here::default()
        };
    }

    fn take(&mut self, found: &Found, is_last: bool) {
        self.here.line += 1;
        self.here.seq = None;
        self.report.bytes += found.length();
        match found {
            Found::Line(line) => self.line(line),
            Found::Open(bytes) => self.open_end(bytes.len(), is_last),
        }
    }

    fn end(&mut self) {
        if self.here.line == 0 {
            let what = "it has no records: opening the log removes a segment that a crash left so";
            self.found(Problem::Segment, what);
        }
    }

    fn open_end(&mut self, length: usize, is_last: bool) {
        let what = if length > BATCH {
            "a line that is longer than any record".to_owned()
        } else if is_last {
            format!(
                "{length} bytes without a line break: the end of the log is torn; opening it for writing sets them aside"
            )
        } else {
            format!("{length} bytes without a line break, before another segment")
        };
        self.found(Problem::Torn, what);
    }

    fn line(&mut self, bytes: &[u8]) {
        self.report.records += 1;
        let line = match Line::read(bytes) {
            Ok(line) => line,
            Err(fault) => return self.found(Problem::Form, fault.to_string()),
        };
        self.here.seq = Some(line.seq);
        if line.digest() != line.hash {
            // What it says is not what was written, but the lines behind it may be.
            self.found(
                Problem::Hash,
                "its hash is not that of its content: it was changed",
            );
        } else if let Err(what) = self.chain.step(&line) {
            self.found(Problem::Chain, what);
        }
        self.place(&line);
        self.pinned.look(
            self.against.pin.as_ref().and_then(Pin::record),
            line.seq,
            line.hash,
        );
        let head = self.head.clone().map(Pin::Checkpoint);
        self.headed
            .look(head.as_ref().and_then(Pin::record), line.seq, line.hash);
        self.content(&line, bytes);
        self.chain = Chain::behind(&line);
        self.report.end = Some((line.seq, line.hash));
        line.kind.clone_into(&mut self.last_kind);
    }

    /// Whether the record may stand where it does.
    fn place(&mut self, line: &Line) {
        if self.here.line == 1 {
            self.first_of_segment(line);
        } else if matches!(line.kind, "segment" | "log.begun") {
            self.found(
                Problem::Segment,
                format!("a record of kind `{}` within a segment", line.kind),
            );
        }
        // The checkpoint that seals a segment is written when the next day has come.
        if line.time.0 >= self.here.end && line.kind != "checkpoint" {
            let date = date_of(line.time);
            let what = format!("a record of {date}, in the segment of an earlier day");
            self.found(Problem::Segment, what);
        }
    }

    fn first_of_segment(&mut self, line: &Line) {
        let body = line.value();
        let is_first = self.report.segments == 1;
        let Some(log) = segment_of_first(line, &body, is_first) else {
            let expected = if is_first { "log.begun" } else { "segment" };
            return self.found(
                Problem::Segment,
                format!(
                    "it begins with a record of kind `{}`, expected `{expected}`",
                    line.kind
                ),
            );
        };
        let date = date_of(line.time);
        if date != self.here.date {
            self.found(
                Problem::Segment,
                format!("its first record is of {date}: the file has the name of another day"),
            );
        }
        if !is_first && self.last_kind != "checkpoint" {
            self.found(
                Problem::Segment,
                "the segment before it was not sealed by a checkpoint",
            );
        }
        match self.report.log {
            Some(known) if known != log => {
                self.found(
                    Problem::Segment,
                    format!("it belongs to the log {log}, expected {known}"),
                );
            }
            _ => self.report.log = Some(log),
        }
    }

    fn content(&mut self, line: &Line, bytes: &[u8]) {
        match line.kind {
            "checkpoint" => self.checkpoint(line),
            "recovered" => {
                if let Ok(torn) = serde_json::from_value::<crate::audit::Torn>(line.value()) {
                    self.report.torn.push(TornHere {
                        seq: line.seq,
                        bytes: torn.bytes,
                        file: torn.file,
                    });
                }
            }
            "intent.unknown" => self.report.unknown += 1,
            "prune.intended" => self.prune(line),
            _ => {}
        }
        if self.blob.find(bytes).is_some() {
            let mut bodies = Vec::new();
            named(&line.value(), &mut |body| bodies.push(body));
            bodies.iter().for_each(|body| self.body(body, line.seq));
        }
    }

    fn checkpoint(&mut self, line: &Line) {
        let Some(checkpoint) = Checkpoint::of_record(&line.value(), line.time) else {
            return self.found(
                Problem::Checkpoint,
                "it is not a checkpoint as they are written",
            );
        };
        let Chain { next, head } = self.chain;
        let wrong = if Some(checkpoint.log) != self.report.log {
            Some(format!("it is of another log, {}", checkpoint.log))
        } else if checkpoint.records != next {
            Some(format!(
                "it counts {} records before it, and there are {next}",
                checkpoint.records
            ))
        } else if checkpoint.head != head {
            Some("it has another hash for the record before it".to_owned())
        } else {
            None
        };
        if let Some(wrong) = wrong {
            return self.found(Problem::Checkpoint, wrong);
        }
        self.report.checkpoints += 1;
        let Some(key) = &self.against.key else {
            return;
        };
        match checkpoint.signed_by(key) {
            Signed::Right => self.report.signed += 1,
            Signed::Wrong => self.found(
                Problem::Signature,
                "its signature is not the key's: it was changed or forged",
            ),
            Signed::Not => self.found(Problem::Signature, "it is not signed, and a key was given"),
            Signed::ByAnother => {
                let other = checkpoint.key.unwrap_or_default();
                self.found(
                    Problem::Signature,
                    format!(
                        "it is signed by the key {other}, and the key that was given is {}",
                        key.id()
                    ),
                );
            }
        }
    }

    fn prune(&mut self, line: &Line) {
        let Ok(pruning) = serde_json::from_value::<Pruning>(line.value()) else {
            return self.found(Problem::Form, "it does not say what was pruned");
        };
        for digest in &pruning.removed {
            self.removed.insert(*digest, line.seq);
            // What a later record names must be there again.
            self.whole.remove(digest);
        }
        self.report.pruned.push(Pruned {
            seq: line.seq,
            time: line.time,
            reason: pruning.reason,
            bodies: pruning.removed.len() as u64,
        });
    }

    fn body(&mut self, body: &Body, seq: u64) {
        if self.whole.contains(&body.sha256) {
            return;
        }
        if let Some(missing) = self.missing.get_mut(&body.sha256) {
            missing.seq = seq;
            return;
        }
        match blobs::check(self.disk, self.folder, body) {
            Ok(()) => {
                self.whole.insert(body.sha256);
            }
            Err(error) => {
                let place = (self.here.file.clone(), self.here.line);
                self.missing
                    .insert(body.sha256, Missing { seq, place, error });
            }
        }
    }

    fn found(&mut self, problem: Problem, what: impl Into<String>) {
        let finding = Finding {
            problem,
            file: Some(self.here.file.clone()),
            line: Some(self.here.line).filter(|line| *line > 0),
            seq: self.here.seq,
            what: what.into(),
        };
        self.add(finding);
    }

    fn add(&mut self, finding: Finding) {
        if self.report.findings.len() < MAX_FINDINGS {
            self.report.findings.push(finding);
        } else {
            self.report.more += 1;
        }
    }

    fn elsewhere(&mut self, problem: Problem, file: Option<&str>, what: String) {
        self.add(Finding {
            problem,
            file: file.map(str::to_owned),
            line: None,
            seq: None,
            what,
        });
    }

    fn read_head(&mut self) {
        match read_head(self.disk, self.folder) {
            Ok(head) => self.head = head,
            Err(error) => self.elsewhere(Problem::Head, Some("head.json"), error.to_string()),
        }
    }

    fn finish(mut self) -> Result<Report, AuditError> {
        self.finish_bodies();
        self.finish_head();
        self.finish_pin();
        self.report.bodies = self.whole.len() as u64;
        self.report.unproved = self.unproved();
        self.report.verified = self.report.findings.is_empty();
        Ok(self.report)
    }

    /// What is missing must have been pruned, behind the last record that names it.
    fn finish_bodies(&mut self) {
        let missing: BTreeMap<(String, usize, Digest), Missing> = std::mem::take(&mut self.missing)
            .into_iter()
            .map(|(digest, missing)| {
                let (file, line) = missing.place.clone();
                ((file, line, digest), missing)
            })
            .collect();
        for ((file, line, digest), missing) in missing {
            let is_gone = matches!(missing.error, BodyError::Missing(_));
            let was_pruned = self
                .removed
                .get(&digest)
                .is_some_and(|at| *at > missing.seq);
            if is_gone && was_pruned {
                continue;
            }
            let (problem, what) = match missing.error {
                BodyError::Missing(_) => (
                    Problem::Missing,
                    format!(
                        "the body {digest}, which it names, is gone, and no record says that it was pruned"
                    ),
                ),
                error @ BodyError::Damaged { .. } => (Problem::Damaged, error.to_string()),
            };
            self.add(Finding {
                problem,
                file: Some(file),
                line: Some(line),
                seq: None,
                what,
            });
        }
    }

    fn finish_head(&mut self) {
        let Some(head) = self.head.take() else {
            return;
        };
        let what = match self.headed {
            _ if Some(head.log) != self.report.log => format!("it is of another log, {}", head.log),
            Pinned::Met => return,
            Pinned::Other => "it has another hash for a record of the log".to_owned(),
            Pinned::NotYet => format!(
                "it counts {} records, and the log ends before: it was cut",
                head.records
            ),
        };
        self.elsewhere(Problem::Head, Some("head.json"), what);
    }

    fn finish_pin(&mut self) {
        let Some(pin) = &self.against.pin else {
            return;
        };
        if let Pin::Checkpoint(checkpoint) = pin {
            if Some(checkpoint.log) != self.report.log {
                let what = format!("the pin is of another log, {}", checkpoint.log);
                return self.elsewhere(Problem::Pin, None, what);
            }
            let signed = self
                .against
                .key
                .as_ref()
                .map(|key| checkpoint.signed_by(key));
            if signed.is_some_and(|signed| signed != Signed::Right) {
                let what = "the pin is not signed by the key that was given".to_owned();
                self.elsewhere(Problem::Signature, None, what);
            }
        }
        let Some((seq, _)) = pin.record() else {
            return;
        };
        let what = match self.pinned {
            Pinned::Met => return,
            Pinned::Other => format!(
                "record {seq} does not have the hash that the pin has: the log was written anew"
            ),
            Pinned::NotYet => {
                format!("the pin knows record {seq}, and the log ends before it: it was cut")
            }
        };
        self.elsewhere(Problem::Pin, None, what);
    }

    fn unproved(&self) -> Vec<String> {
        let mut unproved = Vec::new();
        match &self.against.pin {
            None => unproved.push("that nothing is missing at the end, and that the log was not written anew as a whole: that takes a pin that was kept elsewhere (`--pin`)".to_owned()),
            Some(pin) => {
                let seq = pin.record().map_or(0, |(seq, _)| seq);
                if let Some((end, _)) = self.report.end.filter(|(end, _)| *end > seq) {
                    unproved.push(format!("that nothing is missing behind record {seq}, the last that the pin knows (the log goes on to record {end})"));
                }
            }
        }
        if self.against.key.is_none() {
            unproved.push("who wrote it: whoever can write the files can make a log that verifies; that takes checkpoints signed with a key that is kept elsewhere (`--public-key`)".to_owned());
        } else if self.last_kind != "checkpoint" {
            unproved.push(
                "who wrote the records behind the last checkpoint: no signature covers them yet"
                    .to_owned(),
            );
        }
        unproved
    }
}

/// What a record of kind `prune.intended` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pruning {
    /// Why.
    pub(super) reason: String,
    /// The digests of the bodies.
    pub(super) removed: Vec<Digest>,
}

/// How many bytes the segments of a log have, for progress.
#[must_use]
pub fn size(folder: &Path) -> u64 {
    let found = segments(&RealDisk, folder).unwrap_or_default();
    let length = |segment: &Segment| std::fs::metadata(&segment.path).map_or(0, |it| it.len());
    found.iter().map(length).sum()
}

#[cfg(test)]
mod tests;
