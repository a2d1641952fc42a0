//! A document of `rules/**/*.yml`: a detection, a correlation, a filter or accessors.

use serde_json::{Value, json};

use crate::detect::{
    DESCRIPTIVE, LEVELS, NOTATIONS, SEVERITIES, bound_names, correlation_types, modifier_names,
};
use crate::okta::{EVENT_TYPE, fields};
use crate::schema::pages::Table;
use crate::schema::{
    NAMES, boolean, closed, count, known, list_of, list_or_nothing, mapping_to, named, number,
    one_of, said, some, span_of_time, suites, text, together,
};

/// A UUID with dashes or without, in braces or as a URN.
const UUID: &str = r"^(urn:uuid:)?\{?[0-9a-fA-F-]{32,36}\}?$";

pub(super) fn schema() -> Value {
    let descriptive = DESCRIPTIVE.iter().map(|key| {
        let says = "Says something to people, and decides nothing";
        json!({*key: said(says, json!({}))})
    });
    json!({
        "type": "object",
        "properties": together(descriptive.chain([keys()])),
        "oneOf": [
            with_logic("detection", &["title", "logsource"]),
            with_logic("correlation", &["title"]),
            with_logic("filter", &["title", "logsource"]),
            with_logic("accessors", &[]),
        ],
        "if": {"required": ["correlation"]},
        "then": {"properties": {"rulectl": {"not": {"type": "object", "required": ["group-by"]}}}},
        "$defs": together([suites::definitions(), json!({
            "field": known(fields(), "field"),
            "values": values(json!({"type": ["string", "number", "boolean", "null"]})),
            "event_types": values(json!({"anyOf": [
                {"$ref": "#/$defs/event_type"},
                {"type": ["string", "number", "boolean", "null"]},
            ]})),
            "lines": lines(),
            "search": search(),
            "pair": pair(),
            "correlation": correlation(),
            "rulectl": block(),
        })]),
    })
}

fn keys() -> Value {
    json!({
        "title": said("What a finding is called", text()),
        "id": said("A UUID; without it, one is made from the name", json!({"type": "string", "format": "uuid", "pattern": UUID})),
        "name": said("What correlations and suites call it", text()),
        "description": said("What it detects, in prose", text()),
        "author": said("Who wrote it: its findings name them", text()),
        "level": said("How grave it is; default `medium`", one_of(&LEVELS)),
        "tags": said("Such as `attack.t1110`, a technique of ATT&CK", list_of(text())),
        "logsource": said("Which logs it is for: `{product: okta, service: okta}`", log_source()),
        "detection": said("A condition on one event", detection(json!({}))),
        "correlation": {"$ref": "#/$defs/correlation", "description": "A condition on several events"},
        "filter": said("What is asked of the events of several rules", filter()),
        "accessors": said("Which fields are texts that hold values, and how these are written", mapping_to(one_of(&NOTATIONS))),
        "generate": said("`true`: the rules that a correlation names give findings of their own too", boolean()),
        "rulectl": {
            "anyOf": [{"$ref": "#/$defs/rulectl"}, {"type": "null"}],
            "description": "What Sigma has no words for",
        },
    })
}

/// A document with one of the keys that say what it is, and without the others.
fn with_logic(logic: &str, beside: &[&str]) -> Value {
    const LOGICS: [&str; 4] = ["detection", "correlation", "filter", "accessors"];
    let required: Vec<&str> = beside.iter().copied().chain([logic]).collect();
    let others = LOGICS.into_iter().filter(|other| *other != logic);
    let others: Vec<Value> = others.map(|other| json!({"required": [other]})).collect();
    json!({"required": required, "not": {"anyOf": others}})
}

fn field() -> Value {
    json!({"$ref": "#/$defs/field"})
}

fn log_source() -> Value {
    let text = || json!({"type": "string"});
    json!({
        "type": "object",
        "properties": {"product": text(), "category": text(), "service": text(), "definition": {}},
    })
}

fn values(value: Value) -> Value {
    json!({"anyOf": [value, {"type": "array", "minItems": 1, "items": value}]})
}

/// The lines of a search: fields, with modifiers or without.
fn lines() -> Value {
    let of = |field: &str| match field {
        EVENT_TYPE => json!({"$ref": "#/$defs/event_types"}),
        _ => json!({"$ref": "#/$defs/values"}),
    };
    let known = fields().iter().map(|field| json!({*field: of(field)}));
    let names: Vec<&str> = modifier_names().collect();
    let modified = format!("^[^|]*(\\|({}))+$", names.join("|"));
    json!({
        "type": "object",
        "minProperties": 1,
        "properties": together(known),
        "patternProperties": together([
            json!({"^[^|]+$": {"$ref": "#/$defs/values"}, modified: {"$ref": "#/$defs/values"}}),
            of_modifiers(),
        ]),
        "additionalProperties": false,
        NAMES: "line",
    })
}

/// What the values of a line are beside that where its last modifiers say so.
fn of_modifiers() -> Value {
    let within =
        |least: u32, most: u32| json!({"type": "integer", "minimum": least, "maximum": most});
    let written = json!({"type": ["string", "number", "boolean"]});
    let kinds = [
        (r"\|exists$", boolean()),
        (r"\|[gl]te?$", json!({"type": "number"})),
        (r"\|minute$", within(0, 59)),
        (r"\|hour$", within(0, 23)),
        (r"\|day$", within(1, 31)),
        (r"\|week$", within(1, 53)),
        (r"\|month$", within(1, 12)),
        (
            r"\|(contains|startswith|endswith|re|cidr|windash|fieldref)(\||$)",
            written,
        ),
    ];
    let kinds = kinds.map(|(modifiers, value)| json!({modifiers: values(value)}));
    together(kinds)
}

fn search() -> Value {
    let keyword = json!({"type": ["string", "number", "boolean"]});
    let lines = json!({"$ref": "#/$defs/lines"});
    json!({"anyOf": [
        lines,
        {"type": "array", "minItems": 1, "items": {"anyOf": [lines, keyword]}},
        keyword,
    ]})
}

/// Searches, and a condition over them.
fn detection(other: Value) -> Value {
    let condition = json!({"type": "string", NAMES: "searches"});
    let condition = said(
        "Which searches must hold: names, `and`, `or`, `not`, brackets, `1 of`, `all of`",
        some(&condition),
    );
    json!({
        "type": "object",
        "required": ["condition"],
        "properties": together([json!({"condition": condition}), other]),
        "additionalProperties": {"$ref": "#/$defs/search"},
    })
}

fn filter() -> Value {
    let rules = said("The rules that it is for, or `any`", some(&named("rule")));
    let mut filter = detection(json!({"rules": rules}));
    if let Value::Object(filter) = &mut filter {
        filter.insert("required".to_owned(), json!(["rules", "condition"]));
    }
    filter
}

/// What `consecutive` asks of a pair: fields begin with `a.` or `b.`.
fn pair() -> Value {
    json!({
        "type": "object",
        "required": ["condition"],
        "properties": {"condition": some(&json!({"type": "string", NAMES: "searches"}))},
        "additionalProperties": {"type": ["object", "array"]},
    })
}

fn correlation() -> Value {
    let types: Vec<&str> = correlation_types().collect();
    let selection = closed(
        Table::SELECTION,
        &[],
        json!({
            "level": some(&one_of(&LEVELS)),
            "finding_type": some(&named("finding_type")),
            "tag": some(&text()),
        }),
    );
    let rules = json!({"anyOf": [
        named("rule"),
        {"type": "array", "minItems": 1, "items": named("rule")},
        selection,
    ]});
    let mut correlation = closed(
        Table::CORRELATION,
        &["type", "rules", "timespan"],
        json!({
            "type": {"type": "string", "enum": types, NAMES: "correlation_type"},
            "rules": rules,
            "group-by": list_or_nothing(field()),
            "timespan": together([span_of_time(), json!({"allOf": [{"pattern": "[1-9]"}]})]),
            "condition": {},
            "aliases": mapping_to(mapping_to(text())),
            "generate": boolean(),
        }),
    );
    let conditions = correlation_types().map(of_type);
    if let Value::Object(correlation) = &mut correlation {
        correlation.insert("allOf".to_owned(), conditions.collect());
    }
    correlation
}

/// What a type asks of `condition`.
fn of_type(name: &str) -> Value {
    let asked = match condition(name) {
        None => json!({"properties": {"condition": {"type": "null"}}}),
        Some(condition) if name == "temporal" => {
            json!({"properties": {"condition": {"anyOf": [condition, named("rules")]}}})
        }
        Some(condition) => {
            json!({"properties": {"condition": condition}, "required": ["condition"]})
        }
    };
    json!({
        "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
        "then": asked,
    })
}

fn condition(name: &str) -> Option<Value> {
    let some_field = || said("The field, or a list of them", some(&field()));
    let (required, own): (&[&str], Value) = match name {
        "temporal_ordered" | "absent" => return None,
        "value_count" => (&["field"], json!({"field": some_field()})),
        "value_sum" | "value_avg" | "value_median" => (&["field"], json!({"field": field()})),
        "value_percentile" => (
            &["field"],
            json!({"field": field(), "percentile": number(0.0, 100.0)}),
        ),
        "ratio" => (
            &[],
            json!({"at-least": said("The least number of events to divide by", count())}),
        ),
        "script" => (&["function"], json!({"function": named("function")})),
        "first_seen" => {
            let warm_up = said(
                "How long a group is known before a value of it can be new",
                span_of_time(),
            );
            let keys = json!({"field": some_field(), "warm-up": warm_up});
            return Some(closed(Table::NONE, &["field"], keys));
        }
        "consecutive" => return Some(of_pairs()),
        _ => (&[], json!({})),
    };
    let bound = match name {
        "event_count" | "value_count" => count(),
        _ => json!({"type": "number"}),
    };
    let bounds = bound_names().map(|name| json!({name: bound}));
    let mut condition = closed(Table::NONE, required, together(bounds.chain([own])));
    if let Value::Object(condition) = &mut condition {
        condition.insert("minProperties".to_owned(), 1.into());
    }
    Some(condition)
}

fn of_pairs() -> Value {
    let travel = closed(
        Table::NONE,
        &["latitude", "longitude"],
        json!({
            "latitude": field(),
            "longitude": field(),
            "faster_than_kmh": {"type": "number"},
            "at_least_km": {"type": "number"},
            "within": span_of_time(),
        }),
    );
    let country = closed(
        Table::NONE,
        &["country", "within"],
        json!({"country": field(), "within": span_of_time()}),
    );
    let mut pairs = closed(
        Table::NONE,
        &[],
        json!({
            "travel": said("Places that nobody can travel between in the time", travel),
            "without_coordinates": said("The same by country, where there are no coordinates", country),
            "pair": {"$ref": "#/$defs/pair", "description": "Searches over the two events: `a.FIELD` is of the earlier, `b.FIELD` of the later one"},
        }),
    );
    if let Value::Object(pairs) = &mut pairs {
        pairs.insert("minProperties".to_owned(), 1.into());
    }
    pairs
}

fn block() -> Value {
    let risk = closed(
        Table::NONE,
        &[],
        json!({
            "severity": one_of(&SEVERITIES),
            "likelihood": number(0.0, 1.0),
            "impact": number(0.0, 1.0),
        }),
    );
    let floor = closed(
        Table::NONE,
        &[],
        json!({"severity": one_of(&SEVERITIES), "score": number(0.0, 1.0)}),
    );
    let functions = closed(
        Table::NONE,
        &[],
        json!({
            "matches": said("The last thing that is asked of an event", named("function")),
            "group": said("What tells findings apart", named("function")),
            "finding": said("What a finding says", named("function")),
        }),
    );
    closed(
        Table::BLOCK,
        &[],
        json!({
            "finding_type": {"type": "string", "pattern": "^[A-Z][A-Z0-9_]*$", NAMES: "finding_type"},
            "summary": text(),
            "user": field(),
            "risk": risk,
            "floor": floor,
            "suppress": span_of_time(),
            "behaviour": text(),
            "metadata": list_of(field()),
            "group-by": list_or_nothing(field()),
            "script": {"anyOf": [named("function"), functions]},
            "tests": suites::cases(0),
        }),
    )
}
