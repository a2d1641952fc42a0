//! Why rules hold for events, or do not: one event clause by clause, or a log step by step with
//! the events that come nearest; and why a finding became an incident or did not, and who put
//! what into its route.

mod decided;
mod failed;
mod funnel;
mod told;
mod windows;

pub use self::decided::{
    ClauseWeighed, Decider, EditTold, FindingTold, Formed, IncidentTold, MemberTold, PlanTold,
    RouteTold, Valued,
};
pub use self::failed::explain_mismatches;
pub use self::told::{ClauseTold, EventTold, FoundTold, NearTold, PlaceTold, StepTold};
pub use self::windows::{FeedTold, LeftOut, WindowEvent, WindowTold, WindowsTold};

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use uuid::Uuid;

use crate::detect::{Explainer, Logic, Rule};
use crate::diag::Problems;
use crate::event::{Digest, Event};
use crate::pipeline::{self, Counts, Look, Rejected, RunError, Settings};
use crate::policy::Policy;
use crate::source::{Input, Place, SourceError};

use self::funnel::Funnel;
use self::windows::{Observed, observe};

/// What is asked.
#[derive(Debug)]
pub struct Asked<'p> {
    /// The policy.
    pub policy: &'p Policy,
    /// The texts that it was made of.
    pub texts: &'p Problems,
    /// The rules, by id.
    pub rules: Vec<Uuid>,
    /// Whether one example of each is enough for a person.
    pub brief: bool,
    /// The events; all that come near where none is chosen.
    pub chosen: Option<Chosen>,
}

/// Which events are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// Those whose own id begins like this.
    Uuid(String),
    /// Those of this very id.
    Exactly(String),
    /// That of a line of the first input.
    Line(u64),
}

/// Why rules hold for events, or do not.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Which document this is.
    pub schema: &'static str,
    /// The policy.
    pub policy: Digest,
    /// How many events were looked at.
    pub events: u64,
    /// Whether one example of each rule is enough for a person, as where nobody named the rules.
    #[serde(skip)]
    pub brief: bool,
    /// How many of them were chosen, where some were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<u64>,
    /// Why a record of the chosen line is no event.
    #[serde(skip)]
    pub rejected: Option<String>,
    /// Each rule that was asked.
    pub rules: Vec<RuleTold>,
}

/// What came of the events in one rule.
#[derive(Clone, Debug, Serialize)]
pub struct RuleTold {
    /// The name, else the id.
    pub rule: String,
    /// Its title.
    pub title: String,
    /// Its id.
    pub id: Uuid,
    /// Where it begins.
    pub place: PlaceTold,
    /// What it is.
    pub kind: RuleKind,
    /// How many events satisfy it.
    pub matched: u64,
    /// What it asks of each event that matches, one after the other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepTold>,
    /// The chosen events, or else those that come nearest without satisfying it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<EventTold>,
    /// What a correlation saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows: Option<WindowsTold>,
}

/// What a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    /// A condition on one event.
    Detection,
    /// A condition on several.
    Correlation,
    /// It never matches: a list is missing, or it is for another log.
    Inactive,
}

/// The name of the document.
pub const SCHEMA: &str = "rulectl.explain/1";

/// So many chosen events are told.
pub const MOST_CHOSEN: usize = 5;

/// What comes of an explanation: what was read, and the inputs that failed.
pub type Explained = (Explanation, Counts, Vec<SourceError>);

/// Reads events and says what came of them in rules.
///
/// # Errors
///
/// When a record is no event, and the settings tolerate none such.
pub fn explain(
    asked: &Asked<'_>,
    inputs: Vec<Input>,
    settings: &Settings,
) -> Result<Explained, RunError> {
    let rules: Vec<&Rule> = asked
        .rules
        .iter()
        .filter_map(|id| asked.policy.rules.get(id))
        .collect();
    let names = inputs.iter().map(Input::name).collect();
    // What feeds a correlation is asked too.
    let feeding = rules.iter().flat_map(|rule| feeding(rule, asked.policy));
    let mut asked_of: Vec<&Rule> = rules.iter().copied().chain(feeding).collect();
    asked_of.sort_by_key(|rule| rule.id);
    asked_of.dedup_by_key(|rule| rule.id);
    let context = Context {
        explainer: Explainer::new(asked_of.iter().copied(), &asked.policy.detector),
        rules: asked_of.iter().map(|rule| rule.id).collect(),
        chosen: asked.chosen.clone(),
        names,
    };
    let mut seen = Seen::default();
    let wanted = context.explainer.wanted();
    let taken = |more: Seen| seen.merge(more);
    let (counts, failed) = pipeline::look(inputs.clone(), settings, wanted, &context, taken)?;
    let correlations: BTreeSet<Uuid> = rules
        .iter()
        .filter(|rule| matches!(rule.logic, Logic::Correlation(_)))
        .map(|rule| rule.id)
        .collect();
    let observed = if correlations.is_empty() {
        Observed::default()
    } else {
        let chosen = seen.digests.iter().copied().collect();
        observe(asked.policy, &correlations, chosen, inputs, settings)?
    };
    let told = rules
        .iter()
        .map(|rule| told_of(rule, &context, (&seen, &observed), asked));
    let explanation = Explanation {
        schema: SCHEMA,
        policy: asked.policy.digest,
        events: counts.events,
        brief: asked.brief,
        chosen: asked.chosen.as_ref().map(|_| seen.chosen),
        rules: told.collect(),
        rejected: seen.rejected,
    };
    Ok((explanation, counts, failed))
}

/// The detections that a correlation names.
fn feeding<'p>(rule: &Rule, policy: &'p Policy) -> impl Iterator<Item = &'p Rule> {
    let names: Vec<String> = match &rule.logic {
        Logic::Correlation(correlation) => correlation
            .rules
            .iter()
            .map(|(name, _)| name.clone())
            .collect(),
        _ => Vec::new(),
    };
    let rules = policy.rules.values();
    rules.filter(move |rule| names.iter().any(|name| rule.is_called(name)))
}

fn told_of(
    rule: &Rule,
    context: &Context,
    (seen, observed): (&Seen, &Observed),
    asked: &Asked<'_>,
) -> RuleTold {
    let texts = asked.texts;
    let told = |examples: &[funnel::Example]| -> Vec<EventTold> {
        examples.iter().map(|one| one.told(texts)).collect()
    };
    let windows = match &rule.logic {
        Logic::Correlation(correlation) => {
            let examples = |name: &str| {
                let mut rules = asked.policy.rules.values();
                let fed = rules.find(|rule| rule.is_called(name));
                let examples = fed.and_then(|fed| seen.examples.get(&fed.id));
                told(examples.map_or(&[][..], Vec::as_slice))
            };
            let chosen = context.chosen.is_some();
            let correlation = (rule, correlation);
            Some(windows::told(
                correlation,
                observed,
                chosen,
                examples,
                texts,
            ))
        }
        _ => None,
    };
    let funnel = seen.funnels.get(&rule.id);
    let examples = match (&context.chosen, funnel) {
        (Some(_), _) => seen.examples.get(&rule.id).cloned().unwrap_or_default(),
        (None, Some(funnel)) => funnel.nearest(),
        (None, None) => Vec::new(),
    };
    let steps = context.explainer.steps(rule.id);
    let steps = if context.chosen.is_some() {
        Vec::new()
    } else {
        let empty = Funnel::default();
        funnel.unwrap_or(&empty).told(&steps, texts)
    };
    RuleTold {
        rule: rule.name.clone().unwrap_or_else(|| rule.id.to_string()),
        title: rule.title.clone(),
        id: rule.id,
        place: PlaceTold::of(rule.span.part(0, 0), texts),
        kind: match rule.logic {
            Logic::Detection(_) => RuleKind::Detection,
            Logic::Correlation(_) => RuleKind::Correlation,
            Logic::Inactive => RuleKind::Inactive,
        },
        matched: funnel.map_or(0, |funnel| funnel.matched),
        steps,
        examples: told(&examples),
        windows,
    }
}

/// What each look needs.
struct Context {
    explainer: Explainer,
    rules: Vec<Uuid>,
    chosen: Option<Chosen>,
    names: Vec<String>,
}

/// What was seen of events.
#[derive(Default)]
struct Seen {
    funnels: BTreeMap<Uuid, Funnel>,
    examples: BTreeMap<Uuid, Vec<funnel::Example>>,
    chosen: u64,
    /// The first of the chosen events.
    digests: Vec<Digest>,
    /// Why what stands on the chosen line is no event.
    rejected: Option<String>,
}

impl Look for Seen {
    type Context = Context;

    fn at(&mut self, event: &Event<'_>, place: Place, context: &Context) {
        let is_chosen = context
            .chosen
            .as_ref()
            .is_none_or(|chosen| chosen.is(event, place));
        if !is_chosen {
            return;
        }
        self.chosen += 1;
        if context.chosen.is_some() && self.digests.len() < MOST_CHOSEN {
            self.digests.push(event.digest());
        }
        let example = |rule: Uuid| {
            let name = context.names.get(place.input as usize);
            let input = name.cloned().unwrap_or_default();
            funnel::Example::of(&context.explainer, rule, event, (input, place.line))
        };
        for rule in &context.rules {
            let Some(walked) = context.explainer.walk(*rule, event) else {
                continue;
            };
            let funnel = self.funnels.entry(*rule).or_default();
            let nears = context.chosen.is_none();
            funnel.takes(walked, nears, event, || example(*rule));
            if context.chosen.is_some() {
                let examples = self.examples.entry(*rule).or_default();
                if examples.len() < MOST_CHOSEN {
                    examples.extend(example(*rule));
                }
            }
        }
    }

    fn rejected(&mut self, rejected: &Rejected, input: u32, context: &Context) {
        if input == 0 && context.chosen == Some(Chosen::Line(rejected.line)) {
            self.rejected.get_or_insert_with(|| rejected.reason.clone());
        }
    }
}

impl Seen {
    fn merge(&mut self, more: Self) {
        self.chosen += more.chosen;
        self.rejected = self.rejected.take().or(more.rejected);
        let room = MOST_CHOSEN.saturating_sub(self.digests.len());
        self.digests.extend(more.digests.into_iter().take(room));
        for (rule, funnel) in more.funnels {
            self.funnels.entry(rule).or_default().merge(funnel);
        }
        for (rule, examples) in more.examples {
            let known = self.examples.entry(rule).or_default();
            let room = MOST_CHOSEN.saturating_sub(known.len());
            known.extend(examples.into_iter().take(room));
        }
    }
}

impl Chosen {
    fn is(&self, event: &Event<'_>, place: Place) -> bool {
        match self {
            Self::Uuid(begin) => {
                let uuid = event.uuid();
                uuid.is_some_and(|uuid| uuid.starts_with(begin.as_str()))
            }
            Self::Exactly(id) => event.uuid().as_ref() == Some(id),
            Self::Line(line) => place.input == 0 && place.line == *line,
        }
    }
}
