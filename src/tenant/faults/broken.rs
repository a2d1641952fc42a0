//! Faults that break an answer that was right.

use serde_json::{Map, Value, json};

use super::{FaultKind, Hostile, Struck};
use crate::tenant::wire::Answer;

/// Breaks the answer; whether it did. `turn` is how often this fault struck before.
pub fn breaks(kind: FaultKind, turn: u64, struck: &Struck<'_>, answer: &mut Answer) -> bool {
    if answer.status != 200 {
        return false;
    }
    match kind {
        FaultKind::HostileNext(kind) => hostile_next(
            kind.unwrap_or_else(|| Hostile::in_turn(turn)),
            turn,
            struck,
            answer,
        ),
        FaultKind::DuplicateLink => duplicate_link(answer),
        FaultKind::CommaLinks => comma_links(answer),
        FaultKind::ShapeDrift => drift(turn, answer),
        FaultKind::MalformedJson => malformed(turn, answer),
        FaultKind::WrongContentType => {
            answer.set("content-type", "text/html;charset=UTF-8");
            true
        }
        _ => false,
    }
}

fn is_next(name: &str, value: &str) -> bool {
    name == "link" && value.contains("rel=\"next\"")
}

/// Only lists have a next link, and every list gets one.
fn hostile_next(kind: Hostile, turn: u64, struck: &Struck<'_>, answer: &mut Answer) -> bool {
    if answer.body.first() != Some(&b'[') {
        return false;
    }
    let ask = struck.ask;
    if kind == Hostile::EndlessEmpty {
        answer.body = b"[]".to_vec();
    }
    let held = answer
        .headers
        .iter()
        .find(|(name, value)| is_next(name, value));
    let target = held
        .and_then(|(_, value)| value.split(['<', '>']).nth(1))
        .and_then(|url| url.strip_prefix(struck.origin))
        .filter(|_| !matches!(kind, Hostile::Loop | Hostile::EndlessEmpty))
        .map(str::to_owned);
    let (path, query) = match &target {
        Some(target) => target.split_once('?').unwrap_or((target, "")),
        None => (ask.path.as_str(), ask.query.as_str()),
    };
    let address = kind.address(struck.origin, path, query, turn);
    answer.headers.retain(|(name, value)| !is_next(name, value));
    let link = format!("<{address}>; rel=\"next\"");
    answer.headers.push(("link".to_owned(), link));
    true
}

fn duplicate_link(answer: &mut Answer) -> bool {
    let next = answer
        .headers
        .iter()
        .find(|(name, value)| is_next(name, value));
    let next = next.cloned();
    let found = next.is_some();
    answer.headers.extend(next);
    found
}

fn comma_links(answer: &mut Answer) -> bool {
    let links = answer.headers.iter().filter(|(name, _)| name == "link");
    let links: Vec<&str> = links.map(|(_, value)| value.as_str()).collect();
    if links.is_empty() {
        return false;
    }
    let joined = links.join(", ");
    answer.set("link", &joined);
    true
}

fn malformed(turn: u64, answer: &mut Answer) -> bool {
    if turn.is_multiple_of(2) {
        let length = answer.body.len();
        answer.body.truncate(length - length.min(1).max(length / 3));
    } else {
        let page = "<!DOCTYPE html><html><head><title>Sign In</title></head><body></body></html>";
        answer.body = page.as_bytes().to_vec();
        answer.set("content-type", "text/html");
    }
    true
}

/// Bodies that are JSON and not what was promised.
fn drift(turn: u64, answer: &mut Answer) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else {
        return false;
    };
    let drifted = match (turn % 4, body) {
        (3, body) => json!({ "value": body, "count": 1 }),
        (which, Value::Array(items)) => {
            let items = items.into_iter().map(|item| drifted(which, item));
            Value::Array(items.collect())
        }
        (which, body) => drifted(which, body),
    };
    answer.body = drifted.to_string().into_bytes();
    true
}

fn drifted(which: u64, item: Value) -> Value {
    let Value::Object(map) = item else {
        return item;
    };
    let mut out = Map::new();
    for (place, (key, value)) in map.into_iter().enumerate() {
        match which {
            // every text becomes an object
            0 if value.is_string() => out.insert(key, json!({ "value": value })),
            // every other value is null
            1 if place % 2 == 0 => out.insert(key, Value::Null),
            // every third key is missing
            2 if place % 3 == 0 => None,
            _ => out.insert(key, value),
        };
    }
    if which == 2 {
        out.insert(
            "newInThisRelease".to_owned(),
            json!({ "nested": [1, null, "x"] }),
        );
    }
    Value::Object(out)
}
