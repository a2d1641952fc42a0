//! Finding and risk → [`Incident`], or the reason why not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::detect::{Finding, NAMESPACE, SEVERITIES, Severity};
use crate::diag::{Problems, Span};
use crate::document::Table;
use crate::event::Time;
use crate::risk::Risk;

/// The code of a problem in `[promotion]`.
pub const UNSUPPORTED: &str = "RL0320";
/// The code of severities that leave out a graver one.
pub const GAP: &str = "RL0321";

/// The checked `[promotion]` table: either clause promotes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Promotion {
    /// Scores at or above this.
    pub threshold: Option<f64>,
    /// These severities.
    pub severities: Vec<Severity>,
}

/// What promotion decided, with the values it used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether the finding became an incident.
    pub promoted: bool,
    /// Each clause, with the value it compared and whether it held.
    pub reasons: Vec<String>,
    /// Whether the default risk would have promoted it: a model kept it from becoming an incident.
    #[serde(skip_serializing_if = "is_false", default)]
    pub withheld: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// A finding that somebody has to deal with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// UUIDv5 over the finding's id.
    pub id: Uuid,
    /// The finding.
    pub finding_id: Uuid,
    /// The rule's title.
    pub title: String,
    /// The finding's description.
    pub description: String,
    /// The risk's severity.
    pub severity: Severity,
    /// The risk's score, 0.0–1.0.
    pub risk_score: f64,
    /// The time of the finding's last hit.
    pub created_at: Option<Time>,
    /// Open, triaged or closed.
    pub status: IncidentStatus,
    /// What the finding lists, its type, its account and its clauses of promotion.
    pub metadata: BTreeMap<String, Vec<String>>,
}

/// How far an incident has been dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IncidentStatus {
    /// Nobody has looked at it.
    Open,
    /// Somebody is on it.
    Triaged,
    /// Done.
    Closed,
}

/// Takes `promotion` out of the root table.
pub fn decode_promotion(root: &mut Table<'_>, problems: &mut Problems) -> Option<Promotion> {
    let mut table = root.require("promotion", problems)?.table(problems)?;
    let threshold = table
        .get("threshold")
        .and_then(|node| node.number(0.0, 1.0, problems));
    let listed = table
        .get("severities")
        .and_then(|node| node.list(problems))
        .unwrap_or_default();
    let severities: Vec<Severity> = listed
        .iter()
        .filter_map(|node| node.one_of(&SEVERITIES, problems))
        .collect();
    if severities.len() == listed.len()
        && let Some(span) = table.place_of("severities")
    {
        report_gap(&severities, span, problems);
    }
    if table.get("when").is_some()
        && let Some(span) = table.place_of("when")
    {
        problems
            .error(
                UNSUPPORTED,
                span,
                "`when` is not supported by this version of rulectl",
            )
            .help("say it with `threshold` and `severities`");
    }
    table.finish(problems);
    Some(Promotion {
        threshold,
        severities,
    })
}

/// A model may raise a severity: that must not take a finding out of the list.
fn report_gap(severities: &[Severity], span: Span, problems: &mut Problems) {
    let lowest = severities.iter().min();
    let left_out = |severity: &Severity| {
        lowest.is_some_and(|low| severity > low) && !severities.contains(severity)
    };
    let mut graver = SEVERITIES.iter().map(|(_, severity)| *severity);
    if let (Some(lowest), Some(missing)) = (lowest, graver.find(left_out)) {
        let message = format!(
            "`severities` has `{}` and not `{}`, which is graver",
            lowest.as_str(),
            missing.as_str()
        );
        problems
            .error(GAP, span, message)
            .help("list every severity above the lowest one, so that raising one hides nothing");
    }
}

impl Promotion {
    /// Whether a risk promotes its finding, and why.
    #[must_use]
    pub fn decide(&self, risk: &Risk) -> Verdict {
        let by_score = self
            .threshold
            .is_some_and(|threshold| risk.score >= threshold);
        let by_severity = self.severities.contains(&risk.severity);
        let mut reasons = Vec::new();
        if let Some(threshold) = self.threshold {
            let sign = if by_score { "reaches" } else { "is under" };
            reasons.push(format!(
                "score {:.2} {sign} promotion.threshold {threshold:.2}",
                risk.score
            ));
        }
        let listed: Vec<_> = self
            .severities
            .iter()
            .map(|severity| severity.as_str())
            .collect();
        let sign = if by_severity { "is in" } else { "is not in" };
        reasons.push(format!(
            "severity {} {sign} promotion.severities [{}]",
            risk.severity.as_str(),
            listed.join(", ")
        ));
        Verdict {
            promoted: by_score || by_severity,
            reasons,
            withheld: false,
        }
    }
}

impl Verdict {
    /// The verdict of a model's risk, beside that of the default one.
    #[must_use]
    pub fn beside(mut self, default: &Risk, of_default: &Verdict) -> Self {
        if of_default.promoted && !self.promoted {
            self.withheld = true;
            self.reasons.push(format!(
                "withheld by a model: the default risk, {} {:.2}, would have been promoted",
                default.severity.as_str(),
                default.score
            ));
        }
        self
    }
}

/// The incident of a promoted finding.
#[must_use]
pub fn incident(finding: &Finding, risk: &Risk, verdict: &Verdict) -> Incident {
    let name = serde_json::json!(["incident", finding.id]).to_string();
    let mut metadata = finding.metadata.clone();
    metadata.insert(
        "finding_type".to_owned(),
        vec![finding.finding_type.clone()],
    );
    metadata.insert("promoted_by".to_owned(), verdict.reasons.clone());
    metadata.insert(
        "rule".to_owned(),
        vec![
            finding
                .rule_name
                .clone()
                .unwrap_or_else(|| finding.rule_title.clone()),
        ],
    );
    metadata.extend(
        finding
            .user_id
            .iter()
            .map(|user| ("user_id".to_owned(), vec![user.clone()])),
    );
    Incident {
        id: Uuid::new_v5(&NAMESPACE, name.as_bytes()),
        finding_id: finding.id,
        title: finding.rule_title.clone(),
        description: finding.description.clone(),
        severity: risk.severity,
        risk_score: risk.score,
        created_at: finding.created_at,
        status: IncidentStatus::Open,
        metadata,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::risk::{Opinion, bounded, default_risk};
    use crate::slots::{May, Provenance};
    use proptest::prelude::*;
    use serde_json::json;

    /// A finding of a rule of some level; everything else of it is beside the point.
    fn finding(level: &str) -> Finding {
        let digest = "0".repeat(64);
        serde_json::from_value(json!({
            "id": Uuid::nil(), "finding_type": "OTHER", "rule": Uuid::nil(), "rule_title": "t",
            "level": level, "tags": [], "description": "d", "okta_event_ids": [],
            "event_digests": [], "anchor": digest, "user_id": null, "group": {},
            "first_seen": null, "last_seen": null, "count": 1, "hits": 1, "created_at": null,
            "metadata": {}, "status": "closed", "reasons": [], "timeline": [],
        }))
        .expect("a finding")
    }

    proptest! {
        /// What is promoted without a model is promoted with any reply, where a model may raise.
        #[test]
        fn no_reply_withdraws_what_is_promoted(
            level in proptest::sample::select(vec!["low", "medium", "high", "critical"]),
            threshold in proptest::option::of(0.0..1.0_f64),
            lowest in 0..5_usize,
            severity in 0..4_usize,
            likelihood in 0..=100_u8,
            impact in 0..=100_u8,
        ) {
            let listed = SEVERITIES[lowest..].iter().map(|(_, severity)| *severity);
            let promotion = Promotion { threshold, severities: listed.collect() };
            let default = default_risk(&finding(level), &Default::default());
            let severity = SEVERITIES[severity].1;
            let opinion = Opinion { severity, likelihood, impact, rationale: None };
            let raised = bounded(&default, None, May::Raise, &opinion, Provenance::Model);
            let (without, with) = (promotion.decide(&default), promotion.decide(&raised));
            prop_assert!(!without.promoted || with.promoted, "{:?} and {:?}", without, with);
        }
    }
}
