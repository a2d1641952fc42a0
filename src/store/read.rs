//! Reading the artifacts of the last run.

use std::fs;
use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::command::Command;
use crate::detect::Finding;
use crate::draft::Draft;
use crate::event::Digest;
use crate::plan::Plan;
use crate::promote::{Incident, Verdict};
use crate::risk::Risk;
use crate::route::{Context, Route};
use crate::store::{ArtifactRecord, DRAFTS, RunRecord, StoreError, failed};

/// The artifacts of the last run, in their order.
#[derive(Clone, Debug)]
pub struct Artifacts {
    /// What the run was.
    pub run: RunRecord,
    /// Findings.
    pub findings: Vec<Finding>,
    /// Risks, with their verdicts.
    pub risks: Vec<RiskRecord>,
    /// Routes.
    pub routes: Vec<Route>,
    /// Incidents.
    pub incidents: Vec<Incident>,
    /// Plans.
    pub plans: Vec<Plan>,
    /// Commands.
    pub commands: Vec<Command>,
    /// What agents wrote.
    pub drafts: Vec<Draft>,
}

/// A line of `risks.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RiskRecord {
    /// The risk.
    #[serde(flatten)]
    pub risk: Risk,
    /// The verdict that it led to.
    pub promotion: Verdict,
}

/// A finding and all that hangs on it.
#[derive(Clone, Debug, Serialize)]
pub struct About<'a> {
    /// The finding.
    pub finding: &'a Finding,
    /// Its risk and verdict.
    pub risk: Option<&'a RiskRecord>,
    /// The route of the run, where a model was asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_route: Option<&'a Route>,
    /// Its incident, when it was promoted.
    pub incident: Option<&'a Incident>,
    /// The route of the incident.
    pub route: Option<&'a Route>,
    /// The plan of the incident.
    pub plan: Option<&'a Plan>,
    /// The commands of the incident.
    pub commands: Vec<&'a Command>,
    /// What agents wrote about the incident.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drafts: Vec<&'a Draft>,
}

/// Reads the artifacts of a data folder.
///
/// # Errors
///
/// When there are none, when they are not those that `run.json` names, or when a line is no record.
pub fn read(folder: &Path) -> Result<Artifacts, StoreError> {
    let path = folder.join("run.json");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::NoRun(folder.to_owned()));
        }
        Err(error) => return Err(failed(&path)(error)),
    };
    let run: RunRecord = serde_json::from_str(&text).map_err(|error| StoreError::Damaged {
        path,
        line: 1,
        reason: error.to_string(),
    })?;
    Ok(Artifacts {
        findings: artifact(folder, &run, "findings")?,
        risks: artifact(folder, &run, "risks")?,
        routes: artifact(folder, &run, "routes")?,
        incidents: artifact(folder, &run, "incidents")?,
        plans: artifact(folder, &run, "plans")?,
        commands: artifact(folder, &run, "commands")?,
        drafts: if run.artifacts.contains_key(DRAFTS) {
            artifact(folder, &run, DRAFTS)?
        } else {
            Vec::new()
        },
        run,
    })
}

fn artifact<T: DeserializeOwned>(
    folder: &Path,
    run: &RunRecord,
    name: &'static str,
) -> Result<Vec<T>, StoreError> {
    let path = folder.join(format!("{name}.jsonl"));
    let interrupted = || StoreError::Interrupted {
        folder: folder.to_owned(),
        artifact: name,
    };
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(interrupted()),
        Err(error) => return Err(failed(&path)(error)),
    };
    let named: Option<&ArtifactRecord> = run.artifacts.get(name);
    if named.is_none_or(|named| named.sha256 != Digest::of(&bytes)) {
        return Err(interrupted());
    }
    let lines = bytes
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.is_empty());
    lines
        .map(|(at, line)| {
            serde_json::from_slice(line).map_err(|error| StoreError::Damaged {
                path: path.clone(),
                line: at + 1,
                reason: error.to_string(),
            })
        })
        .collect()
}

impl Artifacts {
    /// The findings whose id, or whose incident's id, begins with `prefix`.
    #[must_use]
    pub fn findings_called(&self, prefix: &str) -> Vec<&Finding> {
        let prefix = prefix.to_lowercase();
        let begins = |id: Uuid| id.to_string().starts_with(&prefix);
        let called = |finding: &&Finding| {
            begins(finding.id)
                || self
                    .incident_of(finding.id)
                    .is_some_and(|incident| begins(incident.id))
        };
        self.findings.iter().filter(called).collect()
    }

    /// The findings whose plan's id, or whose own or incident's, begins with `prefix`.
    #[must_use]
    pub fn findings_planned(&self, prefix: &str) -> Vec<&Finding> {
        let called = self.findings_called(prefix);
        let prefix = prefix.to_lowercase();
        let is_planned = |finding: &&Finding| {
            let incident = self.incident_of(finding.id).map(|incident| incident.id);
            let mut plans = self.plans.iter();
            let plan = plans.find(|plan| Some(plan.incident_id) == incident);
            plan.is_some_and(|plan| plan.id.to_string().starts_with(&prefix))
                || called.iter().any(|other| other.id == finding.id)
        };
        self.findings.iter().filter(is_planned).collect()
    }

    /// All that hangs on a finding.
    #[must_use]
    pub fn about<'a>(&'a self, finding: &'a Finding) -> About<'a> {
        let incident = self.incident_of(finding.id);
        let id = incident.map(|incident| incident.id);
        About {
            finding,
            risk: self.risk_of(finding.id),
            run_route: self.run_route().filter(|route| route.consulted.is_some()),
            incident,
            route: self
                .routes
                .iter()
                .find(|route| id.is_some() && route.incident_id == id),
            plan: self.plans.iter().find(|plan| Some(plan.incident_id) == id),
            commands: self
                .commands
                .iter()
                .filter(|command| Some(command.incident_id) == id)
                .collect(),
            drafts: self
                .drafts
                .iter()
                .filter(|draft| Some(draft.incident_id) == id)
                .collect(),
        }
    }

    /// The route of the run.
    #[must_use]
    pub fn run_route(&self) -> Option<&Route> {
        let mut routes = self.routes.iter();
        routes.find(|route| route.context == Context::RawEvents)
    }

    /// The risk of a finding.
    #[must_use]
    pub fn risk_of(&self, finding: Uuid) -> Option<&RiskRecord> {
        self.risks
            .iter()
            .find(|record| record.risk.finding_id == finding)
    }

    /// The incident of a finding.
    #[must_use]
    pub fn incident_of(&self, finding: Uuid) -> Option<&Incident> {
        self.incidents
            .iter()
            .find(|incident| incident.finding_id == finding)
    }
}
