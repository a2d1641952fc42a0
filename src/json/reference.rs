//! What a path reaches in the tree of a record, said as plainly as possible: for tests.

use serde_json::Value;

/// Every value that a path reaches: an array stands for its elements.
pub fn values<'v, 'p>(path: impl Iterator<Item = &'p str>, event: &'v Value) -> Vec<&'v Value> {
    let steps: Vec<&str> = path.collect();
    let mut found = Vec::new();
    walk(event, &steps, &mut found);
    found
}

fn walk<'v>(value: &'v Value, steps: &[&str], found: &mut Vec<&'v Value>) {
    match (value, steps) {
        (Value::Array(items), _) => items.iter().for_each(|item| walk(item, steps, found)),
        (_, []) => found.push(value),
        (Value::Object(map), [step, rest @ ..]) => {
            if let Some(inner) = map.get(*step) {
                walk(inner, rest, found);
            }
        }
        _ => {}
    }
}

/// Whether the key at the end of a path is there, whatever its value.
pub fn exists<'p>(path: impl Iterator<Item = &'p str>, event: &Value) -> bool {
    let steps: Vec<&str> = path.collect();
    has_key(event, &steps)
}

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

/// The text of a scalar; null, objects and arrays have none.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(bool) => Some(bool.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Object(_) | Value::Array(_) => None,
    }
}

/// The texts of the values that a path reaches, `-` for what has none.
pub fn shown<'p>(path: impl Iterator<Item = &'p str>, event: &Value) -> Vec<String> {
    let values = values(path, event).into_iter();
    values
        .map(|value| text(value).unwrap_or("-".to_owned()))
        .collect()
}
