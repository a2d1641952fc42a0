//! Tables of artifacts.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use crate::draft::Draft;
use crate::render::finding;
use crate::render::status::status;
use crate::render::style::{short, time};
use crate::store::{Artifacts, RiskRecord};
use crate::visible::visible;

/// Tables are as wide as this at the most, on a terminal or not: output does not depend on where it goes.
const WIDTH: u16 = 120;

/// The findings, each with what became of it.
#[must_use]
pub fn findings(artifacts: &Artifacts) -> String {
    let rows = artifacts.findings.iter().map(|finding| {
        let risk = artifacts.risk_of(finding.id);
        let became = artifacts
            .incident_of(finding.id)
            .map_or(not_promoted(risk).to_owned(), |incident| {
                format!("incident {}", short(incident.id))
            });
        vec![
            short(finding.id),
            time(finding.created_at),
            risk.map_or_else(String::new, |record| {
                format!("{} {:.2}", record.risk.severity.as_str(), record.risk.score)
            }),
            finding.description.clone(),
            became,
        ]
    });
    table(
        &["finding", "last hit (UTC)", "risk", "what", "became"],
        rows,
    )
}

fn not_promoted(risk: Option<&RiskRecord>) -> &'static str {
    if risk.is_some_and(|record| record.promotion.withheld) {
        "withheld by a model"
    } else {
        "not promoted"
    }
}

/// The incidents.
#[must_use]
pub fn incidents(artifacts: &Artifacts) -> String {
    let rows = artifacts.incidents.iter().map(|incident| {
        vec![
            short(incident.id),
            time(incident.created_at),
            format!("{} {:.2}", incident.severity.as_str(), incident.risk_score),
            status(incident.status).to_owned(),
            incident.title.clone(),
            incident.description.clone(),
            short(incident.finding_id),
        ]
    });
    table(
        &[
            "incident",
            "last hit (UTC)",
            "risk",
            "status",
            "title",
            "what",
            "finding",
        ],
        rows,
    )
}

/// The steps of every plan.
#[must_use]
pub fn plans(artifacts: &Artifacts) -> String {
    let rows = artifacts.plans.iter().flat_map(|plan| {
        plan.steps.iter().enumerate().map(|(at, step)| {
            let marks = finding::marks(plan, step);
            vec![
                short(plan.incident_id),
                (at + 1).to_string(),
                step.step_id.clone(),
                step.description.clone(),
                step.dependencies.join(", "),
                marks.join(", "),
            ]
        })
    });
    table(&["incident", "#", "step", "what to do", "after", ""], rows)
}

/// The commands, one under the other: they are for copying.
#[must_use]
pub fn commands(artifacts: &Artifacts) -> String {
    let mut out = String::from(
        "Suggestions for a human to read, fill in and run. rulectl executes none of them.\n",
    );
    for command in &artifacts.commands {
        let kind = if command.read_only {
            "read-only"
        } else {
            "changes the tenant"
        };
        out.push_str(&format!(
            "\n# incident {}, step {}: {} ({kind})\n",
            short(command.incident_id),
            visible(&command.step_id),
            visible(&command.description)
        ));
        if !command.notes.is_empty() {
            out.push_str(&format!("# {}\n", visible(&command.notes)));
        }
        out.push_str(&format!("{}\n", visible(&command.command)));
    }
    out
}

/// What agents wrote, one under the other: it is for reading and copying.
#[must_use]
pub fn drafts(artifacts: &Artifacts) -> String {
    let mut out =
        String::from("Drafts for a human to read, correct and use. rulectl sends none of them.\n");
    for draft in &artifacts.drafts {
        let incident = short(draft.incident_id);
        let head = written(draft);
        out.push_str(&format!("\n# incident {incident}, {}\n", visible(&head)));
        for (name, text) in lines(draft) {
            // Nothing that a draft says can be taken for the head of another.
            out.push_str(&format!("  {}\n", visible(&labelled(&name, &text))));
        }
    }
    out
}

/// Which agent wrote a draft, and where its words come from.
pub(super) fn written(draft: &Draft) -> String {
    let agent = &draft.agent_name;
    let source = draft.provenance.as_str();
    match (&draft.failed, &draft.refused) {
        (Some(_), _) => format!("{agent} failed"),
        (None, Some(why)) => format!("{agent} (the default; the model was refused: {why})"),
        (None, None) => format!("{agent} ({source})"),
    }
}

/// What a draft says, a line at a time, each with the name of its field where it begins one; what
/// has many lines comes last.
pub(super) fn lines(draft: &Draft) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    match &draft.content {
        Some(Value::Object(fields)) => {
            let mut fields: Vec<(&String, String)> = fields
                .iter()
                .map(|(name, value)| (name, text_of(value)))
                .collect();
            fields.sort_by_key(|(_, text)| text.lines().count() > 1);
            for (name, text) in fields {
                push_lines(name, &text, &mut lines);
            }
        }
        Some(value) => push_lines("", &text_of(value), &mut lines),
        None => {}
    }
    if let Some(failed) = &draft.failed {
        push_lines("why", &failed.reason, &mut lines);
        if !failed.stopped.is_empty() {
            push_lines("did not run", &failed.stopped.join(", "), &mut lines);
        }
    }
    lines
}

/// A line of a draft with the name of its field, where it has one.
pub(super) fn labelled(name: &str, text: &str) -> String {
    if name.is_empty() {
        return text.to_owned();
    }
    format!("{name}: {text}")
}

fn text_of(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn push_lines(name: &str, text: &str, lines: &mut Vec<(String, String)>) {
    for (at, line) in text.lines().enumerate() {
        let name = if at == 0 { name } else { "" };
        lines.push((name.to_owned(), line.to_owned()));
    }
}

pub(super) fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    table_within(WIDTH, head, rows)
}

/// A table of another width.
pub(super) fn table_within(
    width: u16,
    head: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width);
    table.set_header(head.iter().map(|text| text.to_uppercase()));
    for row in rows {
        table.add_row(row.iter().map(|text| visible(text)));
    }
    format!("{}\n", table.trim_fmt())
}
