//! What a run says in the audit, and what a replay reads there: the kinds of records and the
//! shapes of their bodies.
//!
//! ```text
//! run.begun ─▶ route ─▶ evidence* ─▶ input ─▶ (finding ─▶ risk ─▶ incident ─▶ route ─▶ plan ─▶ commands ─▶ draft*)* ─▶ artifacts.intended ─▶ artifacts.done ─▶ run.ended
//! ```
//!
//! Of live input, evidence and decisions take turns, what came too late is `late`, and `input`
//! stands at the end, for those inputs that have one.

mod gate;
mod recorder;

pub use self::gate::{News, RequestGate, Told};
pub use self::recorder::{Recorder, activate};

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::audit::{Audit, AuditError, Body, canonical};
use crate::event::{Digest, Time};
use crate::geo::DatabaseRecord;
use crate::llm::{About, Reply, Request};
use crate::okta::{MAPPINGS, Mapping};
use crate::pipeline::{Counts, Outcome, Settings};
use crate::promote::IncidentStatus;
use crate::route::{Route, Summary};
use crate::source::InputRead;

/// The kinds of records.
pub mod kinds {
    /// A policy is activated: an intent.
    pub const POLICY: &str = "policy";
    /// A run began: [`super::Begun`].
    pub const BEGUN: &str = "run.begun";
    /// Live input goes on from what was saved: [`super::Restored`].
    pub const RESTORED: &str = "state.restored";
    /// Events that satisfied a rule: [`super::Kept`].
    pub const EVIDENCE: &str = "evidence";
    /// Inputs were read to their end: [`super::Input`].
    pub const INPUT: &str = "input";
    /// A live event came too late for windows.
    pub const LATE: &str = "late";
    /// A question about the tenant, with what is wanted and the checks.
    pub const QUESTION: &str = "question";
    /// What came of a question.
    pub const ANSWER: &str = "answer";
    /// A finding.
    pub const FINDING: &str = "finding";
    /// The risk of a finding, how its slot was filled, and the verdict.
    pub const RISK: &str = "risk";
    /// An incident.
    pub const INCIDENT: &str = "incident";
    /// The route of the run or of an incident, with each edit of a guardrail.
    pub const ROUTE: &str = "route";
    /// Somebody was asked to fill a slot: [`super::Slot`].
    pub const SLOT: &str = "slot";
    /// The plan of an incident.
    pub const PLAN: &str = "plan";
    /// The commands that are suggested for a plan.
    pub const COMMANDS: &str = "commands";
    /// What an agent wrote about an incident, or why it failed.
    pub const DRAFT: &str = "draft";
    /// Artifacts are put in their place: an intent.
    pub const ARTIFACTS: &str = "artifacts";
    /// A run ended: [`super::Ended`].
    pub const ENDED: &str = "run.ended";
    /// Okta's API is asked: an intent.
    pub const REQUEST: &str = "okta.request";
    /// Somebody set the status of an incident: [`super::StatusChange`].
    pub const STATUS: &str = "incident.status";

    /// Those that are decisions: what a replay makes again.
    pub const DECISIONS: [&str; 7] = [FINDING, RISK, INCIDENT, ROUTE, PLAN, COMMANDS, DRAFT];
}

/// What decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    /// The version of the program.
    pub version: String,
    /// A digest of the source that it was built from.
    pub source: String,
}

impl Engine {
    /// The one that runs.
    #[must_use]
    pub fn this() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            source: env!("RULECTL_SOURCE").to_owned(),
        }
    }
}

/// A run began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Begun {
    /// What decided.
    pub engine: Engine,
    /// By which policy.
    pub policy: Digest,
    /// Its generation.
    pub generation: u64,
    /// Where the events come from, as given.
    pub inputs: Vec<String>,
    /// How a record's fields become Okta's.
    pub mapping: String,
    /// Events before this are left out.
    pub since: Option<Time>,
    /// Events at or after this are left out.
    pub until: Option<Time>,
    /// The databases that are asked for what events lack.
    pub databases: Vec<DatabaseRecord>,
    /// Of live input: how late events may come, in seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lateness: Option<f64>,
    /// The fields that are masked where events are kept.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub secret: Vec<String>,
    /// Who fills slots; where nobody does, each takes its default.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub slots: Option<Asks>,
}

/// Who fills slots.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asks {
    /// The word of `--slots`: `live`, `record` or `replay`.
    pub mode: String,
    /// What may be said of the model.
    pub model: About,
}

impl Begun {
    /// What a run with such settings begins with.
    #[must_use]
    pub fn new(policy: Digest, generation: u64, inputs: Vec<String>, settings: &Settings) -> Self {
        let mut mappings = MAPPINGS.iter();
        let mapping = mappings.find(|(_, mapping)| *mapping == settings.mapping);
        let secrets = settings.evidence.iter();
        let secret = secrets.flat_map(|secrets| secrets.paths().map(str::to_owned));
        Self {
            engine: Engine::this(),
            policy,
            generation,
            inputs,
            mapping: mapping.map_or_else(String::new, |(name, _)| (*name).to_owned()),
            since: settings.since,
            until: settings.until,
            databases: settings.databases.records(),
            lateness: None,
            secret: secret.collect(),
            slots: None,
        }
    }

    /// The mapping by its name.
    #[must_use]
    pub fn mapping(&self) -> Option<Mapping> {
        let mut mappings = MAPPINGS.iter();
        let named = mappings.find(|(name, _)| *name == self.mapping);
        named.map(|(_, mapping)| *mapping)
    }
}

/// Live input goes on from what was saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Restored {
    /// What was saved.
    pub blob: Body,
    /// What the clock said.
    pub clock: Time,
}

/// Events that satisfied a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The lines of [`Evidence`](crate::pipeline::Evidence).
    pub blob: Body,
    /// How many events.
    pub events: u64,
    /// The secret fields that were masked in some of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub masked: Vec<String>,
}

/// Inputs were read to their end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Each input, with the digest of its bytes.
    pub inputs: Vec<InputRead>,
    /// What it held.
    pub counts: Counts,
}

/// A run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// What was read and left out.
    pub counts: Counts,
    /// Why inputs were not read, or not to their end.
    pub failed: Vec<String>,
    /// Whether it was the end of the input, at which everything open closes, and not of the program alone.
    pub closed: bool,
}

/// Somebody set the status of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusChange {
    /// The incident.
    pub incident: Uuid,
    /// What it was.
    pub from: IncidentStatus,
    /// What it is.
    pub to: IncidentStatus,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
    /// Who says so.
    pub by: String,
}

/// Somebody was asked to fill a slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    /// The slot, such as `risk`.
    pub slot: String,
    /// The finding or incident that it is about; nothing for the route of a run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<Uuid>,
    /// Each call, in their order: one, and another where the first reply was to be repaired.
    pub calls: Vec<SlotCall>,
    /// What was asked and answered: a list of [`Said`], one for each call. Nothing where no prompt
    /// could be made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub blob: Option<Body>,
    /// Why no reply was accepted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<String>,
}

/// A call of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlotCall {
    /// Of what was asked, in canonical JSON.
    pub request: Digest,
    /// Of what was answered, likewise.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reply: Option<Digest>,
    /// Why there is no reply.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<String>,
    /// Why the reply was not accepted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<String>,
}

/// What was said in a call of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// What was asked.
    pub request: Request,
    /// What was answered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reply: Option<Reply>,
}

/// The digest of a request or a reply, in canonical JSON.
///
/// # Errors
///
/// When it cannot be JSON.
pub fn digest_of(value: &impl Serialize) -> io::Result<Digest> {
    let canonical = canonical(&to_value(value)?).map_err(io::Error::other)?;
    Ok(Digest::of(canonical.as_bytes()))
}

/// A decision, as it is recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// One of [`kinds::DECISIONS`].
    pub kind: &'static str,
    /// What it says.
    pub body: Value,
}

/// The decisions that an outcome is made of, in their order.
///
/// # Errors
///
/// When something in it cannot be JSON.
pub fn decisions(outcome: &Outcome) -> Result<Vec<Decision>, serde_json::Error> {
    let finding = json!({"finding": to_value(&outcome.finding)?});
    let was_asked = outcome.asked.iter().any(|filled| filled.slot == "risk");
    let risk = json!({
        "risk": to_value(&outcome.risk)?,
        "slot": {"name": "risk", "mode": if was_asked { "asked" } else { "default" }},
        "promotion": to_value(&outcome.promotion)?,
    });
    let mut decisions = vec![
        Decision::new(kinds::FINDING, finding),
        Decision::new(kinds::RISK, risk),
    ];
    if let Some(response) = &outcome.response {
        let incident = json!({"incident": to_value(&response.incident)?});
        decisions.push(Decision::new(kinds::INCIDENT, incident));
        decisions.push(route_decision(&response.route, None)?);
        if let Some(plan) = &response.plan {
            let plan = json!({"plan": to_value(plan)?});
            decisions.push(Decision::new(kinds::PLAN, plan));
        }
        if !response.commands.is_empty() {
            let commands = json!({
                "incident_id": response.incident.id,
                "commands": to_value(&response.commands)?,
            });
            decisions.push(Decision::new(kinds::COMMANDS, commands));
        }
        for draft in &response.drafts {
            let draft = json!({"draft": to_value(draft)?});
            decisions.push(Decision::new(kinds::DRAFT, draft));
        }
    }
    Ok(decisions)
}

/// A route, as it is recorded; with the summary of the events that that of a run was decided from,
/// where a model was asked.
///
/// # Errors
///
/// When something in it cannot be JSON.
pub fn route_decision(
    route: &Route,
    summary: Option<&Summary>,
) -> Result<Decision, serde_json::Error> {
    let mut body = json!({"route": to_value(route)?});
    if let (Some(summary), Some(body)) = (summary, body.as_object_mut()) {
        body.insert("summary".to_owned(), to_value(summary)?);
    }
    Ok(Decision::new(kinds::ROUTE, body))
}

impl Decision {
    fn new(kind: &'static str, body: Value) -> Self {
        Self { kind, body }
    }

    /// Whether a kind of records is one of decisions.
    #[must_use]
    pub fn kind(kind: &str) -> Option<&'static str> {
        kinds::DECISIONS.into_iter().find(|known| *known == kind)
    }
}

/// What a decision is about: the id of its finding or incident; nothing for the route of a run.
#[must_use]
pub fn subject<'b>(kind: &str, body: &'b Value) -> Option<&'b str> {
    let pointer = match kind {
        kinds::FINDING => "/finding/id",
        kinds::RISK => "/risk/finding_id",
        kinds::INCIDENT => "/incident/id",
        kinds::ROUTE => "/route/incident_id",
        kinds::PLAN => "/plan/incident_id",
        kinds::COMMANDS => "/incident_id",
        kinds::DRAFT => "/draft/incident_id",
        kinds::STATUS => "/incident",
        kinds::SLOT => "/subject",
        _ => return None,
    };
    body.pointer(pointer).and_then(Value::as_str)
}

/// What the status of an incident was set to, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusSet {
    /// When, by the clock.
    pub time: Time,
    /// What and by whom.
    pub change: StatusChange,
}

/// The statuses that incidents were set to, each the last one.
#[derive(Clone, Debug, Default)]
pub struct Statuses(BTreeMap<Uuid, StatusSet>);

impl Statuses {
    /// What the status of an incident was set to last.
    #[must_use]
    pub fn of(&self, incident: Uuid) -> Option<&StatusSet> {
        self.0.get(&incident)
    }
}

/// Reads the statuses that incidents were set to.
///
/// # Errors
///
/// When the audit cannot be read or does not verify.
pub fn statuses(audit: &Path) -> Result<Statuses, AuditError> {
    let mut known = Statuses::default();
    for record in crate::audit::read(audit)? {
        let record = record?;
        if record.kind != kinds::STATUS {
            continue;
        }
        if let Ok(change) = serde_json::from_value::<StatusChange>(record.body) {
            let time = record.time;
            known.0.insert(change.incident, StatusSet { time, change });
        }
    }
    Ok(known)
}

/// Sets the status of an incident: it is set once this is recorded.
///
/// # Errors
///
/// When the audit cannot be written; the status is then what it was.
pub fn set_status(audit: &Audit, change: &StatusChange) -> Result<(), AuditError> {
    // It has texts for keys.
    let body = to_value(change).unwrap_or_default();
    audit.append(kinds::STATUS, body)?;
    audit.commit()
}

fn to_value(value: &impl Serialize) -> Result<Value, serde_json::Error> {
    serde_json::to_value(value)
}
