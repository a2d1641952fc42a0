//! Writing the artifacts of a run.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::event::Digest;
use crate::pipeline::{Counts, Outcome, Rejected, Sink};
use crate::route::Route;
use crate::store::{ARTIFACTS, ArtifactRecord, RunRecord, StoreError, failed};
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
        let file = File::create(&path).map_err(failed(&path))?;
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
    strict: bool,
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
    /// Begins a run's artifacts. With `strict`, a rejected record ends the run.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written.
    pub fn new(
        folder: &Path,
        policy: Digest,
        generation: u64,
        strict: bool,
    ) -> Result<Self, StoreError> {
        let staged = || Staged::new(folder).map_err(failed(folder));
        let mut files = BTreeMap::new();
        for name in ARTIFACTS {
            files.insert(name, staged()?);
        }
        Ok(Self {
            folder: folder.to_owned(),
            policy,
            generation,
            strict,
            files,
            rejects: staged()?,
        })
    }

    /// Puts the artifacts in place, one after the other, `run.json` last.
    /// With `append`, records of earlier runs stay where this run has none of the same id.
    ///
    /// # Errors
    ///
    /// When a file cannot be written or moved: each artifact is then the old or
    /// the new one, whole, and a reader sees that they do not belong together.
    pub fn commit(
        mut self,
        inputs: Vec<String>,
        counts: Counts,
        append: bool,
    ) -> Result<RunRecord, StoreError> {
        let mut ready = Vec::new();
        let mut artifacts = BTreeMap::new();
        for (name, staged) in std::mem::take(&mut self.files) {
            let target = self.folder.join(format!("{name}.jsonl"));
            let staged = if append {
                merged(&self.folder, &target, staged)?
            } else {
                staged
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
            counts,
            artifacts,
        };
        let run = self.folder.join("run.json");
        let mut staged = Staged::new(&self.folder).map_err(failed(&run))?;
        let line = json(&record).map_err(|error| failed(&run)(error.into()))?;
        staged.line(&line).map_err(failed(&run))?;
        let rejects = self.folder.join("rejects.jsonl");
        ready.push((finished(self.rejects).map_err(failed(&rejects))?.0, rejects));
        ready.push((finished(staged).map_err(failed(&run))?.0, run));
        for (file, target) in ready {
            file.persist(&target)
                .map_err(|error| failed(&target)(error.error))?;
        }
        // The moves themselves are durable once the folder is.
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed(&self.folder))?;
        Ok(record)
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

impl Sink for ArtifactWriter {
    fn begin(&mut self, route: &Route) -> io::Result<()> {
        self.write("routes", route)
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
            .try_for_each(|command| self.write("commands", command))
    }

    fn reject(&mut self, rejected: &Rejected) -> io::Result<()> {
        if self.strict {
            let Rejected {
                input,
                line,
                reason,
                ..
            } = rejected;
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{input}:{line}: {reason}, and --strict tolerates no such record"),
            ));
        }
        self.rejects.line(&json(rejected)?)
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

/// The lines of the artifact in place whose ids are not among the new ones, then the new ones.
fn merged(folder: &Path, target: &Path, staged: Staged) -> Result<Staged, StoreError> {
    let old = match File::open(target) {
        Ok(old) => BufReader::new(old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(staged),
        Err(error) => return Err(failed(target)(error)),
    };
    let mut new = staged
        .file
        .into_inner()
        .map_err(|error| failed(target)(error.into_error()))?;
    new.rewind().map_err(failed(target))?;
    let mut ids = HashSet::new();
    for line in BufReader::new(&mut new).lines() {
        ids.insert(id_of(&line.map_err(failed(target))?));
    }
    let mut all = Staged::new(folder).map_err(failed(folder))?;
    for line in old.lines() {
        let line = line.map_err(failed(target))?;
        if !ids.contains(&id_of(&line)) {
            all.line(&line).map_err(failed(target))?;
        }
    }
    new.rewind().map_err(failed(target))?;
    for line in BufReader::new(&mut new).lines() {
        let line = line.map_err(failed(target))?;
        all.line(&line).map_err(failed(target))?;
    }
    Ok(all)
}

/// What a record is told by: its id, or that of the finding it scores.
fn id_of(line: &str) -> String {
    let record: Value = serde_json::from_str(line).unwrap_or_default();
    let id = record
        .get("id")
        .or_else(|| record.get("finding_id"))
        .and_then(Value::as_str);
    id.unwrap_or(line).to_owned()
}
