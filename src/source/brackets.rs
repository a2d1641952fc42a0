//! Follows the brackets and strings of one JSON value to its end.

use memchr::memchr3;

use super::window::is_blank;

/// How deep a value may be nested.
pub(super) const DEPTH: usize = 1024;

/// The place inside one JSON value, which may come in any number of pieces.
///
/// No more grammar is checked than it takes to notice early that a value was never closed.
#[derive(Default)]
pub(super) struct Brackets {
    /// The brackets that will close what is open, outermost first.
    closing: Vec<u8>,
    quote: Quote,
    /// The last byte of the pieces before that is not blank, if it stood outside of strings.
    last: u8,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Quote {
    #[default]
    Outside,
    Inside,
    /// After a backslash in a string.
    Escaped,
}

/// How far a piece led.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The value goes on after this piece.
    More,
    /// The value ends with this many bytes of the piece.
    Closed(usize),
    /// The byte with this index cannot stand there.
    Broken(usize, Fault),
}

/// Why a value is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// This bracket closes another kind than was opened.
    Mismatch(u8),
    /// This bracket opens where no value can stand; following on is possible.
    Misplaced(u8),
    /// A line ends inside a string, which JSON does not allow.
    OpenString,
    /// Too many brackets are open.
    Deep,
}

impl Brackets {
    /// Forgets the value before and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.closing.clear();
        self.quote = Quote::Outside;
    }

    /// Goes on with the next piece of the value, which starts with `{`, `[` or `"`.
    pub(super) fn follow(&mut self, piece: &[u8]) -> Step {
        let mut at = 0;
        while let Some((index, byte)) = self.next_mark(piece, at) {
            at = index + 1;
            match self.take(byte) {
                Ok(()) if self.is_closed() => return Step::Closed(at),
                Ok(()) => {}
                Err(fault) => return Step::Broken(index, fault),
            }
            if matches!(byte, b'{' | b'[') && self.quote == Quote::Outside {
                let before = piece.get(..index).and_then(last_solid).unwrap_or(self.last);
                if !self.can_open_after(before) {
                    self.last = byte;
                    return Step::Broken(index, Fault::Misplaced(byte));
                }
            }
        }
        self.last = last_solid(piece).unwrap_or(self.last);
        Step::More
    }

    /// The next byte from `at` on that changes something.
    fn next_mark(&self, piece: &[u8], at: usize) -> Option<(usize, u8)> {
        let rest = piece.get(at..)?;
        let ahead = match self.quote {
            Quote::Outside => rest.iter().position(|byte| is_mark(*byte)),
            Quote::Inside => memchr3(b'"', b'\\', b'\n', rest),
            Quote::Escaped => Some(0),
        }?;
        Some((at + ahead, *rest.get(ahead)?))
    }

    fn take(&mut self, byte: u8) -> Result<(), Fault> {
        match (self.quote, byte) {
            (Quote::Inside | Quote::Escaped, b'\n') => return Err(Fault::OpenString),
            (Quote::Escaped, _) => self.quote = Quote::Inside,
            (Quote::Inside, b'"') => self.quote = Quote::Outside,
            (Quote::Inside, _) => self.quote = Quote::Escaped,
            (Quote::Outside, b'"') => self.quote = Quote::Inside,
            (Quote::Outside, b'{') => self.open(b'}')?,
            (Quote::Outside, b'[') => self.open(b']')?,
            (Quote::Outside, _) => {
                if self.closing.pop() != Some(byte) {
                    return Err(Fault::Mismatch(byte));
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, closing: u8) -> Result<(), Fault> {
        if self.closing.len() >= DEPTH {
            return Err(Fault::Deep);
        }
        self.closing.push(closing);
        Ok(())
    }

    fn is_closed(&self) -> bool {
        self.closing.is_empty() && self.quote == Quote::Outside
    }

    /// Whether the bracket just opened may follow the byte `before`.
    fn can_open_after(&self, before: u8) -> bool {
        let [.., around, _] = self.closing.as_slice() else {
            return true;
        };
        matches!((before, around), (b':', b'}') | (b'[' | b',', b']'))
    }
}

/// Whether `line` is one object, all brackets matched, and nothing else but blanks.
pub(super) fn is_one_object(line: &[u8]) -> bool {
    let mut brackets = Brackets::default();
    let mut rest = line;
    loop {
        match brackets.follow(rest) {
            Step::Closed(length) => {
                let mut after = rest.get(length..).unwrap_or_default().iter();
                return line.starts_with(b"{") && after.all(|byte| is_blank(*byte));
            }
            Step::Broken(index, Fault::Misplaced(_)) => {
                rest = rest.get(index + 1..).unwrap_or_default();
            }
            Step::Broken(..) | Step::More => return false,
        }
    }
}

fn is_mark(byte: u8) -> bool {
    matches!(byte, b'"' | b'{' | b'}' | b'[' | b']')
}

fn last_solid(bytes: &[u8]) -> Option<u8> {
    bytes.iter().rev().copied().find(|byte| !is_blank(*byte))
}
