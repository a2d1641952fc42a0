//! A file as its lines, of which some belong to texts that go over several of them.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::diag::Span;
use crate::document::{Kind, Node};

/// The lines of a file.
pub(super) struct Lines<'t> {
    /// Each with its end.
    list: Vec<&'t str>,
    /// Where each begins.
    starts: Vec<usize>,
    /// Which begin inside of a text, so that they are part of it whatever they look like, and
    /// which end there, so that blanks at their end are part of it.
    inside: Inside,
    /// The texts and other scalars: where each begins and ends.
    pub(super) scalars: BTreeMap<usize, usize>,
}

impl<'t> Lines<'t> {
    /// The lines of a text that was read as these trees.
    pub(super) fn new(text: &'t str, trees: &[&Node]) -> Self {
        let mark = byte_order_mark(text).len();
        let (_, behind) = text.split_at(mark);
        let list: Vec<&str> = behind.split_inclusive('\n').collect();
        let starts: Vec<usize> = list
            .iter()
            .scan(mark, |at, line| {
                let start = *at;
                *at += line.len();
                Some(start)
            })
            .collect();
        let scalars = scalars(trees);
        let inside = Inside::new(text, &starts, &scalars);
        Self {
            list,
            starts,
            inside,
            scalars,
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// A line with its end.
    pub(super) fn whole(&self, at: usize) -> &'t str {
        self.list.get(at).copied().unwrap_or_default()
    }

    /// Where a line begins.
    pub(super) fn start(&self, at: usize) -> usize {
        self.starts.get(at).copied().unwrap_or(usize::MAX)
    }

    /// The line in which a byte stands, and how far from its beginning.
    pub(super) fn place(&self, byte: usize) -> Option<(usize, usize)> {
        let at = self
            .starts
            .partition_point(|start| *start <= byte)
            .checked_sub(1)?;
        Some((at, byte - self.start(at)))
    }

    /// Whether a line is part of a text that begins above it.
    pub(super) fn is_text(&self, at: usize) -> bool {
        self.inside.begin.get(at).copied().unwrap_or_default()
    }

    /// Whether a line is empty and no text has it.
    pub(super) fn is_blank(&self, at: usize) -> bool {
        let line = self.whole(at);
        !self.is_text(at) && line.trim_matches(BLANKS).is_empty()
    }

    /// The comment that a line is, and its column.
    pub(super) fn comment(&self, at: usize) -> Option<(usize, &'t str)> {
        let line = self.whole(at);
        let comment = line.trim_start_matches([' ', '\t']);
        let is_comment = !self.is_text(at) && comment.starts_with('#');
        is_comment.then_some((line.len() - comment.len(), comment))
    }

    /// A line as it is written again: without blanks at its end, where no text has them.
    pub(super) fn trimmed(&self, at: usize) -> (&'t str, &'t str) {
        let (line, end) = split_end(self.whole(at));
        match self.inside.end.get(at) {
            Some(true) => (line, end),
            // A `\r` alone is an end of line to YAML.
            _ => (line.trim_end_matches([' ', '\t', '\r']), end),
        }
    }

    /// Whether the file ends in a text over several lines, without an end of line.
    pub(super) fn is_open(&self) -> bool {
        let last = self.len().checked_sub(1);
        let is_end = |last: usize| self.inside.end.get(last).copied().unwrap_or_default();
        last.is_some_and(|last| is_end(last) && !self.whole(last).ends_with('\n'))
    }

    /// The end of a line as the first line has it.
    pub(super) fn ending(&self) -> &'static str {
        match split_end(self.whole(0)).1 {
            "\r\n" => "\r\n",
            _ => "\n",
        }
    }
}

/// What stands before the first line of some files, and is no part of it.
pub(super) fn byte_order_mark(text: &str) -> &str {
    const MARK: &str = "\u{feff}";
    let has_mark = text.starts_with(MARK);
    text.get(..MARK.len())
        .filter(|_| has_mark)
        .unwrap_or_default()
}

/// A line without its end, and that.
fn split_end(line: &str) -> (&str, &str) {
    let bare = line.strip_suffix('\n').unwrap_or(line);
    let bare = bare.strip_suffix('\r').unwrap_or(bare);
    line.split_at(bare.len())
}

/// The scalars of trees by their places, each once: an alias has the place of its anchor.
fn scalars(trees: &[&Node]) -> BTreeMap<usize, usize> {
    let mut found = BTreeMap::new();
    let mut add = |span: Span| {
        let (start, end) = (span.start as usize, span.end as usize);
        let known = found.entry(start).or_insert(end);
        *known = (*known).max(end);
    };
    let mut todo: Vec<&Node> = trees.to_vec();
    while let Some(node) = todo.pop() {
        match &node.kind {
            Kind::List(items) => todo.extend(items),
            Kind::Map(entries) => {
                entries.iter().for_each(|(key, _)| add(key.span));
                todo.extend(entries.iter().map(|(_, value)| value));
            }
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) => add(node.span),
        }
    }
    found
}

/// What is no letter to YAML, between lines and in them: all other white space is.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// The lines of a text behind `|` or `>`, whose place begins behind the blanks of its first line.
fn block(text: &str, start: usize, end: usize) -> Option<Range<usize>> {
    let before = text.get(..start)?;
    let above = before.trim_end_matches([' ', '\t']);
    if !above.ends_with('\n') {
        return None;
    }
    let above = above.trim_end_matches(BLANKS);
    let header = above.rsplit('\n').next()?;
    let header = header.split(" #").next()?.trim_end_matches(BLANKS);
    let bare = header.trim_end_matches(|c: char| c.is_ascii_digit() || "+-".contains(c));
    if !bare.ends_with(['|', '>']) {
        return None;
    }
    let below_header = above.len();
    let first = below_header + text.get(below_header..)?.find('\n')? + 1;
    let whole = text.get(first..end)?;
    let kept = match header.get(bare.len()..)?.contains('+') {
        true => whole.len(),
        // Empty lines at its end are none of it.
        false => {
            let last = whole.trim_end_matches(BLANKS).len();
            let rest = whole.get(last..).unwrap_or_default();
            last + rest.find('\n').map_or(rest.len(), |at| at + 1)
        }
    };
    Some(first..first + kept)
}

/// Which lines begin and which end inside of a text.
struct Inside {
    begin: Vec<bool>,
    end: Vec<bool>,
}

impl Inside {
    fn new(text: &str, starts: &[usize], scalars: &BTreeMap<usize, usize>) -> Self {
        let mut inside = Self {
            begin: vec![false; starts.len()],
            end: vec![false; starts.len()],
        };
        for (start, end) in scalars {
            if let Some(block) = block(text, *start, *end) {
                let first = starts.partition_point(|line| *line < block.start);
                let last = starts.partition_point(|line| *line < block.end);
                mark(&mut inside.begin, first..last);
                mark(&mut inside.end, first..last);
                continue;
            }
            let first = starts.partition_point(|line| line <= start);
            let last = starts.partition_point(|line| line < end);
            mark(&mut inside.begin, first..last);
            mark(
                &mut inside.end,
                first.saturating_sub(1)..last.saturating_sub(1),
            );
        }
        inside
    }
}

fn mark(lines: &mut [bool], range: Range<usize>) {
    let lines = lines.get_mut(range).unwrap_or_default();
    lines.fill(true);
}
