//! What decisions are made from, as an audit keeps it: each event that satisfies a rule, and of
//! live input how far the watermark had come, which rules left and that it ended.
//!
//! With these the decisions can be made again without the input: an event that satisfies no rule
//! has no part in them. A line is one event, one advance of the watermark or the end.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::event::{Digest, Event, solid_parts};
use crate::okta::{Mapping, tree};
use crate::pipeline::live::{Advance, Leaving};
use crate::redact::Secrets;
use crate::source::Place;

/// Events that satisfied a rule, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// How many events there are.
    pub events: u64,
    /// One line of JSON each; see [`Step`].
    pub lines: Vec<u8>,
    /// The secret fields that were masked.
    pub masked: BTreeSet<String>,
}

/// A line of evidence.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step<'l> {
    /// Of live input: how many events had come with those of the next lines, which came as one record.
    Came(u64),
    /// An event that satisfied a rule.
    #[serde(borrow)]
    Event(Kept<'l>),
    /// The watermark went on.
    Advance(Advance),
    /// Another policy decides from then on: rules that do not go on under it have had their last event.
    Leave(Leaving),
    /// Live input ended, after so many events: everything open closes.
    End(u64),
}

/// An event that satisfied a rule.
#[derive(Debug, Deserialize)]
pub struct Kept<'l> {
    /// Which of the inputs it came from, from 0.
    pub input: u32,
    /// The line it begins on, from 1.
    pub line: u64,
    /// The identity of the event as it came.
    pub digest: Digest,
    /// Where fields are secret, those that were masked; the event is then in Okta's shape.
    #[serde(default)]
    pub masked: Option<Vec<String>>,
    /// The event as it came, without white space outside strings.
    #[serde(borrow)]
    pub record: &'l RawValue,
}

impl Evidence {
    /// Adds an event.
    pub(super) fn event(
        &mut self,
        event: &Event<'_>,
        digest: Digest,
        place: Place,
        (mapping, secrets): (Mapping, &Secrets),
    ) {
        let Place { input, line } = place;
        let head =
            format!("{{\"event\":{{\"input\":{input},\"line\":{line},\"digest\":\"{digest}\"");
        self.lines.extend_from_slice(head.as_bytes());
        // What comes in its own bytes may have a key twice, and a secret in the one that no field is read from.
        let masked = (!secrets.is_empty()).then(|| without(event.raw, mapping, secrets));
        if let Some((_, paths)) = &masked {
            self.masked.extend(paths.iter().cloned());
            self.member("masked", paths);
        }
        self.lines.extend_from_slice(b",\"record\":");
        match masked {
            Some((record, _)) => self.lines.extend_from_slice(record.as_bytes()),
            None if event.compact => self.lines.extend_from_slice(event.raw),
            None => solid_parts(event.raw).for_each(|part| self.lines.extend_from_slice(part)),
        }
        self.lines.extend_from_slice(b"}}\n");
        self.events += 1;
    }

    /// Adds before the events that so many had come with them.
    pub(super) fn came_after(&mut self, events: u64) {
        let lines = std::mem::take(&mut self.lines);
        self.line("came", &events);
        self.lines.extend(lines);
    }

    /// Adds that the watermark went on.
    pub(super) fn advance(&mut self, advance: Advance) {
        self.line("advance", &advance);
    }

    /// Adds that rules do not go on.
    pub(super) fn leave(&mut self, leaving: &Leaving) {
        self.line("leave", leaving);
    }

    /// Adds that the input ended.
    pub(super) fn end(&mut self, events: u64) {
        self.line("end", &events);
    }

    fn line(&mut self, kind: &str, step: &impl Serialize) {
        self.lines.push(b'{');
        self.value(kind, step);
        self.lines.extend_from_slice(b"}\n");
    }

    fn member(&mut self, key: &str, value: &impl Serialize) {
        self.lines.push(b',');
        self.value(key, value);
    }

    fn value(&mut self, key: &str, value: &impl Serialize) {
        self.lines
            .extend_from_slice(format!("\"{key}\":").as_bytes());
        // A vector takes all that it is given, and what is written has texts for keys.
        let _ = serde_json::to_writer(&mut self.lines, value);
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Takes what came after.
    pub fn append(&mut self, later: Self) {
        self.events += later.events;
        self.lines.extend(later.lines);
        self.masked.extend(later.masked);
    }
}

/// An event in Okta's shape without its secrets, and which it had.
fn without(record: &[u8], mapping: Mapping, secrets: &Secrets) -> (String, Vec<String>) {
    let parsed = std::str::from_utf8(record).ok().and_then(tree);
    let mut event = mapping.apply(parsed.unwrap_or_default());
    let masked = secrets.mask(&mut event);
    (event.to_string(), masked)
}

/// The steps of evidence; `None` in the place of a line that is none.
pub fn steps(lines: &[u8]) -> impl Iterator<Item = Option<Step<'_>>> {
    let lines = lines.split(|byte| *byte == b'\n');
    lines
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).ok())
}
