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
fn the_folder_is_named_as_a_word_or_as_the_policy() {
    let folder = folder();
    let path = folder.path();
    for (words, made) in [
        ("init one", "one"),
        ("--policy two init", "two"),
        ("--policy three init three", "three"),
        ("init", "."),
    ] {
        let done = rulectl(path, words);
        assert_eq!(done.status.code(), Some(0), "{words}: {}", err(&done));
        assert!(path.join(made).join("routing.toml").exists(), "{words}");
    }
    let done = rulectl(path, "--policy four init five");
    assert_eq!(done.status.code(), Some(3));
    assert!(
        err(&done).contains("`init five` and `--policy four` name two folders"),
        "{}",
        err(&done)
    );
    assert!(!path.join("four").exists() && !path.join("five").exists());
}

#[test]
fn a_file_in_the_place_of_the_folder_is_told() {
    let folder = folder();
    fs::write(folder.path().join("f"), "mine").expect("written");
    for words in ["init f", "init f/g", "--policy f init"] {
        let done = rulectl(folder.path(), words);
        assert_eq!(done.status.code(), Some(2), "{words}");
        assert_eq!(
            err(&done),
            "error: `f` stands in the way; nothing is written\n",
            "{words}"
        );
    }
}
