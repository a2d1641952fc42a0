//! The guardrails of one context, applied as a fixed point: drop what is not
//! allowed, append what is required, sort by order, force the phase.

use crate::detect::Severity;
use crate::route::{Action, Edit, Facts, ProposedStep, Route, RouteStep};

/// The checked `[route.CONTEXT]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guardrails {
    /// The context's name, for clauses.
    pub context: &'static str,
    /// The phase that every route of the context has.
    pub phase: String,
    /// The agents that may run.
    pub allow: Vec<String>,
    /// The agents that always run.
    pub require: Vec<String>,
    /// The agents that run under a condition.
    pub require_when: Vec<RequireWhen>,
    /// Pairs of agents: the left before the right. Free of cycles.
    pub order: Vec<(String, String)>,
}

/// One `[[route.CONTEXT.require_when]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequireWhen {
    /// The severities of an incident for which it holds.
    pub severity: Vec<Severity>,
    /// The agents that it requires.
    pub agents: Vec<String>,
}

impl Guardrails {
    /// Fills the route with the proposal as the guardrails allow it.
    ///
    /// Idempotent: the steps of a route, proposed again, come back unchanged and unedited.
    pub fn apply(&self, facts: Facts, proposal: &[ProposedStep], route: &mut Route) {
        route.phase.clone_from(&self.phase);
        self.keep_allowed(proposal, route);
        self.add_required(facts, route);
        self.sort(route);
    }

    /// The agents that run whatever is proposed.
    pub fn required(&self, facts: Facts) -> impl Iterator<Item = &String> {
        let conditional = self
            .require_when
            .iter()
            .filter(move |when| when.holds(facts));
        let conditional = conditional.flat_map(|when| &when.agents);
        self.require.iter().chain(conditional)
    }

    fn keep_allowed(&self, proposal: &[ProposedStep], route: &mut Route) {
        for step in proposal {
            let twice = route.steps.iter().any(|kept| kept.agent_name == step.agent);
            if twice || !self.allow.contains(&step.agent) {
                let clause = if twice {
                    "each agent runs once".to_owned()
                } else {
                    self.clause("allow")
                };
                route.edits.push(Edit {
                    action: Action::Dropped,
                    agent: step.agent.clone(),
                    clause,
                });
                continue;
            }
            route.steps.push(RouteStep {
                agent_name: step.agent.clone(),
                reason: step.reason.clone().unwrap_or_default(),
                when: step.when.clone(),
                proposed: true,
            });
        }
    }

    fn add_required(&self, facts: Facts, route: &mut Route) {
        let always = self
            .require
            .iter()
            .enumerate()
            .map(|(at, agent)| (agent, format!("require[{at}]")));
        let conditional = self
            .require_when
            .iter()
            .enumerate()
            .filter(|(_, when)| when.holds(facts))
            .flat_map(|(at, when)| {
                when.agents
                    .iter()
                    .map(move |agent| (agent, format!("require_when[{at}]")))
            });
        for (agent, clause) in always.chain(conditional) {
            if route.steps.iter().any(|step| step.agent_name == *agent) {
                continue;
            }
            let clause = self.clause(&clause);
            route.steps.push(RouteStep {
                agent_name: agent.clone(),
                reason: format!("required by {clause}"),
                when: None,
                proposed: false,
            });
            route.edits.push(Edit {
                action: Action::Added,
                agent: agent.clone(),
                clause,
            });
        }
    }

    /// A stable topological sort: each time the earliest step that waits for no other.
    fn sort(&self, route: &mut Route) {
        let mut waiting = std::mem::take(&mut route.steps);
        while !waiting.is_empty() {
            let blocked_by = |step: &RouteStep| {
                self.order.iter().enumerate().find(|(_, (left, right))| {
                    *right == step.agent_name
                        && waiting.iter().any(|other| other.agent_name == *left)
                })
            };
            let free = waiting
                .iter()
                .position(|step| blocked_by(step).is_none())
                .unwrap_or(0);
            for step in waiting.iter().take(free) {
                if let Some((at, _)) = blocked_by(step) {
                    let edit = Edit {
                        action: Action::Moved,
                        agent: step.agent_name.clone(),
                        clause: self.clause(&format!("order[{at}]")),
                    };
                    if !route.edits.contains(&edit) {
                        route.edits.push(edit);
                    }
                }
            }
            route.steps.push(waiting.remove(free));
        }
    }

    fn clause(&self, rest: &str) -> String {
        format!("route.{}.{rest}", self.context)
    }
}

impl RequireWhen {
    /// Whether it holds for an incident.
    pub(super) fn holds(&self, facts: Facts) -> bool {
        facts
            .severity
            .is_some_and(|severity| self.severity.contains(&severity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Context;
    use proptest::prelude::*;

    fn names(list: &str) -> Vec<String> {
        list.split_whitespace().map(str::to_owned).collect()
    }

    fn guardrails(allow: &str, require: &str, order: &[(&str, &str)]) -> Guardrails {
        Guardrails {
            context: "incident",
            phase: "response".to_owned(),
            allow: names(allow),
            require: names(require),
            require_when: vec![RequireWhen {
                severity: vec![Severity::High],
                agents: names("c"),
            }],
            order: order
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect(),
        }
    }

    fn decide(guardrails: &Guardrails, severity: Option<Severity>, proposal: &[String]) -> Route {
        let steps: Vec<_> = proposal
            .iter()
            .map(|agent| ProposedStep {
                agent: agent.clone(),
                ..ProposedStep::default()
            })
            .collect();
        let mut route = Route {
            id: uuid::Uuid::nil(),
            context: Context::Incident,
            incident_id: None,
            phase: "model's".to_owned(),
            steps: Vec::new(),
            edits: Vec::new(),
            notes: None,
            provenance: None,
            refused: None,
            proposed: None,
            consulted: None,
        };
        guardrails.apply(Facts { severity }, &steps, &mut route);
        route
    }

    fn steps(route: &Route) -> String {
        route
            .steps
            .iter()
            .map(|step| step.agent_name.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn edits(route: &Route) -> Vec<String> {
        route
            .edits
            .iter()
            .map(|edit| format!("{:?} {} {}", edit.action, edit.agent, edit.clause))
            .collect()
    }

    #[test]
    fn guardrails_drop_add_and_sort_and_say_by_which_clause() {
        let rails = guardrails("a b c", "a", &[("a", "b"), ("b", "c")]);
        let cases: [(&str, Option<Severity>, &str, Vec<&str>); 5] = [
            ("", None, "a", vec!["Added a route.incident.require[0]"]),
            (
                "a",
                Some(Severity::High),
                "a c",
                vec!["Added c route.incident.require_when[0]"],
            ),
            (
                "evil a a",
                None,
                "a",
                vec![
                    "Dropped evil route.incident.allow",
                    "Dropped a each agent runs once",
                ],
            ),
            ("b a", None, "a b", vec!["Moved b route.incident.order[0]"]),
            (
                "c b",
                None,
                "a b c",
                vec![
                    "Added a route.incident.require[0]",
                    "Moved c route.incident.order[1]",
                    "Moved b route.incident.order[0]",
                ],
            ),
        ];
        for (proposal, severity, expected, expected_edits) in cases {
            let route = decide(&rails, severity, &names(proposal));
            assert_eq!(steps(&route), expected, "{proposal}");
            assert_eq!(edits(&route), expected_edits, "{proposal}");
            assert_eq!(route.phase, "response");
        }
    }

    proptest! {
        /// Whatever is proposed, the guardrails hold, and applying them twice is applying them once.
        #[test]
        fn guardrails_are_a_fixed_point(
            proposal in proptest::collection::vec("[a-f]", 0..10),
            require in proptest::collection::vec("[a-e]", 0..4),
            order in proptest::collection::vec(("[a-e]", "[a-e]"), 0..6),
            high in any::<bool>(),
        ) {
            // Left before right in the alphabet: no cycles.
            let order: Vec<_> = order.into_iter().filter(|(a, b)| a < b).collect();
            let rails = Guardrails { require, order, ..guardrails("a b c d e", "", &[]) };
            let severity = Some(if high { Severity::High } else { Severity::Low });
            let route = decide(&rails, severity, &proposal);
            let run: Vec<String> = route.steps.iter().map(|step| step.agent_name.clone()).collect();
            prop_assert!(run.iter().all(|agent| rails.allow.contains(agent)));
            prop_assert!(rails.require.iter().all(|agent| run.contains(agent)));
            prop_assert!(!high || run.contains(&"c".to_owned()));
            for (left, right) in &rails.order {
                let at = |agent: &String| run.iter().position(|r| r == agent);
                if let (Some(left), Some(right)) = (at(left), at(right)) {
                    prop_assert!(left < right);
                }
            }
            let again = decide(&rails, severity, &run);
            prop_assert_eq!(steps(&again), steps(&route));
            prop_assert_eq!(edits(&again), Vec::<String>::new());
        }
    }
}
