//! Broken policy folders and what `rulectl check` says of each.
//!
//! `tests/diagnostics/NAME/` is laid over `tests/diagnostics/good/`, file by
//! file, and `NAME.out` is the whole output. `BLESS=1 cargo test diagnostics`
//! rewrites them; the review reads the change.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;
use similar::TextDiff;
use tempfile::TempDir;

use crate::harness::{lay_over, mask_digests, program, root};

/// What a policy folder is made of.
enum Made {
    /// `good/` with `NAME/` laid over it.
    Overlay,
    /// `good/` changed by the test itself, for what a repository cannot hold.
    Changed(fn(&Path)),
    /// A folder with nothing in it but what the test puts there.
    FromNothing(fn(&Path)),
}

use Made::{Changed, FromNothing, Overlay};

/// Name, exit code, folder.
#[rustfmt::skip]
const CASES: [(&str, i32, Made); 46] = [
    ("accessors", 2, Overlay),
    ("agents", 2, Overlay),
    ("alias-bomb", 2, Overlay),
    ("bad-toml", 2, Overlay),
    ("bad-utf8", 2, Overlay),
    ("broken-routing", 2, Overlay),
    ("broken-rule", 2, Overlay),
    ("broken-twice", 2, Overlay),
    ("byte-order-mark", 2, Overlay),
    ("conditions", 2, Overlay),
    ("correlation-types", 2, Overlay),
    ("correlation-without-rule", 2, Overlay),
    ("deep-nesting", 2, Overlay),
    ("drafts", 2, Overlay),
    ("duplicate-key", 2, Overlay),
    ("duplicate-rules", 2, Overlay),
    ("empty-folder", 2, FromNothing(|_| {})),
    ("everything", 2, Overlay),
    ("fifo-for-file", 2, Changed(fifos)),
    ("filters", 2, Overlay),
    ("folder-for-file", 2, Overlay),
    ("gate", 2, Overlay),
    ("huge-files", 2, Changed(huge_files)),
    ("links", 2, Changed(links)),
    ("lists", 2, Overlay),
    ("modifiers", 2, Overlay),
    ("moot", 0, Overlay),
    ("no-rules", 2, Changed(|folder| fs::remove_file(folder.join("rules/sign_in.yml")).expect("removed"))),
    ("not-yaml", 2, Overlay),
    ("order-cycle", 2, Overlay),
    ("over-lines", 2, Overlay),
    ("plans", 2, Overlay),
    ("prompt-texts", 2, Overlay),
    ("prompt-warnings", 0, Overlay),
    ("prompts", 2, Overlay),
    ("scripts", 2, Overlay),
    ("secrets", 2, Overlay),
    ("senseless", 0, Overlay),
    ("settings", 2, Overlay),
    ("suites", 2, Overlay),
    ("suppressions", 0, Overlay),
    ("suppressions-broken", 2, Overlay),
    ("tools", 2, Overlay),
    ("unknown-keys", 2, Overlay),
    ("unread-suites", 0, Overlay),
    ("warnings", 0, Overlay),
];

fn fifos(folder: &Path) {
    for name in ["rules/sign_in.yml", "tools.yaml"] {
        let path = folder.join(name);
        fs::remove_file(&path).expect("removed");
        let made = Command::new("mkfifo")
            .arg(&path)
            .status()
            .expect("mkfifo runs");
        assert!(made.success(), "{name}");
    }
}

/// A link that leads out of the folder, and one that does not.
fn links(folder: &Path) {
    std::os::unix::fs::symlink("/etc/hostname", folder.join("rules/secret.yml")).expect("a link");
    fs::rename(folder.join("tools.yaml"), folder.join("tools.real")).expect("moved");
    std::os::unix::fs::symlink("tools.real", folder.join("tools.yaml")).expect("a link");
}

/// One byte over the limit of a file, and deeper than any parser's stack.
fn huge_files(folder: &Path) {
    let files = [
        (
            "rules/deep.yml",
            format!("title: {}\n", "[".repeat(500_000)),
        ),
        ("rules/large.yml", "#".repeat((1 << 20) + 1)),
        ("routing.toml", format!("a = {}\n", "[".repeat(500_000))),
    ];
    for (name, text) in files {
        fs::write(folder.join(name), text).expect("written");
    }
}

fn cases_folder() -> PathBuf {
    root().join("tests/diagnostics")
}

/// The policy folder of a case, in a folder of its own.
fn made(name: &str, made: &Made) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    if !matches!(made, FromNothing(_)) {
        lay_over(&cases_folder().join("good"), folder.path());
    }
    match made {
        Overlay => lay_over(&cases_folder().join(name), folder.path()),
        Changed(change) | FromNothing(change) => change(folder.path()),
    }
    folder
}

/// What `check` prints for a folder, with the exit code that is expected.
fn check(folder: &Path, words: &[&str], exit: i32) -> String {
    let checked = program()
        .current_dir(folder)
        .arg("check")
        .args(words)
        .output()
        .expect("it runs");
    assert_eq!(
        String::from_utf8_lossy(&checked.stderr),
        "",
        "problems are the data of `check`"
    );
    let out = String::from_utf8(checked.stdout).expect("UTF-8");
    assert_eq!(checked.status.code(), Some(exit), "{out}");
    mask_digests(&out)
}

/// Each case with its text and the same problems as values.
static OUTPUTS: LazyLock<Vec<(&str, String, Vec<Value>)>> = LazyLock::new(|| {
    let of = |(name, exit, how): &(&'static str, i32, Made)| {
        let folder = made(name, how);
        let text = check(folder.path(), &[], *exit);
        let values = check(folder.path(), &["--format", "json"], *exit);
        (
            *name,
            text,
            serde_json::from_str(&values).expect("a JSON array"),
        )
    };
    CASES.iter().map(of).collect()
});

/// What `check` prints of each case.
pub fn outputs<'t>() -> impl Iterator<Item = &'t str> {
    OUTPUTS.iter().map(|(_, text, _)| text.as_str())
}

/// The good folder with files laid over it.
pub fn over_good(files: &[(&str, &str)]) -> TempDir {
    let folder = made("good", &Overlay);
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    folder
}

fn output(name: &str) -> &'static str {
    OUTPUTS
        .iter()
        .find(|(known, ..)| *known == name)
        .map(|(_, text, _)| text.as_str())
        .expect("a case")
}

/// Every message and help of every case, with the case.
fn sentences() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let of = |(name, _, values): &'static (&'static str, String, Vec<Value>)| {
        let texts = values
            .iter()
            .flat_map(|value| ["message", "help"].map(|key| (key, value[key].as_str())));
        texts.filter_map(|(key, text)| Some((*name, key, text?)))
    };
    OUTPUTS.iter().flat_map(of)
}

#[test]
fn every_broken_folder_says_what_is_wrong_with_it() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut changed = Vec::new();
    for (name, found, _) in OUTPUTS.iter() {
        let golden = cases_folder().join(format!("{name}.out"));
        if bless {
            fs::write(&golden, found).expect("written");
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if *found != expected {
            let diff = TextDiff::from_lines(expected.as_str(), found)
                .unified_diff()
                .to_string();
            changed.push(format!("--- {name}.out\n{diff}"));
        }
    }
    assert!(
        changed.is_empty(),
        "{} of {} differ; read, then BLESS=1\n{}",
        changed.len(),
        CASES.len(),
        changed.join("\n")
    );
}

#[test]
fn every_folder_is_a_case_and_every_case_has_its_output() {
    let names: Vec<&str> = CASES.iter().map(|(name, ..)| *name).collect();
    for entry in fs::read_dir(cases_folder()).expect("the cases") {
        let name = entry
            .expect("an entry")
            .file_name()
            .into_string()
            .expect("UTF-8");
        let case = name.strip_suffix(".out").unwrap_or(&name);
        assert!(
            case == "good" || names.contains(&case),
            "{name} belongs to no case"
        );
    }
    for name in names {
        assert!(
            cases_folder().join(format!("{name}.out")).is_file(),
            "{name}"
        );
    }
}

#[test]
fn the_folder_that_the_cases_are_laid_over_has_no_problem() {
    let text = check(made("good", &Overlay).path(), &[], 0);
    assert_eq!(
        text,
        "no problems: 2 rules, 2 command templates, policy DIGEST\n"
    );
}

/// A message speaks of the file, never of the program that read it.
#[test]
fn no_message_shows_the_inside_of_the_program() {
    let inside = [
        r"[A-Za-z]::[A-Za-z]",
        r"Option<",
        r"Some\(",
        r"[a-zA-Z]+ \{ [a-z_]+:",
        r"serde|saphyr|deserial",
        r"breach",
        r"\bscalar\b",
        r"recursion|recurse",
        r"\b[iu](8|16|32|64|size)\b",
        r"Compiled regex",
        r"\}'",
    ];
    let inside = regex::RegexSet::new(inside).expect("patterns");
    let leaks: Vec<String> = sentences()
        .filter(|(_, _, text)| inside.is_match(text))
        .map(|(name, _, text)| format!("{name}: {text}"))
        .collect();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

/// A message is lower case unless it begins with a name, without a full stop, and not longer than a paragraph.
#[test]
fn messages_have_one_form() {
    let names = ["Okta", "Sigma"];
    let odd: Vec<String> = sentences()
        .filter(|(_, _, text)| {
            let capital = text.starts_with(char::is_uppercase)
                && !names.iter().any(|name| text.starts_with(name));
            capital
                || text.ends_with('.')
                || text.contains(": Compiled")
                || text.contains('\n')
                || text.len() > 600
        })
        .map(|(name, key, text)| {
            format!(
                "{name}: {key}: {}",
                text.chars().take(200).collect::<String>()
            )
        })
        .collect();
    assert!(odd.is_empty(), "{}", odd.join("\n"));
}

/// The place that the text shows is the one that the values give, on a long line too.
#[test]
fn places_are_the_same_in_every_format() {
    let mut missing = Vec::new();
    for (name, text, values) in OUTPUTS.iter() {
        let places: Vec<&str> = text
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("--> "))
            .collect();
        assert_eq!(places.len(), values.len(), "{name}");
        for (place, value) in places.iter().zip(values) {
            let file = value["file"].as_str().expect("a file");
            let expected = format!("{file}:{}:{}", value["line"], value["column"]);
            // A file that was not read has no place in it.
            if *place != expected && *place != file {
                missing.push(format!("{name}: text {place}, JSON {expected}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// What is broken in one place is not held against another.
#[test]
fn one_mistake_is_reported_once() {
    // Name, and what may not be said.
    let cases = [
        ("broken-routing", "tools.yaml"),
        ("bad-toml", "tools.yaml"),
        ("folder-for-file", "tools.yaml"),
        ("broken-rule", "there is no rule `failed_login`"),
        ("agents", "no agent named `planner_agent`"),
        ("duplicate-rules", "the id `1c603684"),
    ];
    let blamed: Vec<String> = cases
        .iter()
        .filter(|(name, said)| output(name).contains(said))
        .map(|(name, said)| format!("{name} says: {said}"))
        .collect();
    assert!(blamed.is_empty(), "{}", blamed.join("\n"));
}

/// A broken detection hides neither its settings nor unknown keys; a broken schema not its second problem.
#[test]
fn every_problem_is_reported_in_one_run() {
    let cases = [
        ("broken-twice", "`selektion`"),
        ("broken-twice", "`levle`"),
        ("broken-twice", "`finding_typ`"),
        ("broken-twice", "the key `title` is missing"),
        ("broken-twice", "`titel`"),
        ("broken-twice", "`evnt_count`"),
        ("broken-twice", "`soon` is not a time span"),
        ("prompts", "objekt"),
        ("plans", "`FAILED_LOGIN_BRUST`"),
        ("plans", "the step `collect_auth_logs` is listed twice"),
    ];
    // The last two are mistakes that nothing else would show: a step that runs twice, and one that never does.
    let hidden: Vec<String> = cases
        .iter()
        .filter(|(name, said)| {
            !sentences().any(|(case, _, text)| case == *name && text.contains(said))
        })
        .map(|(name, said)| format!("{name} does not say: {said}"))
        .collect();
    assert!(hidden.is_empty(), "{}", hidden.join("\n"));
}

/// What is well-formed and does nothing is a slip: it is warned of, at the least.
/// Each names the next; the last one names the given rule.
fn chain(length: usize, last: &str) -> String {
    let one = |at: usize| {
        let next = if at + 1 == length {
            last.to_owned()
        } else {
            format!("c{}", at + 1)
        };
        format!(
            "---\ntitle: C\nname: c{at}\ncorrelation: {{type: event_count, rules: [{next}], timespan: 1h, condition: {{gte: 2}}}}\n"
        )
    };
    (0..length).map(one).collect()
}

#[test]
fn chains_that_are_too_long_and_circles_are_reported_once_for_each_mistake() {
    for (what, rules, exit, expected) in [
        ("a chain of 32", chain(32, "failed_login"), 0, ""),
        (
            "a chain of 33",
            chain(33, "failed_login"),
            2,
            "this is the end of a chain of more than 32 correlations",
        ),
        (
            "a chain of 60",
            chain(60, "failed_login"),
            2,
            "this is the end of a chain of more than 32 correlations",
        ),
        (
            "a circle",
            chain(3, "c1"),
            2,
            "`c1` names itself by way of `c2`\n`c2` names itself by way of `c1`",
        ),
        (
            "a large circle",
            chain(1_200, "c0"),
            2,
            "correlations name each other in a circle of more than 1000",
        ),
    ] {
        let folder = made("good", &Overlay);
        let documents: Vec<&str> = rules.split_inclusive("---\n").collect();
        for (at, part) in documents.chunks(500).enumerate() {
            let path = folder.path().join(format!("rules/chain{at}.yml"));
            fs::write(path, part.concat()).expect("written");
        }
        let values = check(folder.path(), &["--format", "json"], exit);
        let values: Vec<Value> = serde_json::from_str(&values).expect("a JSON array");
        let said = values.iter().filter(|value| value["severity"] == "error");
        let said: Vec<&str> = said.filter_map(|value| value["message"].as_str()).collect();
        assert_eq!(said.join("\n"), expected, "{what}");
    }
}

#[test]
fn what_can_never_matter_is_noticed() {
    let detection = |search: &str| {
        format!(
            "title: Seen\nlogsource: {{product: okta}}\ndetection: {{s: {search}, condition: s}}\n"
        )
    };
    let burst = "title: Burst\ncorrelation: {type: event_count, rules: [failed_login], timespan: 0s, condition: {gte: 2}}\n";
    let cases = [
        (
            "a field that Okta never sends, as what another is compared with",
            detection("{actor.id|fieldref: actor.alternateID}"),
        ),
        (
            "a window that holds one event and a condition that asks for two",
            burst.to_owned(),
        ),
        ("a rule file without a rule", "# to be written\n".to_owned()),
    ];
    let mut missed = Vec::new();
    for (what, rules) in cases {
        let folder = made("good", &Overlay);
        fs::write(folder.path().join("rules/slip.yml"), rules).expect("written");
        let checked = program()
            .current_dir(folder.path())
            .arg("check")
            .output()
            .expect("it runs");
        if checked.stdout.starts_with(b"no problems") {
            missed.push(what);
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

/// Work and output are bounded whatever is in a file: thousands of problems are counted, not all shown,
/// and of a value of any length a part is quoted.
#[test]
fn a_file_cannot_flood_the_screen() {
    #[rustfmt::skip]
    let cases = [
        ("routing.toml", "=\n".repeat(3_000)),
        ("rules/long.yml", format!("title: Long\nlevel: {}\n", "x".repeat(500_000))),
    ];
    let mut floods = Vec::new();
    for (file, content) in cases {
        let folder = made("good", &Overlay);
        fs::write(folder.path().join(file), content).expect("written");
        let text = check(folder.path(), &[], 2);
        let last = text.trim_end().lines().last().unwrap_or_default();
        assert!(
            last.ends_with("warnings"),
            "{file}: the last line counts: {last}"
        );
        if text.len() > 300_000 {
            floods.push(format!(
                "{file}: {} bytes, {} problems",
                text.len(),
                text.matches("error[").count()
            ));
        }
    }
    assert!(floods.is_empty(), "{}", floods.join("\n"));
}
