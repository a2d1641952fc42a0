//! Finding and risk → [`Incident`], or the reason why not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::detect::{Finding, NAMESPACE, SEVERITIES, Severity};
use crate::diag::Problems;
use crate::document::Table;
use crate::event::Time;
use crate::risk::Risk;

/// The code of a problem in `[promotion]`.
pub const UNSUPPORTED: &str = "RL0320";

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
    let severities = listed
        .iter()
        .filter_map(|node| node.one_of(&SEVERITIES, problems))
        .collect();
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
        }
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
