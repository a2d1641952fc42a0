//! One input from its first byte to its last, as chunks.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::error::SourceError;
use super::open::{Decoded, open};
use super::splitter::Splitter;
use super::taken::Taken;
use super::window::{Batch, Need, Window};
use super::{Chunk, Input, Limits, Spares};

/// The chunks of one input, and at the end the error that cut it short, if one did.
pub(super) struct Stream {
    number: u32,
    decoded: Decoded,
    limits: Limits,
    spares: Spares,
    window: Window,
    splitter: Splitter,
    batch: Batch,
    /// Up to where the text has been handed over.
    handed: u64,
    done: bool,
    failure: Option<SourceError>,
}

impl Stream {
    /// Opens the input with the given number and reads as much as it takes to see a byte order
    /// mark.
    pub(super) fn open(
        number: u32,
        input: &Input,
        limits: Limits,
        spares: &Spares,
        progress: &Arc<AtomicU64>,
        taken: Option<&Taken>,
    ) -> Result<Self, SourceError> {
        let mut stream = Self {
            number,
            decoded: open(input, progress, taken)?,
            limits,
            spares: spares.clone(),
            window: Window::new(),
            splitter: Splitter::new(number, 0),
            batch: Batch::default(),
            handed: 0,
            done: false,
            failure: None,
        };
        while stream.window.len() < 3 && !stream.window.complete {
            stream.fill();
        }
        match stream.window.from(0) {
            [0xef, 0xbb, 0xbf, ..] => stream.splitter = Splitter::new(number, 3),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Err(stream.decoded.utf16()),
            _ => {}
        }
        Ok(stream)
    }

    fn chunk(&mut self) -> Option<Chunk> {
        while !self.done {
            match self
                .splitter
                .split(&self.window, &mut self.batch, self.limits)
            {
                Need::HandOver => return Some(self.hand_over()),
                Need::Text if self.window.complete => self.done = true,
                Need::Text if self.batch.is_empty() => self.fill(),
                Need::Text => return Some(self.hand_over()),
            }
        }
        (self.handed < self.window.end() || !self.batch.is_empty()).then(|| self.hand_over())
    }

    /// Reads on: up to a whole chunk, or a good deal more of a record that is larger.
    fn fill(&mut self) {
        self.window.drop_before(self.splitter.needs_from());
        let held = self.window.len();
        let room = match self.limits.chunk.checked_sub(held) {
            Some(room) if room > 0 => room,
            _ => self.limits.chunk.max(held / 4).max(1),
        };
        if let Err(error) = self.window.fill(&mut self.decoded, room) {
            self.failure = Some(error);
        }
    }

    fn hand_over(&mut self) -> Chunk {
        let from = self.splitter.needs_from();
        let start = self.window.start();
        let text = self.window.give_before(from, self.spares.take());
        let batch = std::mem::take(&mut self.batch);
        let bytes = from - self.handed;
        self.handed = from;
        Chunk {
            input: self.number,
            start,
            text,
            spares: self.spares.clone(),
            batch,
            bytes,
        }
    }
}

impl Iterator for Stream {
    type Item = Result<Chunk, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.chunk()
            .map(Ok)
            .or_else(|| self.failure.take().map(Err))
    }
}
