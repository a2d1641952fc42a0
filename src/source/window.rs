//! What is held of a text at one time, and what has been found in it.

use super::error::SourceError;
use super::open::Decoded;
use super::{Place, Reject};

/// Bytes to ask a reader for at once: what a pipe holds; room for more is cleared for nothing.
const ONE_READ: usize = 64 << 10;
/// Records in one chunk at most, so that tiny ones do not cost more than their text.
const MOST_RECORDS: usize = 64 << 10;
/// Rejects in one chunk at most, for the same reason.
const MOST_REJECTS: usize = 8 << 10;
/// Bytes of a reject that are kept.
const KEPT: usize = 64 << 10;

/// A stretch of a text, addressed by offsets from the start of that text.
pub(super) struct Window {
    bytes: Vec<u8>,
    /// The offset of the first byte held.
    start: u64,
    /// Whether the text ends where the window does.
    pub(super) complete: bool,
}

impl Window {
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            complete: false,
        }
    }

    pub(super) fn start(&self) -> u64 {
        self.start
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The offset just past the last byte held.
    pub(super) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// The bytes of a range, as far as they are held.
    pub(super) fn slice(&self, from: u64, to: u64) -> &[u8] {
        let to = self.index(to).min(self.bytes.len());
        self.bytes.get(self.index(from)..to).unwrap_or_default()
    }

    /// The bytes from an offset on.
    pub(super) fn from(&self, from: u64) -> &[u8] {
        self.bytes.get(self.index(from)..).unwrap_or_default()
    }

    pub(super) fn byte(&self, at: u64) -> Option<u8> {
        self.bytes.get(self.index(at)).copied()
    }

    /// Reads until `room` more bytes are held, the text ends or its writer makes a pause.
    pub(super) fn fill(&mut self, decoded: &mut Decoded, room: usize) -> Result<(), SourceError> {
        self.bytes.reserve_exact(room);
        let full = self.bytes.len() + room;
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
        let held = self.bytes.len();
        if held >= full {
            return Ok(0);
        }
        self.bytes.resize(full.min(held + ONE_READ), 0);
        let result = decoded.read(self.bytes.get_mut(held..).unwrap_or_default());
        let count = *result.as_ref().unwrap_or(&0);
        self.bytes.truncate(held + count);
        self.complete |= count == 0;
        result
    }

    /// Forgets the bytes before an offset.
    pub(super) fn drop_before(&mut self, from: u64) {
        let count = self.index(from).min(self.bytes.len());
        self.bytes.drain(..count);
        self.start += count as u64;
    }

    /// Gives away the bytes before an offset and keeps the others.
    pub(super) fn give_before(&mut self, from: u64, capacity: usize) -> Vec<u8> {
        let count = self.index(from).min(self.bytes.len());
        let rest = self.bytes.get(count..).unwrap_or_default();
        let mut kept = Vec::with_capacity(capacity.max(rest.len()));
        kept.extend_from_slice(rest);
        let mut given = std::mem::replace(&mut self.bytes, kept);
        given.truncate(count);
        self.start += count as u64;
        given
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
