//! `rulectl show`: the artifacts of the last run.

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde::Serialize;

use crate::cli::audit::folder;
use crate::cli::incident::fold_statuses;
use crate::cli::output::{UsageError, bad, out, out_json, warn};
use crate::cli::{Common, Exit, Format};
use crate::detect::Finding;
use crate::lab::replay::{RecordedFill, fills, findings_called};
use crate::record::Statuses;
use crate::render;
use crate::store::{Artifacts, read};
use crate::visible::visible;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to show; without it, findings and incidents
    what: Option<What>,
    /// The id of a finding, or its beginning
    id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Every finding, with what became of it
    Findings,
    /// Every incident
    Incidents,
    /// The steps of every plan
    Plans,
    /// Every suggested command
    Commands,
    /// What agents wrote about incidents
    Drafts,
    /// One finding, explained
    Finding,
}

/// Runs the command.
pub fn show(common: &Common, args: &Args) -> Result<Exit> {
    if args.id.is_some() && args.what != Some(What::Finding) {
        bail!(UsageError("an id goes with `show finding ID`".to_owned()));
    }
    let mut artifacts = read(&common.data)?;
    let statuses = fold_statuses(common, &mut artifacts);
    let artifacts = artifacts;
    for reason in &artifacts.run.failed {
        warn(&format!(
            "the run did not read all of its input: {}",
            visible(reason)
        ));
    }
    match args.what {
        Some(What::Finding) => {
            let Some(id) = &args.id else {
                bail!(UsageError(
                    "which finding? `show findings` lists their ids".to_owned()
                ))
            };
            return show_finding(common, &artifacts, &statuses, id);
        }
        Some(What::Findings) => list(common, &artifacts.findings, || render::findings(&artifacts))?,
        Some(What::Incidents) => list(common, &artifacts.incidents, || {
            render::incidents(&artifacts)
        })?,
        Some(What::Plans) => list(common, &artifacts.plans, || render::plans(&artifacts))?,
        Some(What::Commands) => list(common, &artifacts.commands, || render::commands(&artifacts))?,
        Some(What::Drafts) => list(common, &artifacts.drafts, || render::drafts(&artifacts))?,
        None => match common.format {
            Format::Text => out(&format!(
                "{}\n{}",
                render::findings(&artifacts),
                render::incidents(&artifacts)
            ))?,
            Format::Json | Format::Ndjson => out_json(
                &serde_json::json!({"findings": artifacts.findings, "incidents": artifacts.incidents}),
            )?,
        },
    }
    Ok(Exit::Done)
}

fn list<T: Serialize>(common: &Common, records: &[T], text: impl FnOnce() -> String) -> Result<()> {
    match common.format {
        Format::Text => out(&text()),
        Format::Json => out_json(&records),
        Format::Ndjson => records.iter().try_for_each(out_json),
    }
}

fn show_finding(
    common: &Common,
    artifacts: &Artifacts,
    statuses: &Statuses,
    id: &str,
) -> Result<Exit> {
    let found = artifacts.findings_called(id);
    let finding = match found.as_slice() {
        [finding] => *finding,
        [] => {
            bad(&format!(
                "no finding of the last run has an id that begins with `{id}`; `rulectl show findings` lists them"
            ));
            return Ok(Exit::Negative);
        }
        several => {
            let ids: Vec<String> = several
                .iter()
                .take(5)
                .map(|finding| finding.id.to_string())
                .collect();
            bail!(UsageError(format!(
                "{} findings begin with `{id}`: {}",
                several.len(),
                ids.join(", ")
            )));
        }
    };
    if common.format == Format::Text {
        let about = artifacts.about(finding);
        out(&render::explain_finding(&about))?;
        out(&render::asked(&fills_of(common, finding)))?;
        let set = about.incident.and_then(|incident| statuses.of(incident.id));
        if let Some(set) = set {
            out(&render::status_set(set))?;
        }
        return Ok(Exit::Done);
    }
    out_json(&artifacts.about(finding))?;
    Ok(Exit::Done)
}

/// What a model was asked of a finding when it was told last, as far as the audit has it.
fn fills_of(common: &Common, finding: &Finding) -> Vec<RecordedFill> {
    let audit = folder(common);
    let called = findings_called(&audit, &finding.id.to_string());
    let last = called.ok().and_then(|mut called| called.pop());
    last.map_or_else(Vec::new, |last| fills(&audit, &last))
}
