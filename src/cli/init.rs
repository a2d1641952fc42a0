//! `rulectl init`: a folder to begin with.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::cli::output::{UsageError, out, out_json};
use crate::cli::{Common, Exit, Format};
use crate::starter::{FILES, write};
use crate::visible::visible;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder to write [default: the one of --policy]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Runs the command.
pub fn init(common: &Common, args: &Args) -> Result<Exit> {
    let folder = args.folder.as_ref().unwrap_or(&common.policy);
    if args.folder.is_some() && common.policy != Path::new(".") {
        let message = "`--policy` and DIR both name the folder to write; keep one of them";
        bail!(UsageError(message.to_owned()));
    }
    write(folder)?;
    let written: Vec<String> = FILES
        .iter()
        .map(|(path, _)| folder.join(path).display().to_string())
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
