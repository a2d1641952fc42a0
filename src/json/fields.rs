//! Where the wanted fields of a record stand, and what they hold.

use memchr::memchr2;

use super::scalar::Scalar;
use super::wanted::{NodeId, Slot, Wanted};

/// The wanted fields of one record.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'r> {
    text: &'r [u8],
    places: &'r Places,
}

impl<'r> Fields<'r> {
    pub(super) fn new(text: &'r [u8], places: &'r Places) -> Self {
        Self { text, places }
    }

    /// Every value that the path of a field reaches, in the order of the text: several
    /// when it crosses arrays, none when a key is missing. An array at the end of the
    /// path stands for its elements.
    pub fn values(&self, slot: Slot) -> impl Iterator<Item = Scalar<'r>> + use<'r> {
        let Self { text, places } = *self;
        let first = places.first.get(slot.index()).copied();
        let first = first.filter(|place| *place < EMPTY);
        let more = if first.is_some() {
            places.more.as_slice()
        } else {
            &[]
        };
        let more = more.iter().filter(move |(other, _)| *other == slot);
        let all = first.into_iter().chain(more.map(|(_, place)| *place));
        all.map(move |place| scalar(text, place))
    }

    /// The first value of a field.
    #[must_use]
    pub fn first(&self, slot: Slot) -> Option<Scalar<'r>> {
        let place = self.places.first.get(slot.index()).copied();
        place
            .filter(|place| *place < EMPTY)
            .map(|place| scalar(self.text, place))
    }

    /// The value of a field that stands in an object, and not in an array.
    #[must_use]
    pub fn own(&self, slot: Slot) -> Option<Scalar<'r>> {
        let place = *self
            .places
            .first
            .get(slot.index())
            .filter(|place| **place < EMPTY)?;
        let before = self.text.get((place as usize).checked_sub(1)?);
        (before == Some(&b':')).then(|| scalar(self.text, place))
    }

    /// Whether the key is there at all, whatever its value (JSON null included).
    #[must_use]
    pub fn exists(&self, slot: Slot) -> bool {
        self.places
            .first
            .get(slot.index())
            .is_some_and(|place| *place != ABSENT)
    }

    /// Every scalar of the record, if they are wanted.
    pub fn scalars(&self) -> impl Iterator<Item = Scalar<'r>> + use<'r> {
        let text = self.text;
        self.places
            .scalars
            .iter()
            .map(move |place| scalar(text, *place))
    }
}

/// The value that begins at a place of a record in compact JSON.
fn scalar(text: &[u8], place: u32) -> Scalar<'_> {
    let value = text.get(place as usize..).unwrap_or_default();
    match value {
        [b'"', rest @ ..] => {
            let (length, escaped) = string(rest);
            Scalar::text(rest.get(..length).unwrap_or_default(), escaped)
        }
        [b'{', ..] => Scalar::object(),
        _ => {
            let end = value
                .iter()
                .position(|byte| matches!(byte, b',' | b'}' | b']'));
            Scalar::literal(value.get(..end.unwrap_or(value.len())).unwrap_or_default())
        }
    }
}

/// How long a string is that begins here, and whether there are escapes in it.
fn string(text: &[u8]) -> (usize, bool) {
    let mut at = 0;
    let mut escaped = false;
    while let Some(found) = memchr2(b'"', b'\\', text.get(at..).unwrap_or_default()) {
        at += found;
        if text.get(at) == Some(&b'"') {
            return (at, escaped);
        }
        escaped = true;
        at += 2;
    }
    (text.len(), escaped)
}

/// Where the wanted fields of one record stand; used again for the next.
#[derive(Debug, Default)]
pub struct Places {
    /// For each field its first value, or why there is none.
    first: Vec<u32>,
    /// The values behind the first, where a path crosses arrays.
    more: Vec<(Slot, u32)>,
    /// Every scalar of the record, if they are wanted.
    scalars: Vec<u32>,
    /// For each node the object in which it was last reached.
    reached: Vec<u64>,
    /// How many objects were entered, over all records.
    objects: u64,
}

/// The key is not there.
const ABSENT: u32 = u32::MAX;
/// The key is there, and no value: its array is empty.
const EMPTY: u32 = u32::MAX - 1;

impl Places {
    pub(super) fn new(wanted: &Wanted) -> Self {
        Self {
            first: vec![ABSENT; wanted.slots()],
            reached: vec![0; wanted.nodes()],
            ..Self::default()
        }
    }

    /// Forgets the record before.
    pub(super) fn clear(&mut self) {
        self.first.fill(ABSENT);
        self.more.clear();
        self.scalars.clear();
    }

    /// A wanted object opens: a number for it.
    pub(super) fn enter(&mut self) -> u64 {
        self.objects += 1;
        self.objects
    }

    /// A key of the object leads to the node: whether it is the first in this object that does.
    #[inline]
    pub(super) fn reach(&mut self, wanted: &Wanted, node: NodeId, object: u64) -> bool {
        let slot = wanted.node(node).and_then(|node| node.slot);
        if let Some(first) = slot.and_then(|slot| self.first.get_mut(slot.index()))
            && *first == ABSENT
        {
            *first = EMPTY;
        }
        let reached = self.reached.get_mut(node.index());
        reached.is_some_and(|reached| std::mem::replace(reached, object) != object)
    }

    /// A value of the field stands there.
    #[inline]
    pub(super) fn found(&mut self, slot: Option<Slot>, at: usize) {
        let (Some(slot), at) = (slot, place(at)) else {
            return;
        };
        match self.first.get_mut(slot.index()) {
            Some(first) if *first >= EMPTY => *first = at,
            _ => self.more.push((slot, at)),
        }
    }

    /// A scalar stands there.
    pub(super) fn scalar(&mut self, at: usize) {
        self.scalars.push(place(at));
    }
}

/// `Marks` takes no text whose places do not fit.
#[expect(clippy::cast_possible_truncation, reason = "see above")]
fn place(at: usize) -> u32 {
    at as u32
}
