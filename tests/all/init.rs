//! `rulectl init`: what it writes is a policy that is ready to run.

use std::fs;

use rulectl::starter::FILES;

use crate::cli::{err, folder, out, rulectl};

#[test]
fn the_folder_passes_everything_that_its_workflow_asks() {
    let outer = folder();
    let done = rulectl(outer.path(), "init new");
    assert_eq!(done.status.code(), Some(0), "{}", err(&done));
    let path = outer.path().join("new");
    for (file, text) in FILES {
        assert_eq!(fs::read_to_string(path.join(file)).expect("written"), text);
    }
    for (words, told) in [
        ("fmt --check", "4 files unchanged"),
        ("check", "no problems: 1 rule, 2 command templates"),
        ("test", "2 passed, 0 failed"),
        ("run --events fixtures/logs/sample.ndjson", "Incidents: 1"),
    ] {
        let done = rulectl(&path, words);
        assert_eq!(
            done.status.code(),
            Some(0),
            "{words}: {}{}",
            out(&done),
            err(&done)
        );
        assert!(out(&done).contains(told), "{words}: {}", out(&done));
    }
    for line in include_str!("../../src/starter/workflow.yml").lines() {
        let Some(words) = line.trim().strip_prefix("run: rulectl ") else {
            continue;
        };
        assert!(
            ["fmt", "check", "test", "diff"]
                .iter()
                .any(|word| words.starts_with(word)),
            "{words}"
        );
    }
}

#[test]
fn what_is_there_is_never_written_over() {
    let folder = folder();
    let path = folder.path();
    fs::create_dir(path.join("rules")).expect("made");
    fs::write(path.join("README.md"), "mine").expect("written");
    fs::write(path.join("prompts"), "a file").expect("written");
    let done = rulectl(path, "init");
    assert_eq!(done.status.code(), Some(2));
    for name in ["README.md", "prompts"] {
        assert!(err(&done).contains(name), "{}", err(&done));
    }
    assert!(err(&done).contains("stand in the way; nothing is written"));
    assert_eq!(
        fs::read_to_string(path.join("README.md")).expect("there"),
        "mine"
    );
    assert!(!path.join("routing.toml").exists() && !path.join("rules/api_token.yml").exists());
}

#[test]
fn a_folder_is_named_once_and_is_a_folder() {
    let folder = folder();
    let path = folder.path();
    fs::write(path.join("f"), "x").expect("written");
    let cases = [
        ("init f", 2, "`f` stands in the way"),
        ("--policy f init", 2, "`f` stands in the way"),
        ("--policy a init b", 3, "both name the folder"),
        ("--policy a init", 0, ""),
    ];
    for (words, code, expected) in cases {
        let done = rulectl(path, words);
        let said = out(&done) + err(&done).as_str();
        assert_eq!(done.status.code(), Some(code), "{words}: {said}");
        assert!(said.contains(expected), "{words}: {said}");
    }
    assert!(path.join("a/rules/api_token.yml").exists() && !path.join("b").exists());
}
