//! Bodies: what is too large or too short-lived for a record, named by its SHA-256.
//!
//! `blobs/ab/abcdef….zst` holds the body of that digest, compressed. It may be removed without
//! touching the log, which goes on to say what it was called and how long it was.

use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::audit::disk::Disk;
use crate::audit::record::read_digest;
use crate::event::Digest;
use crate::visible::reason;

/// A body has at most so many bytes.
pub const MAX_BODY: u64 = 256 << 20;

/// Logs compress well at any level, and a run waits for this.
const LEVEL: i32 = 1;

/// A window of 8 MiB is what decompression may take.
const WINDOW_LOG: u32 = 23;

/// What names a body in a record, under the key `blob` or, in a list, `blobs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Body {
    /// Of the body, uncompressed.
    pub sha256: Digest,
    /// How many bytes it has, uncompressed.
    pub bytes: u64,
}

impl Body {
    /// What names these bytes, wherever they are.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            sha256: Digest::of(bytes),
            bytes: bytes.len() as u64,
        }
    }
}

/// A body cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It was pruned, or never arrived here.
    #[error("the body {0} is gone: it was pruned, or its file was removed")]
    Missing(Digest),
    /// What is there is something else.
    #[error("the body {sha256} is damaged: {what}")]
    Damaged {
        /// Which.
        sha256: Digest,
        /// What is wrong with it.
        what: String,
    },
}

/// The body that a record names.
///
/// # Errors
///
/// When it is gone or is not what the record names.
pub fn body(folder: &Path, body: &Body) -> Result<Vec<u8>, BodyError> {
    read(&super::disk::RealDisk, folder, body)
}

/// Where the body of a digest stands, below the folder of the log.
pub(super) fn place(folder: &Path, sha256: &Digest) -> PathBuf {
    let digits = sha256.to_string();
    let prefix = digits.get(..2).unwrap_or_default();
    folder
        .join("blobs")
        .join(prefix)
        .join(format!("{digits}.zst"))
}

pub(super) fn read(disk: &dyn Disk, folder: &Path, body: &Body) -> Result<Vec<u8>, BodyError> {
    let mut bytes = Vec::new();
    pour(disk, folder, body, &mut bytes)?;
    Ok(bytes)
}

/// Whether a body is there, as it is called; it is not held.
pub(super) fn check(disk: &dyn Disk, folder: &Path, body: &Body) -> Result<(), BodyError> {
    pour(disk, folder, body, &mut io::sink())
}

/// Decompresses a body into something, and no more than its name allows.
fn pour(
    disk: &dyn Disk,
    folder: &Path,
    body: &Body,
    into: &mut impl Write,
) -> Result<(), BodyError> {
    let damaged = |what: String| BodyError::Damaged {
        sha256: body.sha256,
        what,
    };
    let file = match disk.open(&place(folder, &body.sha256)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(BodyError::Missing(body.sha256));
        }
        Err(error) => return Err(damaged(reason(&error))),
    };
    let pour = || -> io::Result<(u64, Digest)> {
        let mut decoder = zstd::Decoder::new(file)?;
        decoder.window_log_max(WINDOW_LOG)?;
        let mut limited = decoder.take(body.bytes.min(MAX_BODY) + 1);
        let mut hash = Sha256::new();
        let mut block = vec![0; 64 << 10];
        let mut length = 0;
        loop {
            let read = limited.read(&mut block)?;
            let bytes = block.get(..read).unwrap_or_default();
            if bytes.is_empty() {
                return Ok((length, Digest::of_bytes(hash.finalize().into())));
            }
            length += read as u64;
            hash.update(bytes);
            into.write_all(bytes)?;
        }
    };
    let (length, digest) = pour().map_err(|error| damaged(reason(&error)))?;
    if length != body.bytes {
        let what = format!(
            "it does not have the {} bytes that are recorded",
            body.bytes
        );
        return Err(damaged(what));
    }
    if digest != body.sha256 {
        return Err(damaged("its bytes have another digest".to_owned()));
    }
    Ok(())
}

/// Stores a body durably, unless it is there.
pub(super) fn write(disk: &dyn Disk, folder: &Path, name: &Body, bytes: &[u8]) -> io::Result<()> {
    let file = place(folder, &name.sha256);
    let parent = super::disk::above(&file);
    if read(disk, folder, name).is_ok() {
        // Who moved it there may have ended before that was durable.
        return disk.sync_folder(parent);
    }
    disk.make_folder(parent)?;
    let compressed = zstd::bulk::compress(bytes, LEVEL)?;
    let staged = parent.join(format!("{}.tmp", Uuid::new_v4()));
    let written = disk.create(&staged).and_then(|mut staged| {
        staged.write_all(&compressed)?;
        staged.sync()
    });
    written
        .and_then(|()| disk.rename(&staged, &file))
        .inspect_err(|_| {
            // What is left of it is found by `prune`, too.
            let _ = disk.remove(&staged);
        })?;
    disk.sync_folder(parent)
}

/// Every body that a record names, at any depth.
pub fn named(value: &Value, found: &mut impl FnMut(Body)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| named(item, found)),
        Value::Object(members) => {
            for (key, value) in members {
                match (key.as_str(), value) {
                    ("blob", one) => references(std::slice::from_ref(one), found),
                    ("blobs", Value::Array(several)) => references(several, found),
                    _ => {}
                }
                named(value, found);
            }
        }
        _ => {}
    }
}

fn references(values: &[Value], found: &mut impl FnMut(Body)) {
    for value in values {
        let digest = value.get("sha256").and_then(Value::as_str);
        let bytes = value.get("bytes").and_then(Value::as_u64);
        if let (Some(sha256), Some(bytes)) = (digest.and_then(read_digest), bytes) {
            found(Body { sha256, bytes });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::audit::disk::RealDisk;

    #[test]
    fn a_body_is_stored_once_and_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        for bytes in [&b""[..], b"one", &[7; 100_000]] {
            let name = Body::of(bytes);
            for _ in 0..2 {
                write(&RealDisk, folder.path(), &name, bytes).expect("stored");
            }
            assert_eq!(body(folder.path(), &name).expect("there"), bytes);
            let file = place(folder.path(), &name.sha256);
            let beside = std::fs::read_dir(file.parent().expect("a folder")).expect("a folder");
            assert_eq!(beside.count(), 1, "nothing is left beside it");
        }
    }

    #[test]
    fn what_is_gone_is_told_from_what_is_damaged() {
        let folder = tempfile::tempdir().expect("a folder");
        let name = Body::of(b"a body of some length, of some length");
        let get = || body(folder.path(), &name);
        assert!(matches!(get(), Err(BodyError::Missing(_))));
        let stored = b"a body of some length, of some length";
        write(&RealDisk, folder.path(), &name, stored).expect("stored");
        let file = place(folder.path(), &name.sha256);
        let whole = std::fs::read(&file).expect("a file");
        let other = zstd::bulk::compress(b"another", 0).expect("compressed");
        let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 0).expect("compressed");
        for damage in [
            &b""[..],
            b"not zstd",
            &whole[..whole.len() - 1],
            &other,
            &bomb,
        ] {
            std::fs::write(&file, damage).expect("written");
            assert!(
                matches!(get(), Err(BodyError::Damaged { .. })),
                "{damage:?}"
            );
        }
        // Stored again, it is whole again.
        write(&RealDisk, folder.path(), &name, stored).expect("stored");
        assert_eq!(get().expect("there"), stored);
    }

    #[test]
    fn names_are_found_at_any_depth() {
        let (one, two, three) = (Body::of(b"1"), Body::of(b"2"), Body::of(b"3"));
        let body = json!({
            "reply": {"blob": one, "rest": [{"blobs": [two, {"sha256": "short", "bytes": 1}]}]},
            "blob": {"blob": three, "sha256": 4},
            "other": Body::of(b"not named"),
        });
        let mut found = Vec::new();
        named(&body, &mut |body| found.push(body));
        found.sort();
        let mut expected = vec![one, two, three];
        expected.sort();
        assert_eq!(found, expected);
    }
}
