//! `rulectl check`: every problem of the policy folder.

use anyhow::Result;

use crate::cli::output::{out, out_json};
use crate::cli::{Common, Exit, Format};
use crate::diag::counted;
use crate::policy;
use crate::render::{problems_as_text, problems_as_values};

/// Runs the command.
pub fn check(common: &Common) -> Result<Exit> {
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
