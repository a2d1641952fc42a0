//! Segments: the files of a log, one a day, and their lines one at a time.

use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::audit::AuditError;
use crate::audit::disk::Disk;
use crate::audit::record::BATCH;
use crate::event::{Nanos, Time};

/// A file of the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    /// The day that it is called by, as `2026-11-22`.
    pub(super) date: String,
    pub(super) path: PathBuf,
    /// When the day ends.
    pub(super) end: i64,
}

impl Segment {
    pub(super) fn of(folder: &Path, date: &str) -> Self {
        Self {
            date: date.to_owned(),
            path: folder.join(format!("{date}.jsonl")),
            end: begin(date).map_or(i64::MAX, |begin| begin.plus(Nanos::DAY).0),
        }
    }

    /// Whether a later day has come.
    pub(super) fn is_over(&self, now: Time) -> bool {
        now.0 >= self.end
    }
}

/// The day of a moment, in UTC.
pub(super) fn date_of(time: Time) -> String {
    time.to_string().chars().take(10).collect()
}

/// The segments of a log in their order, which is that of their names.
pub(super) fn segments(disk: &dyn Disk, folder: &Path) -> Result<Vec<Segment>, AuditError> {
    let names = match disk.names(folder) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(AuditError::NoLog(folder.to_owned()));
        }
        Err(error) => return Err(AuditError::io(folder)(error)),
    };
    let dates = names.iter().filter_map(|name| name.strip_suffix(".jsonl"));
    let mut segments: Vec<Segment> = dates
        .filter(|date| is_date(date))
        .map(|date| Segment::of(folder, date))
        .collect();
    segments.sort();
    Ok(segments)
}

/// Whether a text is a day as segments are called by.
pub(super) fn is_date(text: &str) -> bool {
    begin(text).is_some_and(|time| date_of(time) == text)
}

fn begin(date: &str) -> Option<Time> {
    Time::parse(&format!("{date}T00:00:00Z"))
}

/// The lines of a file, each as it comes, the last one perhaps without an end.
pub(super) struct Lines {
    file: BufReader<Box<dyn Read + Send>>,
    line: Vec<u8>,
}

/// What stands on a line.
pub(super) enum Found<'l> {
    /// A line, without its line break.
    Line(&'l [u8]),
    /// Bytes with no line break behind them, or too many for a line.
    Open(&'l [u8]),
}

impl Found<'_> {
    /// How many bytes of the file it is.
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Line(line) => line.len() as u64 + 1,
            Self::Open(bytes) => bytes.len() as u64,
        }
    }
}

impl Lines {
    pub(super) fn new(file: Box<dyn Read + Send>) -> Self {
        Self {
            file: BufReader::with_capacity(256 << 10, file),
            line: Vec::new(),
        }
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Found<'_>>> {
        self.line.clear();
        let limit = BATCH as u64 + 1;
        let mut limited = (&mut self.file).take(limit);
        limited.read_until(b'\n', &mut self.line)?;
        Ok(match self.line.split_last() {
            None => None,
            Some((b'\n', line)) => Some(Found::Line(line)),
            Some(_) => Some(Found::Open(&self.line)),
        })
    }
}
