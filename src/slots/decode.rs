//! `[slots.…]` of `routing.toml`.

use std::collections::BTreeMap;

use crate::diag::{Problems, Span};
use crate::document::{Key, Node, Table};
use crate::slots::fallback::Fallback;
use crate::slots::{Formula, codes};

/// What a model may do to the default of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// Only make it graver.
    Raise,
    /// Set it, down to the rule's floor.
    Set,
}

/// A checked `[slots.NAME]` table.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotSettings {
    /// The prompt file, relative to the policy folder, and where it is named.
    pub prompt: (String, Span),
    /// What a model may do.
    pub may: May,
    /// How the score follows from the rest, in the slot `risk`.
    pub formula: Formula,
    /// Whether a model is asked, where there is one.
    pub ask: bool,
    /// Of a slot of the engineer's: what it holds where no reply is accepted.
    pub default: Option<Fallback>,
}

/// The slots that the pipeline fills, and the one that a question does.
pub const SLOTS: [&str; 4] = ["risk", "plan", "route", ASK];
/// The slot that says what a question asks for.
pub const ASK: &str = "ask";

/// Takes `slots` out of the root table. `run` are the slots of the engineer's that agents run,
/// each with where the agent says so.
pub fn decode_slots(
    root: &mut Table<'_>,
    run: &[(&str, Span)],
    problems: &mut Problems,
) -> BTreeMap<String, SlotSettings> {
    let mut slots = BTreeMap::new();
    let table = root.get("slots").map(|node| node.table(problems));
    let entries = match &table {
        Some(None) => return slots, // it was reported
        Some(Some(table)) => table.entries(),
        None => &[],
    };
    report_missing(run, entries, problems);
    for (key, node) in entries {
        let name = key.text.as_str();
        let is_run = run.iter().any(|(known, _)| *known == name);
        if !is_run && !SLOTS.contains(&name) {
            let known = SLOTS.into_iter().chain(run.iter().map(|(known, _)| *known));
            problems
                .error(
                    codes::NO_AGENT,
                    key.span,
                    format!("no agent runs the slot `{name}`"),
                )
                .did_you_mean_or(
                    name,
                    known,
                    &format!("write `runs = \"slot:{name}\"` in a table `[agents.NAME]`"),
                );
            continue;
        }
        if let Some(slot) = decode_slot(name, node, problems) {
            slots.insert(name.to_owned(), slot);
        }
    }
    slots
}

/// Reports the agents whose slot has no table.
fn report_missing(run: &[(&str, Span)], entries: &[(Key, Node)], problems: &mut Problems) {
    for (name, span) in run {
        let declared = entries.iter().map(|(key, _)| key.text.as_str());
        let declared = declared.filter(|name| !SLOTS.contains(name));
        if !entries.iter().any(|(key, _)| key.text == *name) {
            problems
                .error(
                    codes::NO_PROMPT,
                    *span,
                    format!("there is no slot `{name}`"),
                )
                .did_you_mean_or(
                    name,
                    ["risk", "plan"].into_iter().chain(declared),
                    &format!("write a table `[slots.{name}]` with `prompt` and `default`"),
                );
        }
    }
}

fn decode_slot(name: &str, node: &Node, problems: &mut Problems) -> Option<SlotSettings> {
    let mut table = node.table(problems)?;
    let prompt = table
        .require("prompt", problems)
        .and_then(|node| Some((node.text(problems)?.to_owned(), node.span)));
    if !SLOTS.contains(&name) {
        let default = table
            .require("default", problems)
            .and_then(|node| Fallback::decode(node, problems));
        let ask = table.get("ask").map(|node| node.boolean(problems));
        table.finish(problems);
        return Some(SlotSettings {
            prompt: prompt?,
            // The schema is its bound.
            may: May::Set,
            formula: Formula::default(),
            ask: ask.flatten().unwrap_or(true),
            default: Some(default?),
        });
    }
    // What a question may ask for is bounded by the registry.
    let may = (name != ASK)
        .then(|| decode_may(&mut table, problems))
        .flatten();
    let formula = if name == "risk" {
        table.get("formula")
    } else {
        None
    };
    let formula = formula.map(|node| Formula::read(node, problems));
    table.finish(problems);
    Some(SlotSettings {
        prompt: prompt?,
        may: may.unwrap_or(May::Raise),
        // One that was reported is not to blame for what else is wrong.
        formula: formula.flatten().unwrap_or_default(),
        ask: true,
        default: None,
    })
}

fn decode_may(table: &mut Table<'_>, problems: &mut Problems) -> Option<May> {
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
    may
}
