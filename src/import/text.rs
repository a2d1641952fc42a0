//! The text of a rule of somebody else's with what the engine needs: Okta's names of its fields
//! and values, and whom a finding is about. Everything else stays, letter by letter.

use crate::diag::Span;
use crate::document::{Key, Kind, Node};
use crate::import::fields::{okta_name, okta_values};

/// A field that gets Okta's name, or a value of it that gets Okta's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// What it was called.
    pub from: String,
    /// What Okta calls it.
    pub to: String,
    /// Whether it is a field.
    pub is_field: bool,
    start: usize,
}

/// The fields and values of documents that others call differently, in the order of their places.
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
        let own = result.get(begin(document)..next.unwrap_or(result.len()));
        // No line of a document begins so but its last.
        let marks = ["\n---", "\n..."].map(|mark| own.and_then(|own| own.find(mark)));
        let mark = marks.into_iter().flatten().min();
        let end = match (mark, next) {
            (Some(mark), _) => Some(begin(document) + mark + 1),
            (None, None) => Some(result.len()),
            (None, Some(_)) => None,
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
    let above = text.get(..begin).unwrap_or_default();
    let is_block = above.trim_start_matches('\u{feff}').is_empty() || above.ends_with('\n');
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
                if modifiers.is_empty() || modifiers == "cased" {
                    values(text, (field, key.span), value, found);
                }
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
    let written = written(text, span);
    let quote = usize::from(written.starts_with(['\'', '"']));
    let is_there = written
        .get(quote..)
        .is_some_and(|written| written.starts_with(field));
    if is_there {
        found.push(Renamed {
            from: field.to_owned(),
            to: to.into_owned(),
            is_field: true,
            start: span.start as usize + quote,
        });
    }
}

/// Notes the values of a field that stand for several of Okta's. Those with an anchor stay, since
/// other fields may have them too.
fn values(text: &str, key: (&str, Span), value: &Node, found: &mut Vec<Renamed>) {
    let of = |node: &Node| match &node.kind {
        Kind::Text(value) if is_simple(text, node.span, value) => {
            okta_values(key.0, value).map(|values| values.join(", "))
        }
        _ => None,
    };
    let between = |from: usize, to: usize| text.get(from..to).unwrap_or("&").trim();
    match &value.kind {
        Kind::List(items) if !items.iter().any(|item| of(item).is_some()) => {}
        Kind::List(items) if written(text, value.span).starts_with('[') => {
            let known = items.iter().filter_map(|item| Some((item.span, of(item)?)));
            found.extend(known.map(|(span, to)| replaced(text, span, to)));
        }
        Kind::List(items) => found.extend(in_brackets(text, items, of).unwrap_or_default()),
        _ => {
            let is_its = between(key.1.end as usize, value.span.start as usize);
            let is_its = is_its.trim_start_matches(['\'', '"']).trim_start() == ":";
            let values = of(value).filter(|_| is_its);
            found.extend(values.map(|values| replaced(text, value.span, format!("[{values}]"))));
        }
    }
}

/// A list with dashes in brackets, which keeps its lines: an item with two values would take two.
fn in_brackets(
    text: &str,
    items: &[Node],
    of: impl Fn(&Node) -> Option<String>,
) -> Option<Vec<Renamed>> {
    let item = |(at, item): (usize, &Node)| {
        let start = item.span.start as usize;
        let dash = text.get(..start)?.rfind('-')?;
        let blanks = text.get(dash + 1..start)?;
        let bracket = if at == 0 { '[' } else { ' ' };
        let end = if at + 1 == items.len() { ']' } else { ',' };
        let to = of(item).unwrap_or_else(|| written(text, item.span).to_owned());
        // In brackets these would part it.
        let is_whole = of(item).is_some()
            || to.starts_with(['"', '\''])
            || !to.contains([',', '[', ']', '{', '}', '#']);
        let span = Span {
            start: u32::try_from(dash).ok()?,
            ..item.span
        };
        let is_blank = !blanks.is_empty() && blanks.trim_matches(' ').is_empty();
        (is_blank && is_whole).then(|| replaced(text, span, format!("{blanks}{bracket}{to}{end}")))
    };
    items.iter().enumerate().map(item).collect()
}

fn replaced(text: &str, span: Span, to: String) -> Renamed {
    Renamed {
        from: written(text, span).to_owned(),
        to,
        is_field: false,
        start: span.start as usize,
    }
}

/// Whether a value is written as it is read, in quotes or without.
fn is_simple(text: &str, span: Span, value: &str) -> bool {
    let written = written(text, span);
    let quoted = |quote: char| written.strip_prefix(quote)?.strip_suffix(quote);
    written == value || quoted('\'').or_else(|| quoted('"')) == Some(value)
}

/// What a span says.
fn written(text: &str, span: Span) -> &str {
    let range = span.start as usize..span.end as usize;
    text.get(range).unwrap_or_default()
}
