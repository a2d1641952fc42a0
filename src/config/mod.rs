//! How the program is set up where it runs: flags, over the environment, over `.env`, over
//! `rulectl.toml`, over what holds without any of them.
//!
//! Each of these is read into the same tree of values with their places, so that a setting is
//! decoded in one way wherever it is written, and every problem is reported. What is secret comes
//! from the environment, `.env` or a file of its own; no problem shows a part of it.

mod dotenv;
mod files;
mod key;
mod layer;
mod masked;
mod model;
mod okta;
mod setting;
mod slots;

pub use self::okta::OktaSettings;
pub use self::slots::{MODES, Mode, SlotsGiven};

use std::ffi::OsString;
use std::path::Path;

use crate::config::layer::Layer;
use crate::config::setting::MODEL_KEY;
use crate::diag::Problems;
use crate::llm::Settings;

/// The codes of problems of the configuration.
pub mod codes {
    /// A file of the configuration that cannot be read.
    pub const UNREADABLE: &str = "RL0701";
    /// A secret in `rulectl.toml`.
    pub const SECRET: &str = "RL0702";
    /// A key that is given twice, or that is empty.
    pub const KEY: &str = "RL0703";
}

/// What is configured on top of files.
pub struct Given<'a> {
    /// The folder of `rulectl.toml` and `.env`.
    pub folder: &'a Path,
    /// A variable of the environment.
    pub environment: &'a dyn Fn(&str) -> Option<OsString>,
    /// Options of the command line: the key of a setting, such as `base_url`, and its text.
    pub flags: &'a [(&'a str, &'a str)],
}

/// What is configured, checked.
#[derive(Clone, Debug)]
pub struct Config {
    model: Settings,
    okta: Option<OktaSettings>,
    /// What `rulectl.toml` says of slots.
    pub slots: SlotsGiven,
}

/// A model is to be asked, and none is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no model is configured: set `{variable}`, or `{key}` below [llm] of rulectl.toml")]
pub struct NoModel {
    variable: &'static str,
    key: &'static str,
}

/// A tenant is to be asked, and none is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTenant {
    /// No address.
    #[error(
        "no tenant is configured: set `OKTA_ORG_URL`, or `org_url` below [okta] of rulectl.toml; `rulectl tenant` has an emulated one"
    )]
    Address,
    /// Nobody who asks.
    #[error(
        "no credentials are configured: set `OKTA_API_TOKEN`, or `OKTA_CLIENT_ID` and `OKTA_PRIVATE_KEY_FILE`"
    )]
    Credentials,
}

impl Config {
    /// How the tenant is asked.
    ///
    /// # Errors
    ///
    /// When no tenant is configured, or nobody who asks.
    pub fn okta(&self) -> Result<&OktaSettings, NoTenant> {
        let settings = self.okta.as_ref().ok_or(NoTenant::Address)?;
        let credentials = settings.client.credentials.as_ref();
        credentials.map(|_| settings).ok_or(NoTenant::Credentials)
    }

    /// What is configured of a tenant, perhaps without credentials.
    #[must_use]
    pub fn tenant(&self) -> Option<&OktaSettings> {
        self.okta.as_ref()
    }

    /// How the model is asked.
    ///
    /// # Errors
    ///
    /// When neither an endpoint nor the name of a model has a default that could be meant.
    pub fn model(&self) -> Result<&Settings, NoModel> {
        let missing = |variable, key| Err(NoModel { variable, key });
        if self.model.base_url.is_empty() {
            return missing("LLM_BASE_URL", "base_url");
        }
        if self.model.model.is_empty() {
            return missing("LLM_MODEL", "model");
        }
        Ok(&self.model)
    }

    /// The settings of a model that need not be configured.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.model
    }
}

/// What is configured; reports every problem of it. With an error in `problems` it is not whole.
pub fn read(given: &Given<'_>, problems: &mut Problems) -> Config {
    let file = Layer::of_toml(given.folder, problems);
    let slots = file.slots.clone();
    let layers = [
        file,
        Layer::of_dotenv(given.folder, problems),
        Layer::of_environment(given.environment, problems),
        Layer::of_flags(given.flags, problems),
    ];
    let mut model = Settings::new("", "");
    for layer in &layers {
        model::set(&mut model, layer, problems);
    }
    model.key = key::find(&layers, &MODEL_KEY, problems).map(|(key, _)| key);
    let okta = okta::read(&layers, problems);
    Config { model, okta, slots }
}
