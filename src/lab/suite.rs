//! `fixtures/**/*.test.yml`: events and what the policy must make of them.

mod folder;
mod logs;
mod questions;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::detect::Rule;
use crate::diag::{FileId, Problems, Span};
use crate::document::{Kind, Node, Table, codes as shape, parse_yaml_documents, read_allowances};
use crate::event::{Nanos, Time};
use crate::lab::fix::Texts;
use crate::lab::regression::regression_cases;
use crate::okta::{MAPPINGS, Mapping, place};
use crate::policy::{Loaded, Policy, PolicyFile};

use self::folder::find_suites;
use self::logs::{Logs, Which};

use self::questions::decode_questions;

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
    /// A suite that is not read.
    pub const UNREAD_SUITE: &str = "RL0608";
    /// An expectation of a rule that there is not.
    pub const UNKNOWN_RULE: &str = "RL0609";
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
    /// The logs that it takes events from.
    pub logs: Vec<PathBuf>,
    /// The events.
    pub events: Events,
    /// What must come of them, by kind of record.
    pub expect: Vec<Expectation>,
    /// The rules that the expected records name.
    pub named: Vec<NamedRule>,
}

/// A rule that an expected record names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedRule {
    /// As it is written.
    pub name: String,
    /// The kind of the record, as in [`Expectation`].
    pub kind: &'static str,
    /// Where it is written.
    pub span: Span,
}

/// The events of a case.
#[derive(Clone, Debug)]
pub enum Events {
    /// Those of a log file.
    File(PathBuf, Mapping),
    /// Those written in the suite, as lines of JSON.
    Inline(String),
    /// None: a question is asked.
    Question(String),
}

/// What must come of a case, for one kind of record.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// `findings`, `incidents`, `routes`, `plans`, `commands`, `drafts`, `matches`, `near_misses` or
    /// `questions`.
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
    /// So many of a rule that is called like this, or some where no number is given; those of other
    /// rules are not looked at.
    OfRule(Vec<String>, Option<u64>),
    /// This, or a refusal: never anything else.
    OrRefused(Value),
}

/// The kinds of record that a case may expect, with the fields that each may give.
pub const RECORDS: [(&str, &[&str]); 8] = [
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
    ("routes", &["phase", "agents", "edits", "notes"]),
    ("matches", &["rule", "event", "selections", "missing"]),
    ("near_misses", &["rule", "event", "selections", "missing"]),
    ("drafts", &["agent_name", "content", "provenance", "failed"]),
];

/// A larger file is no suite.
const MAX_FILE: u64 = 4 << 20;
/// A case has at most so many inline events.
pub const MAX_EVENTS: u64 = 100_000;
/// All inline events of a policy together have at most so many bytes.
const MAX_BYTES: usize = 256 << 20;
/// A dotted path of a field has at most so many steps.
const MAX_STEPS: usize = 32;
/// Where the time of inline events begins unless a case says `start`.
const START: &str = "2026-01-01T00:00:00Z";

/// All cases of a policy folder: those that stand in its rules, then its suites; reports what is
/// wrong in them. `loaded` is the policy of the folder, and takes the problems.
pub fn all_suites(folder: &Path, loaded: &mut Loaded) -> Vec<Suite> {
    all_suites_over(folder, loaded, &Texts::new())
}

/// The same with other texts in the place of those of some suites, by their paths in the policy folder.
pub fn all_suites_over(folder: &Path, loaded: &mut Loaded, texts: &Texts) -> Vec<Suite> {
    let mut logs = Logs::default();
    let problems = &mut loaded.problems;
    let mut suites = cases_in_rules(folder, &loaded.files, &mut logs, problems);
    let mut files = find_suites(folder, problems);
    // One that is open may not be saved yet.
    let open = texts.keys().filter(|name| is_suite(name));
    files.extend(open.map(|name| folder.join(name)));
    files.sort();
    files.dedup();
    let read = files
        .iter()
        .filter_map(|path| load(folder, path, texts, &mut logs, problems));
    suites.extend(read);
    match &loaded.policy {
        Some(policy) => report_unknown_rules(policy, &suites, problems),
        None => report_unwritten_rules(&loaded.files, &suites, problems),
    }
    suites
}

/// The same of a policy with errors: a rule is there where any document, right or wrong, is called
/// so, or a file that cannot be parsed has the name somewhere.
fn report_unwritten_rules(files: &[PolicyFile], suites: &[Suite], problems: &mut Problems) {
    let mut known = BTreeSet::new();
    let mut unread = Vec::new();
    for file in files.iter().filter(|file| file.is_rule()) {
        let mut unheard = Problems::default();
        let documents = parse_yaml_documents(file.id, &file.text, &mut unheard);
        if unheard.has_errors() {
            unread.push(&file.text);
        }
        for document in documents {
            let called = ["/name", "/id", "/title"].map(|key| document.at(key)?.scalar_text());
            known.extend(called.into_iter().flatten());
        }
    }
    if known.is_empty() {
        return;
    }
    let cases = suites.iter().flat_map(|suite| &suite.cases);
    for NamedRule { name, kind, span } in cases.flat_map(|case| &case.named) {
        // A rule without a name may have an id that is made for it.
        let is_id = name.parse::<uuid::Uuid>().is_ok();
        let may_be = unread.iter().any(|text| text.contains(name.as_str()));
        if !is_id && !may_be && !known.contains(name) {
            let message =
                format!("none of the {kind} has the rule `{name}`: there is no such rule");
            problems
                .warn(codes::UNKNOWN_RULE, *span, message)
                .did_you_mean(name, known.iter().map(String::as_str));
        }
    }
}

/// Whether a file is a suite, by its path in the policy folder.
#[must_use]
pub fn is_suite(name: &str) -> bool {
    let is_named = name.ends_with(".test.yml") || name.ends_with(".test.yaml");
    is_named && name.starts_with("fixtures/")
}

/// An expectation of a rule that there is not can only fail.
fn report_unknown_rules(policy: &Policy, suites: &[Suite], problems: &mut Problems) {
    let known = ["findings", "matches"].map(|kind| {
        let rules = policy.rules.values();
        rules
            .map(|rule| called(rule, kind))
            .collect::<BTreeSet<_>>()
    });
    let cases = suites.iter().flat_map(|suite| &suite.cases);
    for NamedRule { name, kind, span } in cases.flat_map(|case| &case.named) {
        let [in_findings, in_matches] = &known;
        let known = match *kind {
            "findings" => in_findings,
            _ => in_matches,
        };
        if known.contains(name) {
            continue;
        }
        let mut rules = policy.rules.values();
        let meant = rules.find(|rule| rule.is_called(name) || rule.title == *name);
        let none = if meant.is_none() {
            ": there is no such rule"
        } else {
            ""
        };
        let message = format!("none of the {kind} has the rule `{name}`{none}");
        let warning = problems.warn(codes::UNKNOWN_RULE, *span, message);
        match meant.map(|rule| called(rule, kind)) {
            Some(called) => warning.help(format!("the {kind} of that rule have `{called}`")),
            None => warning.did_you_mean(name, known.iter().map(String::as_str)),
        }
    }
}

/// What records of a kind call a rule.
fn called(rule: &Rule, kind: &str) -> String {
    match (&rule.name, kind) {
        (Some(name), _) => name.clone(),
        (None, "findings") => rule.id.to_string(),
        (None, _) => rule.title.clone(),
    }
}

/// The cases that stand in rules: each rule that has some is a suite of its name.
fn cases_in_rules(
    policy: &Path,
    files: &[PolicyFile],
    logs: &mut Logs,
    problems: &mut Problems,
) -> Vec<Suite> {
    let files = files.iter().filter(|file| file.is_rule());
    let with_tests = files.filter(|file| file.text.contains("tests"));
    let mut suites = Vec::new();
    for file in with_tests {
        // What is wrong with the file as a whole was reported when the policy was loaded.
        let mut known = Problems::default();
        for document in parse_yaml_documents(file.id, &file.text, &mut known) {
            let tests = document.at("/rulectl/tests");
            let mut regression = regression_cases(policy, &document, problems);
            if tests.is_none() && regression.is_empty() {
                continue;
            }
            let said = |pointer| document.at(pointer).and_then(Node::scalar_text);
            let name = said("/name").or_else(|| said("/title"));
            let full = policy.join(&file.path);
            let folder = full.parent().unwrap_or(policy);
            let listed = tests.and_then(|tests| tests.list(problems));
            let mut beside = Beside { folder, logs };
            let mut cases = decode_cases(listed.unwrap_or_default(), &mut beside, problems);
            cases.append(&mut regression);
            suites.push(Suite {
                name: name.unwrap_or_else(|| file.path.clone()),
                file: file.path.clone(),
                cases,
            });
        }
    }
    suites
}

fn decode_cases(nodes: &[Node], beside: &mut Beside<'_>, problems: &mut Problems) -> Vec<Case> {
    let cases: Vec<(Case, Span)> = nodes
        .iter()
        .filter_map(|node| Some((decode_case(node, beside, problems)?, node.span)))
        .collect();
    report_twins(&cases, problems);
    cases.into_iter().map(|(case, _)| case).collect()
}

fn load(
    policy: &Path,
    path: &Path,
    texts: &Texts,
    logs: &mut Logs,
    problems: &mut Problems,
) -> Option<Suite> {
    let name = path
        .strip_prefix(policy)
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned();
    let text = match fs::metadata(path) {
        _ if texts.contains_key(&name) => Ok(texts.get(&name).cloned().unwrap_or_default()),
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
        &mut Beside {
            folder: path.parent().unwrap_or(policy),
            logs,
        },
        &text,
        problems,
    )
}

fn decode(
    file: FileId,
    name: &str,
    beside: &mut Beside<'_>,
    text: &str,
    problems: &mut Problems,
) -> Option<Suite> {
    let errors = problems.counts().0;
    read_allowances(file, text, problems);
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
    let questions = table.get("questions");
    let cases = match &questions {
        Some(_) => table.get("cases"),
        None => table.require("cases", problems),
    };
    let [cases, questions] = [cases, questions].map(|node| {
        let list = node.and_then(|node| node.list(problems));
        list.unwrap_or_default()
    });
    table.finish(problems);
    if cases.is_empty() && questions.is_empty() && problems.counts().0 == errors {
        problems.file_error(codes::UNREADABLE, file, "the suite has no cases");
    }
    let mut cases = decode_cases(cases, beside, problems);
    cases.extend(decode_questions(questions, problems));
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

fn decode_case(node: &Node, beside: &mut Beside<'_>, problems: &mut Problems) -> Option<Case> {
    let mut table = node.table(problems)?;
    let name = table
        .require("name", problems)
        .and_then(|node| node.text(problems));
    let base = table.get("base").map(|node| {
        report_unknown_fields(node, &FROM, problems);
        let record = recorded(node, beside, problems);
        let mut record = record.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        forget(&mut record, true);
        overlay(record, node, &FROM, problems)
    });
    let start = match table.get("start") {
        Some(node) => decode_time(node, problems),
        None => Time::parse(START),
    };
    let events = table.require("events", problems);
    let events = events.and_then(|node| {
        decode_events(
            node,
            beside,
            &base.unwrap_or_else(|| Value::Object(serde_json::Map::new())),
            start?,
            problems,
        )
    });
    let expected = table.require("expect", problems);
    let named = expected.map(named_rules).unwrap_or_default();
    let expect = expected.and_then(|node| decode_expectations(node, problems));
    table.finish(problems);
    Some(Case {
        name: name?.to_owned(),
        line: problems.line_column(node.span).line,
        logs: logs(node).map(|log| beside.folder.join(log)).collect(),
        events: events?,
        expect: expect?,
        named,
    })
}

/// The rules that the records of an expectation name.
fn named_rules(expected: &Node) -> Vec<NamedRule> {
    let kinds = RECORDS.iter().map(|(kind, _)| *kind);
    let listed = kinds.filter_map(|kind| match &expected.at(&format!("/{kind}"))?.kind {
        Kind::List(records) => Some(records.iter().map(move |record| (kind, record))),
        _ => None,
    });
    let named = listed.flatten().filter_map(|(kind, record)| {
        let node = record.at("/rule")?;
        let (name, span) = (node.scalar_text()?, node.span);
        Some(NamedRule { name, kind, span })
    });
    named.collect()
}

/// The paths of the logs that a case names.
fn logs(case: &Node) -> impl Iterator<Item = &str> {
    let events = case.at("/events");
    let listed = match events.map(|node| &node.kind) {
        Some(Kind::List(items)) => items.as_slice(),
        _ => &[],
    };
    let taken = listed.iter().filter_map(|event| event.at("/from/file"));
    let whole = events.and_then(|events| events.at("/file"));
    let base = case.at("/base/from/file");
    let named = whole.into_iter().chain(base).chain(taken);
    named.filter_map(|node| match &node.kind {
        Kind::Text(path) => Some(path.as_str()),
        _ => None,
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
    beside: &mut Beside<'_>,
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
            let path = beside.folder.join(file);
            if !path.is_file() {
                problems
                    .error(codes::EVENT, span, format!("there is no log file `{file}`"))
                    .help("the path is relative to the folder of the suite");
                return None;
            }
            Some(Events::File(path, mapping))
        }
        Kind::List(items) => {
            let mut list = Inline {
                beside,
                base,
                clock: start,
                number: 0,
                is_full: false,
                lines: String::new(),
            };
            for item in items {
                list.add(item, problems);
            }
            if list.number > MAX_EVENTS {
                problems.error(
                    codes::EVENT,
                    node.span,
                    format!("a case has at most {MAX_EVENTS} events"),
                );
            }
            Some(Events::Inline(list.lines))
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
const DIRECTIVES: [&str; 5] = ["at", "repeat", "every", "advance", "from"];
/// The key of a base that is no field.
const FROM: [&str; 1] = ["from"];

/// What a suite reaches beside itself.
struct Beside<'l> {
    /// The folder from which its paths count.
    folder: &'l Path,
    /// The logs that were read so far, for any suite.
    logs: &'l mut Logs,
}

/// The events of a list, as far as they are made.
struct Inline<'c, 'l> {
    beside: &'c mut Beside<'l>,
    base: &'c Value,
    /// The time from which `at` counts, which `advance` moves on.
    clock: Time,
    number: u64,
    /// Whether there is no room for more.
    is_full: bool,
    lines: String,
}

impl Inline<'_, '_> {
    /// Appends the events that one entry stands for.
    fn add(&mut self, node: &Node, problems: &mut Problems) {
        let Some(mut table) = node.table(problems) else {
            return;
        };
        if let Some(step) = table.get("advance") {
            self.clock = self.clock.plus(offset(step, problems).unwrap_or_default());
            if table.entries().len() == 1 {
                return;
            }
        }
        let at = table.get("at").and_then(|node| offset(node, problems));
        let every = table
            .get("every")
            .and_then(|node| offset(node, problems))
            .unwrap_or(Nanos::SECOND);
        let repeat = table
            .get("repeat")
            .and_then(|node| node.count(problems))
            .unwrap_or(1);
        report_unknown_fields(node, &DIRECTIVES, problems);
        let taken = recorded(node, self.beside, problems);
        let mut event = taken.unwrap_or_else(|| self.base.clone());
        // An event of a log that is given a time, or made several times, is another event.
        if table.place_of("from").is_some() && (at.is_some() || repeat != 1) {
            forget(&mut event, at.is_some());
        }
        let event = overlay(event, node, &DIRECTIVES, problems);
        for turn in 0..repeat.min(MAX_EVENTS + 1) {
            self.number += 1;
            if self.number > MAX_EVENTS || self.is_full {
                return;
            }
            let mut event = event.clone();
            let steps = i64::try_from(turn).unwrap_or(i64::MAX);
            let later = Nanos(every.0.saturating_mul(steps));
            let time = self.clock.plus(at.unwrap_or_default()).plus(later);
            default_field(&mut event, "published", Value::from(time.to_string()));
            let uuid = format!("event-{}", self.number);
            default_field(&mut event, "uuid", Value::from(uuid));
            let line = event.to_string();
            if !problems.spend(line.len(), MAX_BYTES) {
                self.is_full = true;
                let message = "the events of all cases have more than 256 MiB together";
                problems.error(codes::EVENT, node.span, message);
                return;
            }
            self.lines.push_str(&line);
            self.lines.push('\n');
        }
    }
}

fn forget(event: &mut Value, time: bool) {
    if let Value::Object(map) = event {
        map.remove("uuid");
        if time {
            map.remove("published");
        }
    }
}

/// The event of a log that `from` names; `None` where there is none to take.
fn recorded(node: &Node, beside: &mut Beside<'_>, problems: &mut Problems) -> Option<Value> {
    let Kind::Map(entries) = &node.kind else {
        return None;
    };
    let (_, from) = entries.iter().find(|(key, _)| key.text == "from")?;
    let mut table = from.table(problems)?;
    let file = table
        .require("file", problems)
        .and_then(|node| node.text(problems));
    let line = table.get("line").and_then(|node| node.count(problems));
    let uuid = table.get("uuid").and_then(|node| node.text(problems));
    let marks = table.get("where").and_then(|node| marks(node, problems));
    table.finish(problems);
    let which = match (line, uuid, &marks) {
        (Some(line), None, None) => Which::Line(line),
        (None, Some(uuid), None) => Which::Uuid(uuid),
        (None, None, Some(marks)) => Which::Marked(marks),
        _ => {
            problems
                .error(
                    codes::EVENT,
                    from.span,
                    "expected the `line` or the `uuid` of one event of the log, or `where`, fields that it alone has",
                )
                .help("write it like `{file: logs/a.ndjson, line: 3}`");
            return None;
        }
    };
    let taken = beside.logs.take(&beside.folder.join(file?), which);
    if let Err(reason) = &taken {
        problems
            .error(codes::EVENT, from.span, reason)
            .help("the path is relative to the folder of the file that names it; the log has an event a line");
    }
    taken.ok()
}

/// The fields and values that an event is told by.
fn marks(node: &Node, problems: &mut Problems) -> Option<Vec<(String, Value)>> {
    report_unknown_fields(node, &[], problems);
    let table = node.table(problems)?;
    let entries = table.entries().iter();
    let marks: Vec<(String, Value)> = entries
        .map(|(key, value)| (key.text.clone(), value.to_json()))
        .collect();
    if marks.is_empty() {
        let help = "name a field that only this event has with its value";
        let message = "`where` names no field";
        problems.error(codes::EVENT, node.span, message).help(help);
        return None;
    }
    Some(marks)
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
        if key.text.split('.').count() > MAX_STEPS {
            let message = format!("the path of a field has at most {MAX_STEPS} steps");
            problems.error(codes::EVENT, key.span, message);
        } else {
            place(&mut record, &key.text, value.to_json());
        }
    }
    record
}

/// A field that Okta never sends is probably misspelt, and a case that stays quiet for that proves nothing.
fn report_unknown_fields(node: &Node, skipped: &[&str], problems: &mut Problems) {
    report_unknown_below("", node, skipped, problems);
}

/// The same of what stands in a field, whose name is told with a dot behind it.
fn report_unknown_below(above: &str, node: &Node, skipped: &[&str], problems: &mut Problems) {
    let entries = match &node.kind {
        Kind::Map(entries) => entries,
        Kind::List(items) if !above.is_empty() => {
            let items = items.iter();
            return items.for_each(|item| report_unknown_below(above, item, skipped, problems));
        }
        _ => return,
    };
    let is_told = |key: &str| above.is_empty() && skipped.contains(&key);
    for (key, value) in entries.iter().filter(|(key, _)| !is_told(&key.text)) {
        let field = format!("{above}{}", key.text);
        let below = format!("{field}.");
        let known = crate::okta::fields();
        let is_object = known.iter().any(|known| known.starts_with(&below));
        if is_object && matches!(value.kind, Kind::Map(_) | Kind::List(_)) {
            report_unknown_below(&below, value, skipped, problems);
        } else if known.binary_search(&field.as_str()).is_err() && !crate::okta::is_open_map(&field)
        {
            let message = format!("Okta sends no field `{field}`");
            let known = skipped.iter().chain(known).copied();
            let right = crate::okta::spelling(&field).and_then(|right| right.strip_prefix(above));
            let fix = right.and_then(|right| problems.replacing(key.span, &key.text, right));
            problems
                .warn(codes::UNKNOWN_FIELD, key.span, message)
                .fixed_by(fix)
                .did_you_mean_only(&field, known);
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
    for (kind, fields) in RECORDS {
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
