//! `[ask]` of `routing.toml`: what answering a question may cost, and how much is believed.

use crate::ask::evaluate::Limits;
use crate::diag::Problems;
use crate::document::{Node, Table, codes as shape};

/// What is done with a model's choice when no form of questions accounts for every word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unaccounted {
    /// It is refused, with the choice beside it for a person to confirm.
    #[default]
    Refuse,
    /// It is asked, and told with the words that nothing accounts for.
    Tell,
}

/// A checked `[ask]` table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskSettings {
    /// What one question may cost.
    pub limits: Limits,
    /// How many tools and recipes a model is shown.
    pub shown: usize,
    /// What is done with a choice that no form accounts for.
    pub unaccounted: Unaccounted,
}

impl Default for AskSettings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            shown: 8,
            unaccounted: Unaccounted::default(),
        }
    }
}

/// Takes `ask` out of the root table; what is not said is as by default.
pub fn decode_ask(root: &mut Table<'_>, problems: &mut Problems) -> AskSettings {
    let mut settings = AskSettings::default();
    let Some(mut table) = root.get("ask").and_then(|node| node.table(problems)) else {
        return settings;
    };
    let limits = &mut settings.limits;
    let sizes = [
        ("calls", &mut limits.calls, 1_000),
        ("pages", &mut limits.pages, 1_000),
        ("rows", &mut limits.rows, 1_000_000),
        ("bytes", &mut limits.bytes, 1 << 30),
        ("shown", &mut settings.shown, 20),
    ];
    for (key, size, most) in sizes {
        if let Some(found) = whole(table.get(key), most, problems) {
            *size = usize::try_from(found).unwrap_or(usize::MAX);
        }
    }
    if let Some(found) = whole(table.get("max_execution_ms"), 600_000, problems) {
        limits.max_execution_ms = found;
    }
    let words = [("refuse", Unaccounted::Refuse), ("tell", Unaccounted::Tell)];
    let unaccounted = table.get("unaccounted");
    if let Some(found) = unaccounted.and_then(|node| node.one_of(&words, problems)) {
        settings.unaccounted = found;
    }
    table.finish(problems);
    settings
}

fn whole(node: Option<&Node>, most: u64, problems: &mut Problems) -> Option<u64> {
    let node = node?;
    let found = node.count(problems)?;
    if !(1..=most).contains(&found) {
        problems
            .error(
                shape::BAD_VALUE,
                node.span,
                format!("`{found}` is out of range"),
            )
            .help(format!("expected 1 to {most}"));
        return None;
    }
    Some(found)
}
