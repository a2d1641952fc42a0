use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::*;

#[track_caller]
fn check(name: &str, before: &str, after: &str) {
    let kind = FileKind::of(name).expect("a kind of file");
    let once = formatted(name, before, kind)
        .unwrap_or_else(|refused| panic!("{before}\n{refused}: {refused:?}"));
    assert_eq!(once, after, "{before}");
    let twice = formatted(name, &once, kind);
    assert_eq!(twice.ok().as_deref(), Some(after), "a second time");
}

/// A file that has its layout.
#[track_caller]
fn stays(name: &str, text: &str) {
    check(name, text, text);
}

#[test]
fn keys_of_rules_stand_in_their_order() {
    check(
        "a.yml",
        "rulectl: {user: actor.id}\nlogsource:\n    service: okta\n    product: okta\ncustom: 1\nid: 1\ntitle: x\ndetection:\n    condition: s\n    timeframe: 1m\n    s: {b: 1, a: 2}\n    t:\n        b: 1\n        a: 2\n",
        "title: x\nid: 1\nlogsource:\n    product: okta\n    service: okta\ncustom: 1\ndetection:\n    s: {b: 1, a: 2}\n    t:\n        b: 1\n        a: 2\n    timeframe: 1m\n    condition: s\nrulectl: {user: actor.id}\n",
    );
}

#[test]
fn comments_go_with_what_they_are_about() {
    check(
        "a.yml",
        "# a head\nlevel: high # how much\n# what is searched\ndetection:\n  # all of it\n  condition: s\n  s: {a: 1}\n  # still of the detection\n\n# what it is called\ntitle: x\n# a tail\n",
        "# a head\n\n# what it is called\ntitle: x\nlevel: high # how much\n# what is searched\ndetection:\n  s: {a: 1}\n  # all of it\n  condition: s\n  # still of the detection\n# a tail\n",
    );
    check(
        "a.yml",
        "# a head\n\n# of the level\nlevel: high\ntitle: x\ndetection: {}\n",
        "# a head\n\ntitle: x\n\n# of the level\nlevel: high\ndetection: {}\n",
    );
    check(
        "a.yml",
        "# a head\n# rulectl:allow RL0124 until 2027-01-01: known\nlevel: high\ntitle: x\ndetection: {}\n",
        "# a head\ntitle: x\n# rulectl:allow RL0124 until 2027-01-01: known\nlevel: high\ndetection: {}\n",
    );
}

#[test]
fn blanks_that_mean_nothing_go_and_others_stay() {
    check(
        "a.yml",
        "\n\na: 1  \n\t\n\n# b \t\nb: [x,  \n  y]\n\n\n",
        "a: 1\n\n# b\nb: [x,\n  y]\n",
    );
    stays("a.yml", "a: |\n  x  \n\n\n  # y  \nb: \"x  \n\n\n  y\"\n");
    stays("a.yml", "a: |+\n  x\n\n\nb: 1\n");
    stays("a.yml", "a: |\n\n\n  # x\n\n\n  # y \nb: >-\n  # z \n# c\n");
    check("a.yml", "a: |  # b  \n  x\n\n\n", "a: |  # b\n  x\n");
    stays("a.yml", "a: |\n  x");
    check("a.yml", "a: 1", "a: 1\n");
    check(
        "a.toml",
        "\na=1 \n\n\nb = \"\"\"x \n\n\n# y \"\"\"  \n",
        "a=1\n\nb = \"\"\"x \n\n\n# y \"\"\"\n",
    );
}

#[test]
fn ends_of_lines_and_a_byte_order_mark_stay() {
    check(
        "a.yml",
        "\u{feff}level: low\r\n\r\n\r\ndetection: {} \r\ntitle: x",
        "\u{feff}title: x\r\nlevel: low\r\n\r\ndetection: {}\r\n",
    );
    check("a.yml", "title: x\t\r\t\n", "title: x\n");
    // Other white space than YAML's is a letter.
    stays("a.yml", "title: x\ndetection: |\n  a\n  \u{a0}\n");
    check(
        "a.yml",
        "detection: |\n  a\n  \u{a0}\n\n\ntitle: x\n",
        "title: x\ndetection: |\n  a\n  \u{a0}\n",
    );
    stays("a.yml", "");
    stays("a.toml", "");
}

#[test]
fn each_document_is_laid_out_by_itself() {
    check(
        "a.yml",
        "--- # one\nlevel: low\ntitle: x\ndetection: {}\n---\nb: 1\na: 2\n---\ndetection: {}\ntitle: y\n",
        "--- # one\ntitle: x\nlevel: low\ndetection: {}\n---\nb: 1\na: 2\n---\ntitle: y\ndetection: {}\n",
    );
}

#[test]
fn what_cannot_be_put_in_order_safely_stays_as_it_is_written() {
    // An alias stands behind its anchor; a mapping in braces, keys on one line, a directive.
    stays("a.yml", "level: &a low\ntitle: *a\ndetection: {}\n");
    stays("a.yml", "detection: &a {s: 1}\ntitle: x\nlevel: *a\n");
    stays("a.yml", "{level: low, title: x, detection: {}}\n");
    stays("a.yml", "? level\n: low\n? title\n: x\n? detection\n: {}\n");
    stays(
        "a.yml",
        "%YAML 1.2\n---\nlevel: low\ntitle: x\ndetection: {}\n",
    );
    stays("a.yml", "- level: low\n  title: x\n  detection: {}\n");
    // A text that ends with the file has no end of line, which another place would give it.
    stays("a.yml", "level: low\ndetection: {}\ntitle: |\n  x");
}

#[test]
fn tables_of_a_routing_stand_in_their_order_and_agents_as_they_are_written() {
    check(
        "routing.toml",
        "# a head\n\n# --- plans\n\n[plan.step.a] # a\nrationale = \"r\"\n# what it does\ndescription = \"\"\"\n[agents]\n\"\"\"\n\n[plan]\napproval = [\n  \"a\", # [x]\n  \"]\",\n]\nsteps = [\"a\"]\n\n# --- agents\n[agents.z]\nruns = \"commands\"\ndescription = \"z\"\n[agents.a]\ndescription = \"a\"\n",
        "# a head\n\n# --- agents\n[agents.z]\ndescription = \"z\"\nruns = \"commands\"\n[agents.a]\ndescription = \"a\"\n\n# --- plans\n\n[plan.step.a] # a\n# what it does\ndescription = \"\"\"\n[agents]\n\"\"\"\nrationale = \"r\"\n\n[plan]\nsteps = [\"a\"]\napproval = [\n  \"a\", # [x]\n  \"]\",\n]\n",
    );
}

#[test]
fn templates_keep_their_order_and_have_their_keys_in_order() {
    check(
        "tools.yaml",
        "commands:\n  z:\n    notes: n\n    query:\n      z: 1\n      a: 2\n    # where\n    get: /api\n    system: okta_api\n  a:\n    get: /api\n",
        "commands:\n  z:\n    system: okta_api\n    # where\n    get: /api\n    query:\n      z: 1\n      a: 2\n    notes: n\n  a:\n    get: /api\n",
    );
}

#[test]
fn what_cannot_be_read_is_refused() {
    for (name, text) in [
        ("a.yml", "a: [\n"),
        ("a.toml", "a = \n"),
        ("a.yml", "a: 1\na: 2\n"),
    ] {
        let kind = FileKind::of(name).expect("a kind of file");
        assert!(
            matches!(formatted(name, text, kind), Err(Refused::Unread(problems)) if problems.has_errors())
        );
    }
}

#[test]
fn what_a_file_is_for_is_told_by_its_name() {
    for (name, kind) in [
        ("routing.toml", Some(FileKind::Routing)),
        ("a/tools.yaml", Some(FileKind::Tools)),
        ("fixtures/x.test.yml", Some(FileKind::Suite)),
        ("rules/x.yaml", Some(FileKind::Yaml)),
        ("rulectl.toml", Some(FileKind::Toml)),
        ("rules/x.rhai", None),
        ("prompts/risk.md", None),
        ("Makefile", None),
    ] {
        assert_eq!(FileKind::of(name), kind, "{name}");
    }
}

/// The files of a folder of the repository by their names.
fn files(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    let mut files: Vec<(String, String)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            FileKind::of(&name)?;
            Some((name, std::fs::read_to_string(entry.path()).ok()?))
        })
        .collect();
    files.sort_unstable();
    files
}

/// What a text holds, the order of keys forgotten; `None` where it cannot be read.
fn held(name: &str, text: &str) -> Option<Vec<serde_json::Value>> {
    let mut problems = Problems::default();
    let file = problems.add_file(name, text);
    let trees = if name.ends_with("toml") {
        parse_toml(file, text, &mut problems).into_iter().collect()
    } else {
        parse_yaml_documents(file, text, &mut problems)
    };
    (!problems.has_errors()).then(|| trees.iter().map(Node::to_json).collect())
}

/// The lines that hold something, in any order.
fn words(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text
        .lines()
        .map(|line| {
            line.trim_start_matches('\u{feff}')
                .trim_end_matches([' ', '\t'])
        })
        .collect();
    lines.retain(|line| !line.is_empty());
    lines.sort_unstable();
    lines
}

/// Lays out a text and holds the layout against it; says whether it changed.
fn check_any(name: &str, text: &str) -> Result<bool, TestCaseError> {
    let kind = FileKind::of(name).expect("a kind of file");
    let before = held(name, text);
    let Ok(once) = formatted(name, text, kind) else {
        return Ok(false);
    };
    prop_assert_eq!(held(name, &once), before.clone(), "the same is held");
    prop_assert!(before.is_some(), "what cannot be read is refused");
    prop_assert_eq!(words(&once), words(text), "no line is lost");
    let twice = formatted(name, &once, kind).ok();
    prop_assert_eq!(
        twice.as_deref(),
        Some(once.as_str()),
        "a second time changes nothing"
    );
    Ok(once != text)
}

#[test]
fn rules_of_others_keep_their_meaning_and_are_laid_out_once() {
    let rules = files("fixtures/sigma/okta");
    assert!(rules.len() >= 24, "SigmaHQ's rules are there");
    for (name, text) in rules {
        let changed = check_any(&name, &text).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert!(changed, "{name}: the level goes before the log source");
    }
}

/// Texts to damage: files that are shipped and seeds of the fuzzer.
fn seeds() -> Vec<(String, String)> {
    let mut seeds: Vec<(String, String)> = [
        "rules",
        "fixtures",
        "fixtures/sigma/okta",
        "fuzz/seeds/rule",
        "fuzz/seeds/suite",
    ]
    .into_iter()
    .flat_map(files)
    .collect();
    for (folder, name) in [
        (".", "tools.yaml"),
        (".", "routing.toml"),
        ("fuzz/seeds/tools", "tools.yaml"),
        ("fuzz/seeds/routing", "routing.toml"),
    ] {
        let found = files(folder).into_iter();
        let same_ending =
            |found: &(String, String)| folder != "." && found.0.ends_with("l") || found.0 == name;
        seeds.extend(
            found
                .filter(same_ending)
                .map(|(_, text)| (name.to_owned(), text)),
        );
    }
    seeds
}

/// A change of a text: where, as a part of it, and what.
#[derive(Clone, Debug)]
enum Damage {
    /// A line is written twice.
    Twice(f64),
    /// Two lines change places.
    Swapped(f64, f64),
    /// A line is gone.
    Gone(f64),
    /// A line stands further right.
    Right(f64),
    /// Something stands at the end of a line.
    Ends(f64, &'static str),
    /// A line stands between two.
    Between(f64, &'static str),
    /// The ends of lines are those of Windows.
    Windows,
    /// The last line has no end.
    Open,
}

const ENDS: [&str; 10] = [
    " ", "\t", " # c", " |", " >-", " |+", " &a", " *a", "\"", "'",
];
const BETWEEN: [&str; 14] = [
    "",
    "# c",
    "  # c",
    "---",
    "...",
    "  x  ",
    "level: |+",
    "title: >",
    "<<: *a",
    "[agents.x]",
    "\"\"\"",
    "detection:",
    "condition: x",
    "\u{feff}",
];

fn damage() -> impl Strategy<Value = Damage> {
    let at = || 0.0..1.0_f64;
    prop_oneof![
        at().prop_map(Damage::Twice),
        (at(), at()).prop_map(|(one, other)| Damage::Swapped(one, other)),
        at().prop_map(Damage::Gone),
        at().prop_map(Damage::Right),
        (at(), proptest::sample::select(&ENDS[..])).prop_map(|(at, what)| Damage::Ends(at, what)),
        (at(), proptest::sample::select(&BETWEEN[..]))
            .prop_map(|(at, what)| Damage::Between(at, what)),
        Just(Damage::Windows),
        Just(Damage::Open),
    ]
}

fn damaged(text: &str, damages: &[Damage]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (mut end, mut is_open) = ("\n", false);
    for damage in damages {
        let place = |part: f64| ((lines.len() as f64 * part) as usize).min(lines.len() - 1);
        if lines.is_empty() {
            break;
        }
        match *damage {
            Damage::Twice(at) => lines.insert(place(at), lines[place(at)].clone()),
            Damage::Swapped(one, other) => {
                let (one, other) = (place(one), place(other));
                lines.swap(one, other);
            }
            Damage::Gone(at) => {
                lines.remove(place(at));
            }
            Damage::Right(at) => {
                let at = place(at);
                lines[at].insert_str(0, "  ");
            }
            Damage::Ends(at, what) => {
                let at = place(at);
                lines[at].push_str(what);
            }
            Damage::Between(at, what) => lines.insert(place(at), what.to_owned()),
            Damage::Windows => end = "\r\n",
            Damage::Open => is_open = true,
        }
    }
    let mut text = lines.join(end);
    if !is_open {
        text.push_str(end);
    }
    text
}

#[test]
fn any_text_keeps_its_meaning_and_its_lines() {
    let seeds = seeds();
    let count = seeds.len();
    let damages = proptest::collection::vec(damage(), 0..6);
    let config = ProptestConfig {
        cases: 384,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let changed = std::cell::Cell::new(0);
    runner
        .run(&(0..count, damages), |(seed, damages)| {
            let (name, text) = &seeds[seed];
            let is_changed = check_any(name, &damaged(text, &damages))?;
            changed.set(changed.get() + usize::from(is_changed));
            Ok(())
        })
        .expect("the layout of any text");
    assert!(changed.get() > 40, "only {} texts changed", changed.get());
}

#[test]
fn comments_go_with_keys_that_are_indented() {
    check(
        "routing.toml",
        "[agents.a]\n  # what it does\n  runs = \"commands\"\n  # when\n  phase = \"response\"\n  description = \"x\"\n# of the end\n",
        "[agents.a]\n  description = \"x\"\n  # when\n  phase = \"response\"\n  # what it does\n  runs = \"commands\"\n# of the end\n",
    );
    check(
        "rules/a.yml",
        "title: x\ndetection:\n  s: {eventType: a}\n  condition: s\n  # rulectl:allow RL0105 until 2027-01-01: wanted\nlogsource: {product: windows}\n",
        "title: x\n  # rulectl:allow RL0105 until 2027-01-01: wanted\nlogsource: {product: windows}\ndetection:\n  s: {eventType: a}\n  condition: s\n",
    );
}

#[test]
fn what_was_laid_out_stays_as_it_is() {
    for (name, text) in [
        (
            "a.yml",
            "title: x\nrulectl:\n  user: actor.id\n  script: |+\n    some text\ndetection:\n  s: {eventType: a}\n  condition: s\n\n",
        ),
        ("a.yml", "level: >-\ntitle: ~   \ndetection:\n  s: 1\n"),
        (
            "a.yml",
            "title: &a v\ndescription: |\n\n\n\ndetection:\n#c\nlicense: |\n",
        ),
        (
            "routing.toml",
            "[promotion]\nthreshold = 1\n\n[agents.\"detector_agent\"]\nruns = \"detect\"\n\n[agents.risk_agent]\nruns = \"slot:risk\"\n",
        ),
    ] {
        let kind = FileKind::of(name).unwrap();
        let laid_out = formatted(name, text, kind).unwrap();
        assert_eq!(
            formatted(name, &laid_out, kind).unwrap(),
            laid_out,
            "{text}"
        );
    }
}
