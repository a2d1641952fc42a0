//! JSON read as plainly as possible, to compare with.

use rulectl::json::{Fields, Scalar, Slot};
use serde_json::Value;

/// The tree of a text; half of a surrogate pair, which the parser refuses, is U+FFFD.
pub fn parse(text: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(text).ok()?;
    serde_json::from_str(text)
        .or_else(|_| serde_json::from_str(&without_halves(text)))
        .ok()
}

/// The text with `\ufffd` for each escape of a half of a surrogate pair.
fn without_halves(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        out.push(c);
        if c != '\\' {
            continue;
        }
        let (high, low) = (unit(rest.as_str(), "u"), |at| {
            unit(rest.as_str().get(at..)?, "\\u")
        });
        let length = match (high, low(5)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 11,
            (Some(0xd800..=0xdfff), _) => {
                out.push_str("ufffd");
                rest.nth(4);
                continue;
            }
            _ => 1,
        };
        out.extend(rest.by_ref().take(length));
    }
    out
}

/// The four hexadecimal digits behind a mark.
fn unit(text: &str, mark: &str) -> Option<u16> {
    let digits = text.strip_prefix(mark)?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

/// A value that a path leads to.
struct Reached<'v> {
    value: &'v Value,
    /// Whether it stands in an array.
    is_element: bool,
}

/// Every value that a path leads to: an array stands for its elements.
fn reached<'v>(value: &'v Value, steps: &[&str], is_element: bool, found: &mut Vec<Reached<'v>>) {
    match (value, steps) {
        (Value::Array(items), _) => {
            for item in items {
                reached(item, steps, true, found);
            }
        }
        (_, []) => found.push(Reached { value, is_element }),
        (Value::Object(map), [step, rest @ ..]) => {
            if let Some(inner) = map.get(*step) {
                reached(inner, rest, false, found);
            }
        }
        _ => {}
    }
}

/// Whether a path leads to a key, whatever its value.
fn has_key(value: &Value, steps: &[&str]) -> bool {
    match (value, steps) {
        (_, []) => true,
        (Value::Array(items), _) => items.iter().any(|item| has_key(item, steps)),
        (Value::Object(map), [step, rest @ ..]) => {
            map.get(*step).is_some_and(|inner| has_key(inner, rest))
        }
        _ => false,
    }
}

/// How deep arrays and objects are nested.
pub fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Every scalar, as text.
pub fn scalars(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| scalars(item, found)),
        Value::Object(map) => map.values().for_each(|item| scalars(item, found)),
        scalar => found.push(shown(scalar)),
    }
}

/// A value with what it is; the inside of an object is not looked at.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(is) => format!("literal {is}"),
        Value::Number(number) => format!("literal {number}"),
        Value::String(text) => format!("text {text}"),
        Value::Array(_) | Value::Object(_) => "object".to_owned(),
    }
}

/// The same of a value as the reader has it.
pub fn read(value: Scalar<'_>) -> String {
    match value.shown() {
        Some(text) if value.is_str() => format!("text {text}"),
        Some(text) => format!("literal {text}"),
        None if value.is_null() => "null".to_owned(),
        None => "object".to_owned(),
    }
}

/// A field has the values that a plain walk of the tree finds.
pub fn same_field(path: &str, slot: Slot, fields: &Fields<'_>, tree: &Value) {
    let steps: Vec<&str> = path.split('.').collect();
    let mut expected = Vec::new();
    reached(tree, &steps, false, &mut expected);
    let own = expected.first().filter(|first| !first.is_element);
    let own = own.map(|reached| shown(reached.value));
    let expected: Vec<String> = expected
        .iter()
        .map(|reached| shown(reached.value))
        .collect();
    let found: Vec<String> = fields.values(slot).map(read).collect();
    assert_eq!(found, expected, "values of {path:?} in {tree}");
    assert_eq!(
        fields.first(slot).map(read),
        expected.first().cloned(),
        "first of {path:?} in {tree}"
    );
    assert_eq!(fields.own(slot).map(read), own, "own {path:?} in {tree}");
    assert_eq!(
        fields.exists(slot),
        has_key(tree, &steps),
        "whether {path:?} exists in {tree}"
    );
}
