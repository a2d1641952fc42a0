//! YAML: the keys of each document in their order.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::diag::Problems;
use crate::document::{Key, Kind, Node, parse_yaml_documents};
use crate::fmt::FileKind;
use crate::fmt::blocks::{Head, arranged, below_head};
use crate::fmt::lines::Lines;
use crate::fmt::order::{self, Order};

/// The lines in their order. A document stays as it is written where its keys do not stand on
/// lines of their own, and where another order would mean something else.
pub(super) fn arrange(lines: &Lines<'_>, documents: &[Node], kind: FileKind) -> Vec<usize> {
    let all = 0..lines.len();
    if lines.is_open() || all.clone().any(|at| is_special(lines, at)) {
        return all.collect();
    }
    let begun: BTreeMap<usize, &Node> = documents
        .iter()
        .filter_map(|document| Some((first_line(lines, document)?, document)))
        .collect();
    let parts = parts(lines).into_iter().flat_map(|part| {
        let document = begun
            .range(part.clone())
            .next()
            .map(|(_, document)| *document);
        let arranged = document.and_then(|document| {
            let order = order::of(kind, document)?;
            let arranged = mapping(lines, part.clone(), below_head, document, order)?;
            means_the_same(lines, &arranged, document, order).then_some(arranged)
        });
        arranged.unwrap_or_else(|| part.collect())
    });
    parts.collect()
}

/// A directive or the end of a document, which say how to read what stands around them.
fn is_special(lines: &Lines<'_>, at: usize) -> bool {
    let line = lines.whole(at);
    !lines.is_text(at) && (line.starts_with('%') || is_mark(line, "..."))
}

fn is_mark(line: &str, mark: &str) -> bool {
    let behind = line.strip_prefix(mark);
    behind.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// The lines of each document, and by themselves those that part them.
fn parts(lines: &Lines<'_>) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = 0;
    for at in (0..lines.len()).filter(|at| is_mark(lines.whole(*at), "---")) {
        parts.extend([start..at, at..at + 1]);
        start = at + 1;
    }
    parts.push(start..lines.len());
    parts
}

/// The line of the first key of a document.
fn first_line(lines: &Lines<'_>, document: &Node) -> Option<usize> {
    let Kind::Map(entries) = &document.kind else {
        return None;
    };
    let (key, _) = entries.first()?;
    let (line, _) = lines.place(key.span.start as usize)?;
    Some(line)
}

/// The lines of a mapping in the order of its keys; `None` where they do not stand on lines of
/// their own.
fn mapping(
    lines: &Lines<'_>,
    range: Range<usize>,
    first: fn(&Lines<'_>, usize, &[Head]) -> Range<usize>,
    node: &Node,
    order: &Order,
) -> Option<Vec<usize>> {
    let Kind::Map(entries) = &node.kind else {
        return None;
    };
    let heads = heads(lines, &range, entries, order)?;
    let first = first(lines, range.start, &heads);
    Some(arranged(lines, range, first, &heads, |number, inside| {
        let entry = entries.get(number);
        let below = entry.and_then(|(key, value)| {
            let order = order.below(&key.text)?;
            mapping(lines, inside.clone(), at_once, value, order)
        });
        below.unwrap_or_else(|| inside.collect())
    }))
}

/// What stands above the first key of a mapping inside of a document is about that key.
fn at_once(_: &Lines<'_>, start: usize, _: &[Head]) -> Range<usize> {
    start..start
}

/// The keys, where each begins a line and all stand as far left.
fn heads(
    lines: &Lines<'_>,
    range: &Range<usize>,
    entries: &[(Key, Node)],
    order: &Order,
) -> Option<Vec<Head>> {
    let places = order.places(entries.iter().map(|(key, _)| key.text.as_str()));
    let mut heads: Vec<Head> = Vec::new();
    for ((key, _), place) in entries.iter().zip(places) {
        let (line, column) = lines.place(key.span.start as usize)?;
        let before = lines.whole(line).get(..column)?;
        let above = heads.last();
        let is_next = above.is_none_or(|above| above.line < line && above.column == column);
        let is_first = before.bytes().all(|byte| byte == b' ');
        if !(range.contains(&line) && is_next && is_first) {
            return None;
        }
        heads.push(Head {
            line,
            column,
            place,
        });
    }
    Some(heads)
}

/// Whether a document is read as before: an alias must not come before its anchor.
fn means_the_same(lines: &Lines<'_>, arranged: &[usize], was: &Node, order: &Order) -> bool {
    let mut text = String::new();
    for at in arranged {
        let (line, _) = lines.trimmed(*at);
        text.extend([line, "\n"]);
    }
    let mut unheard = Problems::default();
    let file = unheard.add_file("", "");
    let documents = parse_yaml_documents(file, &text, &mut unheard);
    matches!(documents.as_slice(), [now] if order::same(was, now, Some(order)))
}
