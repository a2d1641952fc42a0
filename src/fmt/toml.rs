//! TOML: the tables of a file in their order, and the keys of each.

use std::ops::Range;

use crate::document::Node;
use crate::fmt::FileKind;
use crate::fmt::blocks::{Head, arranged, below_head};
use crate::fmt::lines::Lines;
use crate::fmt::order::{self, Order};

/// The lines in their order.
pub(super) fn arrange(lines: &Lines<'_>, root: &Node, kind: FileKind) -> Vec<usize> {
    let all = 0..lines.len();
    let Some(order) = order::of(kind, root) else {
        return all.collect();
    };
    let begun = begun(lines);
    let headers: Vec<(usize, Vec<&str>)> = begun
        .iter()
        .filter_map(|at| Some((*at, header(lines.whole(*at))?)))
        .collect();
    let names = headers.iter().map(|(_, path)| path.first().copied());
    let places = order.places(names.map(Option::unwrap_or_default));
    let heads: Vec<Head> = headers
        .iter()
        .zip(places)
        .map(|((line, _), place)| head(lines, *line, place))
        .collect();
    // Keys above the first table belong to none, and stay above.
    let first = below_head(lines, 0, &heads);
    arranged(lines, all, first, &heads, |number, inside| {
        let path = headers.get(number).map(|(_, path)| path.as_slice());
        match path.and_then(|path| below(order, path)) {
            Some(order) => table(lines, &begun, inside, order),
            None => inside.collect(),
        }
    })
}

fn head(lines: &Lines<'_>, line: usize, place: usize) -> Head {
    let text = lines.whole(line);
    Head {
        line,
        column: text.len() - text.trim_start_matches([' ', '\t']).len(),
        place,
    }
}

/// The lines of the keys of a table in their order.
fn table(lines: &Lines<'_>, begun: &[usize], range: Range<usize>, order: &Order) -> Vec<usize> {
    let place = |line: usize| begun.partition_point(|at| *at < line);
    let keys = begun.get(place(range.start)..place(range.end));
    let keys = keys.unwrap_or_default();
    let places = order.places(keys.iter().map(|at| key(lines.whole(*at))));
    let heads: Vec<Head> = keys
        .iter()
        .zip(places)
        .map(|(line, place)| head(lines, *line, place))
        .collect();
    let first = range.start..range.start;
    arranged(lines, range, first, &heads, |_, inside| inside.collect())
}

/// The order of the table that a header names.
fn below(order: &'static Order, path: &[&str]) -> Option<&'static Order> {
    path.iter().try_fold(order, |order, name| order.below(name))
}

/// The lines at which a key or a table begins: not those of comments, and not those inside of a
/// value.
fn begun(lines: &Lines<'_>) -> Vec<usize> {
    let mut depth = 0_usize;
    let mut begun = Vec::new();
    for at in 0..lines.len() {
        let is_between = lines.is_blank(at) || lines.comment(at).is_some();
        if depth == 0 && !is_between && !lines.is_text(at) {
            begun.push(at);
        }
        depth = depth_after(lines, at, depth);
    }
    begun
}

/// How many brackets are open at the end of a line, those of texts left out.
fn depth_after(lines: &Lines<'_>, at: usize, depth: usize) -> usize {
    let start = lines.start(at);
    let mut depth = depth;
    for (byte, letter) in lines.whole(at).char_indices() {
        if is_in_scalar(lines, start + byte) {
            continue;
        }
        match letter {
            '#' => break,
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    depth
}

fn is_in_scalar(lines: &Lines<'_>, byte: usize) -> bool {
    let before = lines.scalars.range(..=byte).next_back();
    before.is_some_and(|(_, end)| byte < *end)
}

/// The names of the header of a table; `None` for other lines. Of one with escapes none is known.
fn header(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim_start().strip_prefix('[')?;
    let inner = inner.strip_prefix('[').unwrap_or(inner);
    let (path, _) = inner.split_once(']')?;
    let names = path.split('.').map(|name| bare(name.trim()));
    // A dot or a bracket in quotes leaves a quote without its pair.
    let is_known = |names: &Vec<&str>| !names.iter().any(|name| name.contains(['"', '\'', '\\']));
    Some(names.collect()).filter(is_known).or(Some(Vec::new()))
}

/// A name without its quotes.
fn bare(name: &str) -> &str {
    let within = |quote: char| name.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or_else(|| within('\'')).unwrap_or(name)
}

/// The first name of the key of a line.
fn key(line: &str) -> &str {
    let end = line.find(['=', '.']).unwrap_or(line.len());
    line.get(..end).unwrap_or_default().trim()
}
