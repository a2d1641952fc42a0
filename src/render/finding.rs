//! One finding explained: what happened, which rule noticed, what was decided and why.

use std::fmt::Write;

use crate::detect::Finding;
use crate::diag::counted;
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
    let verdict = if record.promotion.promoted {
        "promoted to an incident"
    } else {
        "not promoted"
    };
    field(
        out,
        "verdict",
        &format!("{verdict}: {}", record.promotion.reasons.join("; ")),
    );
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
        let agents: Vec<&str> = route
            .steps
            .iter()
            .map(|step| step.agent_name.as_str())
            .collect();
        field(
            out,
            "route",
            &format!("{} (phase {})", agents.join(", then "), route.phase),
        );
        for edit in &route.edits {
            field(
                out,
                "",
                &format!("{} {} by {}", edit.agent, edit.action.as_str(), edit.clause),
            );
        }
    }
    if let Some(plan) = about.plan {
        field(out, "goal", &plan.overall_goal);
        for (at, step) in plan.steps.iter().enumerate() {
            let approval = if step.requires_human_approval {
                " (needs approval)"
            } else {
                ""
            };
            field(
                out,
                "",
                &format!("{}. {}{approval}", at + 1, step.description),
            );
        }
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
            field(out, "", &labelled(&name, &text));
        }
    }
}
