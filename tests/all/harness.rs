//! Running a policy over events in memory, and the program over files.

use std::fs;
use std::path::{Path, PathBuf};

use rulectl::geo::Databases;
use rulectl::llm::Model;
use rulectl::okta::{ADDRESS_FIELDS, Mapping};
use rulectl::pipeline::{self, Beginning, Counts, Filling, Outcome, Rejected, Settings, Sink};
use rulectl::policy::{self, Policy};
use rulectl::render::problems_as_text;
use rulectl::source::Input;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The repository, which is also the shipped policy folder.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A bundled log.
pub fn log(name: &str) -> PathBuf {
    root().join("fixtures/logs").join(name)
}

/// The program, in the repository, with nothing in its environment that changes what it prints.
pub fn program() -> assert_cmd::Command {
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_rulectl"));
    command.current_dir(root());
    for name in [
        "NO_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "FORCE_COLOR",
        "RUST_BACKTRACE",
        "RUST_LOG",
        "LLM_BASE_URL",
        "LLM_MODEL",
        "LLM_TEMPERATURE",
        "LLM_API_KEY",
        "LLM_API_KEY_FILE",
        "LLM_CONCURRENCY",
        "OKTA_ORG_URL",
        "OKTA_DOMAIN",
        "OKTA_API_TOKEN",
        "OKTA_API_TOKEN_FILE",
        "OKTA_CLIENT_ID",
        "OKTA_PRIVATE_KEY",
        "OKTA_PRIVATE_KEY_FILE",
        "OKTA_ALLOW_PRIVATE",
    ] {
        command.env_remove(name);
    }
    command
}

/// Copies a folder over another: what it has replaces what is there, whatever kind of entry that is.
pub fn lay_over(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder to copy") {
        let entry = entry.expect("an entry");
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            if target.is_file() {
                fs::remove_file(&target).expect("removed");
            }
            lay_over(&source, &target);
        } else {
            fs::copy(&source, &target).expect("copied");
        }
    }
}

/// `DIGEST` for every SHA-256, so that an expected text does not change with an unrelated byte.
pub fn mask_digests(text: &str) -> String {
    let digest = regex::Regex::new("[0-9a-f]{64}").expect("a pattern");
    digest.replace_all(text, "DIGEST").into_owned()
}

/// The folder of a small policy, which stays as it is while the shipped rules grow: two correlations,
/// and for the rest what was shipped with them.
pub fn small_place() -> PathBuf {
    root().join("tests/policy")
}

/// The small policy.
pub fn small() -> Policy {
    load(&small_place())
}

/// A folder with a copy of the small policy, in which the program can run.
pub fn small_folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    lay_over(&small_place(), folder.path());
    folder
}

/// What a model is asked with is a part of what recordings are found by.
#[test]
fn the_small_policy_has_the_shipped_prompts() {
    let texts = |folder: PathBuf| -> Vec<(std::ffi::OsString, String)> {
        let entries = fs::read_dir(folder.join("prompts")).expect("prompts");
        let mut texts: Vec<_> = entries
            .map(|entry| {
                let entry = entry.expect("an entry");
                let text = fs::read_to_string(entry.path()).expect("a prompt");
                (entry.file_name(), text)
            })
            .collect();
        texts.sort();
        texts
    };
    assert_eq!(texts(small_place()), texts(root()));
}

/// A policy of one rule file and, for the rest, the least that a policy has.
pub fn policy_of(rules: &str) -> Policy {
    let folder = tempfile::tempdir().expect("a folder");
    lay_over(&root().join("tests/diagnostics/good"), folder.path());
    fs::write(folder.path().join("rules/sign_in.yml"), rules).expect("written");
    load(folder.path())
}

/// The policy of a folder, which must be one.
pub fn load(folder: &Path) -> Policy {
    let loaded = policy::load(folder);
    let problems = problems_as_text(&loaded.problems, false);
    loaded
        .policy
        .unwrap_or_else(|| panic!("not a policy:\n{problems}"))
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Received {
    pub outcomes: Vec<Outcome>,
    pub rejected: Vec<Rejected>,
    pub counts: Counts,
    pub failed: Vec<String>,
}

#[derive(Default)]
struct Memory(Received);

impl Sink for Memory {
    fn begin(&mut self, _: &Beginning) -> std::io::Result<()> {
        Ok(())
    }

    fn outcome(&mut self, outcome: &Outcome) -> std::io::Result<()> {
        self.0.outcomes.push(outcome.clone());
        Ok(())
    }

    fn reject(&mut self, rejected: &Rejected) -> std::io::Result<()> {
        self.0.rejected.push(rejected.clone());
        Ok(())
    }
}

/// Runs a policy over inputs.
pub fn run_inputs(
    policy: &Policy,
    inputs: Vec<Input>,
    mapping: Mapping,
    threads: usize,
) -> Received {
    run_settings(
        policy,
        &Filling::default(),
        inputs,
        mapping,
        threads,
        Databases::NONE,
    )
}

/// Runs a policy over a bundled log, with somebody who fills slots.
pub fn run_filled(policy: &Policy, filling: &Filling<'_>, name: &str) -> Received {
    let inputs = vec![Input::File(log(name))];
    run_settings(policy, filling, inputs, Mapping::Okta, 1, Databases::NONE)
}

/// Runs a policy over events, one a line, with somebody who is asked to fill slots.
pub fn run_asking(policy: &Policy, events: &[Value], model: &dyn Model) -> Received {
    let filling = Filling {
        model: Some(model),
        summary: None,
    };
    let inputs = vec![memory(lines(events).into_bytes())];
    run_settings(policy, &filling, inputs, Mapping::Okta, 1, Databases::NONE)
}

fn run_settings(
    policy: &Policy,
    filling: &Filling<'_>,
    inputs: Vec<Input>,
    mapping: Mapping,
    threads: usize,
    databases: Databases,
) -> Received {
    let settings = Settings {
        mapping,
        since: None,
        until: None,
        strict: false,
        threads,
        databases,
        evidence: None,
    };
    let mut sink = Memory::default();
    let (counts, failed) = pipeline::run(policy, filling, inputs, &settings, &mut sink, &|_| {})
        .expect("a sink in memory takes everything");
    sink.0.counts = counts;
    sink.0.failed = failed.iter().map(ToString::to_string).collect();
    sink.0
}

/// Runs a policy over events, one a line, with databases for what they lack.
pub fn run_with(policy: &mut Policy, events: &[Value], databases: &Databases) -> Received {
    let fields = databases.paths(&ADDRESS_FIELDS);
    policy.detector.note_supplied(&fields);
    let inputs = vec![memory(lines(events).into_bytes())];
    let filling = Filling::default();
    run_settings(
        policy,
        &filling,
        inputs,
        Mapping::Okta,
        1,
        databases.clone(),
    )
}

/// Runs a policy over events, one a line.
pub fn run(policy: &Policy, events: &[Value]) -> Received {
    run_inputs(
        policy,
        vec![memory(lines(events).into_bytes())],
        Mapping::Okta,
        1,
    )
}

/// An input at hand.
pub fn memory(bytes: Vec<u8>) -> Input {
    Input::Memory {
        name: "events".to_owned(),
        bytes: bytes.into(),
    }
}

/// Events as lines of JSON.
pub fn lines(events: &[Value]) -> String {
    events.iter().map(|event| format!("{event}\n")).collect()
}

/// An event: dotted paths and their values.
pub fn event<const N: usize>(fields: [(&str, Value); N]) -> Value {
    with(json!({}), fields)
}

/// The event with other values at some dotted paths.
pub fn with<const N: usize>(mut event: Value, fields: [(&str, Value); N]) -> Value {
    for (path, value) in fields {
        rulectl::okta::place(&mut event, path, value);
    }
    event
}

/// A moment of the test day: seconds after 10:00, and nanoseconds.
pub fn at(seconds: i64, nanos: i64) -> Value {
    const TEN: i64 = 1_772_445_600; // 2026-03-02T10:00:00Z
    rulectl::event::Time((TEN + seconds) * 1_000_000_000 + nanos)
        .to_string()
        .into()
}

/// A sign-in to Okta, such as `FAILURE`, of one account, so many seconds after 10:00.
pub fn sign_in(account: &str, result: &str, seconds: i64) -> Value {
    event([
        ("uuid", format!("{account}-{result}-{seconds}").into()),
        ("eventType", "user.session.start".into()),
        ("published", at(seconds, 0)),
        ("actor.id", user_id(account).into()),
        ("actor.alternateId", format!("{account}@example.com").into()),
        ("outcome.result", result.into()),
    ])
}

/// A well-formed Okta user id for an account.
pub fn user_id(account: &str) -> String {
    format!("00u{account:0<17.17}")
}
