//! Activated policies, kept by digest so that a recorded generation can be loaded again.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::event::Digest;
use crate::policy::PolicyFile;

/// The archive could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file or folder of the archive failed.
    #[error("the policy archive `{path}` cannot be used: {}", crate::visible::reason(.error))]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The list of generations holds something else.
    #[error("the list of policy generations `{path}` is damaged at line {line}")]
    Damaged {
        /// The list.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

/// One line of `policies/generations.jsonl`.
#[derive(Serialize, Deserialize)]
struct Generation {
    generation: u64,
    policy: Digest,
}

/// Where the policy of a digest is archived.
#[must_use]
pub fn archived(data: &Path, digest: Digest) -> PathBuf {
    data.join("policies").join(digest.to_string())
}

/// Archives a policy under the data folder and gives its generation: that of the
/// policy activated last if it is the same, else the next.
///
/// # Errors
///
/// When the archive cannot be written; then the policy counts as not activated.
pub fn activate(data: &Path, digest: Digest, files: &[PolicyFile]) -> Result<u64, ArchiveError> {
    let policies = data.join("policies");
    keep(&policies, digest, files)?;
    let list = policies.join("generations.jsonl");
    let text = match fs::read_to_string(&list) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(ArchiveError::Io { path: list, error }),
    };
    let last = last_generation(&list, &text)?;
    if let Some(last) = last.as_ref().filter(|last| last.policy == digest) {
        return Ok(last.generation);
    }
    let next = Generation {
        generation: last.map_or(1, |last| last.generation + 1),
        policy: digest,
    };
    let line = serde_json::to_string(&next).unwrap_or_default() + "\n";
    replace(&policies, &list, &(text + line.as_str())).map_err(|error| ArchiveError::Io {
        path: list.clone(),
        error,
    })?;
    Ok(next.generation)
}

/// The digest of a generation's policy; `None` where the archive has no such generation.
///
/// # Errors
///
/// When the list of generations cannot be read.
pub fn generation(data: &Path, number: u64) -> Result<Option<Digest>, ArchiveError> {
    let list = data.join("policies/generations.jsonl");
    let text = match fs::read_to_string(&list) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(ArchiveError::Io { path: list, error }),
    };
    for (at, line) in text.lines().enumerate() {
        let known: Generation = serde_json::from_str(line).map_err(|_| ArchiveError::Damaged {
            path: list.clone(),
            line: at + 1,
        })?;
        if known.generation == number {
            return Ok(Some(known.policy));
        }
    }
    Ok(None)
}

/// Writes the files beside their place and moves the whole folder there, so that
/// a crash leaves none or all. What is there already is used only if it is the same.
fn keep(policies: &Path, digest: Digest, files: &[PolicyFile]) -> Result<(), ArchiveError> {
    let target = policies.join(digest.to_string());
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| ArchiveError::Io { path, error }
    };
    if files.iter().all(|file| is_kept(&target, file)) {
        return Ok(());
    }
    fs::create_dir_all(policies).map_err(failed(policies))?;
    let staged = tempfile::tempdir_in(policies).map_err(failed(policies))?;
    for file in files {
        let path = staged.path().join(&file.path);
        write_durably(&path, &file.text).map_err(failed(&path))?;
    }
    if target.exists() {
        fs::remove_dir_all(&target).map_err(failed(&target))?;
    }
    fs::rename(staged.keep(), &target).map_err(failed(&target))
}

fn is_kept(folder: &Path, file: &PolicyFile) -> bool {
    fs::read(folder.join(&file.path)).is_ok_and(|bytes| bytes == file.text.as_bytes())
}

fn write_durably(path: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = fs::File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Writes a file beside its place and moves it there: a crash leaves the old or the new list.
fn replace(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    let mut staged = tempfile::NamedTempFile::new_in(folder)?;
    staged.write_all(text.as_bytes())?;
    staged.as_file().sync_all()?;
    staged.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn last_generation(list: &Path, text: &str) -> Result<Option<Generation>, ArchiveError> {
    let mut last = None;
    for (at, line) in text.lines().enumerate() {
        let damaged = |_| ArchiveError::Damaged {
            path: list.to_owned(),
            line: at + 1,
        };
        last = Some(serde_json::from_str(line).map_err(damaged)?);
    }
    Ok(last)
}
