//! `rulectl diff`: what a change of the policy means and does to logs, before it is merged.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::events::{ReadingArgs, inputs};
use crate::cli::output::{UsageError, out, out_json, talk, talk_problems};
use crate::cli::progress::Meter;
use crate::cli::slots::SlotArgs;
use crate::cli::{Common, Exit, Format};
use crate::lab::diff::{
    Changes, Effect, Found, Side, SideError, TextDiff, changes, effect_with, find, folder,
    revision, text_diffs,
};
use crate::okta::ADDRESS_FIELDS;
use crate::render::{changed, text_diff};
use crate::source::{Input, Reader};
use crate::visible::visible;
use crate::world::World;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to compare with: a folder, a revision such as `main`, or `generation:3`
    #[arg(default_value = "HEAD")]
    base: String,
    /// What is compared: the same; the policy folder as it is, unless given
    head: Option<String>,
    /// Files of events, globs, or `-` for stdin; `fixtures/logs/*.ndjson` of the policy folder unless given
    #[arg(long, num_args = 1.., value_name = "FILE")]
    logs: Vec<String>,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    slots: SlotArgs,
    /// Show each changed file line by line too
    #[arg(long)]
    text_diff: bool,
}

/// What the form of the JSON is called; another form has another number.
const SCHEMA: &str = "rulectl.diff/1";

/// Runs the command.
pub fn diff(common: &Common, args: &Args) -> Result<Exit> {
    let base = base(common, args)?;
    let head = match &args.head {
        Some(word) => named(common, word)?,
        None => folder(&common.policy.display().to_string(), &common.policy),
    };
    // Both are told before either ends the command.
    let (Some(base), Some(head)) = (side(base, "base"), side(head, "head")) else {
        return Ok(Exit::Broken);
    };
    let Some(inputs) = logs(common, args) else {
        return Ok(Exit::Broken);
    };
    let told = Told {
        changes: changes(&base, &head),
        texts: if args.text_diff {
            text_diffs(&base, &head)
        } else {
            Vec::new()
        },
        about: [&base, &head].map(about),
        names: [base.name.clone(), head.name.clone()],
        effect: match replayed(common, args, inputs, [base, head])? {
            Ok(effect) => effect,
            Err(exit) => return Ok(exit),
        },
    };
    told.show(common.format)?;
    Ok(told.exit())
}

/// The base; the default is a revision also where a folder has its name.
fn base(common: &Common, args: &Args) -> Result<Found> {
    if args.base == "HEAD" {
        return revision(&args.base, &common.policy).map_err(told);
    }
    named(common, &args.base)
}

fn named(common: &Common, word: &str) -> Result<Found> {
    find(word, &common.policy, &common.data).map_err(told)
}

fn told(error: SideError) -> anyhow::Error {
    match error {
        SideError::Named(text) => UsageError(text).into(),
        error => error.into(),
    }
}

/// A side without errors; else they are told.
fn side(found: Found, which: &str) -> Option<Side> {
    if found.loaded.policy.is_none() {
        talk(&format!(
            "the {which}, `{}`, is no policy:",
            visible(&found.name)
        ));
        talk_problems(&found.loaded.problems);
    }
    found.side()
}

/// The logs that were named, or else those of the fixtures; reports the words that name none.
fn logs(common: &Common, args: &Args) -> Option<Vec<Input>> {
    if args.logs.is_empty() {
        Some(fixtures(&common.policy.join("fixtures/logs")))
    } else {
        inputs(&args.logs)
    }
}

/// The logs of the fixtures, by name; a folder need not have any.
fn fixtures(folder: &Path) -> Vec<Input> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "ndjson")
    });
    files.sort();
    files.into_iter().map(Input::File).collect()
}

/// What the change does to the logs; nothing where there are none.
fn replayed(
    common: &Common,
    args: &Args,
    inputs: Vec<Input>,
    mut sides: [Side; 2],
) -> Result<Result<Option<Effect>, Exit>> {
    if inputs.is_empty() {
        talk("no logs were replayed: `--logs FILE` names some");
        return Ok(Ok(None));
    }
    let Some(databases) = args.reading.databases.open() else {
        return Ok(Err(Exit::Broken));
    };
    let supplied = databases.paths(&ADDRESS_FIELDS);
    for side in &mut sides {
        side.policy.detector.note_supplied(&supplied);
    }
    let mut fills = match args.slots.known(&common.policy)? {
        Ok(fills) => fills,
        Err(exit) => return Ok(Err(exit)),
    };
    let settings = args.reading.settings(&inputs, databases, World::live())?;
    let meter = Meter::new(Reader::new(inputs.clone()).total());
    let show = |progress| meter.show(progress);
    let [base, head] = &sides;
    let effect = effect_with(base, head, inputs, &settings, fills.answers(), &show);
    meter.finish(effect.as_ref().map_or(0, |effect| effect.read.events));
    Ok(Ok(Some(effect?)))
}

/// All that is told.
struct Told {
    names: [String; 2],
    about: [Value; 2],
    changes: Changes,
    texts: Vec<TextDiff>,
    effect: Option<Effect>,
}

impl Told {
    fn show(&self, format: Format) -> Result<()> {
        match format {
            Format::Text => self.text(),
            Format::Json => self.json(),
            Format::Ndjson => self.lines(),
        }
    }

    fn text(&self) -> Result<()> {
        let [base, head] = &self.names;
        out(&changed((base, head), &self.changes, self.effect.as_ref()))?;
        self.texts.iter().try_for_each(|text| out(&text_diff(text)))
    }

    fn json(&self) -> Result<()> {
        let [base, head] = &self.about;
        let mut value = json!({
            "schema": SCHEMA,
            "base": base,
            "head": head,
            "changes": self.changes,
            "effect": self.effect,
        });
        if let (Value::Object(map), false) = (&mut value, self.texts.is_empty()) {
            map.insert("texts".to_owned(), serde_json::to_value(&self.texts)?);
        }
        out_json(&value)
    }

    fn lines(&self) -> Result<()> {
        each("guardrail", &self.changes.guardrails)?;
        each("change", &self.changes.items)?;
        let Some(effect) = &self.effect else {
            return Ok(());
        };
        each("lost", &effect.lost)?;
        for (kind, delta) in effect.deltas() {
            out_json(&json!({"kind": kind, "delta": delta}))?;
        }
        each("rule", &effect.by_rule)?;
        each("doubt", &effect.doubts)
    }

    /// What is not certain is no answer.
    fn exit(&self) -> Exit {
        match &self.effect {
            Some(effect) if !effect.conclusive => Exit::Inconclusive,
            _ => Exit::Done,
        }
    }
}

/// A line for each of a list.
fn each(name: &str, list: &[impl Serialize]) -> Result<()> {
    list.iter()
        .try_for_each(|one| out_json(&json!({ name: one })))
}

fn about(side: &Side) -> Value {
    json!({"name": side.name, "policy": side.policy.digest})
}
