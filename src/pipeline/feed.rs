//! The chunks of the inputs on their way to detection, some of which may be looked at before.

use std::collections::{BTreeMap, VecDeque};

use crate::event::clip;
use crate::json::{Slot, Wanted};
use crate::okta::{EVENT_TYPE, Records};
use crate::pipeline::Settings;
use crate::pipeline::scan::in_range;
use crate::route::{Frequent, Summary};
use crate::source::{Chunk, Input, Reader, SourceError, Taken};

/// How much is looked at before detection.
#[derive(Clone, Copy, Debug)]
struct Most {
    /// Events.
    events: u64,
    /// Records, events in the time range or not, and stretches that are none.
    records: u64,
    /// Bytes of text before the last of them.
    text: u64,
}

const MOST: Most = Most {
    events: 10_000,
    records: 100_000,
    text: 32 << 20,
};

/// So many event types are told.
const TYPES: usize = 20;

/// A chunk, with how much of the inputs was read when it came.
type Came = (Result<Chunk, SourceError>, u64);

/// The chunks in their order: those that were read ahead, and then those that are to be read.
pub(super) struct Feed {
    ahead: VecDeque<Came>,
    reader: Reader,
    taken: Option<Taken>,
}

impl Feed {
    /// Nothing is read yet.
    pub(super) fn new(inputs: Vec<Input>, settings: &Settings) -> Self {
        let mut reader = Reader::new(inputs);
        Self {
            ahead: VecDeque::new(),
            taken: settings.evidence.is_some().then(|| reader.taken()),
            reader,
        }
    }

    /// What messages call the inputs.
    pub(super) fn names(&self) -> Vec<String> {
        self.reader.inputs().iter().map(Input::name).collect()
    }

    /// What is read, where it is told by its digest.
    pub(super) fn taken(&self) -> Option<Taken> {
        self.taken.clone()
    }

    /// What the first events are, as far as it takes to know. What is read for that is handed on.
    pub(super) fn summary(&mut self, settings: &Settings) -> Summary {
        self.look(settings, MOST)
    }

    fn look(&mut self, settings: &Settings, most: Most) -> Summary {
        let mut looking = Looking::new(settings, most);
        while !looking.is_enough() {
            let Some((chunk, read)) = self.read() else {
                break;
            };
            if let Ok(chunk) = &chunk {
                looking.at(chunk, settings);
            }
            self.ahead.push_back((chunk, read));
        }
        looking.summary()
    }

    fn read(&mut self) -> Option<Came> {
        let chunk = self.reader.next()?;
        Some((chunk, self.reader.read_so_far()))
    }
}

impl Iterator for Feed {
    type Item = Came;

    fn next(&mut self) -> Option<Self::Item> {
        self.ahead.pop_front().or_else(|| self.read())
    }
}

/// What was seen of the first events. It ends at the same one however the text comes in chunks.
struct Looking {
    most: Most,
    records: Records,
    event_type: Slot,
    seen: Summary,
    types: BTreeMap<String, u64>,
    input: u32,
    /// The text of the inputs before this one, and with all that was read of this one.
    earlier: u64,
    text: u64,
    /// The records before the next one, and what is before it and is none.
    looked_at: u64,
    /// The lines of what is no record, where that may stand behind the next one.
    rejects: VecDeque<u64>,
    is_over: bool,
}

impl Looking {
    fn new(settings: &Settings, most: Most) -> Self {
        let mut wanted = Wanted::default();
        let event_type = wanted.add([EVENT_TYPE]);
        Self {
            most,
            records: Records::new(settings.mapping, &wanted),
            event_type,
            seen: Summary::default(),
            types: BTreeMap::new(),
            input: 0,
            earlier: 0,
            text: 0,
            looked_at: 0,
            rejects: VecDeque::new(),
            is_over: false,
        }
    }

    /// Whether nothing that comes can add to it.
    fn is_enough(&self) -> bool {
        let last = self.rejects.back();
        let before = self.rejects.partition_point(|line| Some(line) < last) as u64;
        self.is_over || self.text >= self.most.text || self.looked_at + before >= self.most.records
    }

    fn at(&mut self, chunk: &Chunk, settings: &Settings) {
        if chunk.input() != self.input {
            self.input = chunk.input();
            self.earlier = self.text;
            self.looked_at += self.rejects.drain(..).count() as u64;
        }
        self.text += chunk.bytes();
        let rejects = chunk.rejects().iter();
        self.rejects.extend(rejects.map(|reject| reject.place.line));
        for record in chunk.records() {
            let is_before = |line: &u64| *line < record.place.line;
            let before = self.rejects.partition_point(is_before);
            self.looked_at += self.rejects.drain(..before).count() as u64;
            self.is_over |= self.looked_at >= self.most.records
                || self.earlier + record.offset >= self.most.text
                || self.seen.count >= self.most.events;
            if self.is_over {
                return;
            }
            self.looked_at += 1;
            self.record(record.bytes, settings);
        }
    }

    fn record(&mut self, bytes: &[u8], settings: &Settings) {
        let Self {
            most,
            records,
            event_type,
            seen,
            types,
            ..
        } = self;
        // What is no event is none of the first; the run itself will say so.
        let _ = records.read(bytes, &mut |event, _| {
            if seen.count >= most.events || !in_range(event.time, settings) {
                return;
            }
            seen.count += 1;
            seen.first_seen = seen.first_seen.into_iter().chain(event.time).min();
            seen.last_seen = seen.last_seen.max(event.time);
            let named = event.fields.first(*event_type);
            if let Some(name) = named.and_then(|value| value.as_str()) {
                *types.entry(clip(&name).into_owned()).or_default() += 1;
            }
        });
    }

    fn summary(self) -> Summary {
        let mut types: Vec<Frequent> = self
            .types
            .into_iter()
            .map(|(event_type, count)| Frequent { event_type, count })
            .collect();
        // Those that came equally often stay in the order of their names.
        types.sort_by_key(|frequent| std::cmp::Reverse(frequent.count));
        types.truncate(TYPES);
        Summary {
            event_types: types,
            ..self.seen
        }
    }
}

#[cfg(test)]
mod tests;
