//! `rulectl incident`: how far an incident has been dealt with, as a record of the audit.

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::audit::AuditError;
use crate::cli::audit::{folder, record_in};
use crate::cli::output::{UsageError, out, out_json, warn};
use crate::cli::{Common, Exit, Format};
use crate::promote::{Incident, IncidentStatus};
use crate::record::{StatusChange, Statuses, set_status, statuses};
use crate::render::status_changed;
use crate::store::{Artifacts, RunLock, read};
use crate::visible::visible;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The id of an incident or of its finding, or its beginning
    id: String,
    /// What it is from now on
    #[arg(value_enum)]
    status: StatusName,
    /// Why
    #[arg(long, value_name = "TEXT", value_parser = note)]
    note: Option<String>,
    /// Who says so; unless given, the user that the environment names
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StatusName {
    Open,
    Triaged,
    Closed,
}

/// A note is for a person, and stands in one record.
const LONGEST: usize = 4096;

/// Who works here, as far as the environment says.
fn user() -> String {
    let named = std::env::var("USER").ok().filter(|name| !name.is_empty());
    named.unwrap_or_else(|| "unknown".to_owned())
}

fn note(text: &str) -> Result<String, String> {
    if text.len() > LONGEST {
        return Err(format!("a note has at most {LONGEST} bytes"));
    }
    Ok(text.to_owned())
}

/// Runs the command.
pub fn run(common: &Common, args: &Args) -> Result<Exit> {
    let _lock = RunLock::take(&common.data)?;
    let artifacts = read(&common.data)?;
    let incident = named(&artifacts, &args.id)?;
    let audit = record_in(common)?;
    let earlier = known_statuses(common)?;
    let change = StatusChange {
        incident: incident.id,
        from: earlier
            .of(incident.id)
            .map_or(incident.status, |set| set.change.to),
        to: args.status.status(),
        note: args.note.clone(),
        by: args.by.clone().unwrap_or_else(user),
    };
    set_status(&audit, &change)?;
    audit.close()?;
    match common.format {
        Format::Text => out(&status_changed(&change))?,
        Format::Json | Format::Ndjson => out_json(&change)?,
    }
    Ok(Exit::Done)
}

/// The statuses that the audit records; none where there is no audit.
fn known_statuses(common: &Common) -> Result<Statuses> {
    match statuses(&folder(common)) {
        Err(AuditError::NoLog(_)) => Ok(Statuses::default()),
        known => Ok(known?),
    }
}

/// Gives each incident the status that it was set to last.
pub(super) fn fold_statuses(common: &Common, artifacts: &mut Artifacts) -> Statuses {
    match known_statuses(common) {
        Ok(known) => {
            for incident in &mut artifacts.incidents {
                let set = known.of(incident.id);
                incident.status = set.map_or(incident.status, |set| set.change.to);
            }
            known
        }
        Err(error) => {
            warn(&format!(
                "incidents are shown as they were found, since what became of them cannot be read: {error}"
            ));
            Statuses::default()
        }
    }
}

fn named<'a>(artifacts: &'a Artifacts, word: &str) -> Result<&'a Incident> {
    let found = artifacts.findings_called(word);
    let mut incidents = found
        .iter()
        .filter_map(|finding| artifacts.incident_of(finding.id));
    match (incidents.next(), incidents.next()) {
        (Some(incident), None) => Ok(incident),
        (Some(one), Some(other)) => bail!(UsageError(format!(
            "`{}` names several incidents: {} and {} among them",
            visible(word),
            one.id,
            other.id
        ))),
        (None, _) => bail!(UsageError(format!(
            "no incident of the last run is called `{}`; `rulectl show incidents` lists them",
            visible(word)
        ))),
    }
}

impl StatusName {
    fn status(self) -> IncidentStatus {
        match self {
            Self::Open => IncidentStatus::Open,
            Self::Triaged => IncidentStatus::Triaged,
            Self::Closed => IncidentStatus::Closed,
        }
    }
}
