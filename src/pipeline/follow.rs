//! The third beat: a finding → its risk, and if it is promoted its incident, plan and commands.
//!
//! A slot takes its default unless somebody is asked. What is answered is read and bounded by the
//! stage that owns the slot; what was asked is kept beside what came of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::command::{Command, render};
use crate::detect::Finding;
use crate::draft::{self, Draft, Drafting};
use crate::llm::Model;
use crate::plan::{self, Plan};
use crate::policy::Policy;
use crate::promote::{Incident, Verdict, incident};
use crate::risk::{self, Bounds, Opinion, Risk, default_risk};
use crate::route::{self, Context, Facts, Route, Runs, Summary};
use crate::slots::{Asked, Consulted, Formula, May, Provenance, fill};

/// Who fills slots, and what the route of a run is decided from.
#[derive(Clone, Copy, Default)]
pub struct Filling<'m> {
    /// Who is asked; without anybody, every slot takes its default.
    pub model: Option<&'m dyn Model>,
    /// What is known of the events before detection, where somebody is asked.
    pub summary: Option<&'m Summary>,
}

impl Filling<'_> {
    /// Whether somebody is asked for the routes of a policy.
    pub(super) fn asks_route(&self, policy: &Policy) -> bool {
        self.asks(policy, "route")
    }

    /// Whether somebody is asked to fill a slot.
    fn asks(&self, policy: &Policy, slot: &str) -> bool {
        self.model.is_some() && policy.prompts.contains_key(slot)
    }
}

/// What a run begins with.
#[derive(Clone, Debug, PartialEq)]
pub struct Beginning {
    /// The route of the run.
    pub route: Route,
    /// What it was decided from, where a model was asked.
    pub summary: Option<Summary>,
    /// What the model was asked, and what it answered.
    pub asked: Option<Filled>,
}

/// A slot that somebody was asked to fill.
#[derive(Clone, Debug, PartialEq)]
pub struct Filled {
    /// The slot, such as `risk`.
    pub slot: String,
    /// The finding or the incident that it is about; nothing for the route of a run.
    pub subject: Option<Uuid>,
    /// What was asked and answered.
    pub asked: Asked,
}

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
    /// The slots that somebody was asked to fill, in their order: these are in the audit alone.
    #[serde(skip)]
    pub asked: Vec<Filled>,
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
    /// What the engineer's agents of the route wrote, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub drafts: Vec<Draft>,
}

/// The route of a run.
#[must_use]
pub fn begin(policy: &Policy, filling: &Filling<'_>) -> Beginning {
    let mut slots = Slots::new(policy, filling);
    let route = slots.route(Context::RawEvents, None, Facts::default(), || Value::Null);
    let asked = slots.asked.pop();
    Beginning {
        route,
        summary: asked.as_ref().and(filling.summary).cloned(),
        asked,
    }
}

/// Follows a finding to its commands. It has a risk whether or not the route asks for one, which
/// is then the default: a route can save a model's call and never hide a finding.
/// One that was promoted when it opened stays promoted.
#[must_use]
pub fn follow(
    policy: &Policy,
    filling: &Filling<'_>,
    asks_risk: bool,
    finding: Finding,
    was_promoted: bool,
) -> Outcome {
    let mut slots = Slots::new(policy, filling);
    let Risked {
        default,
        risk,
        is_least,
    } = slots.risk(&finding, asks_risk);
    let least = is_least.then_some(&default);
    let mut promotion = policy.promotion.decide(&finding, &risk, least);
    if risk.consulted.is_some() && !was_promoted {
        let of_default = policy.promotion.decide(&finding, &default, None);
        promotion = promotion.beside(&default, &of_default);
    }
    if was_promoted && !promotion.promoted {
        promotion.promoted = true;
        let reason = "it was promoted when it opened, and an incident is not withdrawn";
        promotion.reasons.push(reason.to_owned());
    }
    let response = promotion
        .promoted
        .then(|| slots.respond(incident(&finding, &risk, &promotion), &finding, &risk));
    Outcome {
        finding,
        risk,
        promotion,
        response,
        asked: slots.asked,
    }
}

/// What somebody said of a slot.
struct Said<T> {
    /// What is accepted of it, or why nothing is.
    accepted: Result<T, String>,
    /// Whether it was said now.
    source: Provenance,
    consulted: Consulted,
}

/// The risk of a finding.
struct Risked {
    /// The one without a model.
    default: Risk,
    /// The one that it has.
    risk: Risk,
    /// Whether no model may give less than the default.
    is_least: bool,
}

/// Fills the slots on the way of one finding.
struct Slots<'s> {
    policy: &'s Policy,
    filling: &'s Filling<'s>,
    asked: Vec<Filled>,
}

impl<'s> Slots<'s> {
    fn new(policy: &'s Policy, filling: &'s Filling<'s>) -> Self {
        Self {
            policy,
            filling,
            asked: Vec::new(),
        }
    }

    /// Asks for a slot; gives what is accepted or why nothing is, or nothing where nobody is asked.
    fn fill<T>(
        &mut self,
        slot: &str,
        subject: Option<Uuid>,
        context: &Value,
        read: &dyn Fn(&Value) -> Result<T, Vec<String>>,
    ) -> Option<Said<T>> {
        let model = self.filling.model;
        let model = model.filter(|model| model.is_asked_for(slot))?;
        let prompt = self.policy.prompts.get(slot)?;
        let asked = fill(prompt, context, model, &|reply| read(reply).map(drop));
        if asked.is_nobody() {
            return None;
        }
        let accepted = asked.accepted.as_ref().map(read);
        let refused = asked.refused.clone().unwrap_or_default();
        let consulted = Consulted::of(prompt.digest, &asked);
        self.asked.push(Filled {
            slot: slot.to_owned(),
            subject,
            asked,
        });
        let accepted = match accepted {
            Some(Ok(said)) => Ok(said),
            // What is accepted was read once already.
            Some(Err(why)) => Err(why.join("; ")),
            None => Err(refused),
        };
        let source = if model.about().recorded {
            Provenance::Recorded
        } else {
            Provenance::Model
        };
        Some(Said {
            accepted,
            source,
            consulted,
        })
    }

    /// The description of the rule of a finding.
    fn description(&self, finding: &Finding) -> Option<&'s str> {
        let rule = self.policy.rules.get(&finding.rule)?;
        rule.description.as_deref()
    }

    /// The default risk of a finding, and the one that it has.
    fn risk(&mut self, finding: &Finding, asks: bool) -> Risked {
        let policy = self.policy;
        let rule = policy.rules.get(&finding.rule);
        let settings = rule.map(|rule| rule.settings.clone()).unwrap_or_default();
        let slot = policy.slots.get("risk");
        let product = Formula::default();
        let formula = slot.map_or(&product, |slot| &slot.formula);
        let default = default_risk(finding, &settings, formula);
        let asks = asks && self.filling.asks(policy, "risk");
        let slot = slot.filter(|_| asks);
        let filled = slot.and_then(|slot| {
            let context = risk::context(finding, self.description(finding));
            let said = self.fill("risk", Some(finding.id), &context, &Opinion::read)?;
            Some((slot, said))
        });
        let Some((slot, said)) = filled else {
            return Risked {
                risk: default.clone(),
                default,
                is_least: false,
            };
        };
        let bounds = Bounds {
            floor: settings.floor,
            may: slot.may,
            formula,
            source: said.source,
        };
        let mut risk = match &said.accepted {
            Ok(opinion) => risk::bounded(&default, &bounds, opinion),
            Err(why) => risk::refused(&default, why),
        };
        risk.consulted = Some(said.consulted);
        Risked {
            default,
            risk,
            is_least: slot.may == May::Raise && settings.floor.is_none(),
        }
    }

    /// `about` is what a prompt may name beside agents, guardrails and events.
    fn route(
        &mut self,
        context: Context,
        incident: Option<Uuid>,
        facts: Facts,
        about: impl FnOnce() -> Value,
    ) -> Route {
        let routing = &self.policy.routing;
        let asks = self.filling.asks_route(self.policy);
        let said = asks.then(|| {
            let shown = routing.context(context, facts, self.filling.summary);
            let shown = together(about(), shown);
            self.fill("route", incident, &shown, &route::Proposal::read)
        });
        let Some(said) = said.flatten() else {
            return routing.decide(context, incident, facts, &[]);
        };
        let mut route = match &said.accepted {
            Ok(proposal) => routing.bounded(context, incident, facts, proposal, said.source),
            Err(why) => routing.decide(context, incident, facts, &[]).refused(why),
        };
        route.consulted = Some(said.consulted);
        route
    }

    fn plan(&mut self, incident: &Incident, finding: &Finding, risk: &Risk) -> Plan {
        let planning = &self.policy.planning;
        let asks = self.filling.asks(self.policy, "plan");
        let said = asks.then(|| {
            let description = self.description(finding);
            let context = planning.context(incident, finding, description, risk);
            let read = |reply: &Value| planning.read(reply);
            self.fill("plan", Some(incident.id), &context, &read)
        });
        let Some(said) = said.flatten() else {
            return planning.default_plan(incident, finding);
        };
        let mut plan = match &said.accepted {
            Ok(proposal) => planning.bounded(incident, finding, proposal, said.source),
            Err(why) => plan::refused(planning.default_plan(incident, finding), why),
        };
        plan.consulted = Some(said.consulted);
        plan
    }

    /// What an agent of the engineer's writes, if it writes anything.
    fn draft(&mut self, drafting: &Drafting<'_>, runs: &Runs) -> Option<Draft> {
        let policy = self.policy;
        match runs {
            Runs::Slot(slot, _) => {
                let prompt = policy.prompts.get(slot)?;
                let settings = policy.slots.get(slot)?;
                let default = settings.default.as_ref()?;
                let ask = || {
                    let subject = Some(drafting.incident);
                    self.fill(slot, subject, drafting.context, &draft::read)
                };
                let said = settings.ask.then(ask);
                Some(match said.flatten() {
                    Some(Said {
                        accepted: Ok(content),
                        source,
                        ..
                    }) => drafting.wrote(content, source),
                    Some(Said {
                        accepted: Err(why), ..
                    }) => drafting.fell_back(default, prompt, Some(why)),
                    None => drafting.fell_back(default, prompt, None),
                })
            }
            Runs::Script(_) => drafting.asked(policy.functions.get(drafting.agent)?),
            Runs::Detect | Runs::Risk | Runs::Plan | Runs::Commands => None,
        }
    }

    fn respond(&mut self, incident: Incident, finding: &Finding, risk: &Risk) -> Response {
        let policy = self.policy;
        let facts = Facts {
            severity: Some(incident.severity),
        };
        let description = self.description(finding);
        let planning = &policy.planning;
        let about = || planning.context(&incident, finding, description, risk);
        let route = self.route(Context::Incident, Some(incident.id), facts, about);
        let mut plan = None;
        let mut commands = Vec::new();
        let mut drafts = Vec::new();
        for (name, agent) in policy.routing.agents(&route) {
            match &agent.runs {
                Runs::Plan => plan = Some(self.plan(&incident, finding, risk)),
                Runs::Commands => commands.extend(
                    plan.iter()
                        .flat_map(|plan| render(&policy.tools.commands, plan, finding)),
                ),
                Runs::Slot(..) | Runs::Script(_) if draft::stopped(&mut drafts, name) => {}
                Runs::Slot(..) | Runs::Script(_) => {
                    let plan = plan.as_ref();
                    let drafting = Drafting {
                        agent: name,
                        critical: agent.critical,
                        incident: incident.id,
                        context: &draft::context(&incident, finding, description, risk, plan),
                    };
                    drafts.extend(self.draft(&drafting, &agent.runs));
                }
                Runs::Detect | Runs::Risk => {}
            }
        }
        Response {
            incident,
            route,
            plan,
            commands,
            drafts,
        }
    }
}

/// The entries of both; of one that both have, the second's.
fn together(mut first: Value, second: Value) -> Value {
    match (&mut first, second) {
        (Value::Object(entries), Value::Object(others)) => {
            entries.extend(others);
            first
        }
        (_, second) => second,
    }
}
