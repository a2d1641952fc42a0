//! `rulectl doctor`: what works here and what does not, each with what to do.

use std::sync::Arc;

use anyhow::Result;

use crate::audit::{Audit, Options};
use crate::cli::output::{out, out_json};
use crate::cli::slots::SlotArgs;
use crate::cli::{Common, Exit, Format, okta};
use crate::config::Config;
use crate::diag::counted;
use crate::doctor::{self, Check, Verdict};
use crate::llm::Endpoint;
use crate::policy;
use crate::store::RunLock;

/// The words of the command.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Requests are recorded below `doctor/` of the data folder, so that a run that goes on is not in the way."
)]
pub struct Args {
    #[command(flatten)]
    slots: SlotArgs,
    /// Ask nobody: configuration, policy and this machine alone
    #[arg(long)]
    offline: bool,
}

/// Runs the command.
pub fn doctor(common: &Common, args: &Args) -> Result<Exit> {
    let config = args.slots.config()?;
    let mut checks = vec![policy_folder(common)];
    if args.offline {
        let settings = config.tenant().map(|settings| &settings.client);
        let lacks = settings.filter(|settings| settings.credentials.is_none());
        checks.extend(lacks.map(|_| doctor::no_credentials()));
    } else {
        checks.extend(tenant(common, &config)?);
        checks.push(model(&config));
    }
    checks.extend(doctor::sandbox());
    match common.format {
        Format::Text => out(&checks.iter().map(line).collect::<String>())?,
        Format::Json => out_json(&checks)?,
        Format::Ndjson => checks.iter().try_for_each(out_json)?,
    }
    let is_bad = checks.iter().any(|check| check.verdict == Verdict::Error);
    Ok(if is_bad { Exit::Broken } else { Exit::Done })
}

fn line(check: &Check) -> String {
    let mut line = format!(
        "{:<8} {:<14} {}\n",
        check.verdict.word(),
        check.name,
        check.found
    );
    if let Some(fix) = &check.fix {
        line.push_str(&format!("{:<24}{fix}\n", ""));
    }
    line
}

fn policy_folder(common: &Common) -> Check {
    let loaded = policy::load(&common.policy);
    let (errors, warnings) = loaded.problems.counts();
    let found = format!(
        "{}, {}",
        counted(errors as u64, "error"),
        counted(warnings as u64, "warning")
    );
    let verdict = match (errors, warnings) {
        (0, 0) => Verdict::Ok,
        (0, _) => Verdict::Warning,
        _ => Verdict::Error,
    };
    let fix = (verdict != Verdict::Ok).then(|| "`rulectl check` shows each".to_owned());
    Check {
        name: "policy",
        verdict,
        found,
        fix,
    }
}

fn tenant(common: &Common, config: &Config) -> Result<Vec<Check>> {
    let Some(settings) = config.tenant() else {
        return Ok(vec![Check {
            name: "tenant",
            verdict: Verdict::Unused,
            found: "none is configured: events are read from files".to_owned(),
            fix: Some("set `OKTA_ORG_URL`; `rulectl tenant` has an emulated one to try".to_owned()),
        }]);
    };
    let data = common.data.join("doctor");
    let _lock = RunLock::take(&data)?;
    let (audit, _) = Audit::open(&data.join("audit"), Options::live(None))?;
    let audit = Arc::new(audit);
    let stop = Arc::default();
    let recorded = Some(Arc::clone(&audit));
    let client = match okta::client(settings, doctor::operations(), recorded, &stop) {
        Ok(client) => client,
        Err(error) => {
            audit.close()?;
            return Ok(vec![doctor::bad_credentials(&error.to_string())]);
        }
    };
    let checks = doctor::tenant(&client, &settings.client);
    audit.close()?;
    Ok(checks)
}

fn model(config: &Config) -> Check {
    let configured = config.model().ok().cloned();
    match configured.map(Endpoint::new).transpose() {
        Ok(endpoint) => {
            let endpoint = endpoint.as_ref();
            doctor::model(endpoint.map(|endpoint| endpoint as &dyn crate::llm::Model))
        }
        Err(wrong) => Check {
            name: "model",
            verdict: Verdict::Error,
            found: wrong.to_string(),
            fix: None,
        },
    }
}
