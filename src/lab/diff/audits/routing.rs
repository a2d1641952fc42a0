//! What the guardrails of each side make of what a model proposed, and which findings they promote.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use crate::detect::Severity;
use crate::diag::Problems;
use crate::document::{Node, parse_toml};
use crate::lab::diff::audits::proposals::{Carrying, Noted};
use crate::lab::diff::effect::Subject;
use crate::lab::diff::{Place, Side};
use crate::pipeline::Outcome;
use crate::route::{Action, Context, Route};

/// So many routes and promotions are told; all are counted.
const TOLD: usize = 1_000;

/// The recorded proposals under the guardrails of both sides.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Routing {
    /// What the guardrails of each side do to the routes of runs and incidents.
    pub agents: Both<Fates>,
    /// By slot, what became of the recorded proposals.
    pub proposals: Both<BTreeMap<String, BTreeMap<Carrying, u64>>>,
    /// By slot, in what the first request differs that a proposal was carried to, or why there is none.
    pub why: Both<BTreeMap<String, String>>,
    /// Each proposal that does not answer the request that it was given to, or is not there.
    pub otherwise: Vec<Otherwise>,
    /// How many more there are than are listed.
    #[serde(skip_serializing_if = "is_none")]
    pub otherwise_left_out: u64,
    /// The routes that are others.
    pub changed: Vec<Routed>,
    /// How many more are others than are listed.
    #[serde(skip_serializing_if = "is_none")]
    pub changed_left_out: u64,
    /// The routes of both sides that are the same.
    pub same: Vec<Routed>,
    /// How many more are the same than are listed.
    #[serde(skip_serializing_if = "is_none")]
    pub same_left_out: u64,
    /// The findings that the head promotes, and the base does not.
    pub gained: Vec<Promoted>,
    /// The findings that the base promotes, and the head does not.
    pub lost: Vec<Promoted>,
    /// How many more are promoted by one side than are listed.
    #[serde(skip_serializing_if = "is_none")]
    pub promoted_left_out: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

/// The same of the base and of the head.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Both<T> {
    /// Of the base.
    pub base: T,
    /// Of the head.
    pub head: T,
}

/// A proposal that does not answer the request that it was given to, or is not there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Otherwise {
    /// The number of the record of its finding, or of the run for whose route it is.
    pub record: Option<u64>,
    /// The finding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<Uuid>,
    /// The slot.
    pub slot: String,
    /// Under which side.
    pub side: &'static str,
    /// What becomes of it.
    pub proposal: Carrying,
    /// In what the request differs, or why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How many agents guardrails left as they were proposed, and how many they did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fates {
    /// Routes of runs and incidents.
    pub routes: u64,
    /// Those of them that a model proposed.
    pub proposed: u64,
    /// Agents that run where they were proposed.
    pub kept: u64,
    /// Those that run behind one that must precede them.
    pub reordered: u64,
    /// Those that are not allowed, or were proposed twice.
    pub dropped: u64,
    /// Those that run since they are required.
    pub forced_in: u64,
}

/// What guardrails do with an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It runs where it was proposed.
    Kept,
    /// It runs behind one that must precede it.
    Reordered,
    /// It does not run.
    Dropped,
    /// It runs since it is required.
    ForcedIn,
}

impl Fate {
    /// What a person reads.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Reordered => "reordered",
            Self::Dropped => "dropped",
            Self::ForcedIn => "forced in",
        }
    }
}

/// A route under both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Routed {
    /// Of a run, or of an incident.
    pub context: Context,
    /// The finding of the incident.
    #[serde(flatten)]
    pub subject: Subject,
    /// The agents that the model proposed, where its proposal was accepted.
    pub proposed: Option<Vec<String>>,
    /// What became of the proposal; nothing where the slot is not filled by a model.
    pub proposal: Both<Option<Carrying>>,
    /// The agents that run, in order.
    pub runs: Both<Vec<String>>,
    /// What the guardrails do with each agent that is proposed or required, by name.
    pub agents: Vec<Agent>,
}

/// An agent under both sides; nothing where it is neither proposed nor required.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agent {
    /// Its name.
    pub agent: String,
    /// What the guardrails of the base do with it.
    pub base: Option<Treated>,
    /// What those of the head do with it.
    pub head: Option<Treated>,
}

impl Agent {
    /// Whether the sides do not treat it alike; where their clauses stand is beside the point.
    #[must_use]
    pub fn differs(&self) -> bool {
        let fate = |treated: &Option<Treated>| treated.as_ref().map(|treated| treated.fate);
        fate(&self.base) != fate(&self.head)
    }
}

/// What guardrails do with an agent, and by which clause.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Treated {
    /// What they do.
    pub fate: Fate,
    /// The clause that does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,
    /// Where that stands, on this side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// A finding that one side promotes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Promoted {
    /// The finding.
    #[serde(flatten)]
    pub subject: Subject,
    /// How the base decides.
    pub base: Weighed,
    /// How the head does.
    pub head: Weighed,
}

/// How a side decides whether a finding is promoted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Weighed {
    /// How severe it is.
    pub severity: Severity,
    /// Its score.
    pub score: f64,
    /// Each clause, with the value that it compared and whether it held.
    pub reasons: Vec<Reason>,
}

/// A clause of `[promotion]`, and whether it held.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reason {
    /// In words.
    pub text: String,
    /// Where the clause stands, on this side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// Where the clauses of a side stand in its `routing.toml`.
pub(super) struct Clauses {
    problems: Problems,
    root: Option<Node>,
}

const FILE: &str = "routing.toml";

impl Clauses {
    pub(super) fn of(side: &Side) -> Self {
        let mut problems = Problems::default();
        let file = side.files.iter().find(|file| file.path == FILE);
        let root = file.and_then(|file| {
            let id = problems.share_file(&file.path, Arc::clone(&file.text));
            parse_toml(id, &file.text, &mut problems)
        });
        Self { problems, root }
    }

    /// Where a clause such as `route.incident.require[0]` stands.
    fn place(&self, clause: &str) -> Option<Place> {
        let pointer = format!("/{}", clause.replace(['.', '['], "/")).replace(']', "");
        let node = self.root.as_ref()?.at(&pointer)?;
        Some(Place {
            file: FILE.to_owned(),
            line: self.problems.line_column(node.span).line,
        })
    }
}

/// Counts and lists what becomes of proposals, finding by finding.
pub(super) struct Weighing {
    clauses: [Clauses; 2],
    told: Routing,
}

impl Weighing {
    pub(super) fn new(sides: [&Side; 2]) -> Self {
        Self {
            clauses: sides.map(Clauses::of),
            told: Routing::default(),
        }
    }

    pub(super) fn finish(self) -> Routing {
        self.told
    }

    /// Takes what became of proposals under both sides; nothing where a side did not come to it.
    pub(super) fn proposals(&mut self, subject: &Subject, noted: [Option<&Noted>; 2]) {
        for (noted, side) in noted.into_iter().zip(["base", "head"]) {
            for (slot, carrying) in noted.iter().flat_map(|noted| &noted.slots) {
                let why = noted.and_then(|noted| noted.why.get(slot));
                self.proposal(subject, (slot, *carrying), side, why);
            }
        }
    }

    fn proposal(
        &mut self,
        subject: &Subject,
        (slot, carrying): (&str, Carrying),
        side: &'static str,
        why: Option<&String>,
    ) {
        let told = &mut self.told;
        let (counts, whys) = match side {
            "base" => (&mut told.proposals.base, &mut told.why.base),
            _ => (&mut told.proposals.head, &mut told.why.head),
        };
        let of_slot = counts.entry(slot.to_owned()).or_default();
        *of_slot.entry(carrying).or_default() += 1;
        if let Some(why) = why {
            whys.entry(slot.to_owned()).or_insert_with(|| why.clone());
        }
        let is_as_it_was = matches!(
            carrying,
            Carrying::AsRecorded | Carrying::Refused | Carrying::Failed
        );
        if is_as_it_was {
            return;
        }
        if told.otherwise.len() >= TOLD {
            told.otherwise_left_out += 1;
            return;
        }
        told.otherwise.push(Otherwise {
            record: subject.record,
            finding: subject.finding,
            slot: slot.to_owned(),
            side,
            proposal: carrying,
            why: why.cloned(),
        });
    }

    /// Takes the route of a run or an incident under both sides.
    pub(super) fn route(
        &mut self,
        subject: &Subject,
        routes: [Option<&Route>; 2],
        noted: [Option<&Noted>; 2],
    ) {
        let agents = &mut self.told.agents;
        for (fates, route) in [&mut agents.base, &mut agents.head].into_iter().zip(routes) {
            route.into_iter().for_each(|route| fates.count(route));
        }
        let [Some(base), Some(head)] = routes else {
            return;
        };
        let [of_base, of_head] = &self.clauses;
        let (old, new) = (treatments(base, of_base), treatments(head, of_head));
        let agents = beside(&old, &new);
        let runs = Both {
            base: names(base),
            head: names(head),
        };
        let is_same = runs.base == runs.head && !agents.iter().any(Agent::differs);
        let told = &mut self.told;
        let (list, left_out) = match is_same {
            true => (&mut told.same, &mut told.same_left_out),
            false => (&mut told.changed, &mut told.changed_left_out),
        };
        if list.len() >= TOLD {
            *left_out += 1;
            return;
        }
        let [of_base, of_head] = noted.map(|noted| {
            let slots = noted.iter().flat_map(|noted| &noted.slots);
            let mut routes = slots.filter(|(slot, _)| slot == "route");
            routes.next().map(|(_, carrying)| *carrying)
        });
        list.push(Routed {
            context: base.context,
            subject: subject.clone(),
            proposed: base.proposed.clone().or_else(|| head.proposed.clone()),
            proposal: Both {
                base: of_base,
                head: of_head,
            },
            runs,
            agents,
        });
    }

    /// Takes a finding that both sides have.
    pub(super) fn promotion(&mut self, subject: &Subject, [base, head]: [&Outcome; 2]) {
        let is_gained = head.promotion.promoted;
        if base.promotion.promoted == is_gained {
            return;
        }
        if self.told.gained.len() + self.told.lost.len() >= TOLD {
            self.told.promoted_left_out += 1;
            return;
        }
        let [of_base, of_head] = &self.clauses;
        let promoted = Promoted {
            subject: subject.clone(),
            base: Weighed::of(base, of_base),
            head: Weighed::of(head, of_head),
        };
        let list = match is_gained {
            true => &mut self.told.gained,
            false => &mut self.told.lost,
        };
        list.push(promoted);
    }
}

fn names(route: &Route) -> Vec<String> {
    let steps = route.steps.iter();
    steps.map(|step| step.agent_name.clone()).collect()
}

/// What guardrails do with each agent of a route, in its order, and with those that it has not.
fn treatments(route: &Route, clauses: &Clauses) -> Vec<(String, Treated)> {
    let clause_of = |action: Action, agent: &str| {
        let mut edits = route.edits.iter();
        let edit = edits.find(|edit| edit.action == action && edit.agent == agent);
        edit.map(|edit| edit.clause.clone())
    };
    let treated = |fate: Fate, clause: Option<String>| Treated {
        fate,
        place: clause.as_deref().and_then(|clause| clauses.place(clause)),
        clause,
    };
    let mut all = Vec::new();
    for step in &route.steps {
        let agent = step.agent_name.as_str();
        let moved = clause_of(Action::Moved, agent);
        let treated = match (step.proposed, moved) {
            (false, _) => treated(Fate::ForcedIn, clause_of(Action::Added, agent)),
            (true, Some(clause)) => treated(Fate::Reordered, Some(clause)),
            (true, None) => treated(Fate::Kept, None),
        };
        all.push((agent.to_owned(), treated));
    }
    let runs: BTreeSet<String> = names(route).into_iter().collect();
    for edit in &route.edits {
        let is_known = all.iter().any(|(agent, _)| *agent == edit.agent);
        if edit.action == Action::Dropped && !runs.contains(&edit.agent) && !is_known {
            let clause = Some(edit.clause.clone());
            all.push((edit.agent.clone(), treated(Fate::Dropped, clause)));
        }
    }
    all
}

/// Each agent of either side, by name.
fn beside(old: &[(String, Treated)], new: &[(String, Treated)]) -> Vec<Agent> {
    let find = |list: &[(String, Treated)], wanted: &str| {
        let mut list = list.iter();
        list.find(|(agent, _)| agent == wanted)
            .map(|(_, treated)| treated.clone())
    };
    let mut agents: Vec<&String> = old.iter().chain(new).map(|(agent, _)| agent).collect();
    agents.sort_unstable();
    agents.dedup();
    let all = agents.into_iter().map(|agent| Agent {
        agent: agent.clone(),
        base: find(old, agent),
        head: find(new, agent),
    });
    all.collect()
}

impl Fates {
    fn count(&mut self, route: &Route) {
        self.routes += 1;
        self.proposed += u64::from(route.proposed.is_some());
        let is_moved = |agent: &str| {
            let mut edits = route.edits.iter();
            edits.any(|edit| edit.action == Action::Moved && edit.agent == agent)
        };
        for step in &route.steps {
            let count = match (step.proposed, is_moved(&step.agent_name)) {
                (false, _) => &mut self.forced_in,
                (true, true) => &mut self.reordered,
                (true, false) => &mut self.kept,
            };
            *count += 1;
        }
        let dropped = route.edits.iter();
        let dropped = dropped.filter(|edit| edit.action == Action::Dropped);
        self.dropped += dropped.count() as u64;
    }
}

impl Weighed {
    fn of(outcome: &Outcome, clauses: &Clauses) -> Self {
        let reason = |text: &String| {
            let clauses_of = [
                ("score ", "promotion.threshold"),
                ("severity ", "promotion.severities"),
                ("promotion.when ", "promotion.when"),
            ];
            let mut clauses_of = clauses_of.into_iter();
            let clause = clauses_of.find(|(begin, _)| text.starts_with(begin));
            Reason {
                text: text.clone(),
                place: clause.and_then(|(_, clause)| clauses.place(clause)),
            }
        };
        Self {
            severity: outcome.risk.severity,
            score: outcome.risk.score,
            reasons: outcome.promotion.reasons.iter().map(reason).collect(),
        }
    }
}
