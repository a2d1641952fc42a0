//! Destroying bodies, and saying so: the log keeps their names, and never a link of its chain is
//! touched.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::audit::blobs::{named, place};
use crate::audit::disk::above;
use crate::audit::record::read_digest;
use crate::audit::verify::Pruning;
use crate::audit::{Audit, AuditError, Record, read};
use crate::event::{Digest, Nanos, Time};

/// A record names at most so many bodies that go.
const AT_ONCE: usize = 10_000;

/// What no record names may be about to be named: it stays so long.
const GRACE: Nanos = Nanos::DAY;

/// Which bodies go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those that no record since then names.
    Before(Time),
    /// One, whoever names it.
    One(Digest),
}

/// Bodies that are about to go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doomed {
    /// Those that records name, in order.
    pub named: Vec<Stored>,
    /// Files that no record names and that have been there for a day: what a crash left.
    pub orphans: Vec<Stored>,
}

/// A body as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stored {
    /// What it is called, unless it was never whole.
    pub digest: Option<Digest>,
    /// Its file.
    pub path: PathBuf,
    /// How many bytes it takes.
    pub bytes: u64,
}

impl Doomed {
    /// How many bytes they take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let all = self.named.iter().chain(&self.orphans);
        all.map(|stored| stored.bytes).sum()
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> u64 {
        (self.named.len() + self.orphans.len()) as u64
    }
}

/// Looks for the bodies that would go. `progress` is told of each record.
///
/// # Errors
///
/// When the log is damaged, or its folder cannot be read.
pub fn doomed(
    folder: &Path,
    which: Which,
    now: Time,
    progress: &mut dyn FnMut(&Record),
) -> Result<Doomed, AuditError> {
    let mut last_named: HashMap<Digest, Time> = HashMap::new();
    for record in read(folder)? {
        let record = record?;
        progress(&record);
        named(&record.body, &mut |body| {
            let last = last_named.entry(body.sha256).or_insert(record.time);
            *last = record.time.max(*last);
        });
    }
    let mut doomed = Doomed::default();
    for stored in stored(folder)? {
        let last = stored.digest.and_then(|digest| last_named.get(&digest));
        match (which, last) {
            (Which::One(digest), _) if stored.digest == Some(digest) => doomed.named.push(stored),
            (Which::One(_), _) => {}
            (Which::Before(time), Some(last)) if *last < time => doomed.named.push(stored),
            (Which::Before(_), Some(_)) => {}
            (Which::Before(_), None) => {
                if written(&stored.path).is_some_and(|at| now.since(at) > GRACE) {
                    doomed.orphans.push(stored);
                }
            }
        }
    }
    doomed.named.sort();
    doomed.orphans.sort();
    Ok(doomed)
}

impl Audit {
    /// Destroys bodies: says durably which and why, removes them, and says that it is done.
    ///
    /// # Errors
    ///
    /// When it cannot be recorded, and then nothing is removed; or when a file cannot be removed.
    pub fn prune(&self, doomed: &Doomed, reason: &str) -> Result<(), AuditError> {
        for (reason, all) in [
            (reason, &doomed.named),
            ("no record names it", &doomed.orphans),
        ] {
            for some in all.chunks(AT_ONCE) {
                let removed = some.iter().filter_map(|stored| stored.digest).collect();
                let pruning = Pruning {
                    reason: reason.to_owned(),
                    removed,
                };
                let intent = self.intend("prune", json!(pruning))?;
                self.forget(&pruning.removed);
                match remove(some) {
                    Ok(()) => self.conclude(intent, Ok(json!({"files": some.len()})))?,
                    Err((path, error)) => {
                        self.conclude(intent, Err(json!(crate::visible::reason(&error))))?;
                        self.commit()?;
                        return Err(AuditError::io(&path)(error));
                    }
                };
            }
        }
        self.commit()
    }
}

fn remove(all: &[Stored]) -> Result<(), (PathBuf, io::Error)> {
    let mut folders = HashSet::new();
    for stored in all {
        match fs::remove_file(&stored.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err((stored.path.clone(), error));
            }
            _ => folders.insert(above(&stored.path)),
        };
    }
    for folder in folders {
        let synced = super::disk::Disk::sync_folder(&super::disk::RealDisk, folder);
        synced.map_err(|error| (folder.to_owned(), error))?;
    }
    Ok(())
}

/// Everything below `blobs/` that was stored, or was about to be.
fn stored(folder: &Path) -> Result<Vec<Stored>, AuditError> {
    let mut found = Vec::new();
    for parent in entries(&folder.join("blobs"))? {
        for path in entries(&parent)? {
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            let name = name.unwrap_or_default();
            let digest = name.strip_suffix(".zst").and_then(read_digest);
            let is_ours = digest.is_some_and(|digest| place(folder, &digest) == path);
            if is_ours || name.ends_with(".tmp") {
                let bytes = fs::metadata(&path).map_or(0, |it| it.len());
                found.push(Stored {
                    digest: digest.filter(|_| is_ours),
                    path,
                    bytes,
                });
            }
        }
    }
    Ok(found)
}

/// What is in a folder, if it is one.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, AuditError> {
    let entries = match fs::read_dir(folder) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        entries => entries.map_err(AuditError::io(folder))?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    paths
        .collect::<io::Result<_>>()
        .map_err(AuditError::io(folder))
}

fn written(path: &Path) -> Option<Time> {
    let at = fs::metadata(path).and_then(|it| it.modified()).ok()?;
    let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_nanos()).ok().map(Time)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::audit::{Against, Options, verify};

    fn now() -> Time {
        (crate::audit::Clock::live().now)()
    }

    fn open(folder: &Path) -> Audit {
        Audit::open(folder, Options::live(None)).expect("a log").0
    }

    #[test]
    fn what_is_old_goes_and_the_log_verifies() {
        let folder = tempfile::tempdir().expect("a folder");
        let audit = open(folder.path());
        let old = audit.keep(b"old").expect("kept");
        let both = audit.keep(b"both").expect("kept");
        audit
            .append("reply", json!({"blobs": [old, both]}))
            .expect("added");
        audit.commit().expect("durable");
        let between = now();
        let young = audit.keep(b"young").expect("kept");
        audit.keep(b"orphan").expect("kept");
        audit
            .append("reply", json!({"blobs": [young, both]}))
            .expect("added");
        audit.commit().expect("durable");

        let find = |which, now| doomed(folder.path(), which, now, &mut |_| {}).expect("a log");
        let found = find(Which::Before(between), now());
        let digests: Vec<_> = found.named.iter().filter_map(|it| it.digest).collect();
        assert_eq!(digests, [old.sha256], "what a younger record names stays");
        assert_eq!(found.orphans, [], "what no record names may yet be named");
        let found = find(Which::Before(between), now().plus(Nanos(2 * Nanos::DAY.0)));
        assert_eq!(found.orphans.len(), 1);
        audit.prune(&found, "older than 90d").expect("pruned");
        audit.close().expect("closed");

        let report = verify(folder.path(), &Against::default(), &mut |_, _| {}).expect("a log");
        assert!(report.verified, "{:?}", report.findings);
        let told: Vec<_> = report
            .pruned
            .iter()
            .map(|it| (it.reason.as_str(), it.bodies))
            .collect();
        assert_eq!(told, [("older than 90d", 1), ("no record names it", 1)]);
        assert!(crate::audit::body(folder.path(), &old).is_err());
        for left in [young, both] {
            assert!(crate::audit::body(folder.path(), &left).is_ok());
        }
    }

    #[test]
    fn one_body_goes_whoever_names_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let audit = open(folder.path());
        let one = audit.keep(b"personal").expect("kept");
        audit.append("reply", json!({"blob": one})).expect("added");
        audit.commit().expect("durable");
        let found =
            doomed(folder.path(), Which::One(one.sha256), now(), &mut |_| {}).expect("a log");
        audit
            .prune(&found, "a request of the person")
            .expect("pruned");
        // Kept again, it is there again: the writer knows that it went.
        audit.keep(b"personal").expect("kept");
        assert!(crate::audit::body(folder.path(), &one).is_ok());
        fs::remove_file(&found.named[0].path).expect("removed");
        audit.close().expect("closed");
        let report = verify(folder.path(), &Against::default(), &mut |_, _| {}).expect("a log");
        assert!(report.verified, "{:?}", report.findings);
        let nothing =
            doomed(folder.path(), Which::One(one.sha256), now(), &mut |_| {}).expect("a log");
        assert_eq!(nothing, Doomed::default());
    }
}
