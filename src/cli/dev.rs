//! `rulectl dev`: at each save what `check`, `test` and `diff` say, in a second.

use std::io::{IsTerminal, stdout};
use std::path::{Component, Path};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::databases::DatabaseArgs;
use crate::cli::diff::fixture_logs;
use crate::cli::events::plain_settings;
use crate::cli::output::{out, out_json, talk, warn};
use crate::cli::{Common, Exit, Format};
use crate::geo::Databases;
use crate::lab::diff::revision_files;
use crate::lab::{Asked, Saved, Sound, Standing, saved};
use crate::render::{after_save, problems_as_values};
use crate::visible::visible;
use crate::watch::{Pace, Watch, Watched};
use crate::world::World;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to compare with: a revision such as `main`
    #[arg(default_value = "HEAD")]
    base: String,
    /// Say it once, and end: 2 for a policy with errors, 1 for a failed case or gate, 4 where it is not known
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    databases: DatabaseArgs,
}

/// What the form of the JSON is called; another form has another number.
const SCHEMA: &str = "rulectl.dev/1";

/// Runs the command.
pub fn dev(common: &Common, args: &Args) -> Result<Exit> {
    let Some(databases) = args.databases.open() else {
        return Ok(Exit::Broken);
    };
    if args.once {
        let begun = Instant::now();
        let saved = look(common, args, &databases);
        show(common, &args.base, &saved, begun.elapsed())?;
        return Ok(exit(&saved));
    }
    let (tell, told) = channel();
    let pace = Pace::default();
    // Nobody listens any more when the command ends.
    let watch = Watch::begin(&common.policy, Watched::Project, pace, move |_| {
        let _ = tell.send(());
    });
    if let Some(hindrance) = watch.hindrance() {
        warn(&format!(
            "changes are looked for every {} seconds alone: {hindrance}",
            pace.look.as_secs()
        ));
    }
    let mut logs = Vec::new();
    loop {
        let begun = Instant::now();
        let commits = || revision_files(&common.policy, &args.base);
        watch.also(commits().into_iter().chain(logs.iter().cloned()));
        let saved = look(common, args, &databases);
        if let Some(sound) = &saved.sound {
            logs = sound
                .logs()
                .filter(|log| !is_watched(common, log))
                .cloned()
                .collect();
            watch.also(commits().into_iter().chain(logs.iter().cloned()));
        }
        show(common, &args.base, &saved, begun.elapsed())?;
        talk(&format!(
            "watching {}",
            visible(&common.policy.display().to_string())
        ));
        if told.recv().is_err() {
            return Ok(Exit::Done);
        }
        // What was saved meanwhile is looked at with it.
        while told.try_recv().is_ok() {}
    }
}

/// Whether a log is watched with the folder.
fn is_watched(common: &Common, log: &Path) -> bool {
    let climbs = |step| matches!(step, Component::ParentDir);
    log.starts_with(common.policy.join("fixtures")) && !log.components().any(climbs)
}

/// What the folder comes to as it is.
fn look(common: &Common, args: &Args, databases: &Databases) -> Saved {
    let settings = plain_settings(databases.clone());
    saved(Asked {
        folder: &common.policy,
        against: &args.base,
        logs: fixture_logs(&common.policy),
        settings: &settings,
        today: (World::live().now)().day(),
    })
}

fn exit(saved: &Saved) -> Exit {
    match saved.sound.as_ref().map(Sound::standing) {
        None => Exit::Broken,
        Some(Standing::Failing) => Exit::Negative,
        Some(Standing::NotKnown) => Exit::Inconclusive,
        Some(Standing::Good) => Exit::Done,
    }
}

fn show(common: &Common, base: &str, saved: &Saved, took: Duration) -> Result<()> {
    if common.format != Format::Text {
        return out_json(&document(base, saved));
    }
    // A terminal shows the newest alone, and how long it took.
    if stdout().is_terminal() {
        let text = after_save(&common.policy, base, saved, Some(took));
        return out(&format!("{CLEAR}{text}"));
    }
    out(&after_save(&common.policy, base, saved, None))
}

/// Clears a terminal.
const CLEAR: &str = "\x1b[2J\x1b[3J\x1b[H";

fn document(base: &str, saved: &Saved) -> Value {
    json!({
        "schema": SCHEMA,
        "base": base,
        "problems": problems_as_values(&saved.problems),
        "tests": saved.sound.as_ref().map(tests),
        "differs": saved.sound.as_ref().map(differs),
    })
}

fn tests(sound: &Sound) -> Value {
    let failed = sound.failed().map(|(suite, result)| {
        json!({
            "suite": suite.name,
            "file": suite.file,
            "line": result.line,
            "case": result.name,
            "mismatches": result.mismatches,
        })
    });
    let failed: Vec<Value> = failed.collect();
    json!({"passed": sound.results.len() - failed.len(), "failed": failed})
}

fn differs(sound: &Sound) -> Value {
    match &sound.differs {
        Ok(differs) => json!({
            "changes": differs.changes,
            "effect": differs.effect,
            "gate": differs.verdict,
        }),
        Err(not) => json!({"not_compared": not.reason()}),
    }
}
