//! Which agents run: a proposed route, and guardrails that hold whatever was proposed.

mod decode;
mod guardrails;
mod proposal;
mod vacuous;

pub use self::decode::{codes, decode_routing, slots_run};
pub use self::guardrails::Guardrails;
pub use self::proposal::Proposal;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::detect::Severity;
use crate::diag::Span;
use crate::event::Time;
use crate::script::Reference;
use crate::slots::{Consulted, Provenance};

/// A named step that a route may hold, as `[agents.NAME]` declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// What it does, in prose: shown to a model that proposes a route.
    pub description: String,
    /// What it takes, for the same.
    pub input: Option<String>,
    /// What it gives, for the same.
    pub output: Option<String>,
    /// The phase it belongs to, for the same.
    pub phase: Option<String>,
    /// Whether its failure stops the branch it runs in.
    pub critical: bool,
    /// What runs when its turn comes.
    pub runs: Runs,
}

/// What an agent does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runs {
    /// Detection.
    Detect,
    /// The `risk` slot.
    Risk,
    /// The `plan` slot.
    Plan,
    /// Command templates.
    Commands,
    /// A slot of the engineer's, and where it is named: it gives a draft.
    Slot(String, Span),
    /// A function of a script: it gives a draft.
    Script(Reference),
}

impl Runs {
    /// Whether it is of the engineer's making: what it gives is a draft, which nothing else reads.
    #[must_use]
    pub fn drafts(&self) -> bool {
        matches!(self, Self::Slot(..) | Self::Script(_))
    }
}

/// What a route is decided for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Context {
    /// Once a run, before detection.
    RawEvents,
    /// Once an incident.
    Incident,
}

impl Context {
    /// Its name in `routing.toml`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RawEvents => "raw_events",
            Self::Incident => "incident",
        }
    }
}

/// The checked agents and guardrails of a policy.
#[derive(Clone, Debug)]
pub struct Routing {
    /// The agents by name.
    pub agents: BTreeMap<String, Agent>,
    /// The guardrails of each context.
    pub guardrails: BTreeMap<Context, Guardrails>,
}

/// What the conditions of guardrails look at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// The severity of the incident, in the `incident` context.
    pub severity: Option<Severity>,
}

/// The first events of a run: what its route is decided from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// How many there are.
    pub count: u64,
    /// The time of the earliest.
    pub first_seen: Option<Time>,
    /// The time of the latest.
    pub last_seen: Option<Time>,
    /// The most frequent event types, the most frequent first.
    pub event_types: Vec<Frequent>,
}

/// An event type and how often it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frequent {
    /// The type.
    pub event_type: String,
    /// How often.
    pub count: u64,
}

/// One step of a proposed route; `reason` and `when` are commentary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProposedStep {
    /// The agent.
    pub agent: String,
    /// Why, in the words of whoever proposed it.
    pub reason: Option<String>,
    /// When, likewise.
    pub when: Option<String>,
}

/// The agents to run, in order, and how the guardrails changed what was proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// UUIDv5 over the context and what the route is for.
    pub id: Uuid,
    /// What it was decided for.
    pub context: Context,
    /// The incident, in the `incident` context.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub incident_id: Option<Uuid>,
    /// The phase, which the guardrails force.
    pub phase: String,
    /// The agents, in order.
    pub steps: Vec<RouteStep>,
    /// Every change that the guardrails made to the proposal.
    pub edits: Vec<Edit>,
    /// What whoever proposed it says: commentary.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub notes: Option<String>,
    /// Where the proposal came from, where a model was asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub provenance: Option<Provenance>,
    /// Why the model's answer was refused, where it was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<String>,
    /// The agents that a model proposed, in its order, where its proposal was accepted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proposed: Option<Vec<String>>,
    /// That a model was asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub consulted: Option<Consulted>,
}

/// One agent of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteStep {
    /// The agent.
    pub agent_name: String,
    /// Why it runs: commentary of the proposal, or the clause that required it.
    pub reason: String,
    /// When, as commentary of the proposal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub when: Option<String>,
    /// Whether it was proposed.
    pub proposed: bool,
}

/// A change to a proposal, with the clause that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// What was done.
    pub action: Action,
    /// To which agent, or which phase that was proposed.
    pub agent: String,
    /// The clause of `routing.toml`.
    pub clause: String,
}

/// What a guardrail does to a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// An agent that is not allowed, or proposed twice, was left out.
    Dropped,
    /// A required agent was appended.
    Added,
    /// An agent was moved behind one that must precede it.
    Moved,
    /// Another phase than that of the context was proposed.
    Forced,
}

impl Action {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Added => "added",
            Self::Moved => "moved",
            Self::Forced => "forced",
        }
    }
}

impl Routing {
    /// The route of a context under its guardrails; without a proposal, the one they alone produce.
    #[must_use]
    pub fn decide(
        &self,
        context: Context,
        incident_id: Option<Uuid>,
        facts: Facts,
        proposal: &[ProposedStep],
    ) -> Route {
        let name = serde_json::json!(["route", context.as_str(), incident_id]).to_string();
        let mut route = Route {
            id: Uuid::new_v5(&crate::detect::NAMESPACE, name.as_bytes()),
            context,
            incident_id,
            phase: String::new(),
            steps: Vec::new(),
            edits: Vec::new(),
            notes: None,
            provenance: None,
            refused: None,
            proposed: None,
            consulted: None,
        };
        if let Some(guardrails) = self.guardrails.get(&context) {
            guardrails.apply(facts, proposal, &mut route);
        }
        route
    }

    /// The agents of a route by their names, in order.
    pub fn agents<'r>(&'r self, route: &'r Route) -> impl Iterator<Item = (&'r str, &'r Agent)> {
        let declared = |name: &'r String| Some((name.as_str(), self.agents.get(name)?));
        let steps = route.steps.iter();
        steps.filter_map(move |step| declared(&step.agent_name))
    }

    /// What the agents of a route do, in order.
    pub fn runs<'r>(&'r self, route: &'r Route) -> impl Iterator<Item = &'r Runs> {
        self.agents(route).map(|(_, agent)| &agent.runs)
    }
}
