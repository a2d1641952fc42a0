//! What scripts say of findings: how severe one is, and its description.

use std::collections::HashMap;

use uuid::Uuid;

use crate::detect::failures::Failures;
use crate::detect::script::Named;
use crate::detect::{Detector, Finding, Rule, SEVERITIES};
use crate::event::clip;
use crate::script::{Enrichment, Failure, FindingFacts, Function};

/// The functions that describe findings, by rule.
#[derive(Debug, Default)]
pub(super) struct Enriched(HashMap<Uuid, Function>);

impl Enriched {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let function = |rule: &Rule| {
            let named = rule.settings.script.finding.as_ref();
            Some((rule.id, named.and_then(Named::function)?.clone()))
        };
        Self(rules.iter().filter_map(function).collect())
    }
}

impl Detector {
    /// Lets the script of its rule describe a finding. Where that fails, the finding is as the
    /// rule has it.
    pub fn enrich(&self, finding: &mut Finding, failures: &mut Failures) {
        let Some(function) = self.enriched.0.get(&finding.rule) else {
            return;
        };
        let described = function.describe(facts(finding));
        if let Err(why) = described.and_then(|said| take(said, function, finding)) {
            let called = finding.rule_name.as_deref().unwrap_or(&finding.rule_title);
            let event = (finding.created_at, finding.anchor);
            failures.add((finding.rule, called), event, &why);
        }
    }
}

fn take(said: Enrichment, function: &Function, finding: &mut Finding) -> Result<(), Failure> {
    if let Some(severity) = said.severity {
        let known = SEVERITIES.iter().find(|(name, _)| *name == severity);
        let Some((_, severity)) = known else {
            let message = format!(
                "`{severity}` is not a severity, expected `low`, `medium`, `high` or `critical`"
            );
            return Err(function.refuse(message));
        };
        finding.severity = Some(*severity);
    }
    if let Some(summary) = said.summary {
        finding.description = clip(&summary).into_owned();
    }
    Ok(())
}

fn facts(finding: &Finding) -> FindingFacts {
    FindingFacts {
        title: finding.rule_title.clone(),
        finding_type: finding.finding_type.clone(),
        level: finding.level.as_str().to_owned(),
        summary: finding.description.clone(),
        user: finding.user_id.clone(),
        count: finding.count,
        hits: finding.hits,
        first_seen: finding.first_seen,
        last_seen: finding.last_seen,
        reasons: finding.reasons.clone(),
        group: finding.group.clone(),
        metadata: finding.metadata.clone(),
    }
}
