//! `rulectl test`: what it reads, what it tells and what it writes for others.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{err, folder, out, rulectl};
use crate::harness::{lay_over, root};
use crate::reports::{assert_is_junit, assert_is_sarif};

/// A policy with one suite: a rule of the burst of failures, and what the cases say.
pub fn policy(suite: &str) -> TempDir {
    let folder = folder();
    lay_over(&root().join("tests/diagnostics/good"), folder.path());
    fs::create_dir_all(folder.path().join("fixtures")).expect("a folder");
    fs::write(folder.path().join("fixtures/a.test.yml"), suite).expect("written");
    folder
}

const HOSTILE: &str = "suite: \"<b>&\\u0007::error::\"
cases:
  - name: \"]]> 50%, a: b\\n::stop-commands::x\"
    base: {eventType: user.session.start, outcome.result: FAILURE, actor.alternateId: alice@example.com}
    events: [{at: +0m, repeat: 7, every: +1m}]
    expect: {findings: [{rule: \"\\u202E::error::\", count: 8}]}
  - name: quiet
    events: [{at: +0m, eventType: user.session.start}]
    expect: {findings: []}
";

#[test]
fn several_reports_are_written_at_once_and_are_what_their_schemas_say() {
    let folder = policy(HOSTILE);
    let words = "test --report junit=a.xml --report sarif=a.sarif --report json=a.json";
    let output = rulectl(folder.path(), words);
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).expect("a report");
    assert_is_junit(&text("a.xml"));
    assert!(text("a.xml").contains("tests=\"2\" failures=\"1\""));
    assert_is_sarif(&text("a.sarif"));
    let sarif: Value = serde_json::from_str(&text("a.sarif")).expect("JSON");
    let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "fixtures/a.test.yml");
    assert_eq!(place["region"]["startLine"], 3);
    let printed = out(&rulectl(folder.path(), "test --format json"));
    assert_eq!(text("a.json"), printed);
    let json: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!((&json["passed"], &json["failed"]), (&1.into(), &1.into()));
}

#[test]
fn an_annotation_is_one_command_whatever_a_suite_says() {
    let folder = policy(HOSTILE);
    let text = out(&rulectl(folder.path(), "test --report github"));
    let commands: Vec<&str> = text.lines().filter(|line| line.starts_with("::")).collect();
    let [command] = commands.as_slice() else {
        panic!("one command:\n{text}");
    };
    assert!(
        command.starts_with("::error file=fixtures/a.test.yml,line=3,title=<b>&\\u{7}%3A%3Aerror"),
        "{command}"
    );
    assert!(command.contains("%0A"), "{command}");
}

#[test]
fn a_report_that_cannot_be_written_is_said_before_the_cases_run() {
    let folder = policy(HOSTILE);
    for (words, said) in [
        (
            "test --report html=a.html",
            "there are junit, sarif, json; or `github` alone",
        ),
        (
            "test --report junit=none/a.xml",
            "there is no folder `none`",
        ),
        ("test --report github --format json", "`--report json=FILE`"),
    ] {
        let output = rulectl(folder.path(), words);
        assert_eq!(output.status.code(), Some(3), "{words}");
        assert!(err(&output).contains(said), "{words}: {}", err(&output));
        assert_eq!(out(&output), "", "{words}");
    }
}
