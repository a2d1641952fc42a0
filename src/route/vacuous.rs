//! Guardrails that say nothing beside others.

use crate::detect::Severity;
use crate::diag::{Problems, Span};
use crate::route::Context;
use crate::route::guardrails::RequireWhen;

/// The code of a guardrail that another one makes vacuous.
pub const VACUOUS: &str = "RL0316";

/// An agent as it is named.
type Named = (String, Span);

/// Warns of agents of `require_when` that `require` or a clause above it requires anyway, and of
/// clauses that hold for nothing. `clauses` come with the agents as they are written.
pub(super) fn report_require_when(
    context: Context,
    require: &[Named],
    clauses: &[(RequireWhen, Vec<Named>)],
    problems: &mut Problems,
) {
    for (at, (clause, named)) in clauses.iter().enumerate() {
        let above = clauses.get(..at).unwrap_or_default();
        for (agent, span) in named {
            let message = if context == Context::RawEvents {
                "no event has a severity yet, so that this clause never holds".to_owned()
            } else if clause.severity.is_empty() {
                "no incident has one of no severities, so that this clause never holds".to_owned()
            } else if require.iter().any(|(name, _)| name == agent) {
                format!("`require` has `{agent}` for every incident, so that this adds nothing")
            } else if is_covered(agent, &clause.severity, above) {
                format!("a clause above requires `{agent}` for all of these severities")
            } else {
                continue;
            };
            let problem = problems.warn(VACUOUS, *span, message);
            problem.help("remove it here, or correct what was meant to be another");
        }
    }
}

fn is_covered(agent: &str, severities: &[Severity], above: &[(RequireWhen, Vec<Named>)]) -> bool {
    let has_agent = |clause: &RequireWhen| clause.agents.iter().any(|name| name == agent);
    let mut above = above.iter().map(|(clause, _)| clause);
    above.any(|clause| {
        let severities = severities.iter();
        has_agent(clause) && severities.clone().all(|one| clause.severity.contains(one))
    })
}

/// Warns of pairs of `order` whose agents never run both. `order` has where each is written.
pub(super) fn report_order(
    allow: &[Named],
    order: &[((String, String), Span)],
    problems: &mut Problems,
) {
    let is_allowed = |name: &String| allow.iter().any(|(allowed, _)| allowed == name);
    for ((left, right), span) in order {
        let missing = [left, right].into_iter().find(|name| !is_allowed(name));
        if let Some(name) = missing {
            let message = format!("`{name}` is not allowed here, so that this pair orders nothing");
            let problem = problems.warn(VACUOUS, *span, message);
            problem.help("add it to `allow`, or remove the pair");
        }
    }
}
