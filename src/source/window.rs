//! What is held of a text at one time, and what has been found in it.

use super::error::SourceError;
use super::open::Decoded;
use super::{Place, Reject};

/// Bytes to ask a reader for at once.
const ONE_READ: usize = 256 << 10;
/// Records in one chunk at most, so that tiny ones do not cost more than their text.
const MOST_RECORDS: usize = 64 << 10;
/// Rejects in one chunk at most, for the same reason.
const MOST_REJECTS: usize = 8 << 10;
/// Bytes of a reject that are kept.
const KEPT: usize = 64 << 10;

/// A stretch of a text, addressed by offsets from the start of that text.
pub(super) struct Window {
    /// The bytes held, and room behind them.
    bytes: Vec<u8>,
    /// How many are held.
    held: usize,
    /// The offset of the first byte held.
    start: u64,
    /// Whether the text ends where the window does.
    pub(super) complete: bool,
}

impl Window {
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            held: 0,
            start: 0,
            complete: false,
        }
    }

    pub(super) fn start(&self) -> u64 {
        self.start
    }

    pub(super) fn len(&self) -> usize {
        self.held
    }

    /// The offset just past the last byte held.
    pub(super) fn end(&self) -> u64 {
        self.start + self.held as u64
    }

    /// The bytes of a range, as far as they are held.
    pub(super) fn slice(&self, from: u64, to: u64) -> &[u8] {
        let to = self.index(to).min(self.held);
        self.bytes.get(self.index(from)..to).unwrap_or_default()
    }

    /// The bytes from an offset on.
    pub(super) fn from(&self, from: u64) -> &[u8] {
        self.bytes
            .get(self.index(from)..self.held)
            .unwrap_or_default()
    }

    pub(super) fn byte(&self, at: u64) -> Option<u8> {
        self.from(at).first().copied()
    }

    /// Reads until `room` more bytes are held, the text ends or its writer makes a pause.
    pub(super) fn fill(&mut self, decoded: &mut Decoded, room: usize) -> Result<(), SourceError> {
        let full = self.held + room;
        let result = loop {
            match self.read(decoded, full) {
                Ok(0) => break Ok(()),
                Ok(count) if decoded.has_drained(count) => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        self.complete |= result.is_err();
        result
    }

    /// Reads once, to hold no more than `full` bytes; 0 if that many are held or the text ends.
    fn read(&mut self, decoded: &mut Decoded, full: usize) -> Result<usize, SourceError> {
        if self.held >= full {
            return Ok(0);
        }
        let room = full.min(self.held + ONE_READ);
        if self.bytes.len() < room {
            self.bytes.resize(full, 0);
        }
        let room = self.bytes.get_mut(self.held..room).unwrap_or_default();
        let result = decoded.read(room);
        let count = *result.as_ref().unwrap_or(&0);
        self.held += count;
        self.complete |= count == 0;
        result
    }

    /// Forgets the bytes before an offset.
    pub(super) fn drop_before(&mut self, from: u64) {
        let count = self.index(from).min(self.held);
        self.bytes.copy_within(count..self.held, 0);
        self.held -= count;
        self.start += count as u64;
    }

    /// Gives away the bytes before an offset, with whatever is behind them, and keeps
    /// the others, in a buffer that was given away before if there is one.
    pub(super) fn give_before(&mut self, from: u64, spare: Option<Vec<u8>>) -> Vec<u8> {
        let count = self.index(from).min(self.held);
        let rest = self.bytes.get(count..self.held).unwrap_or_default();
        let mut kept = spare.unwrap_or_default();
        if kept.len() < rest.len() {
            kept.resize(rest.len(), 0);
        }
        for (to, from) in kept.iter_mut().zip(rest) {
            *to = *from;
        }
        self.held = rest.len();
        self.start += count as u64;
        std::mem::replace(&mut self.bytes, kept)
    }

    fn index(&self, offset: u64) -> usize {
        usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX)
    }
}

/// What has been found in a window and not been handed over.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) spans: Vec<Span>,
    pub(super) rejects: Vec<Reject>,
}

/// Where in the text a record stands.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) line: u64,
}

/// What a splitter stopped for.
pub(super) enum Need {
    /// All of the window is looked through; at the end of the text: it is done.
    Text,
    /// The batch is full.
    HandOver,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.rejects.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.spans.len() >= MOST_RECORDS || self.rejects.len() >= MOST_REJECTS
    }
}

/// A reject that is still growing.
pub(super) struct Spoiled {
    place: Place,
    reason: String,
    bytes: Vec<u8>,
    length: u64,
    /// The length without the blanks at the end.
    solid: u64,
}

impl Spoiled {
    pub(super) fn new(place: Place, reason: String) -> Self {
        Self {
            place,
            reason,
            bytes: Vec::new(),
            length: 0,
            solid: 0,
        }
    }

    pub(super) fn extend(&mut self, stretch: &[u8]) {
        let room = KEPT.saturating_sub(self.bytes.len()).min(stretch.len());
        self.bytes
            .extend_from_slice(stretch.get(..room).unwrap_or_default());
        if let Some(last) = stretch.iter().rposition(|byte| !is_blank(*byte)) {
            self.solid = self.length + last as u64 + 1;
        }
        self.length += stretch.len() as u64;
    }

    pub(super) fn finish(mut self) -> Reject {
        self.bytes
            .truncate(usize::try_from(self.solid).unwrap_or(usize::MAX));
        Reject {
            place: self.place,
            reason: self.reason,
            bytes: self.bytes,
            length: self.solid,
        }
    }
}

/// JSON's white space.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}
