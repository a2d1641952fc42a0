//! What can go wrong before a record is reached; each error names its input.

use std::io;

use crate::visible::reason;

/// Why an input cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message shows its fields")]
pub enum SourceError {
    /// A path without glob characters that names nothing.
    #[error("`{path}`: no such file")]
    NoSuchFile { path: String },
    /// A glob that no file answers to; hidden files answer only to a glob with a `.` in their place.
    #[error("`{pattern}` matches no file")]
    NoMatch { pattern: String },
    /// A word with glob characters that is neither a file nor a well-formed glob.
    #[error("`{pattern}` is not a valid glob: {reason}")]
    Pattern { pattern: String, reason: String },
    /// A directory was given, or a glob matched directories alone.
    #[error("`{path}` is a directory; give a glob such as `{path}/*.ndjson`")]
    Directory { path: String },
    /// A FIFO, a socket or a device: something that could block for ever.
    #[error("`{path}` is a {kind} and not a regular file; pipe it in and give `-`")]
    NotRegular { path: String, kind: &'static str },
    /// Standard input can be read once only.
    #[error("`-` (standard input) is given more than once")]
    StdinTwice,
    /// A directory that a glob leads into cannot be listed.
    #[error("`{path}`: cannot list the directory: {}", reason(source))]
    List { path: String, source: io::Error },
    /// The input is there and cannot be opened.
    #[error("`{input}`: cannot open: {}", reason(source))]
    Open { input: String, source: io::Error },
    /// The operating system failed to read on; the records before are delivered.
    #[error("`{input}`: cannot read: {}", reason(source))]
    Read { input: String, source: io::Error },
    /// Compressed data ends too early; the whole records before are delivered.
    #[error("`{input}`: the {format} data is cut off")]
    Truncated { input: String, format: &'static str },
    /// Compressed data is damaged; the whole records before are delivered, save for at most the
    /// last 8 KiB of text before the damage.
    #[error("`{input}`: the {format} data is corrupt: {reason}")]
    Corrupt {
        input: String,
        format: &'static str,
        reason: String,
    },
    /// A byte order mark says UTF-16, which is not JSON's encoding.
    #[error(
        "`{input}` is UTF-16 text; convert it to UTF-8 first: `iconv -f UTF-16 -t UTF-8 < in > out`"
    )]
    Utf16 { input: String },
}
