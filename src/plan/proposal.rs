//! A plan that a model proposes, and what `[plan]` makes of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::detect::Finding;
use crate::plan::{Action, Edit, Plan, Planning, Step};
use crate::promote::{self, Incident};
use crate::risk::Risk;
use crate::slots::{LONGEST_NAME, LONGEST_TEXT, MOST_STEPS, Provenance, text};

/// A plan as a model proposes it, read but not yet bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposal {
    /// What the steps are for.
    pub overall_goal: Option<String>,
    /// The steps, in order.
    pub steps: Vec<ProposedStep>,
}

/// A step as a model proposes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProposedStep {
    /// Its name, which need not be one of the closed list.
    pub step_id: String,
    /// Commentary.
    pub rationale: Option<String>,
    /// The steps that come first, beside those that are declared to.
    pub dependencies: Vec<String>,
    /// Whether a human has to agree; a declared approval stays whatever this says.
    pub requires_human_approval: Option<bool>,
}

impl Planning {
    /// What a prompt of the slot `plan` may name of an incident.
    #[must_use]
    pub fn context(
        &self,
        incident: &Incident,
        finding: &Finding,
        rule_description: Option<&str>,
        risk: &Risk,
    ) -> Value {
        let steps = self.steps.iter().map(|step| {
            json!({
                "step_id": step.id,
                "description": step.description,
                "after": step.after,
                "requires_human_approval": self.approval.contains(&step.id),
            })
        });
        let mut context = promote::context(incident, finding, rule_description, risk);
        let of_plan = json!({
            "steps": steps.collect::<Vec<_>>(),
            "mandatory": self.mandatory(&finding.finding_type),
        });
        if let Value::Object(context) = &mut context {
            context.insert("plan".to_owned(), of_plan);
        }
        context
    }

    /// Reads a reply, whatever the schema of the prompt let through.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it; also that no step of it is declared, since a plan without
    /// steps would be none.
    pub fn read(&self, reply: &Value) -> Result<Proposal, Vec<String>> {
        let mut wrong = Vec::new();
        let overall_goal = text(reply, "overall_goal", "", LONGEST_TEXT, &mut wrong);
        let mut steps = Vec::new();
        match reply.get("steps").and_then(Value::as_array) {
            Some(listed) if listed.len() <= MOST_STEPS => {
                for (at, step) in listed.iter().enumerate() {
                    steps.push(read_step(step, &format!("/steps/{at}"), &mut wrong));
                }
            }
            Some(_) => wrong.push(format!("/steps: expected at most {MOST_STEPS} steps")),
            None => wrong.push("/steps: expected a list of steps".to_owned()),
        }
        let is_declared = |step: &ProposedStep| self.step_ids().any(|id| id == step.step_id);
        if wrong.is_empty() && !steps.iter().any(is_declared) {
            wrong.push("/steps: none of them is in the list to choose from".to_owned());
        }
        if wrong.is_empty() {
            Ok(Proposal {
                overall_goal,
                steps,
            })
        } else {
            Err(wrong)
        }
    }

    /// The plan that comes of a proposal: declared steps only, each once, the mandatory ones among
    /// them, each after those it depends on, approval where it is declared.
    ///
    /// Without a declared step it is the default plan, as refused.
    #[must_use]
    pub fn bounded(
        &self,
        incident: &Incident,
        finding: &Finding,
        proposal: &Proposal,
        source: Provenance,
    ) -> Plan {
        let default = self.default_plan(incident, finding);
        let mut edits = Vec::new();
        let mut steps = self.declared(proposal, &mut edits);
        self.add_mandatory(&finding.finding_type, &mut steps, &mut edits);
        if steps.is_empty() {
            return refused(default, "no step of it is declared");
        }
        self.tie(&mut steps, proposal, &mut edits);
        let steps = in_order(steps, &mut edits);
        let goal_is = |goal: Provenance| {
            BTreeMap::from([
                ("overall_goal".to_owned(), goal),
                ("steps".to_owned(), source),
            ])
        };
        Plan {
            provenance: goal_is(match proposal.overall_goal {
                Some(_) => source,
                None => Provenance::Default,
            }),
            overall_goal: proposal
                .overall_goal
                .clone()
                .unwrap_or(default.overall_goal),
            steps,
            notes: "proposed by a model, within [plan]".to_owned(),
            edits,
            proposed: Some(ids_of(&proposal.steps)),
            ..default
        }
    }

    /// The proposed steps that are declared, as they are declared.
    fn declared(&self, proposal: &Proposal, edits: &mut Vec<Edit>) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for proposed in &proposal.steps {
            let declared = self.steps.iter().find(|step| step.id == proposed.step_id);
            let twice = steps.iter().any(|step| step.step_id == proposed.step_id);
            let Some(declared) = declared.filter(|_| !twice) else {
                let clause = if twice {
                    "each step is there once"
                } else {
                    "plan.steps"
                };
                edits.push(edit(Action::Dropped, &proposed.step_id, clause));
                continue;
            };
            let mut step = self.bare(declared);
            match proposed.requires_human_approval {
                Some(true) => step.requires_human_approval = true,
                Some(false) if step.requires_human_approval => {
                    edits.push(edit(Action::Approval, &step.step_id, "plan.approval"));
                }
                _ => {}
            }
            step.comment.clone_from(&proposed.rationale);
            steps.push(step);
        }
        steps
    }

    fn add_mandatory(&self, finding_type: &str, steps: &mut Vec<Step>, edits: &mut Vec<Edit>) {
        for (at, id) in self.mandatory(finding_type).iter().enumerate() {
            if !steps.iter().any(|step| step.step_id == *id)
                && let Some(declared) = self.steps.iter().find(|step| step.id == *id)
            {
                let clause = format!("plan.mandatory.{finding_type}[{at}]");
                edits.push(edit(Action::Added, id, &clause));
                steps.push(self.bare(declared));
            }
            for step in steps.iter_mut().filter(|step| step.step_id == *id) {
                step.mandatory = true;
            }
        }
    }

    /// Gives each step what it depends on: what is declared, and then what was proposed, as long
    /// as that is in the plan and closes no circle.
    fn tie(&self, steps: &mut [Step], proposal: &Proposal, edits: &mut Vec<Edit>) {
        let ids: Vec<String> = steps.iter().map(|step| step.step_id.clone()).collect();
        for step in steps.iter_mut() {
            let declared = self.steps.iter().find(|known| known.id == step.step_id);
            let after = declared.map_or(&[][..], |declared| &declared.after);
            step.dependencies = after
                .iter()
                .filter(|id| ids.contains(id))
                .cloned()
                .collect();
        }
        let mut tied: Vec<&str> = Vec::new();
        for proposed in &proposal.steps {
            let id = proposed.step_id.as_str();
            if tied.contains(&id) || !ids.iter().any(|known| known == id) {
                continue;
            }
            tied.push(id);
            for first in &proposed.dependencies {
                if !ids.contains(first) || waits_for(steps, first, id) {
                    edits.push(edit(
                        Action::Untied,
                        id,
                        "each step is after those it depends on",
                    ));
                } else if let Some(step) = steps.iter_mut().find(|step| step.step_id == id)
                    && !step.dependencies.contains(first)
                {
                    step.dependencies.push(first.clone());
                }
            }
        }
    }
}

fn ids_of(steps: &[ProposedStep]) -> Vec<String> {
    steps.iter().map(|step| step.step_id.clone()).collect()
}

/// The default plan of an incident of which no reply was accepted.
#[must_use]
pub fn refused(default: Plan, why: &str) -> Plan {
    let refused = |field: &str| (field.to_owned(), Provenance::Refused);
    Plan {
        notes: format!("{}; the model's answer was refused: {why}", default.notes),
        provenance: BTreeMap::from(["overall_goal", "steps"].map(refused)),
        ..default
    }
}

fn edit(action: Action, step_id: &str, clause: &str) -> Edit {
    Edit {
        action,
        step_id: step_id.to_owned(),
        clause: clause.to_owned(),
    }
}

/// Whether a step is another, or comes after it by whatever way.
fn waits_for(steps: &[Step], step: &str, other: &str) -> bool {
    let mut reached = vec![step];
    let mut at = 0;
    while let Some(id) = reached.get(at).copied() {
        if id == other {
            return true;
        }
        let waiting = steps.iter().filter(|step| step.step_id == id);
        for first in waiting.flat_map(|step| &step.dependencies) {
            if !reached.contains(&first.as_str()) {
                reached.push(first);
            }
        }
        at += 1;
    }
    false
}

/// The steps as proposed, but each after those it depends on.
fn in_order(mut waiting: Vec<Step>, edits: &mut Vec<Edit>) -> Vec<Step> {
    let mut ordered = Vec::new();
    while !waiting.is_empty() {
        let is_blocked = |step: &Step| {
            let mut first = step.dependencies.iter();
            first.any(|id| waiting.iter().any(|other| other.step_id == *id))
        };
        let free = waiting
            .iter()
            .position(|step| !is_blocked(step))
            .unwrap_or(0);
        for step in waiting.iter().take(free) {
            let moved = edit(
                Action::Moved,
                &step.step_id,
                "each step is after those it depends on",
            );
            if !edits.contains(&moved) {
                edits.push(moved);
            }
        }
        ordered.push(waiting.remove(free));
    }
    ordered
}

fn read_step(step: &Value, place: &str, wrong: &mut Vec<String>) -> ProposedStep {
    let step_id = step.get("step_id").and_then(Value::as_str);
    if step_id.is_none_or(|id| id.chars().count() > LONGEST_NAME) {
        wrong.push(format!("{place}/step_id: expected the name of a step"));
    }
    let approval = step.get("requires_human_approval");
    if approval.is_some_and(|approval| !approval.is_boolean()) {
        wrong.push(format!(
            "{place}/requires_human_approval: expected true or false"
        ));
    }
    ProposedStep {
        step_id: step_id.unwrap_or_default().to_owned(),
        rationale: text(step, "rationale", place, LONGEST_TEXT, wrong),
        dependencies: read_dependencies(step, place, wrong),
        requires_human_approval: approval.and_then(Value::as_bool),
    }
}

fn read_dependencies(step: &Value, place: &str, wrong: &mut Vec<String>) -> Vec<String> {
    let Some(listed) = step.get("dependencies") else {
        return Vec::new();
    };
    let names: Option<Vec<&str>> = listed
        .as_array()
        .and_then(|names| names.iter().map(Value::as_str).collect());
    let names = names.filter(|names| {
        names.len() <= MOST_STEPS
            && names
                .iter()
                .all(|name| name.chars().count() <= LONGEST_NAME)
    });
    if names.is_none() {
        wrong.push(format!(
            "{place}/dependencies: expected a list of names of steps"
        ));
    }
    names
        .unwrap_or_default()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests;
