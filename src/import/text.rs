//! The text of a rule of somebody else's with what the engine needs: Okta's names of its fields,
//! and whom a finding is about. Everything else stays, letter by letter.

use crate::diag::Span;
use crate::document::{Key, Kind, Node};
use crate::import::fields::okta_name;

/// A field that gets Okta's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// What it was called.
    pub from: String,
    /// What Okta calls it.
    pub to: String,
    start: usize,
}

/// The fields of documents that others call differently, in the order of their places.
pub(super) fn renamed(text: &str, documents: &[Node]) -> Vec<Renamed> {
    let mut found = Vec::new();
    for document in documents {
        for (key, value) in entries(document) {
            match key.text.as_str() {
                "detection" | "filter" => in_searches(text, value, &mut found),
                "correlation" => in_correlation(text, value, &mut found),
                "fields" => names(text, value, &mut found),
                _ => {}
            }
        }
    }
    found.sort_by_key(|renamed| renamed.start);
    // An alias stands where its anchor does.
    found.dedup();
    found
}

/// A text with Okta's names; every line stays where it is.
pub(super) fn with_names(text: &str, renamed: &[Renamed]) -> String {
    let mut result = String::new();
    let mut from = 0;
    for one in renamed {
        result.push_str(text.get(from..one.start).unwrap_or_default());
        result.push_str(&one.to);
        from = one.start + one.from.len();
    }
    result.push_str(text.get(from..).unwrap_or_default());
    result
}

/// A text whose detections say whom their findings are about, so that commands can name them: the
/// account that acts. One that says so itself, or is written in braces, stays.
pub(super) fn with_users(text: &str, documents: &[Node]) -> String {
    let mut result = text.to_owned();
    for (at, document) in documents.iter().enumerate().rev() {
        let next = documents.get(at + 1).map(begin);
        let end = match next {
            None => Some(result.len()),
            Some(next) => result
                .get(..next)
                .and_then(|before| before.rfind("\n---"))
                .map(|at| at + 1),
        };
        if let Some(end) = end.filter(|_| needs_user(&result, document)) {
            let above = result.get(..end).unwrap_or_default();
            let newline = if above.ends_with('\n') { "" } else { "\n" };
            result.insert_str(end, &format!("{newline}rulectl: {{user: actor.id}}\n"));
        }
    }
    result
}

fn needs_user(text: &str, document: &Node) -> bool {
    let has = |name: &str| entries(document).iter().any(|(key, _)| key.text == name);
    let begin = begin(document);
    let is_block = begin == 0 || text.get(..begin).is_some_and(|above| above.ends_with('\n'));
    has("detection") && !has("rulectl") && is_block
}

/// Where the first key of a document stands.
fn begin(document: &Node) -> usize {
    let first = entries(document).first();
    first.map_or(document.span.start, |(key, _)| key.span.start) as usize
}

fn entries(node: &Node) -> &[(Key, Node)] {
    match &node.kind {
        Kind::Map(entries) => entries,
        _ => &[],
    }
}

/// The keys of searches, and the values of those that name a field.
fn in_searches(text: &str, searches: &Node, found: &mut Vec<Renamed>) {
    let is_search =
        |(key, _): &&(Key, Node)| !["condition", "timeframe", "rules"].contains(&key.text.as_str());
    for (_, search) in entries(searches).iter().filter(is_search) {
        in_search(text, search, found);
    }
}

fn in_search(text: &str, search: &Node, found: &mut Vec<Renamed>) {
    match &search.kind {
        Kind::List(items) => items.iter().for_each(|item| in_search(text, item, found)),
        Kind::Map(lines) => {
            for (key, value) in lines {
                let (field, modifiers) = key.text.split_once('|').unwrap_or((&key.text, ""));
                rename(text, key.span, field, found);
                if modifiers.split('|').any(|modifier| modifier == "fieldref") {
                    names(text, value, found);
                }
            }
        }
        _ => {}
    }
}

fn in_correlation(text: &str, correlation: &Node, found: &mut Vec<Renamed>) {
    for (key, value) in entries(correlation) {
        match key.text.as_str() {
            "group-by" => names(text, value, found),
            "condition" => entries(value)
                .iter()
                .filter(|(key, _)| key.text == "field")
                .for_each(|(_, field)| names(text, field, found)),
            "aliases" => entries(value)
                .iter()
                .flat_map(|(_, alias)| entries(alias))
                .for_each(|(_, field)| names(text, field, found)),
            _ => {}
        }
    }
}

/// The names of fields that a value has.
fn names(text: &str, value: &Node, found: &mut Vec<Renamed>) {
    match &value.kind {
        Kind::Text(name) => rename(text, value.span, name, found),
        Kind::List(items) => items.iter().for_each(|item| names(text, item, found)),
        _ => {}
    }
}

/// Notes a field that is written as it is read, in quotes or without.
fn rename(text: &str, span: Span, field: &str, found: &mut Vec<Renamed>) {
    let Some(to) = okta_name(field) else { return };
    let start = span.start as usize;
    let written = text.get(start..).unwrap_or_default();
    let quote = usize::from(written.starts_with(['\'', '"']));
    let is_there = written
        .get(quote..)
        .is_some_and(|written| written.starts_with(field));
    if is_there {
        found.push(Renamed {
            from: field.to_owned(),
            to: to.into_owned(),
            start: start + quote,
        });
    }
}
