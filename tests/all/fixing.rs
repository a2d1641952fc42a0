//! `rulectl check --fix`: what it puts right, what it leaves, and byte for byte the rest.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::cli::{err, out, rulectl};
use crate::diagnostics::over_good;

/// CRLF, a comment, quotes, a key with a modifier, `all` of one value and an idle suppression.
const RULE: &str = "# by hand \u{e4}\r\ntitle: Odd   # spelling\r\nlogsource: {product: okta}\r\ndetection:\r\n  s:\r\n    Actor.AlternateId|contains|all:   admin  # one\r\n    'client.IPAddress|cidr': 192.0.2.0/24\r\n  # rulectl:allow RL0124 until 9999-12-31: not needed\r\n  condition: s   # rulectl:allow RL0123 until 9999-12-31: neither\r\n";

const FIXED: &str = "# by hand \u{e4}\r\ntitle: Odd   # spelling\r\nlogsource: {product: okta}\r\ndetection:\r\n  s:\r\n    actor.alternateId|contains:   admin  # one\r\n    'client.ipAddress|cidr': 192.0.2.0/24\r\n  condition: s\r\n";

const SUITE: &str = "suite: odd\ncases:\n  - name: odd\n    base: {eventtype: user.session.start}\n    events: [{at: +1m}]\n    expect: {findings: []}\n";

fn odd() -> TempDir {
    over_good(&[("rules/odd.yml", RULE), ("fixtures/odd.test.yml", SUITE)])
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).expect("the file")
}

#[test]
fn everything_but_the_mistakes_stays_byte_for_byte() {
    let folder = odd();
    let output = rulectl(folder.path(), "check --fix");
    let text = out(&output);
    assert_eq!(output.status.code(), Some(0), "{text}{}", err(&output));
    assert_eq!(read(folder.path(), "rules/odd.yml"), FIXED);
    let suite = SUITE.replace("eventtype", "eventType");
    assert_eq!(read(folder.path(), "fixtures/odd.test.yml"), suite);
    for said in [
        "--- rules/odd.yml\n+++ rules/odd.yml\n@@ -4,6 +4,5 @@\n",
        "-    'client.IPAddress|cidr': 192.0.2.0/24\n",
        "+    'client.ipAddress|cidr': 192.0.2.0/24\n",
        "6 problems in 2 files fixed\n\nno problems: 3 rules",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let again = out(&rulectl(folder.path(), "check --fix"));
    assert!(again.starts_with("nothing to fix\nno problems"), "{again}");
}

#[test]
fn a_dry_run_shows_the_same_and_writes_nothing() {
    let folder = odd();
    let dry = out(&rulectl(folder.path(), "check --fix --dry-run"));
    assert_eq!(read(folder.path(), "rules/odd.yml"), RULE);
    assert!(
        dry.contains("6 problems in 2 files can be fixed; nothing is written"),
        "{dry}"
    );
    let real = out(&rulectl(folder.path(), "check --fix"));
    let diff = |text: &str| text.split("6 problems").next().map(str::to_owned);
    assert_eq!(diff(&dry), diff(&real));
}

#[test]
fn a_change_that_would_break_something_is_left_and_the_others_are_made() {
    let twice = "title: Twice\nlogsource: {product: okta}\ndetection:\n  s: {actor.id: a, actor.Id: a, client.ipaddress: 192.0.2.1}\n  condition: s\n";
    let broken = "title: Broken\nlogsource: {product: okta}\ndetection:\n  s: {actor.Id: a\n  condition: s\n";
    let folder = over_good(&[("rules/twice.yml", twice), ("rules/broken.yml", broken)]);
    let output = rulectl(folder.path(), "check --fix");
    let text = out(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    let fixed = twice.replace("ipaddress", "ipAddress");
    assert_eq!(read(folder.path(), "rules/twice.yml"), fixed);
    assert_eq!(read(folder.path(), "rules/broken.yml"), broken);
    let told =
        "1 problem in 1 file fixed\n1 problem left: the change would bring another problem\n";
    assert!(text.contains(told), "{text}");
    let again = out(&rulectl(folder.path(), "check --fix"));
    assert!(
        again.starts_with("nothing to fix\n1 problem left"),
        "{again}"
    );
}

#[test]
fn what_stands_in_a_script_is_left() {
    let script = "// rulectl:allow RL0124 until 9999-12-31: not needed\nfn odd(event) { true }\n";
    let folder = over_good(&[("rules/odd.rhai", script)]);
    let text = out(&rulectl(folder.path(), "check --fix"));
    let told = "nothing to fix\n1 problem left in scripts, which are for a person\n";
    assert!(text.starts_with(told), "{text}");
    assert_eq!(read(folder.path(), "rules/odd.rhai"), script);
}

#[test]
fn what_is_not_tried_is_said() {
    let idle = "# rulectl:allow RL0124 until 9999-12-31: not needed\n".repeat(103);
    let idle = format!(
        "title: Idle\nlogsource: {{product: okta}}\ndetection:\n  s: {{actor.id: a}}\n  condition: s\n{idle}"
    );
    let twice = "title: Twice\nlogsource: {product: okta}\ndetection:\n  s: {actor.id: a, actor.Id: a}\n  condition: s\n";
    let folder = over_good(&[("rules/a.yml", &idle), ("rules/twice.yml", twice)]);
    let text = out(&rulectl(folder.path(), "check --fix"));
    let told = "100 problems in 1 file fixed\n4 problems left for now: mend what is told, and run the command again\n";
    assert!(text.contains(told), "{text}");
}

#[cfg(unix)]
#[test]
fn rights_and_links_stay_as_they_are() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = odd();
    let real = folder.path().join("odd.real");
    fs::rename(folder.path().join("rules/odd.yml"), &real).expect("moved");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).expect("set");
    symlink("../odd.real", folder.path().join("rules/odd.yml")).expect("a link");
    let output = rulectl(folder.path(), "check --fix");
    assert_eq!(output.status.code(), Some(0), "{}", out(&output));
    let link = fs::symlink_metadata(folder.path().join("rules/odd.yml")).expect("it is there");
    assert!(link.file_type().is_symlink());
    assert_eq!(read(folder.path(), "odd.real"), FIXED);
    let mode = fs::metadata(&real).expect("it is there").permissions();
    assert_eq!(mode.mode() & 0o777, 0o640);
}

#[test]
fn a_machine_is_not_given_a_diff() {
    let folder = odd();
    for words in ["check --fix --format json", "check --dry-run"] {
        let output = rulectl(folder.path(), words);
        assert_eq!(output.status.code(), Some(3), "{words}");
    }
    assert_eq!(read(folder.path(), "rules/odd.yml"), RULE);
}
