//! `[slots.…]` of `routing.toml`.

use std::collections::BTreeMap;

use crate::diag::{Problems, Span};
use crate::document::{Node, Table};
use crate::slots::codes;

/// What a model may do to the default of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// Only make it graver.
    Raise,
    /// Set it, down to the rule's floor.
    Set,
}

/// A checked `[slots.NAME]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotSettings {
    /// The prompt file, relative to the policy folder, and where it is named.
    pub prompt: (String, Span),
    /// What a model may do.
    pub may: May,
}

/// The slots that the pipeline fills.
pub(super) const SLOTS: [&str; 3] = ["risk", "plan", "route"];

/// Takes `slots` out of the root table.
pub fn decode_slots(
    root: &mut Table<'_>,
    problems: &mut Problems,
) -> BTreeMap<String, SlotSettings> {
    let mut slots = BTreeMap::new();
    let Some(mut table) = root.get("slots").and_then(|node| node.table(problems)) else {
        return slots;
    };
    for name in SLOTS {
        if let Some(slot) = table
            .get(name)
            .and_then(|node| decode_slot(name, node, problems))
        {
            slots.insert(name.to_owned(), slot);
        }
    }
    table.finish(problems);
    slots
}

fn decode_slot(name: &str, node: &Node, problems: &mut Problems) -> Option<SlotSettings> {
    let mut table = node.table(problems)?;
    let prompt = table
        .require("prompt", problems)
        .and_then(|node| Some((node.text(problems)?.to_owned(), node.span)));
    let may = table
        .get("may")
        .and_then(|node| node.one_of(&[("raise", May::Raise), ("set", May::Set)], problems));
    if may == Some(May::Set)
        && let Some(span) = table.place_of("may")
    {
        problems
            .warn(
                codes::SUPPRESSIBLE,
                span,
                "findings are suppressible: a model may lower this, so that what an attacker writes can keep one from becoming an incident",
            )
            .help("write `raise`, or give each rule a `floor`");
    }
    if name == "risk"
        && let Some(node) = table.get("formula")
        && node
            .text(problems)
            .is_some_and(|text| text != "likelihood * impact")
    {
        problems
            .error(
                codes::UNSUPPORTED,
                node.span,
                "this formula cannot be computed by this version of rulectl",
            )
            .help("the formula is `likelihood * impact`");
    }
    table.finish(problems);
    Some(SlotSettings {
        prompt: prompt?,
        may: may.unwrap_or(May::Raise),
    })
}
