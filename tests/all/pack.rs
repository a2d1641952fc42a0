//! What the shipped rules cover, and `rulectl coverage` and `rulectl docs`, which tell it.

use std::fs;

use serde_json::Value;

use crate::cli::{err, folder, out, rulectl};
use crate::harness::{lay_over, root};

/// What the shipped rules cover.
fn shipped() -> Vec<Value> {
    let output = rulectl(&root(), "coverage --format json");
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    serde_json::from_str(&out(&output)).expect("JSON")
}

#[test]
fn every_shipped_rule_says_what_it_is_for_and_is_held_by_cases() {
    let routing = fs::read_to_string(root().join("routing.toml")).expect("the routing");
    for rule in shipped() {
        let name = rule["rule"].as_str().expect("a name");
        let has = |key: &str| rule[key].as_array().is_some_and(|items| !items.is_empty());
        for key in [
            "tactics",
            "techniques",
            "falsepositives",
            "fires",
            "quiet",
            "plan",
        ] {
            assert!(has(key), "{name} has no {key}");
        }
        for key in ["description", "behaviour"] {
            assert!(rule[key].is_string(), "{name} has no {key}");
        }
        let plan = format!("\n{} ", rule["finding_type"].as_str().expect("a type"));
        let (_, plans) = routing.split_once("[plan.default]").expect("plans");
        assert!(plans.contains(&plan), "{name} has no plan of its own type");
    }
}

#[test]
fn the_pages_of_the_shipped_rules_are_what_the_rules_say() {
    let output = rulectl(&root(), "docs --check");
    assert_eq!(output.status.code(), Some(0), "{}", out(&output));
}

/// A policy with one rule, which is named and described by an enemy.
fn hostile() -> tempfile::TempDir {
    let folder = folder();
    lay_over(&root().join("tests/diagnostics/good"), folder.path());
    let rule = "title: \"<script>alert(1)</script> [x](javascript:x) | a \\u202E b\"
description: \"`code` **bold**\\n# heading\\n| cell |\"
level: high
tags: [attack.t1110, 'attack.t1<b>', attack.initial_access]
falsepositives: ['<img src=x>', \"a\\nb\"]
logsource: {product: okta, service: okta}
detection:
  selection: {eventType: user.session.start, outcome.reason: '```'}
  condition: selection
rulectl:
  behaviour: '| <b>'
  tests:
    - name: '](x) <i>'
      events: [{at: +0m, eventType: user.session.start, outcome.reason: '```'}]
      expect: {findings: 1}
";
    fs::write(folder.path().join("rules/enemy.yml"), rule).expect("written");
    folder
}

#[test]
fn nothing_that_a_rule_says_means_anything_on_its_page() {
    let folder = hostile();
    let output = rulectl(folder.path(), "docs");
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let pages = fs::read_dir(folder.path().join("docs/rules")).expect("a folder");
    let mut seen = 0;
    for page in pages {
        let path = page.expect("a page").path();
        let text = fs::read_to_string(&path).expect("a page");
        let prose = text.split("## As it is written").next().expect("prose");
        for raw in [
            "<script",
            "<img",
            "<b>",
            "<i>",
            "\u{202e}",
            "[x](java",
            "**bold",
            "\n# heading",
        ] {
            assert!(!prose.contains(raw), "{}: {raw:?}\n{prose}", path.display());
        }
        seen += usize::from(text.contains("alert(1)"));
        let fences: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("````"))
            .collect();
        assert!(fences.len().is_multiple_of(2), "{text}");
    }
    assert!(seen >= 2, "the page of the rule and the index name it");
}

#[test]
fn pages_are_kept_as_the_rules_are_and_those_of_others_are_left() {
    let folder = hostile();
    let pages = folder.path().join("docs/rules");
    let check = || rulectl(folder.path(), "docs --check").status.code();
    assert_eq!(check(), Some(1));
    assert!(!pages.exists(), "--check writes nothing");
    assert_eq!(rulectl(folder.path(), "docs").status.code(), Some(0));
    assert_eq!(check(), Some(0));
    fs::write(pages.join("notes.md"), "mine").expect("written");
    let index = fs::read_to_string(pages.join("README.md")).expect("the index");
    fs::write(pages.join("gone.md"), &index).expect("written");
    fs::write(pages.join("README.md"), index + "more").expect("written");
    let output = rulectl(folder.path(), "docs");
    let said = out(&output);
    assert!(said.contains("README.md\nremoved: "), "{said}");
    assert!(said.ends_with("1 written, 1 removed\n"), "{said}");
    assert!(pages.join("notes.md").exists() && !pages.join("gone.md").exists());
    fs::write(pages.join("README.md"), "mine").expect("written");
    let output = rulectl(folder.path(), "docs");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        err(&output).contains("is not a page of `rulectl docs`"),
        "{}",
        err(&output)
    );
    let kept = fs::read_to_string(pages.join("README.md")).expect("the page");
    assert_eq!(kept, "mine");
}

#[cfg(unix)]
#[test]
fn nothing_is_written_through_a_link() {
    use std::os::unix::fs::symlink;
    let folder = hostile();
    let elsewhere = crate::cli::folder();
    fs::create_dir_all(folder.path().join("docs")).expect("a folder");
    let pages = folder.path().join("docs/rules");
    symlink(elsewhere.path(), &pages).expect("a link");
    let output = rulectl(folder.path(), "docs");
    assert_eq!(output.status.code(), Some(2), "{}", out(&output));
    assert!(err(&output).contains("is a link"), "{}", err(&output));
    fs::remove_file(&pages).expect("removed");
    fs::create_dir(&pages).expect("a folder");
    symlink(elsewhere.path().join("new"), pages.join("README.md")).expect("a link");
    assert_eq!(rulectl(folder.path(), "docs").status.code(), Some(2));
    let left = fs::read_dir(elsewhere.path()).expect("a folder").count();
    assert_eq!(left, 0, "nothing was written there");
}

#[test]
fn a_layer_counts_the_rules_of_each_technique() {
    let folder = hostile();
    let words = "coverage --by behaviour --navigator layer.json";
    let output = rulectl(folder.path(), words);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(out(&output).contains("\n| <b>\n"), "{}", out(&output));
    let text = fs::read_to_string(folder.path().join("layer.json")).expect("a layer");
    let layer: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(layer["domain"], "enterprise-attack");
    let of = |id: &str| {
        let mut all = layer["techniques"].as_array().expect("a list").iter();
        all.find(|it| it["techniqueID"] == id)
            .map(|it| it["score"].clone())
    };
    assert!(
        of("T1110").is_some_and(|score| score.as_u64() >= Some(1)),
        "{text}"
    );
}
