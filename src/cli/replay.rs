//! `rulectl replay`: recorded decisions again, from the audit alone.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde_json::json;
use uuid::Uuid;

use crate::audit::AuditError;
use crate::cli::audit::folder;
use crate::cli::databases::DatabaseArgs;
use crate::cli::output::{UsageError, bad, out, out_json, talk_problems};
use crate::cli::{Common, Exit, Format, questions};
use crate::command::Command;
use crate::detect::Finding;
use crate::draft::Draft;
use crate::lab::replay::{
    RecordedFinding, Replay, ReplayError, Report, fills, findings_called, origins, recorded_runs,
    replay,
};
use crate::plan::Plan;
use crate::policy::{self, Policy};
use crate::promote::Incident;
use crate::record::kinds;
use crate::render::{decided_again, explain_finding, replayed, told};
use crate::route::Route;
use crate::store::{About, RiskRecord};
use crate::visible::visible;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One decision, explained: the number of its record, the beginning of the id of a finding or an incident, or the id of a question
    decision: Option<String>,
    /// One run alone
    #[arg(long, value_name = "ID")]
    run: Option<Uuid>,
    /// Decide by the policy in this folder, and not by the recorded ones
    #[arg(long, value_name = "DIR")]
    under: Option<PathBuf>,
    #[command(flatten)]
    databases: DatabaseArgs,
}

/// Runs the command.
pub fn run(common: &Common, args: &Args) -> Result<Exit> {
    if let Some(id) = args.decision.as_deref().filter(|id| id.starts_with("q-")) {
        return questions::replay(common, id);
    }
    match again(common, args) {
        // A log that does not verify is an answer, and no.
        Err(error) if is_damaged(&error) => {
            bad(&error.to_string());
            Ok(Exit::Negative)
        }
        outcome => outcome,
    }
}

fn is_damaged(error: &anyhow::Error) -> bool {
    let audit = error.downcast_ref::<AuditError>();
    let replayed = error.downcast_ref::<ReplayError>();
    matches!(audit, Some(AuditError::Damaged { .. }))
        || matches!(
            replayed,
            Some(ReplayError::Audit(AuditError::Damaged { .. }))
        )
}

fn again(common: &Common, args: &Args) -> Result<Exit> {
    let audit = folder(common);
    let Some(databases) = args.databases.open() else {
        return Ok(Exit::Broken);
    };
    let mut under = match &args.under {
        Some(folder) => match policy_in(folder) {
            Some(policy) => Some(policy),
            None => return Ok(Exit::Broken),
        },
        None => None,
    };
    let finding = match &args.decision {
        Some(word) => Some(named(&audit, word)?),
        None => None,
    };
    let report = replay(Replay {
        audit: &audit,
        data: &common.data,
        under: under.as_mut(),
        databases,
        only: finding.as_ref().map(|finding| finding.run).or(args.run),
        about: finding.as_ref().map(|finding| finding.seq..=finding.last),
    })?;
    if report.runs.is_empty() {
        let run = args.run.map_or_else(String::new, |run| format!(" `{run}`"));
        bail!(UsageError(format!(
            "the audit records no run{run}; `rulectl audit show --kind run.begun` lists them"
        )));
    }
    match finding {
        Some(finding) => one(common, &audit, &finding, report),
        None => all(common, &report),
    }
}

fn policy_in(folder: &Path) -> Option<Policy> {
    let loaded = policy::load(folder);
    talk_problems(&loaded.problems);
    loaded.policy
}

/// The last finding that a word names.
fn named(audit: &Path, word: &str) -> Result<RecordedFinding> {
    let mut called = findings_called(audit, word)?;
    let ids: Vec<Finding> = called.iter().filter_map(finding_of).collect();
    if let Some(first) = ids.first()
        && let Some(other) = ids.iter().find(|finding| finding.id != first.id)
    {
        bail!(UsageError(format!(
            "`{}` names several findings: {} and {} among them",
            visible(word),
            first.id,
            other.id
        )));
    }
    match called.pop() {
        Some(finding) => Ok(finding),
        None => bail!(UsageError(format!(
            "no record of the audit is about `{}`; `rulectl audit show --kind finding` lists the findings",
            visible(word)
        ))),
    }
}

fn finding_of(recorded: &RecordedFinding) -> Option<Finding> {
    recorded.says(kinds::FINDING, Some("finding"))
}

fn all(common: &Common, report: &Report) -> Result<Exit> {
    match common.format {
        Format::Text => out(&replayed(report))?,
        Format::Json => out_json(report)?,
        Format::Ndjson => report.runs.iter().try_for_each(out_json)?,
    }
    Ok(exit(report))
}

fn exit(report: &Report) -> Exit {
    let same = if report.is_same() {
        Exit::Done
    } else {
        Exit::Negative
    };
    same.or(if report.is_conclusive() {
        Exit::Done
    } else {
        Exit::Inconclusive
    })
}

/// Explains one finding from what is recorded, and says whether it came out the same.
fn one(common: &Common, audit: &Path, recorded: &RecordedFinding, report: Report) -> Result<Exit> {
    let Some(finding) = finding_of(recorded) else {
        bail!(
            "record {} is a finding that this version cannot read",
            recorded.seq
        );
    };
    let runs = recorded_runs(audit)?;
    let run = runs.iter().find(|run| run.run == recorded.run);
    let fills = fills(audit, recorded);
    let origins = run.map_or_else(Vec::new, |run| origins(audit, run, &finding.event_digests));
    if common.format == Format::Text {
        let risk: Option<RiskRecord> = risk_of(recorded);
        let incident: Option<Incident> = recorded.says(kinds::INCIDENT, Some("incident"));
        let route: Option<Route> = recorded.says(kinds::ROUTE, Some("route"));
        let plan: Option<Plan> = recorded.says(kinds::PLAN, Some("plan"));
        let commands: Vec<Command> = recorded
            .says(kinds::COMMANDS, Some("commands"))
            .unwrap_or_default();
        let drafts: Vec<Draft> = recorded.all(kinds::DRAFT, "draft");
        out(&explain_finding(&About {
            finding: &finding,
            risk: risk.as_ref(),
            run_route: None,
            incident: incident.as_ref(),
            route: route.as_ref(),
            plan: plan.as_ref(),
            commands: commands.iter().collect(),
            drafts: drafts.iter().collect(),
        }))?;
        out(&told(&fills))?;
        out(&decided_again(recorded, &origins, &report))?;
    } else {
        let decisions = recorded.decisions.iter();
        let decisions: Vec<_> = decisions
            .map(|(kind, body)| json!({"kind": kind, "body": body}))
            .collect();
        out_json(
            &json!({"seq": recorded.seq, "decisions": decisions, "slots": fills, "events": origins, "replay": report}),
        )?;
    }
    Ok(exit(&report))
}

/// The risk with the verdict, as the artifacts have them.
fn risk_of(recorded: &RecordedFinding) -> Option<RiskRecord> {
    Some(RiskRecord {
        risk: recorded.says(kinds::RISK, Some("risk"))?,
        promotion: recorded.says(kinds::RISK, Some("promotion"))?,
    })
}
