//! The plain part of YAML, which most rules are written in, read in one pass.
//!
//! Block mappings and lists of scalars that end on their line: no anchors, no
//! tags, no flow or block scalars, no escapes, one document. Whatever is not
//! plain, or not right, is `None`, and the full parser reads the file from its
//! beginning: only that one reports. A tree from here is the tree that the full
//! parser gives, place by place; `yaml/tests.rs` compares the two.

use crate::diag::Span;
use crate::document::yaml::{Base, is_text, resolve};
use crate::document::{Key, Kind, Node};

/// A longer text may hold more values than are read, which the full parser counts.
const LONGEST: usize = 64 << 10;
/// Deeper nesting is for the full parser, which counts it.
const DEEPEST: usize = 8;
/// Keys of one mapping are compared with each other.
const MOST_KEYS: usize = 64;
/// YAML's own limit for a key is 1,024 characters.
const LONGEST_KEY: usize = 256;

/// The only document of a text, when it is plain.
pub(super) fn read(base: Base, text: &str) -> Option<Node> {
    if text.len() > LONGEST || !(is_plain_ascii(text) || text.chars().all(is_plain)) {
        return None;
    }
    let mut reader = Reader {
        base,
        rest: text,
        at: 0,
        line: None,
    };
    reader.advance();
    let root = reader.mapping(reader.line?.indent, 0)?;
    reader.line.is_none().then_some(root)
}

/// The same as asking [`is_plain`] of each character, for most texts: looking at
/// all bytes whatever was found is several of them at a time.
fn is_plain_ascii(text: &str) -> bool {
    text.bytes().fold(true, |plain, byte| {
        plain & ((byte == b'\n') | (b' '..=b'~').contains(&byte))
    })
}

/// What every YAML parser takes for text or for the end of a line.
fn is_plain(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{2010}'..='\u{2027}')
        || (!c.is_ascii() && c.is_alphanumeric())
}

/// A stretch of a line, without blanks around it.
#[derive(Clone, Copy)]
struct Words<'t> {
    /// Where it begins in the text.
    at: usize,
    /// Its column, from 0, as far as structure goes: only blanks and dashes stand before it.
    indent: usize,
    text: &'t str,
}

impl<'t> Words<'t> {
    /// What follows the first bytes, up to the end or to a comment.
    fn after(self, bytes: usize) -> Option<Self> {
        let rest = self.text.get(bytes..)?;
        let text = rest.trim_start_matches(' ');
        let blanks = rest.len() - text.len();
        let is_comment = blanks > 0 && text.starts_with('#');
        Some(Self {
            at: self.at + bytes + blanks,
            indent: self.indent + bytes + blanks,
            text: if is_comment { "" } else { text },
        })
    }

    /// The item of a list that begins here.
    fn item(self) -> Option<Self> {
        self.text.strip_prefix("- ")?;
        self.after(1)
    }
}

struct Reader<'t> {
    base: Base,
    /// What comes after the current line.
    rest: &'t str,
    /// Where that begins.
    at: usize,
    /// The current line, or what is left of it; `None` at the end.
    line: Option<Words<'t>>,
}

impl<'t> Reader<'t> {
    /// Goes to the next line that holds more than a comment.
    fn advance(&mut self) {
        self.line = None;
        while self.line.is_none() && !self.rest.is_empty() {
            let end = memchr::memchr(b'\n', self.rest.as_bytes()).unwrap_or(self.rest.len());
            let (line, rest) = self.rest.split_at(end);
            let text = line.trim_start_matches(' ');
            if !text.is_empty() && !text.starts_with('#') {
                let indent = line.len() - text.len();
                self.line = Some(Words {
                    at: self.at + indent,
                    indent,
                    text: text.trim_end_matches(' '),
                });
            }
            self.at += line.len() + 1;
            self.rest = rest.get(1..).unwrap_or_default();
        }
    }

    fn mapping(&mut self, indent: usize, depth: usize) -> Option<Node> {
        let span = self.span(self.line?.at, 0);
        let mut entries: Vec<(Key, Node)> = Vec::new();
        while let Some(line) = self.line.filter(|line| line.indent >= indent) {
            let (key, rest) = self.key(line)?;
            let twice = entries.iter().any(|(known, _)| known.text == key.text);
            if line.indent > indent || twice || entries.len() == MOST_KEYS || depth == DEEPEST {
                return None;
            }
            let value = if rest.text.is_empty() {
                self.advance();
                self.below(indent, depth + 1)?
            } else {
                let value = self.scalar(rest)?;
                self.advance();
                value
            };
            entries.push((key, value));
        }
        let kind = Kind::Map(entries);
        Some(Node { span, kind })
    }

    /// The value of a key that stands below it.
    fn below(&mut self, indent: usize, depth: usize) -> Option<Node> {
        let line = self.line?;
        if line.item().is_some() && line.indent >= indent {
            return self.list(line, indent, depth);
        }
        if line.indent > indent {
            return self.mapping(line.indent, depth);
        }
        None
    }

    /// The list that begins on this line, below a key with this indent.
    fn list(&mut self, first: Words<'t>, key_indent: usize, depth: usize) -> Option<Node> {
        let indent = first.indent;
        // A list as deep as its key has its place at its first item.
        let place = if indent == key_indent {
            first.item()?.at
        } else {
            first.at
        };
        let span = self.span(place, 0);
        let mut items = Vec::new();
        while let Some(line) = self.line.filter(|line| line.indent >= indent) {
            let Some(item) = line.item().filter(|_| line.indent == indent) else {
                break;
            };
            if self.key(item).is_some() {
                self.line = Some(item);
                items.push(self.mapping(item.indent, depth + 1)?);
            } else {
                items.push(self.scalar(item)?);
                self.advance();
            }
        }
        let kind = Kind::List(items);
        Some(Node { span, kind })
    }

    /// A key, and what follows its colon.
    fn key(&self, line: Words<'t>) -> Option<(Key, Words<'t>)> {
        let (length, text) = if line.text.starts_with(['\'', '"']) {
            quoted(line.text)?
        } else {
            let before = line.text.get(..colon(line.text)?)?;
            let text = before.trim_end_matches(' ');
            let plain = text.starts_with(|c: char| c.is_ascii_alphabetic());
            if !plain || without_comment(text).len() < text.len() || !is_text(text) {
                return None;
            }
            (text.len(), text.to_owned())
        };
        let rest = line.after(length)?;
        if length > LONGEST_KEY || colon(rest.text) != Some(0) {
            return None;
        }
        let span = self.span(line.at, length);
        Some((Key { span, text }, rest.after(1)?))
    }

    fn scalar(&self, words: Words<'_>) -> Option<Node> {
        let (length, kind) = if words.text.starts_with(['\'', '"']) {
            let (length, text) = quoted(words.text)?;
            if !words.after(length)?.text.is_empty() {
                return None;
            }
            (length, Kind::Text(text))
        } else {
            let text = without_comment(words.text);
            if text.is_empty() || text.starts_with(INDICATORS) || colon(text).is_some() {
                return None;
            }
            (text.len(), resolve(text)?)
        };
        let span = self.span(words.at, length);
        Some(Node { span, kind })
    }

    fn span(&self, at: usize, length: usize) -> Span {
        self.base.span(at, length)
    }
}

/// What begins something else than a plain scalar, or might.
const INDICATORS: [char; 19] = [
    '-', '?', ':', ',', '[', ']', '{', '}', '#', '&', '*', '!', '|', '>', '%', '@', '`', '<', '=',
];

/// Where a colon ends a key.
fn colon(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b':', bytes).find(|at| matches!(bytes.get(at + 1), None | Some(b' ')))
}

/// A plain scalar ends where a comment begins, or before the blanks at the end.
fn without_comment(text: &str) -> &str {
    let bytes = text.as_bytes();
    let mut hashes = memchr::memchr_iter(b'#', bytes).filter_map(|at| at.checked_sub(1));
    let end = hashes.find(|before| bytes.get(*before) == Some(&b' '));
    let text = end.and_then(|end| text.get(..end)).unwrap_or(text);
    text.trim_end_matches(' ')
}

/// The length of a quoted scalar, quotes included, and what it holds.
fn quoted(text: &str) -> Option<(usize, String)> {
    if let Some(inner) = text.strip_prefix('"') {
        let (inner, _) = inner.split_once('"')?;
        return (!inner.contains('\\')).then(|| (inner.len() + 2, inner.to_owned()));
    }
    let inner = text.strip_prefix('\'')?;
    let mut from = 0;
    loop {
        let end = from + inner.get(from..)?.find('\'')?;
        if inner.as_bytes().get(end + 1) != Some(&b'\'') {
            return Some((end + 2, inner.get(..end)?.replace("''", "'")));
        }
        from = end + 2;
    }
}
