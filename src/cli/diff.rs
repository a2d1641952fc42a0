//! `rulectl diff`: what a change of the policy means, before it is merged.

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::output::{UsageError, out, out_json, talk, talk_problems};
use crate::cli::{Common, Exit, Format};
use crate::lab::diff::{
    Changes, Found, Side, SideError, TextDiff, changes, find, folder, revision, text_diffs,
};
use crate::render::{changed, text_diff};
use crate::visible::visible;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to compare with: a folder, a revision such as `main`, or `generation:3`
    #[arg(default_value = "HEAD")]
    base: String,
    /// What is compared: the same; the policy folder as it is, unless given
    head: Option<String>,
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
    let changes = changes(&base, &head);
    let texts = if args.text_diff {
        text_diffs(&base, &head)
    } else {
        Vec::new()
    };
    show(common.format, (&base, &head), &changes, &texts)?;
    Ok(Exit::Done)
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

fn show(
    format: Format,
    (base, head): (&Side, &Side),
    changes: &Changes,
    texts: &[TextDiff],
) -> Result<()> {
    match format {
        Format::Text => {
            out(&changed((&base.name, &head.name), changes))?;
            texts.iter().try_for_each(|text| out(&text_diff(text)))
        }
        Format::Json => {
            let mut value = json!({
                "schema": SCHEMA,
                "base": about(base),
                "head": about(head),
                "changes": changes,
            });
            if let (Value::Object(map), false) = (&mut value, texts.is_empty()) {
                map.insert("texts".to_owned(), serde_json::to_value(texts)?);
            }
            out_json(&value)
        }
        Format::Ndjson => {
            let guardrails = changes.guardrails.iter();
            guardrails
                .map(|guardrail| json!({"guardrail": guardrail}))
                .try_for_each(|line| out_json(&line))?;
            let items = changes.items.iter();
            items
                .map(|item| json!({"change": item}))
                .try_for_each(|line| out_json(&line))
        }
    }
}

fn about(side: &Side) -> Value {
    json!({"name": side.name, "policy": side.policy.digest})
}
