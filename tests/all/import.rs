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
fn a_rule_gets_its_user_wherever_its_document_ends() {
    let rule =
        "title: A\nlogsource: {product: okta}\ndetection:\n  s: {eventtype: x}\n  condition: s\n";
    let user = "rulectl: {user: actor.id}\n";
    let ours = rule.replace("eventtype", "eventType");
    let other = ours
        .replace("title: A", "title: B")
        .replace("eventType: x", "eventType: y");
    let cases = [
        ("a.yml", rule.to_owned(), format!("{ours}{user}")),
        (
            "a\nb.yml",
            format!("{rule}...\n"),
            format!("{ours}{user}...\n"),
        ),
        ("a.yml", format!("\u{feff}{rule}"), format!("{ours}{user}")),
        (
            "a.yml",
            format!("---\n{rule}---\n"),
            format!("---\n{ours}{user}---\n"),
        ),
        ("a.yml", rule.trim_end().to_owned(), format!("{ours}{user}")),
        (
            "a.yml",
            format!("{rule}---\n{other}"),
            format!("{ours}{user}---\n{other}{user}"),
        ),
    ];
    for (name, theirs, expected) in cases {
        let folder = started();
        let path = folder.path();
        write(path, &format!("theirs/{name}"), &theirs);
        let done = rulectl(path, "import sigma theirs");
        assert_eq!(done.status.code(), Some(0), "{}{}", out(&done), err(&done));
        let text = fs::read_to_string(path.join("rules/imported").join(name)).expect("written");
        let shown = name.replace('\n', "\\u{a}");
        assert!(
            text.starts_with(&format!("# Imported from theirs/{shown}, SHA-256 ")),
            "{text}"
        );
        let whole = text.split_once("came with.\n\n").expect("a head").1;
        assert_eq!(whole, expected, "{theirs}");
    }
}

#[test]
fn a_filter_comes_in_for_rules_that_come_in_and_for_no_others() {
    let rule = "title: A\nname: theirs\nlogsource: {product: okta}\ndetection:\n  s: {eventType: user.session.start}\n  condition: s\n";
    let filter = |rules: &str| {
        format!(
            "title: F\nlogsource: {{product: okta}}\nfilter:\n  rules: {rules}\n  s: {{actor.type: SystemPrincipal}}\n  condition: not s\n"
        )
    };
    let folder = started();
    let path = folder.path();
    write(path, "theirs/a.yml", rule);
    write(path, "theirs/good.yml", &filter("[theirs]"));
    write(path, "theirs/all.yml", &filter("any"));
    write(path, "theirs/ours.yml", &filter("[api_token_created]"));
    let done = rulectl(path, "import sigma theirs");
    let said = out(&done);
    assert_eq!(done.status.code(), Some(1), "{said}{}", err(&done));
    for part in [
        "not imported: theirs/all.yml\n  error theirs/all.yml:",
        "a filter for every rule of its log source",
        "a filter for `api_token_created`",
        "1 rule and 1 filter in 2 files imported; 2 files not\n",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // What came before counts as imported too.
    write(
        path,
        "more/later.yml",
        &filter("[theirs]").replace("title: F", "title: G"),
    );
    let done = rulectl(path, "import sigma more");
    assert!(
        out(&done).ends_with("0 rules and 1 filter in 1 file imported; 0 files not\n"),
        "{}",
        out(&done)
    );
}

#[test]
fn sources_that_are_no_rules_and_folders_that_are_not_there_are_said() {
    let folder = started();
    let path = folder.path();
    fs::create_dir(path.join("empty")).expect("made");
    let cases = [
        (
            "import sigma routing.toml",
            1,
            "routing.toml:1: is of another kind than rules",
        ),
        (
            "import sigma fixtures/api_token.test.yml",
            1,
            "api_token.test.yml:1: is of another kind",
        ),
        (
            "import sigma empty",
            1,
            "empty:1: holds no `.yml` or `.yaml` file",
        ),
        ("import sigma nowhere", 1, "nowhere:1: cannot be read"),
        (
            "--policy nowhere import sigma rules",
            3,
            "there is no folder `nowhere`",
        ),
    ];
    for (words, code, expected) in cases {
        let done = rulectl(path, words);
        let said = out(&done) + err(&done).as_str();
        assert_eq!(done.status.code(), Some(code), "{words}: {said}");
        assert!(said.contains(expected), "{words}: {said}");
    }
    assert!(!path.join("nowhere").exists());
}

#[test]
fn two_names_for_one_field_in_a_search_are_told_as_such() {
    let folder = started();
    let path = folder.path();
    write(
        path,
        "a.yml",
        "title: A\nlogsource: {product: okta}\ndetection:\n  s:\n    source.ip: 192.0.2.1\n    client.ip: 192.0.2.2\n    eventtype: x\n  condition: s\n",
    );
    let done = rulectl(path, "import sigma a.yml");
    let said = out(&done);
    assert_eq!(done.status.code(), Some(1), "{said}");
    let expected = "`client.ip` and `source.ip` are both `client.ipAddress` here, and one search cannot ask for a field twice";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn outcomes_are_written_as_okta_writes_them() {
    let cases = [("success", "[SUCCESS, ALLOW]"), ("failure", "[FAILURE, ")];
    for (theirs, ours) in cases {
        let folder = started();
        let path = folder.path();
        write(
            path,
            "a.yml",
            &format!(
                "title: A\nlogsource: {{product: okta}}\ndetection:\n  s: {{event.action: user.session.start, event.outcome: {theirs}}}\n  condition: s\n"
            ),
        );
        let done = rulectl(path, "import sigma a.yml");
        assert_eq!(done.status.code(), Some(0), "{}{}", out(&done), err(&done));
        let text = fs::read_to_string(path.join("rules/imported/a.yml")).expect("written");
        assert!(text.contains(&format!("outcome.result: {ours}")), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn a_folder_that_leads_out_of_the_policy_is_not_written_through() {
    let rule =
        "title: A\nlogsource: {product: okta}\ndetection:\n  s: {eventType: x}\n  condition: s\n";
    for link in ["rules/imported", "rules/imported/sub"] {
        let folder = started();
        let path = folder.path();
        let outside = tempfile::TempDir::new().expect("made");
        write(path, "theirs/sub/a.yml", rule);
        let place = path.join(link);
        fs::create_dir_all(place.parent().expect("above")).expect("made");
        std::os::unix::fs::symlink(outside.path(), &place).expect("linked");
        let done = rulectl(path, "import sigma theirs");
        let said = out(&done) + err(&done).as_str();
        assert_ne!(done.status.code(), Some(0), "{said}");
        assert!(said.contains("leads out of the policy folder"), "{said}");
        assert_eq!(fs::read_dir(outside.path()).expect("there").count(), 0);
        // Named, it is meant.
        let done = rulectl(
            path,
            &format!("import sigma theirs --to {}", outside.path().display()),
        );
        assert_eq!(
            outside.path().join("sub/a.yml").exists(),
            done.status.code() == Some(0)
        );
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_written_ends_the_import_with_a_report() {
    let rule = |title: &str| {
        format!(
            "title: {title}\nlogsource: {{product: okta}}\ndetection:\n  s: {{eventType: {title}}}\n  condition: s\n"
        )
    };
    let folder = started();
    let path = folder.path();
    for name in ["a", "b/c", "d"] {
        write(
            path,
            &format!("theirs/{name}.yml"),
            &rule(&name.replace('/', "")),
        );
    }
    // A file where a folder would be.
    write(path, "rules/imported/b", "x");
    let done = rulectl(path, "import sigma theirs");
    let said = out(&done) + err(&done).as_str();
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(
        said.contains("not imported: theirs/b/c.yml") && said.contains("cannot be written"),
        "{said}"
    );
    assert!(
        said.contains("not imported: theirs/d.yml")
            && said.contains("not written, since another could not be"),
        "{said}"
    );
    assert!(
        path.join("rules/imported/a.yml").exists() && !path.join("rules/imported/d.yml").exists()
    );
    let left = fs::read_dir(path.join("rules/imported"))
        .expect("there")
        .count();
    assert_eq!(left, 2, "no half of a file stays");
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
