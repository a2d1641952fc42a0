//! What could come of a finding whose slots nobody is known to fill: its records, each with what
//! holds of it.

use std::rc::Rc;

use serde::Serialize;
use uuid::Uuid;

use crate::command::command;
use crate::detect::{Finding, Settings, Severity};
use crate::event::Digest;
use crate::lab::diff::effect::agents::{Agents, names};
use crate::lab::diff::effect::bounds::{
    Bound, Mark, Possible, Presence, Spans, Within, both, mark,
};
use crate::lab::diff::effect::entries::Fields;
use crate::lab::diff::effect::fills::Fills;
use crate::lab::diff::effect::latitude::{Latitude, Marks, Required};
use crate::lab::diff::effect::traced::{
    Compared, KINDS, Kind, Traced, command_fields, plan_fields, route_fields,
};
use crate::pipeline::Outcome;
use crate::plan::{Plan, Step};
use crate::policy::Policy;
use crate::promote::incident;
use crate::risk::{Range, Risk, default_risk};
use crate::route::{Agent, Context, Route, Runs};
use crate::slots::{May, Provenance};

/// The risk of a finding that is left open.
struct OpenRisk {
    default: Risk,
    range: Range,
    mark: Digest,
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
    /// What of it is left open, if anything is.
    #[must_use]
    pub fn new(
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
    fn mark<T: Serialize>(&self, of: impl FnOnce() -> T) -> Digest {
        match self.marks {
            Marks::Made => mark(&of()),
            Marks::LeftOut => Digest::of(b""),
        }
    }

    /// What the reply of a slot follows from.
    fn reply(&self, slot: &str) -> Option<Digest> {
        let prompt = self.policy().prompts.get(slot);
        match self.fills.get(slot) {
            Some(fill) if fill.source == Provenance::Carried => Some(fill.digest()),
            _ => prompt.map(|prompt| prompt.digest),
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
            (
                self.reply("risk"),
                Fields::of(&default, &["finding_id"]).text(),
                format!("{:?}", settings.floor),
                slot.may == May::Raise,
                slot.formula.text(),
                run,
            )
        });
        self.promotion = Some(self.mark(|| {
            let asked = policy.promotion.when.as_ref().map(|_| {
                (
                    &finding.finding_type,
                    &finding.rule_name,
                    finding.level.as_str(),
                    &finding.tags,
                    finding.count,
                    finding.hits,
                )
            });
            (by, self.latitude.promoting, asked)
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
            let risk = risk.filter(|_| !is_same);
            // What is required is shown, and holds whatever is proposed.
            let required = required.first().filter(|_| is_same);
            let required = required.map(|required| required.bounds());
            (self.reply("route"), self.latitude.routing, risk, required)
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
                (
                    self.reply("plan"),
                    self.latitude.planning,
                    policy.planning.mandatory(&finding.finding_type),
                    plan_fields(&default).text(),
                    default.steps,
                )
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
        let finding_type = &self.finding().finding_type;
        for (step, presence) in self.steps() {
            add(Kind::Step, presence, 1);
            let templates = self.policy().tools.commands.iter();
            for _ in templates.filter(|template| template.serves(&step.step_id, finding_type)) {
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
            self.add_plan(&mut possible, traced);
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
        let mut incident = incident(self.finding(), &risk.default, &self.outcome.promotion);
        incident.metadata.remove("promoted_by");
        let bound = self.add(possible, Kind::Incident, "", Presence::Always, None);
        let left_out = ["id", "finding_id", "severity", "risk_score"];
        bound.exactly(Fields::of(&incident, &left_out));
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
        let by = (&self.agents.routes, self.latitude.routing);
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

    fn add_plan(&self, possible: &mut Possible, traced: &Traced) {
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
                None => bound.exactly(Fields::of(step, &["step_id"])),
                Some(_) => {
                    let says = self.latitude.says(step, self.is_mandatory(step));
                    says.into_iter().for_each(|says| bound.settle(says));
                    bound.follows_from(by);
                }
            }
            let presence = presence.min(suggested);
            let is_there = both(is_there, self.with_agents(suggested));
            if presence > Presence::Never {
                for (name, says) in self.commands(&step.step_id, traced) {
                    let bound = self.add(possible, Kind::Command, name, presence, is_there);
                    bound.times = times;
                    bound.settle(says);
                }
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

    /// The commands of a step: their names, and what they say, which is known where they were
    /// suggested. It has the incident in its ids alone, which are left out.
    fn commands<'c>(
        &'c self,
        step: &'c str,
        traced: &'c Traced,
    ) -> impl Iterator<Item = (&'c str, Rc<str>)> {
        let templates = self.policy().tools.commands.iter();
        let finding_type = &self.finding().finding_type;
        let templates = templates.filter(move |template| template.serves(step, finding_type));
        templates.map(|template| {
            let mut suggested = traced.of_kind(Kind::Command);
            let suggested = suggested.find(|record| record.name == template.name);
            let says = suggested.map_or_else(
                || command_fields(&command(template, Uuid::nil(), self.finding())).text(),
                Compared::text,
            );
            (template.name.as_str(), says)
        })
    }

    fn add_drafts(&self, possible: &mut Possible, traced: &Traced) {
        let plan = match &self.plan {
            Planned::This(plan) => mark(&(plan_fields(plan).text(), &plan.steps)),
            Planned::Open(mark) => *mark,
        };
        let replies = self.fills.iter();
        let replies = replies.filter(|(_, fill)| fill.source == Provenance::Carried);
        let replies = replies.map(|(slot, fill)| (slot, fill.digest()));
        let replies: Vec<(&String, Digest)> = replies.collect();
        let risk = match &self.risk {
            Some(risk) => risk.mark,
            None => mark(&Fields::of(&self.outcome.risk, &["finding_id"]).text()),
        };
        let rules = &self.policy().rules;
        let description = rules.get(&self.finding().rule);
        let description = description.filter(|_| self.latitude.shows_description);
        let description = description.and_then(|rule| rule.description.as_deref());
        let finding = possible.records.get(&(Kind::Finding, String::new()));
        let finding = finding.and_then(|bound| bound.says);
        let by = (
            self.promotion,
            risk,
            self.agents.mark,
            &self.agents.routes,
            plan,
            replies,
            finding,
            description,
            self.latitude.drafting,
        );
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
