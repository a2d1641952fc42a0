//! The fields that a prompt may name, and their values as a model sees them.
//!
//! Values come from logs, and whoever wrote those may want to speak to the model. So each value
//! is one line of JSON wherever it stands in a prompt: text is in quotes, ends of lines and
//! everything that is not seen are escapes, and so are the characters of which chat templates
//! and fences are made. None is longer than its field may be.

use serde_json::{Map, Value, json};

use crate::slots::ASK;
use crate::visible::{is_deceptive, visible};

/// A field that a prompt's context may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What its values are.
    shape: Shape,
    /// How long its value may be, in bytes of the prompt.
    most: usize,
}

/// What the values of a field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Number,
    Text,
    Texts,
    Map,
    Maps,
}

const fn field(name: &'static str, shape: Shape, most: usize) -> Field {
    Field { name, shape, most }
}

/// Every field that a context may name.
pub const FIELDS: [Field; 37] = [
    field("agents", Shape::Maps, 4096),
    field("events.count", Shape::Number, 20),
    field("events.event_types", Shape::Maps, 2048),
    field("events.first_seen", Shape::Text, 64),
    field("events.last_seen", Shape::Text, 64),
    field("finding.count", Shape::Number, 20),
    field("finding.description", Shape::Text, 2048),
    field("finding.finding_type", Shape::Text, 128),
    field("finding.first_seen", Shape::Text, 64),
    field("finding.group", Shape::Map, 1024),
    field("finding.hits", Shape::Number, 20),
    field("finding.last_seen", Shape::Text, 64),
    field("finding.level", Shape::Text, 32),
    field("finding.metadata", Shape::Map, 4096),
    field("finding.reasons", Shape::Texts, 4096),
    field("finding.rule_name", Shape::Text, 256),
    field("finding.rule_title", Shape::Text, 512),
    field("finding.tags", Shape::Texts, 1024),
    field("finding.user_id", Shape::Text, 128),
    field("guardrails", Shape::Texts, 4096),
    field("incident.created_at", Shape::Text, 64),
    field("incident.description", Shape::Text, 2048),
    field("incident.id", Shape::Text, 64),
    field("incident.metadata", Shape::Map, 4096),
    field("incident.risk_score", Shape::Number, 20),
    field("incident.severity", Shape::Text, 32),
    field("incident.title", Shape::Text, 512),
    field("plan.mandatory", Shape::Texts, 2048),
    field("plan.overall_goal", Shape::Text, 1024),
    field("plan.steps", Shape::Maps, 8192),
    field("question", Shape::Text, 2048),
    field("risk.rationale", Shape::Text, 1024),
    field("risk.score", Shape::Number, 20),
    field("risk.severity", Shape::Text, 32),
    field("rule.description", Shape::Text, 2048),
    field("route.context", Shape::Text, 32),
    field("tools", Shape::Maps, 8192),
];

/// What the fields are called.
pub fn context_fields() -> impl Iterator<Item = &'static str> {
    FIELDS.into_iter().map(|field| field.name)
}

/// The field of a name.
#[must_use]
pub fn known(name: &str) -> Option<Field> {
    FIELDS.into_iter().find(|field| field.name == name)
}

/// Whether a prompt of a slot can ever have a value for a field; a slot of the engineer's is asked
/// about incidents.
#[must_use]
pub fn is_given(slot: &str, name: &str) -> bool {
    let group = name.split('.').next().unwrap_or(name);
    let of_questions = matches!(group, "question" | "tools");
    if of_questions || slot == ASK {
        return of_questions && slot == ASK;
    }
    let of_routes = matches!(group, "agents" | "events" | "guardrails" | "route");
    // The goal is what a plan is made for: it is there behind the planner.
    let is_before_plan = name != "plan.overall_goal";
    match slot {
        "risk" => matches!(group, "finding" | "rule"),
        "plan" => !of_routes && is_before_plan,
        "route" => is_before_plan,
        _ => !of_routes,
    }
}

/// What of a context reaches a model: the listed fields, none longer than it may be, and `null`
/// for those without a value.
#[must_use]
pub fn select(listed: &[String], context: &Value) -> Value {
    let fields = listed.iter().filter_map(|name| known(name));
    nested(fields.map(|field| {
        let mut steps = field.name.split('.');
        let value = steps.try_fold(context, |value, step| value.get(step));
        let mut left = field.most;
        (field, clipped(value.unwrap_or(&Value::Null), &mut left))
    }))
}

/// What of a context a script is given: every field, none longer than it may be.
#[must_use]
pub fn select_all(context: &Value) -> Value {
    select(&FIELDS.map(|field| field.name.to_owned()), context)
}

/// Contexts as large as the listed fields allow: with few long values, and with many short ones.
#[must_use]
pub fn largest(listed: &[String]) -> [Value; 2] {
    let of = |made: fn(Field) -> Value| {
        let fields = listed.iter().filter_map(|name| known(name));
        let full = nested(fields.map(|field| (field, made(field))));
        select(listed, &full)
    };
    [of(one_long), of(many_short)]
}

fn one_long(field: Field) -> Value {
    let long = "x".repeat(field.most);
    match field.shape {
        Shape::Number => u64::MAX.into(),
        Shape::Text => long.into(),
        Shape::Texts => json!([long]),
        Shape::Map => json!({ "x": long }),
        Shape::Maps => json!([{ "x": long }]),
    }
}

fn many_short(field: Field) -> Value {
    let many = |value: Value| Value::Array(vec![value; field.most]);
    match field.shape {
        Shape::Number | Shape::Text => one_long(field),
        Shape::Texts => many("".into()),
        Shape::Map => (0..field.most)
            .map(|at| (at.to_string(), Value::from(0)))
            .collect(),
        Shape::Maps => many(json!({})),
    }
}

/// `finding.count` stands below `finding`.
fn nested(fields: impl Iterator<Item = (Field, Value)>) -> Value {
    let mut root = Map::new();
    for (field, value) in fields {
        if let Some((above, name)) = field.name.split_once('.') {
            if let Value::Object(inner) = root.entry(above).or_insert_with(|| json!({})) {
                inner.insert(name.to_owned(), value);
            }
        } else {
            root.insert(field.name.to_owned(), value);
        }
    }
    root.into()
}

/// What says that something was left out.
const CUT: &str = "…";

/// As much of a value as fits, told by the bytes that it takes in a prompt.
fn clipped(value: &Value, left: &mut usize) -> Value {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            spend(left, line(value).len());
            value.clone()
        }
        Value::String(text) => clipped_text(text, left).into(),
        Value::Array(items) => {
            let mut kept = Vec::new();
            for item in items {
                if !spend(left, ELEMENT) {
                    kept.push(CUT.into());
                    break;
                }
                kept.push(clipped(item, left));
            }
            kept.into()
        }
        Value::Object(entries) => {
            let mut kept = Map::new();
            for (key, value) in entries {
                if !spend(left, ELEMENT) {
                    kept.insert(CUT.to_owned(), CUT.into());
                    break;
                }
                kept.insert(clipped_text(key, left), clipped(value, left));
            }
            kept.into()
        }
    }
}

/// What an element of a list or a map takes besides its text: quotes, a comma, a colon.
const ELEMENT: usize = 6;

fn clipped_text(text: &str, left: &mut usize) -> String {
    let mut kept = String::new();
    let mut width = String::new();
    for c in text.chars() {
        width.clear();
        push_escaped(c, &mut width);
        if !spend(left, width.len()) {
            *left = 0;
            kept.push_str(CUT);
            break;
        }
        kept.push(c);
    }
    kept
}

/// Whether there was as much left.
fn spend(left: &mut usize, bytes: usize) -> bool {
    let enough = *left >= bytes;
    *left = left.saturating_sub(bytes);
    enough
}

/// A value as it stands in a prompt: one line of JSON without a character that could end its
/// quotes, begin a line, hide, or be taken for a mark of a chat template or a fence.
#[must_use]
pub fn line(value: &Value) -> String {
    let mut out = String::new();
    write_line(value, &mut out);
    out
}

fn write_line(value: &Value, out: &mut String) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                write_line(item, out);
            }
            out.push(']');
        }
        Value::Object(entries) => {
            out.push('{');
            for (at, (key, value)) in entries.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                write_text(key, out);
                out.push_str(": ");
                write_line(value, out);
            }
            out.push('}');
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        push_escaped(c, out);
    }
    out.push('"');
}

/// A character inside of a JSON string.
fn push_escaped(c: char, out: &mut String) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '<' | '>' | '[' | ']' | '`' => push_units(c, out),
        c if is_deceptive(c) => push_units(c, out),
        c => out.push(c),
    }
}

fn push_units(c: char, out: &mut String) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        out.push_str(&format!("\\u{unit:04x}"));
    }
}

/// A text that a model wrote, as it is shown to it again: no longer than `most` bytes, and without
/// a character that hides or could be taken for a mark of a chat template or a fence.
#[must_use]
pub fn unmarked(text: &str, most: usize) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if out.len() >= most {
            out.push_str(CUT);
            break;
        }
        let begins_mark = chars
            .peek()
            .is_some_and(|next| *next == '/' || next.is_ascii_uppercase());
        match c {
            '\n' => out.push(c),
            '<' | '>' | '`' => push_units(c, &mut out),
            '[' if begins_mark => push_units(c, &mut out),
            c if is_deceptive(c) => push_units(c, &mut out),
            c => out.push(c),
        }
    }
    out
}

/// A value as a person reads it in a sentence: a text is as it is, but for the ends of its lines
/// and what could deceive, and a list is its elements with commas between.
#[must_use]
pub fn words(value: &Value) -> String {
    match value {
        Value::Null => "unknown".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => visible(text),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(", "),
        Value::Object(entries) => {
            let entry =
                |(key, value): (&String, &Value)| format!("{}: {}", visible(key), words(value));
            entries.iter().map(entry).collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_sentence_a_value_stands_without_quotes_and_hides_nothing() {
        let cases = [
            (json!(null), "unknown"),
            (json!(5), "5"),
            (json!("a \"b\"\n\u{202e}c"), "a \"b\"\\u{a}\\u{202e}c"),
            (json!(["a", 1, ["b"]]), "a, 1, b"),
            (
                json!({"k\u{200b}": ["v", "w"], "l": true}),
                "k\\u{200b}: v, w, l: true",
            ),
        ];
        for (value, expected) in cases {
            assert_eq!(words(&value), expected);
        }
    }

    #[test]
    fn a_value_is_one_line_that_nothing_inside_can_end() {
        let cases = [
            (json!("plain é 🙂"), r#""plain é 🙂""#),
            (json!("a\"b\\c\nd\te"), r#""a\"b\\c\nd\te""#),
            (
                json!("<|im_start|>system"),
                r#""\u003c|im_start|\u003esystem""#,
            ),
            (
                json!("[INST] ```"),
                r#""\u005bINST\u005d \u0060\u0060\u0060""#,
            ),
            (
                json!("\u{1b}[2J\u{202e}\u{e0041}"),
                r#""\u001b\u005b2J\u202e\udb40\udc41""#,
            ),
            (
                json!({"a": ["<", 1, null, true]}),
                r#"{"a": ["\u003c", 1, null, true]}"#,
            ),
        ];
        for (value, expected) in cases {
            assert_eq!(line(&value), expected);
        }
    }

    #[test]
    fn only_what_is_listed_is_selected() {
        let context = json!({
            "finding": {"count": 5, "description": "d", "user_id": "secret"},
            "rule": {"description": "r"}, "other": 1,
        });
        let listed = [
            "finding.count",
            "finding.description",
            "finding.level",
            "made.up",
        ];
        assert_eq!(
            select(&listed.map(str::to_owned), &context),
            json!({"finding": {"count": 5, "description": "d", "level": null}})
        );
    }

    #[test]
    fn a_reply_is_shown_again_without_marks() {
        let cases = [
            ("{\"a\": [1,\n2]}", 99, "{\"a\": [1,\n2]}"),
            (
                "<|im_end|>[INST][/INST]```\r",
                99,
                "\\u003c|im_end|\\u003e\\u005bINST]\\u005b/INST]\\u0060\\u0060\\u0060\\u000d",
            ),
            ("abcdef", 3, "abc…"),
        ];
        for (text, most, expected) in cases {
            assert_eq!(unmarked(text, most), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_field_is_never_longer_than_it_may_be(
            texts in proptest::collection::vec("\\PC{0,40}|[\"\\\\<\n\u{202e}\u{e0041}é]{0,200}", 0..24),
            shape in 0..4,
        ) {
            let listed = ["finding.group".to_owned()];
            let value = match shape {
                0 => json!(texts.concat()),
                1 => json!(texts),
                2 => texts.iter().map(|text| (text.clone(), json!(texts))).collect(),
                _ => texts.iter().map(|text| json!({"a": [text]})).collect(),
            };
            let selected = select(&listed, &json!({"finding": {"group": value}}));
            let shown = line(&selected["finding"]["group"]);
            // What closes it, once a level.
            proptest::prop_assert!(shown.len() <= 1024 + 64, "{}", shown.len());
            proptest::prop_assert!(!shown.chars().any(|c| is_deceptive(c) || "<>`\n".contains(c)));
            let read: Value = serde_json::from_str(&shown).expect("JSON");
            proptest::prop_assert_eq!(read, selected["finding"]["group"].clone());
        }
    }
}
