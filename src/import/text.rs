//! The text of a rule of somebody else's with what the engine needs: Okta's names of its fields
//! and values, and whom a finding is about. Everything else stays, letter by letter.

use std::collections::BTreeMap;

use crate::diag::{Problems, Span};
use crate::document::{Key, Kind, Node, codes};
use crate::import::fields::{has_other_values, okta_name, okta_values};

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
    // From the last on, so that the places of the others hold.
    for document in documents.iter().rev() {
        if !needs_user(text, document) {
            continue;
        }
        let end = end(text, document);
        let above = text.get(..end).unwrap_or_default();
        let newline = if above.ends_with('\n') { "" } else { "\n" };
        result.insert_str(end, &format!("{newline}rulectl: {{user: actor.id}}\n"));
    }
    result
}

fn needs_user(text: &str, document: &Node) -> bool {
    let has = |name: &str| entries(document).iter().any(|(key, _)| key.text == name);
    let begin = begin(document);
    let is_block = begin == 0 || text.get(..begin).is_some_and(|above| above.ends_with('\n'));
    has("detection") && !has("rulectl") && is_block
}

/// Where a document ends: before the next `---` or `...` at the beginning of a line, which no text
/// inside of a document can have.
fn end(text: &str, document: &Node) -> usize {
    let begin = begin(document);
    let behind = text.get(begin..).unwrap_or_default();
    let mut lines = behind.split_inclusive('\n').scan(begin, |at, line| {
        let start = *at;
        *at += line.len();
        Some((start, line))
    });
    let is_mark = |line: &str| {
        let rest = line
            .strip_prefix("---")
            .or_else(|| line.strip_prefix("..."));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
    };
    lines
        .find(|(_, line)| is_mark(line))
        .map_or(text.len(), |(start, _)| start)
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
    for (_, search) in entries(searches).iter().filter(|one| is_search(one)) {
        in_search(text, search, found);
    }
}

/// Whether an entry of a detection or filter is a search.
fn is_search((key, _): &(Key, Node)) -> bool {
    !["condition", "timeframe", "rules"].contains(&key.text.as_str())
}

/// Reports lines of one search that would have one name, where others have two for a field: an
/// event has to satisfy both lines, which no single line says.
pub(super) fn clashes(documents: &[Node], problems: &mut Problems) {
    let mut todo: Vec<&Node> = Vec::new();
    for (key, searches) in documents.iter().flat_map(entries) {
        if ["detection", "filter"].contains(&key.text.as_str()) {
            let searches = entries(searches).iter();
            todo.extend(searches.filter(|one| is_search(one)).map(|(_, node)| node));
        }
    }
    while let Some(search) = todo.pop() {
        if let Kind::List(items) = &search.kind {
            todo.extend(items);
        }
        let mut lines: BTreeMap<String, &str> = BTreeMap::new();
        for (key, _) in entries(search) {
            let (field, modifiers) = key
                .text
                .split_at(key.text.find('|').unwrap_or(key.text.len()));
            let name = okta_name(field).map_or_else(|| field.to_owned(), |name| name.into_owned());
            let asks_for_values =
                !["exists", "fieldref"].contains(&modifiers.trim_start_matches('|'));
            if has_other_values(field)
                && asks_for_values
                && !translates(modifiers.trim_start_matches('|'))
            {
                let message = format!(
                    "`{}` compares the values of others, such as `failure`, which are `FAILURE` and `DENY` of Okta's: what is compared so cannot be translated; write the values themselves, without `{modifiers}`",
                    key.text
                );
                problems.error(codes::SYNTAX, key.span, message);
            }
            let Some(other) = lines.insert(format!("{name}{modifiers}"), field) else {
                continue;
            };
            let message = format!(
                "`{other}` and `{field}` are both `{name}` of Okta's, which one search names once: write one of the two lines as a search of its own, and ask for both in the condition"
            );
            problems.error(codes::SYNTAX, key.span, message);
        }
    }
}

/// Whether values that are compared so may be written as Okta's.
fn translates(modifiers: &str) -> bool {
    ["", "cased", "neq"].contains(&modifiers)
}

fn in_search(text: &str, search: &Node, found: &mut Vec<Renamed>) {
    match &search.kind {
        Kind::List(items) => items.iter().for_each(|item| in_search(text, item, found)),
        Kind::Map(lines) => {
            for (key, value) in lines {
                let (field, modifiers) = key.text.split_once('|').unwrap_or((&key.text, ""));
                rename(text, key.span, field, found);
                if translates(modifiers) {
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
