//! `rulectl audit show`.

use anyhow::Result;

use crate::cli::audit::select::Select;
use crate::cli::output::{out, out_json};
use crate::cli::{Common, Exit, Format};
use crate::render::recorded;
use crate::visible::json;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    select: Select,
}

/// Runs the command.
pub fn show(common: &Common, args: &Args) -> Result<Exit> {
    match common.format {
        Format::Text => args.select.each(common, |record| out(&recorded(&record)))?,
        Format::Ndjson => args.select.each(common, |record| out_json(&record))?,
        Format::Json => {
            let mut before = "[";
            let shown = args.select.each(common, |record| {
                let line = json(&record)?;
                out(&format!("{before}{line}"))?;
                before = ",\n";
                Ok(())
            });
            let begin = if before == "[" { "[" } else { "" };
            out(&format!("{begin}]\n"))?;
            shown?;
        }
    }
    Ok(Exit::Done)
}
