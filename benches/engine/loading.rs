//! Loading a policy: reading, checking and compiling its rules.
//!
//! The rules lie in a temporary folder beside this project's own `routing.toml`,
//! `tools.yaml` and prompts, so that what is measured is all that a command does
//! before the first event.

use std::path::Path;
use std::{fs, io};

use divan::Bencher;
use divan::counter::ItemsCount;
use tempfile::TempDir;

use crate::rules::{project, write_generated};

/// The Okta rules of SigmaHQ, as they are published.
#[divan::bench]
fn real_rules(bencher: Bencher<'_, '_>) {
    measure(bencher, |rules| {
        copy(&project("fixtures/sigma/okta"), rules)
    });
}

/// Rules that watch for values that seldom occur, as most rules of a large set do.
#[divan::bench(args = [1_000, 3_000])]
fn generated_rules(bencher: Bencher<'_, '_>, count: usize) {
    measure(bencher, |rules| write_generated(rules, count));
}

/// Loads the policy whose rules `write` writes.
fn measure(bencher: Bencher<'_, '_>, write: impl Fn(&Path) -> io::Result<()>) {
    let folder = policy(write).expect("the policy is written");
    let loaded = rulectl::policy::load(folder.path());
    let rules = loaded.policy.expect("the policy has no errors").rules.len();
    bencher
        .counter(ItemsCount::new(rules))
        .bench(|| rulectl::policy::load(folder.path()));
}

/// A policy with this project's settings and other rules.
fn policy(write: impl Fn(&Path) -> io::Result<()>) -> io::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    for file in ["routing.toml", "tools.yaml"] {
        fs::copy(project(file), folder.path().join(file))?;
    }
    for directory in ["prompts", "rules"] {
        fs::create_dir(folder.path().join(directory))?;
    }
    copy(&project("prompts"), &folder.path().join("prompts"))?;
    write(&folder.path().join("rules"))?;
    Ok(folder)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
