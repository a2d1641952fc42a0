//! `fixtures/**/*.test.yml`.

use serde_json::{Value, json};

use crate::ask::CODES;
use crate::lab::{MAX_EVENTS, RECORDS};
use crate::okta::{EVENT_TYPE, MAPPINGS, event_types, fields};
use crate::schema::pages::Table;
use crate::schema::{NAMES, boolean, closed, count, known, list_of, one_of, said, text, together};

/// A time with its zone, or without one, which is UTC.
const TIME: &str = r"^\s*[0-9]{4}-(0?[1-9]|1[0-2])-(0?[1-9]|[12][0-9]|3[01])[Tt ]([01]?[0-9]|2[0-3]):[0-5]?[0-9]:([0-5]?[0-9]|60)(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})?\s*$";

pub(super) fn schema() -> Value {
    let mut suite = closed(
        Table::NONE,
        &["suite"],
        json!({
            "questions": said("Questions, and what each asks for", questions()),
            "suite": said("What the suite is called", text()),
            "cases": said("Events, and what must come of them", cases(1)),
        }),
    );
    if let Value::Object(suite) = &mut suite {
        suite.insert("$defs".to_owned(), definitions());
    }
    suite
}

fn questions() -> Value {
    let codes: Vec<&str> = CODES.iter().map(|(code, _)| *code).collect();
    let question = closed(
        Table::QUESTION,
        &["ask"],
        json!({
            "ask": text(),
            "tool": text(),
            "params": {"type": "object"},
            "may_refuse": boolean(),
            "refused": {"anyOf": [{"const": true}, {"enum": codes}]},
        }),
    );
    json!({"type": "array", "minItems": 1, "items": question})
}

/// The cases of a suite, which has one at least, or of a rule.
pub(super) fn cases(least: u32) -> Value {
    json!({"type": "array", "minItems": least, "items": case()})
}

fn case() -> Value {
    let base = json!({"from": from()});
    closed(
        Table::CASE,
        &["name", "events", "expect"],
        json!({
            "name": text(),
            "base": event(base),
            "start": {"type": "string", "pattern": TIME},
            "events": events(),
            "expect": expected(),
        }),
    )
}

fn events() -> Value {
    let log = closed(
        Table::NONE,
        &["file"],
        json!({
            "file": said("A log, by its path from the folder of the suite", text()),
            "mapping": said("How its fields become Okta's", one_of(&MAPPINGS)),
        }),
    );
    let offset = || json!({"type": "string", "pattern": "^[+-]?([0-9]+[smhdwMy])+$"});
    let directives = closed(
        Table::CASE,
        &[],
        json!({
            "at": offset(),
            "advance": offset(),
            "every": offset(),
            "repeat": {"type": "integer", "minimum": 0, "maximum": MAX_EVENTS},
            "from": from(),
        }),
    );
    let directives = directives.get("properties").cloned().unwrap_or_default();
    json!({"anyOf": [list_of(event(directives)), log]})
}

/// What schemas with cases refer to.
pub(super) fn definitions() -> Value {
    let fields = fields().iter().map(|field| match *field {
        EVENT_TYPE => json!({EVENT_TYPE: {"anyOf": [{"$ref": "#/$defs/event_type"}, {}]}}),
        field => json!({field: {}}),
    });
    json!({
        "event_type": known(event_types(), "event_type"),
        "event": {"type": "object", "properties": together(fields), NAMES: "line"},
    })
}

/// Fields by their dotted paths, or as they are nested, and beside them keys that are no fields.
fn event(keys: Value) -> Value {
    json!({"allOf": [{"$ref": "#/$defs/event"}], "properties": keys})
}

fn from() -> Value {
    closed(
        Table::NONE,
        &["file"],
        json!({
            "file": said("A log with an event a line, by its path from the folder of the suite", text()),
            "line": said("Which line", count()),
            "uuid": said("The `uuid` of the event", text()),
            "where": said("Fields with values that this event alone has", json!({"type": "object"})),
        }),
    )
}

fn expected() -> Value {
    let kinds = RECORDS.iter().map(|(kind, fields)| {
        let fields = fields.iter().map(|field| match *field {
            "rule" | "finding_type" => json!({*field: {NAMES: *field}}),
            "agents" => json!({"agents": {"items": {NAMES: "agent"}}}),
            field => json!({field: {}}),
        });
        let mut record = closed(Table::NONE, &[], together(fields));
        if let Value::Object(record) = &mut record {
            record.insert("minProperties".to_owned(), 1.into());
        }
        json!({*kind: {"anyOf": [count(), list_of(record)]}})
    });
    let mut expected = closed(Table::CASE, &[], together(kinds));
    if let Value::Object(expected) = &mut expected {
        expected.insert("minProperties".to_owned(), 1.into());
    }
    expected
}
