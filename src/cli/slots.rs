//! Who fills the slots of a run: the words of the command line for it, and what comes of them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::cli::Exit;
use crate::cli::output::{UsageError, bad, talk, talk_problems, warn};
use crate::config::{self, Config, Given, MODES, Mode};
use crate::diag::{Problems, counted};
use crate::lab::diff::Answers;
use crate::llm::{Endpoint, Model};
use crate::record::Asks;
use crate::recording::{Of, Recording, RecordingError, RecordingModel, ReplayingModel};
use crate::visible::{reason, visible};

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

/// Where a policy folder has its recording, unless something else is said.
const RECORDING: &str = "fixtures/recordings/slots.jsonl";

/// So many reasons for missing replies are told.
const TOLD: usize = 10;

/// Who fills the slots of a run.
pub(super) enum Filler {
    /// Nobody: each takes its default.
    Default,
    /// A model.
    Live(Endpoint),
    /// A model, and what it answers is recorded.
    Record(RecordingModel, PathBuf),
    /// A recording.
    Replay(ReplayingModel, PathBuf),
}

/// What is known of what a model says, and who is asked for the rest.
pub(super) struct KnownFills {
    recording: Option<Recording>,
    endpoint: Option<Endpoint>,
}

impl KnownFills {
    /// Where a diff has its fills from.
    pub(super) fn answers(&mut self) -> Answers<'_> {
        Answers {
            recording: self.recording.take(),
            model: self
                .endpoint
                .as_ref()
                .map(|endpoint| endpoint as &dyn Model),
        }
    }
}

impl SlotArgs {
    /// Who is asked. A recording that is wrong is told, and how that ends the run is the error.
    ///
    /// # Errors
    ///
    /// When the configuration is wrong, or names no model where one is to be asked.
    pub(super) fn filler(&self, config: &Config, policy: &Path) -> Result<Result<Filler, Exit>> {
        let mode = self.slots.or(config.slots.mode).unwrap_or_default();
        let file = self.recording.as_ref().or(config.slots.recording.as_ref());
        let file = file.map_or_else(|| policy.join(RECORDING), PathBuf::clone);
        Ok(match mode {
            Mode::Default => Ok(Filler::Default),
            Mode::Live => Ok(Filler::Live(endpoint(config)?)),
            Mode::Record => match Recording::read(&file) {
                Ok(recording) => Ok(recorder(config, Some(recording), file)?),
                Err(RecordingError::Missing(_)) => Ok(recorder(config, None, file)?),
                Err(error) => Err(unusable(&error)),
            },
            Mode::Replay => {
                let recording = Recording::read(&file).map_err(|error| unusable(&error));
                recording.map(|recording| replayer(config, recording, file))
            }
        })
    }

    /// What is known of what a model says, for a diff: what was recorded, and who is asked for the
    /// rest, which is nobody unless the command line says so. A recording that is wrong is told, and
    /// how that ends the command is the error.
    ///
    /// # Errors
    ///
    /// When the configuration is wrong, or names no model where one is to be asked.
    pub(super) fn known(&self, policy: &Path) -> Result<Result<KnownFills, Exit>> {
        let config = self.config()?;
        let configured = config.slots.recording.as_ref();
        // One that is configured may still have to be recorded.
        let configured = configured.filter(|file| file.exists());
        let named = self.recording.as_ref().or(configured);
        let standing = policy.join(RECORDING);
        let file = match self.slots {
            Some(Mode::Default) => None,
            Some(Mode::Replay) => Some(named.unwrap_or(&standing)),
            None | Some(Mode::Live) => named,
            Some(Mode::Record) => bail!(UsageError(
                "`diff` records nothing: `--slots live` asks the model, and `--recording FILE` names what was recorded"
                    .to_owned()
            )),
        };
        let recording = match file.map(|file| Recording::read(file)).transpose() {
            Ok(recording) => recording,
            Err(error) => return Ok(Err(unusable(&error))),
        };
        let is_live = self.slots == Some(Mode::Live);
        let endpoint = is_live.then(|| endpoint(&config)).transpose()?;
        if let (Some(endpoint), Some(recording), Some(file)) = (&endpoint, &recording, file) {
            check_model(recording, &Of::new(&endpoint.about()), file)?;
        }
        Ok(Ok(KnownFills {
            recording,
            endpoint,
        }))
    }

    /// What is configured.
    ///
    /// # Errors
    ///
    /// When something of it is wrong, which is told.
    pub(super) fn config(&self) -> Result<Config> {
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

/// Tells why a recording cannot be used.
fn unusable(error: &RecordingError) -> Exit {
    error.to_string().lines().for_each(bad);
    match error {
        RecordingError::Missing(_) => Exit::Inconclusive,
        _ => Exit::Broken,
    }
}

fn recorder(config: &Config, earlier: Option<Recording>, file: PathBuf) -> Result<Filler> {
    let endpoint = endpoint(config)?;
    let of = Of::new(&endpoint.about());
    let shown = visible(&file.display().to_string());
    let recording = earlier.unwrap_or_else(|| Recording::new(of.clone()));
    check_model(&recording, &of, &file)?;
    let model = RecordingModel::new(Box::new(endpoint), recording, &file);
    let model = model.with_context(|| format!("the recording `{shown}` cannot be written"))?;
    Ok(Filler::Record(model, file))
}

/// Replies of one model are not mixed with those of another.
fn check_model(recording: &Recording, of: &Of, file: &Path) -> Result<()> {
    if recording.of() == of {
        return Ok(());
    }
    let shown = visible(&file.display().to_string());
    bail!(UsageError(format!(
        "the recording `{shown}` is of {}, and {of} is configured; name another file with `--recording`, or remove this one to record it anew",
        recording.of()
    )))
}

fn replayer(config: &Config, recording: Recording, file: PathBuf) -> Filler {
    let settings = config.settings();
    let asked = Of {
        model: settings.model.clone(),
        temperature: settings.temperature,
    };
    // Without a configured model, it is that of the recording that is meant.
    let asked = (!asked.model.is_empty()).then_some(&asked);
    Filler::Replay(
        ReplayingModel::new(recording, asked, settings.concurrency),
        file,
    )
}

impl Filler {
    /// Who is asked, if anybody.
    pub(super) fn model(&self) -> Option<&dyn Model> {
        match self {
            Self::Default => None,
            Self::Live(endpoint) => Some(endpoint),
            Self::Record(model, _) => Some(model),
            Self::Replay(model, _) => Some(model),
        }
    }

    /// What the audit says of it.
    pub(super) fn asks(&self) -> Option<Asks> {
        let model = self.model()?.about();
        let of = |mode: Mode| MODES.iter().find(|(_, known)| *known == mode);
        let mode = match self {
            Self::Default => Mode::Default,
            Self::Live(_) => Mode::Live,
            Self::Record(..) => Mode::Record,
            Self::Replay(..) => Mode::Replay,
        };
        let mode = of(mode).map_or_else(String::new, |(name, _)| (*name).to_owned());
        Some(Asks { mode, model })
    }

    /// Keeps what was recorded, and tells what was not.
    ///
    /// # Errors
    ///
    /// When the recording cannot be written.
    pub(super) fn finish(&self) -> Result<Exit> {
        match self {
            Self::Default | Self::Live(_) => Ok(Exit::Done),
            Self::Record(model, file) => keep(model, file),
            Self::Replay(model, file) => Ok(tell_missing(model, file)),
        }
    }
}

fn keep(model: &RecordingModel, file: &Path) -> Result<Exit> {
    let shown = visible(&file.display().to_string());
    if let Err(error) = model.write() {
        bail!(
            "the recording `{shown}` cannot be written: {}",
            reason(&error)
        );
    }
    let (replies, unanswered) = model.counts();
    let replies = counted(replies as u64, "reply");
    talk(&format!("the recording `{shown}` has {replies}"));
    if unanswered > 0 {
        let calls = counted(unanswered, "call");
        warn(&format!(
            "{calls} got no reply: the recording lacks what they asked, and `--slots replay` will miss it"
        ));
    }
    Ok(Exit::Done)
}

fn tell_missing(model: &ReplayingModel, file: &Path) -> Exit {
    let missing = model.missing();
    let shown = visible(&file.display().to_string());
    for kind in missing.iter().take(TOLD) {
        let (slot, requests) = (visible(&kind.slot), counted(kind.requests, "request"));
        warn(&format!(
            "{requests} of slot `{slot}`, in `{shown}`: {}",
            kind.why
        ));
    }
    if let Some(more) = missing.len().checked_sub(TOLD).filter(|more| *more > 0) {
        warn(&format!(
            "and {more} more kinds of requests without a reply"
        ));
    }
    if missing.is_empty() {
        Exit::Done
    } else {
        Exit::Inconclusive
    }
}
