//! `rulectl audit export`.

use anyhow::Result;
use clap::ValueEnum;

use crate::cli::audit::select::Select;
use crate::cli::output::{out, out_json};
use crate::cli::{Common, Exit};
use crate::render::{CSV_HEADER, as_csv};

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The form
    #[arg(long, value_enum)]
    to: To,
    #[command(flatten)]
    select: Select,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum To {
    /// One JSON value a line, as it is recorded
    Ndjson,
    /// A table: RFC 4180, with what a spreadsheet would take for a formula behind a `'`
    Csv,
}

/// Runs the command.
pub fn export(common: &Common, args: &Args) -> Result<Exit> {
    match args.to {
        To::Ndjson => args.select.each(common, |record| out_json(&record))?,
        To::Csv => {
            out(CSV_HEADER)?;
            args.select.each(common, |record| out(&as_csv(&record)))?;
        }
    }
    Ok(Exit::Done)
}
