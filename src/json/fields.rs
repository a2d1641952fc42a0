//! Where the wanted fields of a record stand, and what they hold.

use super::inside::{Found, Inside, Notation};
use super::scalar::Scalar;
use super::supplied::{Supplied, Supplier};
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

    /// Calls `take` with every value that the path of a field reaches, in the order of
    /// the text: several when it crosses arrays, none when a key is missing. An array
    /// at the end of the path stands for its elements.
    #[inline]
    pub fn each(&self, slot: Slot, mut take: impl FnMut(Scalar<'r>)) {
        let Some(first) = self.first(slot) else {
            return;
        };
        take(first);
        self.more(slot).for_each(take);
    }

    /// The same values, one after the other.
    pub fn values(&self, slot: Slot) -> impl Iterator<Item = Scalar<'r>> + use<'r> {
        let first = self.first(slot);
        let more = first.map(|_| self.more(slot));
        first.into_iter().chain(more.into_iter().flatten())
    }

    /// The first value of a field.
    #[inline]
    #[must_use]
    pub fn first(&self, slot: Slot) -> Option<Scalar<'r>> {
        let place = self.places.first.get(slot.index())?;
        match place.start {
            ..INSIDE => Some(place.scalar(self.text)),
            EMPTY.. => None,
            _ => Some(self.scalar(*place)),
        }
    }

    /// The values of a field behind the first.
    fn more(&self, slot: Slot) -> impl Iterator<Item = Scalar<'r>> + use<'r> {
        let fields = *self;
        let of_field = self
            .places
            .more
            .iter()
            .filter(move |(other, _)| *other == slot);
        of_field.map(move |(_, place)| fields.scalar(*place))
    }

    /// The value of a field that stands in an object of the record, and not in an array.
    #[must_use]
    pub fn own(&self, slot: Slot) -> Option<Scalar<'r>> {
        let value = self.first(slot)?;
        let start = self.places.first.get(slot.index())?.start as usize;
        let before = self.text.get(start.checked_sub(1)?);
        (before == Some(&b':')).then_some(value)
    }

    fn scalar(self, place: Place) -> Scalar<'r> {
        if place.start & INSIDE == 0 {
            return place.scalar(self.text);
        }
        let [start, end] = [place.start, place.end].map(|at| at & !INSIDE);
        Place { start, end }.scalar(self.places.inside.values())
    }

    /// Whether the key is there at all, whatever its value (JSON null included).
    #[must_use]
    pub fn exists(&self, slot: Slot) -> bool {
        let place = self.places.first.get(slot.index());
        place.is_some_and(|place| place.start != ABSENT)
    }

    /// Whether nothing stands there: no value, or nulls and empty strings alone.
    #[must_use]
    pub fn is_empty(&self, slot: Slot) -> bool {
        self.values(slot)
            .all(|value| value.is_null() || (value.is_str() && value.raw().is_empty()))
    }

    /// Whether some value does not stand in the record.
    #[inline]
    #[must_use]
    pub fn has_supplied(&self) -> bool {
        !self.places.supplied.is_empty()
    }

    /// Whether the value of the field does not stand in the record.
    #[must_use]
    pub fn is_supplied(&self, slot: Slot) -> bool {
        self.places.supplied.contains(&slot)
    }

    /// Every scalar of the record, if they are wanted; what was supplied is none of them.
    pub fn scalars(&self) -> impl Iterator<Item = Scalar<'r>> + use<'r> {
        let text = self.text;
        self.places
            .scalars
            .iter()
            .map(move |place| place.scalar(text))
    }
}

/// Where the wanted fields of one record stand; used again for the next.
#[derive(Debug, Default)]
pub struct Places {
    /// For each field its first value, or why there is none.
    first: Vec<Place>,
    /// The values behind the first, where a path crosses arrays.
    more: Vec<(Slot, Place)>,
    /// Every scalar of the record, if they are wanted.
    scalars: Vec<Place>,
    /// For each node the object in which it was last reached.
    reached: Vec<u64>,
    /// How many objects were entered, over all records.
    objects: u64,
    /// What stands inside of texts, and what was supplied.
    inside: Inside,
    /// The fields whose value does not stand in the record.
    supplied: Vec<Slot>,
}

/// Where a value begins, and where it ends.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: u32,
    end: u32,
}

/// The start of a field whose key is not there.
const ABSENT: u32 = u32::MAX;
/// The start of a field whose key is there, and no value: its array is empty.
const EMPTY: u32 = u32::MAX - 1;

/// A place with this bit is one among the values inside of texts and those supplied.
const INSIDE: u32 = 1 << 31;

const NOWHERE: Place = Place {
    start: ABSENT,
    end: 0,
};

impl Place {
    /// `Marks` takes no text whose places do not fit.
    #[expect(clippy::cast_possible_truncation, reason = "see above")]
    fn new(start: usize, end: usize) -> Self {
        Self {
            start: start as u32,
            end: end as u32,
        }
    }

    #[inline]
    fn scalar(self, text: &[u8]) -> Scalar<'_> {
        Scalar::new(
            text.get(self.start as usize..self.end as usize)
                .unwrap_or_default(),
        )
    }
}

impl Places {
    pub(super) fn new(wanted: &Wanted) -> Self {
        Self {
            first: vec![NOWHERE; wanted.slots()],
            reached: vec![0; wanted.nodes()],
            ..Self::default()
        }
    }

    /// Forgets the record before.
    pub(super) fn clear(&mut self) {
        self.first.fill(NOWHERE);
        self.more.clear();
        self.scalars.clear();
        self.inside.clear();
        self.supplied.clear();
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
        if let Some(slot) = slot {
            self.key(slot);
        }
        let reached = self.reached.get_mut(node.index());
        reached.is_some_and(|reached| std::mem::replace(reached, object) != object)
    }

    /// A value of the field stands there.
    #[inline]
    pub(super) fn found(&mut self, slot: Option<Slot>, start: usize, end: usize) {
        let (Some(slot), place) = (slot, Place::new(start, end)) else {
            return;
        };
        match self.first.get_mut(slot.index()) {
            Some(first) if first.start >= EMPTY => *first = place,
            _ => self.more.push((slot, place)),
        }
    }

    /// The text of a node stands there, given as JSON spells it: the fields below the
    /// node are looked for inside.
    pub(super) fn look_inside(
        &mut self,
        wanted: &Wanted,
        node: NodeId,
        notation: Notation,
        raw: &[u8],
    ) {
        let mut inside = std::mem::take(&mut self.inside);
        for found in inside.read(wanted, node, notation, raw) {
            match found {
                Found::Key(slot) => self.key(slot),
                Found::Value(slot, start, end) => {
                    let inside = INSIDE as usize;
                    self.found(Some(slot), start | inside, end | inside);
                }
            }
        }
        self.inside = inside;
    }

    /// Gives fields that the record leaves empty the values that the supplier knows.
    pub(super) fn supply(&mut self, text: &[u8], supplier: &mut dyn Supplier) {
        let record = Fields::new(text, self);
        if !supplier.fields().iter().any(|slot| record.is_empty(*slot)) {
            return;
        }
        for (slot, value) in supplier.know(&record) {
            if Fields::new(text, self).is_empty(*slot) {
                self.fill(*slot, value);
            }
        }
    }

    /// The value takes the place of all that the field has.
    fn fill(&mut self, slot: Slot, value: &Supplied) {
        let Some(first) = self.first.get_mut(slot.index()) else {
            return;
        };
        let [start, end] = self.inside.add(value.as_bytes());
        *first = Place::new(start | INSIDE as usize, end | INSIDE as usize);
        self.more.retain(|(other, _)| *other != slot);
        self.supplied.push(slot);
    }

    /// The key of a field is there, if no value of it was found yet.
    #[inline]
    fn key(&mut self, slot: Slot) {
        if let Some(first) = self.first.get_mut(slot.index())
            && first.start == ABSENT
        {
            first.start = EMPTY;
        }
    }

    /// A scalar stands there.
    pub(super) fn scalar(&mut self, start: usize, end: usize) {
        self.scalars.push(Place::new(start, end));
    }
}
