//! Incident → [`Draft`]: what an agent of the engineer's writes about it, for a person to read.
//!
//! Nothing else reads a draft, and the program sends none: whatever it says, the incident, its plan
//! and its commands are what they are without it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::detect::{Finding, NAMESPACE};
use crate::plan::Plan;
use crate::promote::{self, Incident};
use crate::risk::Risk;
use crate::script::{AboutView, DRAFT_BYTES, Function};
use crate::slots::{Fallback, Prompt, Provenance, select_all};

/// What an agent wrote about an incident, or why it wrote nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// UUIDv5 over the incident's id and the agent.
    pub id: Uuid,
    /// The incident.
    pub incident_id: Uuid,
    /// The agent.
    pub agent_name: String,
    /// What it wrote: an object of the schema of its slot, or what its script gave.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub content: Option<Value>,
    /// Where that came from.
    pub provenance: Provenance,
    /// Why the model's answer was refused, where it was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<String>,
    /// Why the agent failed, where it did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed: Option<Failed>,
}

/// Why an agent failed, and what did not run for that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Why.
    pub reason: String,
    /// Whether the agent is critical, so that its branch stopped.
    pub critical: bool,
    /// The agents that were behind it in the route and did not run.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub stopped: Vec<String>,
}

/// An agent that is about to write, and what it is given.
#[derive(Clone, Copy, Debug)]
pub struct Drafting<'d> {
    /// The agent.
    pub agent: &'d str,
    /// Whether its failure stops its branch.
    pub critical: bool,
    /// The incident.
    pub incident: Uuid,
    /// See [`context`].
    pub context: &'d Value,
}

/// What prompts, templates and scripts of agents may name of an incident and of what led to it.
#[must_use]
pub fn context(
    incident: &Incident,
    finding: &Finding,
    rule_description: Option<&str>,
    risk: &Risk,
    plan: Option<&Plan>,
) -> Value {
    let mut context = promote::context(incident, finding, rule_description, risk);
    if let Value::Object(context) = &mut context {
        context.insert("plan".to_owned(), plan.map_or(Value::Null, of_plan));
    }
    context
}

fn of_plan(plan: &Plan) -> Value {
    let steps = plan.steps.iter();
    let mandatory = steps.clone().filter(|step| step.mandatory);
    json!({
        "overall_goal": plan.overall_goal,
        "steps": steps.map(|step| json!({
            "step_id": step.step_id,
            "description": step.description,
            "requires_human_approval": step.requires_human_approval,
        })).collect::<Vec<_>>(),
        "mandatory": mandatory.map(|step| &step.step_id).collect::<Vec<_>>(),
    })
}

/// Reads a model's reply, whatever the schema of the prompt let through.
///
/// # Errors
///
/// When it is no object, or longer than a draft may be.
pub fn read(reply: &Value) -> Result<Value, Vec<String>> {
    if !reply.is_object() {
        return Err(vec!["the reply: expected an object".to_owned()]);
    }
    let bytes = reply.to_string().len();
    if bytes > DRAFT_BYTES {
        let message = format!("the reply: {bytes} bytes, expected at most {DRAFT_BYTES}");
        return Err(vec![message]);
    }
    Ok(reply.clone())
}

/// Whether a critical agent failed before, so that this one does not run: the draft that says why
/// that one failed says this too.
pub fn stopped(drafts: &mut [Draft], agent: &str) -> bool {
    let failures = drafts.iter_mut().filter_map(|draft| draft.failed.as_mut());
    let stop = failures.filter(|failed| failed.critical).last();
    if let Some(failed) = stop {
        failed.stopped.push(agent.to_owned());
        return true;
    }
    false
}

impl Drafting<'_> {
    /// The draft of a content.
    #[must_use]
    pub fn wrote(&self, content: Value, provenance: Provenance) -> Draft {
        Draft {
            content: Some(content),
            ..self.empty(provenance)
        }
    }

    /// The default of a slot; `refused` is why a model's answer is not taken, where one was asked.
    #[must_use]
    pub fn fell_back(&self, default: &Fallback, prompt: &Prompt, refused: Option<String>) -> Draft {
        let provenance = match refused {
            Some(_) => Provenance::Refused,
            None => Provenance::Default,
        };
        let of = default.of(prompt, self.context);
        let made = of.map_err(|why| why.to_string());
        let made = made.and_then(|content| read(&content).map_err(|why| why.join("; ")));
        let draft = match made {
            Ok(content) => self.wrote(content, provenance),
            Err(why) => self.failed(provenance, why),
        };
        Draft { refused, ..draft }
    }

    /// What the function of a script gives, if it gives anything.
    #[must_use]
    pub fn asked(&self, function: &Function) -> Option<Draft> {
        let about = AboutView(Arc::new(select_all(self.context)));
        match function.draft(about) {
            Ok(content) => Some(self.wrote(content?, Provenance::Script)),
            Err(why) => Some(self.failed(Provenance::Script, why.to_string())),
        }
    }

    fn failed(&self, provenance: Provenance, reason: String) -> Draft {
        let failed = Failed {
            reason,
            critical: self.critical,
            stopped: Vec::new(),
        };
        Draft {
            failed: Some(failed),
            ..self.empty(provenance)
        }
    }

    fn empty(&self, provenance: Provenance) -> Draft {
        let name = json!(["draft", self.incident, self.agent]).to_string();
        Draft {
            id: Uuid::new_v5(&NAMESPACE, name.as_bytes()),
            incident_id: self.incident,
            agent_name: self.agent.to_owned(),
            content: None,
            provenance,
            refused: None,
            failed: None,
        }
    }
}
