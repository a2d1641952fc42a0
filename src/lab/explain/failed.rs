//! What a failed case of a suite shows beside its mismatches: how near the events of the case came
//! to a rule that was expected to find something, and why one found what nobody expected.

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

use super::{Asked, Chosen, Explanation, explain};
use crate::detect::Rule;
use crate::diag::Problems;
use crate::lab::Mismatch;
use crate::pipeline::Settings;
use crate::policy::Policy;
use crate::source::Input;

/// So many rules are explained for a case.
const RULES: usize = 3;

/// Explains the rules whose findings a case missed, and those that gave findings too many.
#[must_use]
pub fn explain_mismatches(
    (policy, texts): (&Policy, &Problems),
    mismatches: &[Mismatch],
    input: &Input,
    settings: &Settings,
) -> Vec<Explanation> {
    let asked = mismatches
        .iter()
        .flat_map(|mismatch| asked_of(mismatch, policy));
    let mut known = BTreeSet::new();
    let asked = asked.filter(|(rule, _)| known.insert(*rule)).take(RULES);
    let explained = asked.map(|(rule, chosen)| Asked {
        policy,
        texts,
        rules: vec![rule],
        brief: true,
        chosen,
    });
    let explained = explained.map(|asked| explain(&asked, vec![input.clone()], settings));
    // What cannot be read is a mismatch of its own.
    explained
        .filter_map(|explained| explained.ok().map(|(explanation, ..)| explanation))
        .collect()
}

/// The rules that a mismatch is about, each with the event that it rests on, if there is one.
fn asked_of(mismatch: &Mismatch, policy: &Policy) -> Vec<(Uuid, Option<Chosen>)> {
    match mismatch {
        Mismatch::Missing {
            kind: "findings",
            expected,
            nearest,
        } => {
            let is_there = |rule: &&Rule| {
                let nearest = nearest.as_ref();
                nearest.is_some_and(|nearest| is_of(rule, nearest))
            };
            let rules = policy.rules.values();
            rules
                .filter(|rule| is_of(rule, expected) && !is_there(rule))
                .map(|rule| (rule.id, None))
                .collect()
        }
        Mismatch::Unexpected {
            kind: "findings",
            received,
        } => {
            let events = received.get("okta_event_ids").and_then(Value::as_array);
            let last = events.and_then(|events| events.last()?.as_str());
            let chosen = last.map(|uuid| Chosen::Exactly(uuid.to_owned()));
            let mut rules = policy.rules.values();
            let rule = rules.find(|rule| is_of(rule, received));
            rule.map(|rule| (rule.id, chosen)).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// Whether a finding that names a rule, or else a type, is of a rule.
fn is_of(rule: &Rule, finding: &Value) -> bool {
    let text = |key: &str| finding.get(key).and_then(Value::as_str);
    match text("rule") {
        Some(name) => rule.is_called(name),
        None => text("finding_type") == Some(rule.settings.finding_type.as_str()),
    }
}
