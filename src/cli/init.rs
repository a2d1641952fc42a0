//! `rulectl init`: a folder to begin with.

use std::path::PathBuf;

use anyhow::Result;

use crate::cli::output::{out, out_json};
use crate::cli::{Common, Exit, Format};
use crate::starter::{FILES, write};
use crate::visible::visible;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder to write
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

/// Runs the command.
pub fn init(common: &Common, args: &Args) -> Result<Exit> {
    write(&args.folder)?;
    let written: Vec<String> = FILES
        .iter()
        .map(|(path, _)| args.folder.join(path).display().to_string())
        .collect();
    match common.format {
        Format::Json => out_json(&written)?,
        Format::Ndjson => written.iter().try_for_each(out_json)?,
        Format::Text => {
            for path in &written {
                out(&format!("{}\n", visible(path)))?;
            }
            out("Next: `rulectl check`, `rulectl test`, and README.md there.\n")?;
        }
    }
    Ok(Exit::Done)
}
