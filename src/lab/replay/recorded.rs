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
use crate::record::{Begun, Decision, Ended, Input, Kept, Restored, Said, Slot, kinds, subject};
use crate::route::Summary;
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
    /// What the route of the run was decided from, where a model was asked.
    pub(super) summary: Option<Summary>,
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
                    summary: None,
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
            kinds::ROUTE if subject(kinds::ROUTE, &record.body).is_none() => {
                let summary = record.body.get("summary").cloned();
                self.summary = summary.and_then(|summary| serde_json::from_value(summary).ok());
            }
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
    /// The slots that somebody was asked to fill, each with the number of its record.
    pub slots: Vec<(u64, Slot)>,
}

/// A slot that somebody was asked to fill, with what was said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecordedFill {
    /// The number of its record.
    pub seq: u64,
    /// What is recorded.
    #[serde(flatten)]
    pub slot: Slot,
    /// What was asked and answered; nothing where no prompt could be made, or the body is gone.
    pub said: Vec<Said>,
    /// Why that is not to be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gone: Option<String>,
}

/// The fills of a finding, with their bodies as far as they can be had.
#[must_use]
pub fn fills(audit: &Path, finding: &RecordedFinding) -> Vec<RecordedFill> {
    let slots = finding.slots.iter();
    slots.map(|(seq, slot)| fill(audit, *seq, slot)).collect()
}

/// What was said in the calls of a body.
pub(in crate::lab) fn said_in(audit: &Path, name: &Body) -> Result<Vec<Said>, String> {
    let bytes = body(audit, name).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes)
        .map_err(|_| format!("the body {} is no list of calls", name.sha256))
}

fn fill(audit: &Path, seq: u64, slot: &Slot) -> RecordedFill {
    let said = slot
        .blob
        .map_or(Ok(Vec::new()), |body| said_in(audit, &body));
    RecordedFill {
        seq,
        slot: slot.clone(),
        gone: said.as_ref().err().cloned(),
        said: said.unwrap_or_default(),
    }
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
        let is_slot = record.kind == kinds::SLOT;
        let is_of_a_finding = is_slot || Decision::kind(&record.kind).is_some();
        if record.kind == kinds::FINDING || !is_of_a_finding {
            take(current.take());
        }
        let Some(run) = record.run.filter(|_| is_of_a_finding) else {
            continue;
        };
        if record.kind == kinds::FINDING {
            current = Some(RecordedFinding {
                run,
                seq: record.seq,
                last: record.seq,
                decisions: Vec::new(),
                slots: Vec::new(),
            });
        }
        if let Some(current) = &mut current {
            current.last = record.seq;
            if is_slot {
                let slot = serde_json::from_value(record.body).ok();
                current.slots.extend(slot.map(|slot| (record.seq, slot)));
            } else {
                current.decisions.push((record.kind, record.body));
            }
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
