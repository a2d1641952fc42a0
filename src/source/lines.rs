//! Line mode: every line that is not blank is one record.

use memchr::memchr;

use super::window::{Batch, Need, Span, Spoiled, Window, is_blank};
use super::{Limits, Place};

/// Splits a text at its line ends; what a line holds is not looked at.
pub(super) struct Lines {
    input: u32,
    limits: Limits,
    /// Where the current line starts, or the part of it that is still needed.
    start: u64,
    /// Up to where no line end has been found.
    searched: u64,
    line: u64,
    /// The current line, if it is beyond the limit.
    spoiled: Option<Spoiled>,
}

impl Lines {
    /// Starts with the line at `place`, from the offset `start` on.
    pub(super) fn new(place: Place, start: u64, limits: Limits) -> Self {
        let Place { input, line } = place;
        Self {
            input,
            limits,
            start,
            searched: start,
            line,
            spoiled: None,
        }
    }

    pub(super) fn split(&mut self, window: &Window, batch: &mut Batch) -> Need {
        while !batch.is_full() {
            let Some(length) = memchr(b'\n', window.from(self.searched)) else {
                self.pause(window, batch);
                return Need::Text;
            };
            self.end_line(self.searched + length as u64, window, batch);
        }
        Need::HandOver
    }

    /// The offset from which on the text is still needed.
    pub(super) fn needs_from(&self) -> u64 {
        self.start
    }

    fn end_line(&mut self, end: u64, window: &Window, batch: &mut Batch) {
        self.take_line(end, window, batch);
        self.start = end + 1;
        self.searched = self.start;
        self.line += 1;
    }

    /// Notes what there is of a line that goes on beyond the window, or ends with the text.
    fn pause(&mut self, window: &Window, batch: &mut Batch) {
        let end = window.end();
        if window.complete {
            self.take_line(end, window, batch);
            self.start = end;
        } else if self.spoiled.is_some() || self.is_long(end) {
            self.spoil(end, window);
            self.start = end;
        }
        self.searched = end;
    }

    fn take_line(&mut self, end: u64, window: &Window, batch: &mut Batch) {
        if self.spoiled.is_some() || self.is_long(end) {
            self.spoil(end, window);
            let reject = self.spoiled.take().map(Spoiled::finish);
            batch
                .rejects
                .extend(reject.filter(|reject| reject.length > 0));
        } else {
            batch.spans.extend(self.record(end, window));
        }
    }

    /// The line without the blanks around it; none if nothing is left.
    fn record(&self, end: u64, window: &Window) -> Option<Span> {
        let text = window.slice(self.start, end);
        let first = text.iter().position(|byte| !is_blank(*byte))?;
        let last = text.iter().rposition(|byte| !is_blank(*byte))?;
        let (start, end) = (self.start + first as u64, self.start + last as u64 + 1);
        Some(Span {
            start,
            end,
            line: self.line,
        })
    }

    fn is_long(&self, end: u64) -> bool {
        end - self.start > self.limits.record as u64
    }

    fn spoil(&mut self, end: u64, window: &Window) {
        let place = Place {
            input: self.input,
            line: self.line,
        };
        let reason = self.limits.too_long();
        self.spoiled
            .get_or_insert_with(|| Spoiled::new(place, reason))
            .extend(window.slice(self.start, end));
    }
}
