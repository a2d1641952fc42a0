//! Finding → [`Risk`]: what the rule declares, or else what its level gives.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::detect::{Finding, Level, Settings, Severity};
use crate::slots::Provenance;

/// How bad a finding is: the fill of the `risk` slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Risk {
    /// The finding.
    pub finding_id: Uuid,
    /// Severity.
    pub severity: Severity,
    /// 0.0–1.0.
    pub likelihood: f64,
    /// 0.0–1.0.
    pub impact: f64,
    /// Likelihood × impact, 0.0–1.0, to four places: computed here, never taken from anybody.
    pub score: f64,
    /// Why, as commentary.
    pub rationale: String,
    /// Where each field came from.
    pub provenance: BTreeMap<String, Provenance>,
}

/// The risk of a finding without a model.
#[must_use]
pub fn default_risk(finding: &Finding, settings: &Settings) -> Risk {
    let floor = settings.floor.and_then(|floor| floor.severity);
    let scripted = finding
        .severity
        .map(|severity| severity.max(floor.unwrap_or(severity)));
    // What a script calls high has the risk of a rule of that level.
    let level = scripted.map_or(finding.level, level_of);
    let (level_severity, level_likelihood, level_impact) = of_level(level);
    let declared = settings.risk;
    let severity = scripted.or(declared.severity).unwrap_or(level_severity);
    let likelihood = declared.likelihood.unwrap_or(level_likelihood);
    let impact = declared.impact.unwrap_or(level_impact);
    let source = if let Some(severity) = scripted {
        format!(
            "the script of the rule, which says {}",
            said(severity, finding, floor)
        )
    } else if declared == Default::default() {
        format!("the level of the rule, {}", finding.level.as_str())
    } else {
        format!(
            "the rule, and its level, {}, for what it leaves out",
            finding.level.as_str()
        )
    };
    let is_floored = scripted > finding.severity;
    let provenance = |field: &str| {
        if is_floored && field == "severity" {
            Provenance::Floored
        } else {
            Provenance::Default
        }
    };
    Risk {
        finding_id: finding.id,
        severity,
        likelihood,
        impact,
        score: score(likelihood, impact),
        rationale: format!("default from {source}"),
        provenance: ["severity", "likelihood", "impact", "score", "rationale"]
            .into_iter()
            .map(|field| (field.to_owned(), provenance(field)))
            .collect(),
    }
}

/// The severity in words, and what a script called less than the floor.
fn said(severity: Severity, finding: &Finding, floor: Option<Severity>) -> String {
    match finding.severity {
        Some(lower) if lower < severity && floor.is_some() => {
            format!(
                "{}, where the floor is {}",
                lower.as_str(),
                severity.as_str()
            )
        }
        _ => severity.as_str().to_owned(),
    }
}

/// The level whose findings have a severity.
fn level_of(severity: Severity) -> Level {
    match severity {
        Severity::Low => Level::Low,
        Severity::Medium => Level::Medium,
        Severity::High => Level::High,
        Severity::Critical => Level::Critical,
    }
}

/// Likelihood × impact to four places, so that 0.6 × 0.7 is 0.42.
fn score(likelihood: f64, impact: f64) -> f64 {
    (likelihood * impact * 1e4).round() / 1e4
}

fn of_level(level: Level) -> (Severity, f64, f64) {
    match level {
        Level::Informational | Level::Low => (Severity::Low, 0.2, 0.2),
        Level::Medium => (Severity::Medium, 0.5, 0.6),
        Level::High => (Severity::High, 0.8, 0.8),
        Level::Critical => (Severity::Critical, 0.95, 0.9),
    }
}
