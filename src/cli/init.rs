//! `rulectl init`: a folder to begin with.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cli::output::{UsageError, out, out_json};
use crate::cli::{Common, Exit, Format};
use crate::starter::{FILES, write};
use crate::visible::visible;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder to write [default: the policy folder]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Runs the command.
pub fn init(common: &Common, args: &Args) -> Result<Exit> {
    let folder = folder(common, args)?;
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

/// The folder that is named, as a word or as the policy folder.
fn folder<'a>(common: &'a Common, args: &'a Args) -> Result<&'a Path> {
    let Some(folder) = &args.folder else {
        return Ok(&common.policy);
    };
    let is_named_twice = common.policy != Path::new(".") && common.policy != *folder;
    if is_named_twice {
        let (one, other) = (
            folder.display().to_string(),
            common.policy.display().to_string(),
        );
        let (one, other) = (visible(&one), visible(&other));
        let message =
            format!("`init {one}` and `--policy {other}` name two folders; name one of them");
        return Err(UsageError(message).into());
    }
    Ok(folder)
}
