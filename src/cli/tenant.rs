//! `rulectl tenant`: an emulated Okta tenant on loopback.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;

use crate::cli::Exit;
use crate::cli::live::told_to_stop;
use crate::cli::output::{out, talk, warn};
use crate::diag::counted;
use crate::tenant::{self, Clock, Fault, Options, Scenario, Tenant};

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where it listens: an address of loopback; port 0 is any
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// What it holds; without a file, a small organization that is built in
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// What ids, draws and tokens are made of
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// A fault: NAME, NAME=SHARE, NAME=KIND or NAME=KIND:SHARE, such as `server-error=0.1`
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<Fault>,
    /// Events of the System Log, one JSON object a line, in the place of those of the scenario
    #[arg(long = "log", value_name = "FILE")]
    logs: Vec<PathBuf>,
    /// Move the times of all events, so that the newest is now
    #[arg(long)]
    shift_to_now: bool,
    /// Write each request there, one JSON line each, without credentials
    #[arg(long, value_name = "FILE")]
    request_log: Option<PathBuf>,
}

/// Whether to stop is looked at so often.
const LOOK: Duration = Duration::from_millis(50);

/// Runs the command.
pub fn tenant(args: &Args) -> Result<Exit> {
    let stop = told_to_stop()?;
    let scenario = args.scenario()?;
    let options = Options {
        listen: args.listen,
        seed: args.seed,
        clock: Clock::Real,
        request_log: args.request_log.clone(),
    };
    let tenant = tenant::start(scenario, options)?;
    for fault in &args.faults {
        talk(&format!("fault: {fault}"));
        tenant.set_fault(*fault);
    }
    announce(&tenant)?;
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK);
    }
    let requests = tenant.requests().len() as u64;
    talk(&format!("stopped after {}", counted(requests, "request")));
    Ok(Exit::Done)
}

impl Args {
    fn scenario(&self) -> Result<Scenario> {
        let mut scenario = match &self.scenario {
            Some(path) => Scenario::open(path)?,
            None => Scenario::built_in(self.seed),
        };
        if !self.logs.is_empty() {
            scenario.log.built_in = false;
            scenario.log.files.clone_from(&self.logs);
        }
        scenario.log.shift_to_now |= self.shift_to_now;
        Ok(scenario)
    }
}

/// What a client needs, in the form of `.env`, whole, before anybody can wait for it.
fn announce(tenant: &Tenant) -> Result<()> {
    let mut block = format!("OKTA_ORG_URL={}\n", tenant.origin());
    match tenant.token() {
        Some(token) => block.push_str(&format!("OKTA_API_TOKEN={token}\n")),
        None => talk("the scenario has no API token that is valid"),
    }
    block.push_str("OKTA_ALLOW_PRIVATE=true\n");
    out(&block)?;
    let expired = tenant.log_expired() as u64;
    if expired > 0 {
        let expired = counted(expired, "event");
        warn(&format!(
            "{expired} of the log are older than the 90 days that Okta keeps, and are not told: `--shift-to-now` moves all"
        ));
    }
    let events = counted(tenant.log_persisted() as u64, "event");
    talk(&format!(
        "the System Log has {events}; Ctrl-C ends the tenant"
    ));
    Ok(())
}
