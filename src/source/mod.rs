//! Files and standard input, as chunks of raw JSON records.
//!
//! ```text
//! words ─expand▶ Input ─open▶ text ─splitter▶ lines | structure ─▶ Chunk ─▶ Record, Reject
//! ```
//!
//! Compression is told from the content: gzip with any number of members, zstd with any number of
//! frames, or none. The text is UTF-8, with or without a byte order mark. If its first line that
//! is not blank is one whole object, every line is one record, whatever it holds (line mode).
//! Otherwise the text is a sequence of JSON values and the records are its objects and the
//! elements of its arrays, however they are laid out (structural mode). Nothing here parses a
//! record: a line, or an element of an array, that is no event is delivered all the same.
//!
//! What is held at a time is one chunk and one record beyond it, not the input.
//!
//! ```
//! use rulectl::source::{Input, Reader};
//!
//! let text = b"[{\"n\": 1},\n {\"n\": 2}]";
//! let input = Input::Memory { name: "two".to_owned(), bytes: text.as_slice().into() };
//! let mut lines = Vec::new();
//! for chunk in Reader::new(vec![input]) {
//!     lines.extend(chunk?.records().map(|record| record.place.line));
//! }
//! assert_eq!(lines, [1, 2]);
//! # Ok::<(), rulectl::source::SourceError>(())
//! ```

mod brackets;
mod error;
mod expand;
mod lines;
mod open;
mod remote;
mod splitter;
mod stream;
mod structure;
mod tail;
mod taken;
mod window;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub use error::SourceError;
pub use expand::expand;
pub use remote::Remote;
pub use taken::{InputRead, Taken};

use stream::Stream;
use window::{Batch, Span};

/// Reads the inputs one after the other, each to its end.
///
/// An input that cannot be read, or not to its end, gives what was whole in it, then the error;
/// reading goes on with the next input. Records of two inputs never share a chunk.
pub struct Reader {
    inputs: Vec<Input>,
    limits: Limits,
    spares: Spares,
    /// How many inputs have been opened.
    opened: usize,
    current: Option<Stream>,
    progress: Arc<AtomicU64>,
    taken: Option<Taken>,
    total: Option<u64>,
}

/// One thing to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A regular file; links are followed.
    File(PathBuf),
    /// A regular file that grows, which is read on at its end and has none: see [`Input::growing`].
    Growing(PathBuf),
    /// Standard input; what comes in slowly is delivered in smaller chunks and not held back.
    Stdin,
    /// What comes from elsewhere, and is read once.
    Remote(Remote),
    /// Bytes at hand, which may be compressed like those of a file.
    Memory {
        /// What messages call it.
        name: String,
        /// The bytes.
        bytes: Arc<[u8]>,
    },
}

/// How much to hold, in bytes of decompressed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The text of one chunk, about. Changes no record and no reject.
    pub chunk: usize,
    /// The longest record; a longer one is rejected.
    pub record: usize,
}

/// A block of whole records, about [`Limits::chunk`] bytes of text, or one larger record.
///
/// A chunk may hold rejects alone, or nothing when the text was blank.
pub struct Chunk {
    input: u32,
    /// The offset of `text` in the text of the input.
    start: u64,
    text: Vec<u8>,
    spares: Spares,
    batch: Batch,
    bytes: u64,
}

/// One JSON value, not parsed, without the blanks around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it begins.
    pub place: Place,
    /// Its text.
    pub bytes: &'a [u8],
    /// How much text of its input is before it, decompressed.
    pub offset: u64,
}

/// A stretch of input that is no record, e.g. too long or unbalanced; kept so that nothing is
/// lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Where it begins.
    pub place: Place,
    /// What is wrong, for a person.
    pub reason: String,
    /// The first 64 KiB of the stretch.
    pub bytes: Vec<u8>,
    /// The bytes in the whole stretch, without the blanks at its end. 0 if only something between
    /// records is missing, such as a `,` or the `]` of an array that is cut off.
    pub length: u64,
}

/// Where a record stands: which input, and the line its first byte is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Index into [`Reader::inputs`].
    pub input: u32,
    /// Counted from 1, in the decompressed text.
    pub line: u64,
}

impl Reader {
    /// A reader with the usual limits.
    pub fn new(inputs: Vec<Input>) -> Self {
        Self::with_limits(inputs, Limits::default())
    }

    /// A reader with limits of its own; the usual ones are [`Limits::default`].
    pub fn with_limits(inputs: Vec<Input>, limits: Limits) -> Self {
        let total = inputs.iter().map(Input::size).sum();
        Self {
            inputs,
            limits,
            spares: Spares::default(),
            opened: 0,
            current: None,
            progress: Arc::default(),
            taken: None,
            total,
        }
    }

    /// What is read, in order; a [`Place`] counts from the start of this.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// From now on what is read is told by its digest too: what this gives is filled input by
    /// input.
    pub fn taken(&mut self) -> Taken {
        self.taken.get_or_insert_default().clone()
    }

    /// Bytes read so far, before decompression, over all inputs.
    pub fn read_so_far(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    /// Bytes to read in all, before decompression; none if the size of an input is not known.
    pub fn total(&self) -> Option<u64> {
        self.total
    }
}

impl Iterator for Reader {
    type Item = Result<Chunk, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.current.as_mut().and_then(Stream::next) {
                return Some(item);
            }
            self.current = None;
            let input = self.inputs.get(self.opened)?;
            let number = u32::try_from(self.opened).unwrap_or(u32::MAX);
            self.opened += 1;
            let stream = Stream::open(
                number,
                input,
                self.limits,
                &self.spares,
                &self.progress,
                self.taken.as_ref(),
            );
            match stream {
                Ok(stream) => self.current = Some(stream),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Input {
    /// The name to show: the path as given, `<stdin>`, or the name of the bytes.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) | Self::Growing(path) => path.display().to_string(),
            Self::Stdin => "<stdin>".to_owned(),
            Self::Remote(remote) => remote.name().to_owned(),
            Self::Memory { name, .. } => name.clone(),
        }
    }

    /// The same input as a file that grows, where it is a file. What takes its name, or it holds
    /// after it was cut, goes on from what it held.
    #[must_use]
    pub fn growing(self) -> Self {
        match self {
            Self::File(path) => Self::Growing(path),
            other => other,
        }
    }

    /// How a file is compressed, told from its first bytes; nothing where it is text, or not there.
    #[must_use]
    pub fn compression(&self) -> Option<&'static str> {
        match self {
            Self::File(path) | Self::Growing(path) => open::compression(path),
            Self::Stdin | Self::Remote(_) | Self::Memory { .. } => None,
        }
    }

    fn size(&self) -> Option<u64> {
        match self {
            Self::File(path) => open::regular_file(path).ok().map(|metadata| metadata.len()),
            Self::Growing(_) | Self::Stdin | Self::Remote(_) => None,
            Self::Memory { bytes, .. } => Some(bytes.len() as u64),
        }
    }
}

impl Chunk {
    /// The records, in the order of the text.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.batch.spans.iter().map(|span| self.record(*span))
    }

    /// What is no record, in the order of the text.
    pub fn rejects(&self) -> &[Reject] {
        &self.batch.rejects
    }

    /// The input that it is of: an index into [`Reader::inputs`].
    pub fn input(&self) -> u32 {
        self.input
    }

    /// Bytes of decompressed text used up since the chunk before, blanks and rejects included;
    /// over all chunks of an input they add up to its text.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn record(&self, span: Span) -> Record<'_> {
        let index = |offset: u64| usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        let bytes = self
            .text
            .get(index(span.start)..index(span.end))
            .unwrap_or_default();
        Record {
            place: Place {
                input: self.input,
                line: span.line,
            },
            bytes,
            offset: span.start,
        }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.spares.give_back(std::mem::take(&mut self.text));
    }
}

/// Buffers of chunks that are done with, to be used again.
#[derive(Clone, Default)]
struct Spares(Arc<Mutex<Vec<Vec<u8>>>>);

impl Spares {
    /// So many are kept; as many chunks are under way as there are threads, or a few more.
    const MOST: usize = 8;
    /// One that had to hold a huge record is let go.
    const LARGEST: usize = 4 << 20;

    fn take(&self) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give_back(&self, buffer: Vec<u8>) {
        let mut spares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spares.len() < Self::MOST && buffer.len() <= Self::LARGEST {
            spares.push(buffer);
        }
    }
}

impl Default for Limits {
    /// 1 MiB of text a chunk, so that threads seldom wait for each other to read one, and
    /// 2 MiB a record: reading one takes up to thirty times its size.
    fn default() -> Self {
        Self {
            chunk: 1 << 20,
            record: 2 << 20,
        }
    }
}

impl Limits {
    /// The reason of a reject beyond the record limit.
    fn too_long(self) -> String {
        let (size, unit) = match self.record {
            size if size >= 1 << 20 && size.is_multiple_of(1 << 20) => (size >> 20, "MiB"),
            size if size >= 1 << 10 && size.is_multiple_of(1 << 10) => (size >> 10, "KiB"),
            size => (size, "bytes"),
        };
        format!("record is longer than {size} {unit}")
    }
}
