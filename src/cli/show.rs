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
use crate::store::{About, Artifacts, read};
use crate::visible::visible;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to show; without it, findings and incidents
    what: Option<What>,
    /// The id of a finding, an incident or a plan, or its beginning
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
    /// One incident, explained
    Incident,
    /// One plan, explained
    Plan,
}

impl What {
    /// The word for one of what has an id, and where such are listed.
    fn one(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Finding => Some(("finding", "findings")),
            Self::Incident => Some(("incident", "incidents")),
            Self::Plan => Some(("plan", "plans")),
            Self::Findings | Self::Incidents | Self::Plans | Self::Commands | Self::Drafts => None,
        }
    }

    /// Whether there is such among what hangs on a finding.
    fn is_in(self, about: &About<'_>) -> bool {
        match self {
            Self::Incident => about.incident.is_some(),
            Self::Plan => about.plan.is_some(),
            _ => true,
        }
    }
}

/// Runs the command.
pub fn show(common: &Common, args: &Args) -> Result<Exit> {
    let one = args.what.and_then(|what| Some((what, what.one()?)));
    if args.id.is_some() && one.is_none() {
        let message = "an id goes with `show finding ID`, `show incident ID` and `show plan ID`";
        bail!(UsageError(message.to_owned()));
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
    if let Some((what, (word, listed))) = one {
        let Some(id) = &args.id else {
            bail!(UsageError(format!(
                "which {word}? `show {listed}` lists their ids"
            )))
        };
        return show_one(common, &artifacts, &statuses, what, id);
    }
    match args.what {
        Some(What::Findings) => list(common, &artifacts.findings, || render::findings(&artifacts))?,
        Some(What::Incidents) => list(common, &artifacts.incidents, || {
            render::incidents(&artifacts)
        })?,
        Some(What::Plans) => list(common, &artifacts.plans, || render::plans(&artifacts))?,
        Some(What::Commands) => list(common, &artifacts.commands, || render::commands(&artifacts))?,
        Some(What::Drafts) => list(common, &artifacts.drafts, || render::drafts(&artifacts))?,
        Some(What::Finding | What::Incident | What::Plan) | None => match common.format {
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

fn show_one(
    common: &Common,
    artifacts: &Artifacts,
    statuses: &Statuses,
    what: What,
    id: &str,
) -> Result<Exit> {
    let found = match what {
        What::Plan => artifacts.findings_planned(id),
        _ => artifacts.findings_called(id),
    };
    let (word, listed) = what.one().unwrap_or_default();
    let abouts = found.iter().map(|finding| artifacts.about(finding));
    let abouts: Vec<About<'_>> = abouts.filter(|about| what.is_in(about)).collect();
    let about = match abouts.as_slice() {
        [about] => about,
        [] => {
            bad(&format!(
                "no {word} of the last run has an id that begins with `{}`; `rulectl show {listed}` lists them",
                visible(id)
            ));
            return Ok(Exit::Negative);
        }
        several => {
            let ids = several.iter().take(5).map(|about| about.finding.id);
            let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
            bail!(UsageError(format!(
                "{} findings begin with `{}`: {}",
                several.len(),
                visible(id),
                ids.join(", ")
            )));
        }
    };
    if common.format != Format::Text {
        out_json(about)?;
        return Ok(Exit::Done);
    }
    out(&match what {
        What::Plan => render::explain_plan(about),
        What::Incident => render::explain_incident(about),
        _ => render::explain_finding(about),
    })?;
    out(&render::told(&fills_of(common, about.finding)))?;
    let set = about.incident.and_then(|incident| statuses.of(incident.id));
    if let Some(set) = set.filter(|_| what != What::Plan) {
        out(&render::status_set(set))?;
    }
    Ok(Exit::Done)
}

/// What a model was asked of a finding when it was told last, as far as the audit has it.
fn fills_of(common: &Common, finding: &Finding) -> Vec<RecordedFill> {
    let audit = folder(common);
    let called = findings_called(&audit, &finding.id.to_string());
    let last = called.ok().and_then(|mut called| called.pop());
    last.map_or_else(Vec::new, |last| fills(&audit, &last))
}
