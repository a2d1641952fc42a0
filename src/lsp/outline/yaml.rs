//! The words of YAML, by indentation and brackets.

use std::ops::Range;

use crate::lsp::outline::{MOST_STEPS, MOST_WORDS, Role, Step, Word};

/// The most letters inside of quotes.
const LONGEST_QUOTED: usize = 1 << 14;

/// The words of a text of one document or several.
pub(super) fn words(text: &str) -> Vec<Word> {
    let mut reader = Reader {
        text,
        words: Vec::new(),
        levels: Vec::new(),
        document: 0,
    };
    let mut at = 0;
    while at < text.len() && reader.words.len() < MOST_WORDS {
        at = reader.line(at).max(at + 1);
    }
    reader.words
}

/// What the lines above have opened.
struct Level {
    indent: usize,
    step: Step,
}

struct Reader<'t> {
    text: &'t str,
    words: Vec<Word>,
    levels: Vec<Level>,
    document: usize,
}

impl<'t> Reader<'t> {
    /// Reads from the beginning of a line on; where the next line begins that was not read.
    fn line(&mut self, start: usize) -> usize {
        let end = self.end_of_line(start);
        let line = self.part(start..end);
        if line.starts_with("---") || line.starts_with("...") {
            self.begin_document();
            return end + 1;
        }
        let indent = line.len() - line.trim_start_matches(' ').len();
        let rest = self.part(start + indent..end).trim_end();
        if rest.is_empty() || rest.starts_with('#') {
            return end + 1;
        }
        let is_item = is_dash(rest);
        let mut number = 0;
        while let Some(last) = self.levels.last() {
            let (level, is_key) = (last.indent, matches!(last.step, Step::Key(_)));
            if level < indent || level == indent && is_item && is_key {
                break;
            }
            if level == indent
                && let Step::Item(before) = last.step
            {
                number = before + 1;
            }
            self.levels.pop();
        }
        self.entry(start + indent, indent, number)
    }

    fn begin_document(&mut self) {
        self.levels.clear();
        let last = self.words.last().map(|word| word.document);
        self.document += usize::from(last == Some(self.document));
    }

    /// What stands on a line behind its indentation.
    fn entry(&mut self, mut at: usize, mut column: usize, mut number: usize) -> usize {
        loop {
            let end = self.end_of_line(at);
            let rest = self.part(at..end);
            if self.levels.len() > MOST_STEPS {
                return end + 1;
            }
            if is_dash(rest) {
                self.levels.push(Level {
                    indent: column,
                    step: Step::Item(number),
                });
                number = 0;
                let blanks = rest.len() - rest.get(1..).unwrap_or_default().trim_start().len();
                if blanks >= rest.len() {
                    return end + 1;
                }
                at += blanks;
                column += blanks;
                continue;
            }
            return match self.key(at..end) {
                Some((word, behind)) => {
                    self.levels.push(Level {
                        indent: column,
                        step: Step::Key(self.part(word.clone()).to_owned()),
                    });
                    let path = self.path();
                    self.note(path, Role::Key, word);
                    self.value(behind, column)
                }
                None => self.scalar(at, column, Role::Open),
            };
        }
    }

    /// A key at the beginning of a place, without its quotes, and what stands behind its colon.
    fn key(&self, line: Range<usize>) -> Option<(Range<usize>, usize)> {
        let rest = self.part(line.clone());
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (word, behind) = match quote {
            Some(quote) => {
                let length = rest.get(1..)?.find(quote)?;
                let behind = rest.get(length + 2..)?;
                let colon = behind.len() - behind.trim_start().len();
                (1..1 + length, length + 2 + colon)
            }
            None if rest.starts_with(['{', '[', '#', '&', '!', '|', '>']) => return None,
            None => {
                let colon = colon(rest)?;
                (0..rest.get(..colon)?.trim_end().len(), colon)
            }
        };
        let behind_colon = rest.get(behind..)?.strip_prefix(':')?;
        if !behind_colon.is_empty() && !behind_colon.starts_with([' ', '\t', '\r']) {
            return None;
        }
        let start = line.start;
        Some((start + word.start..start + word.end, start + behind + 1))
    }

    /// The value behind a colon; where the next line begins.
    fn value(&mut self, at: usize, column: usize) -> usize {
        let end = self.end_of_line(at);
        let rest = self.part(at..end);
        let blanks = rest.len() - rest.trim_start().len();
        let rest = rest.trim();
        if rest.is_empty() || rest.starts_with('#') {
            return end + 1;
        }
        self.scalar(at + blanks, column, Role::Value)
    }

    /// A scalar, or what stands in brackets; where the next line begins.
    fn scalar(&mut self, at: usize, column: usize, role: Role) -> usize {
        let end = self.end_of_line(at);
        let rest = self.part(at..end);
        match rest.chars().next() {
            Some('{' | '[') => self.brackets(at, column),
            Some('|' | '>') => self.block(end + 1, column),
            Some(quote @ ('"' | '\'')) => {
                let inside = self.quoted(at, quote);
                let behind = self.behind_quote(&inside, quote);
                let path = self.path();
                self.note(path, role, inside);
                self.end_of_line(behind) + 1
            }
            _ => {
                let length = comment(rest).unwrap_or(rest.len());
                let word = self.part(at..at + length).trim_end();
                let path = self.path();
                self.note(path, role, at..at + word.len());
                end + 1
            }
        }
    }

    /// The lines of a text that are further in than a column.
    fn block(&mut self, start: usize, column: usize) -> usize {
        let (mut at, mut last) = (start, start);
        let mut first = None;
        while at < self.text.len() {
            let end = self.end_of_line(at);
            let line = self.part(at..end);
            let indent = line.len() - line.trim_start_matches(' ').len();
            if !line.trim().is_empty() {
                if indent <= column && !(column == 0 && indent > 0) {
                    break;
                }
                first.get_or_insert(at + indent);
                last = at + line.trim_end().len();
            }
            at = end + 1;
        }
        if let Some(first) = first {
            let path = self.path();
            self.note(path, Role::Value, first..last);
        }
        at
    }

    /// What stands inside of quotes, which may go over lines and may lack their end.
    fn quoted(&self, at: usize, quote: char) -> Range<usize> {
        let start = at + 1;
        let rest = self.part(start..self.text.len());
        // A quote that lacks its end is looked for no further than this.
        let mut letters = rest.char_indices().take(LONGEST_QUOTED).peekable();
        let mut is_escaped = false;
        while let Some((place, letter)) = letters.next() {
            if is_escaped {
                is_escaped = false;
            } else if letter == '\\' && quote == '"' {
                is_escaped = true;
            } else if letter == quote {
                let is_doubled = quote == '\'' && letters.peek().is_some_and(|(_, c)| *c == quote);
                if !is_doubled {
                    return start..start + place;
                }
                letters.next();
            }
        }
        start..self.end_of_line(start).max(start)
    }

    /// What comes behind the quote that ends a text, if one does.
    fn behind_quote(&self, inside: &Range<usize>, quote: char) -> usize {
        inside.end + usize::from(self.part(inside.end..).starts_with(quote))
    }

    /// What stands in brackets, which may go over lines that are further in than a column.
    fn brackets(&mut self, start: usize, column: usize) -> usize {
        let base = self.path();
        let mut open: Vec<Bracket> = Vec::new();
        let mut at = start;
        while let Some(letter) = self.part(at..self.text.len()).chars().next() {
            match letter {
                '{' | '[' if open.len() + base.len() < MOST_STEPS => {
                    open.push(Bracket {
                        is_mapping: letter == '{',
                        number: 0,
                        key: None,
                    });
                    at += 1;
                }
                '{' | '[' => at += 1,
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
                        last.key = None;
                    }
                    at += 1;
                }
                '\n' => {
                    at += 1;
                    let line = self.part(at..self.end_of_line(at));
                    let indent = line.len() - line.trim_start_matches(' ').len();
                    // A bracket that lacks its end does not swallow the lines below it.
                    if !line.trim().is_empty()
                        && indent <= column
                        && !line.trim_start().starts_with([']', '}'])
                    {
                        return at;
                    }
                }
                '#' if self.part(..at).ends_with([' ', '\n', '\t']) => at = self.end_of_line(at),
                ':' | ' ' | '\t' | '\r' => at += 1,
                _ => at = self.word_inside(at, &base, &mut open),
            }
            if self.words.len() >= MOST_WORDS {
                return self.text.len();
            }
        }
        self.text.len()
    }

    /// A word inside of brackets; where it ends.
    fn word_inside(&mut self, at: usize, base: &[Step], open: &mut [Bracket]) -> usize {
        let rest = self.part(at..self.text.len());
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (word, end) = match quote {
            Some(quote) => {
                let inside = self.quoted(at, quote);
                let end = self.behind_quote(&inside, quote);
                (inside, end)
            }
            None => {
                let length = plain_inside(rest);
                let word = self.part(at..at + length).trim_end();
                (at..at + word.len(), at + length.max(1))
            }
        };
        let behind = self.part(end.min(self.text.len())..self.text.len());
        let is_key = behind.trim_start_matches(' ').starts_with(':');
        let text = self.part(word.clone()).to_owned();
        let steps = open.iter().filter_map(Bracket::step);
        let mut path: Vec<Step> = base.iter().cloned().chain(steps).collect();
        let role = match open.last_mut() {
            Some(last) if last.is_mapping && last.key.is_none() && is_key => {
                last.key = Some(text.clone());
                path.push(Step::Key(text));
                Role::Key
            }
            Some(last) if last.is_mapping && last.key.is_none() => Role::Open,
            _ => Role::Value,
        };
        self.note(path, role, word);
        end.min(self.text.len())
    }

    fn path(&self) -> Vec<Step> {
        self.levels.iter().map(|level| level.step.clone()).collect()
    }

    fn note(&mut self, path: Vec<Step>, role: Role, place: Range<usize>) {
        let text = self.part(place.clone()).to_owned();
        self.words.push(Word {
            document: self.document,
            path,
            role,
            place,
            text,
        });
    }

    fn end_of_line(&self, at: usize) -> usize {
        let rest = self.part(at.min(self.text.len())..self.text.len());
        at.min(self.text.len()) + rest.find('\n').unwrap_or(rest.len())
    }

    fn part(&self, place: impl std::slice::SliceIndex<str, Output = str>) -> &'t str {
        self.text.get(place).unwrap_or_default()
    }
}

/// An open bracket.
struct Bracket {
    is_mapping: bool,
    number: usize,
    /// The key whose value comes.
    key: Option<String>,
}

impl Bracket {
    fn step(&self) -> Option<Step> {
        if self.is_mapping {
            return self.key.clone().map(Step::Key);
        }
        Some(Step::Item(self.number))
    }
}

/// Whether a line is an item of a list.
fn is_dash(rest: &str) -> bool {
    rest == "-" || rest.starts_with("- ") || rest.starts_with("-\r")
}

/// Where the colon of a key stands, before any comment.
fn colon(line: &str) -> Option<usize> {
    let line = line.get(..comment(line).unwrap_or(line.len()))?;
    let mut colons = line.match_indices(':').map(|(at, _)| at);
    colons.find(|at| {
        let behind = line.get(at + 1..).unwrap_or_default();
        behind.is_empty() || behind.starts_with([' ', '\t', '\r'])
    })
}

/// Where a comment begins.
fn comment(line: &str) -> Option<usize> {
    line.match_indices('#').map(|(at, _)| at).find(|at| {
        line.get(..*at)
            .is_some_and(|before| before.is_empty() || before.ends_with([' ', '\t']))
    })
}

/// How long a plain word inside of brackets is.
fn plain_inside(rest: &str) -> usize {
    let mut before = ' ';
    for (at, letter) in rest.char_indices() {
        let behind = rest.get(at + letter.len_utf8()..).unwrap_or_default();
        let ends = match letter {
            ',' | '[' | ']' | '{' | '}' | '\n' => true,
            ':' => behind.is_empty() || behind.starts_with([' ', '\n', '\r', ',', ']', '}']),
            '#' => before.is_whitespace(),
            _ => false,
        };
        if ends {
            return at;
        }
        before = letter;
    }
    rest.len()
}
