//! Tables of artifacts.

use comfy_table::{ContentArrangement, Table, presets};

use crate::render::status::status;
use crate::render::style::{short, time};
use crate::store::Artifacts;
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
            .map_or("not promoted".to_owned(), |incident| {
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
            let marks = [
                (step.mandatory, "mandatory"),
                (step.requires_human_approval, "needs approval"),
            ];
            let marks: Vec<&str> = marks
                .iter()
                .filter(|(set, _)| *set)
                .map(|(_, text)| *text)
                .collect();
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
