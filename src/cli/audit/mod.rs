//! `rulectl audit`: the record of what came in, was decided and was done.

mod export;
mod keys;
mod prune;
mod select;
mod show;
mod verify;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use crate::audit::{Audit, AuditError, Options, Recovery, Signer, is_open_to_others, size};
use crate::cli::output::warn;
use crate::cli::{Common, Exit};
use crate::render::recovered;
use crate::store::RunLock;
use crate::visible::visible;

/// Names the file of the key that signs checkpoints.
const KEY_FILE: &str = "RULECTL_AUDIT_KEY_FILE";

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check that the audit is as it was written, and say what cannot be proved
    Verify(verify::Args),
    /// Show records
    Show(show::Args),
    /// Write records for other programs
    Export(export::Args),
    /// Destroy bodies that are old, or one; the log keeps their names
    Prune(prune::Args),
    /// Write a checkpoint and print the pin, to be kept elsewhere
    Checkpoint,
    /// Make a key that signs checkpoints
    Keygen(keys::Args),
}

/// Runs the command.
pub fn audit(common: &Common, args: &Args) -> Result<Exit> {
    match &args.command {
        Command::Verify(args) => verify::verify(common, args),
        Command::Show(args) => show::show(common, args),
        Command::Export(args) => export::export(common, args),
        Command::Prune(args) => prune::prune(common, args),
        Command::Checkpoint => keys::checkpoint(common),
        Command::Keygen(args) => keys::keygen(common, args),
    }
}

/// The audit of a data folder.
pub fn folder(common: &Common) -> PathBuf {
    common.data.join("audit")
}

/// The key that signs checkpoints, if the environment names one.
///
/// # Errors
///
/// When it cannot be read.
fn signer() -> Result<Option<Signer>> {
    let Some(path) = std::env::var_os(KEY_FILE).filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let path = PathBuf::from(path);
    let signer = Signer::read(&path)?;
    if is_open_to_others(&path) {
        let path = visible(&path.display().to_string());
        warn(&format!(
            "others than its owner may read the key file `{path}`; `chmod 600` keeps it secret"
        ));
    }
    Ok(Some(signer))
}

/// Says what opening the audit set right.
fn talk_recovery(recovery: &Recovery) {
    recovered(recovery).iter().for_each(|line| warn(line));
}

/// Opens the audit of a data folder whose lock is held, or begins one, and says what a crash had left.
///
/// # Errors
///
/// When it cannot be opened, or the key that signs cannot be read.
pub fn record_in(common: &Common) -> Result<Audit> {
    let (audit, recovery) = Audit::open(&folder(common), Options::live(signer()?))?;
    talk_recovery(&recovery);
    Ok(audit)
}

/// Opens an audit that exists, to add to it.
fn open(common: &Common) -> Result<(RunLock, Audit)> {
    let folder = folder(common);
    if size(&folder) == 0 {
        return Err(AuditError::NoLog(folder).into());
    }
    let lock = RunLock::take(&common.data)?;
    Ok((lock, record_in(common)?))
}
