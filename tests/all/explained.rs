//! `rulectl check --explain`: a page for each code, with a broken example that is one.
//!
//! `docs/diagnostics/examples.md` has of each code what the broken folders of `diagnostics` give,
//! and of those that `check` does not report what is broken here. `BLESS=1` writes it again.

use std::collections::BTreeMap;
use std::fs;

use rulectl::render::{code_page, code_pages};
use similar::TextDiff;

use crate::diagnostics::{outputs, over_good};
use crate::harness::{program, root};

const LIVE: [&str; 5] = ["run", "--events", "routing.toml", "--slots", "live"];

/// What is broken, by the words that report it: files laid over a good folder.
#[rustfmt::skip]
type Files<'f> = &'f [(&'f str, &'f str)];

#[rustfmt::skip]
const BROKEN: [(&[&str], Files<'_>); 10] = [
    (&["check"], &[
        ("rules/one.yml", "title: One of one\nlogsource: {product: okta}\ndetection:\n  selection:\n    actor.alternateId|contains|all: admin\n  condition: selection\n"),
        ("rules/quiet.yml", "title: On a list\nname: on_a_list\nlogsource: {product: okta}\ndetection:\n  selection:\n    actor.alternateId|expand: '%nobody%'\n  condition: selection\n---\ntitle: Often on a list\ncorrelation:\n  type: event_count\n  rules: [on_a_list]\n  timespan: 1h\n  condition: {gte: 3}\n"),
    ]),
    (&["check"], &[("routing.toml", ROUTED_AROUND)]),
    (&["check"], &[("rules/tokens.yml", UNTESTED)]),
    (&["check", "--coverage"], &[("rules/sign_in.yml", UNREACHED)]),
    (&["check", "--portable"], &[("rules/long.yml", EXPLODING)]),
    (&["check"], &[
        ("fixtures/none.test.yml", "suite: none\ncases: []\n"),
        ("fixtures/odd.test.yml", "suite: odd\ncases:\n  - name: soon\n    events:\n      - {at: soon, eventType: user.session.start}\n    expect: {findings: []}\n  - name: spelled\n    events:\n      - {eventype: user.session.start}\n    expect: {findings: []}\n  - name: expects nothing\n    events:\n      - {eventType: user.session.start}\n    expect: {}\n"),
    ]),
    (&["hostile"], &[("fixtures/injection/payloads.yml", "payloads: []\n")]),
    (&LIVE, &[(".env", "LLM_API_KEY_FILE=secrets/key\n"), ("rulectl.toml", "[llm]\napi_key = \"hunter2\"\n")]),
    (&LIVE, &[(".env", "LLM_API_KEY=one\nLLM_API_KEY_FILE=secrets/key\n"), ("secrets/key", "two\n")]),
    (&LIVE, &[(".env", "LLM_API_KEY_FILE=secrets/key\n")]),
];

const ROUTED_AROUND: &str = "[route.raw_events]\nphase = \"ingest\"\nallow = [\"detector_agent\"]\nrequire = []\n\n[agents.detector_agent]\ndescription = \"Runs the rules\"\nruns = \"detect\"\n";

const UNREACHED: &str = "title: A token was made\nname: tokens\nlogsource: {product: okta}\ndetection:\n  made: {eventType: system.api_token.create}\n  condition: made\nrulectl:\n  tests:\n    - name: nothing is made\n      events: [{eventType: user.session.start}]\n      expect: {findings: []}\n";

const UNTESTED: &str = "title: A token was made\nlogsource: {product: okta}\ndetection:\n  made: {eventType: system.api_token.create}\n  condition: made\nregression_tests_path: regression_data/okta/tokens/info.yml\n";

const EXPLODING: &str = "title: A long name\nlogsource: {product: okta}\ndetection:\n  s:\n    actor.displayName|re: '^([a-z]+)*@'\n  condition: s\n---\ntitle: A filter\nlogsource: {product: okta}\nfilter:\n  rules: any\n  x: {actor.displayName|re: '[a-z&&[^x]]'}\n  condition: x\n";

/// The problems of a text, each with its code.
fn problems(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("\n\n").filter_map(|block| {
        let block = block.trim_matches('\n');
        let first = block.lines().next()?;
        let (kind, rest) = first.split_once("[RL")?;
        let code = rest.split_once(']')?.0;
        let is_problem = matches!(kind, "error" | "warning") && code.len() == 4;
        is_problem.then_some((code, block))
    })
}

/// What the words say of a good folder with these files laid over it.
fn said(words: &[&str], files: &[(&str, &str)]) -> String {
    let folder = over_good(files);
    let output = program()
        .current_dir(folder.path())
        .args(words)
        .args(["--color", "never"])
        .output()
        .expect("it runs");
    [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8(bytes).expect("UTF-8"))
        .join("\n\n")
}

/// Of several problems the example shows its place and what to do, in few words.
fn example<'t>(all: &[&'t str]) -> &'t str {
    let rank = |block: &&'t str| {
        let without = |what: &str| !block.contains(what);
        (without(" |\n"), without("= help"), block.len(), *block)
    };
    all.iter().copied().min_by_key(rank).expect("a problem")
}

#[test]
fn every_code_has_an_example_that_is_one() {
    let broken: Vec<String> = BROKEN
        .iter()
        .map(|(words, files)| said(words, files))
        .collect();
    let texts = outputs().chain(broken.iter().map(String::as_str));
    let mut by_code: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (code, block) in texts.flat_map(problems) {
        by_code.entry(code).or_default().push(block);
    }
    let mut page =
        "# Examples of problems\n\nOne of each code, as it is reported. Tests write this page.\n"
            .to_owned();
    for (code, all) in &by_code {
        page.push_str(&format!(
            "\n## RL{code}\n\n```text\n{}\n```\n",
            example(all)
        ));
    }
    let path = root().join("docs/diagnostics/examples.md");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &page).expect("written");
    }
    let written = fs::read_to_string(path).expect("the page");
    let diff = TextDiff::from_lines(written.as_str(), &page);
    assert_eq!(written, page, "read, then BLESS=1\n{}", diff.unified_diff());
    let without: Vec<String> = code_pages()
        .map(|page| page.code)
        .filter(|code| !by_code.contains_key(&code[2..]))
        .collect();
    assert!(without.is_empty(), "no example of {without:?}");
}

#[test]
fn a_page_says_what_the_row_says_and_shows_the_example() {
    for page in code_pages() {
        let text = page.as_text();
        for part in [&page.code, &page.kind, &page.fix] {
            assert!(text.contains(part.as_str()), "{text}");
        }
        assert!(!text.contains("](") && !text.contains("```"), "{text}");
        let example = page.example.as_deref().unwrap_or_default();
        assert!(example.contains(&format!("[{}]", page.code)), "{text}");
    }
    let more = code_pages().filter(|page| page.more.is_some()).count();
    assert!(more >= 18, "{more} codes have more");
    assert_eq!(code_page("rl0122"), code_page("RL0122"));
}

#[test]
fn a_code_that_there_is_not_has_the_nearest_one() {
    for (code, said) in [
        (
            "RL0132",
            "error: there is no code `RL0132`; did you mean `RL0112`?\n",
        ),
        (
            "what",
            "error: there is no code `what`; a code is like `RL0122`\n",
        ),
        ("RL0\u{202e}", "error: there is no code `RL0\\u{202e}`"),
    ] {
        let output = program()
            .args(["check", "--explain", code])
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(3));
        let found = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(found.starts_with(said), "{found}");
    }
}

/// What each face says of the same broken folders.
fn faces(words: &[&str]) -> String {
    let files = [
        (
            "rules/one.yml",
            "title: 'A, b: 100%'\nlogsource: {product: okta}\ndetection:\n  selection:\n    eventtype: x\n    outcome.result: \"\\u202e\"\n  unused:\n    actor.idd: y\n  condition: selection\n",
        ),
        ("rules/a,b%:c.yml", "title: X\nlevl: high\n"),
    ];
    said(words, &files)
}

#[test]
fn sarif_is_what_its_schema_says_and_has_every_problem() {
    let text = faces(&["check", "--format", "sarif"]);
    let text = text.trim_end();
    crate::reports::assert_is_sarif(text);
    let sarif: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let values: serde_json::Value =
        serde_json::from_str(faces(&["check", "--format", "json"]).trim_end()).expect("JSON");
    let (run, values) = (&sarif["runs"][0], values.as_array().expect("problems"));
    let results = run["results"].as_array().expect("results");
    assert_eq!(results.len(), values.len());
    assert!(results.len() > 3, "{text}");
    for (result, value) in results.iter().zip(values) {
        let region = &result["locations"][0]["physicalLocation"]["region"];
        assert_eq!(result["ruleId"], value["code"]);
        assert_eq!(result["level"], value["severity"]);
        assert_eq!(region["startLine"], value["line"]);
        assert_eq!(region["startColumn"], value["column"]);
        let index = result["ruleIndex"].as_u64().expect("an index") as usize;
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], value["code"]);
    }
}

#[test]
fn a_workflow_has_a_command_for_each_problem_and_nothing_ends_one() {
    let text = faces(&["check", "--format", "github"]);
    let lines: Vec<&str> = text.trim_end().lines().collect();
    assert!(lines.len() > 3, "{text}");
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("::error file=rules/a%2Cb%25%3Ac.yml,line=1,col=1,")),
        "{text}"
    );
    for line in lines {
        let (head, _) = line.split_once("::").map_or(("x", ""), |(_, rest)| {
            rest.split_once("::").expect("a text")
        });
        assert!(
            head.starts_with("error file=rules/") || head.starts_with("warning file=rules/"),
            "{line}"
        );
        assert!(
            head.contains(",line=") && head.contains(",title=RL"),
            "{line}"
        );
    }
}

#[test]
fn reports_stand_beside_what_is_printed_and_faces_are_those_of_check() {
    let folder = over_good(&[]);
    let run = |words: &str| {
        let mut command = program();
        command.current_dir(folder.path()).args(words.split(' '));
        command.output().expect("it runs")
    };
    let checked = run("check --report sarif=out.sarif --report json=out.json");
    assert_eq!(checked.status.code(), Some(0));
    assert!(checked.stdout.starts_with(b"no problems"));
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("a report");
    crate::reports::assert_is_sarif(&read("out.sarif"));
    assert_eq!(read("out.json"), "[]\n");
    for (words, said) in [
        (
            "check --report html=x",
            "no report `html`; there are sarif, json",
        ),
        ("show --format github", "are for `rulectl check`"),
        (
            "check --explain RL0122 --format sarif",
            "`--explain` has the formats",
        ),
    ] {
        let refused = run(words);
        assert_eq!(refused.status.code(), Some(3), "{words}");
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(text.contains(said), "{text}");
    }
}

/// A policy with one warning, which a comment suppresses to the end of 2026.
fn suppressing() -> tempfile::TempDir {
    over_good(&[(
        "rules/every.yml",
        "title: Everything\nlogsource: {product: okta}\ndetection:\n  s: {eventType: user.session.start}\n  condition: s or not s # rulectl:allow RL0124 until 2026-12-31: \u{202e}for the first weeks\n",
    )])
}

#[test]
fn a_suppression_holds_to_the_end_of_its_last_day() {
    let folder = suppressing();
    for (day, expected) in [
        ("2026-12-31", "no problems, 1 suppressed: 3 rules"),
        ("2027-01-01", "0 errors, 2 warnings\n"),
    ] {
        let words = ["check", "--today", day];
        let output = program()
            .current_dir(folder.path())
            .args(words)
            .output()
            .expect("it runs");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(told.contains(expected), "{day}: {told}");
    }
    let output = program()
        .args(["check", "--today", "tomorrow"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn what_is_suppressed_stands_in_sarif_with_its_reason() {
    let folder = suppressing();
    let output = program()
        .current_dir(folder.path())
        .args(["check", "--today", "2026-12-31", "--format", "sarif"])
        .output()
        .expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    crate::reports::assert_is_sarif(&text);
    let sarif: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "RL0124");
    let suppression = &result["suppressions"][0];
    assert_eq!(suppression["kind"], "inSource");
    assert_eq!(suppression["justification"], "\\u{202e}for the first weeks");
}

#[test]
fn warnings_are_a_negative_answer_where_that_is_asked() {
    let folder = suppressing();
    for (words, exit) in [
        ("check --today 2027-01-01", 0),
        ("check --today 2027-01-01 --deny-warnings", 1),
        ("check --today 2026-12-31 --deny-warnings", 0),
    ] {
        let mut command = program();
        command.current_dir(folder.path()).args(words.split(' '));
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(exit), "{words}");
    }
    fs::write(folder.path().join("rules/half.yml"), "title: [").expect("written");
    let words = ["check", "--deny-warnings"];
    let mut command = program();
    let output = command.current_dir(folder.path()).args(words).output();
    assert_eq!(output.expect("it runs").status.code(), Some(2));
}

#[test]
fn of_a_code_that_there_is_not_those_beside_it_are_told() {
    for (code, said, others) in [
        (
            "RL0199",
            "\nof the same hundred there are\n  RL0101  a document",
            "\n  RL0128  with `--portable`",
        ),
        (
            "rl0099",
            "\nof the same hundred there are\n  RL0001  a file or folder",
            "\n  RL0022  ",
        ),
        ("RL9912", "there is no code `RL9912`; did you mean `RL", ""),
        ("RL\u{202e}", "there is no code `RL\\u{202e}`", ""),
    ] {
        let mut command = program();
        let output = command.args(["check", "--explain", code]).output();
        let output = output.expect("it runs");
        assert_eq!(output.status.code(), Some(3), "{code}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            text.contains(said) && text.contains(others),
            "{code}: {text}"
        );
        assert!(!text.contains("RL02"), "{code}: {text}");
    }
}
