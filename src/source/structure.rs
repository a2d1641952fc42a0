//! Structural mode: JSON values with white space between them, and arrays of such values.
//!
//! A text that breaks the rules is not given up: the stretch from the broken record, or from the
//! byte that has no place, to the next line that looks like the start of a record becomes one
//! reject. A record that was never closed is noticed some lines after the next one has started,
//! so the search begins where the broken record did. No byte is searched that way twice: a
//! record that breaks in text searched before is skipped to the line where it broke, which keeps
//! the work in proportion to the text, whatever the text.

use memchr::{memchr, memchr_iter, memrchr};

use super::brackets::{Brackets, DEPTH, Fault, Step};
use super::window::{Batch, Need, Span, Spoiled, Window};
use super::{Limits, Place};

/// Splits a text where its top-level values and the elements of its arrays end.
pub(super) struct Structure {
    input: u32,
    limits: Limits,
    /// The next byte to look at.
    at: u64,
    state: State,
    brackets: Brackets,
    /// The line of `at`, or of the start of the record around it.
    line: Line,
    /// The indentation of the first object's line.
    indent: Option<u64>,
    /// Whether an array has been opened.
    arrays: bool,
    /// Where the last broken record broke; before it, text has been looked at twice.
    retried_to: u64,
}

enum State {
    Between(Context),
    Inside(Item),
    Skipping(Spoiled),
}

/// What may come between two records.
#[derive(Clone, Copy)]
enum Context {
    /// Outside of arrays: a value, or an array to open.
    Top,
    /// After `[`: a value or `]`.
    First,
    /// After `,`: a value.
    Element,
    /// After an element: `,` or `]`.
    After,
    /// After a reject, in an array or not: any of these.
    Unsure,
}

/// The record being read.
#[derive(Clone, Copy)]
struct Item {
    start: u64,
    line: u64,
    /// A number, `true`, `false` or `null`, rather than a value with an end of its own.
    word: bool,
    context: Context,
}

/// Whether a step leaves anything of the window to look at.
enum Look {
    Further,
    Out,
}

impl Structure {
    /// Starts with the byte `at`, which stands on the line `line`.
    pub(super) fn new(input: u32, at: u64, line: Line, limits: Limits) -> Self {
        Self {
            input,
            limits,
            at,
            state: State::Between(Context::Top),
            brackets: Brackets::default(),
            line,
            indent: None,
            arrays: false,
            retried_to: 0,
        }
    }

    pub(super) fn split(&mut self, window: &Window, batch: &mut Batch) -> Need {
        while !batch.is_full() {
            let look = match self.state {
                State::Between(context) => self.between(context, window),
                State::Inside(item) => self.inside(item, window, batch),
                State::Skipping(_) => self.skip(window, batch),
            };
            let look = match look {
                Look::Out if window.complete => self.end(window, batch),
                look => look,
            };
            if let Look::Out = look {
                return Need::Text;
            }
        }
        Need::HandOver
    }

    /// The offset from which on the text is still needed.
    pub(super) fn needs_from(&self) -> u64 {
        match self.state {
            State::Inside(item) => item.start,
            State::Between(_) | State::Skipping(_) => self.at,
        }
    }

    fn between(&mut self, context: Context, window: &Window) -> Look {
        let Some(byte) = window.byte(self.at) else {
            return Look::Out;
        };
        match byte {
            b' ' | b'\t' | b'\r' => self.at += 1,
            b'\n' => {
                self.at += 1;
                self.line.next(self.at);
            }
            _ => self.token(byte, context),
        }
        Look::Further
    }

    /// Takes a byte that is not blank and stands between records.
    fn token(&mut self, byte: u8, context: Context) {
        use Context::{After, Element, First, Top, Unsure};
        let next = match (byte, context) {
            (b'[', Top | Unsure) => First,
            (b']', First | After | Unsure) => Top,
            (b',', After) => Element,
            (b',', Unsure) => Unsure,
            (_, Top | First | Element | Unsure) if starts_value(byte) => {
                return self.start(byte, context);
            }
            _ => return self.skip_stray(byte, context),
        };
        self.arrays |= byte == b'[';
        self.line.touch(self.at);
        self.at += 1;
        self.state = State::Between(next);
    }

    fn start(&mut self, byte: u8, context: Context) {
        self.line.touch(self.at);
        if byte == b'{' {
            self.indent = self.indent.or(self.line.indent);
        }
        self.brackets.clear();
        let word = !matches!(byte, b'{' | b'[' | b'"');
        self.state = State::Inside(Item {
            start: self.at,
            line: self.line.number,
            word,
            context,
        });
    }

    fn inside(&mut self, item: Item, window: &Window, batch: &mut Batch) -> Look {
        let most = item.start.saturating_add(self.limits.record as u64);
        let piece = window.slice(self.at, most);
        let step = if item.word {
            follow_word(piece)
        } else {
            self.brackets.follow(piece)
        };
        match step {
            Step::Closed(length) => self.close(item, self.at + length as u64, window, batch),
            Step::Broken(index, fault) => {
                self.spoil(item, self.at + index as u64, reason(fault), window);
            }
            Step::More => {
                self.at += piece.len() as u64;
                if self.at < most {
                    return Look::Out;
                }
                self.spoil(item, most, self.limits.too_long(), window);
            }
        }
        Look::Further
    }

    fn close(&mut self, item: Item, end: u64, window: &Window, batch: &mut Batch) {
        let Item {
            start,
            line,
            context,
            ..
        } = item;
        batch.spans.push(Span { start, end, line });
        self.line.pass(window.slice(start, end), start);
        self.at = end;
        self.state = State::Between(match context {
            Context::Top | Context::Unsure => context,
            Context::First | Context::Element | Context::After => Context::After,
        });
    }

    /// Gives up a record that broke at `broken`.
    fn spoil(&mut self, item: Item, broken: u64, reason: String, window: &Window) {
        let mut next = item.start + 1;
        if item.start >= self.retried_to {
            self.retried_to = broken;
        } else if let Some(end) = memrchr(b'\n', window.slice(item.start, broken)) {
            next += end as u64;
        }
        let passed = window.slice(item.start, next);
        let mut spoiled = Spoiled::new(self.place(item.line), reason);
        spoiled.extend(passed);
        self.line.pass(passed, item.start);
        self.at = next;
        self.state = State::Skipping(spoiled);
    }

    fn skip_stray(&mut self, byte: u8, context: Context) {
        let expected = match context {
            Context::Top | Context::Element | Context::Unsure => "a value",
            Context::First => "a value or `]`",
            Context::After => "`,` or `]`",
        };
        let reason = format!("{} where {expected} was expected", shown(byte));
        self.state = State::Skipping(Spoiled::new(self.place(self.line.number), reason));
    }

    /// Looks for a line to go on with.
    fn skip(&mut self, window: &Window, batch: &mut Batch) -> Look {
        let rest = window.from(self.at);
        let at_start = self.line.indent.is_none();
        let found = if at_start {
            rest.iter().position(|byte| !matches!(byte, b' ' | b'\t'))
        } else {
            memchr(b'\n', rest).map(|index| index + 1)
        };
        let length = found.unwrap_or(rest.len());
        if let State::Skipping(spoiled) = &mut self.state {
            spoiled.extend(rest.get(..length).unwrap_or_default());
        }
        self.at += length as u64;
        if found.is_none() {
            return Look::Out;
        }
        if !at_start {
            self.line.next(self.at);
        } else if self.can_resume(window) {
            self.end_skipping(batch);
        } else {
            self.line.touch(self.at);
        }
        Look::Further
    }

    /// Whether the first byte of a line, blanks aside, looks like the start of a record: an
    /// object indented like the first one, or a further array.
    fn can_resume(&self, window: &Window) -> bool {
        let indent = self.at - self.line.start;
        match window.byte(self.at) {
            Some(b'{') => self.indent.is_none_or(|first| first == indent),
            Some(b'[') => indent == 0 && (self.arrays || self.indent.is_none()),
            _ => false,
        }
    }

    fn end_skipping(&mut self, batch: &mut Batch) {
        let resumed = State::Between(Context::Unsure);
        if let State::Skipping(spoiled) = std::mem::replace(&mut self.state, resumed) {
            batch.rejects.push(spoiled.finish());
        }
    }

    /// Ends what the end of the text leaves open.
    fn end(&mut self, window: &Window, batch: &mut Batch) -> Look {
        match self.state {
            State::Between(Context::Top | Context::Unsure) => return Look::Out,
            State::Between(_) => {
                let reason = "the input ends inside an array".to_owned();
                let place = self.place(self.line.number);
                batch.rejects.push(Spoiled::new(place, reason).finish());
                self.state = State::Between(Context::Top);
            }
            State::Inside(item) if item.word => self.close(item, self.at, window, batch),
            State::Inside(item) => {
                let reason = "the input ends inside a record".to_owned();
                self.spoil(item, self.at, reason, window);
            }
            State::Skipping(_) => self.end_skipping(batch),
        }
        Look::Further
    }

    fn place(&self, line: u64) -> Place {
        Place {
            input: self.input,
            line,
        }
    }
}

/// A line, and how much of it has been seen.
#[derive(Clone, Copy)]
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: u64,
    /// Where it starts in the text.
    pub(super) start: u64,
    /// The number of bytes before the first that is not blank, once that has been seen.
    pub(super) indent: Option<u64>,
}

impl Line {
    /// Goes on to the next line.
    pub(super) fn next(&mut self, start: u64) {
        self.number += 1;
        self.start = start;
        self.indent = None;
    }

    /// Notes a byte that is not blank.
    fn touch(&mut self, at: u64) {
        self.indent = self.indent.or(Some(at - self.start));
    }

    /// Goes on over a stretch that starts at `from` with a byte that is not blank.
    fn pass(&mut self, stretch: &[u8], from: u64) {
        let Some(last) = memrchr(b'\n', stretch) else {
            return self.touch(from);
        };
        self.number += memchr_iter(b'\n', stretch).count() as u64;
        self.start = from + last as u64 + 1;
        let line = stretch.get(last + 1..).unwrap_or_default();
        let indent = line.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
        self.indent = indent.map(|indent| indent as u64);
    }
}

fn starts_value(byte: u8) -> bool {
    matches!(
        byte,
        b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n'
    )
}

fn follow_word(piece: &[u8]) -> Step {
    let end = piece
        .iter()
        .position(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'+' | b'-' | b'.'));
    end.map_or(Step::More, Step::Closed)
}

fn reason(fault: Fault) -> String {
    match fault {
        Fault::Mismatch(byte) => format!("{} closes a bracket of the other kind", shown(byte)),
        Fault::Misplaced(byte) => format!("{} where no value can stand", shown(byte)),
        Fault::OpenString => "a string does not end on its line".to_owned(),
        Fault::Deep => format!("nested deeper than {DEPTH}"),
    }
}

fn shown(byte: u8) -> String {
    if byte.is_ascii_graphic() {
        format!("`{}`", char::from(byte))
    } else {
        format!("byte 0x{byte:02x}")
    }
}
