//! The settings of the model: one row each, wherever they are written.

use std::time::Duration;

use crate::config::layer::Layer;
use crate::diag::Problems;
use crate::document::Node;
use crate::document::codes::BAD_VALUE;
use crate::event::Nanos;
use crate::llm::Settings;

/// One setting.
pub(super) struct Setting {
    /// Its key below `[llm]` of `rulectl.toml`; its option is `--llm-` and this.
    pub(super) key: &'static str,
    /// Its variable in the environment and in `.env`.
    pub(super) variable: &'static str,
    /// Whether a text that is a number is meant as one.
    pub(super) is_number: bool,
    set: fn(&mut Settings, &Node, &mut Problems) -> Option<()>,
}

/// All of them.
#[rustfmt::skip]
pub(super) const SETTINGS: [Setting; 11] = [
    Setting { key: "base_url", variable: "LLM_BASE_URL", is_number: false, set: base_url },
    Setting { key: "model", variable: "LLM_MODEL", is_number: false, set: model },
    Setting { key: "temperature", variable: "LLM_TEMPERATURE", is_number: true, set: temperature },
    Setting { key: "timeout", variable: "LLM_TIMEOUT", is_number: true, set: timeout },
    Setting { key: "connect_timeout", variable: "LLM_CONNECT_TIMEOUT", is_number: true, set: connect_timeout },
    Setting { key: "retries", variable: "LLM_RETRIES", is_number: true, set: retries },
    Setting { key: "concurrency", variable: "LLM_CONCURRENCY", is_number: true, set: concurrency },
    Setting { key: "budget_calls", variable: "LLM_BUDGET_CALLS", is_number: true, set: budget_calls },
    Setting { key: "budget_tokens", variable: "LLM_BUDGET_TOKENS", is_number: true, set: budget_tokens },
    Setting { key: "max_reply_bytes", variable: "LLM_MAX_REPLY_BYTES", is_number: true, set: max_reply_bytes },
    Setting { key: "proxy", variable: "LLM_PROXY", is_number: false, set: proxy },
];

/// Sets what a layer says; reports what it says wrongly.
pub(super) fn set(settings: &mut Settings, layer: &Layer, problems: &mut Problems) {
    for setting in &SETTINGS {
        let node = layer.get(setting.key);
        // What is wrong is reported, and the setting stays as it was.
        let _set = node.and_then(|node| (setting.set)(settings, node, problems));
    }
}

fn base_url(settings: &mut Settings, node: &Node, problems: &mut Problems) -> Option<()> {
    let text = node.text(problems)?;
    if !Settings::is_base_url(text) {
        problems
            .error(BAD_VALUE, node.span, "not the base URL of an endpoint")
            .help("write `http://` or `https://`, host and path without user, query and fragment, such as `http://127.0.0.1:1234/v1`");
        return None;
    }
    text.clone_into(&mut settings.base_url);
    Some(())
}

fn model(settings: &mut Settings, node: &Node, problems: &mut Problems) -> Option<()> {
    node.text(problems)?.clone_into(&mut settings.model);
    Some(())
}

fn temperature(settings: &mut Settings, node: &Node, problems: &mut Problems) -> Option<()> {
    let is_none = matches!(&node.kind, crate::document::Kind::Text(text) if text == "none");
    settings.temperature = if is_none {
        None
    } else {
        Some(node.number(0.0, 2.0, problems)?)
    };
    Some(())
}

fn timeout(settings: &mut Settings, node: &Node, problems: &mut Problems) -> Option<()> {
    settings.timeout = time(node, problems)?;
    Some(())
}

fn connect_timeout(settings: &mut Settings, node: &Node, problems: &mut Problems) -> Option<()> {
    settings.connect_timeout = time(node, problems)?;
    Some(())
}

fn retries(settings: &mut Settings, node: &Node, problems: &mut Problems) -> Option<()> {
    let count = count(node, 0, 10, problems)?;
    settings.retries = u32::try_from(count).ok()?;
    Some(())
}

fn concurrency(settings: &mut Settings, node: &Node, problems: &mut Problems) -> Option<()> {
    let count = count(node, 1, 256, problems)?;
    settings.concurrency = usize::try_from(count).ok()?;
    Some(())
}

fn budget_calls(settings: &mut Settings, node: &Node, problems: &mut Problems) -> Option<()> {
    settings.budget.calls = node.count(problems)?;
    Some(())
}

fn budget_tokens(settings: &mut Settings, node: &Node, problems: &mut Problems) -> Option<()> {
    settings.budget.tokens = node.count(problems)?;
    Some(())
}

fn max_reply_bytes(settings: &mut Settings, node: &Node, problems: &mut Problems) -> Option<()> {
    let count = count(node, 1 << 10, 16 << 20, problems)?;
    settings.max_reply_bytes = usize::try_from(count).ok()?;
    Some(())
}

fn proxy(settings: &mut Settings, node: &Node, problems: &mut Problems) -> Option<()> {
    let text = node.text(problems)?;
    if !Settings::is_proxy(text) {
        problems
            .error(BAD_VALUE, node.span, "not the URL of a proxy")
            .help("write one such as `http://proxy.example.com:3128`, without user and password");
        return None;
    }
    settings.proxy = Some(text.to_owned());
    Some(())
}

/// A time that somebody can wait for.
fn time(node: &Node, problems: &mut Problems) -> Option<Duration> {
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

fn count(node: &Node, low: u64, high: u64, problems: &mut Problems) -> Option<u64> {
    let count = node.count(problems)?;
    if !(low..=high).contains(&count) {
        problems
            .error(BAD_VALUE, node.span, format!("`{count}` is out of range"))
            .help(format!("expected {low} to {high}"));
        return None;
    }
    Some(count)
}
