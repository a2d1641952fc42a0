//! What is told of an effect: the same value for every face.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::detect::Severity;
use crate::event::Time;
use crate::lab::diff::effect::certainty::{Certainty, Least};
use crate::lab::diff::effect::doubts::Doubt;
use crate::lab::diff::effect::edits::Edit;
use crate::lab::diff::effect::traced::{Kind, Subject};

/// So many records of a list are told; all are counted.
pub const TOLD: usize = 1_000;

/// So many records of high severity that are gone are told.
pub const LOST: usize = 10_000;

/// What a change of a policy does to logs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// What was read.
    pub read: Read,
    /// Every edit between the files that may decide anything. Causes name them by their place here, from 0.
    pub edits: Vec<Edit>,
    /// Findings.
    pub findings: Delta,
    /// Risks of findings.
    pub risks: Delta,
    /// Incidents.
    pub incidents: Delta,
    /// Routes of incidents and of the run.
    pub routes: Delta,
    /// Plans as a whole.
    pub plans: Delta,
    /// Steps of plans.
    pub steps: Delta,
    /// Suggested commands.
    pub commands: Delta,
    /// What agents of the engineer's wrote.
    pub drafts: Delta,
    /// Rules whose findings differ, or what follows from them.
    pub by_rule: Vec<OfRule>,
    /// The records that differ, by account, or else by the first value of the group.
    pub by_actor: BTreeMap<String, Differing>,
    /// By day in UTC.
    pub by_day: BTreeMap<String, Differing>,
    /// By ATT&CK technique.
    pub by_technique: BTreeMap<String, Differing>,
    /// Every finding, incident, step and command of severity high or above that is gone.
    pub lost: Vec<Lost>,
    /// How many more of these are not listed.
    #[serde(skip_serializing_if = "is_none")]
    pub lost_left_out: u64,
    /// What is not known for certain, and why.
    pub doubts: Vec<Doubt>,
    /// Whether nothing of that could change what is told here.
    pub conclusive: bool,
    /// What a gate is held against.
    #[serde(skip)]
    pub tally: Tally,
}

/// Findings by rule and day, and what is gone by rule and severity: all of it, whatever is listed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// How many findings a rule has on a day (UTC) in the base and in the head.
    pub findings: BTreeMap<(Uuid, String), [u64; 2]>,
    /// How many of them only the head has.
    pub added: BTreeMap<(Uuid, String), u64>,
    /// Findings and incidents that only the base has.
    pub gone: BTreeMap<(Kind, Uuid, Severity), Gone>,
}

/// How many are gone, and the clause that took the first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gone {
    /// How many.
    pub count: u64,
    /// The clause, where one is known.
    pub clause: Option<Clause>,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Read {
    /// Events in the time range.
    pub events: u64,
    /// Events outside of it.
    pub outside_range: u64,
    /// The time of the earliest event.
    pub first: Option<Time>,
    /// The time of the latest event.
    pub last: Option<Time>,
}

/// The records of one kind on both sides.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Delta {
    /// How many there are.
    pub counts: Counted,
    /// Those of the head that the base does not have.
    pub added: Vec<One>,
    /// Those of the base that the head does not have.
    pub removed: Vec<One>,
    /// Those of both that do not say the same.
    pub changed: Vec<Changed>,
    /// How many more differ than are listed.
    #[serde(skip_serializing_if = "is_none")]
    pub left_out: u64,
}

/// How many records of a kind there are.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counted {
    /// Of the base.
    pub base: u64,
    /// Of the head.
    pub head: u64,
    /// Of the head alone.
    pub added: u64,
    /// Of the base alone.
    pub removed: u64,
    /// Of both, not the same.
    pub changed: u64,
    /// How many there are with whatever the policies let a model say; nothing where that is these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounds: Option<Bounds>,
}

/// How many records of a kind there are at least and at most, whatever a model says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bounds {
    /// Of the base.
    pub base: Least,
    /// Of the head.
    pub head: Least,
    /// Of the head alone.
    pub added: Least,
    /// Of the base alone.
    pub removed: Least,
    /// Of both, not the same.
    pub changed: Least,
}

impl Counted {
    /// Whether these are the figures.
    fn are(&self, bounds: &Bounds) -> bool {
        let is = |figure: u64, least: Least| {
            least
                == Least {
                    at_least: figure,
                    at_most: figure,
                }
        };
        is(self.base, bounds.base)
            && is(self.head, bounds.head)
            && is(self.added, bounds.added)
            && is(self.removed, bounds.removed)
            && is(self.changed, bounds.changed)
    }

    /// Takes bounds, where they say more than the figures.
    pub(super) fn bound(&mut self, bounds: Bounds) {
        self.bounds = (!self.are(&bounds)).then_some(bounds);
    }
}

/// A record that one side has.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct One {
    /// The step or the command.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What it is about.
    #[serde(flatten)]
    pub subject: Arc<Subject>,
    /// What makes the difference.
    pub cause: Cause,
    /// Whether it is one whatever a model says.
    pub certainty: Certainty,
}

/// A record that both sides have, and that does not say the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Changed {
    /// The step or the command.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What it was about.
    pub base: Arc<Subject>,
    /// What it is about.
    pub head: Arc<Subject>,
    /// The fields that differ.
    pub fields: Vec<Field>,
    /// What makes the difference.
    pub cause: Cause,
    /// Whether it is one whatever a model says.
    pub certainty: Certainty,
}

/// A field with what it was and is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Field {
    /// Its name.
    pub field: String,
    /// What it was; null where it was not there.
    pub base: Value,
    /// What it is; null where it is not there.
    pub head: Value,
}

/// What makes a difference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// How the edits make it.
    pub how: How,
    /// The edits, by their place in [`Effect::edits`].
    pub edits: Vec<usize>,
}

/// How edits make a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Each of them makes it alone; of several fields, each some.
    Alone,
    /// These make it together, and none alone.
    Together,
    /// There were too many edits, or findings that differ, to try them one by one.
    #[default]
    NotAttributed,
}

/// A rule whose findings differ, or what follows from them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OfRule {
    /// Its name or title.
    pub rule: String,
    /// Its id.
    pub id: Uuid,
    /// How many findings it has in the base.
    pub base: u64,
    /// How many it has in the head.
    pub head: u64,
    /// The records that differ.
    #[serde(flatten)]
    pub differing: Differing,
}

/// How many records differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Differing {
    /// Findings.
    pub findings: Signed,
    /// Incidents.
    pub incidents: Signed,
    /// Everything else that hangs on them.
    pub others: Signed,
}

/// How many are added, removed and changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Signed {
    /// Of the head alone.
    pub added: u64,
    /// Of the base alone.
    pub removed: u64,
    /// Of both, not the same.
    pub changed: u64,
}

/// A record of high severity that is gone, and the clause that took it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lost {
    /// Its kind.
    pub kind: Kind,
    /// How severe it was.
    pub severity: Severity,
    /// The record.
    #[serde(flatten)]
    pub one: One,
    /// The clauses with their lines, in the head where they are there.
    pub clauses: Vec<Clause>,
}

/// A clause and its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Clause {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// On which side that is.
    pub side: &'static str,
    /// The rule or the table, and the key in it.
    pub clause: String,
}

impl Clause {
    /// Where an edit stands.
    #[must_use]
    pub fn of(edit: &Edit) -> Self {
        let (line, side) = match (edit.head_line, edit.base_line) {
            (Some(line), _) => (line, "head"),
            (None, line) => (line.unwrap_or(1), "base"),
        };
        let words = [edit.part.as_str(), edit.clause.as_str()];
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        Self {
            file: edit.file.clone(),
            line,
            side,
            clause: words.join(": "),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Effect {
    /// The records of a kind.
    pub(super) fn delta(&mut self, kind: Kind) -> &mut Delta {
        match kind {
            Kind::Finding => &mut self.findings,
            Kind::Risk => &mut self.risks,
            Kind::Incident => &mut self.incidents,
            Kind::Route => &mut self.routes,
            Kind::Plan => &mut self.plans,
            Kind::Step => &mut self.steps,
            Kind::Command => &mut self.commands,
            Kind::Draft => &mut self.drafts,
        }
    }

    /// The records of every kind.
    #[must_use]
    pub fn deltas(&self) -> [(Kind, &Delta); 8] {
        [
            (Kind::Finding, &self.findings),
            (Kind::Risk, &self.risks),
            (Kind::Incident, &self.incidents),
            (Kind::Route, &self.routes),
            (Kind::Plan, &self.plans),
            (Kind::Step, &self.steps),
            (Kind::Command, &self.commands),
            (Kind::Draft, &self.drafts),
        ]
    }

    /// Whether nothing differs, and nothing would whatever a model says.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.deltas().iter().all(|(_, delta)| {
            let counts = &delta.counts;
            let most = counts.bounds.unwrap_or_default();
            let most = most.added.at_most + most.removed.at_most + most.changed.at_most;
            counts.added + counts.removed + counts.changed + most == 0
        })
    }
}
