//! The audit: what came in, what was decided and what was done, in a form that proves itself.
//!
//! A log is a folder of daily segments, a record a line, each record naming the hash of the one
//! before ([`record`]). [`Audit`] writes it: many threads append, and whoever commits first writes
//! and syncs for all. Large or short-lived bodies stand beside it and are named by their digest
//! ([`Body`]), so that they can be destroyed without breaking the chain. [`Checkpoint`]s say how
//! long the log is; a copy kept elsewhere is a pin.
//!
//! The audit knows no stage: the kind of a record is a word, and its body is what the stage says.

mod blobs;
pub mod canonical;
mod checkpoint;
mod disk;
mod key;
mod log;
mod prune;
mod read;
pub mod record;
mod recover;
mod segment;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;
mod verify;

pub use self::blobs::{Body, BodyError, MAX_BODY, body, named};
pub use self::canonical::canonical;
pub use self::checkpoint::{Checkpoint, Signed};
pub use self::key::{KeyError, PublicKey, Signer, is_open_to_others, public_file};
pub use self::log::{Audit, Clock, Intent, Options};
pub use self::prune::{Doomed, Stored, Which, doomed};
pub use self::read::{Chain, durable, read};
pub use self::record::Record;
pub use self::recover::{Recovery, Torn, Unknown};
pub use self::verify::{
    Against, Finding, MAX_FINDINGS, Pin, Problem, Pruned, Report, TornHere, size, verify,
};

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::audit::canonical::Unwritable;
use crate::visible::reason;

/// A log could not be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// There is nothing to read.
    #[error("`{}` holds no audit log", .0.display())]
    NoLog(PathBuf),
    /// A file or folder failed.
    #[error("the audit in `{}` cannot be used: {}", .path.display(), reason(.error))]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// What is there was not written so.
    #[error("the audit is damaged: `{}` line {line}: {reason}; `rulectl audit verify` says more, and to begin a new log, move the folder away and keep it", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
        /// Whether it is the end of the log that is not whole, as when a writer was stopped.
        is_tail: bool,
    },
    /// A kind that is no short word, or one of the audit's own.
    #[error(
        "`{0}` is not a kind of record: expected up to 64 of a-z, 0-9, `.`, `-` and `_`, and none of the audit's own kinds"
    )]
    Kind(String),
    /// A body that has no canonical form.
    #[error("a record of kind `{kind}` cannot be written: {reason}")]
    Unwritable {
        /// What was to be recorded.
        kind: String,
        /// Why not.
        reason: Unwritable,
    },
    /// A record or a body that is too large.
    #[error("{what} has {bytes} bytes, and at most {limit} can be kept")]
    TooLarge {
        /// Which.
        what: String,
        /// How large it is.
        bytes: u64,
        /// How large it may be.
        limit: u64,
    },
    /// Writing failed before.
    #[error("nothing more is recorded since writing the audit failed: {0}")]
    Closed(Arc<str>),
    /// The pin or the copy of a checkpoint cannot be read.
    #[error("`{}` is not a checkpoint: {reason}", .path.display())]
    NoCheckpoint {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl AuditError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path, error }
    }

    fn damaged(path: &Path, line: usize, reason: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            line,
            reason: reason.into(),
            is_tail: false,
        }
    }
}
