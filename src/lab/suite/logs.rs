//! The logs that cases take events from: each is read once, whatever number of cases takes from it.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::visible::{reason, visible};

/// All logs together, and what is known of them, have at most so many bytes.
const MOST_HELD: usize = 256 << 20;

/// A longer line is no event.
const MAX_LINE: usize = 2 << 20;

/// Which event of a log.
#[derive(Clone, Copy)]
pub(super) enum Which<'n> {
    /// That of a line, from 1.
    Line(u64),
    /// The first one with this id.
    Uuid(&'n str),
    /// The one with these values in these fields.
    Marked(&'n [(String, Value)]),
}

/// The logs that were read so far.
pub(super) struct Logs {
    /// By where they stand, without links; why one cannot be read is kept too.
    read: BTreeMap<PathBuf, Result<Log, String>>,
    /// How many more bytes are held.
    left: usize,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            read: BTreeMap::new(),
            left: MOST_HELD,
        }
    }
}

impl Logs {
    /// An event of a log with an event a line.
    pub(super) fn take(&mut self, path: &Path, which: Which<'_>) -> Result<Value, String> {
        if !path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            return Err(format!("there is no log file `{name}`"));
        }
        let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let left = &mut self.left;
        let log = self
            .read
            .entry(place)
            .or_insert_with(|| Log::read(path, left));
        let log = log.as_mut().map_err(|why| why.clone())?;
        match which {
            Which::Line(line) => log.event_of_line(line),
            Which::Uuid(uuid) => log.event_with_uuid(uuid, left),
            Which::Marked(marks) => log.event_with(marks, left),
        }
    }
}

fn too_much() -> String {
    format!(
        "the logs that cases take events from are larger than {} MiB together",
        MOST_HELD >> 20
    )
}

/// A log, and where values stand in it.
struct Log {
    text: Vec<u8>,
    /// Where each line begins.
    starts: Vec<usize>,
    /// For each field that was asked for the digests of its values, each with the line, in order.
    values: BTreeMap<String, Vec<(u64, u32)>>,
}

impl Log {
    fn read(path: &Path, left: &mut usize) -> Result<Self, String> {
        let unread = |error: &std::io::Error| {
            let name = visible(&path.display().to_string());
            format!("the log `{name}` cannot be read: {}", reason(error))
        };
        let file = fs::File::open(path).map_err(|error| unread(&error))?;
        let mut text = Vec::new();
        file.take(*left as u64 + 1)
            .read_to_end(&mut text)
            .map_err(|error| unread(&error))?;
        let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let mut starts: Vec<usize> = Vec::from([0]);
        starts.extend(ends.map(|(at, _)| at + 1));
        starts.pop_if(|last| *last == text.len());
        spend(left, text.len() + starts.len() * size_of::<usize>())?;
        Ok(Self {
            text,
            starts,
            values: BTreeMap::new(),
        })
    }

    fn line(&self, at: usize) -> Option<&[u8]> {
        let start = *self.starts.get(at)?;
        let end = self.starts.get(at + 1).copied();
        self.text.get(start..end.unwrap_or(self.text.len()))
    }

    fn event_of_line(&self, line: u64) -> Result<Value, String> {
        let at = usize::try_from(line)
            .ok()
            .and_then(|line| line.checked_sub(1));
        let Some(text) = at.and_then(|at| self.line(at)) else {
            return Err(format!("the log has no line {line}"));
        };
        if text.len() >= MAX_LINE {
            return Err(too_long(line));
        }
        parsed(text).ok_or_else(|| format!("line {line} of the log is no event"))
    }

    fn event_with_uuid(&mut self, uuid: &str, left: &mut usize) -> Result<Value, String> {
        let wanted = Value::from(uuid);
        let lines = self.lines_with("uuid", &wanted, left)?;
        let mut events = lines.into_iter().filter_map(|at| self.event(at));
        let found = events.find(|event| event.get("uuid") == Some(&wanted));
        found.ok_or_else(|| format!("the log has no event whose `uuid` is `{uuid}`"))
    }

    fn event_with(&mut self, marks: &[(String, Value)], left: &mut usize) -> Result<Value, String> {
        let mut lines: Option<Vec<u32>> = None;
        for (path, value) in marks {
            let with = self.lines_with(path, value, left)?;
            lines = Some(match lines {
                None => with,
                Some(lines) => in_both(lines, &with),
            });
        }
        let is_meant = |event: &Value| marks.iter().all(|(path, value)| has(event, path, value));
        let lines = lines.unwrap_or_default().into_iter();
        let events = lines.filter_map(|at| Some((at, self.event(at)?)));
        let mut meant = events.filter(|(_, event)| is_meant(event));
        match (meant.next(), meant.next()) {
            (None, _) => Err("the log has no event with what `where` asks for".to_owned()),
            (Some((_, event)), None) => Ok(event),
            (Some((first, _)), Some((second, _))) => Err(format!(
                "lines {} and {} of the log both have what `where` asks for",
                first + 1,
                second + 1
            )),
        }
    }

    fn event(&self, at: u32) -> Option<Value> {
        parsed(self.line(at as usize)?)
    }

    /// The lines of events that have a value in a field, and perhaps some others.
    fn lines_with(
        &mut self,
        path: &str,
        value: &Value,
        left: &mut usize,
    ) -> Result<Vec<u32>, String> {
        if !self.values.contains_key(path) {
            let values = self.values_of(path)?;
            spend(left, path.len() + values.len() * size_of::<(u64, u32)>())?;
            self.values.insert(path.to_owned(), values);
        }
        let values = self.values.get(path).map(Vec::as_slice).unwrap_or_default();
        let wanted = digest(value);
        let first = values.partition_point(|(value, _)| *value < wanted);
        let rest = values.get(first..).unwrap_or_default().iter();
        let with = rest.take_while(|(value, _)| *value == wanted);
        let mut lines: Vec<u32> = with.map(|(_, at)| *at).collect();
        lines.dedup();
        Ok(lines)
    }

    /// Every value of a field by its digest, with its line.
    fn values_of(&self, path: &str) -> Result<Vec<(u64, u32)>, String> {
        let mut values = Vec::new();
        for at in 0..self.starts.len() {
            let line = self.line(at).unwrap_or_default();
            if line.len() >= MAX_LINE {
                return Err(too_long(at as u64 + 1));
            }
            if let (Some(event), Ok(at)) = (parsed(line), u32::try_from(at)) {
                note_values(&event, path, &mut |value| values.push((digest(value), at)));
            }
        }
        values.sort_unstable();
        Ok(values)
    }
}

fn spend(left: &mut usize, bytes: usize) -> Result<(), String> {
    *left = left.checked_sub(bytes).ok_or_else(too_much)?;
    Ok(())
}

fn too_long(line: u64) -> String {
    format!("line {line} of the log is longer than 2 MiB")
}

fn parsed(line: &[u8]) -> Option<Value> {
    let event: Option<Value> = serde_json::from_slice(line).ok();
    event.filter(Value::is_object)
}

/// Equal values have equal digests.
fn digest(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn in_both(lines: Vec<u32>, others: &[u32]) -> Vec<u32> {
    let in_others = |at: &u32| others.binary_search(at).is_ok();
    lines.into_iter().filter(in_others).collect()
}

/// Whether a value stands at a dotted path, through arrays in any of their items.
fn has(event: &Value, path: &str, value: &Value) -> bool {
    let mut found = false;
    note_values(event, path, &mut |other| found |= other == value);
    found
}

/// Tells what stands at a dotted path, through arrays in each of their items.
fn note_values(event: &Value, path: &str, note: &mut impl FnMut(&Value)) {
    if let Value::Array(items) = event {
        return items.iter().for_each(|item| note_values(item, path, note));
    }
    match path.split_once('.') {
        None => {
            let Some(found) = event.get(path) else {
                return;
            };
            note(found);
            if let Value::Array(items) = found {
                items.iter().for_each(note);
            }
        }
        Some((step, rest)) => {
            if let Some(inner) = event.get(step) {
                note_values(inner, rest, note);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read_once_and_answers_from_what_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.ndjson");
        let lines =
            (0..3_000).map(|at| format!("{{\"uuid\":\"u{at}\",\"target\":[{{\"id\":{at}}}]}}\n"));
        fs::write(&path, lines.collect::<String>()).expect("written");
        let mut logs = Logs::default();
        let third = logs.take(&path, Which::Line(3)).expect("an event");
        fs::write(&path, "{}\n").expect("written");
        let mark = |at: u64| vec![("target.id".to_owned(), Value::from(at))];
        // Without a memory this reads nine million lines.
        for at in 0..3_000_u64 {
            let uuid = format!("u{at}");
            let by_uuid = logs.take(&path, Which::Uuid(&uuid)).expect("an event");
            assert_eq!(
                by_uuid,
                logs.take(&path, Which::Marked(&mark(at)))
                    .expect("an event")
            );
            assert_eq!(by_uuid["target"][0]["id"], at);
        }
        assert_eq!(logs.take(&path, Which::Uuid("u2")), Ok(third));
        for (which, expected) in [
            (Which::Line(0), "the log has no line 0"),
            (Which::Line(3_001), "the log has no line 3001"),
            (Which::Uuid("x"), "the log has no event whose `uuid` is `x`"),
            (
                Which::Marked(&mark(9_999)),
                "the log has no event with what `where` asks for",
            ),
        ] {
            assert_eq!(logs.take(&path, which), Err(expected.to_owned()));
        }
    }

    #[test]
    fn what_is_held_is_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.ndjson");
        fs::write(&path, "{\"uuid\":\"a\"}\n").expect("written");
        for (left, is_held) in [(10, false), (30, false), (100, true)] {
            let read = BTreeMap::new();
            let mut logs = Logs { read, left };
            let taken = logs.take(&path, Which::Uuid("a"));
            assert_eq!(taken.is_ok(), is_held, "{left}: {taken:?}");
            if let Err(why) = taken {
                assert!(why.contains("larger than 256 MiB together"), "{why}");
            }
        }
    }
}
