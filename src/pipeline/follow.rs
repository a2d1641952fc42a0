//! The third beat: a finding → its risk, and if it is promoted its incident, plan and commands.

use serde::{Deserialize, Serialize};

use crate::command::{Command, render};
use crate::detect::Finding;
use crate::plan::Plan;
use crate::policy::Policy;
use crate::promote::{Incident, Verdict, incident};
use crate::risk::{Risk, default_risk};
use crate::route::{Context, Facts, Route, Runs};

/// A finding and all that follows from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The finding.
    pub finding: Finding,
    /// Its risk.
    pub risk: Risk,
    /// Whether it was promoted, and why.
    pub promotion: Verdict,
    /// What a promoted finding leads to.
    pub response: Option<Response>,
}

/// What a promoted finding leads to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// The incident.
    pub incident: Incident,
    /// Which agents ran for it.
    pub route: Route,
    /// The plan, when the route plans.
    pub plan: Option<Plan>,
    /// The suggested commands, when the route suggests them.
    pub commands: Vec<Command>,
}

/// Follows a finding to its commands. The risk is the rule's default whether or
/// not the route asks for it: a route can save a model's call and never hide a finding.
/// One that was promoted when it opened stays promoted.
#[must_use]
pub fn follow(policy: &Policy, finding: Finding, was_promoted: bool) -> Outcome {
    let settings = policy
        .rules
        .get(&finding.rule)
        .map(|rule| rule.settings.clone())
        .unwrap_or_default();
    let risk = default_risk(&finding, &settings);
    let mut promotion = policy.promotion.decide(&risk);
    if was_promoted && !promotion.promoted {
        promotion.promoted = true;
        let reason = "it was promoted when it opened, and an incident is not withdrawn";
        promotion.reasons.push(reason.to_owned());
    }
    let response = promotion
        .promoted
        .then(|| respond(policy, incident(&finding, &risk, &promotion), &finding));
    Outcome {
        finding,
        risk,
        promotion,
        response,
    }
}

fn respond(policy: &Policy, incident: Incident, finding: &Finding) -> Response {
    let facts = Facts {
        severity: Some(incident.severity),
    };
    let route = policy
        .routing
        .decide(Context::Incident, Some(incident.id), facts, &[]);
    let mut plan = None;
    let mut commands = Vec::new();
    for runs in policy.routing.runs(&route) {
        match runs {
            Runs::Plan => plan = Some(policy.planning.default_plan(&incident, finding)),
            Runs::Commands => commands.extend(
                plan.iter()
                    .flat_map(|plan| render(&policy.commands, plan, finding)),
            ),
            Runs::Detect | Runs::Risk => {}
        }
    }
    Response {
        incident,
        route,
        plan,
        commands,
    }
}
