//! What a path reaches in the tree of a record, said as plainly as possible: for tests.

use serde_json::{Map, Value};

use super::Notation;
use super::surrogates::repaired;

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

/// A field whose texts hold values, and how they are written.
pub type Accessor = (&'static str, Notation);

/// The event with the texts opened through which a path leads, the outermost first: a
/// copy that is good for this path and no other, since the texts themselves are gone.
pub fn opened<'p>(
    path: impl Iterator<Item = &'p str>,
    event: &Value,
    accessors: &[Accessor],
) -> Value {
    let steps: Vec<&str> = path.collect();
    let mut event = event.clone();
    for length in 1..steps.len() {
        let prefix = steps[..length].join(".");
        if let Some((_, notation)) = accessors.iter().find(|(path, _)| *path == prefix) {
            open(&mut event, &steps[..length], *notation);
        }
    }
    event
}

fn open(value: &mut Value, steps: &[&str], notation: Notation) {
    match (value, steps) {
        (Value::Array(items), _) => items
            .iter_mut()
            .for_each(|item| open(item, steps, notation)),
        (Value::Object(map), [step, rest @ ..]) => {
            if let Some(inner) = map.get_mut(*step) {
                open(inner, rest, notation);
            }
        }
        (value @ Value::String(_), []) => {
            let text = value.as_str().unwrap_or_default();
            *value = if text.len() > 64 << 10 {
                Value::Null
            } else {
                match notation {
                    Notation::Json => json(text),
                    Notation::Map => java(text),
                }
            };
        }
        _ => {}
    }
}

fn json(text: &str) -> Value {
    let parse = |text: &str| serde_json::from_str(text).ok();
    let tree = parse(text).or_else(|| parse(&repaired(text)?));
    tree.unwrap_or_default()
}

/// A map or list as Java writes it; where brackets do not close or go too deep, those
/// inside of it are letters.
fn java(text: &str) -> Value {
    let mut open = Vec::new();
    for c in text.chars() {
        match c {
            '{' => open.push('}'),
            '[' => open.push(']'),
            '}' | ']' if open.pop() != Some(c) => return flat_java(text),
            _ => {}
        }
        if open.len() > 32 {
            return flat_java(text);
        }
    }
    if open.is_empty() {
        java_value(text)
    } else {
        flat_java(text)
    }
}

/// A map, or a list of maps, whose values are texts, brackets and all; null if it is neither.
fn flat_java(text: &str) -> Value {
    let begins_with_key = |text: &str| text.split(", ").next().and_then(member).is_some();
    let inside = |text: &str| {
        let (inside, _) = text.trim_matches(' ').strip_prefix('{')?.rsplit_once('}')?;
        Some(inside.trim_start_matches(' ').to_owned())
    };
    let Some(items) = text.trim_matches(' ').strip_prefix('[') else {
        return inside(text).map_or(Value::Null, |inside| flat_map(&inside));
    };
    let mut maps: Vec<String> = Vec::new();
    for chunk in inside(items).unwrap_or_default().split("}, {") {
        match maps.last_mut() {
            Some(last) if !begins_with_key(chunk) => *last += &format!("}}, {{{chunk}"),
            _ => maps.push(chunk.to_owned()),
        }
    }
    maps.iter().map(|map| flat_map(map)).collect()
}

fn flat_map(text: &str) -> Value {
    let mut values: Vec<(String, String)> = Vec::new();
    for piece in text.split(", ") {
        match (member(piece), values.last_mut()) {
            (Some(member), _) => values.push(member),
            (None, Some((_, value))) => *value += &format!(", {piece}"),
            (None, None) => return Value::Null,
        }
    }
    let mut map = Map::new();
    for (key, value) in values {
        let all = map.entry(key).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(all) = all {
            all.push(value.trim_matches(' ').into());
        }
    }
    Value::Object(map)
}

fn java_value(text: &str) -> Value {
    let text = text.trim_matches(' ');
    let inside = |open: char, close: char| {
        let inside = text.strip_prefix(open)?.strip_suffix(close)?;
        // `{a}{b}` is nothing that is inside of one pair.
        let mut depth = 0;
        let closes = inside.chars().any(|c| {
            depth += i32::from("{[".contains(c)) - i32::from("}]".contains(c));
            depth < 0
        });
        (!closes).then_some(inside.trim_start_matches(' '))
    };
    if let Some(inside) = inside('[', ']') {
        let items = split(inside);
        return items.iter().map(|item| java_value(item)).collect();
    }
    let members = inside('{', '}').and_then(|inside| {
        let mut members: Vec<(String, String)> = Vec::new();
        for part in split(inside) {
            match (member(&part), members.last_mut()) {
                (Some(member), _) => members.push(member),
                (None, Some((_, value))) => *value += &format!(", {part}"),
                (None, None) => return None,
            }
        }
        Some(members)
    });
    let Some(members) = members else {
        return text.into();
    };
    let mut map = Map::new();
    for (key, value) in members {
        let values = map.entry(key).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(values) = values {
            values.push(java_value(&value));
        }
    }
    Value::Object(map)
}

/// The texts between `, ` outside of brackets.
fn split(text: &str) -> Vec<String> {
    let mut depth = 0;
    let mut parts: Vec<String> = Vec::new();
    let mut part = String::new();
    for c in text.chars() {
        depth += i32::from("{[".contains(c)) - i32::from("}]".contains(c));
        part.push(c);
        if depth == 0 && part.ends_with(", ") {
            part.truncate(part.len() - 2);
            parts.push(std::mem::take(&mut part));
        }
    }
    if !text.is_empty() {
        parts.push(part);
    }
    parts
}

fn member(part: &str) -> Option<(String, String)> {
    let (key, value) = part.split_once('=')?;
    let is_key =
        !key.is_empty() && key.trim_matches(' ') == key && !key.contains(['{', '}', '[', ']']);
    is_key.then(|| (key.to_owned(), value.to_owned()))
}
