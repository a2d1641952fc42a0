//! Matches in event-time order, whatever their number: past a limit they are sorted on disk.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};

use crate::detect::Match;
use crate::event::{Digest, Time};

/// Takes matches in any order and gives them back in [`Match::order`].
pub struct Sorter {
    buffer: Vec<Match>,
    size: usize,
    limit: usize,
    runs: Vec<File>,
}

/// How many bytes of matches stay in memory. A whole run is to fit in 64 MB
/// and its windows, so that the sorter gets a small part of it.
const LIMIT: usize = 8 << 20;

/// So many sorted files are merged into one: a process has a thousand or so at the most.
const MAX_RUNS: usize = 128;

impl Default for Sorter {
    fn default() -> Self {
        Self::with_limit(LIMIT)
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
        self.buffer.sort_by(Match::compare);
        merge(self.buffer, self.runs)
    }

    /// Sorts the buffer into a file that is gone when the process ends.
    fn spill(&mut self) -> io::Result<()> {
        self.size = 0;
        self.buffer.sort_by(Match::compare);
        let run = write(self.buffer.drain(..).map(Ok))?;
        self.runs.push(run);
        if self.runs.len() >= MAX_RUNS {
            let merged = write(merge(Vec::new(), std::mem::take(&mut self.runs))?)?;
            self.runs.push(merged);
        }
        Ok(())
    }
}

fn write(matches: impl Iterator<Item = io::Result<Match>>) -> io::Result<File> {
    let mut run = BufWriter::new(tempfile::tempfile()?);
    let mut packed = Vec::new();
    for found in matches {
        packed.clear();
        found?.pack(&mut packed);
        let length = u32::try_from(packed.len()).map_err(io::Error::other)?;
        run.write_all(&length.to_le_bytes())?;
        run.write_all(&packed)?;
    }
    run.into_inner().map_err(io::IntoInnerError::into_error)
}

fn merge(sorted: Vec<Match>, runs: Vec<File>) -> io::Result<Sorted> {
    let mut sources = vec![Source::Memory(sorted.into_iter())];
    for mut run in runs {
        run.rewind()?;
        sources.push(Source::Disk(Run::new(run)));
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

enum Source {
    Memory(std::vec::IntoIter<Match>),
    Disk(Run),
}

impl Source {
    fn next(&mut self) -> io::Result<Option<Match>> {
        match self {
            Self::Memory(matches) => Ok(matches.next()),
            Self::Disk(run) => run.next(),
        }
    }
}

/// A file of sorted matches, each behind its length.
struct Run {
    file: BufReader<File>,
    packed: Vec<u8>,
}

impl Run {
    fn new(file: File) -> Self {
        Self {
            file: BufReader::new(file),
            packed: Vec::new(),
        }
    }

    fn next(&mut self) -> io::Result<Option<Match>> {
        if self.file.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut length = [0; size_of::<u32>()];
        self.file.read_exact(&mut length)?;
        self.packed.resize(u32::from_le_bytes(length) as usize, 0);
        self.file.read_exact(&mut self.packed)?;
        let found = Match::unpack(&self.packed);
        found
            .map(Some)
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Match;

    fn found(second: u32, text: &str) -> Match {
        let time = Time::parse(&format!("2026-01-01T00:00:{second:02}Z"));
        Match::sample(time, text)
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]
        /// Whatever fits in memory, the order and the matches are the same.
        #[test]
        fn sorting_on_disk_is_sorting(seconds in proptest::collection::vec(0..60_u32, 0..300), limit in 1..20_000_usize) {
            let matches: Vec<Match> = seconds.iter().enumerate().map(|(at, second)| found(*second, &at.to_string())).collect();
            let mut sorter = Sorter::with_limit(limit);
            sorter.extend(matches.clone()).expect("a temporary file");
            let sorted: Vec<Match> = sorter.sorted().expect("readable").collect::<io::Result<_>>().expect("readable");
            let mut expected = matches;
            expected.sort_by_key(Match::order);
            proptest::prop_assert_eq!(sorted, expected);
        }
    }
}
