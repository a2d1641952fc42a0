//! What could come of a finding whose slots nobody is known to fill: what holds with every fill
//! that the policy permits, and what with some.
//!
//! A slot that is asked on both sides with the same prompt gets the same reply on both, since that
//! would be carried. So what follows from a reply is known by a mark of all that it follows from:
//! equal marks say that two records agree whatever the reply is.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::command::command;
use crate::detect::{Finding, SEVERITIES, Settings, Severity};
use crate::event::Digest;
use crate::lab::diff::effect::entries::without;
use crate::lab::diff::effect::fills::Fills;
use crate::lab::diff::effect::traced::{Compared, KINDS, Kind, Traced, plan_fields, route_fields};
use crate::pipeline::{Beginning, Outcome};
use crate::plan::{Plan, Step};
use crate::policy::{Policy, PolicyFile};
use crate::promote::incident;
use crate::risk::{Range, Risk, default_risk};
use crate::route::{Agent, Context, Facts, Guardrails, Route, Runs};
use crate::slots::{May, Provenance};

/// With which fills something is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// With none that is permitted.
    #[default]
    Never,
    /// With some.
    Sometimes,
    /// With every one.
    Always,
}

impl Presence {
    fn of(always: bool, ever: bool) -> Self {
        match (always, ever) {
            (true, _) => Self::Always,
            (false, true) => Self::Sometimes,
            (false, false) => Self::Never,
        }
    }
}

/// How many records of a kind there are: with what is known, and with whatever is permitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// With what is known of fills, and defaults for the rest.
    pub figure: u64,
    /// At least so many.
    pub least: u64,
    /// At most so many.
    pub most: u64,
}

impl Span {
    /// So many, whatever a model says.
    #[must_use]
    pub fn exactly(figure: u64) -> Self {
        Self {
            figure,
            least: figure,
            most: figure,
        }
    }
}

/// The records of a finding, by kind.
pub type Spans = BTreeMap<Kind, Span>;

/// What of a record holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bound {
    /// With which fills it is there.
    pub presence: Presence,
    /// The same where the finding is promoted.
    within: Presence,
    /// What the promotion follows from, where that is open.
    gate: Mark,
    /// How often it is there at most: two agents may suggest one command.
    pub times: u64,
    /// What its presence follows from beside the promotion.
    is_there: Mark,
    /// What its fields follow from.
    says: Mark,
    /// The fields that are settled, as JSON: many of these wait for their pair.
    settled: Option<Rc<str>>,
    /// What others may be; one that is in neither may be anything.
    ranges: Vec<(&'static str, Within)>,
    /// Whether no fill changes it.
    is_exact: bool,
}

/// What a value may be.
#[derive(Clone, Debug, PartialEq)]
enum Within {
    /// One of these.
    These(Vec<Value>),
    /// A number from one to the other.
    Numbers(f64, f64),
}

impl Within {
    fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::These(own), Self::These(others)) => {
                !own.iter().any(|value| others.contains(value))
            }
            (Self::Numbers(least, most), Self::These(others)) => {
                let is_in = |value: &Value| {
                    let number = value.as_f64();
                    number.is_none_or(|number| (*least..=*most).contains(&number))
                };
                !others.iter().any(is_in)
            }
            (Self::These(_), Self::Numbers(..)) => other.excludes(self),
            (Self::Numbers(least, most), Self::Numbers(from, to)) => most < from || to < least,
        }
    }
}

/// What something follows from; nothing for what is the same with every fill.
type Mark = Option<Digest>;

fn mark(of: &Value) -> Digest {
    Digest::of(of.to_string().as_bytes())
}

/// Whether two follow from the same.
fn same(one: Mark, other: Mark) -> bool {
    one.is_some() && one == other
}

/// The mark of what follows from all of these.
fn both(one: Mark, other: Mark) -> Mark {
    match (one, other) {
        (None, mark) | (mark, None) => mark,
        (Some(one), Some(other)) => {
            Some(Digest::of(&[*one.as_bytes(), *other.as_bytes()].concat()))
        }
    }
}

/// The records that there may be of a finding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Possible {
    /// By kind and name.
    pub records: BTreeMap<(Kind, String), Bound>,
}

impl Possible {
    /// The records of a finding that no fill changes.
    #[must_use]
    pub fn exactly(traced: &Traced) -> Self {
        let mut possible = Self::default();
        for record in &traced.records {
            possible.keep(record);
        }
        possible
    }

    fn keep(&mut self, record: &Compared) {
        let bound = self.add(record.kind, &record.name, Presence::Always, None);
        bound.settle(record.text());
    }

    fn add(&mut self, kind: Kind, name: &str, presence: Presence, is_there: Mark) -> &mut Bound {
        let bound = self.records.entry((kind, name.to_owned())).or_default();
        bound.within = bound.within.max(presence);
        bound.presence = bound.within;
        bound.times += 1;
        bound.is_there = is_there;
        bound
    }
}

impl Bound {
    /// No fill changes these fields.
    fn exactly(&mut self, fields: Map<String, Value>) {
        self.settle(Value::Object(fields).to_string().into());
    }

    fn settle(&mut self, fields: Rc<str>) {
        self.says = Some(Digest::of(fields.as_bytes()));
        self.settled = Some(fields);
        self.is_exact = true;
    }

    /// What it says follows from this too.
    fn follows_from(&mut self, mark: Mark) {
        self.says = both(self.says, mark);
        self.is_exact &= mark.is_none();
    }

    /// What its fields may be, entry by entry.
    fn fields(&self) -> BTreeMap<String, Within> {
        let settled = self.settled.as_deref().unwrap_or("{}");
        let settled: Map<String, Value> = serde_json::from_str(settled).unwrap_or_default();
        let mut fields = BTreeMap::new();
        for (name, value) in settled {
            match value {
                Value::Object(entries) => fields.extend(
                    entries
                        .into_iter()
                        .map(|(key, value)| (format!("{name}.{key}"), Within::These(vec![value]))),
                ),
                value => {
                    fields.insert(name, Within::These(vec![value]));
                }
            }
        }
        let ranges = self.ranges.iter();
        fields.extend(ranges.map(|(name, within)| ((*name).to_owned(), within.clone())));
        fields
    }

    /// Whether a record says something else than this one with every fill.
    #[must_use]
    pub fn differs_always(&self, other: &Self) -> bool {
        if self.is_exact && other.is_exact {
            return self.says != other.says;
        }
        let others = other.fields();
        let own = self.fields();
        let mut both = own
            .iter()
            .filter_map(|(name, own)| Some((own, others.get(name)?)));
        both.any(|(own, other)| own.excludes(other))
    }

    /// Is there only where the finding is promoted.
    fn given(&mut self, promoted: Presence, gate: Mark) -> &mut Self {
        self.presence = self.within.min(promoted);
        self.gate = gate;
        self
    }

    /// Whether it may be there where another is not, and whether always.
    #[must_use]
    pub fn comes_without(&self, other: &Self) -> Option<bool> {
        let is_gated_alike = same(self.gate, other.gate);
        let (own, others) = if is_gated_alike {
            (self.within, other.within)
        } else {
            (self.presence, other.presence)
        };
        // Both follow from the same, or this one is there once for each of the other.
        let is_open = self.gate.is_some() || other.gate.is_some();
        let is_tied =
            own == others && (is_gated_alike || !is_open) && same(self.is_there, other.is_there);
        let may = own > Presence::Never && others < Presence::Always && !is_tied;
        // Of what is there more than once, one may be without its pair.
        let may = may || self.times.max(other.times) > 1;
        let is_certain = self.presence == Presence::Always && other.presence == Presence::Never;
        may.then_some(is_certain)
    }

    /// Whether it says the same as the other wherever both are there.
    #[must_use]
    pub fn says_as(&self, other: &Self) -> bool {
        same(self.says, other.says)
    }
}

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
    policy: &'p Policy,
    run: OfRun,
    /// Every step of the closed list.
    steps: Vec<OpenStep>,
    /// What is required for an incident of each severity.
    required: Vec<Required>,
    /// How far scores go.
    scores: OnceCell<(f64, f64)>,
    /// What routes of incidents are made by, apart from replies.
    routing: Digest,
    /// What plans are made by, likewise.
    planning: Digest,
    /// What drafts are made by.
    drafting: Digest,
    /// Whether one may show the description of a rule.
    shows_description: bool,
}

/// What the route of a run leaves open.
#[derive(Clone, Debug)]
pub struct OfRun {
    /// Whether it detects.
    pub detects: Presence,
    /// Whether it asks for risks.
    asks_risk: Presence,
    /// What it follows from; nothing where it is known.
    mark: Mark,
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
struct Required {
    severity: Severity,
    /// The agents, as a prompt may show them.
    agents: Vec<String>,
    /// The route where nothing is proposed.
    route: Route,
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
    fn is_as(&self, other: &Self) -> bool {
        (&self.agents, &self.route.steps, &self.route.edits)
            == (&other.agents, &other.route.steps, &other.route.edits)
    }
}

/// A step that a plan may have.
struct OpenStep {
    step: Step,
    /// What it says in every plan that has it: where it is optional, and where it is mandatory.
    says: [Rc<str>; 2],
}

impl OpenStep {
    fn new(step: Step) -> Self {
        let says = [false, true].map(|mandatory| {
            let mut fields = without(&step, &["step_id", "dependencies"]);
            fields.insert("mandatory".to_owned(), mandatory.into());
            fields.retain(|key, value| key != "requires_human_approval" || *value == true);
            Value::Object(fields).to_string().into()
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
            drafting: drafting(policy, files),
            shows_description: shows_description(policy),
        }
    }

    /// The route of the run.
    #[must_use]
    pub fn run(&self) -> &OfRun {
        &self.run
    }

    /// What a step says that is in the plan because a reply has it, or because it is mandatory.
    fn says(&self, step: &Step, is_mandatory: bool) -> Option<Rc<str>> {
        let mut steps = self.steps.iter();
        let open = steps.find(|open| open.step.step_id == step.step_id)?;
        let [optional, mandatory] = &open.says;
        Some(Rc::clone(if is_mandatory { mandatory } else { optional }))
    }

    fn scores(&self) -> (f64, f64) {
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

/// The risk of a finding that is left open.
struct OpenRisk {
    default: Risk,
    range: Range,
    mark: Digest,
}

/// Which agents run for an incident.
#[derive(Default)]
struct Agents<'o> {
    /// With every fill.
    always: Vec<&'o str>,
    /// With some.
    ever: Vec<&'o str>,
    /// The routes, where there are only a few.
    routes: Option<Vec<Vec<&'o str>>>,
    /// The route, where there is one that nobody is asked for.
    only: Option<&'o Route>,
    /// The pairs that are in order whatever the route is.
    order: &'o [(String, String)],
    /// What the route follows from.
    mark: Mark,
}

impl<'o> Agents<'o> {
    fn these(routes: Vec<Vec<&'o str>>, mark: Mark) -> Self {
        let mut ever: Vec<&str> = routes.iter().flatten().copied().collect();
        ever.sort_unstable();
        ever.dedup();
        let is_always = |agent: &&str| routes.iter().all(|route| route.contains(agent));
        let always = ever.iter().copied().filter(is_always).collect();
        Self {
            always,
            ever,
            mark,
            routes: Some(routes),
            only: None,
            order: &[],
        }
    }

    /// Those that a model may propose, and those that are required.
    fn within(rails: &'o Guardrails, required: &[&'o Route], mark: Digest) -> Self {
        let these = Self::these(required.iter().copied().map(names).collect(), None);
        let mut ever: Vec<&str> = rails.allow.iter().map(String::as_str).collect();
        ever.extend(&these.ever);
        ever.sort_unstable();
        ever.dedup();
        Self {
            always: these.always,
            ever,
            routes: None,
            only: None,
            order: &rails.order,
            mark: Some(mark),
        }
    }

    fn presence(&self, agent: &str) -> Presence {
        Presence::of(self.always.contains(&agent), self.ever.contains(&agent))
    }

    /// Whether one agent is before another in every route that has both.
    fn precedes(&self, one: &str, other: &str) -> bool {
        let Some(routes) = &self.routes else {
            return self.is_ordered(one, other);
        };
        let place = |route: &[&str], agent: &str| route.iter().position(|name| *name == agent);
        routes.iter().all(|route| {
            let (one, other) = (place(route, one), place(route, other));
            one.zip(other).is_none_or(|(one, other)| one < other)
        })
    }

    /// Whether the order says so, also through agents that are always there.
    fn is_ordered(&self, one: &str, other: &str) -> bool {
        let mut reached = vec![one];
        let mut at = 0;
        while let Some(from) = reached.get(at).copied() {
            for (_, right) in self.order.iter().filter(|(left, _)| left == from) {
                if right == other {
                    return true;
                }
                if self.always.contains(&right.as_str()) && !reached.contains(&right.as_str()) {
                    reached.push(right);
                }
            }
            at += 1;
        }
        false
    }
}

fn names(route: &Route) -> Vec<&str> {
    let steps = route.steps.iter();
    steps.map(|step| step.agent_name.as_str()).collect()
}

/// The plan of an incident.
enum Planned {
    /// This one.
    This(Box<Plan>),
    /// The mandatory steps, and any others.
    Open(Digest),
}

/// What is left open of a finding.
pub struct Open<'o> {
    latitude: &'o Latitude<'o>,
    outcome: &'o Outcome,
    fills: &'o Fills,
    marks: Marks,
    /// The slots that nobody is known to fill.
    pub slots: Vec<String>,
    risk: Option<OpenRisk>,
    promoted: Presence,
    promotion: Mark,
    agents: Agents<'o>,
    plan: Planned,
}

impl<'o> Open<'o> {
    fn new(
        latitude: &'o Latitude<'o>,
        outcome: &'o Outcome,
        fills: &'o Fills,
        marks: Marks,
    ) -> Self {
        let mut open = Self {
            latitude,
            outcome,
            fills,
            marks,
            slots: Vec::new(),
            risk: None,
            promoted: Presence::of(outcome.response.is_some(), false),
            promotion: None,
            agents: Agents::default(),
            plan: Planned::Open(Digest::of(b"")),
        };
        open.decide_risk();
        if open.promoted > Presence::Never {
            open.decide_agents();
            open.decide_plan();
            open.note_drafts();
        }
        open
    }

    fn policy(&self) -> &'o Policy {
        self.latitude.policy
    }

    fn finding(&self) -> &'o Finding {
        &self.outcome.finding
    }

    /// Whether a slot is asked, and nobody is known to fill it. Where what it is asked with is open
    /// itself, a fill that was recorded for some values says nothing of others.
    fn is_open(&mut self, slot: &str, is_above_open: bool) -> bool {
        let fill = self.fills.get(slot);
        let fill = fill.filter(|fill| fill.source == Provenance::Carried || !is_above_open);
        let is_open = self.policy().prompts.contains_key(slot) && fill.is_none();
        if is_open {
            self.slots.push(slot.to_owned());
        }
        is_open
    }

    /// The mark of what something follows from.
    fn mark(&self, of: impl FnOnce() -> Value) -> Digest {
        match self.marks {
            Marks::Made => mark(&of()),
            Marks::LeftOut => Digest::of(b""),
        }
    }

    /// What the reply of a slot follows from.
    fn reply(&self, slot: &str) -> Value {
        let prompt = self.policy().prompts.get(slot);
        match self.fills.get(slot) {
            Some(fill) if fill.source == Provenance::Carried => json!(fill.digest()),
            _ => json!(prompt.map(|prompt| prompt.digest)),
        }
    }

    fn decide_risk(&mut self) {
        let (policy, finding) = (self.policy(), self.finding());
        let asks = self.latitude.run.asks_risk;
        let slot = policy.slots.get("risk");
        let Some(slot) = slot.filter(|_| asks > Presence::Never && self.is_open("risk", false))
        else {
            return;
        };
        let rule = policy.rules.get(&finding.rule);
        let settings = rule.map_or_else(Settings::default, |rule| rule.settings.clone());
        let default = default_risk(finding, &settings, &slot.formula);
        let range = Range::new(&default, settings.floor, slot.may, self.latitude.scores());
        let is_least = slot.may == May::Raise && settings.floor.is_none();
        let least = is_least.then_some(&default);
        let (always, ever) = policy.promotion.reach(finding, range, &default, least);
        self.promoted = Presence::of(always, ever);
        // Where the run may not ask, that decides too.
        let run = self.latitude.run.mark.filter(|_| asks < Presence::Always);
        let by = self.mark(|| {
            json!([
                self.reply("risk"),
                without(&default, &["finding_id"]),
                format!("{:?}", settings.floor),
                slot.may == May::Raise,
                slot.formula.text(),
                run,
            ])
        });
        let promotion = &policy.promotion;
        self.promotion = Some(self.mark(|| {
            let asked = promotion.when.as_ref().map(|_| {
                json!([
                    finding.finding_type,
                    finding.rule_name,
                    finding.level.as_str(),
                    finding.tags,
                    finding.count,
                    finding.hits,
                ])
            });
            json!([by, format!("{promotion:?}"), asked])
        }));
        self.risk = Some(OpenRisk {
            default,
            range,
            mark: by,
        });
    }

    fn decide_agents(&mut self) {
        let policy = self.policy();
        let Some(rails) = policy.routing.guardrails.get(&Context::Incident) else {
            return;
        };
        let is_open = self.is_open("route", self.risk.is_some());
        let is_asked = policy.prompts.contains_key("route");
        let severities: Vec<Severity> = match &self.risk {
            Some(risk) => risk.range.severities().collect(),
            None => vec![self.outcome.risk.severity],
        };
        let required = self.latitude.required.iter();
        let required = required.filter(|required| severities.contains(&required.severity));
        let required: Vec<&Required> = required.collect();
        // Where every severity requires the same, the risk has no part in the route.
        let is_same = required
            .windows(2)
            .all(|pair| matches!(pair, [one, other] if one.is_as(other)));
        let routes: Vec<&Route> = required.iter().map(|required| &required.route).collect();
        let risk = self.risk.as_ref().map(|risk| risk.mark);
        let mark = self.mark(|| {
            json!([
                self.reply("route"),
                self.latitude.routing,
                risk.filter(|_| !is_same),
            ])
        });
        let followed = self.outcome.response.as_ref();
        let followed = followed.filter(|_| is_asked && !is_open && self.risk.is_none());
        self.agents = match followed {
            Some(response) => Agents::these(vec![names(&response.route)], None),
            None if is_asked => Agents::within(rails, &routes, mark),
            None => {
                let only = routes.first().copied().filter(|_| is_same);
                let mut routes: Vec<Vec<&str>> = routes.into_iter().map(names).collect();
                routes.dedup();
                let mark = Some(mark).filter(|_| !is_same);
                Agents {
                    only,
                    ..Agents::these(routes, mark)
                }
            }
        };
    }

    /// The agents that may run, with what they do.
    fn agents(&self) -> impl Iterator<Item = (&'o str, &'o Agent)> {
        let agents = &self.policy().routing.agents;
        let ever = self.agents.ever.iter().copied();
        ever.filter_map(|name| Some((name, agents.get(name)?)))
    }

    /// The agents that may run and do this.
    fn that(&self, is: impl Fn(&Runs) -> bool) -> Vec<&'o str> {
        let agents = self.agents().filter(|(_, agent)| is(&agent.runs));
        agents.map(|(name, _)| name).collect()
    }

    fn planners(&self) -> Vec<&'o str> {
        self.that(|runs| *runs == Runs::Plan)
    }

    fn decide_plan(&mut self) {
        if self.planners().is_empty() {
            return;
        }
        let (policy, finding) = (self.policy(), self.finding());
        let (risk, verdict) = (&self.outcome.risk, &self.outcome.promotion);
        let default = || {
            let incident = incident(finding, risk, verdict);
            policy.planning.default_plan(&incident, finding)
        };
        let made = self.outcome.response.as_ref();
        let made = made.and_then(|response| response.plan.clone());
        self.plan = if self.is_open("plan", self.risk.is_some()) {
            Planned::Open(self.mark(|| {
                let default = default();
                json!([
                    self.reply("plan"),
                    self.latitude.planning,
                    policy.planning.mandatory(&finding.finding_type),
                    plan_fields(&default),
                    default.steps,
                ])
            }))
        } else {
            let plan = if policy.prompts.contains_key("plan") {
                made
            } else {
                None
            };
            Planned::This(Box::new(plan.unwrap_or_else(default)))
        };
    }

    fn note_drafts(&mut self) {
        let policy = self.policy();
        let is_above_open = !self.slots.is_empty();
        for agent in self.that(Runs::drafts) {
            if let Some(Runs::Slot(slot, _)) = policy.routing.agents.get(agent).map(|it| &it.runs)
                && policy.slots.get(slot).is_some_and(|slot| slot.ask)
            {
                self.is_open(slot, is_above_open);
            }
        }
    }

    fn presence_of_plan(&self) -> Presence {
        let planners = self.planners();
        let planners = planners.iter().map(|agent| self.agents.presence(agent));
        planners.max().unwrap_or_default()
    }

    /// The steps that the plan has or may have.
    fn steps(&self) -> Vec<(&Step, Presence)> {
        let plan = self.presence_of_plan();
        if plan == Presence::Never {
            return Vec::new();
        }
        match &self.plan {
            Planned::This(made) => made.steps.iter().map(|step| (step, plan)).collect(),
            Planned::Open(_) => {
                let kind = &self.finding().finding_type;
                let mandatory = self.policy().planning.mandatory(kind);
                let presence = |step: &Step| {
                    if mandatory.contains(&step.step_id) {
                        plan
                    } else {
                        Presence::Sometimes
                    }
                };
                let steps = self.latitude.steps.iter().map(|open| &open.step);
                steps.map(|step| (step, presence(step))).collect()
            }
        }
    }

    /// Whether the commands of a step are suggested, and how often at most.
    fn suggests(&self) -> (Presence, u64) {
        let planners = self.planners();
        let mut suggested = Presence::Never;
        let mut times = 0;
        for commander in self.that(|runs| *runs == Runs::Commands) {
            let behind = planners.iter().map(|planner| {
                let is_ordered = self.agents.precedes(planner, commander);
                let is_never = self.agents.precedes(commander, planner);
                let both = self.agents.presence(planner);
                let both = both.min(self.agents.presence(commander));
                match both {
                    Presence::Always if is_ordered => Presence::Always,
                    Presence::Never => Presence::Never,
                    _ if is_never => Presence::Never,
                    _ => Presence::Sometimes,
                }
            });
            let behind = behind.max().unwrap_or_default();
            times += u64::from(behind > Presence::Never);
            suggested = suggested.max(behind);
        }
        (suggested, times)
    }

    /// The drafts that there are or may be.
    fn drafts(&self) -> Vec<(&'o str, Presence)> {
        let agents = &self.policy().routing.agents;
        let writers = self.that(Runs::drafts);
        let is_critical = |agent: &&str| agents.get(*agent).is_some_and(|it| it.critical);
        let critical: Vec<&str> = writers.iter().copied().filter(is_critical).collect();
        let written = self.outcome.response.iter().flat_map(|it| &it.drafts);
        let written: Vec<&str> = written.map(|draft| draft.agent_name.as_str()).collect();
        let presence = |agent: &'o str| {
            let may_stop = |other: &&str| *other != agent && !self.agents.precedes(agent, other);
            let may_be_stopped = critical.iter().any(may_stop);
            let runs = self.agents.presence(agent);
            let is_script = agents
                .get(agent)
                .is_some_and(|agent| matches!(agent.runs, Runs::Script(_)));
            let presence = if !may_be_stopped && self.is_known_draft(agent) {
                Presence::of(written.contains(&agent), false)
            } else if may_be_stopped || is_script {
                runs.min(Presence::Sometimes)
            } else {
                runs
            };
            (agent, presence)
        };
        writers.into_iter().map(presence).collect()
    }

    /// Whether nothing but drafts is open: what comes before them is what was followed.
    fn is_only_drafts(&self) -> bool {
        let is_draft = |slot: &String| !matches!(slot.as_str(), "risk" | "route" | "plan");
        self.slots.iter().all(is_draft)
    }

    /// How many records of each kind there are at least and at most.
    pub fn widen(&self, spans: &mut Spans) {
        for kind in KINDS {
            let span = spans.entry(kind).or_default();
            if !matches!(kind, Kind::Finding | Kind::Risk) {
                (span.least, span.most) = (0, 0);
            }
        }
        let mut add = |kind: Kind, within: Presence, times: u64| {
            let span = spans.entry(kind).or_default();
            let presence = within.min(self.promoted);
            span.least += u64::from(presence == Presence::Always);
            span.most += u64::from(presence > Presence::Never) * times;
        };
        add(Kind::Incident, self.promoted, 1);
        add(Kind::Route, self.promoted, 1);
        add(Kind::Plan, self.presence_of_plan(), 1);
        let (suggested, times) = self.suggests();
        for (step, presence) in self.steps() {
            add(Kind::Step, presence, 1);
            let templates = self.policy().commands.iter();
            for _ in templates.filter(|template| template.step == step.step_id) {
                add(Kind::Command, presence.min(suggested), times);
            }
        }
        for (_, presence) in self.drafts() {
            add(Kind::Draft, presence, 1);
        }
    }

    /// What of each record holds. `traced` are those with what is known.
    #[must_use]
    pub fn possible(&self, traced: &Traced) -> Possible {
        let mut possible = Possible::default();
        self.add_finding(&mut possible, traced);
        self.add_risk(&mut possible, traced);
        if self.promoted == Presence::Never {
            return possible;
        }
        if self.is_only_drafts() {
            let before = traced.records.iter();
            let before = before
                .filter(|record| !matches!(record.kind, Kind::Finding | Kind::Risk | Kind::Draft));
            before.for_each(|record| possible.keep(record));
        } else {
            self.add_incident(&mut possible, traced);
            self.add_route(&mut possible, traced);
            self.add_plan(&mut possible);
        }
        self.add_drafts(&mut possible, traced);
        possible
    }

    /// What the promotion follows from, where it is open.
    fn promoted_by(&self) -> Mark {
        self.promotion
            .filter(|_| self.promoted == Presence::Sometimes)
    }

    fn add_finding(&self, possible: &mut Possible, traced: &Traced) {
        let bound = possible.add(Kind::Finding, "", Presence::Always, None);
        traced
            .of_kind(Kind::Finding)
            .for_each(|record| bound.settle(record.text()));
        if self.promoted == Presence::Sometimes {
            let either = Within::These(vec![true.into(), false.into()]);
            bound.ranges.push(("promoted", either));
        }
        bound.follows_from(self.promoted_by());
    }

    fn add_risk(&self, possible: &mut Possible, traced: &Traced) {
        let Some(risk) = &self.risk else {
            let risk = traced.of_kind(Kind::Risk);
            return risk.for_each(|record| possible.keep(record));
        };
        let bound = possible.add(Kind::Risk, "", Presence::Always, None);
        risk.limit(bound, "score");
        bound.follows_from(Some(risk.mark));
    }

    fn add_incident(&self, possible: &mut Possible, traced: &Traced) {
        let Some(risk) = &self.risk else {
            let incident = traced.of_kind(Kind::Incident);
            return incident.for_each(|record| possible.keep(record));
        };
        let incident = incident(self.finding(), &risk.default, &self.outcome.promotion);
        let bound = self.add(possible, Kind::Incident, "", Presence::Always, None);
        let mut fields = without(&incident, &["id", "finding_id", "severity", "risk_score"]);
        if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
            metadata.remove("promoted_by");
        }
        bound.exactly(fields);
        bound.follows_from(both(Some(risk.mark), self.promotion));
        risk.limit(bound, "risk_score");
    }

    fn add_route(&self, possible: &mut Possible, traced: &Traced) {
        let is_known = self.risk.is_none() && !self.slots.iter().any(|slot| slot == "route");
        if is_known {
            let route = traced.of_kind(Kind::Route);
            return route.for_each(|record| possible.keep(record));
        }
        let rails = self.policy().routing.guardrails.get(&Context::Incident);
        let by = json!([self.agents.routes, self.latitude.routing]);
        let bound = self.add(possible, Kind::Route, "", Presence::Always, None);
        if let Some(route) = self.agents.only {
            return bound.exactly(route_fields(route));
        }
        let phase = rails.map(|rails| Within::These(vec![rails.phase.clone().into()]));
        bound.ranges.extend(phase.map(|phase| ("phase", phase)));
        bound.follows_from(both(self.agents.mark, Some(mark(&by))));
    }

    /// What the presence of something follows from that hangs on agents.
    fn with_agents(&self, own: Presence) -> Mark {
        self.agents.mark.filter(|_| own == Presence::Sometimes)
    }

    /// Adds a record of a promoted finding.
    fn add<'b>(
        &self,
        possible: &'b mut Possible,
        kind: Kind,
        name: &str,
        within: Presence,
        is_there: Mark,
    ) -> &'b mut Bound {
        let bound = possible.add(kind, name, within, is_there);
        bound.given(self.promoted, self.promoted_by())
    }

    fn add_plan(&self, possible: &mut Possible) {
        let presence = self.presence_of_plan();
        if presence == Presence::Never {
            return;
        }
        let is_there = self.with_agents(presence);
        let bound = self.add(possible, Kind::Plan, "", presence, is_there);
        let by = match &self.plan {
            Planned::This(plan) => {
                bound.exactly(plan_fields(plan));
                None
            }
            Planned::Open(mark) => {
                bound.follows_from(Some(*mark));
                Some(*mark)
            }
        };
        let (suggested, times) = self.suggests();
        for (step, presence) in self.steps() {
            // A mandatory step is there whatever the reply is.
            let is_there = match presence == self.presence_of_plan() && self.is_mandatory(step) {
                true => is_there,
                false => both(is_there, by),
            };
            let bound = self.add(possible, Kind::Step, &step.step_id, presence, is_there);
            match by {
                None => bound.exactly(without(step, &["step_id"])),
                Some(_) => {
                    let says = self.latitude.says(step, self.is_mandatory(step));
                    says.into_iter().for_each(|says| bound.settle(says));
                    bound.follows_from(by);
                }
            }
            let presence = presence.min(suggested);
            let is_there = both(is_there, self.with_agents(suggested));
            if presence > Presence::Never {
                self.add_commands(possible, &step.step_id, (presence, times), is_there);
            }
        }
    }

    fn is_mandatory(&self, step: &Step) -> bool {
        let kind = &self.finding().finding_type;
        self.policy()
            .planning
            .mandatory(kind)
            .contains(&step.step_id)
    }

    /// The commands of a step.
    fn add_commands(
        &self,
        possible: &mut Possible,
        step: &str,
        (presence, times): (Presence, u64),
        is_there: Mark,
    ) {
        let templates = self.policy().commands.iter();
        for template in templates.filter(|template| template.step == step) {
            // What it says has the incident in its ids alone, which are left out.
            let command = command(template, Uuid::nil(), self.finding());
            let bound = self.add(possible, Kind::Command, &template.name, presence, is_there);
            bound.times = times;
            bound.exactly(without(&command, &["id", "incident_id"]));
        }
    }

    fn add_drafts(&self, possible: &mut Possible, traced: &Traced) {
        let plan = match &self.plan {
            Planned::This(plan) => json!([plan_fields(plan), plan.steps]),
            Planned::Open(mark) => json!(mark),
        };
        let replies = self.fills.iter();
        let replies = replies.filter(|(_, fill)| fill.source == Provenance::Carried);
        let replies: Value = replies
            .map(|(slot, fill)| json!([slot, fill.digest()]))
            .collect();
        let risk = match &self.risk {
            Some(risk) => json!(risk.mark),
            None => Value::Object(without(&self.outcome.risk, &["finding_id"])),
        };
        let rules = &self.policy().rules;
        let description = rules.get(&self.finding().rule);
        let description = description.filter(|_| self.latitude.shows_description);
        let description = description.and_then(|rule| rule.description.as_deref());
        let finding = possible.records.get(&(Kind::Finding, String::new()));
        let finding = finding.and_then(|bound| bound.says);
        let by = json!([
            self.promotion,
            risk,
            self.agents.mark,
            self.agents.routes,
            plan,
            replies,
            finding,
            description,
            self.latitude.drafting,
        ]);
        let by = Some(mark(&by));
        for (agent, presence) in self.drafts() {
            let mut known = traced.of_kind(Kind::Draft);
            let known = known.find(|record| record.name == agent);
            match known.filter(|_| presence == Presence::Always && self.is_known_draft(agent)) {
                Some(record) => possible.keep(record),
                None => {
                    let is_there = by.filter(|_| presence == Presence::Sometimes);
                    let bound = self.add(possible, Kind::Draft, agent, presence, is_there);
                    bound.follows_from(by);
                }
            }
        }
    }

    /// Whether a draft is what was followed, since nothing that it is made of is open.
    fn is_known_draft(&self, agent: &str) -> bool {
        let agent = self.policy().routing.agents.get(agent);
        let slot = agent.map(|agent| &agent.runs);
        let is_open = matches!(slot, Some(Runs::Slot(slot, _)) if self.slots.contains(slot));
        self.is_only_drafts() && !is_open
    }
}

impl OpenRisk {
    fn limit(&self, bound: &mut Bound, score: &'static str) {
        let severities = self
            .range
            .severities()
            .map(|severity| severity.as_str().into());
        let severities = Within::These(severities.collect());
        let (least, most) = self.range.scores;
        bound.ranges.push(("severity", severities));
        bound.ranges.push((score, Within::Numbers(least, most)));
    }
}
