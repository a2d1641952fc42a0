//! The words of TOML, by its headers, equal signs and brackets.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::lsp::outline::{MOST_STEPS, MOST_WORDS, Role, Step, Word};

/// The most letters inside of quotes.
const LONGEST_QUOTED: usize = 1 << 14;

/// The words of a text.
pub(super) fn words(text: &str) -> Vec<Word> {
    let mut reader = Reader {
        text,
        words: Vec::new(),
        header: Vec::new(),
        tables: BTreeMap::new(),
    };
    let mut at = 0;
    while at < text.len() && reader.words.len() < MOST_WORDS {
        at = reader.line(at).max(at + 1);
    }
    reader.words
}

struct Reader<'t> {
    text: &'t str,
    words: Vec<Word>,
    /// Where the keys stand that come: the last header.
    header: Vec<Step>,
    /// How many tables of a list there are.
    tables: BTreeMap<Vec<Step>, usize>,
}

/// An open bracket.
struct Bracket {
    is_table: bool,
    number: usize,
    /// The keys whose value comes.
    keys: Vec<Step>,
}

impl<'t> Reader<'t> {
    /// Reads from the beginning of a line on; where the next line begins that was not read.
    fn line(&mut self, start: usize) -> usize {
        let end = self.end_of_line(start);
        let line = self.part(start..end);
        let at = start + (line.len() - line.trim_start().len());
        let rest = self.part(at..end).trim_end();
        if rest.is_empty() || rest.starts_with('#') {
            return end + 1;
        }
        if rest.starts_with('[') {
            self.open_table(at..at + rest.len());
            return end + 1;
        }
        let base = self.header.clone();
        let (path, behind) = self.keys(at..end, &base);
        let value = self.part(behind..end);
        match value.trim_start().strip_prefix('=') {
            Some(value) => {
                let value = value.trim_start();
                let start = end - value.len();
                if value.trim().is_empty() || path.len() > MOST_STEPS {
                    return end + 1;
                }
                self.value(start, path)
            }
            None => {
                self.reopen(&base, at);
                end + 1
            }
        }
    }

    /// What was read as keys since a place is a word alone: no sign of a value stands behind it.
    fn reopen(&mut self, base: &[Step], at: usize) {
        while self
            .words
            .last()
            .is_some_and(|word| word.place.start > at + 1)
        {
            self.words.pop();
        }
        if let Some(word) = self.words.last_mut().filter(|word| word.place.start >= at) {
            word.role = Role::Open;
            word.path = base.to_vec();
        }
    }

    /// `[a.b]` or `[[a.b]]`.
    fn open_table(&mut self, line: Range<usize>) {
        let is_list = self.part(line.clone()).starts_with("[[");
        let start = line.start + if is_list { 2 } else { 1 };
        let (mut path, _) = self.keys(start..line.end, &[]);
        path.truncate(MOST_STEPS);
        if is_list {
            let count = self.tables.entry(path.clone()).or_insert(0);
            path.push(Step::Item(*count));
            *count += 1;
        }
        self.header = path;
    }

    /// Keys with dots between them; their path, and where they end.
    fn keys(&mut self, place: Range<usize>, base: &[Step]) -> (Vec<Step>, usize) {
        let mut path = base.to_vec();
        let mut at = place.start;
        while at < place.end && path.len() <= MOST_STEPS {
            let rest = self.part(at..place.end);
            let (word, behind) = match rest.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    let inside = rest.get(1..).unwrap_or_default();
                    let length = inside.find(quote).unwrap_or(inside.len());
                    (at + 1..at + 1 + length, (at + length + 2).min(place.end))
                }
                _ => {
                    let is_bare =
                        |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ':' | '#' | '*');
                    let length = rest.find(|c| !is_bare(c)).unwrap_or(rest.len());
                    (at..at + length, at + length)
                }
            };
            if word.is_empty() && behind == at {
                break;
            }
            path.push(Step::Key(self.part(word.clone()).to_owned()));
            self.note(path.clone(), Role::Key, word);
            at = behind;
            let Some(rest) = self.part(at..place.end).strip_prefix('.') else {
                break;
            };
            at = place.end - rest.len();
        }
        (path, at)
    }

    /// A value; where the next line begins.
    fn value(&mut self, at: usize, path: Vec<Step>) -> usize {
        if self.part(at..).starts_with(['[', '{']) {
            return self.brackets(at, &path);
        }
        let (word, end) = self.scalar(at);
        self.note(path, Role::Value, word);
        self.end_of_line(end) + 1
    }

    /// A scalar without its quotes, and where it ends.
    fn scalar(&self, at: usize) -> (Range<usize>, usize) {
        let rest = self.part(at..);
        for quotes in ["\"\"\"", "'''"] {
            if let Some(inside) = rest.strip_prefix(quotes) {
                let start = at + 3;
                let most = inside
                    .char_indices()
                    .nth(LONGEST_QUOTED)
                    .map_or(inside.len(), |(at, _)| at);
                let length = inside.get(..most).and_then(|inside| inside.find(quotes));
                let length = length.unwrap_or_else(|| inside.find('\n').unwrap_or(inside.len()));
                return (
                    start..start + length,
                    (start + length + 3).min(self.text.len()),
                );
            }
        }
        let line = self.part(at..self.end_of_line(at));
        if let Some(quote) = line.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            let inside = line.get(1..).unwrap_or_default();
            let mut before = ' ';
            let closing = inside.char_indices().find(|(_, letter)| {
                let is_closing = *letter == quote && (quote == '\'' || before != '\\');
                before = if before == '\\' { ' ' } else { *letter };
                is_closing
            });
            let length = closing.map_or(inside.trim_end().len(), |(at, _)| at);
            let end = at + 1 + length;
            return (at + 1..end, end + usize::from(closing.is_some()));
        }
        let length = line.find([',', ']', '}', '#']).unwrap_or(line.len());
        let word = line.get(..length).unwrap_or_default().trim_end();
        (at..at + word.len(), at + length)
    }

    /// What stands in brackets, which may go over lines.
    fn brackets(&mut self, start: usize, base: &[Step]) -> usize {
        let mut open: Vec<Bracket> = Vec::new();
        let mut at = start;
        while let Some(letter) = self.part(at..).chars().next() {
            match letter {
                '{' | '[' => {
                    if open.len() + base.len() < MOST_STEPS {
                        open.push(Bracket {
                            is_table: letter == '{',
                            number: 0,
                            keys: Vec::new(),
                        });
                    }
                    at += 1;
                }
                '}' | ']' => {
                    open.pop();
                    at += 1;
                    if open.is_empty() {
                        return self.end_of_line(at) + 1;
                    }
                }
                ',' => {
                    if let Some(last) = open.last_mut() {
                        last.number += 1;
                        last.keys.clear();
                    }
                    at += 1;
                }
                '\n' => {
                    at += 1;
                    // A bracket that lacks its end does not swallow what follows.
                    if self.begins_anew(at) {
                        return at;
                    }
                }
                '#' => at = self.end_of_line(at),
                '=' | ' ' | '\t' | '\r' => at += 1,
                _ => at = self.word_inside(at, base, &mut open).max(at + 1),
            }
            if self.words.len() >= MOST_WORDS {
                break;
            }
        }
        self.text.len()
    }

    /// Whether a line begins a table or a key of its own.
    fn begins_anew(&self, at: usize) -> bool {
        let line = self.part(at..self.end_of_line(at));
        let is_letter = |c: char| c.is_ascii_alphabetic();
        let is_table = line.trim_start_matches('[').starts_with(is_letter) && line.starts_with('[');
        let word =
            line.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "_-.".contains(c));
        is_table || line.starts_with(is_letter) && word.trim_start().starts_with('=')
    }

    /// A word inside of brackets; where it ends.
    fn word_inside(&mut self, at: usize, base: &[Step], open: &mut [Bracket]) -> usize {
        let steps = open.iter().flat_map(Bracket::steps);
        let path: Vec<Step> = base.iter().cloned().chain(steps).collect();
        let end = self.end_of_line(at);
        match open.last_mut() {
            Some(last) if last.is_table && last.keys.is_empty() => {
                let (keys, behind) = self.keys(at..end, &path);
                if self.part(behind..end).trim_start().starts_with('=') {
                    last.keys = keys.get(path.len()..).unwrap_or_default().to_vec();
                } else {
                    self.reopen(&path, at);
                }
                behind
            }
            _ => {
                let (word, behind) = self.scalar(at);
                self.note(path, Role::Value, word);
                behind
            }
        }
    }

    fn note(&mut self, path: Vec<Step>, role: Role, place: Range<usize>) {
        let text = self.part(place.clone()).to_owned();
        self.words.push(Word {
            document: 0,
            path,
            role,
            place,
            text,
        });
    }

    fn end_of_line(&self, at: usize) -> usize {
        let at = at.min(self.text.len());
        let rest = self.part(at..);
        at + rest.find('\n').unwrap_or(rest.len())
    }

    fn part(&self, place: impl std::slice::SliceIndex<str, Output = str>) -> &'t str {
        self.text.get(place).unwrap_or_default()
    }
}

impl Bracket {
    fn steps(&self) -> Vec<Step> {
        if self.is_table {
            return self.keys.clone();
        }
        vec![Step::Item(self.number)]
    }
}
