//! What a diff takes beside one run over the same log: `cargo bench --bench diff -- RULES LOG`.
//!
//! `RULES` is a folder of `benches/generate.py rules`, `LOG` one of its logs of events. Of the
//! rules one in twenty is changed, and the least that a policy has stands around them.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "without its material there is nothing to measure, and figures are for stdout"
)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rulectl::geo::Databases;
use rulectl::lab::diff::{Side, effect};
use rulectl::okta::Mapping;
use rulectl::pipeline::{self, Beginning, Filling, Outcome, Rejected, Settings, Sink};
use rulectl::policy;
use rulectl::source::Input;

/// Each figure is the best of so many.
const ROUNDS: usize = 3;

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let [rules, log] = words.as_slice() else {
        println!("usage: cargo bench --bench diff -- RULES LOG");
        return;
    };
    let base = side(Path::new(rules), false);
    let head = side(Path::new(rules), true);
    let log = PathBuf::from(log);
    let run = best(|| one_run(&base, &log));
    let same = best(|| one_diff(&base, &base, &log));
    let diff = best(|| one_diff(&base, &head, &log));
    println!("| work | CPU | of a run |\n|---|--:|--:|");
    for (work, took) in [
        ("a run", run),
        ("a diff with itself", same),
        ("a diff", diff),
    ] {
        let share = took.as_secs_f64() / run.as_secs_f64();
        println!("| {work} | {:.2} s | {share:.2} |", took.as_secs_f64());
    }
}

/// The rules with a policy around them; changed, one in twenty asks for the same in another way,
/// so that it is looked for once more, and is of another level.
fn side(rules: &Path, is_changed: bool) -> Side {
    let folder = tempfile::tempdir().expect("a folder");
    let good = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics/good");
    for part in ["rules", "prompts"] {
        fs::create_dir(folder.path().join(part)).expect("a folder");
    }
    for file in ["routing.toml", "tools.yaml", "prompts/risk.md"] {
        fs::copy(good.join(file), folder.path().join(file)).expect("copied");
    }
    let listed = fs::read_dir(rules).expect("a folder of rules");
    let mut files: Vec<PathBuf> = listed.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    for (at, file) in files.iter().enumerate() {
        let mut text = fs::read_to_string(file).expect("a rule");
        if is_changed && at % 20 == 0 {
            text = text.replace("condition: selection", "condition: selection and selection");
            text = text.replace("level: medium", "level: high");
        }
        let name = file.file_name().expect("a name");
        fs::write(folder.path().join("rules").join(name), text).expect("written");
    }
    let loaded = policy::load(folder.path());
    Side {
        name: if is_changed { "head" } else { "base" }.to_owned(),
        policy: loaded.policy.expect("a policy"),
        files: loaded.files,
    }
}

fn settings() -> Settings {
    Settings {
        mapping: Mapping::Okta,
        since: None,
        until: None,
        strict: false,
        threads: 1,
        databases: Databases::NONE,
        evidence: None,
    }
}

fn one_run(side: &Side, log: &Path) {
    let inputs = vec![Input::File(log.to_owned())];
    let filling = Filling::default();
    let ran = pipeline::run(
        &side.policy,
        &filling,
        inputs,
        &settings(),
        &mut Nowhere,
        &|_| {},
    );
    ran.expect("it runs");
}

fn one_diff(base: &Side, head: &Side, log: &Path) {
    let inputs = vec![Input::File(log.to_owned())];
    effect(base, head, inputs, &settings()).expect("it runs");
}

fn best(work: impl Fn()) -> Duration {
    let took = (0..ROUNDS).map(|_| {
        let begun = running();
        work();
        running().saturating_sub(begun)
    });
    took.min().unwrap_or_default()
}

/// How long this thread has run, which is all there is; where the system does not say so, how
/// long ago some moment was.
fn running() -> Duration {
    static BEGUN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| BEGUN.elapsed(), Duration::from_nanos)
}

/// Keeps nothing.
struct Nowhere;

impl Sink for Nowhere {
    fn begin(&mut self, _: &Beginning) -> io::Result<()> {
        Ok(())
    }

    fn outcome(&mut self, _: &Outcome) -> io::Result<()> {
        Ok(())
    }

    fn reject(&mut self, _: &Rejected) -> io::Result<()> {
        Ok(())
    }
}
