//! What a diff takes beside one run over the same log: `cargo bench --bench diff -- RULES LOG`.
//!
//! `RULES` is a folder of `benches/generate.py rules`, `LOG` one of its logs of events. The policy is
//! the small one of the tests with these rules, of which five are changed in five ways, and then
//! the busiest one too; a run is the whole chain, and detection is what `rulectl detect` does.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "without its material there is nothing to measure, and figures are for stdout"
)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rulectl::detect::{Finding, Heading, Match};
use rulectl::geo::Databases;
use rulectl::lab::diff::{Side, effect};
use rulectl::okta::Mapping;
use rulectl::pipeline::{self, Beginning, DetectSink, Filling, Outcome, Rejected, Settings, Sink};
use rulectl::policy;
use rulectl::source::Input;

/// Each figure is the best of so many.
const ROUNDS: usize = 5;

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let [rules, log] = words.as_slice() else {
        println!("usage: cargo bench --bench diff -- RULES LOG");
        return;
    };
    let [base, head, busiest] = [0, 5, 6].map(|changes| side(Path::new(rules), changes));
    let log = PathBuf::from(log);
    let works: [(&str, &dyn Fn()); 5] = [
        ("detection alone", &|| one_detection(&base, &log)),
        ("a run", &|| one_run(&base, &log)),
        ("a diff with itself", &|| one_diff(&base, &base, &log)),
        ("a diff, five rules changed", &|| {
            one_diff(&base, &head, &log)
        }),
        ("the busiest rule changed too", &|| {
            one_diff(&base, &busiest, &log)
        }),
    ];
    // In turn, so that a slow moment of the machine is not all one work's.
    let mut best = [Duration::MAX; 5];
    for _ in 0..ROUNDS {
        for (best, (_, work)) in best.iter_mut().zip(&works) {
            *best = took(work).min(*best);
        }
    }
    let [detection, ..] = best;
    println!("| work | CPU | of detection |\n|---|--:|--:|");
    for ((work, _), took) in works.iter().zip(best) {
        let share = took.as_secs_f64() / detection.as_secs_f64();
        println!("| {work} | {:.2} s | {share:.2} |", took.as_secs_f64());
    }
}

/// What is changed in the head: a threshold, a window, a clause, a level and a value; and in the
/// rule that looks at most of the events, beside these, what it compares.
const CHANGES: [(&str, &str, &str); 6] = [
    ("rules/sign_in.yml", "{gte: 5}", "{gte: 8}"),
    ("rules/mfa.yml", "timespan: 10m", "timespan: 15m"),
    (
        "rules/generated_0.yml",
        "  condition: selection\n",
        "  service:\n    actor.alternateId|startswith: svc-\n  condition: selection and not service\n",
    ),
    ("rules/generated_1.yml", "level: medium", "level: high"),
    ("rules/generated_2.yml", "change_2", "create"),
    (
        "rules/sign_in.yml",
        "faster_than_kmh: 900",
        "faster_than_kmh: 1000",
    ),
];

/// The small policy of the tests with the rules beside its own, and the first so many changes.
fn side(rules: &Path, changes: usize) -> Side {
    let folder = tempfile::tempdir().expect("a folder");
    let small = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policy");
    for part in ["rules", "prompts"] {
        fs::create_dir(folder.path().join(part)).expect("a folder");
        copy(&small.join(part), &folder.path().join(part));
    }
    for file in ["routing.toml", "tools.yaml"] {
        fs::copy(small.join(file), folder.path().join(file)).expect("copied");
    }
    copy(rules, &folder.path().join("rules"));
    for (file, from, to) in CHANGES.iter().take(changes) {
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).expect("a rule");
        assert!(text.contains(from), "{file} has no {from}");
        fs::write(path, text.replace(from, to)).expect("written");
    }
    let loaded = policy::load(folder.path());
    Side {
        name: format!("{changes} changes"),
        policy: loaded.policy.expect("a policy"),
        files: loaded.files,
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let file = entry.expect("a file").path();
        let name = file.file_name().expect("a name");
        fs::copy(&file, to.join(name)).expect("copied");
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

fn one_detection(side: &Side, log: &Path) {
    let inputs = vec![Input::File(log.to_owned())];
    let detector = &side.policy.detector;
    pipeline::detect(detector, inputs, &settings(), &mut Nowhere, &|_| {}).expect("it runs");
}

fn one_diff(base: &Side, head: &Side, log: &Path) {
    let inputs = vec![Input::File(log.to_owned())];
    effect(base, head, inputs, &settings()).expect("it runs");
}

fn took(work: impl Fn()) -> Duration {
    let begun = running();
    work();
    running().saturating_sub(begun)
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

impl DetectSink for Nowhere {
    fn found(&mut self, _: &Heading, _: &Match) -> io::Result<()> {
        Ok(())
    }

    fn finding(&mut self, _: Finding) -> io::Result<()> {
        Ok(())
    }

    fn reject(&mut self, _: &Rejected) -> io::Result<()> {
        Ok(())
    }
}

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
