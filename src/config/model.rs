//! The settings of the model: one row each, wherever they are written.

use crate::config::layer::Layer;
use crate::config::setting::{Name, Setting, count, proxy_url, time};
use crate::diag::Problems;
use crate::document::Node;
use crate::document::codes::BAD_VALUE;
use crate::llm::Settings;

const fn name(key: &'static str, variable: &'static str, is_number: bool) -> Name {
    Name {
        table: "llm",
        key,
        variable,
        is_number,
    }
}

/// All of them.
#[rustfmt::skip]
pub(super) const SETTINGS: [Setting<Settings>; 11] = [
    Setting { name: name("base_url", "LLM_BASE_URL", false), set: base_url },
    Setting { name: name("model", "LLM_MODEL", false), set: model },
    Setting { name: name("temperature", "LLM_TEMPERATURE", true), set: temperature },
    Setting { name: name("timeout", "LLM_TIMEOUT", true), set: timeout },
    Setting { name: name("connect_timeout", "LLM_CONNECT_TIMEOUT", true), set: connect_timeout },
    Setting { name: name("retries", "LLM_RETRIES", true), set: retries },
    Setting { name: name("concurrency", "LLM_CONCURRENCY", true), set: concurrency },
    Setting { name: name("budget_calls", "LLM_BUDGET_CALLS", true), set: budget_calls },
    Setting { name: name("budget_tokens", "LLM_BUDGET_TOKENS", true), set: budget_tokens },
    Setting { name: name("max_reply_bytes", "LLM_MAX_REPLY_BYTES", true), set: max_reply_bytes },
    Setting { name: name("proxy", "LLM_PROXY", false), set: proxy },
];

/// Sets what a layer says; reports what it says wrongly.
pub(super) fn set(settings: &mut Settings, layer: &Layer, problems: &mut Problems) {
    for setting in &SETTINGS {
        let node = layer.get(setting.name.variable);
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
    settings.proxy = Some(proxy_url(node, problems)?);
    Some(())
}
