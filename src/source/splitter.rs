//! Which of the two modes a text is read in.

use memchr::memchr;

use super::brackets::is_one_object;
use super::lines::Lines;
use super::structure::{Line, Structure};
use super::window::{Batch, Need, Window};
use super::{Limits, Place};

/// Finds the records of one text; which way is decided by its first line that is not blank.
pub(super) enum Splitter {
    Undecided(Opening),
    Lines(Lines),
    Structure(Box<Structure>),
}

impl Splitter {
    /// A splitter of the text that starts at the offset `at`, in the input with this number.
    pub(super) fn new(input: u32, at: u64) -> Self {
        let line = Line {
            number: 1,
            start: at,
            indent: None,
        };
        Self::Undecided(Opening {
            input,
            at,
            line,
            searched: at,
        })
    }

    /// Looks through the window and adds what it finds to the batch.
    pub(super) fn split(&mut self, window: &Window, batch: &mut Batch, limits: Limits) -> Need {
        if let Self::Undecided(opening) = self
            && let Some(decided) = opening.decide(window, limits)
        {
            *self = decided;
        }
        match self {
            Self::Undecided(_) => Need::Text,
            Self::Lines(lines) => lines.split(window, batch),
            Self::Structure(structure) => structure.split(window, batch),
        }
    }

    /// The offset from which on the text is still needed.
    pub(super) fn needs_from(&self) -> u64 {
        match self {
            Self::Undecided(opening) => opening.at,
            Self::Lines(lines) => lines.needs_from(),
            Self::Structure(structure) => structure.needs_from(),
        }
    }
}

/// The start of a text, as far as it has been looked at.
pub(super) struct Opening {
    input: u32,
    at: u64,
    line: Line,
    /// Up to where no end of the first line has been found.
    searched: u64,
}

impl Opening {
    /// The splitter to go on with; none as long as it takes more text to know.
    fn decide(&mut self, window: &Window, limits: Limits) -> Option<Splitter> {
        loop {
            match window.byte(self.at)? {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\n' => {
                    self.at += 1;
                    self.line.next(self.at);
                }
                b'{' => break,
                _ => return Some(self.structure(limits)),
            }
        }
        let most = self
            .at
            .saturating_add(limits.record as u64)
            .saturating_add(1);
        self.searched = self.searched.max(self.at);
        let ahead = window.slice(self.searched, most);
        let end = match memchr(b'\n', ahead) {
            Some(length) => self.searched + length as u64,
            None if window.end() >= most => return Some(self.structure(limits)),
            None if window.complete => window.end(),
            None => {
                self.searched = window.end();
                return None;
            }
        };
        Some(if is_one_object(window.slice(self.at, end)) {
            let place = Place {
                input: self.input,
                line: self.line.number,
            };
            Splitter::Lines(Lines::new(place, self.at, limits))
        } else {
            self.structure(limits)
        })
    }

    fn structure(&self, limits: Limits) -> Splitter {
        Splitter::Structure(Box::new(Structure::new(
            self.input, self.at, self.line, limits,
        )))
    }
}
