//! What of a policy bounds what a model may do to findings: made once, asked for each of them.

use std::cell::OnceCell;
use std::rc::Rc;

use serde_json::{Value, json};

use crate::detect::{SEVERITIES, Severity};
use crate::event::Digest;
use crate::lab::diff::effect::bounds::{Mark, Possible, Presence, Within, mark};
use crate::lab::diff::effect::entries::Fields;
use crate::lab::diff::effect::fills::Fills;
use crate::lab::diff::effect::open::Open;
use crate::lab::diff::effect::traced::{Kind, route_fields};
use crate::pipeline::{Beginning, Outcome};
use crate::plan::Step;
use crate::policy::{Policy, PolicyFile};
use crate::route::{Context, Edit, Facts, Route, RouteStep, Runs};

/// Whether marks are made, which takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    /// They are.
    Made,
    /// They are not: all are equal.
    LeftOut,
}

/// What of a policy bounds what a model may do to findings.
pub struct Latitude<'p> {
    pub policy: &'p Policy,
    /// The route of the run.
    pub run: OfRun,
    /// Every step of the closed list.
    pub steps: Vec<OpenStep>,
    /// What is required for an incident of each severity.
    pub required: Vec<Required>,
    /// How far scores go.
    scores: OnceCell<(f64, f64)>,
    /// What routes of incidents are made by, apart from replies.
    pub routing: Digest,
    /// What plans are made by, likewise.
    pub planning: Digest,
    /// What promotes a finding.
    pub promoting: Digest,
    /// What drafts are made by.
    pub drafting: Digest,
    /// Whether one may show the description of a rule.
    pub shows_description: bool,
}

/// What the route of a run leaves open.
#[derive(Clone, Debug)]
pub struct OfRun {
    /// Whether it detects.
    pub detects: Presence,
    /// Whether it asks for risks.
    pub asks_risk: Presence,
    /// What it follows from; nothing where it is known.
    pub mark: Mark,
    /// Its record.
    pub record: Possible,
}

impl OfRun {
    fn new(policy: &Policy, beginning: &Beginning, fills: &Fills) -> Self {
        let is_open = policy.prompts.contains_key("route") && !fills.contains_key("route");
        let rails = policy.routing.guardrails.get(&Context::RawEvents);
        let has = |names: &mut dyn Iterator<Item = &String>, runs: &Runs| {
            let mut agents = names.filter_map(|name| policy.routing.agents.get(name));
            agents.any(|agent| agent.runs == *runs)
        };
        let decided: Vec<&Runs> = policy.routing.runs(&beginning.route).collect();
        let presence = |runs: &Runs| {
            let always = decided.contains(&runs);
            let allowed = rails.is_some_and(|rails| has(&mut rails.allow.iter(), runs));
            Presence::of(always, always || (is_open && allowed))
        };
        let route = mark(&json!([
            policy.prompts.get("route").map(|prompt| prompt.digest),
            format!("{rails:?}"),
            shown_agents(policy),
        ]));
        let mark = is_open.then_some(route);
        let mut record = Possible::default();
        let bound = record.add(Kind::Route, "raw_events", Presence::Always, None);
        if is_open {
            let phase = Within::These(vec![beginning.route.phase.clone().into()]);
            bound.ranges.push(("phase", phase));
            bound.follows_from(mark);
        } else {
            bound.exactly(route_fields(&beginning.route));
        }
        Self {
            detects: presence(&Runs::Detect),
            asks_risk: presence(&Runs::Risk),
            mark,
            record,
        }
    }
}

/// What a prompt of routes shows of agents, where it does.
fn shown_agents(policy: &Policy) -> Value {
    let prompt = policy.prompts.get("route");
    let shows = prompt.is_some_and(|prompt| prompt.context.iter().any(|name| name == "agents"));
    if shows {
        let context = policy
            .routing
            .context(Context::RawEvents, Facts::default(), None);
        context.get("agents").cloned().unwrap_or_default()
    } else {
        Value::Null
    }
}

/// What the agents of the engineer's make their drafts by.
fn drafting(policy: &Policy, files: &[PolicyFile]) -> Digest {
    let agents = policy.routing.agents.iter();
    let agents = agents.filter(|(_, agent)| agent.runs.drafts());
    let agents = agents.map(|(name, agent)| {
        let by = match &agent.runs {
            Runs::Slot(slot, _) => {
                let settings = policy.slots.get(slot);
                let default = settings.and_then(|settings| settings.default.as_ref());
                json!([
                    slot,
                    policy.prompts.get(slot).map(|prompt| prompt.digest),
                    settings.map(|settings| settings.ask),
                    default.map(|default| default.written()),
                ])
            }
            Runs::Script(reference) => json!([reference.file, reference.function]),
            _ => Value::Null,
        };
        json!([name, agent.critical, by])
    });
    let scripts = files.iter().filter(|file| file.path.ends_with(".rhai"));
    let scripts = scripts.map(|file| json!([file.path, file.text]));
    mark(&json!([
        agents.collect::<Value>(),
        scripts.collect::<Value>()
    ]))
}

/// Whether a draft may show the description of a rule: scripts are given it.
fn shows_description(policy: &Policy) -> bool {
    policy
        .routing
        .agents
        .values()
        .any(|agent| match &agent.runs {
            Runs::Slot(slot, _) => {
                let prompt = policy.prompts.get(slot);
                prompt.is_some_and(|prompt| {
                    prompt.context.iter().any(|name| name == "rule.description")
                })
            }
            runs => runs.drafts(),
        })
}

/// What is required for an incident of a severity.
pub struct Required {
    /// The severity.
    pub severity: Severity,
    /// The agents, as a prompt may show them.
    agents: Vec<String>,
    /// The route where nothing is proposed.
    pub route: Route,
}

impl Required {
    fn of(policy: &Policy, severity: Severity) -> Self {
        let facts = Facts {
            severity: Some(severity),
        };
        let rails = policy.routing.guardrails.get(&Context::Incident);
        let agents = rails.into_iter().flat_map(|rails| rails.required(facts));
        Self {
            severity,
            agents: agents.cloned().collect(),
            route: policy.routing.decide(Context::Incident, None, facts, &[]),
        }
    }

    /// Whether the same is required, by the same clauses.
    #[must_use]
    pub fn is_as(&self, other: &Self) -> bool {
        self.bounds() == other.bounds()
    }

    /// What is required, and by which clauses.
    #[must_use]
    pub fn bounds(&self) -> (&[String], &[RouteStep], &[Edit]) {
        (&self.agents, &self.route.steps, &self.route.edits)
    }
}

/// A step that a plan may have.
pub struct OpenStep {
    /// The step.
    pub step: Step,
    /// What it says in every plan that has it: where it is optional, and where it is mandatory.
    says: [Rc<str>; 2],
}

impl OpenStep {
    fn new(step: Step) -> Self {
        let says = [false, true].map(|mandatory| {
            let mut left_out = vec!["step_id", "dependencies", "mandatory"];
            if !step.requires_human_approval {
                left_out.push("requires_human_approval");
            }
            Fields::of(&step, &left_out)
                .with("mandatory", &mandatory)
                .text()
        });
        Self { step, says }
    }
}

impl<'p> Latitude<'p> {
    /// Of a policy whose run begins so.
    #[must_use]
    pub fn new(
        policy: &'p Policy,
        files: &[PolicyFile],
        beginning: &Beginning,
        fills: &Fills,
    ) -> Self {
        let rails = policy.routing.guardrails.get(&Context::Incident);
        let steps = policy.planning.every_step();
        let planning = mark(&json!(steps));
        Self {
            policy,
            run: OfRun::new(policy, beginning, fills),
            routing: mark(&json!([format!("{rails:?}"), shown_agents(policy)])),
            planning,
            steps: steps.into_iter().map(OpenStep::new).collect(),
            required: SEVERITIES
                .map(|(_, severity)| Required::of(policy, severity))
                .into(),
            scores: OnceCell::new(),
            promoting: mark(&format!("{:?}", policy.promotion)),
            drafting: drafting(policy, files),
            shows_description: shows_description(policy),
        }
    }

    /// What a step says that is in the plan because a reply has it, or because it is mandatory.
    #[must_use]
    pub fn says(&self, step: &Step, is_mandatory: bool) -> Option<Rc<str>> {
        let mut steps = self.steps.iter();
        let open = steps.find(|open| open.step.step_id == step.step_id)?;
        let [optional, mandatory] = &open.says;
        Some(Rc::clone(if is_mandatory { mandatory } else { optional }))
    }

    /// How far scores go.
    #[must_use]
    pub fn scores(&self) -> (f64, f64) {
        let slot = self.policy.slots.get("risk");
        let range = || slot.map_or((0.0, 1.0), |slot| slot.formula.range());
        *self.scores.get_or_init(range)
    }

    /// What is left open of a finding and what follows from it; nothing where no slot is. With
    /// marks it can be compared with another; to be counted it needs none.
    #[must_use]
    pub fn open<'o>(
        &'o self,
        outcome: &'o Outcome,
        fills: &'o Fills,
        marks: Marks,
    ) -> Option<Open<'o>> {
        if self.policy.prompts.is_empty() {
            return None;
        }
        let open = Open::new(self, outcome, fills, marks);
        (!open.slots.is_empty()).then_some(open)
    }
}
