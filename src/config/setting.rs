//! What a setting is called, wherever it is written, and what a secret is.

use std::time::Duration;

use crate::config::{model, okta};
use crate::diag::Problems;
use crate::document::Node;
use crate::document::codes::BAD_VALUE;
use crate::event::Nanos;
use crate::llm::Settings;

/// What a setting is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    /// Its table in `rulectl.toml`.
    pub(super) table: &'static str,
    /// Its key there; where it has an option, that is `--TABLE-KEY`.
    pub(super) key: &'static str,
    /// Its variable in the environment and in `.env`.
    pub(super) variable: &'static str,
    /// Whether a text that is a number is meant as one.
    pub(super) is_number: bool,
}

/// One setting of an `S`.
pub(super) struct Setting<S> {
    pub(super) name: Name,
    pub(super) set: fn(&mut S, &Node, &mut Problems) -> Option<()>,
}

/// A secret: it never stands in `rulectl.toml`.
#[derive(Clone, Copy, Debug)]
pub(super) struct SecretName {
    /// The table in which a file may be named that holds it.
    pub(super) table: &'static str,
    /// The variable of the secret itself.
    pub(super) variable: &'static str,
    /// The variable of a file that holds it.
    pub(super) file_variable: &'static str,
    /// The same in `rulectl.toml`.
    pub(super) file_key: &'static str,
}

/// The key of the model.
pub(super) const MODEL_KEY: SecretName = SecretName {
    table: "llm",
    variable: "LLM_API_KEY",
    file_variable: "LLM_API_KEY_FILE",
    file_key: "api_key_file",
};

/// An API token of Okta.
pub(super) const OKTA_TOKEN: SecretName = SecretName {
    table: "okta",
    variable: "OKTA_API_TOKEN",
    file_variable: "OKTA_API_TOKEN_FILE",
    file_key: "api_token_file",
};

/// The private key of a service app.
pub(super) const OKTA_KEY: SecretName = SecretName {
    table: "okta",
    variable: "OKTA_PRIVATE_KEY",
    file_variable: "OKTA_PRIVATE_KEY_FILE",
    file_key: "private_key_file",
};

/// All secrets.
pub(super) const SECRETS: [SecretName; 3] = [MODEL_KEY, OKTA_TOKEN, OKTA_KEY];

/// The names of all settings.
pub(super) fn names() -> impl Iterator<Item = Name> {
    let model = model::SETTINGS.iter().map(|setting| setting.name);
    model.chain(okta::SETTINGS.iter().map(|setting| setting.name))
}

/// A time that somebody can wait for.
pub(super) fn time(node: &Node, problems: &mut Problems) -> Option<Duration> {
    let Nanos(nanos) = node.span_of_time(problems)?;
    let time = Duration::from_nanos(u64::try_from(nanos).ok()?);
    if !(Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&time) {
        problems
            .error(BAD_VALUE, node.span, "a time that is out of range")
            .help("expected 1s to 1h");
        return None;
    }
    Some(time)
}

/// A number within bounds.
pub(super) fn count(node: &Node, low: u64, high: u64, problems: &mut Problems) -> Option<u64> {
    let count = node.count(problems)?;
    if !(low..=high).contains(&count) {
        problems
            .error(BAD_VALUE, node.span, format!("`{count}` is out of range"))
            .help(format!("expected {low} to {high}"));
        return None;
    }
    Some(count)
}

/// The URL of a proxy.
pub(super) fn proxy_url(node: &Node, problems: &mut Problems) -> Option<String> {
    let text = node.text(problems)?;
    if !Settings::is_proxy(text) {
        problems
            .error(BAD_VALUE, node.span, "not the URL of a proxy")
            .help("write one such as `http://proxy.example.com:3128`, without user and password");
        return None;
    }
    Some(text.to_owned())
}
