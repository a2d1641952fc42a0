//! `regression_tests_path`: the test data that SigmaHQ keeps for a rule, read as cases.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::diag::{Problems, Span};
use crate::document::{Node, parse_yaml, read_allowances};
use crate::lab::suite::{Case, Events, Expectation, Wanted};
use crate::okta::Mapping;
use crate::policy::leads_out;
use crate::visible::reason;

/// The code of test data that is not there, or is not read.
pub const UNREAD: &str = "RL0607";

/// A larger file describes no tests.
const MAX_FILE: u64 = 1 << 20;

/// The types of test data that hold events as they are read here.
const TYPES: [&str; 4] = ["json", "jsonl", "ndjson", "log"];

/// The cases that the test data of a rule gives: each of its files, with as many events that the
/// rule finds as the file says, or any where it does not. Data that is missing or of another type
/// is warned of, since rules are copied without it.
pub(super) fn regression_cases(policy: &Path, rule: &Node, problems: &mut Problems) -> Vec<Case> {
    let Some(named) = rule.at("/regression_tests_path") else {
        return Vec::new();
    };
    let Some(path) = named.scalar_text() else {
        return Vec::new(); // whatever it means there
    };
    let about = match within(policy, &policy.join(&path)).and_then(|file| read(&file)) {
        Ok(text) => text,
        Err(why) => {
            let message = format!("the test data `{path}` is not read: {why}");
            problems.warn(UNREAD, named.span, message).help(
                "the path counts from the policy folder: copy the data there, or remove the key",
            );
            return Vec::new();
        }
    };
    let file = problems.add_file(&path, &about);
    read_allowances(file, &about, problems);
    let Some(info) = parse_yaml(file, &about, problems) else {
        return Vec::new();
    };
    let of_rule = Rule::of(rule);
    let Some(entries) = info.at("/regression_tests_info") else {
        let message = format!("`{path}` describes no test data");
        problems
            .warn(UNREAD, info.span, message)
            .help("it stands in a list under the key `regression_tests_info`");
        return Vec::new();
    };
    let entries = entries.list(problems);
    let read = |entry: &Node| case(policy, Path::new(&path), &of_rule, entry, problems);
    let cases: Vec<Case> = entries
        .unwrap_or_default()
        .iter()
        .filter_map(read)
        .collect();
    let line = problems.line_column(named.span).line;
    cases
        .into_iter()
        .map(|case| Case { line, ..case })
        .collect()
}

/// What a rule is called by, and which records tell that it found something.
struct Rule {
    names: Vec<String>,
    records: &'static str,
}

impl Rule {
    fn of(node: &Node) -> Self {
        let names = ["/name", "/id", "/title"].iter();
        let names = names.filter_map(|key| node.at(key)?.scalar_text());
        let correlates = node.at("/correlation").is_some();
        Self {
            names: names.collect(),
            records: if correlates { "findings" } else { "matches" },
        }
    }
}

fn case(
    policy: &Path,
    info: &Path,
    rule: &Rule,
    entry: &Node,
    problems: &mut Problems,
) -> Option<Case> {
    let said = |key: &str| entry.at(key).and_then(Node::scalar_text);
    let (name, kind, path) = (said("/name"), said("/type"), said("/path")?);
    let kind = kind.unwrap_or_default().to_lowercase();
    if !TYPES.contains(&kind.as_str()) {
        let message = format!("test data of the type `{kind}` is not read");
        problems
            .warn(
                UNREAD,
                entry.at("/type").map_or(entry.span, |node| node.span),
                message,
            )
            .help("events of Okta's stand in files of the type `json`");
        return None;
    }
    let Some(log) = place(policy, info, &path) else {
        let span: Span = entry.at("/path").map_or(entry.span, |node| node.span);
        let message = format!("the test data `{path}` is not there");
        problems
            .warn(UNREAD, span, message)
            .help("the path counts from the policy folder: copy the data there");
        return None;
    };
    let count = entry.at("/match_count");
    let count = match count {
        Some(node) => Some(node.count(problems)?),
        None => None,
    };
    Some(Case {
        name: format!("regression: {}", name.unwrap_or(path)),
        line: 1,
        logs: vec![policy.join(info), log.clone()],
        events: Events::File(log, Mapping::Auto),
        expect: vec![Expectation {
            kind: rule.records,
            wanted: Wanted::OfRule(rule.names.clone(), count),
        }],
        // The names are those of the rule that the data is for.
        named: Vec::new(),
    })
}

/// The file of a path that counts from the policy folder, or else from beside the file that names it.
fn place(policy: &Path, info: &Path, path: &str) -> Option<PathBuf> {
    let info = policy.join(info);
    let beside = info.parent().unwrap_or(policy);
    let mut places = [policy, beside].into_iter().map(|folder| folder.join(path));
    places.find_map(|place| within(policy, &place).ok())
}

/// A file of the policy folder: what a rule names must not lead to what is none of its, since
/// problems show the lines that they are in.
fn within(policy: &Path, file: &Path) -> Result<PathBuf, String> {
    if !file.is_file() {
        Err("there is no such file".to_owned())
    } else if leads_out(policy, file) {
        Err("it leads out of the policy folder".to_owned())
    } else {
        Ok(file.to_owned())
    }
}

fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| reason(&error))?;
    let read = file.take(MAX_FILE + 1).read_to_string(&mut text);
    read.map_err(|error| reason(&error))?;
    if text.len() as u64 > MAX_FILE {
        return Err("it is larger than 1 MiB".to_owned());
    }
    Ok(text)
}
