//! `fixtures/**/*.test.yml`: events and what the policy must make of them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::diag::{FileId, Problems, Span};
use crate::document::{Kind, Node, Table, codes as shape, parse_yaml_documents};
use crate::event::{Nanos, Time};
use crate::okta::{MAPPINGS, Mapping, place};

/// The codes of problems in suites.
pub mod codes {
    /// A suite that cannot be read.
    pub const UNREADABLE: &str = "RL0601";
    /// An event that cannot be made.
    pub const EVENT: &str = "RL0602";
    /// A field that Okta never sends.
    pub const UNKNOWN_FIELD: &str = "RL0604";
    /// An expectation that nothing could meet.
    pub const EXPECTATION: &str = "RL0603";
}

/// A checked suite.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Its name.
    pub name: String,
    /// Its file, as found.
    pub file: String,
    /// Its cases.
    pub cases: Vec<Case>,
}

/// One case: events, and what must come of them.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// The line on which it begins.
    pub line: usize,
    /// The events.
    pub events: Events,
    /// What must come of them, by kind of record.
    pub expect: Vec<Expectation>,
}

/// The events of a case.
#[derive(Clone, Debug)]
pub enum Events {
    /// Those of a log file.
    File(PathBuf, Mapping),
    /// Those written in the suite, as lines of JSON.
    Inline(String),
}

/// What must come of a case, for one kind of record.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// `findings`, `incidents`, `plans`, `commands` or `drafts`.
    pub kind: &'static str,
    /// What is expected of them.
    pub wanted: Wanted,
}

/// See [`Expectation`].
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// So many.
    Count(u64),
    /// These and no others; each gives some of a record's fields.
    Records(Vec<Value>),
}

/// The kinds of record that a case may expect, with the fields that each may give.
const KINDS: [(&str, &[&str]); 5] = [
    (
        "findings",
        &[
            "id",
            "finding_type",
            "rule",
            "rule_title",
            "level",
            "tags",
            "description",
            "okta_event_ids",
            "user_id",
            "group",
            "first_seen",
            "last_seen",
            "count",
            "hits",
            "created_at",
            "metadata",
            "enriched",
            "status",
            "reasons",
            "severity",
            "score",
            "promoted",
        ],
    ),
    (
        "incidents",
        &[
            "id",
            "finding_id",
            "title",
            "description",
            "severity",
            "risk_score",
            "created_at",
            "status",
            "metadata",
        ],
    ),
    ("plans", &["overall_goal", "steps", "notes"]),
    (
        "commands",
        &[
            "step_id",
            "description",
            "command",
            "system",
            "read_only",
            "notes",
        ],
    ),
    ("drafts", &["agent_name", "content", "provenance", "failed"]),
];

/// A larger file is no suite.
const MAX_FILE: u64 = 4 << 20;
/// A case has at most so many inline events.
const MAX_EVENTS: u64 = 100_000;
/// Where the time of inline events begins unless a case says `start`.
const START: &str = "2026-01-01T00:00:00Z";

/// The suites of a policy folder, in the order of their paths; reports what is wrong in them.
pub fn load_suites(policy: &Path, problems: &mut Problems) -> Vec<Suite> {
    let mut files = Vec::new();
    let found = find(&policy.join("fixtures"), 0, &mut files);
    if let Err(error) = found
        && error.kind() != std::io::ErrorKind::NotFound
    {
        let file = problems.add_file("fixtures", "");
        let message = format!(
            "`fixtures` cannot be read: {}",
            crate::visible::reason(&error)
        );
        problems.file_error(codes::UNREADABLE, file, message);
    }
    files.sort();
    files
        .iter()
        .filter_map(|path| load(policy, path, problems))
        .collect()
}

/// The suites of a folder and those below it. Links to folders are not followed: they may go in a circle.
fn find(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() && depth < 8 {
            find(&path, depth + 1, files)?;
        } else if name.ends_with(".test.yml") || name.ends_with(".test.yaml") {
            files.push(path);
        }
    }
    Ok(())
}

fn load(policy: &Path, path: &Path, problems: &mut Problems) -> Option<Suite> {
    let name = path
        .strip_prefix(policy)
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned();
    let text = match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.len() <= MAX_FILE => {
            fs::read_to_string(path).map_err(|error| error.to_string())
        }
        Ok(metadata) if metadata.is_file() => Err("it is larger than 4 MiB".to_owned()),
        Ok(_) => Err("it is not a regular file".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let text = match text {
        Ok(text) => text,
        Err(reason) => {
            let file = problems.add_file(&name, "");
            problems.file_error(
                codes::UNREADABLE,
                file,
                format!("`{name}` cannot be read: {reason}"),
            );
            return None;
        }
    };
    let file = problems.add_file(&name, &text);
    decode(
        file,
        &name,
        path.parent().unwrap_or(policy),
        &text,
        problems,
    )
}

fn decode(
    file: FileId,
    name: &str,
    folder: &Path,
    text: &str,
    problems: &mut Problems,
) -> Option<Suite> {
    let errors = problems.counts().0;
    let documents = parse_yaml_documents(file, text, problems);
    let root = match documents.as_slice() {
        [root] => root,
        _ => {
            if problems.counts().0 == errors {
                problems.file_error(codes::UNREADABLE, file, "a suite is one YAML document");
            }
            return None;
        }
    };
    let mut table = root.table(problems)?;
    let title = table
        .require("suite", problems)
        .and_then(|node| node.text(problems));
    let cases = table
        .require("cases", problems)
        .and_then(|node| node.list(problems))
        .unwrap_or_default();
    table.finish(problems);
    if cases.is_empty() && problems.counts().0 == errors {
        problems.file_error(codes::UNREADABLE, file, "the suite has no cases");
    }
    let cases: Vec<(Case, Span)> = cases
        .iter()
        .filter_map(|node| Some((decode_case(node, folder, problems)?, node.span)))
        .collect();
    report_twins(&cases, problems);
    let cases = cases.into_iter().map(|(case, _)| case).collect();
    Some(Suite {
        name: title?.to_owned(),
        file: name.to_owned(),
        cases,
    })
}

fn report_twins(cases: &[(Case, Span)], problems: &mut Problems) {
    let mut names = std::collections::BTreeSet::new();
    for (case, span) in cases {
        if !names.insert(&case.name) {
            let message = format!("another case of this suite is called `{}`", case.name);
            problems
                .error(shape::BAD_VALUE, span.part(0, 1), message)
                .help("a failure names its case: give each a name of its own");
        }
    }
}

fn decode_case(node: &Node, folder: &Path, problems: &mut Problems) -> Option<Case> {
    let mut table = node.table(problems)?;
    let name = table
        .require("name", problems)
        .and_then(|node| node.text(problems));
    let base = table.get("base").map(|node| {
        report_unknown_fields(node, &[], problems);
        overlay(Value::Object(serde_json::Map::new()), node, &[], problems)
    });
    let start = match table.get("start") {
        Some(node) => decode_time(node, problems),
        None => Time::parse(START),
    };
    let events = table.require("events", problems);
    let events = events.and_then(|node| {
        decode_events(
            node,
            folder,
            &base.unwrap_or_else(|| Value::Object(serde_json::Map::new())),
            start?,
            problems,
        )
    });
    let expect = table
        .require("expect", problems)
        .and_then(|node| decode_expectations(node, problems));
    table.finish(problems);
    Some(Case {
        name: name?.to_owned(),
        line: problems.line_column(node.span).line,
        events: events?,
        expect: expect?,
    })
}

fn decode_time(node: &Node, problems: &mut Problems) -> Option<Time> {
    let text = node.text(problems)?;
    let time = crate::okta::parse_time(text);
    if time.is_none() {
        problems
            .error(codes::EVENT, node.span, format!("`{text}` is not a time"))
            .help("write it like `2026-01-01T00:00:00Z`");
    }
    time
}

fn decode_events(
    node: &Node,
    folder: &Path,
    base: &Value,
    start: Time,
    problems: &mut Problems,
) -> Option<Events> {
    match &node.kind {
        Kind::Map(_) => {
            let mut table = node.table(problems)?;
            let file = table
                .require("file", problems)
                .and_then(|node| Some((node.text(problems)?, node.span)));
            let mapping = table
                .get("mapping")
                .and_then(|node| node.one_of(&MAPPINGS, problems))
                .unwrap_or_default();
            table.finish(problems);
            let (file, span) = file?;
            let path = folder.join(file);
            if !path.is_file() {
                problems
                    .error(codes::EVENT, span, format!("there is no log file `{file}`"))
                    .help("the path is relative to the folder of the suite");
                return None;
            }
            Some(Events::File(path, mapping))
        }
        Kind::List(items) => {
            let mut lines = String::new();
            let mut number = 0;
            for item in items {
                inline(item, base, start, &mut number, &mut lines, problems);
            }
            if number > MAX_EVENTS {
                problems.error(
                    codes::EVENT,
                    node.span,
                    format!("a case has at most {MAX_EVENTS} events"),
                );
            }
            Some(Events::Inline(lines))
        }
        _ => {
            problems.error(
                shape::WRONG_TYPE,
                node.span,
                format!(
                    "expected a list of events or `{{file: PATH}}`, found {}",
                    node.describe()
                ),
            );
            None
        }
    }
}

/// The keys of an inline event that are not fields.
const DIRECTIVES: [&str; 3] = ["at", "repeat", "every"];

/// Appends the events that one entry stands for.
fn inline(
    node: &Node,
    base: &Value,
    start: Time,
    number: &mut u64,
    lines: &mut String,
    problems: &mut Problems,
) {
    let Some(mut table) = node.table(problems) else {
        return;
    };
    let at = table
        .get("at")
        .and_then(|node| offset(node, problems))
        .unwrap_or_default();
    let every = table
        .get("every")
        .and_then(|node| offset(node, problems))
        .unwrap_or(Nanos::SECOND);
    let repeat = table
        .get("repeat")
        .and_then(|node| node.count(problems))
        .unwrap_or(1);
    report_unknown_fields(node, &DIRECTIVES, problems);
    let event = overlay(base.clone(), node, &DIRECTIVES, problems);
    for turn in 0..repeat.min(MAX_EVENTS + 1) {
        *number += 1;
        if *number > MAX_EVENTS {
            return;
        }
        let mut event = event.clone();
        let steps = i64::try_from(turn).unwrap_or(i64::MAX);
        let time = start.plus(at).plus(Nanos(every.0.saturating_mul(steps)));
        default_field(&mut event, "published", Value::from(time.to_string()));
        default_field(&mut event, "uuid", Value::from(format!("event-{number}")));
        lines.push_str(&event.to_string());
        lines.push('\n');
    }
}

fn default_field(event: &mut Value, key: &str, value: Value) {
    if let Value::Object(map) = event {
        map.entry(key).or_insert(value);
    }
}

/// Puts a mapping's values over a record; dotted keys reach inside it, `null` removes nothing.
fn overlay(mut record: Value, node: &Node, skipped: &[&str], problems: &mut Problems) -> Value {
    let entries = node
        .table(problems)
        .map(|table| table.entries())
        .unwrap_or_default();
    for (key, value) in entries
        .iter()
        .filter(|(key, _)| !skipped.contains(&key.text.as_str()))
    {
        place(&mut record, &key.text, value.to_json());
    }
    record
}

/// A field that Okta never sends is probably misspelt, and a case that stays quiet for that proves nothing.
fn report_unknown_fields(node: &Node, skipped: &[&str], problems: &mut Problems) {
    let Kind::Map(entries) = &node.kind else {
        return;
    };
    for (key, _) in entries
        .iter()
        .filter(|(key, _)| !skipped.contains(&key.text.as_str()))
    {
        let known = crate::okta::fields();
        if known.binary_search(&key.text.as_str()).is_err() && !crate::okta::is_open_map(&key.text)
        {
            let message = format!("Okta sends no field `{}`", key.text);
            let known = skipped.iter().chain(known).copied();
            problems
                .warn(codes::UNKNOWN_FIELD, key.span, message)
                .did_you_mean_only(&key.text, known);
        }
    }
}

/// `+3m`, `+1h30m`, `-10s`.
fn offset(node: &Node, problems: &mut Problems) -> Option<Nanos> {
    let text = node.text(problems)?;
    let parsed = parse_offset(text);
    if parsed.is_none() {
        problems
            .error(
                codes::EVENT,
                node.span,
                format!("`{text}` is not a time from the start"),
            )
            .help("write it like `+3m`, `+1h30m` or `-10s`");
    }
    parsed
}

fn parse_offset(text: &str) -> Option<Nanos> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut total = 0_i64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())? + 1;
        let part = rest.get(..end)?;
        total = total.checked_add(Nanos::parse(part)?.0)?;
        rest = rest.get(end..)?;
    }
    (text.len() > 1).then_some(Nanos(sign * total))
}

fn decode_expectations(node: &Node, problems: &mut Problems) -> Option<Vec<Expectation>> {
    let mut table = node.table(problems)?;
    let mut expect = Vec::new();
    for (kind, fields) in KINDS {
        if let Some(node) = table.get_even_null(kind)
            && let Some(wanted) = decode_wanted(node, fields, problems)
        {
            expect.push(Expectation { kind, wanted });
        }
    }
    report_empty(&table, problems);
    table.finish(problems);
    Some(expect)
}

fn report_empty(table: &Table<'_>, problems: &mut Problems) {
    if table.entries().is_empty() {
        problems
            .error(
                codes::EXPECTATION,
                table.span(),
                "the case expects nothing, so that it could not fail",
            )
            .help("write `findings: []` for a case that must stay quiet");
    }
}

fn decode_wanted(node: &Node, fields: &[&str], problems: &mut Problems) -> Option<Wanted> {
    match &node.kind {
        Kind::Number(_) => node.count(problems).map(Wanted::Count),
        Kind::List(items) => {
            let records: Vec<Value> = items
                .iter()
                .filter_map(|item| decode_record(item, fields, problems))
                .collect();
            Some(Wanted::Records(records))
        }
        _ => {
            problems.error(
                shape::WRONG_TYPE,
                node.span,
                format!(
                    "expected a number or a list of records, found {}",
                    node.describe()
                ),
            );
            None
        }
    }
}

fn decode_record(node: &Node, fields: &[&str], problems: &mut Problems) -> Option<Value> {
    let mut table = node.table(problems)?;
    if table.entries().is_empty() {
        let span: Span = table.span();
        problems.error(
            codes::EXPECTATION,
            span,
            "an expected record gives at least one field",
        );
    }
    for field in fields {
        table.get_even_null(field);
    }
    table.finish(problems);
    Some(node.to_json())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read() {
        let minute = 60 * Nanos::SECOND.0;
        let cases = [
            ("+3m", Some(3 * minute)),
            ("3m", Some(3 * minute)),
            ("+1h30m", Some(90 * minute)),
            ("-2m", Some(-2 * minute)),
            ("+0m", Some(0)),
            ("+", None),
            ("", None),
            ("+m", None),
            ("+3", None),
            ("+3mx", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_offset(text), expected.map(Nanos), "{text}");
        }
    }
}
