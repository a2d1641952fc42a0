//! A route that a model proposes, and what the guardrails make of it.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::route::{
    Action, Context, Edit, Facts, Guardrails, ProposedStep, Route, Routing, Summary,
};
use crate::slots::{LONGEST_NAME, LONGEST_TEXT, MOST_STEPS, Provenance, text};

/// A route as a model proposes it, read but not yet bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposal {
    /// The phase, which the guardrails force.
    pub phase: Option<String>,
    /// The agents, in order.
    pub steps: Vec<ProposedStep>,
    /// Commentary.
    pub notes: Option<String>,
}

impl Proposal {
    /// Reads a reply, whatever the schema of the prompt let through.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it. Agents that nobody knows are not: the guardrails drop
    /// them, and the route says so.
    pub fn read(reply: &Value) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        let mut proposal = Self {
            phase: text(reply, "phase", "", LONGEST_NAME, &mut wrong),
            steps: Vec::new(),
            notes: text(reply, "notes", "", LONGEST_TEXT, &mut wrong),
        };
        match reply.get("steps").and_then(Value::as_array) {
            Some(steps) if steps.len() <= MOST_STEPS => {
                for (at, step) in steps.iter().enumerate() {
                    let step = read_step(step, &format!("/steps/{at}"), &mut wrong);
                    proposal.steps.push(step);
                }
            }
            Some(_) => wrong.push(format!("/steps: expected at most {MOST_STEPS} steps")),
            None => wrong.push("/steps: expected a list of steps".to_owned()),
        }
        if wrong.is_empty() {
            Ok(proposal)
        } else {
            Err(wrong)
        }
    }
}

impl Routing {
    /// What a prompt of the slot `route` may name of a context: the agents, and the guardrails that
    /// hold for these facts.
    #[must_use]
    pub fn context(&self, context: Context, facts: Facts, summary: Option<&Summary>) -> Value {
        let agents = self.agents.iter().map(|(name, agent)| {
            json!({
                "name": name,
                "description": agent.description,
                "input": agent.input,
                "output": agent.output,
                "phase": agent.phase,
                "critical": agent.critical,
            })
        });
        let guardrails = self.guardrails.get(&context);
        json!({
            "route": {"context": context.as_str()},
            "agents": agents.collect::<Vec<_>>(),
            "events": summary.filter(|_| context == Context::RawEvents),
            "guardrails": guardrails.map(|rails| rails.said(facts)).unwrap_or_default(),
        })
    }

    /// The route that comes of a proposal: what [`Routing::decide`] makes of its steps, in the
    /// phase of the context.
    #[must_use]
    pub fn bounded(
        &self,
        context: Context,
        incident_id: Option<Uuid>,
        facts: Facts,
        proposal: &Proposal,
        source: Provenance,
    ) -> Route {
        let mut route = self.decide(context, incident_id, facts, &proposal.steps);
        if let Some(phase) = proposal
            .phase
            .as_ref()
            .filter(|phase| **phase != route.phase)
        {
            route.edits.push(Edit {
                action: Action::Forced,
                agent: phase.clone(),
                clause: format!("route.{}.phase", context.as_str()),
            });
        }
        route.notes.clone_from(&proposal.notes);
        route.provenance = Some(source);
        let agents = proposal.steps.iter().map(|step| step.agent.clone());
        route.proposed = Some(agents.collect());
        route
    }
}

impl Route {
    /// The route of the guardrails alone, of which no reply was accepted.
    #[must_use]
    pub fn refused(self, why: &str) -> Self {
        Self {
            provenance: Some(Provenance::Refused),
            refused: Some(why.to_owned()),
            ..self
        }
    }
}

impl Guardrails {
    /// The rules in words.
    fn said(&self, facts: Facts) -> Vec<String> {
        let mut said = vec![
            format!("the phase is {}", self.phase),
            format!("only these run: {}", self.allow.join(", ")),
        ];
        let required: Vec<&str> = self.required(facts).map(String::as_str).collect();
        if !required.is_empty() {
            said.push(format!("these always run: {}", required.join(", ")));
        }
        let order = self.order.iter();
        said.extend(order.map(|(left, right)| format!("{left} runs before {right}")));
        said
    }
}

fn read_step(step: &Value, place: &str, wrong: &mut Vec<String>) -> ProposedStep {
    let agent = text(step, "agent_name", place, LONGEST_NAME, wrong);
    if agent.is_none() && step.get("agent_name").is_none() {
        wrong.push(format!("{place}/agent_name: expected the name of an agent"));
    }
    ProposedStep {
        agent: agent.unwrap_or_default(),
        reason: text(step, "reason", place, LONGEST_TEXT, wrong),
        when: text(step, "when", place, LONGEST_TEXT, wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn routing() -> Routing {
        let names = |list: &str| list.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let guardrails = Guardrails {
            context: "incident",
            phase: "response".to_owned(),
            allow: names("planner commander"),
            require: names("planner"),
            require_when: Vec::new(),
            order: vec![("planner".to_owned(), "commander".to_owned())],
        };
        Routing {
            agents: BTreeMap::new(),
            guardrails: BTreeMap::from([(Context::Incident, guardrails)]),
        }
    }

    #[test]
    fn a_proposal_is_bounded_and_each_edit_says_by_which_clause() {
        let reply = json!({
            "phase": "skip",
            "steps": [
                {"agent_name": "commander", "reason": "r", "when": "never"},
                {"agent_name": "shell", "reason": "sh -c id"},
                {"agent_name": "commander"},
            ],
            "notes": "n",
        });
        let proposal = Proposal::read(&reply).expect("a proposal");
        let route = routing().bounded(
            Context::Incident,
            None,
            Facts::default(),
            &proposal,
            Provenance::Model,
        );
        let steps: Vec<_> = route
            .steps
            .iter()
            .map(|step| step.agent_name.as_str())
            .collect();
        assert_eq!(steps, ["planner", "commander"]);
        let edits: Vec<_> = route
            .edits
            .iter()
            .map(|edit| format!("{} {} {}", edit.action.as_str(), edit.agent, edit.clause))
            .collect();
        assert_eq!(
            edits,
            [
                "dropped shell route.incident.allow",
                "dropped commander each agent runs once",
                "added planner route.incident.require[0]",
                "moved commander route.incident.order[0]",
                "forced skip route.incident.phase",
            ]
        );
        assert_eq!(
            (route.phase.as_str(), route.notes.as_deref()),
            ("response", Some("n"))
        );
        assert_eq!(route.provenance, Some(Provenance::Model));
    }

    #[test]
    fn what_is_no_proposal_is_refused() {
        #[rustfmt::skip]
        let cases = [
            (json!({}), "/steps: expected a list of steps"),
            (json!({"steps": "planner"}), "/steps: expected a list of steps"),
            (json!({"steps": vec![json!({"agent_name": "a"}); 65]}), "/steps: expected at most 64 steps"),
            (json!({"steps": ["planner"]}), "/steps/0/agent_name: expected the name of an agent"),
            (json!({"steps": [{"agent_name": 7}]}), "/steps/0/agent_name: expected a text of at most 128 characters"),
            (json!({"steps": [{"agent_name": "a", "when": true}]}), "/steps/0/when: expected a text of at most 1000 characters"),
            (json!({"phase": [], "steps": []}), "/phase: expected a text of at most 128 characters"),
        ];
        for (reply, expected) in cases {
            assert_eq!(
                Proposal::read(&reply),
                Err(vec![expected.to_owned()]),
                "{reply}"
            );
        }
        let without = routing().decide(Context::Incident, None, Facts::default(), &[]);
        let refused = without.clone().refused("the reply is empty");
        assert_eq!(refused.steps, without.steps);
        assert_eq!(refused.refused.as_deref(), Some("the reply is empty"));
    }

    #[test]
    fn the_model_sees_the_guardrails_that_hold() {
        let context = routing().context(Context::Incident, Facts::default(), None);
        assert_eq!(
            context["guardrails"],
            json!([
                "the phase is response",
                "only these run: planner, commander",
                "these always run: planner",
                "planner runs before commander",
            ])
        );
        assert_eq!(context["route"]["context"], "incident");
    }
}
