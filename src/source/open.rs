//! From an input to its text: checked to be a regular file, opened, decompressed.
//!
//! The format is told from the first bytes and never from the name.

use std::fs::{self, File, FileType, Metadata};
use std::io::{self, BufRead as _, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::Input;
use super::error::SourceError;
use super::tail::Tail;
use super::taken::{Sum, Taken};

/// Bytes of compressed data read from an input at once.
const COMPRESSED_READ: usize = 64 << 10;

/// Bytes decompressed at once. A decoder that meets damage drops what the same call has
/// produced already, so this bounds the text that damage takes with it. It is the same
/// for all reads, whatever room they have, so that the text of an input is too.
const DECODED_READ: usize = 8 << 10;

/// A file that grows is looked at so often.
const PAUSE: Duration = Duration::from_millis(100);

/// A pipe that gives less than this in one read has been drained.
const PIPE_CAPACITY: usize = 64 << 10;

/// The text of one input.
pub(super) struct Decoded {
    reader: Box<dyn Read + Send>,
    format: Format,
    name: String,
    live: Option<Live>,
}

/// An input whose writer may be slower than we are.
enum Live {
    Pipe,
    /// A file, and whether its end was met.
    Growing(Arc<AtomicBool>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Plain,
    Gzip,
    Zstd,
}

/// Opens an input; the bytes read from it, before decompression, are added to `progress`, and
/// what they were to `taken`, if somebody wants to know.
pub(super) fn open(
    input: &Input,
    progress: &Arc<AtomicU64>,
    taken: Option<&Taken>,
) -> Result<Decoded, SourceError> {
    let name = input.name();
    let (raw, live): (Box<dyn Read + Send>, Option<Live>) = match input {
        Input::File(path) => (Box::new(open_file(path)?), None),
        Input::Growing(path) => {
            let tail = Tail::open(path, open_file(path)?, PAUSE);
            let drained = tail.drained();
            (Box::new(tail), Some(Live::Growing(drained)))
        }
        Input::Stdin => (Box::new(io::stdin()), Some(Live::Pipe)),
        Input::Remote(remote) => {
            let text = remote.take().map_err(|source| SourceError::Open {
                input: name.clone(),
                source,
            })?;
            (text, None)
        }
        Input::Memory { bytes, .. } => (Box::new(Cursor::new(Arc::clone(bytes))), None),
    };
    let mut raw = Counted {
        inner: raw,
        progress: Arc::clone(progress),
        sum: taken.map(|taken| Sum::new(name.clone(), taken)),
    };
    let failed = |source| SourceError::Open {
        input: name.clone(),
        source,
    };
    let mut magic = Vec::with_capacity(4);
    raw.by_ref()
        .take(4)
        .read_to_end(&mut magic)
        .map_err(failed)?;
    let format = Format::of(&magic);
    let whole = Cursor::new(magic).chain(raw);
    let reader = format.decoder(whole).map_err(failed)?;
    let live = live.filter(|_| format == Format::Plain);
    Ok(Decoded {
        reader,
        format,
        name,
        live,
    })
}

/// How the regular file at `path` is compressed; nothing where it is not, or cannot be read.
pub(super) fn compression(path: &Path) -> Option<&'static str> {
    let mut magic = Vec::with_capacity(4);
    let file = open_file(path).ok()?;
    file.take(4).read_to_end(&mut magic).ok()?;
    Format::of(&magic).name()
}

/// The metadata of the regular file at `path`; links are followed.
pub(super) fn regular_file(path: &Path) -> Result<Metadata, SourceError> {
    let name = path.display().to_string();
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(SourceError::NoSuchFile { path: name });
        }
        Err(source) => {
            return Err(SourceError::Open {
                input: name,
                source,
            });
        }
    };
    if metadata.is_dir() {
        let path = name.trim_end_matches('/').to_owned();
        return Err(SourceError::Directory { path });
    }
    if !metadata.is_file() {
        return Err(SourceError::NotRegular {
            path: name,
            kind: kind(metadata.file_type()),
        });
    }
    Ok(metadata)
}

impl Decoded {
    /// Reads some text into `room`; 0 means that the text is at its end.
    pub(super) fn read(&mut self, room: &mut [u8]) -> Result<usize, SourceError> {
        loop {
            match self.reader.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map_err(|error| self.failure(error)),
            }
        }
    }

    /// Whether a read of `count` bytes shows a writer that is slower than we are, so that what
    /// has come should be worked on before waiting for more.
    pub(super) fn has_drained(&self, count: usize) -> bool {
        match &self.live {
            None => false,
            Some(Live::Pipe) => count < PIPE_CAPACITY,
            Some(Live::Growing(drained)) => drained.load(Ordering::Acquire),
        }
    }

    /// The error for text that is in UTF-16.
    pub(super) fn utf16(&self) -> SourceError {
        SourceError::Utf16 {
            input: self.name.clone(),
        }
    }

    fn failure(&self, error: io::Error) -> SourceError {
        let input = self.name.clone();
        match self.format.name() {
            Some(format) if error.raw_os_error().is_none() => match error.kind() {
                io::ErrorKind::UnexpectedEof => SourceError::Truncated { input, format },
                _ => SourceError::Corrupt {
                    input,
                    format,
                    reason: error.to_string(),
                },
            },
            _ => SourceError::Read {
                input,
                source: error,
            },
        }
    }
}

impl Format {
    /// The format that starts with these bytes. A zstd stream may start with a skippable frame.
    fn of(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Self::Zstd,
            _ => Self::Plain,
        }
    }

    fn name(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    /// The reader of the text inside; both decoders go on over members and frames. A zstd frame
    /// may ask for a window of up to 128 MiB, the decoder's own limit, and is corrupt beyond.
    fn decoder(self, raw: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
        let buffered = |raw| BufReader::with_capacity(COMPRESSED_READ, raw);
        Ok(match self {
            Self::Plain => Box::new(raw),
            Self::Gzip => Box::new(Steady::new(flate2::bufread::MultiGzDecoder::new(buffered(
                raw,
            )))),
            Self::Zstd => Box::new(Steady::new(zstd::stream::read::Decoder::with_buffer(
                buffered(raw),
            )?)),
        })
    }
}

/// A reader that asks for [`DECODED_READ`] bytes whoever asks it, unlike a buffered
/// one that passes large requests on.
struct Steady<R>(BufReader<R>);

impl<R: Read> Steady<R> {
    fn new(inner: R) -> Self {
        Self(BufReader::with_capacity(DECODED_READ, inner))
    }
}

impl<R: Read> Read for Steady<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.0.fill_buf()?.read(room)?;
        self.0.consume(count);
        Ok(count)
    }
}

fn open_file(path: &Path) -> Result<File, SourceError> {
    regular_file(path)?;
    File::open(path).map_err(|source| SourceError::Open {
        input: path.display().to_string(),
        source,
    })
}

#[cfg(unix)]
fn kind(file_type: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if file_type.is_fifo() {
        "FIFO"
    } else if file_type.is_socket() {
        "socket"
    } else {
        "device"
    }
}

#[cfg(not(unix))]
fn kind(_: FileType) -> &'static str {
    "special file"
}

/// A reader that tells how far it has come.
struct Counted<R> {
    inner: R,
    progress: Arc<AtomicU64>,
    sum: Option<Sum>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(room)?;
        self.progress.fetch_add(count as u64, Ordering::Relaxed);
        if let Some(sum) = &mut self.sum {
            sum.add(room.get(..count).unwrap_or_default());
        }
        Ok(count)
    }
}
