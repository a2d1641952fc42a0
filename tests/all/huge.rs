//! Input that is large, deep or many: it is read or refused, in little memory and in time that does
//! not grow with its square. What is quadratic here runs for minutes, and the runner ends it.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Output};

use rulectl::policy::load_rules;
use rulectl::render::problems_as_text;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{at, small_place};

/// What the program itself takes, with room for a build that is not optimised.
const BASE: usize = 24;
/// What one record may take beyond that.
const FOR_A_RECORD: usize = 64;

/// What one call of a script may take.
const FOR_A_SCRIPT: usize = 64;

/// The longest record that is read.
const LONGEST: usize = 2 << 20;

const RULE: &str = "title: t\nlogsource: {product: okta}\ndetection:\n";

/// Runs `detect` on one thread, with so many MiB for what it writes into: it is killed when it asks
/// for more.
fn detect(mebibytes: usize, rules: &str, events: &[u8]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("rules.yml"), rules).expect("written");
    fs::write(folder.path().join("events.json"), events).expect("written");
    detect_in(&folder, mebibytes)
}

fn detect_in(folder: &TempDir, mebibytes: usize) -> Output {
    detect_of(folder, "rules.yml", mebibytes)
}

fn detect_of(folder: &TempDir, rules: &str, mebibytes: usize) -> Output {
    let script = format!(
        "ulimit -d {}; exec \"$0\" detect --threads 1 --rules {rules} --events events.json",
        mebibytes << 10
    );
    Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_rulectl")])
        .current_dir(folder.path())
        .output()
        .expect("a shell")
}

/// How many lines came out, if it ended well, and what it said.
#[track_caller]
fn counted(output: &Output) -> (usize, String) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let lines = output.stdout.iter().filter(|byte| **byte == b'\n').count();
    (lines, said.lines().next().unwrap_or_default().to_owned())
}

/// The shipped rules, as one file.
fn shipped_rules() -> String {
    let texts = ["sign_in", "mfa"].map(|name| {
        let path = small_place().join("rules").join(name).with_extension("yml");
        fs::read_to_string(path).expect("rules")
    });
    texts.join("\n---\n")
}

/// A record of exactly the longest size, of one element over and over.
fn filled(before: &str, element: &str, after: &str) -> String {
    let room = LONGEST - before.len() - after.len() - 1;
    let elements = element.repeat(room / element.len());
    let rest = "1".repeat(room - elements.len() + 1);
    format!("{before}{elements}{rest}{after}")
}

#[test]
fn the_longest_records_are_read_in_little_memory() {
    let typed = r#"{"eventType":"user.session.start","#;
    // An array of the elements in a field that no rule reads, and in one that some read; with an event
    // type, which is read straight from the bytes, and without one, which builds a tree.
    for element in ["[],", "1,", "\"\",", "\"\\u00e4\",", "{},", "[{}],"] {
        for (start, field) in [(typed, "x"), (typed, "target"), ("{", "x")] {
            let record = filled(&format!("{start}\"{field}\":["), element, "]}");
            assert_eq!(record.len(), LONGEST);
            let output = detect(BASE + FOR_A_RECORD, &shipped_rules(), record.as_bytes());
            let (_, said) = counted(&output);
            let expected = if start == "{" && element.contains('{') {
                "0 events: 0 matches, 0 findings, 1 rejected"
            } else {
                "1 event: "
            };
            assert!(said.starts_with(expected), "{element} in {field}: {said}");
        }
    }
}

#[test]
fn one_record_of_many_objects_or_one_long_text_is_read_in_little_memory() {
    let objects = r#"{"":1},"#.repeat(49_999);
    let hook = format!(r#"{{"data":{{"events":[{}{{}}]}}}}"#, "{},".repeat(49_990));
    let cases = [
        (
            filled(&format!("{{\"x\":[{objects}"), "1,", "]}"),
            "1 event: ",
        ),
        (hook, "49,991 events: "),
        (filled("{\"x\":\"", "\\n", "\"}"), "1 event: "),
        (filled("{\"x\":\"\\ud800", "\\n", "\"}"), "1 event: "),
    ];
    for (record, expected) in cases {
        let output = detect(BASE + FOR_A_RECORD, &shipped_rules(), record.as_bytes());
        let (_, said) = counted(&output);
        assert!(said.starts_with(expected), "{}: {said}", &record[..40]);
    }
}

#[test]
fn what_is_too_long_or_too_deep_is_rejected() {
    let deep = "[".repeat(1_000_000) + "]".repeat(1_000_000).as_str();
    let cases = [
        format!(r#"{{"eventType":"e","x":"{}"}}"#, "x".repeat(100_000_000)),
        format!("[{}1]", "1,".repeat(20_000_000)).replace("[1,", "{\"x\":[1,") + "}",
        deep.clone(),
        format!(r#"{{"eventType":"e","x":{deep}}}"#),
        format!(r#"{{"eventType":"user.session.start","target":{deep}}}"#),
        format!(
            r#"{{"x":{}1{}}}"#,
            r#"{"x":"#.repeat(100_000),
            "}".repeat(100_000)
        ),
    ];
    for record in cases {
        let text = record.clone() + "\n{\"eventType\":\"e\"}\n";
        let output = detect(BASE + FOR_A_RECORD, &shipped_rules(), text.as_bytes());
        let (_, said) = counted(&output);
        let expected = "1 event: 0 matches, 0 findings, 1 rejected";
        assert!(said.starts_with(expected), "{}: {said}", &record[..40]);
    }
}

/// A rule of one search with very many values, each on a line.
fn of_values(line: &str, values: impl Iterator<Item = String>) -> String {
    let values: String = values.fold(String::new(), |mut text, value| {
        writeln!(text, "      - '{value}'").expect("a text takes it");
        text
    });
    format!("{RULE}  s:\n    {line}:\n{values}  condition: s\n")
}

/// A record with one long text.
fn long_text(text: &str) -> String {
    format!(r#"{{"eventType":"e","a":"{text}"}}"#)
}

#[test]
fn rules_of_very_many_parts_are_asked_of_long_texts() {
    let searches: String = (0..10_000)
        .map(|n| format!("  s{n}: {{a|endswith: {n}x}}\n"))
        .collect();
    let named: Vec<String> = (0..10_000).map(|n| format!("s{n}")).collect();
    let one_letter = "a".repeat(LONGEST - 100);
    let cases = [
        // A thousand wildcards, of which the last does not fit.
        (
            format!(
                "{RULE}  s: {{a: '{}z'}}\n  condition: s\n",
                "*a?".repeat(1_000)
            ),
            0,
        ),
        (
            format!(
                "{RULE}  s: {{a: '{}*'}}\n  condition: s\n",
                "*a?".repeat(1_000)
            ),
            1,
        ),
        // Ten thousand texts; and texts each of which is a part of the next.
        (
            of_values(
                "a|contains",
                (0..10_000).map(|n| format!("text {}", n * 7_919 % 10_007)),
            ),
            0,
        ),
        (
            of_values("a|contains|all", (1..1_200).map(|n| "a".repeat(n))),
            1,
        ),
        (
            of_values("a|endswith", (1..1_200).map(|n| "a".repeat(n) + "b")),
            0,
        ),
        // Ten thousand searches.
        (format!("{RULE}{searches}  condition: 1 of them\n"), 0),
        (
            format!("{RULE}{searches}  condition: {}\n", named.join(" or ")),
            0,
        ),
    ];
    for (rules, expected) in cases {
        let output = detect(
            BASE + 2 * FOR_A_RECORD,
            &rules,
            long_text(&one_letter).as_bytes(),
        );
        let (matches, said) = counted(&output);
        assert_eq!(matches, expected, "{}: {said}", &rules[..200]);
    }
}

/// Each expression is small enough by itself.
#[test]
fn expressions_that_are_large_together_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rules.yml");
    let problems = |rules: String| {
        fs::write(&path, rules).expect("written");
        let loaded = load_rules(&path);
        (
            loaded.problems.counts().0,
            problems_as_text(&loaded.problems, false),
        )
    };
    let (errors, said) = problems(of_values("a|re", std::iter::once(r"\w{1000}".to_owned())));
    assert_eq!(errors, 1, "{said}");
    assert!(said.contains("exceeds size limit"), "{said}");
    let large = (0..2_000).map(|n| format!("\\w{{3}}{n}"));
    let (errors, said) = problems(of_values("a|re", large));
    assert!((1..2_000).contains(&errors), "{errors} errors");
    assert!(
        said.contains("all of them together are too large"),
        "{said}"
    );
    let small = (0..3_000).map(|n| format!("^x{n}[a-f]+$"));
    let (errors, said) = problems(of_values("a|re", small));
    assert_eq!(errors, 0, "{said}");
}

/// A group is forgotten when its window has passed, however many there are.
#[test]
fn a_new_value_at_each_event_is_remembered_for_the_timespan() {
    let rules = format!(
        "{RULE}  s: {{eventType: user.session.start}}\n  condition: s\nname: start\n---\ntitle: u\ncorrelation:\n  type: event_count\n  rules: [start]\n  group-by: [actor.id]\n  timespan: 1m\n  condition: {{gte: 2}}\n"
    );
    let name = "x".repeat(400);
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("rules.yml"), rules).expect("written");
    let mut events = String::new();
    for turn in 0..100_000 {
        let time: Value = at(turn, 0);
        let event = format!(
            r#"{{"eventType":"user.session.start","published":{time},"actor":{{"id":"{turn}-{name}"}}}}"#
        );
        events.push_str(&event);
        events.push('\n');
    }
    fs::write(folder.path().join("events.json"), events).expect("written");
    // All values together take 40 MB.
    let (lines, said) = counted(&detect_in(&folder, BASE + 24));
    assert_eq!(lines, 0, "{said}");
    assert!(said.starts_with("100,000 events: "), "{said}");
}

#[test]
fn an_event_of_very_many_values_is_asked_once_for_each() {
    let scalars: Vec<String> = (0..100_000).map(|n| format!("\"value {n}\"")).collect();
    let scalars = format!(r#"{{"eventType":"e","a":[{}]}}"#, scalars.join(","));
    let targets = |id: &str| {
        let one = |n: usize| format!(r#"{{"id":"{id}{n}"}},{{"x":"y{n}y"}}"#);
        let targets: Vec<String> = (0..50_000).map(one).collect();
        format!(r#"{{"eventType":"e","target":[{}]}}"#, targets.join(","))
    };
    let like =
        |how: &str| format!("{RULE}  s: {{target.id|fieldref{how}: target.x}}\n  condition: s\n");
    let keywords = |word: &str| format!("{RULE}  s: [evil, '{word}']\n  condition: s\n");
    let cases = [
        (keywords("b*d"), scalars.clone(), 0),
        (keywords("value 99*9"), scalars, 1),
        (like(""), targets("z"), 0),
        (like("|startswith"), targets("z"), 0),
        (like("|endswith"), targets("z"), 0),
        (like("|contains"), targets("z"), 0),
        (like("|contains"), targets("y7y"), 1),
        (like("|startswith|cased"), targets("y49999y"), 1),
    ];
    for (rules, event, expected) in cases {
        let output = detect(BASE + FOR_A_RECORD, &rules, event.as_bytes());
        let (matches, said) = counted(&output);
        assert_eq!(matches, expected, "{rules}: {said}");
    }
}

/// As much as a script can hold at once: every variable of every function that it may call, each
/// a map with as many entries, keys as long, and a text as long as there may be.
#[test]
fn what_a_script_holds_is_bounded() {
    let copies: String = (0..28).map(|at| format!("let a{at} = map; ")).collect();
    let script = format!(
        "fn holds(event) {{\n  let key = \"k\";\n  key.pad(500, 'k');\n  let text = \"t\";\n  text.pad(32000, 't');\n  let map = #{{text: text}};\n  for n in 0..250 {{ map.set(key + n, n); }}\n  deeper(map, 1)\n}}\nfn deeper(map, level) {{ {copies} if level < 7 {{ deeper(map, level + 1) }} else {{ true }} }}\n"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let rules = format!(
        "{RULE}  s: {{eventType: '*'}}\n  condition: s\nrulectl: {{script: x.rhai#holds}}\n"
    );
    for (name, text) in [
        ("rules/rules.yml", rules.as_str()),
        ("rules/x.rhai", &script),
        ("events.json", "{\"eventType\":\"e\"}\n"),
    ] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    let (lines, said) = counted(&detect_of(&folder, "rules", BASE + FOR_A_SCRIPT));
    assert_eq!(lines, 1, "{said}");
}
