//! Writing to the two streams: data on stdout, talk on stderr.

use std::io::{self, IsTerminal, Write};

use anyhow::Result;
use serde::Serialize;

use crate::cli::{Color, Exit};
use crate::diag::Problems;
use crate::render::{Styles, problems_as_text};
use crate::visible::{json, reason, visible};
use crate::world::World;

/// Makes `--color` hold for both streams.
pub fn set_color(color: Color) {
    match color {
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
}

/// Writes text to stdout; whoever reads it may close it at any time.
pub fn out(text: &str) -> Result<()> {
    finish(anstream::stdout().write_all(text.as_bytes()))
}

/// Writes a value to stdout as one line of JSON.
pub fn out_json(value: &impl Serialize) -> Result<()> {
    out(&(json(value)? + "\n"))
}

/// Writes a line to stderr.
pub fn talk(line: &str) {
    // There is nobody to tell when stderr is closed.
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// A line that warns.
pub fn warn(line: &str) {
    let (style, end) = (Styles::severity(crate::detect::Severity::Medium), "warning");
    talk(&format!("{style}{end}{style:#}: {line}"));
}

/// Problems of a policy, on stderr, when there are any that are not suppressed today.
pub fn talk_problems(problems: &Problems) {
    let mut problems = problems.clone();
    // Whether a comment is needed is for `check` to say, which looks for everything.
    problems.settle((World::live().now)().day(), |_| false);
    if problems.counts() != (0, 0) {
        let text = problems_as_text(&problems, true);
        let _ = anstream::stderr().write_all(text.as_bytes());
    }
}

/// Reports an error that ended a command, with its causes.
pub fn report(error: &anyhow::Error) -> Exit {
    if let Some(usage) = error.downcast_ref::<UsageError>() {
        bad(&usage.0);
        return Exit::Usage;
    }
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    bad(&text);
    Exit::Broken
}

/// A line that reports an error.
pub fn bad(line: &str) {
    let style = Styles::BAD;
    talk(&format!("{style}error{style:#}: {}", visible(line)));
}

/// Something that a person wrote on the command line is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// Whether stderr is a terminal, so that progress may be shown.
pub fn is_interactive() -> bool {
    io::stderr().is_terminal()
}

fn finish(result: io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => anyhow::bail!("standard output cannot be written: {}", reason(&error)),
        Ok(()) => Ok(()),
    }
}
