//! What a change of a policy means: pairs of policies with what is said of them, and the two sides.
//!
//! `tests/diff/NAME/base` and `head` are laid over `tests/diff/policy`; what is said of the pair
//! stands beside them, in `changes.txt` and `changes.json`; what it does to `tests/diff/logs.ndjson`
//! in `effect.txt`, which is all that a person reads, `effect.json` and `comment.md`; what a model said
//! of it is in `recording.jsonl`. `BLESS=1` writes what is said anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anstream::adapter::strip_str;
use rulectl::geo::Databases;
use rulectl::lab::diff::{
    Action, Answers, Changes, Effect, Moved, Side, changes, effect_with, folder, text_diffs,
};
use rulectl::okta::Mapping;
use rulectl::pipeline::Settings;
use rulectl::recording::Recording;
use rulectl::render::{Actors, Diffed, changed, markdown, problems_as_text};
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{lay_over, memory, program, root};

pub fn scenarios() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("tests/diff")).expect("the pairs");
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    folders.retain(|folder| folder.is_dir() && !folder.ends_with("policy"));
    folders.sort();
    folders
}

/// A side of a pair, in a folder of its own.
fn laid_out(scenario: &Path, side: &str) -> TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    lay_over(&root().join("tests/diff/policy"), copy.path());
    if scenario.join(side).is_dir() {
        lay_over(&scenario.join(side), copy.path());
    }
    copy
}

pub fn side(scenario: &Path, name: &str) -> Side {
    let found = folder(name, laid_out(scenario, name).path());
    let problems = problems_as_text(&found.loaded.problems, false);
    found
        .side()
        .unwrap_or_else(|| panic!("{}: {problems}", scenario.display()))
}

fn text(changes: &Changes) -> String {
    strip_str(&changed(("base", "head"), changes, None, None)).to_string()
}

/// What a change does to the log of all pairs, with the fills that are recorded beside it.
pub fn effect_of(scenario: &Path, base: &Side, head: &Side, threads: usize) -> Effect {
    let log = fs::read(root().join("tests/diff/logs.ndjson")).expect("the log");
    let settings = Settings {
        mapping: Mapping::Auto,
        since: None,
        until: None,
        strict: false,
        threads,
        databases: Databases::NONE,
        evidence: None,
    };
    let recording = scenario.join("recording.jsonl");
    let recording = recording.exists().then(|| Recording::read(&recording));
    let answers = Answers {
        recording: recording.map(|read| read.expect("a recording")),
        model: None,
    };
    let inputs = vec![memory(log)];
    effect_with(base, head, inputs, &settings, answers, &|_| {}).expect("it runs")
}

/// The comment on a pull request.
fn comment(changes: &Changes, effect: &Effect) -> String {
    markdown(&Diffed {
        names: ["base", "head"],
        changes,
        effect: Some(effect),
        audits: None,
        gate: None,
        actors: Actors::Numbered,
    })
}

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("JSON") + "\n"
}

#[test]
fn each_pair_is_told_as_it_should_be() {
    let mut wrong = Vec::new();
    for scenario in scenarios() {
        let (base, head) = (side(&scenario, "base"), side(&scenario, "head"));
        let (changes, effect) = (changes(&base, &head), effect_of(&scenario, &base, &head, 1));
        let page = changed(("base", "head"), &changes, Some(&effect), None);
        for (name, actual) in [
            ("changes.txt", text(&changes)),
            ("changes.json", pretty(&changes)),
            ("effect.txt", strip_str(&page).to_string()),
            ("effect.json", pretty(&effect)),
            ("comment.md", comment(&changes, &effect)),
        ] {
            let path = scenario.join(name);
            if std::env::var_os("BLESS").is_some() {
                fs::write(&path, &actual).expect("written");
            }
            if fs::read_to_string(&path).unwrap_or_default() != actual {
                wrong.push(format!("{} should be\n{actual}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(scenarios().len() >= 10);
}

#[test]
fn a_policy_differs_in_nothing_from_itself() {
    for scenario in scenarios() {
        let same = changes(&side(&scenario, "head"), &side(&scenario, "head"));
        assert!(same.same && same.items.is_empty() && same.guardrails.is_empty());
        assert!(text(&same).contains("No difference"));
    }
}

#[test]
fn a_policy_does_nothing_else_than_itself() {
    for scenario in scenarios() {
        let (base, head) = (side(&scenario, "head"), side(&scenario, "head"));
        let effect = effect_of(&scenario, &base, &head, 1);
        assert!(effect.is_empty() && effect.conclusive && effect.doubts.is_empty());
        assert!(effect.findings.counts.base > 0, "{}", scenario.display());
    }
}

#[test]
fn effects_are_the_same_on_any_number_of_threads_and_their_signs_swap() {
    for scenario in scenarios() {
        let (base, head) = (side(&scenario, "base"), side(&scenario, "head"));
        let there = effect_of(&scenario, &base, &head, 1);
        let threaded = effect_of(&scenario, &base, &head, 2);
        assert_eq!(there, threaded, "{}", scenario.display());
        // A fill is carried from the base to the head, and not the other way.
        if scenario.join("recording.jsonl").exists() {
            continue;
        }
        let back = effect_of(&scenario, &head, &base, 1);
        for ((_, there), (_, back)) in there.deltas().into_iter().zip(back.deltas()) {
            let (there, back) = (&there.counts, &back.counts);
            assert_eq!(
                (there.base, there.added, there.removed, there.changed),
                (back.head, back.removed, back.added, back.changed)
            );
        }
    }
}

#[test]
fn swapped_sides_swap_the_signs() {
    for scenario in scenarios() {
        let (base, head) = (side(&scenario, "base"), side(&scenario, "head"));
        let (there, back) = (changes(&base, &head), changes(&head, &base));
        assert_eq!(
            there.items.len(),
            back.items.len(),
            "{}",
            scenario.display()
        );
        for (there, back) in there.items.iter().zip(&back.items) {
            assert_eq!((&there.base, &there.head), (&back.head, &back.base));
            assert_eq!(there.matters, back.matters, "{}", there.name());
            let action = match there.action {
                Action::Added => Action::Removed,
                Action::Removed => Action::Added,
                same => same,
            };
            assert_eq!(back.action, action);
            let relations = (&there.relation, &back.relation);
            if let (Some(there), Some(back)) = relations {
                assert_eq!(there.relation.swapped(), back.relation);
                assert_eq!(
                    (&there.only_base, &there.only_head),
                    (&back.only_head, &back.only_base)
                );
            }
            assert_eq!(there.details.len(), back.details.len());
            for detail in &there.details {
                let twin = back.details.iter().find(|twin| {
                    (&twin.path, &twin.before, &twin.after)
                        == (&detail.path, &detail.after, &detail.before)
                });
                assert!(twin.is_some(), "{detail:?}");
            }
        }
        assert_mirrored(&there, &back);
    }
}

/// What is weaker one way is stronger the other, but a rule whose versions each match what the
/// other does not, and a command that writes in another way: these are weaker either way.
#[track_caller]
fn assert_mirrored(there: &Changes, back: &Changes) {
    let either_way = [
        "does not match all that it matched",
        "a command that writes does so in another way",
    ];
    let moved = |changes: &Changes, swapped: bool| -> Vec<(String, Moved)> {
        let told = changes.guardrails.iter().map(|guardrail| {
            let moved = match guardrail.moved {
                _ if either_way.iter().any(|what| guardrail.what.ends_with(what)) => Moved::Weaker,
                Moved::Weaker if swapped => Moved::Stronger,
                Moved::Stronger if swapped => Moved::Weaker,
                same => same,
            };
            (guardrail.clause.clone(), moved)
        });
        let mut told: Vec<_> = told.collect();
        told.sort();
        told
    };
    assert_eq!(moved(there, false), moved(back, true));
}

#[test]
fn no_file_that_differs_is_left_out() {
    for scenario in scenarios() {
        let (base, head) = (side(&scenario, "base"), side(&scenario, "head"));
        let told = serde_json::to_string(&changes(&base, &head)).expect("JSON");
        for text in text_diffs(&base, &head) {
            assert!(
                told.contains(&format!("\"{}\"", text.file)),
                "{}: {}",
                scenario.display(),
                text.file
            );
        }
    }
}

/// A repository with two commits of a policy in a folder of it, and changes that are in none.
fn repository() -> TempDir {
    let place = tempfile::tempdir().expect("a folder");
    let policy = place.path().join("policy");
    git(place.path(), &["init", "-q", "-b", "main"]);
    lay_over(&root().join("tests/diff/policy"), &policy);
    commit(place.path());
    lay_over(&root().join("tests/diff/threshold/head"), &policy);
    commit(place.path());
    lay_over(&root().join("tests/diff/floor_lowered/head"), &policy);
    place
}

pub fn commit(place: &Path) {
    git(place, &["add", "-A"]);
    git(
        place,
        &[
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@example.com",
            "commit",
            "-qm",
            "x",
        ],
    );
}

pub fn git(place: &Path, words: &[&str]) {
    let status = Command::new("git").current_dir(place).args(words).status();
    assert!(status.expect("git runs").success(), "{words:?}");
}

/// Runs `rulectl diff` in the policy of a repository: the exit code, and what it said.
fn diff(place: &Path, words: &[&str]) -> (Option<i32>, String) {
    let mut command = program();
    command
        .current_dir(place.join("policy"))
        .arg("diff")
        .args(words);
    let output = command.output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8(said).expect("UTF-8"),
    )
}

#[test]
fn a_revision_is_read_without_touching_the_work_tree() {
    let place = repository();
    let before = fs::read(place.path().join("policy/rules/sign_in.yml")).expect("a file");
    let cases: [(&[&str], &[&str]); 4] = [
        (&[], &["HEAD → .", "threshold 8 → 5", "floor 0.5 → 0.2"]),
        (
            &["HEAD~1", "main"],
            &["HEAD~1 → main", "threshold 5 → 8", "1 change,"],
        ),
        (&["refs/heads/main", "HEAD"], &["No difference"]),
        (
            &["HEAD~1", "HEAD", "--text-diff"],
            &["-  condition: {gte: 5}", "+  condition: {gte: 8}"],
        ),
    ];
    for (words, wanted) in cases {
        let (code, said) = diff(place.path(), words);
        assert_eq!(code, Some(0), "{said}");
        wanted
            .iter()
            .for_each(|text| assert!(said.contains(text), "no `{text}` in {said}"));
    }
    let after = fs::read(place.path().join("policy/rules/sign_in.yml")).expect("a file");
    assert_eq!(before, after);
}

#[test]
fn a_side_that_is_not_there_is_said_and_no_option_is_smuggled_in() {
    let place = repository();
    fs::create_dir(place.path().join("policy/main")).expect("a folder");
    let cases: [(&[&str], i32, &str); 9] = [
        (&["nowhere"], 3, "`nowhere` is no folder, and no revision"),
        (
            &["--", "--output=x"],
            3,
            "`--output=x` is no folder, and no revision",
        ),
        (&["--", "-p"], 3, "`-p` is no folder, and no revision"),
        (&["main"], 3, "`main` is a folder here and a revision too"),
        (&["generation:7"], 3, "has no generation 7"),
        (&["generation:x"], 3, "`generation:x` is no generation"),
        (
            &["--policy", ".."],
            2,
            "`HEAD` has no `rules`, so there was no policy yet; `--policy` names its folder",
        ),
        (&["HEAD", "./main"], 2, "the head, `./main`, is no policy"),
        (
            &["HEAD:policy"],
            3,
            "`HEAD:policy` is no folder, and no revision",
        ),
    ];
    for (words, code, wanted) in cases {
        let (actual, said) = diff(place.path(), words);
        assert_eq!(actual, Some(code), "{words:?}: {said}");
        assert!(said.contains(wanted), "no `{wanted}` in {said}");
    }
}

#[test]
fn what_is_no_file_in_a_revision_is_refused() {
    let place = repository();
    let link = place.path().join("policy/rules/link.yml");
    std::os::unix::fs::symlink("/etc/passwd", &link).expect("a link");
    commit(place.path());
    fs::remove_file(&link).expect("removed");
    let (code, said) = diff(place.path(), &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("has a link that cannot be read"), "{said}");
}

#[test]
fn without_git_or_a_repository_it_says_so() {
    let place = tempfile::tempdir().expect("a folder");
    lay_over(
        &root().join("tests/diff/policy"),
        &place.path().join("policy"),
    );
    let (code, said) = diff(place.path(), &[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("stands in no git repository"), "{said}");
    let mut command = program();
    command
        .current_dir(place.path().join("policy"))
        .arg("diff")
        .env("PATH", "");
    let output = command.output().expect("it runs");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("revisions are read with the program `git`"),
        "{said}"
    );
}

#[test]
fn a_recorded_generation_is_a_side() {
    let place = repository();
    let data = place.path().join("data");
    let found = folder("x", &place.path().join("policy"));
    let side = found.side().expect("a policy");
    rulectl::policy::activate(&data, side.policy.digest, &side.files).expect("archived");
    let data = data.display().to_string();
    let (code, said) = diff(
        place.path(),
        &["generation:1", "HEAD", "--data", &data, "--format", "json"],
    );
    assert_eq!(code, Some(0), "{said}");
    let line = said.lines().next().expect("a document");
    let value: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(value["schema"], "rulectl.diff/1");
    assert_eq!(value["base"]["name"], "generation:1");
    assert_eq!(
        value["changes"]["items"][0]["head"]["name"],
        "failed_login_burst"
    );
    let broken = place
        .path()
        .join("data/policies")
        .join(side.policy.digest.to_string());
    fs::write(broken.join("tools.yaml"), "commands: {}\n").expect("written");
    let (code, said) = diff(place.path(), &["generation:1", "HEAD", "--data", &data]);
    assert_eq!(code, Some(2), "{said}");
}
