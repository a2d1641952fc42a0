//! Artifacts: what a run leaves in the data folder, and reading it back.
//!
//! Every record is a line of JSON. A run writes its artifacts beside the old
//! ones and moves them into place, `run.json` with their digests last, so that a
//! reader can tell a finished run from one that was cut off.

mod read;
mod write;

pub use self::read::{About, Artifacts, RiskRecord, read};
pub use self::write::{ArtifactWriter, Ready, RunLock};

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::event::Digest;
use crate::geo::DatabaseRecord;
use crate::pipeline::{Counts, Fills};

/// The artifacts, in the order in which they hang on each other.
pub const ARTIFACTS: [&str; 7] = [
    "findings",
    "risks",
    "routes",
    "incidents",
    "plans",
    "commands",
    DRAFTS,
];

/// What agents wrote: an artifact that runs of earlier versions did not leave.
const DRAFTS: &str = "drafts";

/// `run.json`: what the last run was, and the digests that its artifacts have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The version of the program.
    pub rulectl: String,
    /// The policy.
    pub policy: Digest,
    /// Its generation.
    pub generation: u64,
    /// Where the events came from, as given.
    pub inputs: Vec<String>,
    /// Why inputs were not read, or not to their end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// The databases that were asked for what events lack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<DatabaseRecord>,
    /// What was read and left out.
    pub counts: Counts,
    /// How often each slot was asked for, where somebody was, and what came of it.
    #[serde(default, skip_serializing_if = "Fills::is_empty")]
    pub slots: Fills,
    /// Each artifact's digest and number of lines.
    pub artifacts: BTreeMap<String, ArtifactRecord>,
}

/// One artifact of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRecord {
    /// The digest of the whole file.
    pub sha256: Digest,
    /// How many records it has.
    pub records: u64,
}

/// The data folder could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is nothing to read.
    #[error("`{}` holds no finished run; make one with `rulectl run`", .0.display())]
    NoRun(PathBuf),
    /// Artifacts of different runs.
    #[error("`{artifact}.jsonl` in `{}` is not the one that run.json names: a run was interrupted or is still writing, or the file was changed; run it again", .folder.display())]
    Interrupted {
        /// The data folder.
        folder: PathBuf,
        /// The first artifact that is not the one that `run.json` names.
        artifact: &'static str,
    },
    /// A line that is no record.
    #[error("`{}` line {line} is not a record of this version: {reason}", .path.display())]
    Damaged {
        /// The artifact.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Why.
        reason: String,
    },
    /// Somebody else is writing.
    #[error("another rulectl is writing to `{}`; wait for it, or name another folder with `--data`", .0.display())]
    Busy(PathBuf),
    /// A file or folder failed.
    #[error("`{}` cannot be used: {}", .path.display(), crate::visible::reason(.error))]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

fn failed(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.into();
    move |error| StoreError::Io { path, error }
}
