//! What an audit records of runs.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::audit::{AuditError, Body, Record, body};
use crate::event::{Digest, Time};
use crate::geo::Databases;
use crate::lab::replay::Stopped;
use crate::pipeline::{Settings, Step, steps};
use crate::record::{Begun, Decision, Ended, Input, Kept, Restored, kinds, subject};
use std::collections::BTreeSet;

/// What is recorded of a run, but for its decisions.
pub struct RecordedRun {
    /// Its id.
    pub run: Uuid,
    /// The number of its first record.
    pub seq: u64,
    /// When it began.
    pub time: Time,
    /// What it began with.
    pub begun: Begun,
    /// What it was decided from.
    pub evidence: Vec<Body>,
    pub(super) input: Option<Input>,
    pub(super) restored: Option<Restored>,
    pub(super) ended: Option<Ended>,
}

/// The runs that an audit records, in their order.
///
/// # Errors
///
/// When it cannot be read or does not verify.
pub fn recorded_runs(audit: &Path) -> Result<Vec<RecordedRun>, AuditError> {
    let mut runs: Vec<RecordedRun> = Vec::new();
    for record in crate::audit::read(audit)? {
        let record = record?;
        let Some(id) = record.run else { continue };
        if record.kind == kinds::BEGUN {
            if let Ok(begun) = serde_json::from_value(record.body) {
                runs.push(RecordedRun {
                    run: id,
                    seq: record.seq,
                    time: record.time,
                    begun,
                    evidence: Vec::new(),
                    input: None,
                    restored: None,
                    ended: None,
                });
            }
            continue;
        }
        if let Some(run) = runs.last_mut().filter(|run| run.run == id) {
            run.take(record);
        }
    }
    Ok(runs)
}

impl RecordedRun {
    fn take(&mut self, record: Record) {
        match record.kind.as_str() {
            kinds::EVIDENCE => {
                let kept: Option<Kept> = serde_json::from_value(record.body).ok();
                self.evidence.extend(kept.map(|kept| kept.blob));
            }
            kinds::INPUT => self.input = serde_json::from_value(record.body).ok(),
            kinds::RESTORED => self.restored = serde_json::from_value(record.body).ok(),
            kinds::ENDED => self.ended = serde_json::from_value(record.body).ok(),
            _ => {}
        }
    }

    /// Whether everything that was open closed at its end.
    pub(super) fn closed(&self) -> bool {
        self.ended.as_ref().is_some_and(|ended| ended.closed)
    }
}

impl RecordedRun {
    pub(super) fn settings(&self, databases: &Databases) -> Result<Settings, Stopped> {
        let mapping = self.begun.mapping().ok_or_else(|| {
            let mapping = &self.begun.mapping;
            Stopped::Inconclusive(format!("this version has no mapping `{mapping}`"))
        })?;
        Ok(Settings {
            mapping,
            since: None,
            until: None,
            strict: false,
            threads: 1,
            databases: databases.clone(),
            evidence: None,
        })
    }

    /// What it went on from.
    pub(super) fn state(&self, audit: &Path) -> Result<Option<(Vec<u8>, Time)>, Stopped> {
        let Some(restored) = &self.restored else {
            return Ok(None);
        };
        match body(audit, &restored.blob) {
            Ok(saved) => Ok(Some((saved, restored.clock))),
            Err(error) => Err(Stopped::Inconclusive(error.to_string())),
        }
    }
}

/// A finding that is recorded, with all that was decided of it.
#[derive(Clone, Debug)]
pub struct RecordedFinding {
    /// The run that found it.
    pub run: Uuid,
    /// The number of the record of the finding.
    pub seq: u64,
    /// The number of the last record of what was decided of it.
    pub last: u64,
    /// Kind and body of each record.
    pub decisions: Vec<(String, Value)>,
}

impl RecordedFinding {
    /// What one of its records says, below a key of its body.
    #[must_use]
    pub fn says<T: serde::de::DeserializeOwned>(&self, kind: &str, key: Option<&str>) -> Option<T> {
        let mut decisions = self.decisions.iter();
        let (_, body) = decisions.find(|(known, _)| known == kind)?;
        let value = key.map_or(Some(body), |key| body.get(key))?;
        serde_json::from_value(value.clone()).ok()
    }

    /// What each of its records of a kind says, below a key of its body.
    #[must_use]
    pub fn all<T: serde::de::DeserializeOwned>(&self, kind: &str, key: &str) -> Vec<T> {
        let of_kind = self.decisions.iter().filter(|(known, _)| known == kind);
        let values = of_kind.filter_map(|(_, body)| body.get(key));
        values
            .filter_map(|value| serde_json::from_value(value.clone()).ok())
            .collect()
    }

    /// Whether a word names it: the number of one of its records, or how the id of its finding or incident begins.
    fn is_called(&self, word: &str) -> bool {
        let number: Option<u64> = word.parse().ok();
        let is_number = number.is_some_and(|seq| (self.seq..=self.last).contains(&seq));
        let begins = |(kind, body): &(String, Value)| {
            subject(kind, body).is_some_and(|id| id.starts_with(word))
        };
        is_number || self.decisions.iter().any(begins)
    }
}

/// The findings that a word names: the number of a record, or the beginning of the id of a
/// finding or an incident. A finding that was told several times is named by each.
///
/// # Errors
///
/// When the audit cannot be read or does not verify.
pub fn findings_called(audit: &Path, word: &str) -> Result<Vec<RecordedFinding>, AuditError> {
    let word = word.to_lowercase();
    let mut called = Vec::new();
    let mut current: Option<RecordedFinding> = None;
    let mut take = |done: Option<RecordedFinding>| {
        called.extend(done.filter(|finding| finding.is_called(&word)));
    };
    for record in crate::audit::read(audit)? {
        let record = record?;
        let is_decision = Decision::kind(&record.kind).is_some();
        if record.kind == kinds::FINDING || !is_decision {
            take(current.take());
        }
        let Some(run) = record.run.filter(|_| is_decision) else {
            continue;
        };
        if record.kind == kinds::FINDING {
            current = Some(RecordedFinding {
                run,
                seq: record.seq,
                last: record.seq,
                decisions: Vec::new(),
            });
        }
        if let Some(current) = &mut current {
            current.last = record.seq;
            current.decisions.push((record.kind, record.body));
        }
    }
    take(current.take());
    Ok(called)
}

/// Where an event came from that a decision was made from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Origin {
    /// The identity of the event.
    pub digest: Digest,
    /// The input, as it was given.
    pub input: Option<String>,
    /// The line it began on, from 1.
    pub line: u64,
    /// The body that holds it.
    pub blob: Digest,
}

/// Where the events of these digests came from, as far as the evidence of a run can be had.
#[must_use]
pub fn origins(audit: &Path, run: &RecordedRun, digests: &[Digest]) -> Vec<Origin> {
    let mut wanted: BTreeSet<Digest> = digests.iter().copied().collect();
    let mut origins = Vec::new();
    for name in &run.evidence {
        let Ok(lines) = body(audit, name) else {
            continue;
        };
        for step in steps(&lines) {
            let Some(Step::Event(kept)) = step else {
                continue;
            };
            if wanted.remove(&kept.digest) {
                origins.push(Origin {
                    digest: kept.digest,
                    input: run.begun.inputs.get(kept.input as usize).cloned(),
                    line: kept.line,
                    blob: name.sha256,
                });
            }
        }
    }
    origins
}
