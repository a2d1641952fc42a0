//! Incident → [`Plan`]: steps from a closed list, the mandatory ones always among them.

mod proposal;

pub use self::proposal::{Proposal, ProposedStep, refused};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::detect::{Finding, NAMESPACE};
use crate::diag::{Problems, Span};
use crate::document::{Kind, Node, Table, codes as shape};
use crate::promote::Incident;
use crate::slots::{Consulted, Provenance};

/// The codes of problems in `[plan]`.
pub mod codes {
    /// A step that the closed list does not hold.
    pub const NO_SUCH_STEP: &str = "RL0330";
    /// A step without a description.
    pub const NO_DESCRIPTION: &str = "RL0331";
    /// Steps that wait for each other.
    pub const CYCLE: &str = "RL0332";
}

/// The checked `[plan]` tables.
#[derive(Clone, Debug, Default)]
pub struct Planning {
    steps: Vec<StepSettings>,
    approval: Vec<String>,
    mandatory: BTreeMap<String, Vec<String>>,
    default: BTreeMap<String, Vec<String>>,
    goal: BTreeMap<String, String>,
    finding_types: Vec<(String, Span)>,
}

/// A step of the closed list.
#[derive(Clone, Debug, Default)]
struct StepSettings {
    id: String,
    description: String,
    rationale: String,
    after: Vec<String>,
}

/// The finding type whose plan serves those that have none of their own.
const OTHER: &str = "OTHER";

/// The response to an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// UUIDv5 over the incident's id.
    pub id: Uuid,
    /// The incident.
    pub incident_id: Uuid,
    /// What the steps are for.
    pub overall_goal: String,
    /// The steps, each after those it depends on.
    pub steps: Vec<Step>,
    /// Where the plan came from.
    pub notes: String,
    /// Every change that `[plan]` made to what a model proposed.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub edits: Vec<Edit>,
    /// Where the goal and the steps came from, where a model was asked.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub provenance: BTreeMap<String, Provenance>,
    /// The steps that a model proposed, in its order, where its proposal was accepted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proposed: Option<Vec<String>>,
    /// That a model was asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub consulted: Option<Consulted>,
}

/// A change to a proposed plan, with the clause that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// What was done.
    pub action: Action,
    /// To which step.
    pub step_id: String,
    /// The clause of `routing.toml`.
    pub clause: String,
}

/// What `[plan]` does to a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A step that is not declared, or proposed twice, was left out.
    Dropped,
    /// A mandatory step was added.
    Added,
    /// A step was moved behind one that must come first.
    Moved,
    /// A dependency was left out: on no step of the plan, on itself, or in a circle.
    Untied,
    /// A step that needs approval was proposed without.
    Approval,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name in the closed list.
    pub step_id: String,
    /// What to do.
    pub description: String,
    /// Why.
    pub rationale: String,
    /// Whether a human has to agree before it is done.
    pub requires_human_approval: bool,
    /// Whether the policy always wants it for this type of finding.
    pub mandatory: bool,
    /// The steps of this plan that come first.
    pub dependencies: Vec<String>,
    /// What a model says of the step: commentary.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub comment: Option<String>,
}

impl Plan {
    /// Whether a model proposed a step of it.
    #[must_use]
    pub fn is_proposed(&self, step: &Step) -> bool {
        let proposed = self.proposed.as_ref();
        proposed.is_some_and(|ids| ids.contains(&step.step_id))
    }
}

impl Planning {
    /// The names of the closed list.
    pub fn step_ids(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| step.id.as_str())
    }

    /// Every step of the closed list as it is declared, each after all that it waits for.
    #[must_use]
    pub fn every_step(&self) -> Vec<Step> {
        let steps = self.in_order().into_iter();
        let whole = steps.map(|step| Step {
            dependencies: step.after.clone(),
            ..self.bare(step)
        });
        whole.collect()
    }

    /// The steps that are mandatory for a type of finding, whichever that is.
    pub fn ever_mandatory(&self) -> impl Iterator<Item = &str> {
        self.mandatory.values().flatten().map(String::as_str)
    }

    /// Every finding type that a table names, and where.
    #[must_use]
    pub fn finding_types(&self) -> &[(String, Span)] {
        &self.finding_types
    }

    /// The plan of an incident without a model: the declared steps of its type of finding.
    #[must_use]
    pub fn default_plan(&self, incident: &Incident, finding: &Finding) -> Plan {
        let finding_type = finding.finding_type.as_str();
        let (source, _) = self.default_of(finding_type);
        let goal = self.goal.get(finding_type).or_else(|| self.goal.get(OTHER));
        Plan {
            id: Uuid::new_v5(
                &NAMESPACE,
                serde_json::json!(["plan", incident.id])
                    .to_string()
                    .as_bytes(),
            ),
            incident_id: incident.id,
            overall_goal: goal
                .cloned()
                .unwrap_or_else(|| "Find out what happened and contain it".to_owned()),
            steps: self.default_steps(finding_type),
            notes: format!("default plan from plan.default.{source}"),
            edits: Vec::new(),
            provenance: BTreeMap::new(),
            proposed: None,
            consulted: None,
        }
    }

    /// The steps of a plan for a type of finding without a model.
    #[must_use]
    pub fn default_steps(&self, finding_type: &str) -> Vec<Step> {
        let mandatory = self.mandatory(finding_type);
        let (_, declared) = self.default_of(finding_type);
        let wanted = |id: &str| mandatory.iter().chain(declared).any(|step| step == id);
        let steps = self.in_order().into_iter().filter(|step| wanted(&step.id));
        let steps = steps.map(|step| Step {
            mandatory: mandatory.contains(&step.id),
            dependencies: step
                .after
                .iter()
                .filter(|after| wanted(after))
                .cloned()
                .collect(),
            ..self.bare(step)
        });
        steps.collect()
    }

    /// The declared steps of a type of finding, and under which type they are declared.
    fn default_of<'t>(&'t self, finding_type: &'t str) -> (&'t str, &'t [String]) {
        match (self.default.get(finding_type), self.default.get(OTHER)) {
            (Some(steps), _) => (finding_type, steps.as_slice()),
            (None, Some(steps)) => (OTHER, steps.as_slice()),
            (None, None) => (OTHER, &[][..]),
        }
    }

    /// A step as it is declared, beside no other.
    fn bare(&self, step: &StepSettings) -> Step {
        Step {
            step_id: step.id.clone(),
            description: step.description.clone(),
            rationale: step.rationale.clone(),
            requires_human_approval: self.approval.contains(&step.id),
            mandatory: false,
            dependencies: Vec::new(),
            comment: None,
        }
    }

    /// The steps that a human has to agree to.
    #[must_use]
    pub fn approval(&self) -> &[String] {
        &self.approval
    }

    /// The types of finding whose plans have steps that are always among them.
    pub fn mandatory_types(&self) -> impl Iterator<Item = &String> {
        self.mandatory.keys()
    }

    /// The steps that every plan for a type of finding has.
    #[must_use]
    pub fn mandatory(&self, finding_type: &str) -> &[String] {
        self.mandatory.get(finding_type).map_or(&[], Vec::as_slice)
    }

    /// The steps as listed, but each after those it waits for; the check has excluded circles.
    fn in_order(&self) -> Vec<&StepSettings> {
        let mut waiting: Vec<&StepSettings> = self.steps.iter().collect();
        let mut ordered = Vec::new();
        while !waiting.is_empty() {
            let free = waiting.iter().position(|step| {
                !step
                    .after
                    .iter()
                    .any(|after| waiting.iter().any(|w| w.id == *after))
            });
            ordered.push(waiting.remove(free.unwrap_or(0)));
        }
        ordered
    }
}

/// Takes `plan` out of the root table.
pub fn decode_planning(root: &mut Table<'_>, problems: &mut Problems) -> Option<Planning> {
    let mut table = root.require("plan", problems)?.table(problems)?;
    let listed = table
        .require("steps", problems)
        .map(|node| node.texts(problems))
        .unwrap_or_default();
    let listed = without_repeats(listed, problems);
    let known: Vec<&str> = listed.iter().map(|(id, _)| *id).collect();
    let approval = table
        .get("approval")
        .map(|node| step_names(node, &known, problems))
        .unwrap_or_default();
    let by_type = [
        table.get("mandatory"),
        table.get("default"),
        table.get("goal"),
    ];
    let finding_types = by_type
        .iter()
        .flatten()
        .flat_map(|node| keys(node))
        .collect();
    let [mandatory, default, goal] = by_type;
    let mandatory = mandatory.map(|node| steps_by_type(node, &known, problems));
    let default = default.map(|node| steps_by_type(node, &known, problems));
    let goal = goal.map(|node| decode_goals(node, problems));
    let steps = decode_steps(table.get("step"), &listed, problems);
    table.finish(problems);
    report_cycle(&steps, &listed, problems);
    Some(Planning {
        steps,
        approval,
        mandatory: mandatory.unwrap_or_default(),
        default: default.unwrap_or_default(),
        goal: goal.unwrap_or_default(),
        finding_types,
    })
}

fn without_repeats<'n>(
    listed: Vec<(&'n str, Span)>,
    problems: &mut Problems,
) -> Vec<(&'n str, Span)> {
    let mut steps: Vec<(&str, Span)> = Vec::new();
    for (id, span) in listed {
        if steps.iter().any(|(known, _)| *known == id) {
            problems
                .error(
                    shape::BAD_VALUE,
                    span,
                    format!("the step `{id}` is listed twice"),
                )
                .help("remove one of the two");
        } else {
            steps.push((id, span));
        }
    }
    steps
}

fn keys(node: &Node) -> Vec<(String, Span)> {
    let Kind::Map(entries) = &node.kind else {
        return Vec::new();
    };
    entries
        .iter()
        .map(|(key, _)| (key.text.clone(), key.span))
        .collect()
}

fn step_names(node: &Node, known: &[&str], problems: &mut Problems) -> Vec<String> {
    let names = node.texts(problems);
    for (name, span) in names.iter().filter(|(name, _)| !known.contains(name)) {
        problems
            .error(
                codes::NO_SUCH_STEP,
                *span,
                format!("`plan.steps` has no step `{name}`"),
            )
            .did_you_mean(name, known.iter().copied());
    }
    names.into_iter().map(|(name, _)| name.to_owned()).collect()
}

fn steps_by_type(
    node: &Node,
    known: &[&str],
    problems: &mut Problems,
) -> BTreeMap<String, Vec<String>> {
    let entries = node
        .table(problems)
        .map(|table| table.entries())
        .unwrap_or_default();
    entries
        .iter()
        .map(|(key, node)| (key.text.clone(), step_names(node, known, problems)))
        .collect()
}

fn decode_goals(node: &Node, problems: &mut Problems) -> BTreeMap<String, String> {
    let entries = node
        .table(problems)
        .map(|table| table.entries())
        .unwrap_or_default();
    entries
        .iter()
        .filter_map(|(key, node)| Some((key.text.clone(), node.text(problems)?.to_owned())))
        .collect()
}

fn decode_steps(
    node: Option<&Node>,
    listed: &[(&str, Span)],
    problems: &mut Problems,
) -> Vec<StepSettings> {
    let known: Vec<&str> = listed.iter().map(|(id, _)| *id).collect();
    let mut table = node.and_then(|node| node.table(problems));
    let mut steps = Vec::new();
    for (id, span) in listed {
        let described = table.as_mut().and_then(|table| table.get(id));
        if described.is_none() {
            problems
                .error(
                    codes::NO_DESCRIPTION,
                    *span,
                    format!("the step `{id}` has no description"),
                )
                .help(format!(
                    "add a table `[plan.step.{id}]` with `description` and `rationale`"
                ));
        }
        let settings = described.and_then(|node| decode_step(id, node, &known, problems));
        steps.push(settings.unwrap_or_else(|| StepSettings {
            id: (*id).to_owned(),
            ..StepSettings::default()
        }));
    }
    if let Some(table) = table {
        table.finish(problems);
    }
    steps
}

fn decode_step(
    id: &str,
    node: &Node,
    known: &[&str],
    problems: &mut Problems,
) -> Option<StepSettings> {
    let mut table = node.table(problems)?;
    let description = table
        .require("description", problems)
        .and_then(|node| node.text(problems));
    let rationale = table
        .require("rationale", problems)
        .and_then(|node| node.text(problems));
    let after = table
        .get("after")
        .map(|node| step_names(node, known, problems))
        .unwrap_or_default();
    table.finish(problems);
    Some(StepSettings {
        id: id.to_owned(),
        description: description?.to_owned(),
        rationale: rationale?.to_owned(),
        after,
    })
}

fn report_cycle(steps: &[StepSettings], listed: &[(&str, Span)], problems: &mut Problems) {
    let mut waiting: Vec<&StepSettings> = steps.iter().collect();
    loop {
        let count = waiting.len();
        let ids: Vec<&str> = waiting.iter().map(|step| step.id.as_str()).collect();
        waiting.retain(|step| step.after.iter().any(|after| ids.contains(&after.as_str())));
        if waiting.len() == count {
            break;
        }
    }
    if let Some(step) = waiting.first()
        && let Some((_, span)) = listed.iter().find(|(id, _)| *id == step.id)
    {
        problems
            .error(
                codes::CYCLE,
                *span,
                format!("the step `{}` waits for itself through `after`", step.id),
            )
            .help("remove one of the `after` keys on the way");
    }
}
