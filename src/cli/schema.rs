//! `rulectl schema`: the formats of a policy as JSON Schema.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::cli::Exit;
use crate::cli::output::{UsageError, out, talk};
use crate::schema::{Format, schema};
use crate::visible::visible;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which format
    #[arg(value_enum, required_unless_present = "write")]
    of: Option<Word>,
    /// Write every schema into a folder, as NAME.json
    #[arg(long, value_name = "DIR", conflicts_with = "of")]
    write: Option<PathBuf>,
}

/// A format, as it is asked for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Word {
    /// A document of `rules/**/*.yml`
    Rules,
    /// `routing.toml`
    Routing,
    /// `tools.yaml`
    Tools,
    /// The front matter of `prompts/**/*.md`
    Prompts,
    /// `fixtures/**/*.test.yml`
    Tests,
}

impl Word {
    fn format(self) -> Format {
        match self {
            Self::Rules => Format::Rules,
            Self::Routing => Format::Routing,
            Self::Tools => Format::Tools,
            Self::Prompts => Format::Prompts,
            Self::Tests => Format::Tests,
        }
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Exit> {
    match (args.of, &args.write) {
        (Some(of), _) => out(&as_text(of.format())?)?,
        (None, Some(folder)) => write(folder)?,
        (None, None) => return Err(UsageError("name a format".to_owned()).into()),
    }
    Ok(Exit::Done)
}

fn as_text(format: Format) -> Result<String> {
    Ok(serde_json::to_string_pretty(&schema(format))? + "\n")
}

fn write(folder: &Path) -> Result<()> {
    let shown = visible(&folder.display().to_string());
    fs::create_dir_all(folder).with_context(|| format!("`{shown}` cannot be made"))?;
    for (name, format) in Format::ALL {
        let path = folder.join(format!("{name}.json"));
        let shown = visible(&path.display().to_string());
        let written = fs::write(&path, as_text(format)?);
        written.with_context(|| format!("`{shown}` cannot be written"))?;
        talk(&format!("wrote {shown}"));
    }
    Ok(())
}
