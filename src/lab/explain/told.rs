//! The parts of an explanation as its document has them.

use serde::Serialize;
use serde_json::Value;

use crate::detect::{Clause, ClauseLine, ValueKind, Verdict, What};
use crate::diag::{Problems, Span};
use crate::event::Time;

/// A place in a file of the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlaceTold {
    /// The file, relative to the policy folder.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters, from 1.
    pub column: usize,
}

/// What came of a step of a rule.
#[derive(Clone, Debug, Serialize)]
pub struct StepTold {
    /// What it asks.
    pub clause: String,
    /// The search that it is a line of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// Where it is written.
    pub place: PlaceTold,
    /// How many events satisfy every step before it.
    pub reached: u64,
    /// How many of these do not satisfy it.
    pub stopped: u64,
    /// How many of all events satisfy it.
    pub passed: u64,
    /// What those that stopped have instead: the values found most often.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<FoundTold>,
    /// Where the field is absent, the fields that those have whose names differ in case alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub near: Vec<NearTold>,
    /// Whether they have more than a thousand different ones, of which none is told.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub found_many: bool,
}

/// A field that is spelled like one that is absent, and how many events have it.
#[derive(Clone, Debug, Serialize)]
pub struct NearTold {
    /// The field.
    pub field: String,
    /// How many.
    pub events: u64,
}

/// A value, and how many events have it.
#[derive(Clone, Debug, Serialize)]
pub struct FoundTold {
    /// The value.
    pub value: Value,
    /// How many.
    pub events: u64,
}

/// An event and what a rule makes of it.
#[derive(Clone, Debug, Serialize)]
pub struct EventTold {
    /// The input that it stands in.
    pub input: String,
    /// The line that it begins on, from 1.
    pub line: u64,
    /// Its own id.
    pub uuid: Option<String>,
    /// Its time.
    pub time: Option<Time>,
    /// Whether it satisfies the rule.
    pub matches: bool,
    /// How many more miss the rule in the same clauses.
    pub alike: u64,
    /// The condition of the rule, clause by clause.
    pub tree: ClauseTold,
}

/// A clause of a condition, over one event.
#[derive(Clone, Debug, Serialize)]
pub struct ClauseTold {
    /// `all`, `any`, `not`, `search`, `alternative`, `filter`, `line` or `script`.
    pub kind: &'static str,
    /// What it is called, or says.
    pub shown: String,
    /// Where it is written.
    pub place: PlaceTold,
    /// Whether it holds.
    pub holds: bool,
    /// Whether the rule as a whole holds or does not because of it.
    pub decides: bool,
    /// What came of a clause that asks something of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<&'static str>,
    /// The first values that the field has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Value>,
    /// How many more it has.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: usize,
    /// Whether what was found is from a database.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub from_database: bool,
    /// Of the values that a line lists those that were found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub has: Vec<String>,
    /// Of the values that a line lists those that were not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
    /// What else is to be said of the verdict: a field of another spelling, a kind, an error, and of
    /// keywords that are not found in how many values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What it is made of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<ClauseTold>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// So many values that a line lists are told.
const LISTED: usize = 5;

/// So much of a value as it is written is told.
const WRITTEN: usize = 120;

impl PlaceTold {
    /// Where a span begins.
    #[must_use]
    pub fn of(span: Span, texts: &Problems) -> Self {
        let place = texts.line_column(span);
        Self {
            file: texts.file_name(span.file).to_owned(),
            line: place.line,
            column: place.column,
        }
    }
}

/// A clause as it is told; `event` is all of the event.
pub(super) fn clause(told: &Clause, event: Option<&Value>, texts: &Problems) -> ClauseTold {
    let (kind, shown) = named(&told.what);
    let mut clause_told = ClauseTold {
        kind,
        shown,
        place: PlaceTold::of(told.span, texts),
        holds: told.holds,
        decides: told.decides,
        verdict: None,
        found: Vec::new(),
        more: 0,
        from_database: false,
        has: Vec::new(),
        lacks: Vec::new(),
        note: None,
        parts: told
            .parts
            .iter()
            .map(|part| clause(part, event, texts))
            .collect(),
    };
    match &told.what {
        What::Line(line) => of_line(&mut clause_told, line, event, texts),
        What::Script(_, verdict) => (clause_told.verdict, clause_told.note) = said(verdict),
        _ => {}
    }
    clause_told
}

fn named(what: &What) -> (&'static str, String) {
    match what {
        What::All => ("all", "all of".to_owned()),
        What::Any => ("any", "any of".to_owned()),
        What::Not => ("not", "not".to_owned()),
        What::Search(name) => ("search", name.clone()),
        What::Alternative(number) => ("alternative", format!("alternative {number}")),
        What::Filter(title) => ("filter", format!("filter: {title}")),
        What::Line(line) => ("line", line.shown.clone()),
        What::Script(name, _) => ("script", format!("script: {name}")),
    }
}

fn of_line(told: &mut ClauseTold, line: &ClauseLine, event: Option<&Value>, texts: &Problems) {
    let mut verdict = line.verdict.clone();
    if let (Some(field), Some(event)) = (&line.field, event) {
        verdict.look_around(field, event);
    }
    (told.verdict, told.note) = said(&verdict);
    if let (None, Verdict::WrongValue, Some(event)) = (&line.field, &verdict, event) {
        told.note = Some(values_of(event).to_string());
    }
    told.found.clone_from(&line.found);
    told.more = line.more;
    told.from_database = line.supplied;
    // With one value alone the line itself says it.
    if line.passed.len() + line.missed.len() > 1 {
        let written = |places: &[Span]| -> Vec<String> {
            let places = places.iter().take(LISTED);
            places.map(|place| written(*place, texts)).collect()
        };
        told.has = written(&line.passed);
        let is_short = !told.holds && !line.passed.is_empty() && verdict != Verdict::Excluded;
        told.lacks = if is_short {
            written(&line.missed)
        } else {
            Vec::new()
        };
    }
}

/// How many values keywords are looked for in.
fn values_of(event: &Value) -> u64 {
    match event {
        Value::Object(map) => map.values().map(values_of).sum(),
        Value::Array(items) => items.iter().map(values_of).sum(),
        Value::Null => 0,
        Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

/// A value as the rule writes it.
fn written(span: Span, texts: &Problems) -> String {
    let text = texts.text(span.file);
    let text = text.get(span.start as usize..span.end as usize);
    text.unwrap_or_default()
        .trim_end()
        .chars()
        .take(WRITTEN)
        .collect()
}

/// A verdict in the words of the document, and what else there is to it.
fn said(verdict: &Verdict) -> (Option<&'static str>, Option<String>) {
    let kind = |kind: ValueKind| match kind {
        ValueKind::Number => "number",
        ValueKind::Time => "time",
        ValueKind::Address => "address",
    };
    let (word, note) = match verdict {
        Verdict::Matched => ("matched", None),
        Verdict::Absent(None) => ("absent", None),
        Verdict::Absent(Some(near)) => ("wrong_case_of_field", Some(near.clone())),
        Verdict::Empty => ("empty", None),
        Verdict::WrongCase => ("wrong_case", None),
        Verdict::WrongKind(of) => ("wrong_kind", Some(kind(*of).to_owned())),
        Verdict::WrongValue => ("wrong_value", None),
        Verdict::Excluded => ("excluded", None),
        Verdict::NotAsked => ("not_asked", None),
        Verdict::Failed(why) => ("failed", Some(why.clone())),
    };
    (Some(word), note)
}
