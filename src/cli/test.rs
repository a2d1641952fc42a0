//! `rulectl test`: the suites of the policy folder.

use anyhow::Result;
use serde::Serialize;

use crate::cli::databases::DatabaseArgs;
use crate::cli::output::{bad, out, out_json, talk_problems};
use crate::cli::{Common, Exit, Format};
use crate::lab::{CaseResult, Mismatch, Suite, load_suites, run_case};
use crate::okta::ADDRESS_FIELDS;
use crate::policy;
use crate::render::failed_case;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only cases whose `SUITE: CASE` holds one of these texts
    names: Vec<String>,
    #[command(flatten)]
    databases: DatabaseArgs,
}

/// Runs the command.
pub fn test(common: &Common, args: &Args) -> Result<Exit> {
    let databases = args.databases.open();
    let mut loaded = policy::load(&common.policy);
    let suites = load_suites(&common.policy, &mut loaded.problems);
    talk_problems(&loaded.problems);
    let broken = loaded.problems.has_errors();
    let (Some(mut policy), Some(databases)) = (loaded.policy.filter(|_| !broken), databases) else {
        return Ok(Exit::Broken);
    };
    let fields = databases.paths(&ADDRESS_FIELDS);
    policy.detector.note_supplied(&fields);
    let mut results = Vec::new();
    for suite in &suites {
        for case in suite
            .cases
            .iter()
            .filter(|case| is_selected(suite, &case.name, &args.names))
        {
            results.push((suite, run_case(&policy, case, &databases)));
        }
    }
    if results.is_empty() {
        bad(&nothing_selected(&suites, &args.names));
        return Ok(Exit::Negative);
    }
    report(common, &results)?;
    let failed = results
        .iter()
        .any(|(_, result)| !result.mismatches.is_empty());
    Ok(if failed { Exit::Negative } else { Exit::Done })
}

fn is_selected(suite: &Suite, case: &str, names: &[String]) -> bool {
    let full = format!("{}: {case}", suite.name).to_lowercase();
    names.is_empty() || names.iter().any(|name| full.contains(&name.to_lowercase()))
}

fn nothing_selected(suites: &[Suite], names: &[String]) -> String {
    if suites.is_empty() {
        return "the policy has no suites; write one as `fixtures/NAME.test.yml`".to_owned();
    }
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("no case is called {}", names.join(" or "))
}

fn report(common: &Common, results: &[(&Suite, CaseResult)]) -> Result<()> {
    let failed: Vec<_> = results
        .iter()
        .filter(|(_, result)| !result.mismatches.is_empty())
        .collect();
    let shown = || {
        results
            .iter()
            .map(|(suite, result)| Shown::new(suite, result))
    };
    match common.format {
        Format::Json => return out_json(&shown().collect::<Vec<_>>()),
        Format::Ndjson => return shown().try_for_each(|shown| out_json(&shown)),
        Format::Text => {}
    }
    for (suite, result) in &failed {
        out(&failed_case(suite, result))?;
    }
    out(&format!(
        "{} passed, {} failed\n",
        results.len() - failed.len(),
        failed.len()
    ))
}

/// A case for a machine.
#[derive(Serialize)]
struct Shown<'r> {
    suite: &'r str,
    file: &'r str,
    case: &'r str,
    passed: bool,
    mismatches: &'r [Mismatch],
}

impl<'r> Shown<'r> {
    fn new(suite: &'r Suite, result: &'r CaseResult) -> Self {
        Self {
            suite: &suite.name,
            file: &suite.file,
            case: &result.name,
            passed: result.mismatches.is_empty(),
            mismatches: &result.mismatches,
        }
    }
}
