//! `rulectl lsp`: an editor over standard input and output.

use std::io::{stdin, stdout};

use anyhow::{Context as _, Result};

use crate::cli::Exit;
use crate::lsp::{Ended, serve};
use crate::world::World;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What editors add to say how they talk; there is no other way
    #[arg(long, hide = true)]
    stdio: bool,
}

/// Runs the command.
pub fn lsp(_: &Args) -> Result<Exit> {
    let today = || (World::live().now)().day();
    let ended = serve(&mut stdin().lock(), &mut stdout().lock(), today);
    Ok(match ended.context("the editor cannot be talked to")? {
        Ended::Orderly => Exit::Done,
        Ended::Abrupt => Exit::Negative,
    })
}
