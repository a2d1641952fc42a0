//! Opening a log that may have been left by a crash.
//!
//! A batch is written and synced before anything in it counts, so that a crash can spoil the end
//! of the last segment and nothing else, and no more of it than a batch. That is moved to `torn/`
//! and cut. Whatever else is wrong was not a crash, and the log is not opened.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::audit::AuditError;
use crate::audit::canonical::canonical;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::disk::{Disk, above};
use crate::audit::log::Intents;
use crate::audit::read::Chain;
use crate::audit::record::{BATCH, Line, read_digest};
use crate::audit::segment::{Found as FoundLine, Lines, Segment, segments};
use crate::event::Digest;

/// What opening a log found and set right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// There was no log; one was begun.
    pub begun: bool,
    /// Ends of segments that a crash had left torn.
    pub torn: Vec<Torn>,
    /// Intents of which nobody knows what became of them.
    pub unknown: Vec<Unknown>,
}

/// Bytes that were cut from the end of a segment. They are kept in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Torn {
    /// How many bytes.
    pub bytes: u64,
    /// The file below the folder of the log that has them now.
    pub file: String,
    /// The segment that they were cut from.
    pub segment: String,
    /// Their digest.
    pub sha256: Digest,
}

/// An intent without an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// The number of its record.
    pub intent: u64,
    /// The kind of its record.
    pub kind: String,
}

/// What a folder holds when it is ready to be written on.
pub(super) struct Found {
    /// Where the log ends; `None` where there is none.
    pub(super) end: Option<End>,
    /// What was cut, now or by an opening that did not come to record it.
    pub(super) torn: Vec<Torn>,
}

/// The end of a log.
pub(super) struct End {
    pub(super) chain: Chain,
    pub(super) log: Uuid,
    pub(super) segment: Segment,
    pub(super) intents: Intents,
}

/// Sets right what a crash left unfinished.
pub(super) fn recover(disk: &dyn Disk, folder: &Path) -> Result<Found, AuditError> {
    settle_folders(disk, folder)?;
    let head = read_head(disk, folder)?;
    let mut left = segments(disk, folder)?;
    let mut spoiled = Vec::new();
    let mut last = None;
    while let Some(segment) = left.pop() {
        let scan = Scan::of(disk, &segment)?;
        scan.check_tear(&segment, spoiled.is_empty())?;
        let is_end = scan.end.is_some();
        spoiled.push((segment, scan));
        if is_end {
            last = spoiled.pop();
            break;
        }
    }
    if let Some((segment, scan)) = &last
        && scan.first > 0
        && left.is_empty()
    {
        let reason = "it goes on from an earlier segment, and there is none: it was removed";
        return Err(AuditError::damaged(&segment.path, 1, reason));
    }
    check_length(folder, head.as_ref(), last.as_ref())?;
    let mut torn = Vec::new();
    for (segment, scan) in &spoiled {
        torn.extend(set_aside(disk, folder, segment, scan)?);
    }
    let Some((segment, scan)) = last else {
        let earlier = unrecorded(disk, folder, None, None, &torn)?;
        torn.extend(earlier);
        return Ok(Found { end: None, torn });
    };
    torn.extend(set_aside(disk, folder, &segment, &scan)?);
    let earlier = unrecorded(disk, folder, Some((&segment, &scan)), left.last(), &torn)?;
    torn.extend(earlier);
    // The last batch may stand in memory alone: what comes next must not hang on it.
    let last_batch = scan.whole.saturating_sub(BATCH as u64);
    let settled = disk.settle(&segment.path, last_batch);
    settled.map_err(AuditError::io(&segment.path))?;
    let end = scan.end.map(|(chain, log)| End {
        chain,
        log,
        segment,
        intents: scan.intents,
    });
    Ok(Found { end, torn })
}

/// Makes the folder and what was made in it durable: who made it may have been stopped before.
fn settle_folders(disk: &dyn Disk, folder: &Path) -> Result<(), AuditError> {
    disk.make_folder(folder).map_err(AuditError::io(folder))?;
    let folders = [
        above(folder),
        folder,
        &folder.join("blobs"),
        &folder.join("torn"),
    ];
    for folder in folders {
        match disk.sync_folder(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            synced => synced.map_err(AuditError::io(folder))?,
        }
    }
    Ok(())
}

/// That nothing is missing that was durable when `head.json` was written.
fn check_length(
    folder: &Path,
    head: Option<&Checkpoint>,
    last: Option<&(Segment, Scan)>,
) -> Result<(), AuditError> {
    let Some(head) = head else {
        return Ok(());
    };
    let (path, line, records) = match last {
        Some((segment, scan)) => {
            let line = scan.fault.as_ref().map_or(scan.lines, |(line, _)| *line);
            let records = scan.end.map_or(0, |(chain, _)| chain.next);
            (segment.path.clone(), line, records)
        }
        None => (head_file(folder), 1, 0),
    };
    if head.records < records {
        return Ok(());
    }
    let reason = format!(
        "the log ends behind {records} records, and `head.json` says that {} were durable: this is no torn tail",
        head.records + 1
    );
    Err(AuditError::damaged(&path, line, reason))
}

/// What a segment holds that goes on from its first line.
struct Scan {
    /// Where the chain stands behind it, and the id of the log; `None` without a record.
    end: Option<(Chain, Uuid)>,
    intents: Intents,
    /// The files of `torn/` that it names.
    recovered: Vec<String>,
    /// The number of its first record.
    first: u64,
    /// How many lines it has.
    lines: usize,
    /// How many bytes are in order.
    whole: u64,
    /// How many bytes follow that are not.
    torn: u64,
    /// The first line that is not in order, and why.
    fault: Option<(usize, String)>,
}

impl Scan {
    fn of(disk: &dyn Disk, segment: &Segment) -> Result<Self, AuditError> {
        let failed = || AuditError::io(&segment.path);
        let mut lines = Lines::new(disk.open(&segment.path).map_err(failed())?);
        let mut scan = Self {
            end: None,
            intents: Intents::default(),
            recovered: Vec::new(),
            first: 0,
            lines: 0,
            whole: 0,
            torn: 0,
            fault: None,
        };
        while let Some(found) = lines.next().map_err(failed())? {
            scan.lines += 1;
            let length = found.length();
            if scan.fault.is_none() {
                match scan.take(&found) {
                    Ok(()) => {
                        scan.whole += length;
                        continue;
                    }
                    Err(why) => scan.fault = Some((scan.lines, why)),
                }
            }
            scan.torn += length;
        }
        Ok(scan)
    }

    fn take(&mut self, found: &FoundLine) -> Result<(), String> {
        let FoundLine::Line(line) = found else {
            return Err("it has no end".to_owned());
        };
        let line = Line::read(line).map_err(|fault| fault.to_string())?;
        self.end = Some(match self.end {
            Some((chain, log)) => (chain.step(&line)?, log),
            None => {
                self.first = line.seq;
                first(&line)?
            }
        });
        self.intents.note(line.seq, line.kind, &line.value());
        if line.kind == "recovered" {
            let file = line
                .value()
                .get("file")
                .and_then(Value::as_str)
                .map(str::to_owned);
            self.recovered.extend(file);
        }
        Ok(())
    }

    /// That what is not in order may be what a crash leaves.
    fn check_tear(&self, segment: &Segment, is_last: bool) -> Result<(), AuditError> {
        let Some((line, why)) = &self.fault else {
            return Ok(());
        };
        let because = match is_last {
            true if self.torn <= BATCH as u64 => return Ok(()),
            true => "more follows than a crash can spoil",
            false => "another segment follows",
        };
        let reason = format!("{why}, and this is no torn tail: {because}");
        Err(AuditError::damaged(&segment.path, *line, reason))
    }
}

/// What the first line of a segment says: it is what opening a log begins to read at.
fn first(line: &Line) -> Result<(Chain, Uuid), String> {
    if line.digest() != line.hash {
        return Err("its hash is not that of its content: it was changed".to_owned());
    }
    let is_first = line.kind == "log.begun" && Chain::BEGIN.step(line).is_ok();
    match segment_of_first(line, &line.value(), is_first) {
        Some(log) => Ok((Chain::behind(line), log)),
        None => Err("it does not begin a segment".to_owned()),
    }
}

/// The id of the log, of the record that begins it or another segment of it.
pub(super) fn segment_of_first(line: &Line, body: &Value, is_first: bool) -> Option<Uuid> {
    let expected = if is_first { "log.begun" } else { "segment" };
    let log = body.get("log").and_then(Value::as_str)?;
    let log = Uuid::parse_str(log).ok()?;
    (line.kind == expected).then_some(log)
}

/// Moves the torn end of a segment to `torn/`, and a segment away of which nothing else is left.
fn set_aside(
    disk: &dyn Disk,
    folder: &Path,
    segment: &Segment,
    scan: &Scan,
) -> Result<Option<Torn>, AuditError> {
    let failed = || AuditError::io(&segment.path);
    let torn = if scan.torn > 0 {
        let bytes = tail(disk, segment, scan.whole).map_err(failed())?;
        Some(keep_torn(disk, folder, segment, scan.whole, &bytes)?)
    } else {
        None
    };
    if torn.is_some() && scan.end.is_some() {
        disk.truncate(&segment.path, scan.whole).map_err(failed())?;
    }
    if scan.end.is_none() {
        disk.remove(&segment.path).map_err(failed())?;
        disk.sync_folder(folder).map_err(AuditError::io(folder))?;
    }
    Ok(torn)
}

/// The bytes behind so many: at most a batch, as was checked.
fn tail(disk: &dyn Disk, segment: &Segment, whole: u64) -> io::Result<Vec<u8>> {
    let mut file = disk.open(&segment.path)?;
    io::copy(&mut (&mut file).take(whole), &mut io::sink())?;
    let mut bytes = Vec::new();
    file.take(BATCH as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn keep_torn(
    disk: &dyn Disk,
    folder: &Path,
    segment: &Segment,
    whole: u64,
    bytes: &[u8],
) -> Result<Torn, AuditError> {
    let sha256 = Digest::of(bytes);
    let name = format!("{}_{whole}_{sha256}", segment.date);
    let into = folder.join("torn");
    let file = into.join(&name);
    let write = || -> io::Result<()> {
        disk.make_folder(&into)?;
        replace(disk, &file, bytes)
    };
    write().map_err(AuditError::io(&file))?;
    Ok(Torn {
        bytes: bytes.len() as u64,
        file: format!("torn/{name}"),
        segment: format!("{}.jsonl", segment.date),
        sha256,
    })
}

/// What an earlier opening set aside, without coming to record it: it belongs to the last
/// segment, or to the one before it, if the last has only just begun.
fn unrecorded(
    disk: &dyn Disk,
    folder: &Path,
    last: Option<(&Segment, &Scan)>,
    before: Option<&Segment>,
    now: &[Torn],
) -> Result<Vec<Torn>, AuditError> {
    let since = before.or(last.map(|(segment, _)| segment));
    let mut left = torn_since(disk, folder, since.map_or("", |it| &it.date))?;
    left.retain(|torn| !now.contains(torn));
    if let Some((_, scan)) = last {
        left.retain(|torn| !scan.recovered.contains(&torn.file));
    }
    if let Some(before) = before.filter(|_| !left.is_empty()) {
        let scan = Scan::of(disk, before)?;
        left.retain(|torn| !scan.recovered.contains(&torn.file));
    }
    Ok(left)
}

/// The files of `torn/` that were cut from the segments of a day or later ones.
fn torn_since(disk: &dyn Disk, folder: &Path, since: &str) -> Result<Vec<Torn>, AuditError> {
    let into = folder.join("torn");
    let mut names = match disk.names(&into) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        names => names.map_err(AuditError::io(&into))?,
    };
    names.sort();
    let mut found = Vec::new();
    for name in names {
        let parts: Vec<&str> = name.split('_').collect();
        let [date, _, digest] = parts.as_slice() else {
            continue;
        };
        let Some(sha256) = read_digest(digest).filter(|_| *date >= since) else {
            continue; // of an earlier day, or a file that was being written
        };
        let path = into.join(&name);
        let opened = disk.open(&path);
        let bytes = opened.and_then(|mut it| io::copy(&mut it, &mut io::sink()));
        found.push(Torn {
            bytes: bytes.map_err(AuditError::io(&path))?,
            file: format!("torn/{name}"),
            segment: format!("{date}.jsonl"),
            sha256,
        });
    }
    Ok(found)
}

/// Where the last checkpoint stands.
pub(super) fn head_file(folder: &Path) -> PathBuf {
    folder.join("head.json")
}

/// The last checkpoint, as it stands in `head.json`.
pub(super) fn read_head(disk: &dyn Disk, folder: &Path) -> Result<Option<Checkpoint>, AuditError> {
    let path = head_file(folder);
    let mut text = String::new();
    let read = disk.open(&path);
    match read.and_then(|it| it.take(1 << 16).read_to_string(&mut text)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(AuditError::io(&path))?,
    };
    let checkpoint = serde_json::from_str(&text);
    checkpoint
        .map(Some)
        .map_err(|error| AuditError::NoCheckpoint {
            path,
            reason: error.to_string(),
        })
}

/// Puts a checkpoint into `head.json`.
pub(super) fn replace_head(
    disk: &dyn Disk,
    folder: &Path,
    checkpoint: &Checkpoint,
) -> io::Result<()> {
    let value = serde_json::to_value(checkpoint)?;
    let text = canonical(&value).map_err(io::Error::other)? + "\n";
    replace(disk, &head_file(folder), text.as_bytes())
}

/// Writes a file beside its place and moves it there.
fn replace(disk: &dyn Disk, file: &Path, bytes: &[u8]) -> io::Result<()> {
    let staged = file.with_extension("tmp");
    match disk.remove(&staged) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {} // what an earlier attempt left
    }
    let mut writer = disk.create(&staged)?;
    writer.write_all(bytes)?;
    writer.sync()?;
    disk.rename(&staged, file)?;
    disk.sync_folder(above(file))
}
