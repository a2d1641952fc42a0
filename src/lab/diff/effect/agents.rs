//! Which agents may run for an incident, and in which order, whatever a model proposes.

use crate::event::Digest;
use crate::lab::diff::effect::bounds::{Mark, Presence};
use crate::route::{Guardrails, Route};

/// Which agents run for an incident.
#[derive(Default)]
pub struct Agents<'o> {
    /// With every fill.
    pub always: Vec<&'o str>,
    /// With some.
    pub ever: Vec<&'o str>,
    /// The routes, where there are only a few.
    pub routes: Option<Vec<Vec<&'o str>>>,
    /// The route, where there is one that nobody is asked for.
    pub only: Option<&'o Route>,
    /// The pairs that are in order whatever the route is.
    pub order: &'o [(String, String)],
    /// What the route follows from.
    pub mark: Mark,
}

impl<'o> Agents<'o> {
    /// One of a few routes.
    #[must_use]
    pub fn these(routes: Vec<Vec<&'o str>>, mark: Mark) -> Self {
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
    #[must_use]
    pub fn within(rails: &'o Guardrails, required: &[&'o Route], mark: Digest) -> Self {
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

    /// With which fills an agent runs.
    #[must_use]
    pub fn presence(&self, agent: &str) -> Presence {
        Presence::of(self.always.contains(&agent), self.ever.contains(&agent))
    }

    /// Whether one agent is before another in every route that has both.
    #[must_use]
    pub fn precedes(&self, one: &str, other: &str) -> bool {
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

/// The agents of a route.
#[must_use]
pub fn names(route: &Route) -> Vec<&str> {
    let steps = route.steps.iter();
    steps.map(|step| step.agent_name.as_str()).collect()
}
