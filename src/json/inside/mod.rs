//! Values inside texts: `{level=HIGH, reasons=…}` or JSON in a string of a record.
//!
//! Where a wanted path goes on below a string, and the string is declared to hold
//! values, the walk hands it over to here. What is found is noted first and given to
//! the record's [`Places`](super::fields::Places) afterwards, so that a text that turns
//! out to be broken leaves nothing behind. No tree is built; the values stand, spelled
//! as JSON, in one buffer that is used again for the next record.

mod map;
mod object;

use std::hash::BuildHasher as _;

use serde_json::Value;

use self::object::{Trouble, walk};
use super::scalar::unescaped;
use super::surrogates;
use super::wanted::{NodeId, Slot, Wanted};

/// How a text that holds values is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// `{level=HIGH, reasons=Anomalous Location, New Device}`, as Java writes its maps and lists.
    Map,
    /// JSON.
    Json,
}

/// A longer text is not looked into.
pub const LONGEST_TEXT: usize = 64 << 10;
/// Nor are the others of a record whose texts hold so many bytes of values.
const LONGEST_OF_ALL: usize = 64 << 20;

/// The values inside the texts of one record; used again for the next.
#[derive(Debug, Default)]
pub(super) struct Inside {
    values: Vec<u8>,
    notes: Notes,
    /// What was found in the texts seen last, each at a place by its hash: most come again.
    memory: Vec<Remembered>,
}

/// A text, and what was found in it.
#[derive(Clone, Debug, Default)]
struct Remembered {
    node: Option<NodeId>,
    raw: Vec<u8>,
    values: Vec<u8>,
    /// With places in `values`.
    found: Vec<Found>,
}

/// So many texts are remembered, a power of two.
const REMEMBERED: usize = 256;

/// Longer texts are not.
const LONGEST_REMEMBERED: usize = 1 << 10;

/// Texts are told apart by all their bytes, so nothing depends on this hash but speed.
const HASHER: foldhash::fast::FixedState = foldhash::fast::FixedState::with_seed(0);

/// What was found in a text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    /// The key of a field.
    Key(Slot),
    /// A value of a field, and where in [`Inside::values`] it begins and ends.
    Value(Slot, usize, usize),
}

impl Found {
    /// The same with its place elsewhere.
    fn moved(self, to: impl Fn(usize) -> usize) -> Self {
        match self {
            Self::Key(slot) => Self::Key(slot),
            Self::Value(slot, start, end) => Self::Value(slot, to(start), to(end)),
        }
    }
}

#[derive(Debug, Default)]
struct Notes {
    found: Vec<Found>,
    /// Texts inside the text that hold values themselves, without their quotes.
    nested: Vec<(NodeId, Notation, std::ops::Range<usize>)>,
    /// For each node the object in which it was last reached.
    reached: Vec<u64>,
    objects: u64,
}

impl Inside {
    /// Forgets the record before.
    pub(super) fn clear(&mut self) {
        self.values.clear();
    }

    /// The values that were found, each as JSON writes it.
    pub(super) fn values(&self) -> &[u8] {
        &self.values
    }

    /// Adds a value that no text of the record holds, and says where it begins and ends.
    pub(super) fn add(&mut self, value: &[u8]) -> [usize; 2] {
        let start = self.values.len();
        self.values.extend_from_slice(value);
        [start, self.values.len()]
    }

    /// Finds the wanted fields below a node in a text, which is given as JSON spells it
    /// and without its quotes. Those of texts inside of the text come last.
    pub(super) fn read(
        &mut self,
        wanted: &Wanted,
        node: NodeId,
        notation: Notation,
        raw: &[u8],
    ) -> impl Iterator<Item = Found> {
        if self.values.len() > LONGEST_OF_ALL {
            return self.notes.found.drain(..);
        }
        if raw.len() > LONGEST_REMEMBERED {
            self.decode(wanted, node, notation, raw);
            return self.notes.found.drain(..);
        }
        self.memory.resize(REMEMBERED, Remembered::default());
        let hash = HASHER.hash_one(raw);
        let at = (hash as usize ^ node.index()) & (REMEMBERED - 1);
        let known = self.memory.get(at);
        let start = self.values.len();
        if let Some(known) = known.filter(|known| known.node == Some(node) && known.raw == raw) {
            let found = known.found.iter().map(|found| found.moved(|at| at + start));
            self.notes.found.extend(found);
            self.values.extend_from_slice(&known.values);
        } else {
            self.decode(wanted, node, notation, raw);
            self.remember(at, node, raw, start);
        }
        self.notes.found.drain(..)
    }

    /// Keeps what was just found, whose values begin at `start`.
    fn remember(&mut self, at: usize, node: NodeId, raw: &[u8], start: usize) {
        let Some(place) = self.memory.get_mut(at) else {
            return;
        };
        let values = self.values.get(start..).unwrap_or_default();
        place.node = Some(node);
        place.raw.clear();
        place.raw.extend_from_slice(raw);
        place.values.clear();
        place.values.extend_from_slice(values);
        place.found.clear();
        let found = self.notes.found.iter();
        place
            .found
            .extend(found.map(|found| found.moved(|at| at - start)));
    }

    fn decode(&mut self, wanted: &Wanted, node: NodeId, notation: Notation, raw: &[u8]) {
        self.notes.reached.resize(wanted.nodes(), 0);
        self.text(wanted, node, notation, raw);
        // A text is declared at a node below that of the text around it: there are few.
        while let Some((node, notation, place)) = self.notes.nested.pop() {
            let raw = self.values.get(place).unwrap_or_default().to_vec();
            self.text(wanted, node, notation, &raw);
        }
    }

    fn text(&mut self, wanted: &Wanted, node: NodeId, notation: Notation, raw: &[u8]) {
        // An escape has at most six bytes.
        if raw.len() > 6 * LONGEST_TEXT {
            return;
        }
        match notation {
            Notation::Map => map::read(raw, wanted, node, self),
            Notation::Json => self.json(raw, wanted, node),
        }
    }

    fn json(&mut self, raw: &[u8], wanted: &Wanted, node: NodeId) {
        let text = unescaped(raw);
        if text.len() > LONGEST_TEXT {
            return;
        }
        let start = self.values.len();
        self.values.extend_from_slice(text.as_bytes());
        match walk(&self.values, start, wanted, node, false, &mut self.notes) {
            Ok(()) => {}
            Err(Trouble::Broken) => self.values.truncate(start),
            Err(Trouble::Unusual) => {
                self.values.truncate(start);
                self.canonical_json(&text, wanted, node);
            }
        }
    }

    /// Reads JSON in which a wanted key stands twice, or with escapes, as the parser does.
    fn canonical_json(&mut self, text: &str, wanted: &Wanted, node: NodeId) {
        let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
        let tree = parse(text).or_else(|| surrogates::repaired(text).and_then(|text| parse(&text)));
        let start = self.values.len();
        let written = tree.map(|tree| serde_json::to_writer(&mut self.values, &tree).is_ok());
        let read = written == Some(true)
            && walk(&self.values, start, wanted, node, true, &mut self.notes).is_ok();
        if !read {
            self.values.truncate(start);
        }
    }
}

impl Notes {
    /// A number for an object that opens.
    fn enter(&mut self) -> u64 {
        self.objects += 1;
        self.objects
    }

    /// A key of an object leads to a node: whether it is the first of this object that does.
    fn reach(&mut self, wanted: &Wanted, node: NodeId, object: u64) -> bool {
        let slot = wanted.node(node).and_then(|node| node.slot);
        self.found.extend(slot.map(Found::Key));
        let reached = self.reached.get_mut(node.index());
        reached.is_some_and(|reached| std::mem::replace(reached, object) != object)
    }

    /// A value stands there.
    fn value(&mut self, wanted: &Wanted, node: NodeId, start: usize, end: usize) {
        let slot = wanted.node(node).and_then(|node| node.slot);
        let value = slot.map(|slot| Found::Value(slot, start, end));
        self.found.extend(value);
    }

    /// The value is a text, which may hold values itself.
    fn text(&mut self, wanted: &Wanted, node: NodeId, start: usize, end: usize) {
        self.value(wanted, node, start, end);
        let notation = wanted.node(node).and_then(|node| node.inside);
        let nested = notation.map(|notation| (node, notation, start + 1..end - 1));
        self.nested.extend(nested);
    }
}

#[cfg(test)]
mod tests;
