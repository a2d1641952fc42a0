//! Matches in event-time order, whatever their number: past 64 MB they are sorted on disk.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Lines, Seek, Write};

use crate::detect::Match;
use crate::event::{Digest, Time};

/// Takes matches in any order and gives them back in [`Match::order`].
pub struct Sorter {
    buffer: Vec<Match>,
    size: usize,
    limit: usize,
    runs: Vec<File>,
}

impl Default for Sorter {
    fn default() -> Self {
        Self::with_limit(64 << 20)
    }
}

impl Sorter {
    /// Keeps about `limit` bytes in memory.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            buffer: Vec::new(),
            size: 0,
            limit,
            runs: Vec::new(),
        }
    }

    /// Takes matches.
    ///
    /// # Errors
    ///
    /// When a temporary file cannot be written.
    pub fn extend(&mut self, matches: Vec<Match>) -> io::Result<()> {
        for found in matches {
            self.size += found.size();
            self.buffer.push(found);
            if self.size > self.limit {
                self.spill()?;
            }
        }
        Ok(())
    }

    /// Every match in order.
    ///
    /// # Errors
    ///
    /// When a temporary file cannot be read back.
    pub fn sorted(mut self) -> io::Result<Sorted> {
        self.buffer.sort_by_key(Match::order);
        let mut sources = vec![Source::Memory(self.buffer.into_iter())];
        for mut run in self.runs {
            run.rewind()?;
            sources.push(Source::Disk(BufReader::new(run).lines()));
        }
        let mut sorted = Sorted {
            heads: BinaryHeap::new(),
            waiting: sources.iter().map(|_| None).collect(),
            sources,
        };
        for at in 0..sorted.sources.len() {
            sorted.pull(at)?;
        }
        Ok(sorted)
    }

    /// Writes the buffer, sorted, to a temporary file that is gone when the process ends.
    fn spill(&mut self) -> io::Result<()> {
        self.buffer.sort_by_key(Match::order);
        let mut run = BufWriter::new(tempfile::tempfile()?);
        for found in self.buffer.drain(..) {
            serde_json::to_writer(&mut run, &found)?;
            run.write_all(b"\n")?;
        }
        self.size = 0;
        self.runs
            .push(run.into_inner().map_err(io::IntoInnerError::into_error)?);
        Ok(())
    }
}

enum Source {
    Memory(std::vec::IntoIter<Match>),
    Disk(Lines<BufReader<File>>),
}

impl Source {
    fn next(&mut self) -> io::Result<Option<Match>> {
        match self {
            Self::Memory(matches) => Ok(matches.next()),
            Self::Disk(lines) => match lines.next() {
                Some(line) => Ok(Some(serde_json::from_str(&line?)?)),
                None => Ok(None),
            },
        }
    }
}

type Order = (Option<Time>, Digest, u32);

/// The merge of what is in memory and what is on disk.
pub struct Sorted {
    heads: BinaryHeap<Reverse<(Order, usize)>>,
    waiting: Vec<Option<Match>>,
    sources: Vec<Source>,
}

impl Sorted {
    fn pull(&mut self, at: usize) -> io::Result<()> {
        let (Some(source), Some(slot)) = (self.sources.get_mut(at), self.waiting.get_mut(at))
        else {
            return Ok(());
        };
        *slot = source.next()?;
        if let Some(found) = slot {
            self.heads.push(Reverse((found.order(), at)));
        }
        Ok(())
    }
}

impl Iterator for Sorted {
    type Item = io::Result<Match>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((_, at)) = self.heads.pop()?;
        let found = self.waiting.get_mut(at).and_then(Option::take)?;
        match self.pull(at) {
            Ok(()) => Some(Ok(found)),
            Err(error) => Some(Err(error)),
        }
    }
}
