//! Finding and risk → [`Incident`], or the reason why not.

mod weighed;

pub use self::weighed::Weighed;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::detect::{Finding, NAMESPACE, SEVERITIES, Severity};
use crate::diag::{Problems, Span};
use crate::document::{Node, Table};
use crate::event::Time;
use crate::risk::{self, Range, Risk};
use crate::script::{Expression, Named};

/// The code of a `when` that is no condition.
pub const WHEN: &str = "RL0320";
/// The code of severities that leave out a graver one.
pub const GAP: &str = "RL0321";
/// The code of a clause beside one that promotes everything.
pub const VACUOUS: &str = "RL0322";

/// The checked `[promotion]` table: either clause promotes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Promotion {
    /// Scores at or above this.
    pub threshold: Option<f64>,
    /// These severities.
    pub severities: Vec<Severity>,
    /// What the other two cannot say.
    pub when: Option<Expression>,
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
    let when = table.get("when").map(|node| decode_when(node, problems));
    let places = ["threshold", "severities", "when"].map(|name| (name, table.place_of(name)));
    table.finish(problems);
    let promotion = Promotion {
        threshold,
        severities,
        when: when.flatten(),
    };
    report_vacuous(&promotion, places, problems);
    Some(promotion)
}

fn decode_when(node: &Node, problems: &mut Problems) -> Option<Expression> {
    let written = (node.text(problems)?, node.span);
    let examples = Facts::default().named();
    let when = Expression::read(written, &examples, WHEN, problems)?;
    // A type that does not fit shows in whatever finding.
    if let Err(why) = when.holds(&examples) {
        let message = format!("`when` cannot be decided: {why}");
        problems
            .error(WHEN, node.span, message)
            .help("it is true or false, as in `finding_type == \"MFA_FATIGUE\" && score >= 0.4`");
        return None;
    }
    Some(when)
}

/// Warns of a clause that promotes every finding, beside which the others decide nothing.
fn report_vacuous(
    promotion: &Promotion,
    places: [(&'static str, Option<Span>); 3],
    problems: &mut Problems,
) {
    let lowest = SEVERITIES.iter().map(|(_, severity)| *severity).min();
    let takes_all = |name: &str| match name {
        "threshold" => promotion
            .threshold
            .is_some_and(|threshold| threshold <= 0.0),
        "severities" => lowest.is_some_and(|lowest| promotion.severities.contains(&lowest)),
        _ => false,
    };
    let written = |(name, span): (&'static str, Option<Span>)| Some((name, span?));
    let written: Vec<(&str, Span)> = places.into_iter().filter_map(written).collect();
    let Some((first, _)) = written.iter().find(|(name, _)| takes_all(name)) else {
        return;
    };
    for (other, span) in written.iter().filter(|(name, _)| name != first) {
        let message =
            format!("`{first}` promotes every finding, so that `{other}` decides nothing");
        problems
            .warn(VACUOUS, *span, message)
            .help(format!("remove `{other}`, or ask for more in `{first}`"));
    }
}

/// What `when` may ask.
#[derive(Default)]
struct Facts {
    score: f64,
    likelihood: f64,
    impact: f64,
    severity: String,
    finding_type: String,
    rule_name: String,
    level: String,
    tags: Vec<String>,
    count: u64,
    hits: u64,
}

impl Facts {
    fn of(finding: &Finding, risk: &Risk) -> Self {
        Self {
            score: risk.score,
            likelihood: risk.likelihood,
            impact: risk.impact,
            severity: risk.severity.as_str().to_owned(),
            finding_type: finding.finding_type.clone(),
            rule_name: finding.rule_name.clone().unwrap_or_default(),
            level: finding.level.as_str().to_owned(),
            tags: finding.tags.clone(),
            count: finding.count,
            hits: finding.hits,
        }
    }

    fn named(self) -> [(&'static str, Named); 10] {
        [
            ("score", Named::Number(self.score)),
            ("likelihood", Named::Number(self.likelihood)),
            ("impact", Named::Number(self.impact)),
            ("severity", Named::Text(self.severity)),
            ("finding_type", Named::Text(self.finding_type)),
            ("rule_name", Named::Text(self.rule_name)),
            ("level", Named::Text(self.level)),
            ("tags", Named::Texts(self.tags)),
            ("count", Named::Count(self.count)),
            ("hits", Named::Count(self.hits)),
        ]
    }
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
    ///
    /// `least` is the risk that no model may withdraw, where it is another: what `when` promotes
    /// with that one is promoted. A `when` that fails holds, since an incident too many is seen.
    #[must_use]
    pub fn decide(&self, finding: &Finding, risk: &Risk, least: Option<&Risk>) -> Verdict {
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
        let (by_when, reason) = match &self.when {
            Some(when) => when_holds(when, finding, risk, least),
            None => (false, None),
        };
        reasons.extend(reason);
        Verdict {
            promoted: by_score || by_severity || by_when,
            reasons,
            withheld: false,
        }
    }
}

impl Promotion {
    /// Whether a severity and a score promote, whatever else a finding says.
    #[must_use]
    pub fn takes(&self, severity: Severity, score: f64) -> bool {
        let by_score = self.threshold.is_some_and(|threshold| score >= threshold);
        by_score || self.severities.contains(&severity)
    }

    /// Whether a finding is promoted with every risk of a range, and whether with any: severities
    /// leave out no graver one, so that both ends tell. `least` is as in [`Self::decide`].
    #[must_use]
    pub fn reach(
        &self,
        finding: &Finding,
        range: Range,
        default: &Risk,
        least: Option<&Risk>,
    ) -> (bool, bool) {
        let (lowest, highest) = range.scores;
        let always = self.takes(range.least, lowest);
        let ever = self.takes(range.most, highest);
        let Some(when) = &self.when else {
            return (always, ever);
        };
        let (holds, _) = when_holds(when, finding, default, None);
        if OF_RISK.iter().any(|name| when.text().contains(name)) {
            (always || (least.is_some() && holds), true)
        } else {
            (always || holds, ever || holds)
        }
    }
}

/// What `when` may ask of a risk.
const OF_RISK: [&str; 4] = ["score", "likelihood", "impact", "severity"];

fn when_holds(
    when: &Expression,
    finding: &Finding,
    risk: &Risk,
    least: Option<&Risk>,
) -> (bool, Option<String>) {
    let of = |risk| when.holds(&Facts::of(finding, risk).named());
    let text = when.text();
    let (holds, reason) = match (of(risk), least.map(of)) {
        (Err(why), _) => (true, format!("fails, and then it holds: {why}")),
        (Ok(true), _) => (true, "holds".to_owned()),
        (Ok(false), Some(Ok(true) | Err(_))) => {
            (true, "holds for the risk without a model".to_owned())
        }
        (Ok(false), _) => (false, "does not hold".to_owned()),
    };
    (holds, Some(format!("promotion.when `{text}` {reason}")))
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

/// What prompts, templates and scripts may name of an incident and of what led to it; its plan comes
/// to it where there is one.
#[must_use]
pub fn context(
    incident: &Incident,
    finding: &Finding,
    rule_description: Option<&str>,
    risk: &Risk,
) -> Value {
    let mut context = risk::context(finding, rule_description);
    let of_incident = json!({
        "id": incident.id,
        "title": incident.title,
        "description": incident.description,
        "severity": incident.severity.as_str(),
        "risk_score": percent(incident.risk_score),
        "created_at": incident.created_at,
        "metadata": incident.metadata,
    });
    let of_risk = json!({
        "severity": risk.severity.as_str(),
        "score": percent(risk.score),
        "rationale": risk.rationale,
    });
    if let Value::Object(context) = &mut context {
        context.insert("incident".to_owned(), of_incident);
        context.insert("risk".to_owned(), of_risk);
    }
    context
}

/// A number from 0 to 1 as one from 0 to 100.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is clamped"
)]
fn percent(score: f64) -> u8 {
    (score * 100.0).round().clamp(0.0, 100.0) as u8
}

/// The incident of a promoted finding.
#[must_use]
pub fn incident(finding: &Finding, risk: &Risk, verdict: &Verdict) -> Incident {
    let name = json!(["incident", finding.id]).to_string();
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
    use crate::risk::{Bounds, Opinion, bounded, default_risk};
    use crate::slots::{Formula, May, Provenance};
    use proptest::prelude::*;

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

    /// Promotes what is likely and not grave: a model that says it is grave would withdraw it.
    fn when() -> Option<Expression> {
        let mut problems = Problems::default();
        let file = problems.add_file("routing.toml", "");
        let span = Span {
            file,
            start: 0,
            end: 0,
        };
        let text = "likelihood > 0.4 && impact < 0.8 && severity != \"critical\"";
        Expression::read(
            (text, span),
            &super::Facts::default().named(),
            WHEN,
            &mut problems,
        )
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
            let promotion = Promotion { threshold, severities: listed.collect(), when: when() };
            let (finding, formula) = (finding(level), Formula::default());
            let default = default_risk(&finding, &Default::default(), &formula);
            let severity = SEVERITIES[severity].1;
            let opinion = Opinion { severity, likelihood, impact, rationale: None };
            let bounds = Bounds { floor: None, may: May::Raise, formula: &formula, source: Provenance::Model };
            let raised = bounded(&default, &bounds, &opinion);
            let (without, with) = (
                promotion.decide(&finding, &default, None),
                promotion.decide(&finding, &raised, Some(&default)),
            );
            prop_assert!(!without.promoted || with.promoted, "{:?} and {:?}", without, with);
        }
    }
}
