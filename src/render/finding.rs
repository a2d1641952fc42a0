//! One finding explained: what happened, which rule noticed, what was decided and why.

use std::fmt::Write;

use crate::detect::Finding;
use crate::diag::counted;
use crate::plan::{Plan, Step};
use crate::render::asked;
use crate::render::lists::{labelled, lines, written};
use crate::render::style::{Styles, field, raw_field, severity, styled, time};
use crate::render::summary::moment_text;
use crate::store::About;
use crate::visible::visible;

/// The explanation of a finding and of all that hangs on it.
#[must_use]
pub fn explain_finding(about: &About<'_>) -> String {
    let finding = about.finding;
    let mut out = String::new();
    let _ = writeln!(out, "{}", styled(Styles::HEADING, &finding.rule_title));
    let _ = writeln!(out, "  {}", visible(&finding.description));
    what_happened(&mut out, finding);
    which_rule(&mut out, finding);
    what_was_decided(&mut out, about);
    what_to_do(&mut out, about);
    out
}

fn section(out: &mut String, text: &str) {
    let style = Styles::HEADING;
    let _ = writeln!(out, "\n  {style}{text}{style:#}");
}

fn what_happened(out: &mut String, finding: &Finding) {
    section(out, "What happened");
    field(
        out,
        "finding",
        &format!("{} ({})", finding.id, finding.finding_type),
    );
    field(
        out,
        "when",
        &format!(
            "{} to {} UTC",
            time(finding.first_seen),
            time(finding.last_seen)
        ),
    );
    field(
        out,
        "user",
        finding
            .user_id
            .as_deref()
            .unwrap_or("none, or the events disagree"),
    );
    for (name, value) in &finding.group {
        field(out, "group", &format!("{name} = {value}"));
    }
    field(
        out,
        "events",
        &format!(
            "{}, {}",
            counted(finding.count, "event"),
            counted(finding.hits, "hit")
        ),
    );
    for moment in &finding.timeline {
        raw_field(out, "", &moment_text(moment));
    }
    for (name, values) in &finding.metadata {
        field(out, "seen", &format!("{name}: {}", values.join(" | ")));
    }
    if !finding.enriched.is_empty() {
        let fields = finding.enriched.join(", ");
        field(
            out,
            "enriched",
            &format!("{fields}: from a database, where an event lacks it"),
        );
    }
    if let Some(continues) = finding.continues {
        field(out, "continues", &continues.to_string());
    }
}

fn which_rule(out: &mut String, finding: &Finding) {
    section(out, "Which rule noticed, and why");
    let name = finding.rule_name.as_deref().unwrap_or("without a name");
    field(
        out,
        "rule",
        &format!(
            "{} ({name}), level {}",
            finding.rule,
            finding.level.as_str()
        ),
    );
    if let Some(author) = &finding.rule_author {
        field(out, "author", author);
    }
    if !finding.tags.is_empty() {
        field(out, "tags", &finding.tags.join(", "));
    }
    for reason in &finding.reasons {
        field(out, "first hit", reason);
    }
}

fn what_was_decided(out: &mut String, about: &About<'_>) {
    section(out, "What was decided");
    let Some(record) = about.risk else {
        return;
    };
    let risk = &record.risk;
    raw_field(
        out,
        "risk",
        &format!(
            "{} {:.2} = likelihood {:.2} × impact {:.2}",
            severity(risk.severity).trim_end(),
            risk.score,
            risk.likelihood,
            risk.impact
        ),
    );
    if risk.consulted.is_none() {
        let from: Vec<String> = risk
            .provenance
            .iter()
            .map(|(name, provenance)| format!("{name} {provenance:?}").to_lowercase())
            .collect();
        field(
            out,
            "from",
            &format!("{}; {}", risk.rationale, from.join(", ")),
        );
    }
    asked::risk(out, risk);
    let verdict = if record.promotion.promoted {
        "promoted to an incident"
    } else {
        "not promoted"
    };
    let verdict = format!("{verdict}: {}", record.promotion.reasons.join("; "));
    asked::prose(out, "verdict", &verdict);
    if let Some(route) = about.run_route.filter(|route| route.consulted.is_some()) {
        section(out, "How the run was routed");
        asked::route(out, "route", route);
    }
}

/// The explanation of an incident: what it is, and how its response came about.
#[must_use]
pub fn explain_incident(about: &About<'_>) -> String {
    let mut out = String::new();
    let Some(incident) = about.incident else {
        return out;
    };
    let _ = writeln!(out, "{}", styled(Styles::HEADING, &incident.title));
    let _ = writeln!(out, "  {}", visible(&incident.description));
    section(&mut out, "What it rests on");
    field(&mut out, "finding", &incident.finding_id.to_string());
    for (name, values) in &incident.metadata {
        asked::prose(&mut out, "has", &format!("{name}: {}", values.join(" | ")));
    }
    what_was_decided(&mut out, about);
    what_to_do(&mut out, about);
    out
}

/// The explanation of a plan: each step with the reason for it, and what was proposed.
#[must_use]
pub fn explain_plan(about: &About<'_>) -> String {
    let mut out = String::new();
    let (Some(incident), Some(plan)) = (about.incident, about.plan) else {
        return out;
    };
    let _ = writeln!(out, "{}", styled(Styles::HEADING, &incident.title));
    let _ = writeln!(out, "  {}", visible(&incident.description));
    section(&mut out, "Plan");
    field(&mut out, "plan", &plan.id.to_string());
    field(&mut out, "incident", &incident.id.to_string());
    asked::goal(&mut out, plan);
    asked::plan(&mut out, plan);
    for (at, step) in plan.steps.iter().enumerate() {
        section(&mut out, &format!("{}. {}", at + 1, visible(&step.step_id)));
        asked::prose(&mut out, "what", &step.description);
        asked::prose(&mut out, "why", &step.rationale);
        let marks = marks(plan, step);
        if !marks.is_empty() {
            field(&mut out, "is", &marks.join(", "));
        }
        if !step.dependencies.is_empty() {
            asked::prose(&mut out, "after", &step.dependencies.join(", "));
        }
        asked::comment(&mut out, "model", step.comment.as_deref());
        let commands = about.commands.iter();
        for command in commands.filter(|command| command.step_id == step.step_id) {
            field(&mut out, "command", &command.command);
        }
    }
    out
}

fn what_to_do(out: &mut String, about: &About<'_>) {
    let Some(incident) = about.incident else {
        return;
    };
    section(out, "What to do");
    field(
        out,
        "incident",
        &format!("{} ({:?})", incident.id, incident.status).to_lowercase(),
    );
    if let Some(route) = about.route {
        asked::route(out, "route", route);
    }
    if let Some(plan) = about.plan {
        asked::goal(out, plan);
        steps(out, plan);
        asked::plan(out, plan);
    }
    for command in &about.commands {
        let kind = if command.read_only {
            "read-only"
        } else {
            "changes the tenant"
        };
        field(out, "command", &format!("{} ({kind})", command.description));
        field(out, "", &command.command);
        if !command.notes.is_empty() {
            field(out, "", &command.notes);
        }
    }
    for draft in &about.drafts {
        field(out, "draft", &written(draft));
        for (name, text) in lines(draft) {
            // A model wrote it, or a log: no line of it may look like ours.
            asked::quoted(out, "", &labelled(&name, &text));
        }
    }
}

/// The steps of a plan, and what a model says of each.
fn steps(out: &mut String, plan: &Plan) {
    for (at, step) in plan.steps.iter().enumerate() {
        let marks = marks(plan, step);
        let marks = if marks.is_empty() {
            String::new()
        } else {
            format!(" ({})", marks.join(", "))
        };
        asked::prose(out, "", &format!("{}. {}{marks}", at + 1, step.description));
        asked::comment(out, "", step.comment.as_deref());
    }
}

/// What there is to say of a step: who wants it, and whether a human has to agree.
pub(super) fn marks(plan: &Plan, step: &Step) -> Vec<&'static str> {
    let marks = [
        (step.mandatory, "mandatory"),
        (plan.is_proposed(step), "proposed"),
        (step.requires_human_approval, "needs approval"),
    ];
    let marks = marks.into_iter().filter(|(set, _)| *set);
    marks.map(|(_, text)| text).collect()
}
