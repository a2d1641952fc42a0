//! Who fills the slots of a run: the words of the command line for it, and what comes of them.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::cli::output::{UsageError, talk_problems};
use crate::config::{self, Config, Given, MODES, Mode};
use crate::diag::Problems;
use crate::llm::{Endpoint, Model};

/// The words.
#[derive(Debug, clap::Args)]
pub(super) struct SlotArgs {
    /// Who fills slots: their defaults, a model, a model whose answers are recorded, or a recording
    #[arg(long, value_name = "MODE", value_parser = mode)]
    slots: Option<Mode>,
    /// The file that `--slots record` writes and `--slots replay` reads
    #[arg(long, value_name = "FILE")]
    recording: Option<PathBuf>,
    /// Where the model is, such as http://127.0.0.1:1234/v1
    #[arg(long, value_name = "URL")]
    llm_base_url: Option<String>,
    /// The model's name at the endpoint
    #[arg(long, value_name = "NAME")]
    llm_model: Option<String>,
    /// How many calls may be made at once
    #[arg(long, value_name = "N")]
    llm_concurrency: Option<String>,
    /// The most calls of a run
    #[arg(long, value_name = "N")]
    llm_budget_calls: Option<String>,
    /// The most tokens of a run
    #[arg(long, value_name = "N")]
    llm_budget_tokens: Option<String>,
}

fn mode(text: &str) -> Result<Mode, String> {
    let known = MODES.iter().find(|(name, _)| *name == text);
    known.map(|(_, mode)| *mode).ok_or_else(|| {
        let names: Vec<&str> = MODES.iter().map(|(name, _)| *name).collect();
        format!("expected one of {}", names.join(", "))
    })
}

impl SlotArgs {
    /// Who is asked, if anybody.
    ///
    /// # Errors
    ///
    /// When the configuration is wrong, or names no model where one is to be asked.
    pub(super) fn model(&self) -> Result<Option<Box<dyn Model>>> {
        let config = self.config()?;
        let mode = self.slots.or(config.slots.mode).unwrap_or_default();
        match mode {
            Mode::Default => Ok(None),
            Mode::Live => Ok(Some(Box::new(endpoint(&config)?))),
            Mode::Record | Mode::Replay => {
                bail!(UsageError("recordings are not read yet".to_owned()))
            }
        }
    }

    fn config(&self) -> Result<Config> {
        let flags: Vec<(&str, &str)> = [
            ("base_url", &self.llm_base_url),
            ("model", &self.llm_model),
            ("concurrency", &self.llm_concurrency),
            ("budget_calls", &self.llm_budget_calls),
            ("budget_tokens", &self.llm_budget_tokens),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.as_deref()?)))
        .collect();
        let given = Given {
            folder: Path::new("."),
            environment: &|name| std::env::var_os(name),
            flags: &flags,
        };
        let mut problems = Problems::default();
        let config = config::read(&given, &mut problems);
        talk_problems(&problems);
        if problems.counts().0 > 0 {
            bail!(UsageError("the configuration is wrong".to_owned()));
        }
        Ok(config)
    }
}

fn endpoint(config: &Config) -> Result<Endpoint> {
    let settings = config
        .model()
        .map_err(|missing| UsageError(missing.to_string()))?;
    Endpoint::new(settings.clone()).map_err(|wrong| UsageError(wrong.to_string()).into())
}
