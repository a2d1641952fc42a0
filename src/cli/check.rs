//! `rulectl check`: every problem of the policy folder.

use anyhow::Result;

use crate::cli::output::{UsageError, out, out_json};
use crate::cli::{Common, Exit, Format};
use crate::diag::counted;
use crate::policy;
use crate::render::{code_page, nearest_code, problems_as_text, problems_as_values};

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Say what a code means, with an example and what to do; no policy is read
    #[arg(long, value_name = "CODE")]
    explain: Option<String>,
}

/// Runs the command.
pub fn check(common: &Common, args: &Args) -> Result<Exit> {
    match &args.explain {
        Some(code) => explain(common, code),
        None => check_policy(common),
    }
}

fn explain(common: &Common, code: &str) -> Result<Exit> {
    let Some(page) = code_page(code) else {
        let near = nearest_code(code).map(|near| format!("; did you mean `{near}`?"));
        let near = near.unwrap_or_else(|| "; a code is like `RL0122`".to_owned());
        return Err(UsageError(format!("there is no code `{code}`{near}")).into());
    };
    match common.format {
        Format::Text => out(&page.as_text())?,
        Format::Json | Format::Ndjson => out_json(&page)?,
    }
    Ok(Exit::Done)
}

fn check_policy(common: &Common) -> Result<Exit> {
    let loaded = policy::load(&common.policy);
    match common.format {
        Format::Text => {
            let clean = loaded.problems.counts() == (0, 0);
            if !clean {
                out(&problems_as_text(&loaded.problems, true))?;
            }
            if let Some(policy) = &loaded.policy {
                let ready = if clean {
                    "no problems"
                } else {
                    "the policy can be activated"
                };
                out(&format!(
                    "{ready}: {}, {}, policy {}\n",
                    counted(policy.rules.len() as u64, "rule"),
                    counted(policy.commands.len() as u64, "command template"),
                    policy.digest
                ))?;
            }
        }
        Format::Json => out_json(&problems_as_values(&loaded.problems))?,
        Format::Ndjson => {
            let values = problems_as_values(&loaded.problems);
            values.iter().try_for_each(out_json)?;
        }
    }
    Ok(if loaded.policy.is_some() {
        Exit::Done
    } else {
        Exit::Broken
    })
}
