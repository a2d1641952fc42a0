//! `rulectl audit verify`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::audit::{self, Against, Pin, PublicKey, size};
use crate::cli::audit::folder;
use crate::cli::output::{UsageError, out, out_json};
use crate::cli::progress::Meter;
use crate::cli::{Common, Exit, Format};
use crate::pipeline::Progress;
use crate::render::verified;
use crate::visible::reason;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A copy of an earlier `head.json`, or `SEQ:HASH` as `audit checkpoint` prints it
    #[arg(long, value_name = "FILE|SEQ:HASH")]
    pin: Option<String>,
    /// The public half of the key that signed the checkpoints
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// The folder of the audit; without it, `audit` in the data folder
    dir: Option<PathBuf>,
}

/// Runs the command.
pub fn verify(common: &Common, args: &Args) -> Result<Exit> {
    let folder = args.dir.clone().unwrap_or_else(|| folder(common));
    let against = Against {
        pin: args.pin.as_deref().map(pin).transpose()?,
        key: args
            .public_key
            .as_deref()
            .map(PublicKey::read)
            .transpose()?,
    };
    let meter = Meter::of("record", Some(size(&folder)));
    let report = audit::verify(&folder, &against, &mut |read, events| {
        meter.show(Progress { read, events });
    })?;
    meter.finish(report.records);
    match common.format {
        Format::Text => out(&verified(&folder, &report))?,
        Format::Json => out_json(&report)?,
        Format::Ndjson => {
            report.findings.iter().try_for_each(out_json)?;
        }
    }
    Ok(if report.verified {
        Exit::Done
    } else {
        Exit::Negative
    })
}

/// What was noted elsewhere, in a file or as it is.
fn pin(text: &str) -> Result<Pin> {
    if let Some(pin) = Pin::parse(text) {
        return Ok(pin);
    }
    let read = fs::read_to_string(Path::new(text));
    let content = read.map_err(|error| {
        UsageError(format!(
            "the pin `{text}` is neither `SEQ:HASH` nor a file that can be read: {}",
            reason(&error)
        ))
    })?;
    let pin = Pin::parse(&content);
    pin.ok_or_else(|| {
        UsageError(format!(
            "`{text}` holds no pin: expected a copy of `head.json`, or `SEQ:HASH`"
        ))
        .into()
    })
}
