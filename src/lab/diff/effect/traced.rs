//! What of a finding and all that follows from it is compared: record by record, field by field.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::command::Command;
use crate::detect::{Finding, NAMESPACE, Severity};
use crate::event::{Digest, Time, fold};
use crate::lab::diff::effect::bounds::{Possible, Span, Spans};
use crate::lab::diff::effect::entries::Fields;
use crate::lab::diff::effect::fills::Fills;
use crate::pipeline::{Outcome, Response};
use crate::plan::Plan;
use crate::policy::Policy;
use crate::route::Route;
use crate::slots::Provenance;

/// The kinds of records, in the order in which one leads to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A finding.
    Finding,
    /// Its risk.
    Risk,
    /// Its incident.
    Incident,
    /// The route of the incident, or of the run.
    Route,
    /// The plan as a whole.
    Plan,
    /// A step of the plan.
    Step,
    /// A suggested command.
    Command,
    /// What an agent of the engineer's wrote.
    Draft,
}

impl Kind {
    /// What a person calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finding => "finding",
            Self::Risk => "risk",
            Self::Incident => "incident",
            Self::Route => "route",
            Self::Plan => "plan",
            Self::Step => "step",
            Self::Command => "command",
            Self::Draft => "draft",
        }
    }
}

/// All kinds.
pub const KINDS: [Kind; 8] = [
    Kind::Finding,
    Kind::Risk,
    Kind::Incident,
    Kind::Route,
    Kind::Plan,
    Kind::Step,
    Kind::Command,
    Kind::Draft,
];

/// What a record is about: the finding that it hangs on, in the words of one side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Subject {
    /// The finding; nothing for the route of a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<Uuid>,
    /// The number of its record, where an audit was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// The rule, by its name or title.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// The rule's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_id: Option<Uuid>,
    /// What the finding says.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The values that tell its group from others.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub group: BTreeMap<String, String>,
    /// The account, or else the first value of the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The time of its last hit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// How severe its risk is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// The ATT&CK techniques of its rule, such as `t1110.001`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub techniques: Vec<String>,
    /// The slots that were filled on its way, each with where the fill came from.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fills: BTreeMap<String, Provenance>,
}

/// A record as it is compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// Its kind.
    pub kind: Kind,
    /// What tells it from others of its kind that hang on the same finding.
    pub name: String,
    /// What it says, without ids, as JSON: many of these wait for their pair.
    fields: Rc<str>,
}

/// A finding with its records.
#[derive(Clone, Debug, PartialEq)]
pub struct Traced {
    /// The id of the finding.
    pub id: Uuid,
    /// The rule.
    pub rule: Uuid,
    /// The event of its first hit.
    pub anchor: Digest,
    /// Whether it is one event.
    pub is_single: bool,
    /// The group, as groups are compared.
    pub group: Vec<String>,
    /// The first and the last event.
    pub time: Option<(Time, Time)>,
    /// What it is about.
    pub subject: Arc<Subject>,
    /// Its records.
    pub records: Vec<Compared>,
    /// What is not compared.
    pub beside: Beside,
}

/// What is known of a finding beside its records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Beside {
    /// What filled its slots.
    pub fills: Fills,
    /// What could come of it with other fills; nothing where no slot is open.
    pub possible: Option<Possible>,
    /// What it takes to follow it again, with the fills of its pair.
    pub again: Option<Box<Again>>,
}

/// A finding that was followed before its pair was known.
#[derive(Clone, Debug, PartialEq)]
pub struct Again {
    /// The finding.
    pub finding: Finding,
    /// What was counted of it.
    pub reckoned: Reckoned,
}

/// What is counted of a finding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reckoned {
    /// Its records.
    pub spans: Spans,
    /// The slots that are open.
    pub open: Vec<String>,
}

impl Traced {
    /// What is compared of an outcome under a policy.
    #[must_use]
    pub fn new(outcome: &Outcome, policy: &Policy) -> Self {
        let finding = &outcome.finding;
        let mut records = vec![
            Compared::new(Kind::Finding, "", finding_fields(outcome)),
            Compared::new(
                Kind::Risk,
                "",
                Fields::of(&outcome.risk, &["finding_id", "consulted"]),
            ),
        ];
        if let Some(response) = &outcome.response {
            trace_response(response, policy, &mut records);
        }
        let label = finding.rule_name.as_ref().unwrap_or(&finding.rule_title);
        let first_value = finding.group.values().next();
        Self {
            id: finding.id,
            rule: finding.rule,
            anchor: finding.anchor,
            is_single: finding.count == 1,
            group: finding.group.values().map(|value| fold(value)).collect(),
            time: finding.first_seen.zip(finding.last_seen),
            subject: Arc::new(Subject {
                finding: Some(finding.id),
                record: None,
                rule: label.clone(),
                rule_id: Some(finding.rule),
                description: finding.description.clone(),
                group: finding.group.clone(),
                actor: finding.user_id.as_ref().or(first_value).cloned(),
                at: finding.created_at,
                severity: Some(outcome.risk.severity),
                techniques: techniques(&finding.tags),
                fills: BTreeMap::new(),
            }),
            records,
            beside: Beside::default(),
        }
    }

    /// The same, with what is known of it beside its records.
    #[must_use]
    pub fn with(mut self, beside: Beside) -> Self {
        Arc::make_mut(&mut self.subject).fills = sources(&beside.fills);
        self.beside = beside;
        self
    }

    /// The same, as an audit records it.
    #[must_use]
    pub fn recorded(mut self, record: Option<u64>) -> Self {
        Arc::make_mut(&mut self.subject).record = record;
        self
    }

    /// The route of a run, which hangs on no finding.
    #[must_use]
    pub fn of_run(route: &Route) -> Self {
        Self {
            id: Uuid::nil(),
            rule: Uuid::nil(),
            anchor: Digest::of(b""),
            is_single: true,
            group: Vec::new(),
            time: None,
            subject: Arc::new(Subject {
                finding: None,
                record: None,
                rule: String::new(),
                rule_id: None,
                description: String::new(),
                group: BTreeMap::new(),
                actor: None,
                at: None,
                severity: None,
                techniques: Vec::new(),
                fills: BTreeMap::new(),
            }),
            records: vec![Compared::new(
                Kind::Route,
                "raw_events",
                route_fields(route),
            )],
            beside: Beside::default(),
        }
    }

    /// Its records of a kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Compared> {
        let records = self.records.iter();
        records.filter(move |record| record.kind == kind)
    }

    /// Whether another finding is the same to the last field; `with_bounds` also in what a model
    /// could make of it.
    #[must_use]
    pub fn is_same(&self, other: &Self, with_bounds: bool) -> bool {
        let finding = |it: &Self| (it.id, it.rule, it.anchor, it.is_single, it.time);
        finding(self) == finding(other)
            && self.group == other.group
            && self.subject == other.subject
            && self.records == other.records
            && (!with_bounds || self.beside.possible == other.beside.possible)
    }
}

/// How many records of each kind an outcome has.
pub fn count(outcome: &Outcome, spans: &mut Spans) {
    let mut add = |kind: Kind, more: usize| {
        spans.insert(kind, Span::exactly(more as u64));
    };
    add(Kind::Finding, 1);
    add(Kind::Risk, 1);
    let Some(response) = &outcome.response else {
        return;
    };
    add(Kind::Incident, 1);
    add(Kind::Route, 1);
    add(Kind::Plan, response.plan.iter().count());
    let steps = response.plan.as_ref().map_or(0, |plan| plan.steps.len());
    add(Kind::Step, steps);
    add(Kind::Command, response.commands.len());
    add(Kind::Draft, response.drafts.len());
}

fn sources(fills: &Fills) -> BTreeMap<String, Provenance> {
    let sources = fills.iter();
    sources
        .map(|(slot, fill)| (slot.clone(), fill.source))
        .collect()
}

/// ATT&CK techniques among Sigma's tags.
fn techniques(tags: &[String]) -> Vec<String> {
    let technique = |tag: &String| {
        let name = tag.to_lowercase();
        let number = name.strip_prefix("attack.t")?;
        number
            .starts_with(|first: char| first.is_ascii_digit())
            .then(|| format!("t{number}"))
    };
    tags.iter().filter_map(technique).collect()
}

impl Compared {
    fn new(kind: Kind, name: &str, fields: Fields) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            fields: fields.text(),
        }
    }

    /// What it says, as JSON.
    #[must_use]
    pub fn text(&self) -> Rc<str> {
        Rc::clone(&self.fields)
    }
}

/// What a finding says. Which model was asked, and at what cost, is part of no decision, here and below.
fn finding_fields(outcome: &Outcome) -> Fields {
    let finding = &outcome.finding;
    let left_out = [
        "id",
        "anchor",
        "continues",
        "okta_event_ids",
        "event_digests",
        "timeline",
    ];
    // The lists of events are long, and what matters of them is whether they are the same.
    let events = finding.event_digests.iter();
    let events: Vec<u8> = events.flat_map(|digest| *digest.as_bytes()).collect();
    Fields::of(finding, &left_out)
        .with("events", &Digest::of(&events))
        .with("continues", &finding.continues.is_some())
        .with("promoted", &outcome.promotion.promoted)
}

fn trace_response(response: &Response, policy: &Policy, records: &mut Vec<Compared>) {
    let incident = Fields::of(&response.incident, &["id", "finding_id"]);
    records.push(Compared::new(Kind::Incident, "", incident));
    let route = route_fields(&response.route);
    records.push(Compared::new(Kind::Route, "", route));
    if let Some(plan) = &response.plan {
        records.push(Compared::new(Kind::Plan, "", plan_fields(plan)));
        for step in &plan.steps {
            let fields = Fields::of(step, &["step_id"]);
            records.push(Compared::new(Kind::Step, &step.step_id, fields));
        }
    }
    for command in &response.commands {
        let is_its = |name: &str| {
            let name = json!(["command", command.incident_id, name]).to_string();
            Uuid::new_v5(&NAMESPACE, name.as_bytes()) == command.id
        };
        let templates = policy.tools.commands.iter();
        let mut templates = templates.filter(|template| template.step == command.step_id);
        let template = templates.find(|template| is_its(&template.name));
        let name = template.map_or(&command.step_id, |template| &template.name);
        records.push(Compared::new(Kind::Command, name, command_fields(command)));
    }
    for draft in &response.drafts {
        let fields = Fields::of(draft, &["id", "incident_id", "agent_name"]);
        records.push(Compared::new(Kind::Draft, &draft.agent_name, fields));
    }
}

pub(super) fn route_fields(route: &Route) -> Fields {
    let agents = route.steps.iter().map(|step| step.agent_name.as_str());
    let left_out = ["id", "context", "incident_id", "steps", "consulted"];
    Fields::of(route, &left_out).with("agents", &agents.collect::<Vec<_>>())
}

pub(super) fn plan_fields(plan: &Plan) -> Fields {
    let steps = plan.steps.iter().map(|step| step.step_id.as_str());
    let left_out = ["id", "incident_id", "steps", "consulted"];
    Fields::of(plan, &left_out).with("steps", &steps.collect::<Vec<_>>())
}

pub(super) fn command_fields(command: &Command) -> Fields {
    Fields::of(command, &["id", "incident_id"])
}
