//! `rulectl audit checkpoint` and `rulectl audit keygen`.

use std::path::PathBuf;

use anyhow::Result;

use crate::audit::{Signer, public_file};
use crate::cli::audit::{KEY_FILE, open};
use crate::cli::output::{out, out_json, talk};
use crate::cli::{Common, Exit, Format};
use crate::diag::counted;
use crate::visible::visible;

/// The words of `keygen`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file of the key; its public half goes into FILE.pub
    file: PathBuf,
}

/// Writes a checkpoint and prints the pin.
pub fn checkpoint(common: &Common) -> Result<Exit> {
    let (_lock, audit) = open(common)?;
    let checkpoint = audit.close()?;
    match common.format {
        Format::Text => {
            let signed = match &checkpoint.key {
                Some(key) => format!("signed by the key {key}"),
                None => format!("not signed: {KEY_FILE} names no key"),
            };
            let records = counted(checkpoint.records, "record");
            talk(&format!(
                "{records} of the log {}, {signed}",
                checkpoint.log
            ));
            talk("keep this where whoever writes the log cannot write, for `audit verify --pin`:");
            out(&(checkpoint.pin() + "\n"))?;
        }
        Format::Json | Format::Ndjson => out_json(&checkpoint)?,
    }
    Ok(Exit::Done)
}

/// Makes a key.
pub fn keygen(common: &Common, args: &Args) -> Result<Exit> {
    let public = Signer::generate(&args.file)?;
    let file = visible(&args.file.display().to_string());
    let beside = visible(&public_file(&args.file).display().to_string());
    match common.format {
        Format::Text => {
            talk(&format!(
                "the key {} is in `{file}`; {KEY_FILE}={file} lets it sign checkpoints",
                public.id()
            ));
            talk(&format!(
                "its public half is in `{beside}`, for `audit verify --public-key`:"
            ));
            out(&public.pem())?;
        }
        Format::Json | Format::Ndjson => {
            out_json(&serde_json::json!({"key": public.id(), "public": public.pem()}))?;
        }
    }
    Ok(Exit::Done)
}
