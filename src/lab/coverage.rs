//! What the cases of a policy reach of it.

use std::collections::BTreeSet;

use serde::Serialize;
use uuid::Uuid;

use crate::detect::{Logic, Rule, Severity};
use crate::diag::{Problems, Span};
use crate::geo::Databases;
use crate::lab::project::run_all;
use crate::lab::run::{Reached, Rig};
use crate::lab::suite::{Case, Suite};
use crate::policy::Policy;
use crate::risk::{declared_severity, kept};
use crate::route::Context;

/// The code of a rule that fires in no case.
pub const UNREACHED: &str = "RL0606";

/// What there is to reach, each with whether some case did.
#[derive(Clone, Debug)]
pub struct Coverage {
    /// Rules, their searches, agents, steps, clauses of guardrails and values of slots.
    pub items: Vec<Item>,
}

/// Something to be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// `rule`, `selection`, `agent`, `step`, `guardrail` or `slot`.
    pub kind: &'static str,
    /// Its name; that of a selection begins with that of its rule.
    pub name: String,
    /// What must happen to it: `fires`, `stays quiet`, `holds`, `does not hold`, `runs`, `is planned`,
    /// `applies` or `is given`.
    pub wanted: &'static str,
    /// The file it stands in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Whether it does in some case.
    pub reached: bool,
}

impl Coverage {
    /// How many are reached.
    #[must_use]
    pub fn reached(&self) -> usize {
        self.items.iter().filter(|item| item.reached).count()
    }

    /// How many of a hundred are reached.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "there are few")]
    pub fn percent(&self) -> f64 {
        match self.items.len() {
            0 => 100.0,
            all => 100.0 * self.reached() as f64 / all as f64,
        }
    }
}

/// What cases reach of a policy, in the order of its rules' files, its agents, steps, clauses and slots.
#[must_use]
pub fn cover<'r>(policy: &Policy, cases: impl Iterator<Item = &'r Reached>) -> Coverage {
    let cases: Vec<&Reached> = cases.collect();
    let mut rules: Vec<&Rule> = policy.rules.values().collect();
    rules.sort_by_key(|rule| (&rule.file, rule.span.start));
    let mut items: Vec<Item> = rules
        .iter()
        .flat_map(|rule| of_rule(rule, &rules, &cases))
        .collect();
    let ran: BTreeSet<&String> = cases.iter().flat_map(|case| &case.agents).collect();
    let agents = policy.routing.agents.keys();
    items.extend(agents.map(|name| item("agent", name, "runs", ran.contains(name))));
    let planned: BTreeSet<&str> = cases
        .iter()
        .flat_map(|case| case.steps.iter().map(String::as_str))
        .collect();
    let incidents = types_of_incidents(policy, &rules);
    let of_types = incidents.iter();
    let reachable: BTreeSet<String> = of_types
        .flat_map(|of_type| policy.planning.default_steps(of_type))
        .map(|step| step.step_id)
        .collect();
    let steps = policy.planning.step_ids();
    let steps = steps.filter(|name| reachable.contains(*name) || planned.contains(name));
    items.extend(steps.map(|name| item("step", name, "is planned", planned.contains(name))));
    items.extend(of_clauses(policy, &cases));
    items.extend(of_slots(policy, &rules, &incidents, &cases));
    Coverage { items }
}

/// The types of findings of which one may become an incident without a model: cases ask none.
fn types_of_incidents<'r>(policy: &Policy, rules: &[&'r Rule]) -> BTreeSet<&'r str> {
    let promotion = &policy.promotion;
    let may_be = |rule: &&&Rule| {
        let kept = kept(rule.level, &rule.settings, policy.slots.get("risk"));
        // What a script calls a finding, and what `when` makes of it, is known when there is one.
        let is_scripted = rule.settings.script.finding.is_some();
        promotion.takes(kept.severity, kept.score) || is_scripted || promotion.when.is_some()
    };
    let rules = rules.iter().filter(|rule| is_told(rule, rules));
    let rules = rules.filter(may_be);
    rules
        .map(|rule| rule.settings.finding_type.as_str())
        .collect()
}

/// Whether a rule has findings of its own.
fn is_told(rule: &Rule, rules: &[&Rule]) -> bool {
    match rule.logic {
        Logic::Inactive => false,
        // A detection, too, may only feed others.
        Logic::Correlation(_) | Logic::Detection(_) => !is_silent(rule, rules),
    }
}

/// The clauses of guardrails that hold for some incidents alone.
fn of_clauses(policy: &Policy, cases: &[&Reached]) -> Vec<Item> {
    let rails = policy.routing.guardrails.get(&Context::Incident);
    let clauses = rails.into_iter().flat_map(|rails| &rails.require_when);
    let items = clauses.enumerate().map(|(at, clause)| {
        let holds = |severity: &Severity| clause.severity.contains(severity);
        let reached = cases.iter().any(|case| case.incidents.iter().any(holds));
        let name = format!("route.incident.require_when[{at}]");
        item("guardrail", &name, "applies", reached)
    });
    items.collect()
}

/// What the slots hold without a model: the severities that rules declare, and the plans of the
/// types that have one.
fn of_slots(
    policy: &Policy,
    rules: &[&Rule],
    incidents: &BTreeSet<&str>,
    cases: &[&Reached],
) -> Vec<Item> {
    let runs = rules.iter().filter(|rule| is_told(rule, rules));
    let declared = runs.map(|rule| declared_severity(rule.level, &rule.settings));
    let declared: BTreeSet<Severity> = declared.collect();
    let risks = declared.into_iter().map(|severity| {
        let reached = cases.iter().any(|case| case.severities.contains(&severity));
        item(
            "slot",
            &format!("risk: {}", severity.as_str()),
            "is given",
            reached,
        )
    });
    let types = policy.planning.finding_types();
    let types: BTreeSet<&String> = types.iter().map(|(name, _)| name).collect();
    let plans = types.iter().filter_map(|name| {
        let is_meant = |planned: &str| match name.as_str() {
            "OTHER" => planned == *name || !types.iter().any(|other| *other == planned),
            _ => planned == *name,
        };
        let mut planned = cases.iter().flat_map(|case| &case.planned);
        let reached = planned.any(|planned| is_meant(planned));
        let is_reachable = reached || incidents.iter().any(|incident| is_meant(incident));
        let plan = || item("slot", &format!("plan: {name}"), "is given", reached);
        is_reachable.then(plan)
    });
    risks.chain(plans).collect()
}

/// Warns of the rules that fire in no case. Rules that never run, and correlations that only feed
/// others, are left out, as in the coverage.
pub fn report_unreached(policy: &Policy, suites: &[Suite], problems: &mut Problems) {
    let cases: Vec<&Case> = suites.iter().flat_map(|suite| &suite.cases).collect();
    let databases = Databases::new(None, None);
    let rig = Rig::new(policy, &databases);
    let results = run_all(&rig, &cases);
    let reached: Vec<&Reached> = results.iter().map(|result| &result.reached).collect();
    let rules: Vec<&Rule> = policy.rules.values().collect();
    for rule in &rules {
        let items = of_rule(rule, &rules, &reached);
        if items.first().is_some_and(|fires| !fires.reached) {
            let message = format!("no case makes `{}` fire", rule.label());
            let at = Span {
                end: rule.span.start,
                ..rule.span
            };
            problems.warn(UNREACHED, at, message).help(
                "write a case with events that it finds, as `tests` of its `rulectl` block or in a suite",
            );
        }
    }
}

fn item(kind: &'static str, name: &str, wanted: &'static str, reached: bool) -> Item {
    Item {
        kind,
        name: name.to_owned(),
        wanted,
        place: None,
        reached,
    }
}

/// What is to be reached of a rule: nothing where it never runs, or where nobody sees it fire.
fn of_rule(rule: &Rule, rules: &[&Rule], cases: &[&Reached]) -> Vec<Item> {
    let is_hidden = matches!(rule.logic, Logic::Correlation(_)) && is_silent(rule, rules);
    if is_hidden || matches!(rule.logic, Logic::Inactive) {
        return Vec::new();
    }
    let fires = cases.iter().any(|case| fires(case, rule));
    let quiet = cases.iter().any(|case| stays_quiet(case, rule, rules));
    let mut items = vec![
        item("rule", rule.label(), "fires", fires),
        item("rule", rule.label(), "stays quiet", quiet),
    ];
    items.extend(of_searches(rule, cases));
    for item in &mut items {
        item.place = Some(rule.file.clone());
    }
    items
}

/// Whether a rule fires in a case.
pub(super) fn fires(case: &Reached, rule: &Rule) -> bool {
    match &rule.logic {
        Logic::Inactive => false,
        Logic::Detection(_) => case.observed.of(rule.id).any(|met| met.matched),
        Logic::Correlation(_) => case.found.contains(&rule.id),
    }
}

/// Whether a rule nearly fires in a case. Of a detection: there is an event that satisfies a search
/// of it and not the rule; where there is one search alone, any event that the rule does not match.
/// Of a correlation: it does not fire, and a rule that it is about did something.
pub(super) fn stays_quiet(case: &Reached, rule: &Rule, rules: &[&Rule]) -> bool {
    match &rule.logic {
        Logic::Inactive => false,
        Logic::Detection(detection) => {
            let met = || case.observed.of(rule.id);
            let matched = met().filter(|met| met.matched).count() as u64;
            let is_one = detection.parts().0.len() == 1;
            met().any(|met| !met.matched) || is_one && case.observed.events > matched
        }
        Logic::Correlation(correlation) => {
            let named = |name: &str| rules.iter().find(|rule| rule.is_called(name));
            let mut fed = correlation.rules.iter();
            let is_fed = match correlation.rules.as_slice() {
                [] => !case.found.is_empty(),
                _ => fed.any(|(name, _)| named(name).is_some_and(|rule| feeds(case, rule.id))),
            };
            is_fed && !fires(case, rule)
        }
    }
}

/// Whether a rule made something of a case that a correlation over it could see.
fn feeds(case: &Reached, rule: Uuid) -> bool {
    case.found.contains(&rule) || case.observed.of(rule).any(|met| met.matched)
}

/// Whether a correlation only feeds others: nothing tells when it fires.
pub(super) fn is_silent(rule: &Rule, rules: &[&Rule]) -> bool {
    let mut over = rules.iter().filter_map(|other| match &other.logic {
        Logic::Correlation(correlation) => {
            let mut named = correlation.rules.iter();
            let names = named.any(|(name, _)| rule.is_called(name));
            names.then_some(correlation.generate)
        }
        _ => None,
    });
    let first = over.next();
    first.is_some_and(|generate| !generate && over.all(|generate| !generate))
}

fn of_searches(rule: &Rule, cases: &[&Reached]) -> Vec<Item> {
    let Logic::Detection(detection) = &rule.logic else {
        return Vec::new();
    };
    let searches = detection.parts().0;
    let is_one = searches.len() == 1;
    let items = searches.iter().flat_map(|search| {
        let name = format!("{}: {}", rule.label(), search.name);
        let holds = |case: &&Reached| {
            let mut met = case.observed.of(rule.id);
            met.any(|met| met.searches.contains(&search.name))
        };
        let fails = |case: &&Reached| {
            let held = case.observed.of(rule.id);
            let held = held.filter(|met| met.searches.contains(&search.name));
            let mut others = case.observed.of(rule.id);
            others.any(|met| !met.searches.contains(&search.name))
                || is_one && case.observed.events > held.count() as u64
        };
        [
            item("selection", &name, "holds", cases.iter().any(holds)),
            item("selection", &name, "does not hold", cases.iter().any(fails)),
        ]
    });
    items.collect()
}
