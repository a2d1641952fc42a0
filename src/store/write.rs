//! Writing the artifacts of a run.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::event::Digest;
use crate::geo::DatabaseRecord;
use crate::pipeline::{Beginning, Counts, Fills, Outcome, Rejected, Sink};
use crate::store::{
    ARTIFACTS, ArtifactRecord, Artifacts, DRAFTS, RunRecord, StoreError, failed, read,
};
use crate::visible::json;

/// The right to write to a data folder, held by one process at a time.
pub struct RunLock(
    #[expect(dead_code, reason = "the lock lasts as long as the file is open")] File,
);

impl RunLock {
    /// Makes the folder if need be and takes the lock.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] when another process has it.
    pub fn take(folder: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(failed(folder))?;
        let path = folder.join(".lock");
        let is_link = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink());
        if is_link {
            let error = io::Error::other("it is a link, and the lock of a folder is a file in it");
            return Err(failed(&path)(error));
        }
        let mut options = fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(failed(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(fs::TryLockError::WouldBlock) => Err(StoreError::Busy(folder.to_owned())),
            Err(fs::TryLockError::Error(error)) => Err(failed(&path)(error)),
        }
    }
}

/// Collects the records of a run in files beside the artifacts, and puts them in place at the end.
pub struct ArtifactWriter {
    folder: PathBuf,
    policy: Digest,
    generation: u64,
    /// Whether it adds to what is there.
    append: bool,
    files: BTreeMap<&'static str, Staged>,
    rejects: Staged,
}

/// A file that is not in place yet.
struct Staged {
    file: BufWriter<NamedTempFile>,
    records: u64,
}

impl Staged {
    fn new(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            file: BufWriter::new(NamedTempFile::new_in(folder)?),
            records: 0,
        })
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        self.records += 1;
        self.file.write_all(line.as_bytes())?;
        self.file.write_all(b"\n")
    }
}

/// A record with the policy that made it.
#[derive(Serialize)]
struct Stamped<'r, T> {
    #[serde(flatten)]
    record: &'r T,
    policy: Digest,
    generation: u64,
}

/// A risk with the verdict that it led to.
#[derive(Serialize)]
struct Risked<'r> {
    #[serde(flatten)]
    risk: &'r crate::risk::Risk,
    promotion: &'r crate::promote::Verdict,
}

impl ArtifactWriter {
    /// Begins a run's artifacts. With `append`, records of earlier runs stay, but for those of findings that this run has too.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written, or artifacts to append to do not belong together.
    pub fn new(
        folder: &Path,
        policy: Digest,
        generation: u64,
        append: bool,
    ) -> Result<Self, StoreError> {
        earlier(folder, append)?;
        let staged = || Staged::new(folder).map_err(failed(folder));
        let mut files = BTreeMap::new();
        for name in ARTIFACTS {
            files.insert(name, staged()?);
        }
        Ok(Self {
            folder: folder.to_owned(),
            policy,
            generation,
            append,
            files,
            rejects: staged()?,
        })
    }

    /// What is written from now on was made by this policy.
    pub fn under(&mut self, policy: Digest, generation: u64) {
        (self.policy, self.generation) = (policy, generation);
    }

    /// Makes everything ready on disk, beside its place.
    ///
    /// # Errors
    ///
    /// When a file cannot be written, or could not be moved.
    pub fn ready(
        mut self,
        inputs: Vec<String>,
        failures: Vec<String>,
        databases: Vec<DatabaseRecord>,
        counts: Counts,
        slots: Fills,
    ) -> Result<Ready, StoreError> {
        let mut ready = Vec::new();
        let mut artifacts = BTreeMap::new();
        let earlier = earlier(&self.folder, self.append)?;
        let replaced = match &earlier {
            Some(earlier) => self.replaced(earlier)?,
            None => HashSet::new(),
        };
        for (name, staged) in std::mem::take(&mut self.files) {
            let target = self.folder.join(format!("{name}.jsonl"));
            let is_there = |earlier: &Artifacts| earlier.run.artifacts.contains_key(name);
            let staged = match &earlier {
                Some(earlier) if is_there(earlier) => {
                    merged(&self.folder, &target, staged, &replaced)?
                }
                _ => staged,
            };
            let records = staged.records;
            let (file, sha256) = finished(staged).map_err(failed(&target))?;
            artifacts.insert(name.to_owned(), ArtifactRecord { sha256, records });
            ready.push((file, target));
        }
        let record = RunRecord {
            rulectl: env!("CARGO_PKG_VERSION").to_owned(),
            policy: self.policy,
            generation: self.generation,
            inputs,
            failed: failures,
            databases,
            counts,
            slots,
            artifacts,
        };
        let run = self.folder.join("run.json");
        let mut staged = Staged::new(&self.folder).map_err(failed(&run))?;
        let line = json(&record).map_err(|error| failed(&run)(error.into()))?;
        staged.line(&line).map_err(failed(&run))?;
        let rejects = self.folder.join("rejects.jsonl");
        ready.push((finished(self.rejects).map_err(failed(&rejects))?.0, rejects));
        ready.push((finished(staged).map_err(failed(&run))?.0, run));
        for (_, target) in &ready {
            check_replaceable(target)?;
        }
        Ok(Ready {
            folder: self.folder,
            files: ready,
            record,
        })
    }

    /// The ids of this run's records, and of earlier incidents of findings that it has too.
    fn replaced(&mut self, earlier: &Artifacts) -> Result<HashSet<String>, StoreError> {
        let mut replaced = HashSet::new();
        for (name, staged) in &mut self.files {
            for line in lines_of(staged, &self.folder)? {
                replaced.insert(Ids::of(&line).own.unwrap_or_else(|| (*name).to_owned()));
            }
        }
        let incidents = earlier.incidents.iter();
        let stale =
            incidents.filter(|incident| replaced.contains(&incident.finding_id.to_string()));
        let stale: Vec<String> = stale.map(|incident| incident.id.to_string()).collect();
        replaced.extend(stale);
        Ok(replaced)
    }

    fn write(&mut self, artifact: &'static str, record: &impl Serialize) -> io::Result<()> {
        let line = json(&Stamped {
            record,
            policy: self.policy,
            generation: self.generation,
        })?;
        self.files
            .get_mut(artifact)
            .map_or(Ok(()), |staged| staged.line(&line))
    }
}

/// Artifacts that are written and not in their place.
pub struct Ready {
    folder: PathBuf,
    files: Vec<(NamedTempFile, PathBuf)>,
    record: RunRecord,
}

impl Ready {
    /// What `run.json` says of them.
    #[must_use]
    pub fn record(&self) -> &RunRecord {
        &self.record
    }

    /// Puts the artifacts in place, one after the other, `run.json` last.
    ///
    /// # Errors
    ///
    /// When a file cannot be moved: each artifact is then the old or the new one, whole, and a
    /// reader sees that they do not belong together.
    pub fn publish(self) -> Result<RunRecord, StoreError> {
        for (file, target) in self.files {
            file.persist(&target)
                .map_err(|error| failed(&target)(error.error))?;
        }
        // The moves themselves are durable once the folder is.
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed(&self.folder))?;
        Ok(self.record)
    }
}

impl Sink for ArtifactWriter {
    fn begin(&mut self, beginning: &Beginning) -> io::Result<()> {
        self.write("routes", &beginning.route)
    }

    fn outcome(&mut self, outcome: &Outcome) -> io::Result<()> {
        self.write("findings", &outcome.finding)?;
        self.write(
            "risks",
            &Risked {
                risk: &outcome.risk,
                promotion: &outcome.promotion,
            },
        )?;
        let Some(response) = &outcome.response else {
            return Ok(());
        };
        self.write("incidents", &response.incident)?;
        self.write("routes", &response.route)?;
        response
            .plan
            .iter()
            .try_for_each(|plan| self.write("plans", plan))?;
        response
            .commands
            .iter()
            .try_for_each(|command| self.write("commands", command))?;
        response
            .drafts
            .iter()
            .try_for_each(|draft| self.write(DRAFTS, draft))
    }

    fn reject(&mut self, rejected: &Rejected) -> io::Result<()> {
        self.rejects.line(&json(rejected)?)
    }
}

/// The artifacts that are added to, if any are.
fn earlier(folder: &Path, append: bool) -> Result<Option<Artifacts>, StoreError> {
    match append.then(|| read(folder)) {
        None | Some(Err(StoreError::NoRun(_))) => Ok(None),
        Some(earlier) => earlier.map(Some),
    }
}

/// Everything on disk, and the digest of it.
fn finished(staged: Staged) -> io::Result<(NamedTempFile, Digest)> {
    let mut file = staged
        .file
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.rewind()?;
    let digest = Digest::of_reader(&mut file)?;
    Ok((file, digest))
}

/// The lines of the artifact in place that this run does not replace, then the new ones.
fn merged(
    folder: &Path,
    target: &Path,
    mut staged: Staged,
    replaced: &HashSet<String>,
) -> Result<Staged, StoreError> {
    let old = BufReader::new(File::open(target).map_err(failed(target))?);
    let mut all = Staged::new(folder).map_err(failed(folder))?;
    for line in old.lines() {
        let line = line.map_err(failed(target))?;
        if !Ids::of(&line).any(|id| replaced.contains(id)) {
            all.line(&line).map_err(failed(target))?;
        }
    }
    for line in lines_of(&mut staged, folder)? {
        all.line(&line).map_err(failed(target))?;
    }
    Ok(all)
}

/// The lines written so far.
fn lines_of(staged: &mut Staged, folder: &Path) -> Result<Vec<String>, StoreError> {
    let read = |staged: &mut Staged| -> io::Result<Vec<String>> {
        staged.file.flush()?;
        let file = staged.file.get_mut();
        file.rewind()?;
        let lines = BufReader::new(&mut *file).lines().collect();
        file.seek(io::SeekFrom::End(0))?;
        lines
    };
    read(staged).map_err(failed(folder))
}

/// What a record is told by, and what it hangs on.
#[derive(Default, Deserialize)]
struct Ids {
    #[serde(rename = "id")]
    own: Option<String>,
    finding_id: Option<String>,
    incident_id: Option<String>,
}

impl Ids {
    fn of(line: &str) -> Self {
        serde_json::from_str(line).unwrap_or_default()
    }

    fn any(&self, holds: impl Fn(&String) -> bool) -> bool {
        let ids = [&self.own, &self.finding_id, &self.incident_id];
        ids.into_iter().flatten().any(holds)
    }
}

/// A move that would fail is noticed before the first one.
fn check_replaceable(target: &Path) -> Result<(), StoreError> {
    match fs::symlink_metadata(target) {
        Ok(metadata) if metadata.is_dir() => Err(failed(target)(io::Error::other(
            "it is a folder, expected a file",
        ))),
        _ => Ok(()),
    }
}
