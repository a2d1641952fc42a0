//! Recorded decisions made again, from the audit alone, and compared byte for byte.
//!
//! Nothing here has a handle on the outside: what was read is in the audit, the policy in the
//! archive, and what comes of them is compared and dropped.

mod answers;
mod comparing;
mod recorded;

pub(super) use self::recorded::said_in;
pub use self::recorded::{
    Origin, RecordedFill, RecordedFinding, RecordedRun, fills, findings_called, origins,
    recorded_runs,
};

use std::io;
use std::iter::Peekable;
use std::ops::RangeInclusive;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use self::answers::Answers;
use self::comparing::Comparing;
use crate::audit::{AuditError, BodyError, Record, body};
use crate::event::{Digest, Time};
use crate::geo::Databases;
use crate::llm::Model;
use crate::okta::ADDRESS_FIELDS;
use crate::pipeline::{AgainError, Came, Filling, detect_again, following};
use crate::policy::{self, Policy};
use crate::record::Engine;

/// What is replayed, and under what.
pub struct Replay<'r> {
    /// The folder of the audit.
    pub audit: &'r Path,
    /// The data folder whose archive holds the policies.
    pub data: &'r Path,
    /// A policy to decide by in the place of the recorded ones.
    pub under: Option<&'r mut Policy>,
    /// The databases that are asked for what events lack.
    pub databases: Databases,
    /// One run alone.
    pub only: Option<Uuid>,
    /// The records of these numbers alone; all that is needed for them is made again.
    pub about: Option<RangeInclusive<u64>>,
}

/// What came of a replay.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Each run.
    pub runs: Vec<RunReport>,
}

/// What came of replaying one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunReport {
    /// The run.
    pub run: Uuid,
    /// The number of its first record.
    pub seq: u64,
    /// When it began.
    pub time: Time,
    /// How many decisions are recorded.
    pub recorded: u64,
    /// How many came out the same, byte for byte.
    pub same: u64,
    /// How many did not.
    pub different: u64,
    /// The first of those.
    pub differences: Vec<Difference>,
    /// Whether it began and is not recorded to have ended.
    pub cut_short: bool,
    /// Decisions that were made again and are not recorded, since the run was cut short.
    pub beyond: u64,
    /// What is not the same as it was: causes of differences.
    pub changed: Vec<Changed>,
    /// Why it could not be replayed, or not in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inconclusive: Option<String>,
    /// What a model would have to be asked and was not then; what rests on that is not compared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<String>,
}

/// What is another than it was when a run was recorded.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Changed {
    /// The policy.
    Policy {
        /// What it was.
        recorded: Digest,
        /// What it is.
        now: Digest,
    },
    /// The program.
    Engine {
        /// What it was.
        recorded: Engine,
        /// What it is.
        now: Engine,
    },
}

/// A decision that did not come out the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The number of its record; nothing where it is not recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// What kind of decision.
    pub kind: String,
    /// The finding or incident that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Where it differs, and how.
    #[serde(flatten)]
    pub how: How,
}

/// How a decision differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum How {
    /// It says something else.
    Changed {
        /// The first place in its body, as a JSON pointer.
        at: String,
        /// What is recorded there.
        recorded: Value,
        /// What came of it now.
        now: Value,
    },
    /// It was not made again.
    NotMade,
    /// It is not recorded.
    NotRecorded,
}

/// A replay could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The audit could not be read, or does not verify.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// What was decided again could not be compared.
    #[error("the decisions cannot be compared: {0}")]
    Compare(String),
    /// The temporary file for sorting failed.
    #[error(transparent)]
    Again(AgainError),
}

/// Makes the recorded decisions again.
///
/// # Errors
///
/// When the audit cannot be read or does not verify. What cannot be replayed is said in the report.
pub fn replay(mut replay: Replay<'_>) -> Result<Report, ReplayError> {
    let runs = recorded_runs(replay.audit)?;
    let mut records = crate::audit::read(replay.audit)?.peekable();
    let mut fills = crate::audit::read(replay.audit)?.peekable();
    let mut report = Report::default();
    for run in runs {
        if replay.only.is_some_and(|only| only != run.run) {
            continue;
        }
        let about = replay.about.clone();
        let mut comparing = Comparing::new(&mut records, &run, about);
        let came = match replay.again(&run, &mut comparing, &mut fills) {
            Ok(unanswered) => Ok(unanswered),
            Err(Stopped::Inconclusive(why)) => Err(why),
            Err(Stopped::Failed(error)) => return Err(error),
        };
        let mut of_run = comparing.finish(&run, came)?;
        of_run.changed = replay.changed(&run);
        report.runs.push(of_run);
    }
    Ok(report)
}

/// Why a run is not replayed to its end.
enum Stopped {
    Inconclusive(String),
    Failed(ReplayError),
}

impl Replay<'_> {
    /// Decides again what a run decided; gives what a model was not asked then.
    fn again<R: Iterator<Item = Result<Record, AuditError>>>(
        &mut self,
        run: &RecordedRun,
        comparing: &mut Comparing<'_, R>,
        fills: &mut Peekable<impl Iterator<Item = Result<Record, AuditError>> + Send>,
    ) -> Result<Vec<String>, Stopped> {
        let mut archived;
        let policy = match self.under.as_deref_mut() {
            Some(policy) => policy,
            None => {
                archived = archived_policy(self.data, run.begun.policy)?;
                &mut archived
            }
        };
        let asked = self.databases.records();
        if asked != run.begun.databases {
            return Err(Stopped::Inconclusive(
                "it asked other databases; name the same ones with `--geoip` and `--asn`"
                    .to_owned(),
            ));
        }
        let fields = self.databases.paths(&ADDRESS_FIELDS);
        policy.detector.note_supplied(&fields);
        let settings = run.settings(&self.databases)?;
        let restored = run.state(self.audit)?;
        let came = match (&run.input, run.begun.lateness) {
            (_, Some(_)) => Came::Live {
                generation: run.begun.generation,
                state: restored
                    .as_ref()
                    .map(|(saved, clock)| (saved.as_slice(), *clock)),
                ended: run.closed(),
            },
            (Some(input), None) => Came::Finite(input.counts.last),
            // It was cut short before it had read its input: nothing was decided.
            (None, None) => Came::Finite(None),
        };
        let mut evidence = run.evidence.iter().map(|name| {
            let kept = body(self.audit, name);
            kept.map_err(io::Error::other)
        });
        let detector = &policy.detector;
        let asks = run.begun.slots.as_ref();
        let answers = asks.map(|asks| Answers::new(asks.model.clone(), self.audit, run, fills));
        let filling = Filling {
            model: answers.as_ref().map(|answers| answers as &dyn Model),
            summary: run.summary.as_ref(),
        };
        let decided = following(policy, &filling, comparing, |following| {
            if run.input.is_none() && run.begun.lateness.is_none() {
                return Ok(());
            }
            detect_again(detector, &mut evidence, &came, &settings, following)
        });
        let decided = decided.map_err(compare_error)?;
        decided.unwrap_or(Ok(())).map_err(stopped)?;
        let unanswered = answers.map_or(Ok(Vec::new()), Answers::unanswered);
        unanswered.map_err(|error| Stopped::Failed(ReplayError::Audit(error)))
    }

    /// What is not as it was.
    fn changed(&self, run: &RecordedRun) -> Vec<Changed> {
        let recorded = run.begun.policy;
        let now = self.under.as_ref().map_or(recorded, |policy| policy.digest);
        let policy = (now != recorded).then_some(Changed::Policy { recorded, now });
        let engine = (run.begun.engine != Engine::this()).then(|| Changed::Engine {
            recorded: run.begun.engine.clone(),
            now: Engine::this(),
        });
        policy.into_iter().chain(engine).collect()
    }
}

/// The policy of a digest, from the archive.
fn archived_policy(data: &Path, digest: Digest) -> Result<Policy, Stopped> {
    let folder = policy::archived(data, digest);
    let gone = |why: &str| {
        Stopped::Inconclusive(format!(
            "the policy {digest} {why}; `--under DIR` replays it under another"
        ))
    };
    if !folder.is_dir() {
        return Err(gone("is not in the archive of the data folder"));
    }
    let loaded = policy::load(&folder);
    let policy = loaded
        .policy
        .ok_or_else(|| gone("is archived, and this version refuses it"))?;
    if policy.digest != digest {
        return Err(gone("was changed in the archive"));
    }
    Ok(policy)
}

fn compare_error(error: io::Error) -> Stopped {
    Stopped::Failed(ReplayError::Compare(error.to_string()))
}

fn stopped(error: AgainError) -> Stopped {
    match error {
        AgainError::Evidence(error) if is_body_error(&error) => Stopped::Inconclusive(format!(
            "what it was decided from is not to be had: {error}"
        )),
        AgainError::State(error) => Stopped::Inconclusive(error.to_string()),
        AgainError::Line => Stopped::Inconclusive(AgainError::Line.to_string()),
        error => Stopped::Failed(ReplayError::Again(error)),
    }
}

fn is_body_error(error: &io::Error) -> bool {
    let inner = error.get_ref();
    inner.is_some_and(|inner| inner.downcast_ref::<BodyError>().is_some())
}

impl Report {
    /// Whether every decision that is recorded came out the same.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.runs.iter().all(|run| run.different == 0)
    }

    /// Whether all could be replayed.
    #[must_use]
    pub fn is_conclusive(&self) -> bool {
        let is_whole = |run: &RunReport| run.inconclusive.is_none() && run.unanswered.is_empty();
        self.runs.iter().all(is_whole)
    }
}
