//! What the gate says of a change, as text.

use std::fmt::Write;

use serde_json::json;

use crate::lab::diff::{Breach, Judged, Outcome, Place, Verdict, Waived};
use crate::render::style::{Styles, styled};
use crate::visible::visible;

/// Every clause: those that fail first, each with what it does not let through.
pub(super) fn gate(verdict: &Verdict) -> String {
    let mut out = String::new();
    let title = if verdict.passed {
        "passed"
    } else {
        "not passed"
    };
    let title = format!("Gate: {title}");
    let _ = writeln!(out, "\n{}", styled(Styles::HEADING, &title));
    let mut clauses: Vec<&Judged> = verdict.clauses.iter().collect();
    clauses.sort_by_key(|judged| judged.outcome);
    for judged in clauses {
        let style = match judged.outcome {
            Outcome::Failed => Styles::BAD,
            Outcome::NotJudged | Outcome::Waived => Styles::HEADING,
            Outcome::Passed => Styles::GOOD,
        };
        let label = styled(style, &format!("{:<11}", judged.outcome.as_str()));
        let place = styled(Styles::QUIET, &place(&judged.place));
        let _ = writeln!(out, "  {label} {}  {place}", visible(&clause(judged)));
        judged
            .breaches
            .iter()
            .for_each(|breach| told(&mut out, breach));
        if judged.outcome == Outcome::NotJudged {
            line(&mut out, "no logs were replayed: `--logs FILE` names some");
        }
    }
    for waiver in &verdict.idle_waivers {
        let label = styled(Styles::QUIET, &format!("{:<11}", "idle"));
        let of = waiver.of.as_deref().map(|of| format!(" of `{of}`"));
        let text = format!(
            "the waiver of {}{} lets nothing through that would not pass",
            waiver.clause.as_str(),
            of.unwrap_or_default()
        );
        let place = styled(Styles::QUIET, &place(&waiver.place));
        let _ = writeln!(out, "  {label} {}  {place}", visible(&text));
    }
    out
}

/// `lost_findings = "high"`, `rules.mfa_fatigue.findings_per_day = 5`.
pub(super) fn clause(judged: &Judged) -> String {
    let rule = judged.rule.as_ref().map(|rule| format!("rules.{rule}."));
    let bound = json!(judged.bound);
    let of_base = if judged.side == "base" {
        ", as the base has it"
    } else {
        ""
    };
    let key = judged.clause.as_str();
    format!("{}{key} = {bound}{of_base}", rule.unwrap_or_default())
}

fn told(out: &mut String, breach: &Breach) {
    let at = breach.at.as_ref().map(|at| format!("  {}", place(at)));
    line(
        out,
        &format!("{}{}", breached(breach), at.unwrap_or_default()),
    );
    if let Some(waiver) = &breach.waiver {
        line(out, &waived(waiver));
    }
}

/// What a clause does not let through, with what it is of.
pub(super) fn breached(breach: &Breach) -> String {
    let of = breach.of.as_ref();
    let of = of.filter(|of| !breach.what.contains(&format!("`{of}`")));
    let of = of.map(|of| format!("{of}: ")).unwrap_or_default();
    format!("{of}{}", breach.what)
}

/// Until when and why something is let through all the same, or was.
pub(super) fn waived(waiver: &Waived) -> String {
    let Waived { until, reason, .. } = waiver;
    let at = place(&waiver.place);
    if waiver.expired {
        format!("the waiver ended with {until} ({reason}, {at})")
    } else {
        format!("waived until {until}: {reason} ({at})")
    }
}

fn line(out: &mut String, text: &str) {
    let _ = writeln!(out, "              {}", visible(text));
}

pub(super) fn place(place: &Place) -> String {
    format!("{}:{}", place.file, place.line)
}
