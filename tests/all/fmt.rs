//! `rulectl fmt`: files on the disk, and those of this repository.

use std::fs;
use std::path::{Path, PathBuf};

use rulectl::fmt::{FileKind, find, formatted};
use serde_json::Value;

use crate::cli::{err, folder, out, rulectl, rulectl_with};
use crate::harness::root;

const UNTIDY: &str = "level: high\ntitle: x\ndetection: {}\n";
const TIDY: &str = "title: x\nlevel: high\ndetection: {}\n";

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(&path, text).expect("written");
    path
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("read")
}

/// What is broken or untidy on purpose, somebody else's, or known by its digest.
const OTHERS: [&str; 4] = [
    "tests/diagnostics/",
    "fixtures/sigma/",
    "fixtures/audit/",
    "fuzz/seeds/",
];

#[test]
fn every_file_of_the_repository_has_its_layout() {
    let folders = [
        "benches", "docs", "fixtures", "fuzz", "prompts", "rules", "src", "tests",
    ];
    let single = [
        "Cargo.toml",
        "clippy.toml",
        "deny.toml",
        "routing.toml",
        "tools.yaml",
    ];
    let paths = folders.iter().chain(&single).map(|name| root().join(name));
    let found = find(&paths.collect::<Vec<_>>());
    assert!(found.unread.is_empty(), "{:?}", found.unread);
    let name = |path: &Path| {
        let inside = path.strip_prefix(root()).expect("a file of it");
        inside.to_string_lossy().replace('\\', "/")
    };
    let names = found.files.iter().map(|path| name(path));
    let own: Vec<String> = names
        .filter(|name| !OTHERS.iter().any(|others| name.starts_with(others)))
        .filter(|name| !name.starts_with("fuzz/target/"))
        .collect();
    assert!(own.len() > 60, "{} files", own.len());
    let wrong = own.iter().filter(|name| {
        let text = read(&root().join(name));
        let kind = FileKind::of(name).expect("a kind of file");
        formatted(name, &text, kind).ok() != Some(text)
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "run `rulectl fmt` over {wrong:?}");
}

#[test]
fn files_are_written_where_they_change_and_nothing_else_is() {
    let folder = folder();
    let path = folder.path();
    let untidy = write(path, "rules/a.yml", UNTIDY);
    let tidy = write(path, "rules/b.yml", TIDY);
    let hidden = write(path, "rules/.c.yml", UNTIDY);
    let outside = write(path, "other/a.yml", UNTIDY);
    let script = write(path, "rules/x.rhai", "fn a() {}  \n");
    let before = fs::metadata(&tidy)
        .expect("there")
        .modified()
        .expect("a time");

    let checked = rulectl(path, "fmt rules --check");
    assert_eq!(checked.status.code(), Some(1), "{}", err(&checked));
    assert_eq!(
        out(&checked),
        "rules/a.yml: would change\n1 file unchanged, 1 file would change\n"
    );
    assert_eq!(read(&untidy), UNTIDY);

    let shown = rulectl(path, "fmt rules --check --diff");
    assert!(out(&shown).contains("+title: x"), "{}", out(&shown));

    let done = rulectl(path, "fmt rules rules/x.rhai");
    assert_eq!(done.status.code(), Some(0), "{}", err(&done));
    assert_eq!(
        out(&done),
        "rules/a.yml: changed\n1 file unchanged, 1 file changed\n"
    );
    assert!(
        err(&done).starts_with("rules/x.rhai: left alone"),
        "{}",
        err(&done)
    );
    assert_eq!(read(&untidy), TIDY);
    assert_eq!(read(&hidden), UNTIDY);
    assert_eq!(read(&outside), UNTIDY);
    assert_eq!(read(&script), "fn a() {}  \n");
    let after = fs::metadata(&tidy)
        .expect("there")
        .modified()
        .expect("a time");
    assert_eq!(before, after, "what has its layout is not written");

    let again = rulectl(path, "fmt rules --check");
    assert_eq!(again.status.code(), Some(0));
}

#[test]
fn what_cannot_be_read_is_told_with_its_place_and_not_touched() {
    let folder = folder();
    let path = folder.path();
    let broken = write(path, "rules/a.yml", "title: x\nlevel: [\n");
    write(path, "rules/b.yml", UNTIDY);
    fs::write(path.join("rules/c.yml"), [0xff, b'\n']).expect("written");
    let done = rulectl(path, "fmt --format json rules no-such.yml");
    assert_eq!(done.status.code(), Some(2));
    let told: Value = serde_json::from_str(&out(&done)).expect("JSON");
    let outcomes: Vec<&str> = told
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|file| file["outcome"].as_str())
        .collect();
    assert_eq!(outcomes, ["refused", "refused", "changed", "refused"]);
    for part in [
        "rules/a.yml:2:8",
        "`rules/c.yml` is not UTF-8 text",
        "`no-such.yml` cannot be read",
    ] {
        assert!(err(&done).contains(part), "no `{part}` in {}", err(&done));
    }
    assert_eq!(read(&broken), "title: x\nlevel: [\n");
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    let folder = folder();
    let path = folder.path();
    let target = write(path, "other/a.yml", UNTIDY);
    fs::create_dir(path.join("rules")).expect("made");
    std::os::unix::fs::symlink(&target, path.join("rules/a.yml")).expect("linked");
    std::os::unix::fs::symlink(path.join("other"), path.join("rules/more")).expect("linked");
    let done = rulectl(path, "fmt rules");
    assert_eq!(out(&done), "no files\n");
    assert_eq!(
        err(&done),
        "rules/a.yml: left alone; it is a link, so name what it leads to\n"
    );
    std::os::unix::fs::symlink(&target, path.join("tools.yaml")).expect("linked");
    let whole = rulectl(path, "--policy . fmt --check --format json");
    let told: Value = serde_json::from_str(&out(&whole)).expect("JSON");
    assert_eq!(
        told,
        serde_json::json!([
            {"file": "rules/a.yml", "outcome": "left_alone"},
            {"file": "tools.yaml", "outcome": "left_alone"},
        ])
    );
    let named = rulectl(path, "fmt rules/a.yml");
    assert_eq!(named.status.code(), Some(2));
    assert!(err(&named).contains("it is a link"), "{}", err(&named));
    assert_eq!(read(&target), UNTIDY);
}

#[test]
fn standard_input_goes_to_standard_output() {
    let folder = folder();
    let path = folder.path();
    let run = |words: &str, text: &str| rulectl_with(path, words, &[], text.as_bytes());
    let done = run("fmt - --stdin-filename rules/a.yml", UNTIDY);
    assert_eq!((out(&done).as_str(), done.status.code()), (TIDY, Some(0)));
    let checked = run("fmt - --stdin-filename rules/a.yml --check", UNTIDY);
    assert_eq!(
        (out(&checked).as_str(), checked.status.code()),
        ("", Some(1))
    );
    let broken = run("fmt - --stdin-filename rules/a.yml", "a: [\n");
    assert_eq!((out(&broken).as_str(), broken.status.code()), ("", Some(2)));
    for (words, text, told, code) in [
        (
            "",
            UNTIDY,
            serde_json::json!({"file": "rules/a.yml", "outcome": "changed", "text": TIDY}),
            0,
        ),
        (
            "--check",
            UNTIDY,
            serde_json::json!({"file": "rules/a.yml", "outcome": "would_change"}),
            1,
        ),
        (
            "--diff",
            TIDY,
            serde_json::json!({"file": "rules/a.yml", "outcome": "unchanged", "text": TIDY}),
            0,
        ),
        (
            "",
            "a: [\n",
            serde_json::json!({"file": "rules/a.yml", "outcome": "refused"}),
            2,
        ),
    ] {
        let words = format!("fmt - --stdin-filename rules/a.yml {words}");
        let done = run(&format!("{words} --format json"), text);
        assert_eq!(done.status.code(), Some(code), "{words}");
        let list: Value = serde_json::from_str(&out(&done)).expect("JSON");
        assert_eq!(list, serde_json::json!([told]), "{words}");
        let line = run(&format!("{words} --format ndjson"), text);
        let line: Value = serde_json::from_str(&out(&line)).expect("JSON");
        assert_eq!(line, told, "{words}");
    }
    for words in [
        "fmt -",
        "fmt - --stdin-filename a.rhai",
        "fmt - x --stdin-filename a.yml",
        "fmt --stdin-filename a.yml x",
    ] {
        assert_eq!(run(words, "").status.code(), Some(3), "{words}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_refused() {
    let folder = folder();
    for (words, told) in [
        ("fmt --policy no-such", "`no-such` is not a folder"),
        ("fmt --policy no-such --check", "`no-such` is not a folder"),
        ("fmt no-such --check", "`no-such` cannot be read"),
    ] {
        let done = rulectl(folder.path(), words);
        assert_eq!(done.status.code(), Some(2), "{words}");
        assert!(err(&done).contains(told), "{words}: {}", err(&done));
    }
}
