//! `rulectl import sigma`: what comes in, what does not, and why.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::cli::{err, folder, out, rulectl};
use crate::harness::root;

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, text).expect("written");
}

/// A folder with a policy to import into.
fn started() -> tempfile::TempDir {
    let folder = folder();
    let done = rulectl(folder.path(), "init");
    assert_eq!(done.status.code(), Some(0), "{}", err(&done));
    folder
}

#[test]
fn rules_of_sigma_hq_come_in_and_pass() {
    let folder = started();
    let path = folder.path();
    let rules = root().join("fixtures/sigma/okta").display().to_string();
    let done = rulectl(path, &format!("import sigma {rules}"));
    assert_eq!(done.status.code(), Some(0), "{}{}", out(&done), err(&done));
    assert!(
        out(&done).ends_with("24 rules in 24 files imported; 0 files not\n"),
        "{}",
        out(&done)
    );
    let text = fs::read_to_string(path.join("rules/imported/okta_api_token_created.yml"));
    let text = text.expect("written");
    assert!(text.starts_with("# Imported from "), "{text}");
    for part in [
        "author: Austin Songer @austinsonger\n",
        "rulectl: {user: actor.id}\n",
        "SHA-256 ",
    ] {
        assert!(text.contains(part), "{text}");
    }
    for words in ["check", "fmt --check"] {
        let done = rulectl(path, words);
        assert_eq!(
            done.status.code(),
            Some(0),
            "{words}: {}{}",
            out(&done),
            err(&done)
        );
    }
    let again = rulectl(path, &format!("import sigma {rules}"));
    assert_eq!(again.status.code(), Some(0), "{}", out(&again));
    assert_eq!(out(&again).matches(": there already").count(), 24);
}

#[test]
fn fields_get_okta_s_names_and_everything_else_stays() {
    let folder = started();
    let path = folder.path();
    write(
        path,
        "theirs/sub/a.yml",
        "title: A # a name\nlogsource: {product: okta}\ndetection:\n  s:\n    'event.action|contains': 'user.session'\n    okta.actor.alternate_id: [a, \"b\"] # who\n    eventtype: x\n    source.ip|cidr: 192.0.2.0/24\n  condition: s # event.action\n",
    );
    let done = rulectl(path, "--format json import sigma theirs");
    assert_eq!(done.status.code(), Some(0), "{}{}", out(&done), err(&done));
    let told: Value = serde_json::from_str(&out(&done)).expect("JSON");
    assert_eq!(
        told["imported"][0]["renamed"]["source.ip"],
        "client.ipAddress"
    );
    let text = fs::read_to_string(path.join("rules/imported/sub/a.yml")).expect("written");
    let rule = text.split_once("\n\n").expect("a head").1;
    assert_eq!(
        rule,
        "title: A # a name\nlogsource: {product: okta}\ndetection:\n  s:\n    'eventType|contains': 'user.session'\n    actor.alternateId: [a, \"b\"] # who\n    eventType: x\n    client.ipAddress|cidr: 192.0.2.0/24\n  condition: s # event.action\nrulectl: {user: actor.id}\n"
    );
}

#[test]
fn each_detection_says_whom_it_is_about_however_its_document_ends() {
    const RULE: &str =
        "title: A\nlogsource: {product: okta}\ndetection:\n  s: {eventtype: x}\n  condition: s\n";
    const USER: &str = "rulectl: {user: actor.id}\n";
    let read = RULE.replace("eventtype", "eventType");
    for (text, written) in [
        (RULE.to_owned(), format!("{read}{USER}")),
        (format!("\u{feff}{RULE}"), format!("{read}{USER}")),
        (format!("{RULE}...\n"), format!("{read}{USER}...\n")),
        (format!("{RULE}--- # c\n"), format!("{read}{USER}--- # c\n")),
        (format!("---\n{RULE}"), format!("---\n{read}{USER}")),
        (RULE.trim_end().to_owned(), format!("{read}{USER}")),
        (
            format!("{RULE}---\n{}...\n", RULE.replace("title: A", "title: B")),
            format!(
                "{read}{USER}---\n{}{USER}...\n",
                read.replace("title: A", "title: B")
            ),
        ),
        (
            format!("{RULE}rulectl: {{user: target.id}}\n"),
            format!("{read}rulectl: {{user: target.id}}\n"),
        ),
    ] {
        let folder = started();
        let path = folder.path();
        write(path, "theirs/a\nb.yml", &text);
        let done = rulectl(path, "import sigma theirs");
        assert_eq!(done.status.code(), Some(0), "{text}{}", out(&done));
        let file = fs::read_to_string(path.join("rules/imported/a\nb.yml")).expect("written");
        assert!(
            file.starts_with("# Imported from theirs/a\\u{a}b.yml, SHA-256 "),
            "{file}"
        );
        assert_eq!(
            file.split_once("\n\n").expect("a head").1,
            written,
            "{text:?}"
        );
    }
}

#[test]
fn rules_of_the_policy_are_changed_where_that_is_asked_for_alone() {
    const RULE: &str = "title: Theirs\nname: theirs\nlogsource: {product: okta, service: okta}\ndetection:\n  s: {eventType: user.session.start}\n  condition: s\n";
    let filter = |rules: &str| {
        format!(
            "title: F\nlogsource: {{product: okta}}\nfilter:\n  rules: {rules}\n  s: {{eventType: user.session.start}}\n  condition: not s\n"
        )
    };
    let correlation = |more: &str| {
        format!(
            "title: C\ncorrelation:\n  type: event_count\n  rules: [api_token_made]\n  timespan: 5m\n  condition: {{gte: 2}}\n{more}"
        )
    };
    // What comes beside the rule, whether it changes the policy's, and what is told with the flag.
    for (text, changes, told) in [
        (
            filter("[theirs]"),
            false,
            "  filters `theirs`, which is imported too\n",
        ),
        (
            filter("[api_token_made]"),
            true,
            "  filters `api_token_made` of rules/api_token.yml, which was there\n",
        ),
        (
            filter("any"),
            true,
            "  filters `api_token_made` of rules/api_token.yml, which was there\n  filters `theirs`, which is imported too\n",
        ),
        (
            correlation(""),
            true,
            "  silences `api_token_made` of rules/api_token.yml, which was there\n",
        ),
        (
            correlation("  generate: true\n"),
            false,
            "rules/imported/b.yml: there already\n",
        ),
    ] {
        let folder = started();
        let path = folder.path();
        write(path, "theirs/a.yml", RULE);
        write(path, "theirs/b.yml", &text);
        let done = rulectl(path, "import sigma theirs");
        assert_eq!(
            done.status.code(),
            Some(i32::from(changes)),
            "{text}{}",
            out(&done)
        );
        assert_eq!(path.join("rules/imported/b.yml").exists(), !changes);
        if changes {
            for part in [
                "not imported: theirs/b.yml\n  error theirs/b.yml:",
                "`api_token_made` of rules/api_token.yml, which is in the policy already; `--change-rules` brings it in all the same\n",
                "1 rule in 1 file imported; 1 file not\n",
            ] {
                assert!(out(&done).contains(part), "no `{part}` in {}", out(&done));
            }
        }
        let done = rulectl(path, "import sigma theirs --change-rules");
        assert_eq!(done.status.code(), Some(0), "{}", out(&done));
        assert!(out(&done).contains(told), "no `{told}` in {}", out(&done));
        let sum = match text.contains("filter:") {
            true => "1 rule and 1 filter in 2 files imported; 0 files not\n",
            false => "2 rules in 2 files imported; 0 files not\n",
        };
        assert!(out(&done).ends_with(sum), "{}", out(&done));
        // What is there already changes nothing any more.
        let again = rulectl(path, "import sigma theirs");
        assert_eq!(again.status.code(), Some(0), "{}", out(&again));
    }
}

#[test]
fn accessors_are_left_to_whoever_owns_the_policy() {
    let folder = started();
    write(
        folder.path(),
        "theirs/a.yml",
        "accessors:\n  debugContext.debugData.x: json\n",
    );
    let done = rulectl(folder.path(), "import sigma theirs");
    assert_eq!(done.status.code(), Some(1), "{}", out(&done));
    assert!(
        out(&done).contains("accessors say how all rules of a policy read their fields"),
        "{}",
        out(&done)
    );
}

#[test]
fn a_write_that_fails_ends_with_what_is_there_and_what_is_not() {
    let folder = started();
    let path = folder.path();
    for name in ["a", "sub/b", "z"] {
        let rule = format!(
            "title: {name}\nlogsource: {{product: okta}}\ndetection:\n  s: {{eventType: user.session.start}}\n  condition: s\n"
        );
        write(path, &format!("theirs/{name}.yml"), &rule);
    }
    // A file where a folder would have to be.
    write(path, "rules/imported/sub", "");
    let done = rulectl(path, "import sigma theirs");
    assert_eq!(done.status.code(), Some(2), "{}{}", out(&done), err(&done));
    assert!(
        out(&done).starts_with("rules/imported/a.yml\nnot written: rules/imported/sub/b.yml: "),
        "{}",
        out(&done)
    );
    assert!(
        out(&done).ends_with(
            "not written: rules/imported/z.yml: not tried, after that\n1 rule in 1 file imported; 0 files not; 2 files could not be written\n"
        ),
        "{}",
        out(&done)
    );
    let names = fs::read_dir(path.join("rules/imported")).expect("a folder");
    let mut names: Vec<_> = names.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    assert_eq!(names, ["a.yml", "sub"], "no half file stays");
    let told = rulectl(path, "import sigma theirs --format json");
    let told: Value = serde_json::from_str(&out(&told)).expect("JSON");
    assert_eq!(told["imported"][0]["unchanged"], true);
    assert_eq!(told["unwritten"][0]["file"], "rules/imported/sub/b.yml");
    assert_eq!(told["unwritten"][1]["source"], "theirs/z.yml");
}

#[cfg(unix)]
#[test]
fn nothing_is_written_through_a_link() {
    use std::os::unix::fs::symlink;
    const RULE: &str = "title: A\nlogsource: {product: okta}\ndetection:\n  s: {eventType: user.session.start}\n  condition: s\n";
    let outside = folder();
    for (link, words) in [
        ("rules/imported", "import sigma theirs"),
        ("rules/imported", "import sigma theirs --to rules/imported"),
        (
            "rules/imported",
            "import sigma theirs --to ./rules/imported/x",
        ),
    ] {
        let folder = started();
        let path = folder.path();
        write(path, "theirs/sub/a.yml", RULE);
        symlink(outside.path(), path.join(link)).expect("linked");
        let done = rulectl(path, words);
        assert_eq!(done.status.code(), Some(2), "{}", out(&done));
        assert!(
            err(&done).contains("`rules/imported` is a link, through which no rules are written"),
            "{}",
            err(&done)
        );
    }
    let folder = started();
    let path = folder.path();
    write(path, "theirs/sub/a.yml", RULE);
    fs::create_dir(path.join("rules/imported")).expect("made");
    symlink(outside.path(), path.join("rules/imported/sub")).expect("linked");
    let done = rulectl(path, "import sigma theirs");
    assert_eq!(done.status.code(), Some(1), "{}", out(&done));
    assert!(
        out(&done).contains("`rules/imported/sub` is a link, through which no rules are written"),
        "{}",
        out(&done)
    );
    let count = fs::read_dir(outside.path()).expect("a folder").count();
    assert_eq!(count, 0, "nothing is written outside");
}

#[test]
fn what_is_named_and_is_no_rule_is_told() {
    let folder = started();
    let path = folder.path();
    write(path, "theirs/a.toml", "a = 1\n");
    write(path, "theirs/a.test.yml", "suite: a\ncases: []\n");
    write(path, "theirs/notes.txt", "a\n");
    fs::create_dir(path.join("none")).expect("made");
    for (named, told) in [
        (
            "theirs/a.toml",
            "not imported: theirs/a.toml\n  error theirs/a.toml:1: rules are",
        ),
        ("theirs/a.test.yml", "error theirs/a.test.yml:1: rules are"),
        ("theirs/notes.txt", "error theirs/notes.txt:1: rules are"),
        ("none", "error none:1: nothing to import: rules are"),
        ("theirs", "error theirs:1: nothing to import: rules are"),
    ] {
        let done = rulectl(path, &format!("import sigma {named}"));
        assert_eq!(done.status.code(), Some(1), "{named}: {}", out(&done));
        assert!(out(&done).contains(told), "no `{told}` in {}", out(&done));
    }
}

#[test]
fn two_names_for_one_field_are_told_by_both() {
    for (lines, told) in [
        (
            "    source.ip: 192.0.2.1\n    client.ip: 192.0.2.2\n",
            "theirs/a.yml:6: `source.ip` and `client.ip` are both `client.ipAddress` of Okta's",
        ),
        (
            "    - eventType|contains: a\n      event.action|contains: b\n",
            "theirs/a.yml:6: `eventType` and `event.action` are both `eventType` of Okta's",
        ),
    ] {
        let folder = started();
        let path = folder.path();
        write(
            path,
            "theirs/a.yml",
            &format!(
                "title: A\nlogsource: {{product: okta}}\ndetection:\n  s:\n{lines}  condition: s\n"
            ),
        );
        let done = rulectl(path, "import sigma theirs");
        assert_eq!(done.status.code(), Some(1), "{}", out(&done));
        assert!(out(&done).contains(told), "no `{told}` in {}", out(&done));
        assert!(!out(&done).contains("written twice"), "{}", out(&done));
    }
}

#[test]
fn values_of_event_outcome_become_those_of_okta_s_outcome() {
    for (line, written) in [
        ("event.outcome: success", "outcome.result: [SUCCESS, ALLOW]"),
        ("event.outcome: failure", "outcome.result: [FAILURE, DENY]"),
        (
            "event.outcome: 'failure'",
            "outcome.result: [FAILURE, DENY]",
        ),
        (
            "event.outcome|cased: failure",
            "outcome.result|cased: [FAILURE, DENY]",
        ),
        (
            "event.outcome: unknown",
            "outcome.result: [ABANDONED, CHALLENGE, DEFERRED, RATE_LIMIT, SCHEDULED, SKIPPED, UNANSWERED, UNKNOWN]",
        ),
        (
            "event.outcome: [success, failure]",
            "outcome.result: [SUCCESS, ALLOW, FAILURE, DENY]",
        ),
        (
            "event.outcome|neq: failure",
            "outcome.result|neq: [FAILURE, DENY]",
        ),
        ("event.outcome|exists: true", "outcome.result|exists: true"),
        ("event.outcome: other", "outcome.result: other"),
        ("okta.outcome.result: failure", "outcome.result: failure"),
    ] {
        let folder = started();
        let path = folder.path();
        write(
            path,
            "theirs/a.yml",
            &format!(
                "title: A\nlogsource: {{product: okta}}\ndetection:\n  s:\n    {line}\n  condition: s\n"
            ),
        );
        let done = rulectl(path, "import sigma theirs");
        assert_eq!(done.status.code(), Some(0), "{line}: {}", out(&done));
        let text = fs::read_to_string(path.join("rules/imported/a.yml")).expect("written");
        assert!(text.contains(&format!("    {written}\n")), "{line}: {text}");
    }
}

#[test]
fn what_cannot_be_translated_stays_out_with_the_reason() {
    for (lines, said) in [
        ("s: {event.outcome|contains: fail}", "cannot be translated"),
        ("s: {event.outcome|re: '^success$'}", "cannot be translated"),
        (
            "s: {eventType: a}\n  timeframe: 5m",
            "`timeframe` is not supported",
        ),
    ] {
        let folder = started();
        let path = folder.path();
        let rule = format!(
            "title: A\nlogsource: {{product: okta}}\ndetection:\n  {lines}\n  condition: 1 of s\n"
        );
        write(path, "theirs/a.yml", &rule);
        let done = rulectl(path, "import sigma theirs");
        assert_eq!(done.status.code(), Some(1), "{lines}: {}", out(&done));
        assert!(out(&done).contains(said), "{lines}: {}", out(&done));
        assert!(!path.join("rules/imported/a.yml").exists());
    }
}

#[test]
fn a_policy_folder_that_is_not_there_is_not_made() {
    let folder = started();
    let path = folder.path();
    write(path, "theirs/a.yml", "title: A\n");
    let done = rulectl(path, "--policy polcy import sigma theirs");
    assert_eq!(done.status.code(), Some(2), "{}", out(&done));
    assert!(
        err(&done).contains("`polcy` is not a folder"),
        "{}",
        err(&done)
    );
    assert!(!path.join("polcy").exists());
}

#[test]
fn what_cannot_come_in_is_listed_with_its_reasons_and_lines() {
    let folder = started();
    let path = folder.path();
    let rule = |more: &str| {
        format!("title: X\n{more}detection:\n  s: {{eventType: a.b}}\n  condition: s\n")
    };
    write(
        path,
        "theirs/good.yml",
        &rule("name: good\nlogsource: {product: okta}\n"),
    );
    write(
        path,
        "theirs/windows.yml",
        &rule("logsource:\n  product: windows\n"),
    );
    write(
        path,
        "theirs/condition.yml",
        "title: X\nname: bad\nlogsource: {product: okta}\ndetection:\n  s: {eventType: a.b}\n  condition: t\n",
    );
    write(
        path,
        "theirs/correlation.yml",
        "title: C\ncorrelation:\n  type: event_count\n  rules: [bad]\n  timespan: 5m\n  condition: {gte: 2}\n",
    );
    write(path, "theirs/broken.yml", "title: [\n");
    write(path, "theirs/empty.yml", "# nothing\n");
    write(
        path,
        "theirs/there.yml",
        &rule("logsource: {product: okta}\n"),
    );
    write(
        path,
        "rules/imported/there.yml",
        &rule("name: mine\nlogsource: {product: okta}\n"),
    );
    let dry = rulectl(path, "import sigma theirs no-such --dry-run");
    assert!(!path.join("rules/imported/good.yml").exists());
    let done = rulectl(path, "import sigma theirs no-such");
    assert_eq!(done.status.code(), Some(1), "{}{}", out(&done), err(&done));
    let told = out(&done);
    for part in [
        "rules/imported/good.yml\n",
        "error[RL0105] theirs/windows.yml:3: ",
        "theirs/condition.yml:6: ",
        "theirs/correlation.yml:4: ",
        "error[RL0010] theirs/broken.yml:",
        "error[RL0005] theirs/empty.yml:1: the file holds no rules",
        "is there already; remove it",
        "no-such:1: cannot be read",
        "1 rule in 1 file imported; 7 files not\n",
    ] {
        assert!(told.contains(part), "no `{part}` in {told}");
    }
    assert!(
        out(&dry).ends_with("1 rule in 1 file can be imported; nothing is written; 7 files not\n"),
        "{}",
        out(&dry)
    );
    assert!(path.join("rules/imported/good.yml").exists());
}

#[test]
fn a_long_chain_of_rules_that_name_refused_ones_has_an_end() {
    let folder = started();
    let path = folder.path();
    for at in 0..150 {
        let rule = format!(
            "title: C{at}\nname: c{at}\ncorrelation:\n  type: event_count\n  rules: [c{}]\n  timespan: 5m\n  condition: {{gte: 2}}\n",
            at + 1
        );
        write(path, &format!("theirs/{at:03}.yml"), &rule);
    }
    let done = rulectl(path, "import sigma theirs");
    assert_eq!(done.status.code(), Some(1), "{}", err(&done));
    let told = out(&done);
    assert!(
        told.ends_with("0 rules in 0 files imported; 150 files not\n"),
        "{told}"
    );
}

#[test]
fn nothing_comes_in_that_the_policy_would_break_of() {
    let rule = |title: &str, name: &str| {
        format!(
            "title: {title}\nname: {name}\nlogsource: {{product: okta, service: okta}}\ndetection:\n  s: {{eventType: user.session.start}}\n  condition: s\n"
        )
    };
    let chain = "title: c\nname: c\ncorrelation:\n  type: event_count\n  rules: [x]\n  timespan: 5m\n  condition: {gte: 2}\n";
    let folder = started();
    let path = folder.path();
    // The rule that is there stands in a file behind those that come in.
    write(path, "rules/z.yml", &rule("Z", "z"));
    write(path, "rules/imported/a.yml", &rule("Another", "other"));
    write(path, "theirs/same.yml", &rule("Theirs", "z"));
    write(path, "theirs/a.yml", &rule("X", "x"));
    write(path, "theirs/c.yml", chain);
    write(path, "theirs/free.yml", &rule("Free", "free"));
    let done = rulectl(path, "import sigma theirs");
    assert_eq!(done.status.code(), Some(1), "{}{}", out(&done), err(&done));
    let said = out(&done);
    assert!(
        said.contains("1 rule in 1 file imported; 3 files not"),
        "{said}"
    );
    assert!(path.join("rules/imported/free.yml").exists());
    let done = rulectl(path, "check");
    assert_eq!(done.status.code(), Some(0), "{}", out(&done));
}
