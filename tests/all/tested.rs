//! `rulectl test`: what it reads, what it tells and what it writes for others.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{err, folder, out, rulectl};
use crate::diff::git;
use crate::harness::{lay_over, root, small_folder};
use crate::reports::{assert_is_a_page, assert_is_junit, assert_is_sarif};

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
fn a_page_has_the_cases_and_what_they_reach_and_nothing_raw() {
    let folder = policy(HOSTILE);
    let words = "test --report html=a.html --coverage";
    let output = rulectl(folder.path(), words);
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    let page = fs::read_to_string(folder.path().join("a.html")).expect("a page");
    assert_is_a_page(&page);
    for said in [
        "1 case passed, 1 failed",
        "<h2>Failed</h2>",
        "<summary>]]&gt; 50%, a: b\\u{a}::stop-commands::x</summary>",
        "\\u{202e}::error::",
        "fixtures/a.test.yml:3",
        "<h2>Never</h2>",
        "Coverage: ",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert!(
        !page.contains('\u{202e}') && !page.contains("<b>&"),
        "{page}"
    );
    let again = rulectl(folder.path(), words);
    assert_eq!(again.status.code(), Some(1));
    let twice = fs::read_to_string(folder.path().join("a.html")).expect("a page");
    assert_eq!(page, twice);
}

#[test]
fn what_a_case_reaches_of_routes_and_slots_is_said() {
    let burst = "suite: s
cases:
  - name: a burst
    base: {eventType: user.session.start, outcome.result: FAILURE, actor.alternateId: a@example.com}
    events: [{at: +0m, repeat: 5, every: 1m}]
    expect: {findings: 1}
";
    let folder = policy(burst);
    let path = folder.path().join("routing.toml");
    let routing = fs::read_to_string(&path).expect("it is there");
    let clauses = "[[route.incident.require_when]]\nseverity = [\"medium\"]\nagents = [\"spare_agent\"]\n\n[[route.incident.require_when]]\nseverity = [\"high\"]\nagents = [\"spare_agent\"]\n\n[agents.spare_agent]\ndescription = \"Suggests\"\nruns = \"commands\"\n\n[promotion]\nthreshold = 0.1\n";
    let routing = routing
        .replace(
            "[promotion]\nseverities = [\"high\", \"critical\"]\n",
            clauses,
        )
        .replace(
            "\"command_agent\"]\nrequire",
            "\"command_agent\", \"spare_agent\"]\nrequire",
        );
    fs::write(&path, routing).expect("written");
    let text = out(&rulectl(folder.path(), "test --coverage --format json"));
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let items = json["coverage"]["items"].as_array().expect("items").iter();
    let of = items.filter(|item| item["kind"] == "guardrail" || item["kind"] == "slot");
    let told: Vec<(&str, bool)> = of
        .map(|item| {
            (
                item["name"].as_str().expect("a name"),
                item["reached"] == true,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("route.incident.require_when[0]", true),
            ("route.incident.require_when[1]", false),
            ("risk: medium", true),
            ("plan: OTHER", true),
        ]
    );
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
            "test --report markdown=a.md",
            "there are html, junit, sarif, json; or `github` alone",
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

/// One rule with two searches, a correlation over it, and what cases reach of both.
const SEARCHES: &str = "suite: searches
cases:
  - name: an admin grants
    events:
      - {at: +0m, eventType: user.account.privilege.grant, outcome.result: SUCCESS, actor.alternateId: a@example.com}
      - {at: +1m, eventType: user.account.privilege.grant, outcome.result: SUCCESS, actor.alternateId: known@example.com}
    expect:
      findings: 1
      matches: [{rule: grants, event: event-1, selections: [granted], missing: [known]}]
      near_misses: [{rule: grants, event: event-2, selections: [granted, known]}]
";

const RULE: &str = "title: Privileges
name: grants
logsource: {product: okta, service: okta}
detection:
  granted: {eventType: user.account.privilege.grant}
  known: {actor.alternateId: known@example.com}
  condition: granted and not known
";

fn searches() -> TempDir {
    let folder = policy(SEARCHES);
    fs::write(folder.path().join("rules/grants.yml"), RULE).expect("written");
    folder
}

fn items(folder: &TempDir) -> Vec<(String, String, bool)> {
    let text = out(&rulectl(folder.path(), "test --coverage --format json"));
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let items = json["coverage"]["items"].as_array().expect("items");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_rule = items
        .iter()
        .filter(|item| text(&item["name"]).starts_with("grants"));
    of_rule
        .map(|item| {
            (
                text(&item["name"]),
                text(&item["wanted"]),
                item["reached"] == true,
            )
        })
        .collect()
}

#[test]
fn what_a_case_reaches_of_a_rule_is_said_search_by_search() {
    let folder = searches();
    let output = rulectl(folder.path(), "test");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}{}",
        out(&output),
        err(&output)
    );
    let reached = |expected: [bool; 6]| {
        let names = [
            "grants",
            "grants",
            "grants: granted",
            "grants: granted",
            "grants: known",
            "grants: known",
        ];
        let wanted = [
            "fires",
            "stays quiet",
            "holds",
            "does not hold",
            "holds",
            "does not hold",
        ];
        let items = names.iter().zip(wanted).zip(expected);
        items
            .map(|((name, wanted), reached)| ((*name).to_owned(), wanted.to_owned(), reached))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        items(&folder),
        reached([true, true, true, false, true, true])
    );
    let text = SEARCHES
        .replace("known@example.com", "b@example.com")
        .replace("findings: 1", "findings: 2");
    fs::write(folder.path().join("fixtures/a.test.yml"), text).expect("written");
    assert_eq!(
        items(&folder),
        reached([true, false, true, false, false, true])
    );
}

#[test]
fn too_little_coverage_fails() {
    let folder = searches();
    for (words, exit, said) in [
        (
            "test --coverage",
            0,
            "never: selection grants: granted does not hold  rules/grants.yml",
        ),
        ("test --fail-under 1", 0, "coverage: "),
        (
            "test --fail-under 99.5",
            1,
            "that is less than the 99.5 % of --fail-under",
        ),
        ("test --fail-under 101", 3, ""),
    ] {
        let output = rulectl(folder.path(), words);
        assert_eq!(
            output.status.code(),
            Some(exit),
            "{words}: {}",
            out(&output)
        );
        assert!(out(&output).contains(said), "{words}: {}", out(&output));
    }
}

const LOG: &str = "{\"uuid\":\"u1\",\"eventType\":\"user.session.start\",\"published\":\"2026-01-01T00:00:00Z\"}
{\"uuid\":\"u2\",\"eventType\":\"user.account.privilege.grant\",\"published\":\"2026-02-01T00:00:00Z\",\"actor\":{\"alternateId\":\"a@example.com\"}}
[]
";

/// A suite of one case, whose events and expectations are given.
fn taken(events: &str, expect: &str) -> TempDir {
    let folder = policy(&format!(
        "suite: taken\ncases:\n  - name: one\n    events: {events}\n    expect: {expect}\n"
    ));
    fs::write(folder.path().join("rules/grants.yml"), RULE).expect("written");
    fs::write(folder.path().join("fixtures/log.ndjson"), LOG).expect("written");
    folder
}

#[test]
fn events_are_taken_from_a_log_and_time_goes_on() {
    #[rustfmt::skip]
    let cases = [
        ("[{from: {file: log.ndjson, line: 2}}]", "{findings: [{first_seen: '2026-02-01T00:00:00Z', okta_event_ids: [u2]}]}"),
        ("[{from: {file: log.ndjson, uuid: u2}, at: +1m}]", "{findings: [{first_seen: '2026-01-01T00:01:00Z', okta_event_ids: [event-1]}]}"),
        ("[{from: {file: log.ndjson, uuid: u2}, actor.alternateId: known@example.com}]", "{findings: [], near_misses: 1}"),
        ("[{from: {file: log.ndjson, uuid: u2}, repeat: 3}]", "{findings: 3}"),
        ("[{advance: +1h}, {at: +1m, eventType: user.account.privilege.grant}]", "{findings: [{first_seen: '2026-01-01T01:01:00Z'}]}"),
        ("[{advance: +1h, eventType: user.account.privilege.grant}, {advance: +1h, eventType: user.account.privilege.grant}]", "{findings: [{first_seen: '2026-01-01T01:00:00Z'}, {first_seen: '2026-01-01T02:00:00Z'}]}"),
        ("[{at: +1m}, {}]\n    base: {from: {file: log.ndjson, line: 2}}", "{findings: [{first_seen: '2026-01-01T00:01:00Z'}, {first_seen: '2026-01-01T00:00:00Z'}]}"),
    ];
    for (events, expect) in cases {
        let output = rulectl(taken(events, expect).path(), "test");
        assert_eq!(
            output.status.code(),
            Some(0),
            "{events}: {}{}",
            out(&output),
            err(&output)
        );
    }
    let broken = [
        ("{file: log.ndjson, line: 4}", "the log has no line 4"),
        (
            "{file: log.ndjson, line: 3}",
            "line 3 of the log is no event",
        ),
        (
            "{file: log.ndjson, uuid: u9}",
            "the log has no event whose `uuid` is `u9`",
        ),
        (
            "{file: none.ndjson, line: 1}",
            "there is no log file `none.ndjson`",
        ),
        (
            "{file: log.ndjson}",
            "expected the `line` or the `uuid` of one event",
        ),
        (
            "{file: log.ndjson, line: 1, uuid: u1}",
            "expected the `line` or the `uuid` of one event",
        ),
        ("{file: log.ndjson, lin: 1}", "did you mean `line`?"),
    ];
    for (from, said) in broken {
        let output = rulectl(
            taken(&format!("[{{from: {from}}}]"), "{findings: 0}").path(),
            "test",
        );
        assert_eq!(output.status.code(), Some(2), "{from}: {}", out(&output));
        assert!(err(&output).contains(said), "{from}: {}", err(&output));
    }
}

#[test]
fn cases_stand_in_a_rule() {
    let folder =
        policy("suite: other\ncases:\n  - {name: none, events: [], expect: {findings: 0}}\n");
    let tests = "rulectl:
  tests:
    - name: fires
      events: [{eventType: user.account.privilege.grant}]
      expect: {findings: [{rule: grants}]}
    - name: too many
      events: [{eventType: user.account.privilege.grant}]
      expect: {findings: 2}
";
    let write = |tests: &str| {
        let text = format!("{RULE}{tests}");
        fs::write(folder.path().join("rules/grants.yml"), text).expect("written");
        rulectl(folder.path(), "test")
    };
    let output = write(tests);
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    for said in [
        "FAILED grants: too many\n  rules/grants.yml",
        "2 passed, 1 failed",
    ] {
        assert!(out(&output).contains(said), "{}", out(&output));
    }
    let output = write(&tests.replace("expect: {findings: 2}", "expct: {findings: 2}"));
    assert_eq!(output.status.code(), Some(2), "{}", out(&output));
    assert!(
        err(&output).contains("rules/grants.yml:15"),
        "{}",
        err(&output)
    );
    let digests = |tests: &str| {
        write(tests);
        let loaded = rulectl::policy::load(folder.path());
        loaded.policy.expect("a policy").detector.logic_digests()
    };
    assert_eq!(digests(tests), digests(""), "a test changes no logic");
}

#[test]
fn only_suites_that_a_change_concerns_are_run() {
    let folder = searches();
    let log = LOG.trim_end_matches("[]\n");
    let path = folder.path();
    let write = |name: &str, text: &str| fs::write(path.join(name), text).expect("written");
    let quiet = "suite: NAME\ncases:\n  - {name: one, events: {file: log.ndjson}, expect: {findings: [{rule: RULE}]}}\n";
    let suite = |name: &str, rule: &str| {
        let text = quiet.replace("NAME", name).replace("RULE", rule);
        write(&format!("fixtures/{name}.test.yml"), &text);
    };
    write("fixtures/log.ndjson", log);
    suite("b", "grants");
    let again = RULE
        .replace("grants", "other")
        .replace("privilege.grant", "lock")
        .replace("known@", "other@");
    write("rules/other.yml", &again);
    write(
        "fixtures/c.test.yml",
        "suite: c\ncases:\n  - {name: one, events: [{eventType: user.account.lock}], expect: {findings: [{rule: other}]}}\n",
    );
    git(path, &["init", "--quiet"]);
    git(path, &["add", "--all"]);
    git(
        path,
        &[
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.com",
            "commit",
            "--quiet",
            "-m",
            "a",
        ],
    );
    let check = |what: &str, passed: Option<usize>| {
        let output = rulectl(path, "test --changed-since HEAD");
        let said = format!("{what}: {}{}", out(&output), err(&output));
        match passed {
            Some(passed) => assert!(
                said.contains(&format!("{passed} passed, 0 failed")),
                "{said}"
            ),
            None => assert!(
                said.contains("no suite is concerned by what changed since `HEAD`"),
                "{said}"
            ),
        }
        assert_eq!(output.status.code(), Some(0), "{said}");
    };
    check("nothing changed", None);
    write(
        "fixtures/log.ndjson",
        &log.replace("a@example.com", "b@example.com"),
    );
    check("a log", Some(1));
    write("fixtures/log.ndjson", log);
    write("rules/other.yml", &again.replace("other@", "another@"));
    check("a rule that one suite names", Some(1));
    write("rules/other.yml", &again);
    write(
        "fixtures/d.test.yml",
        "suite: d\ncases:\n  - {name: one, events: [], expect: {findings: 0}}\n",
    );
    check("a new suite", Some(1));
    let routing = fs::read_to_string(path.join("routing.toml")).expect("routing");
    write("routing.toml", &format!("{routing}\n# another\n"));
    check("routing", Some(4));
    let output = rulectl(path, "test --changed-since nowhere");
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    assert!(
        err(&output).contains("no revision of the repository"),
        "{}",
        err(&output)
    );
}

/// A field of any depth would be followed as deep when the event is written, read and let go.
#[test]
fn a_path_of_very_many_steps_is_refused_and_breaks_nothing() {
    let path = vec!["a"; 500_000].join(".");
    let case = format!(
        "suite: deep\ncases:\n  - name: deep\n    base: {{? {path}\n: 1}}\n    events: [{{at: +1m}}]\n    expect: {{findings: []}}\n"
    );
    let folder = policy(&case);
    for words in ["check", "test"] {
        let output = rulectl(folder.path(), words);
        assert_eq!(output.status.code(), Some(2), "{words}");
        let told = [out(&output), err(&output)].concat();
        assert!(told.contains("at most 32 steps"), "{told}");
    }
}

const TOKENS: &str = "title: A token was made
id: 5f0a2e5c-8d0e-4a4e-9f5e-0d2f6d3f3a11
logsource: {product: okta, service: okta}
detection:
  made: {eventType: system.api_token.create}
  condition: made
regression_tests_path: regression_data/tokens/info.yml
";

/// Test data as SigmaHQ lays it out: what it is about, and files of which one is none of ours.
fn regression(match_count: &str, kind: &str) -> TempDir {
    let folder = folder();
    lay_over(&root().join("tests/diagnostics/good"), folder.path());
    let info = format!(
        "id: 0d2f6d3f-3a11-4a4e-9f5e-5f0a2e5c8d0e\ndescription: N/A\ndate: 2026-01-01\nauthor: us\nrule_metadata:\n    - id: 5f0a2e5c-8d0e-4a4e-9f5e-0d2f6d3f3a11\n      title: A token was made\nregression_tests_info:\n    - name: Two of three\n      type: {kind}\n      provider: okta\n{match_count}      path: regression_data/tokens/events.json\n"
    );
    let event = |kind: &str, at: u8| {
        format!(
            "{{\"eventType\":\"{kind}\",\"uuid\":\"e-{at}\",\"published\":\"2026-01-01T00:0{at}:00Z\"}}\n"
        )
    };
    let events = [
        event("system.api_token.create", 1),
        event("user.session.start", 2),
        event("system.api_token.create", 3),
    ];
    let data = folder.path().join("regression_data/tokens");
    fs::create_dir_all(&data).expect("a folder");
    fs::write(data.join("info.yml"), info).expect("written");
    fs::write(data.join("events.json"), events.concat()).expect("written");
    fs::write(folder.path().join("rules/tokens.yml"), TOKENS).expect("written");
    folder
}

#[test]
fn the_test_data_of_a_rule_are_cases() {
    for (count, kind, exit, said) in [
        ("      match_count: 2\n", "json", 0, "1 passed, 0 failed"),
        ("", "json", 0, "1 passed, 0 failed"),
        (
            "      match_count: 3\n",
            "json",
            1,
            "expected 3 matches, received 2",
        ),
        (
            "      match_count: 2\n",
            "evtx",
            1,
            "the policy has no suites",
        ),
        ("      match_count: many\n", "json", 2, "found a text"),
    ] {
        let folder = regression(count, kind);
        let output = rulectl(folder.path(), "test");
        let told = [out(&output), err(&output)].concat();
        assert!(told.contains(said), "{count}{kind}: {told}");
        assert_eq!(output.status.code(), Some(exit), "{count}{kind}: {told}");
    }
    let folder = regression("", "json");
    let rule = TOKENS.replace("create", "revoke");
    fs::write(folder.path().join("rules/tokens.yml"), rule).expect("written");
    let told = out(&rulectl(folder.path(), "test"));
    assert!(told.contains("expected 1 matches, received 0"), "{told}");
    fs::remove_dir_all(folder.path().join("regression_data")).expect("removed");
    let output = rulectl(folder.path(), "check");
    assert_eq!(output.status.code(), Some(0), "rules are copied without it");
    assert!(out(&output).contains("warning[RL0607]"), "{}", out(&output));
}

#[test]
fn test_data_that_is_another_is_run_again() {
    let folder = regression("      match_count: 2\n", "json");
    let path = folder.path();
    let commit = "-c user.name=a -c user.email=a@example.com commit --quiet -m a";
    git(path, &["init", "--quiet"]);
    git(path, &["add", "--all"]);
    git(path, &commit.split(' ').collect::<Vec<_>>());
    let told = || {
        let output = rulectl(path, "test --changed-since HEAD");
        [out(&output), err(&output)].concat()
    };
    assert!(told().contains("no suite is concerned"), "{}", told());
    let data = path.join("regression_data/tokens/events.json");
    let events = fs::read_to_string(&data).expect("it is there");
    fs::write(&data, events.replace("create", "revoke")).expect("written");
    assert!(
        told().contains("expected 2 matches, received 0"),
        "{}",
        told()
    );
}

#[test]
fn an_event_of_a_log_is_told_by_what_it_alone_has() {
    let log = "{\"eventType\":\"user.session.start\",\"uuid\":\"a\",\"published\":\"2026-01-01T00:00:00Z\",\"target\":[{\"id\":\"t-1\"},{\"id\":\"t-2\"}]}\n{\"eventType\":\"user.session.end\",\"uuid\":\"b\",\"published\":\"2026-01-01T00:01:00Z\",\"target\":[{\"id\":\"t-2\"}]}\n";
    for (marks, exit, said) in [
        ("{target.id: t-1}", 0, "1 passed"),
        (
            "{target.id: t-2, eventType: user.session.start}",
            0,
            "1 passed",
        ),
        (
            "{target.id: t-2}",
            2,
            "lines 1 and 2 of the log both have what `where` asks for",
        ),
        ("{target.id: t-3}", 2, "no event with what `where` asks for"),
        ("{}", 2, "`where` names no field"),
        ("{targt.id: t-1}", 2, "did you mean `target.id`?"),
    ] {
        let suite = format!(
            "suite: marked\ncases:\n  - name: marked\n    events: [{{from: {{file: log.ndjson, where: {marks}}}, outcome.result: FAILURE}}]\n    expect: {{matches: [{{rule: failed_login, event: a}}]}}\n"
        );
        let folder = policy(&suite);
        fs::write(folder.path().join("fixtures/log.ndjson"), log).expect("written");
        let output = rulectl(folder.path(), "test");
        let told = [out(&output), err(&output)].concat();
        assert!(told.contains(said), "{marks}: {told}");
        assert_eq!(output.status.code(), Some(exit), "{marks}: {told}");
    }
}

/// A burst that is promoted, and what its route holds.
fn routed(expected: &str) -> (Option<i32>, String) {
    let suite = format!(
        "suite: routes\ncases:\n  - name: a burst\n    base: {{eventType: user.session.start, outcome.result: FAILURE, actor.alternateId: a@example.com}}\n    events: [{{at: +0m, repeat: 5, every: 1m}}]\n    expect:\n      routes: {expected}\n"
    );
    let folder = policy(&suite);
    let path = folder.path().join("routing.toml");
    let routing = fs::read_to_string(&path).expect("it is there");
    let all = routing.replace("severities = [\"high\", \"critical\"]", "threshold = 0.1");
    fs::write(&path, all).expect("written");
    let output = rulectl(folder.path(), "test");
    (output.status.code(), [out(&output), err(&output)].concat())
}

#[test]
fn a_case_says_what_the_route_of_an_incident_holds() {
    for (expected, exit, said) in [
        ("1", Some(0), "1 passed"),
        (
            "[{phase: response, agents: [planner_agent, command_agent]}]",
            Some(0),
            "1 passed",
        ),
        (
            "[{agents: [command_agent, planner_agent]}]",
            Some(1),
            "expected one of the routes to be this (-), and the nearest is (+)",
        ),
        ("[{phase: ingest}]", Some(1), "+   \"phase\": \"response\""),
        ("0", Some(1), "expected 0 routes, received 1"),
        ("[{agent: planner_agent}]", Some(2), "unknown key `agent`"),
        (
            "[{edits: [{action: added, agent: planner_agent}, {action: added, agent: command_agent}]}]",
            Some(0),
            "1 passed",
        ),
    ] {
        let (code, told) = routed(expected);
        assert!(told.contains(said), "{expected}: {told}");
        assert_eq!(code, exit, "{expected}: {told}");
    }
}

#[test]
fn the_scope_of_a_command_stands_in_its_notes() {
    let suite = "suite: scopes
cases:
  - name: a burst
    base: {eventType: user.session.start, outcome.result: FAILURE, actor.alternateId: a@example.com, actor.id: 00u1234567890abcdefg}
    events: [{at: +0m, repeat: 5, every: 1m}]
    expect:
      commands:
        - {step_id: collect_auth_logs, notes: ''}
        - {step_id: lock_account, notes: a token of OAuth needs the scope okta.users.manage}
";
    let folder = policy(suite);
    for (name, from, to) in [
        (
            "routing.toml",
            "severities = [\"high\", \"critical\"]",
            "threshold = 0.1",
        ),
        (
            "tools.yaml",
            "lifecycle/suspend\n",
            "lifecycle/suspend\n    scope: okta.users.manage\n",
        ),
        (
            "rules/sign_in.yml",
            "finding_type: FAILED_LOGIN_BURST",
            "{finding_type: FAILED_LOGIN_BURST, user: actor.id}",
        ),
    ] {
        let path = folder.path().join(name);
        let text = fs::read_to_string(&path).expect("it is there");
        assert!(text.contains(from), "{name}");
        fs::write(&path, text.replace(from, to)).expect("written");
    }
    let output = rulectl(folder.path(), "test");
    let told = [out(&output), err(&output)].concat();
    assert_eq!(output.status.code(), Some(0), "{told}");
}

#[test]
fn what_check_says_of_files_beside_a_policy() {
    let rule = "title: r\nname: r\nlogsource: {product: okta}\ndetection: {s: {eventType: user.session.start}, condition: s}\n";
    let outside = format!("{rule}regression_tests_path: /etc/hostname\n");
    let above = format!("{rule}regression_tests_path: ../secret.yml\n");
    let misspelt = format!("{rule}regression_tests_path: data/info.yml\n");
    let filter = "title: f\nlogsource: {product: okta}\nfilter:\n  rules: any\n  selection: {actor.alternateId|contains: [admin, administrator]}\n  condition: not selection\n";
    let suite = "suite: s\ncases:\n  - name: c\n    events: [{outcome: {Result: FAILURE}, actor: {alternateId: x}, target: [{alternateid: y}]}]\n    expect: {findings: []}\n";
    for (file, text, expected) in [
        (
            "rules/r.yml",
            outside.as_str(),
            "leads out of the policy folder",
        ),
        (
            "rules/r.yml",
            above.as_str(),
            "leads out of the policy folder",
        ),
        ("rules/r.yml", misspelt.as_str(), "describes no test data"),
        ("rules/f.yml", filter, "beside `admin`"),
        ("fixtures/s.test.yml", suite, "`outcome.Result`"),
        ("fixtures/s.test.yml", suite, "`target.alternateid`"),
    ] {
        let place = tempfile::tempdir().expect("a folder");
        let policy = place.path().join("policy");
        lay_over(&root().join("tests/diagnostics/good"), &policy);
        for (file, text) in [
            ("policy/data/info.yml", "regression_test_info: []\n"),
            ("secret.yml", "token: hidden\n"),
            (&*format!("policy/{file}"), text),
        ] {
            let path = place.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("written");
        }
        let output = rulectl(&policy, "check");
        let said = out(&output);
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(!said.contains("hidden"), "{said}");
    }
}

/// What a failed case tells to run is run by a shell, and runs that case alone.
#[test]
fn the_command_of_a_failed_case_runs_it_again() {
    let suite = r#"suite: "-odd\u001b[31m it's $(x) \u202E\\"
cases:
  - {name: "fails\n", events: [], expect: {findings: 1}}
  - {name: passes, events: [], expect: {findings: 0}}
"#;
    let folder = policy(suite);
    let place = tempfile::tempdir().expect("a folder");
    for name in ["plain", "it's a policy", "-x"] {
        let moved = place.path().join(name);
        lay_over(folder.path(), &moved);
        let output = crate::harness::program()
            .current_dir(place.path())
            .arg(format!("--policy={name}"))
            .arg("test")
            .output()
            .expect("it runs");
        let told = out(&output);
        assert!(!told.contains(['\u{1b}', '\u{202e}']), "{told}");
        let again = told
            .lines()
            .find_map(|line| line.trim().strip_prefix("again: rulectl "));
        let again = again.unwrap_or_else(|| panic!("a command: {told}"));
        let output = std::process::Command::new("bash")
            .current_dir(place.path())
            .arg("-c")
            .arg(format!("\"$PROGRAM\" {again}"))
            .env("PROGRAM", env!("CARGO_BIN_EXE_rulectl"))
            .output()
            .expect("bash runs");
        let said = [out(&output), err(&output)].concat();
        assert!(said.contains("\n0 passed, 1 failed\n"), "{again}: {said}");
    }
}

#[test]
fn suites_that_are_not_read_are_told() {
    let suite = "suite: s\ncases:\n  - {name: c, events: [], expect: {findings: 0}}\n";
    let folder = policy(suite);
    let path = folder.path();
    let deep = path.join("fixtures/1/2/3/4/5/6/7/8/9/10");
    for place in [deep.clone(), path.join("others")] {
        fs::create_dir_all(&place).expect("a folder");
        fs::write(place.join("b.test.yml"), suite).expect("written");
    }
    for (target, name) in [
        ("../others", "linked"),
        (".", "around"),
        ("logs", "logs-again"),
    ] {
        std::os::unix::fs::symlink(target, path.join("fixtures").join(name)).expect("a link");
    }
    fs::create_dir_all(path.join("fixtures/logs")).expect("a folder");
    fs::write(path.join("fixtures/c.Test.YAML"), suite).expect("written");
    fs::write(path.join("fixtures/.#a.test.yml"), "suite: [").expect("written");
    let output = rulectl(path, "check");
    let told = out(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    for said in [
        "the suites in `fixtures/1/2/3/4/5/6/7/8/9` are not read: it is nested deeper than 8 folders",
        "the suites in `fixtures/linked` are not read: links to folders are not followed",
        "`fixtures/c.Test.YAML` is not read as a suite",
    ] {
        assert!(told.contains(said), "{said}: {told}");
    }
    assert!(!told.contains("logs-again"), "{told}");
    assert!(out(&rulectl(path, "test")).contains("1 passed, 0 failed"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_suite_whose_name_no_file_could_write_is_an_error() {
    use std::os::unix::ffi::OsStrExt;
    let suite =
        "suite: s\ncases:\n  - {name: c, events: [{eventtype: x}], expect: {findings: 0}}\n";
    let folder = policy(suite);
    let name = std::ffi::OsStr::from_bytes(b"fixtures/\xff.test.yml");
    fs::write(folder.path().join(name), suite).expect("written");
    let output = rulectl(folder.path(), "check --fix");
    let told = out(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("its name is not UTF-8"), "{told}");
    assert!(told.contains("1 problem in 1 file fixed"), "{told}");
}

#[test]
fn a_case_that_names_no_rule_is_run_where_any_rule_is_another() {
    let suite = "suite: s\ncases:\n  - {name: one, events: [], expect: {findings: []}}\n  - {name: two, events: [{eventType: user.session.start, outcome.result: FAILURE}], expect: {matches: [{rule: failed_login}]}}\n";
    let folder = policy(suite);
    let path = folder.path();
    fs::write(path.join("rules/tokens.yml"), TOKENS).expect("written");
    git(path, &["init", "--quiet"]);
    git(path, &["add", "--all"]);
    let commit = "-c user.name=a -c user.email=a@example.com commit --quiet -m a";
    git(path, &commit.split(' ').collect::<Vec<_>>());
    let told = || {
        let output = rulectl(path, "test --changed-since HEAD");
        [out(&output), err(&output)].concat()
    };
    assert!(told().contains("no suite is concerned"), "{}", told());
    let rule = TOKENS.replace("create", "revoke");
    fs::write(path.join("rules/tokens.yml"), rule).expect("written");
    assert!(told().contains("2 passed, 0 failed"), "{}", told());
}

#[test]
fn a_comment_suppresses_a_warning_of_test_data() {
    for (comment, code, said) in [
        (
            "RL0607 until 9999-12-31: of another tool",
            0,
            "no problems, 1 suppressed",
        ),
        (
            "RL0607 until 2020-01-01: of another tool",
            1,
            "warning[RL0021]",
        ),
        (
            "RL0124 until 9999-12-31: of another tool",
            1,
            "warning[RL0022]",
        ),
    ] {
        let folder = regression("", &format!("evtx # rulectl:allow {comment}"));
        let output = rulectl(folder.path(), "check --deny-warnings");
        let told = out(&output);
        assert!(told.contains(said), "{comment}: {told}");
        assert_eq!(output.status.code(), Some(code), "{comment}: {told}");
    }
}

#[test]
fn nothing_is_read_over_a_link_that_leads_out() {
    let secret = tempfile::tempdir().expect("a folder");
    fs::write(secret.path().join("a.yml"), "hidden: [\n").expect("written");
    for name in [
        "rules/a.yml",
        "rules/lists/a.txt",
        "prompts/a.md",
        "fixtures/b.test.yml",
        "routing.toml",
        "prompts",
        "fixtures",
    ] {
        let folder = policy("suite: s\ncases:\n  - {name: c, events: [], expect: {findings: 0}}\n");
        let path = folder.path().join(name);
        let _ = fs::remove_file(&path);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        let target = if path.extension().is_some() {
            secret.path().join("a.yml")
        } else {
            secret.path().to_owned()
        };
        std::os::unix::fs::symlink(target, &path).expect("a link");
        let output = rulectl(folder.path(), "check");
        let told = out(&output);
        assert_eq!(output.status.code(), Some(2), "{name}: {told}");
        assert!(told.contains("that leads out of the"), "{name}: {told}");
        assert!(!told.contains("hidden"), "{name}: {told}");
    }
}

/// Whoever names a file means it, wherever it leads; of a folder what stands in it is meant.
#[test]
fn a_folder_of_rules_is_read_as_far_as_it_reaches() {
    let folder = folder();
    let rules = folder.path().join("rules");
    fs::create_dir_all(&rules).expect("a folder");
    fs::write(folder.path().join("a.yml"), "hidden: [\n").expect("written");
    std::os::unix::fs::symlink("../a.yml", rules.join("a.yml")).expect("a link");
    std::os::unix::fs::symlink("rules", folder.path().join("linked")).expect("a link");
    for (rules, said) in [
        ("rules", "error[RL0007]"),
        ("linked", "error[RL0007]"),
        ("rules/a.yml", "error[RL0010]"),
    ] {
        let words = format!("detect --rules {rules} --events a.yml");
        let output = rulectl(folder.path(), &words);
        assert_eq!(output.status.code(), Some(2), "{rules}: {}", err(&output));
        assert!(err(&output).contains(said), "{rules}: {}", err(&output));
    }
}

/// A rule of a low severity is promoted by a model alone, and cases ask none.
#[test]
fn what_only_a_model_brings_about_is_not_counted() {
    let items = |level: &str| -> Vec<String> {
        let folder = small_folder();
        let path = folder.path().join("rules/sign_in.yml");
        let rule = fs::read_to_string(&path).expect("a rule");
        assert!(rule.contains("level: medium"));
        fs::write(&path, rule.replace("level: medium", level)).expect("written");
        let suites = folder.path().join("fixtures");
        fs::create_dir_all(&suites).expect("a folder");
        let suite = "suite: s\ncases:\n  - {name: c, events: [], expect: {findings: 0}}\n";
        fs::write(suites.join("a.test.yml"), suite).expect("written");
        let told = out(&rulectl(folder.path(), "test --coverage"));
        let plans = told.lines().filter_map(|line| line.strip_prefix("never: "));
        let plans = plans.filter(|line| line.contains("lock_account") || line.contains("plan: "));
        plans.map(|line| line.trim_end().to_owned()).collect()
    };
    let travel_and_fatigue = [
        "slot plan: IMPOSSIBLE_TRAVEL is given",
        "slot plan: MFA_FATIGUE is given",
    ];
    assert_eq!(items("level: medium"), travel_and_fatigue);
    let with_burst = [
        "step lock_account is planned",
        "slot plan: FAILED_LOGIN_BURST is given",
        travel_and_fatigue[0],
        travel_and_fatigue[1],
    ];
    assert_eq!(items("level: high"), with_burst);
}

#[test]
fn the_shipped_suites_reach_all_that_there_is() {
    let output = crate::harness::program()
        .args(["test", "--fail-under", "100"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{}", out(&output));
}

#[test]
fn suites_are_held_against_the_names_that_are_there_whatever_else_is_wrong() {
    const RULE: &str = "title: Begun\nname: begun\nlogsource: {product: okta, service: okta}\ndetection:\n  s: {eventType: user.session.start}\n  condition: s\n";
    let of = |rule: &str| {
        format!(
            "suite: s\ncases:\n  - name: a\n    events: []\n    expect: {{findings: [{{rule: {rule}}}]}}\n"
        )
    };
    for (broken, rule, is_told) in [
        ("", "begun", false),
        ("", "begnu", true),
        ("level: grave\n", "begun", false),
        ("level: grave\n", "begnu", true),
        ("level: grave\n", "api_token_made", false),
        (
            "level: grave\n",
            "00000000-0000-4000-8000-000000000001",
            false,
        ),
        ("level: [\n", "begun", false),
        ("level: [\n", "begnu", true),
    ] {
        let folder = folder();
        let path = folder.path();
        assert_eq!(rulectl(path, "init").status.code(), Some(0));
        fs::write(path.join("rules/begun.yml"), format!("{RULE}{broken}")).expect("written");
        fs::write(path.join("fixtures/begun.test.yml"), of(rule)).expect("written");
        let done = rulectl(path, "check");
        let told = format!("none of the findings has the rule `{rule}`: there is no such rule");
        let said = format!("{}{}", out(&done), err(&done));
        assert_eq!(said.contains(&told), is_told, "{broken}{rule}: {said}");
    }
}
