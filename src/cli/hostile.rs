//! `rulectl hostile`: the policy against whatever is written into a log and a model that obeys it.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;

use crate::cli::output::{bad, out, out_json, talk, talk_problems, warn};
use crate::cli::{Common, Exit, Format};
use crate::diag::Problems;
use crate::lab::hostile::{Attack, Report, Tally, attack, load_arsenal};
use crate::policy;
use crate::render::attacked;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only cases whose `PAYLOAD FIELD` holds one of these texts, and no malformed replies
    names: Vec<String>,
    /// The folder of payloads, fields and events [default: fixtures/injection of the policy folder]
    #[arg(long, value_name = "DIR")]
    payloads: Option<PathBuf>,
    /// Of the pairs of a payload and a field, one of so many
    #[arg(long, value_name = "N", default_value = "1")]
    every: std::num::NonZeroUsize,
    /// On how many threads [default: as many as there are processors]
    #[arg(long, value_name = "N")]
    threads: Option<std::num::NonZeroUsize>,
}

/// Runs the command.
pub fn hostile(common: &Common, args: &Args) -> Result<Exit> {
    let started = Instant::now();
    let loaded = policy::load(&common.policy);
    talk_problems(&loaded.problems);
    let mut problems = Problems::default();
    let default = || common.policy.join("fixtures/injection");
    let folder = args.payloads.clone().unwrap_or_else(default);
    let arsenal = load_arsenal(&folder, &mut problems);
    talk_problems(&problems);
    let (Some(policy), false) = (loaded.policy, problems.has_errors()) else {
        return Ok(Exit::Broken);
    };
    let threads = args.threads.or(std::thread::available_parallelism().ok());
    let how = Attack {
        threads: threads.map_or(1, std::num::NonZeroUsize::get),
        every: args.every.get(),
        names: args.names.clone(),
        // Who runs one case again wants to see that one.
        malformed: args.names.is_empty(),
    };
    let report = attack(&policy, &arsenal, &how)?;
    let total = report.total();
    if total.cases == 0 {
        bad(&format!(
            "no case is called `{}`",
            args.names.join("` or `")
        ));
        return Ok(Exit::Negative);
    }
    match common.format {
        Format::Text => out(&attacked(&report))?,
        Format::Json | Format::Ndjson => out_json(&report)?,
    }
    talk(&took(total.cases, started.elapsed().as_secs_f64()));
    Ok(ended(&report, total))
}

/// How long it took, which no two runs say alike and so stands beside the results.
fn took(cases: u64, seconds: f64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
    let rate = cases as f64 / seconds.max(0.001);
    format!("{cases} cases in {seconds:.1} s, {rate:.0} cases/s")
}

/// What the report answers; a log in which nothing is at stake answers nothing.
fn ended(report: &Report, total: Tally) -> Exit {
    if !report.holds() {
        return Exit::Negative;
    }
    if report.log.incidents == 0 {
        warn("no finding of the log becomes an incident, so that there was none to lose");
        return Exit::Inconclusive;
    }
    if total.accepted + total.repaired == 0 {
        warn(
            "no reply was accepted in any slot: the policy asks no model, or its schemas accept nothing",
        );
        return Exit::Inconclusive;
    }
    Exit::Done
}
