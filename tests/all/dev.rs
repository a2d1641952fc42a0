//! `rulectl dev`: what each save comes to, and that none is missed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{err, out, rulectl};
use crate::diff::{commit, git};
use crate::harness::{lay_over, root};

/// A case that holds for the rules of `tests/diff/policy`.
const SUITE: &str = "suite: bursts\ncases:\n  - name: five are one\n    base: {eventType: user.session.start, outcome.result: FAILURE}\n    events: [{repeat: 5, every: 1m, actor.alternateId: ann@example.com}]\n    expect: {findings: [{count: 5}]}\n";

/// A repository whose policy has a suite and a log, all of it in a commit.
fn repository() -> TempDir {
    let place = tempfile::tempdir().expect("a folder");
    git(place.path(), &["init", "-q", "-b", "main"]);
    lay_over(&root().join("tests/diff/policy"), place.path());
    let log = "fixtures/logs/demo-day.ndjson";
    fs::create_dir_all(place.path().join("fixtures/logs")).expect("a folder");
    fs::copy(root().join(log), place.path().join(log)).expect("a log");
    write(place.path(), "fixtures/bursts.test.yml", SUITE);
    commit(place.path());
    place
}

fn write(place: &Path, file: &str, text: &str) {
    fs::write(place.join(file), text).expect("written");
}

fn edit(place: &Path, file: &str, from: &str, to: &str) {
    let text = fs::read_to_string(place.join(file)).expect("readable");
    assert!(text.contains(from), "no {from} in {file}");
    write(place, file, &text.replace(from, to));
}

/// The last line of `rulectl dev --once`, and how it ended.
fn once(place: &Path) -> (String, Option<i32>) {
    let output = rulectl(place, "dev --once");
    let said = out(&output);
    let last = said.lines().last().unwrap_or_default().to_owned();
    (last, output.status.code())
}

#[test]
fn a_save_has_a_verdict() {
    let place = repository();
    let path = place.path();
    let rules = fs::read_to_string(path.join("rules/sign_in.yml")).expect("readable");
    let of = |text: &str| {
        write(path, "rules/sign_in.yml", text);
        once(path)
    };
    let (line, code) = of(&rules);
    assert!(line.starts_with("good: "), "{line}");
    assert!(
        line.ends_with("1 case passed, the same as in `HEAD`"),
        "{line}"
    );
    assert_eq!(code, Some(0));
    let (line, code) = of(&rules.replace("timespan: 10m", "timespan: 11m"));
    assert!(line.starts_with("good: "), "{line}");
    assert!(line.ends_with("differs from `HEAD`, as above"), "{line}");
    assert_eq!(code, Some(0));
    let (line, code) = of(&rules.replace("gte: 5", "gte: 6"));
    assert!(line.starts_with("failing: "), "{line}");
    assert!(line.contains("1 case failed, 0 passed"), "{line}");
    assert_eq!(code, Some(1));
    let (line, code) = of(&rules.replace("title: ", "titel: "));
    assert_eq!(line, "broken: nothing was tested, and nothing compared");
    assert_eq!(code, Some(2));
    // A suite is part of what is saved.
    of(&rules);
    write(path, "fixtures/bursts.test.yml", "suite: [");
    assert_eq!(once(path).1, Some(2));
}

#[test]
fn a_gate_that_fails_is_a_save_that_fails() {
    let place = repository();
    let path = place.path();
    let routing = fs::read_to_string(path.join("routing.toml")).expect("readable");
    write(
        path,
        "routing.toml",
        &format!("{routing}\n[gate]\nweakened_guardrails = \"deny\"\n"),
    );
    commit(path);
    edit(path, "rules/sign_in.yml", "gte: 5", "gte: 6");
    fs::remove_file(path.join("fixtures/bursts.test.yml")).expect("removed");
    let (line, code) = once(path);
    assert!(line.starts_with("failing: "), "{line}");
    assert_eq!(code, Some(1));
}

#[test]
fn without_a_repository_the_rest_is_told() {
    let place = repository();
    let path = place.path();
    fs::remove_dir_all(path.join(".git")).expect("removed");
    let (line, code) = once(path);
    assert!(
        line.contains("1 case passed, not compared with `HEAD`: "),
        "{line}"
    );
    assert_eq!(code, Some(0));
    // Another revision is one that somebody wanted.
    let output = rulectl(path, "dev --once main");
    assert!(out(&output).starts_with("not known: "), "{output:?}");
    assert_eq!(output.status.code(), Some(4));
    let output = rulectl(path, "dev --once --format json");
    let told: Value = serde_json::from_str(&out(&output)).expect("JSON");
    assert_eq!(told["schema"], "rulectl.dev/1");
    assert_eq!(told["tests"]["passed"], 1);
    assert!(told["differs"]["not_compared"].is_string(), "{told}");
    assert_eq!(err(&output), "");
}

/// `rulectl dev` over a folder, until it is dropped.
struct Dev {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Dev {
    fn begin(place: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rulectl"))
            .args(["dev", "--color", "never"])
            .current_dir(place)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let stdout = child.stdout.take().expect("a pipe");
        Self {
            child,
            lines: BufReader::new(stdout).lines(),
        }
    }

    /// The next line that begins so, of all that come.
    fn says(&mut self, wanted: &str) -> String {
        let mut lines = self.lines.by_ref().map(|line| line.expect("UTF-8"));
        let said = lines.find(|line| line.starts_with(wanted));
        said.unwrap_or_else(|| panic!("it ended before it said {wanted}"))
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn each_save_is_seen() {
    let place = repository();
    let path = place.path();
    let mut dev = Dev::begin(path);
    dev.says("good: ");
    edit(path, "rules/sign_in.yml", "gte: 5", "gte: 6");
    dev.says("failing: ");
    write(path, "rules/half.yml", "title: [");
    dev.says("broken: ");
    fs::remove_file(path.join("rules/half.yml")).expect("removed");
    dev.says("failing: ");
    // As editors do: another file under the same name.
    edit(path, "rules/sign_in.yml", "gte: 6", "gte: 5");
    let text = fs::read(path.join("rules/sign_in.yml")).expect("readable");
    fs::write(path.join("rules/.sign_in.yml.swp"), &text).expect("written");
    dev.says("good: ");
    fs::write(path.join("next"), [&text[..], b"# more\n"].concat()).expect("written");
    fs::rename(path.join("next"), path.join("rules/sign_in.yml")).expect("renamed");
    // On a busy machine the save before has two verdicts, one from between its two files.
    while !dev
        .says("good: ")
        .ends_with("differs from `HEAD`, as above")
    {}
}

#[test]
fn a_commit_alone_has_a_verdict() {
    let place = repository();
    let beside = tempfile::tempdir().expect("a folder");
    let tree = beside.path().join("tree");
    let name = tree.to_str().expect("UTF-8");
    git(place.path(), &["worktree", "add", "-q", name]);
    for path in [place.path(), &tree] {
        edit(path, "rules/sign_in.yml", "timespan: 10m", "timespan: 11m");
        let mut dev = Dev::begin(path);
        let line = dev.says("good: ");
        assert!(line.ends_with("differs from `HEAD`, as above"), "{line}");
        commit(path);
        let line = dev.says("good: ");
        assert!(line.ends_with("the same as in `HEAD`"), "{line}");
    }
}

#[test]
fn test_data_that_stands_elsewhere_is_watched() {
    let place = repository();
    let path = place.path();
    let rule = "title: A token was made\nname: tokens\nlogsource: {product: okta}\ndetection:\n  made: {eventType: system.api_token.create}\n  condition: made\nregression_tests_path: data/info.yml\n";
    let event = "{\"eventType\":\"system.api_token.create\",\"uuid\":\"a\",\"published\":\"2026-01-01T00:00:00Z\"}\n";
    fs::create_dir_all(path.join("data")).expect("a folder");
    write(path, "rules/tokens.yml", rule);
    write(path, "data/events.json", event);
    write(
        path,
        "data/info.yml",
        "regression_tests_info:\n  - {name: one, type: json, match_count: 1, path: data/events.json}\n",
    );
    let mut dev = Dev::begin(path);
    let line = dev.says("good: ");
    assert!(line.contains("2 cases passed"), "{line}");
    edit(path, "data/events.json", "create", "revoke");
    dev.says("failing: ");
    edit(path, "data/info.yml", "match_count: 1", "match_count: 0");
    dev.says("good: ");
}

#[test]
fn a_file_in_the_place_of_the_folder_is_one_mistake() {
    let place = repository();
    let output = rulectl(place.path(), "dev --once --policy routing.toml");
    let told = [out(&output), err(&output)].concat();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert_eq!(told.matches("error[").count(), 1, "{told}");
    assert!(
        told.contains("there is no policy folder `routing.toml`"),
        "{told}"
    );
    let help = out(&rulectl(place.path(), "dev --help"));
    assert!(help.contains("ndjson") && !help.contains("sarif"), "{help}");
    let help = out(&rulectl(place.path(), "check --help"));
    assert!(help.contains("`sarif` and `github`"), "{help}");
}
