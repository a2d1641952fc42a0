//! Finding → [`Risk`]: what the rule declares, or else what its level gives; and what a model may
//! make of that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::detect::{Finding, FloorSetting, Level, SEVERITIES, Settings, Severity};
use crate::slots::{Consulted, Formula, LONGEST_TEXT, May, Provenance, SlotSettings};

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
    /// 0.0–1.0, to four places: computed by the policy's formula, never taken from anybody.
    pub score: f64,
    /// Why, as commentary.
    pub rationale: String,
    /// Where each field came from.
    pub provenance: BTreeMap<String, Provenance>,
    /// What a model said, where the bounds made something else of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proposed: Option<Proposed>,
    /// That a model was asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub consulted: Option<Consulted>,
}

/// The risk that a model would have given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposed {
    /// Severity.
    pub severity: Severity,
    /// 0.0–1.0.
    pub likelihood: f64,
    /// 0.0–1.0.
    pub impact: f64,
    /// What follows from the two.
    pub score: f64,
}

/// The severity of the findings of a rule without a model and without a script.
#[must_use]
pub fn declared_severity(level: Level, settings: &Settings) -> Severity {
    let (of_level, ..) = of_level(level);
    settings.risk.severity.unwrap_or(of_level)
}

/// The risk of a finding without a model.
#[must_use]
pub fn default_risk(finding: &Finding, settings: &Settings, formula: &Formula) -> Risk {
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
        score: formula.score(likelihood, impact),
        rationale: format!("default from {source}"),
        provenance: ["severity", "likelihood", "impact", "score", "rationale"]
            .into_iter()
            .map(|field| (field.to_owned(), provenance(field)))
            .collect(),
        proposed: None,
        consulted: None,
    }
}

/// What the findings of a rule have without a model, and what they keep whatever a model says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kept {
    /// The severity without a model.
    pub severity: Severity,
    /// The score without a model.
    pub score: f64,
    /// The least severity with one; `None` where nothing is kept.
    pub least_severity: Option<Severity>,
    /// The least score with one; `None` where nothing is kept.
    pub least_score: Option<f64>,
}

/// What a rule of this level keeps; without a slot no model is asked.
#[must_use]
pub fn kept(level: Level, settings: &Settings, slot: Option<&SlotSettings>) -> Kept {
    let (level_severity, level_likelihood, level_impact) = of_level(level);
    let declared = settings.risk;
    let severity = declared.severity.unwrap_or(level_severity);
    let likelihood = declared.likelihood.unwrap_or(level_likelihood);
    let impact = declared.impact.unwrap_or(level_impact);
    let formula = slot.map(|slot| slot.formula.clone()).unwrap_or_default();
    let score = formula.score(likelihood, impact);
    let may = slot.map(|slot| slot.may);
    let floor = may.and(settings.floor).unwrap_or_default();
    let keeps = may != Some(May::Set);
    Kept {
        severity,
        score,
        least_severity: floor.severity.or(keeps.then_some(severity)),
        least_score: floor.score.or(keeps.then_some(score)),
    }
}

/// What a prompt of the slot `risk` may name of a finding.
#[must_use]
pub fn context(finding: &Finding, rule_description: Option<&str>) -> Value {
    json!({
        "finding": {
            "count": finding.count,
            "description": finding.description,
            "finding_type": finding.finding_type,
            "first_seen": finding.first_seen,
            "group": finding.group,
            "hits": finding.hits,
            "last_seen": finding.last_seen,
            "level": finding.level.as_str(),
            "metadata": finding.metadata,
            "reasons": finding.reasons,
            "rule_name": finding.rule_name,
            "rule_title": finding.rule_title,
            "tags": finding.tags,
            "user_id": finding.user_id,
        },
        "rule": {"description": rule_description},
    })
}

/// What a model says of a risk, read but not yet bounded.
#[derive(Clone, Debug, PartialEq)]
pub struct Opinion {
    /// Severity.
    pub severity: Severity,
    /// 0–100.
    pub likelihood: u8,
    /// 0–100.
    pub impact: u8,
    /// Commentary.
    pub rationale: Option<String>,
}

impl Opinion {
    /// Reads a reply, whatever the schema of the prompt let through.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn read(reply: &Value) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        let mut note = |problem: Option<String>| wrong.extend(problem);
        let severity = reply.get("severity").and_then(Value::as_str);
        let severity = SEVERITIES
            .iter()
            .find(|(name, _)| severity == Some(name))
            .map(|(_, severity)| *severity);
        if severity.is_none() {
            note(Some(
                "severity: expected low, medium, high or critical".to_owned(),
            ));
        }
        let [likelihood, impact] = ["likelihood", "impact"].map(|name| {
            let value = reply.get(name).and_then(percent);
            if value.is_none() {
                note(Some(format!(
                    "{name}: expected a whole number from 0 to 100"
                )));
            }
            value
        });
        let rationale = reply.get("rationale").and_then(Value::as_str);
        if reply
            .get("rationale")
            .is_some_and(|value| !value.is_string())
        {
            note(Some("rationale: expected a text".to_owned()));
        }
        if rationale.is_some_and(|text| text.chars().count() > LONGEST_TEXT) {
            note(Some(format!(
                "rationale: expected at most {LONGEST_TEXT} characters"
            )));
        }
        match (severity, likelihood, impact) {
            (Some(severity), Some(likelihood), Some(impact)) if wrong.is_empty() => Ok(Self {
                severity,
                likelihood,
                impact,
                rationale: rationale.map(str::to_owned),
            }),
            _ => Err(wrong),
        }
    }
}

/// A whole number from 0 to 100, however it is written.
fn percent(value: &Value) -> Option<u8> {
    let number = value.as_f64()?;
    let is_whole = number.fract() == 0.0 && (0.0..=100.0).contains(&number);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from 0 to 100"
    )]
    is_whole.then_some(number as u8)
}

/// How a model's opinion of a risk is bounded.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'b> {
    /// The rule's floor.
    pub floor: Option<FloorSetting>,
    /// What a model may do to the default.
    pub may: May,
    /// How the score follows from the rest.
    pub formula: &'b Formula,
    /// Where the opinion comes from: a model or a recording.
    pub source: Provenance,
}

/// What a model's risk may not be under: where nothing is declared, `raise` keeps the default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Bound {
    severity: Option<Severity>,
    score: Option<f64>,
}

impl Bound {
    fn of(default: &Risk, floor: Option<FloorSetting>, may: May) -> Self {
        let floor = floor.unwrap_or_default();
        let kept = |may: May| may == May::Raise;
        Self {
            severity: floor.severity.or(kept(may).then_some(default.severity)),
            score: floor.score.or(kept(may).then_some(default.score)),
        }
    }
}

/// The risk that a model may give a finding.
///
/// The severity is the greater of the model's and the bound's. Where the score that follows from
/// the model's numbers is under the bound's, likelihood, impact and score are the default's. The
/// bound is the rule's floor; what that leaves out is the default itself under [`May::Raise`], and
/// nothing under [`May::Set`].
#[must_use]
pub fn bounded(default: &Risk, bounds: &Bounds<'_>, opinion: &Opinion) -> Risk {
    let source = bounds.source;
    let bound = Bound::of(default, bounds.floor, bounds.may);
    let mut risk = default.clone();
    let mut say = |field: &str, provenance| {
        risk.provenance.insert(field.to_owned(), provenance);
    };
    let severity = bound
        .severity
        .map_or(opinion.severity, |least| least.max(opinion.severity));
    if severity == opinion.severity {
        say("severity", source);
    } else {
        say("severity", Provenance::Floored);
    }
    let (likelihood, impact) = (of_percent(opinion.likelihood), of_percent(opinion.impact));
    let score = bounds.formula.score(likelihood, impact);
    let is_under = bound.score.is_some_and(|least| score < least);
    if is_under {
        say("score", Provenance::Floored);
        say("likelihood", Provenance::Default);
        say("impact", Provenance::Default);
    } else {
        for field in ["likelihood", "impact", "score"] {
            say(field, source);
        }
    }
    if opinion.rationale.is_some() {
        say("rationale", source);
    }
    risk.severity = severity;
    risk.proposed = (is_under || severity != opinion.severity).then_some(Proposed {
        severity: opinion.severity,
        likelihood,
        impact,
        score,
    });
    if !is_under {
        risk.likelihood = likelihood;
        risk.impact = impact;
        risk.score = score;
    }
    if let Some(rationale) = &opinion.rationale {
        risk.rationale.clone_from(rationale);
    }
    risk
}

/// How far the risk of a finding can go, whatever a model says of it, or whether it says anything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The least severity.
    pub least: Severity,
    /// The gravest severity.
    pub most: Severity,
    /// The least and the greatest score.
    pub scores: (f64, f64),
}

impl Range {
    /// The range of a default, where scores of a model go so far.
    #[must_use]
    pub fn new(default: &Risk, floor: Option<FloorSetting>, may: May, scores: (f64, f64)) -> Self {
        let bound = Bound::of(default, floor, may);
        let severity = bound.severity.unwrap_or(Severity::Low);
        let (least, most) = scores;
        let least = bound.score.map_or(least, |bound| bound.max(least));
        // No number reaches the bound: the default stays.
        let (least, most) = if least > most {
            (default.score, default.score)
        } else {
            (default.score.min(least), default.score.max(most))
        };
        Self {
            least: default.severity.min(severity),
            most: Severity::Critical,
            scores: (least, most),
        }
    }

    /// The severities in it.
    pub fn severities(self) -> impl Iterator<Item = Severity> {
        let all = SEVERITIES.iter().map(|(_, severity)| *severity);
        all.filter(move |severity| (self.least..=self.most).contains(severity))
    }
}

/// The default risk of a finding of which no reply was accepted.
#[must_use]
pub fn refused(default: &Risk, why: &str) -> Risk {
    let mut risk = default.clone();
    for provenance in risk.provenance.values_mut() {
        *provenance = Provenance::Refused;
    }
    risk.rationale = format!(
        "{}; the model's answer was refused: {why}",
        default.rationale
    );
    risk
}

fn of_percent(percent: u8) -> f64 {
    f64::from(percent) / 100.0
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

fn of_level(level: Level) -> (Severity, f64, f64) {
    match level {
        Level::Informational | Level::Low => (Severity::Low, 0.2, 0.2),
        Level::Medium => (Severity::Medium, 0.5, 0.6),
        Level::High => (Severity::High, 0.8, 0.8),
        Level::Critical => (Severity::Critical, 0.95, 0.9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::LazyLock;

    use proptest::prelude::*;

    static PRODUCT: LazyLock<Formula> = LazyLock::new(Formula::default);

    fn bounds(floor: Option<FloorSetting>, may: May) -> Bounds<'static> {
        Bounds {
            floor,
            may,
            formula: &PRODUCT,
            source: Provenance::Model,
        }
    }

    fn risk(severity: Severity, likelihood: u8, impact: u8) -> Risk {
        let (likelihood, impact) = (of_percent(likelihood), of_percent(impact));
        let fields = ["severity", "likelihood", "impact", "score", "rationale"];
        Risk {
            finding_id: Uuid::nil(),
            severity,
            likelihood,
            impact,
            score: PRODUCT.score(likelihood, impact),
            rationale: "default".to_owned(),
            provenance: fields
                .map(|field| (field.to_owned(), Provenance::Default))
                .into(),
            proposed: None,
            consulted: None,
        }
    }

    fn opinion(severity: Severity, likelihood: u8, impact: u8) -> Opinion {
        Opinion {
            severity,
            likelihood,
            impact,
            rationale: Some("commentary".to_owned()),
        }
    }

    /// Severity, likelihood, impact and score, each with where it came from.
    fn shown(risk: &Risk) -> String {
        let source = |field: &str| format!("{:?}", risk.provenance[field]).to_lowercase();
        format!(
            "{} {}, {:.2} {}, {:.2} {}, {:.2} {}",
            risk.severity.as_str(),
            source("severity"),
            risk.likelihood,
            source("likelihood"),
            risk.impact,
            source("impact"),
            risk.score,
            source("score"),
        )
    }

    #[test]
    fn the_ratchet_goes_one_way() {
        use Severity::{Critical, High, Low, Medium};
        let floor = |severity, score| Some(FloorSetting { severity, score });
        let default = risk(High, 80, 80);
        #[rustfmt::skip]
        let cases = [
            (None, May::Raise, opinion(Low, 1, 1), "high floored, 0.80 default, 0.80 default, 0.64 floored"),
            (None, May::Raise, opinion(Critical, 90, 90), "critical model, 0.90 model, 0.90 model, 0.81 model"),
            (None, May::Raise, opinion(Critical, 0, 100), "critical model, 0.80 default, 0.80 default, 0.64 floored"),
            (None, May::Raise, opinion(Low, 64, 100), "high floored, 0.64 model, 1.00 model, 0.64 model"),
            (floor(Some(Medium), Some(0.3)), May::Raise, opinion(Low, 50, 60), "medium floored, 0.50 model, 0.60 model, 0.30 model"),
            (floor(Some(Medium), Some(0.3)), May::Raise, opinion(Low, 50, 59), "medium floored, 0.80 default, 0.80 default, 0.64 floored"),
            (floor(Some(Medium), None), May::Raise, opinion(Low, 50, 60), "medium floored, 0.80 default, 0.80 default, 0.64 floored"),
            (floor(None, Some(0.3)), May::Raise, opinion(Low, 50, 60), "high floored, 0.50 model, 0.60 model, 0.30 model"),
            (None, May::Set, opinion(Low, 1, 1), "low model, 0.01 model, 0.01 model, 0.00 model"),
            (floor(Some(Medium), None), May::Set, opinion(Low, 1, 1), "medium floored, 0.01 model, 0.01 model, 0.00 model"),
            (floor(Some(Medium), Some(0.3)), May::Set, opinion(Low, 1, 1), "medium floored, 0.80 default, 0.80 default, 0.64 floored"),
        ];
        for (floor, may, opinion, expected) in cases {
            let bounded = bounded(&default, &bounds(floor, may), &opinion);
            assert_eq!(shown(&bounded), expected, "{floor:?} {may:?} {opinion:?}");
            assert_eq!(bounded.rationale, "commentary");
        }
    }

    #[test]
    fn a_reply_is_read_whatever_its_schema_let_through() {
        let read = |reply: Value| Opinion::read(&reply).map_err(|wrong| wrong.join("; "));
        let whole = json!({"severity": "low", "likelihood": 100.0, "impact": 0});
        assert_eq!(
            read(whole),
            Ok(Opinion {
                rationale: None,
                ..opinion(Severity::Low, 100, 0)
            })
        );
        let number = "expected a whole number from 0 to 100";
        #[rustfmt::skip]
        let cases = [
            (json!({"severity": "Low", "likelihood": 1, "impact": 1}), "severity: expected low, medium, high or critical".to_owned()),
            (json!({"severity": "none", "likelihood": 1, "impact": 1}), "severity: expected low, medium, high or critical".to_owned()),
            (json!({"severity": "low", "likelihood": 101, "impact": -1}), format!("likelihood: {number}; impact: {number}")),
            (json!({"severity": "low", "likelihood": "7", "impact": 0.5}), format!("likelihood: {number}; impact: {number}")),
            (json!({"severity": "low", "likelihood": 1e300, "impact": null}), format!("likelihood: {number}; impact: {number}")),
            (json!({"severity": "low", "likelihood": true, "impact": [1]}), format!("likelihood: {number}; impact: {number}")),
            (json!({"severity": "low", "likelihood": 1, "impact": 1, "rationale": 7}), "rationale: expected a text".to_owned()),
            (json!({"severity": "low", "likelihood": 1, "impact": 1, "rationale": "x".repeat(1001)}), "rationale: expected at most 1000 characters".to_owned()),
        ];
        for (reply, expected) in cases {
            assert_eq!(read(reply.clone()), Err(expected), "{reply}");
        }
        assert!(read(json!([1])).is_err() && read(Value::Null).is_err());
    }

    #[test]
    fn a_refused_reply_leaves_the_default() {
        let default = risk(Severity::High, 80, 80);
        let refused = refused(&default, "the reply is empty");
        assert_eq!(
            shown(&refused),
            "high refused, 0.80 refused, 0.80 refused, 0.64 refused"
        );
        assert_eq!(
            refused.rationale,
            "default; the model's answer was refused: the reply is empty"
        );
    }

    fn any_severity() -> impl Strategy<Value = Severity> {
        (0..4_usize).prop_map(|at| SEVERITIES[at].1)
    }

    proptest! {
        /// With `raise`, and unless the floor is lower, no reply gives less than the default; and a
        /// floor that the default keeps is kept.
        #[test]
        fn no_reply_is_under_the_bound(
            default in (any_severity(), 0..=100_u8, 0..=100_u8),
            says in (any_severity(), 0..=100_u8, 0..=100_u8),
            floor in proptest::option::of((any_severity(), 0..=100_u32)),
        ) {
            let default = risk(default.0, default.1, default.2);
            let opinion = opinion(says.0, says.1, says.2);
            let raised = bounded(&default, &bounds(None, May::Raise), &opinion);
            prop_assert!(raised.severity >= default.severity && raised.score >= default.score);
            if let Some((severity, hundredths)) = floor {
                let least = f64::from(hundredths) / 100.0;
                let floor = FloorSetting { severity: Some(severity), score: Some(least) };
                for may in [May::Raise, May::Set] {
                    let kept = bounded(&default, &bounds(Some(floor), may), &opinion);
                    prop_assert!(kept.severity >= severity);
                    prop_assert!(kept.score >= least.min(default.score));
                    prop_assert_eq!(kept.score, PRODUCT.score(kept.likelihood, kept.impact));
                }
            }
        }
    }
}
