//! What was found out about the values seen last, so that a value that comes
//! again is not tested again.

use std::hash::BuildHasher as _;

use crate::detect::values::{TestId, Values};
use crate::json::Scalar;

/// The values of one field that were seen last, and the tests that each passes.
///
/// A value has two places where it can be kept, side by side, by its hash; a new one
/// comes first and the one that was second is forgotten, to be tested again when it
/// comes again. There are more places when many were forgotten, up to a bound. Of a
/// field whose values hardly ever come again nothing is remembered for a while.
#[derive(Debug)]
pub struct Memory {
    places: Vec<Place>,
    /// How often a value was forgotten for another since there are so many places.
    taken: usize,
    most: usize,
    /// How many values were looked for, and how many of them in vain.
    asked: u32,
    missed: u32,
    /// So many values are not looked for.
    passing: u32,
}

/// After so many values it is decided whether to look for the next at all.
const TRIAL: u32 = 1 << 12;

/// For so many values nothing is remembered when it did not help.
const PAUSE: u32 = 1 << 17;

#[derive(Clone, Debug, Default)]
struct Place {
    /// Zero where nothing is kept.
    hash: u64,
    tag: u8,
    value: Vec<u8>,
    passed: Vec<TestId>,
}

/// There are so many places at first.
const LEAST: usize = 16;

/// Longer values are not kept.
const LONGEST: usize = 512;

/// Values are told apart by all their bytes, so nothing depends on this hash but speed.
const HASHER: foldhash::fast::FixedState = foldhash::fast::FixedState::with_seed(0);

impl Memory {
    /// Room for up to `most` values.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            places: vec![Place::default(); LEAST],
            taken: 0,
            most,
            asked: 0,
            missed: 0,
            passing: 0,
        }
    }

    /// The tests that a value passes.
    pub fn passed<'m>(
        &'m mut self,
        values: &Values,
        value: Scalar<'_>,
        spare: &'m mut Vec<TestId>,
    ) -> &'m [TestId] {
        let (tag, raw) = (value.tag(), value.raw());
        if self.is_passing() || raw.len() > LONGEST {
            spare.clear();
            values.passed(value, spare);
            return spare;
        }
        let hash = HASHER.hash_one(raw) | 1;
        let first = (hash >> 1) as usize & (self.places.len() - 1);
        let is = |place: &Place| place.hash == hash && place.tag == tag && place.value == raw;
        let known = [first, first ^ 1]
            .into_iter()
            .find(|at| self.places.get(*at).is_some_and(is));
        if known.is_none() {
            self.missed += 1;
            self.places.swap(first, first ^ 1);
            if let Some(place) = self.places.get_mut(first) {
                self.taken += usize::from(place.hash != 0);
                place.hash = hash;
                place.tag = tag;
                place.value.clear();
                place.value.extend_from_slice(raw);
                place.passed.clear();
                values.passed(value, &mut place.passed);
            }
            if self.taken > self.places.len() && self.places.len() < self.most {
                return self.grow(first, spare);
            }
        }
        let place = self.places.get(known.unwrap_or(first));
        place.map_or(&[], |place| &place.passed)
    }

    /// Whether the value at hand is not looked for. A trial without much success is
    /// followed by a pause, when there are as many places as there can be.
    fn is_passing(&mut self) -> bool {
        if let Some(left) = self.passing.checked_sub(1) {
            self.passing = left;
            return true;
        }
        self.asked += 1;
        if self.asked == TRIAL {
            let in_vain = 2 * self.missed > TRIAL && self.places.len() >= self.most;
            self.passing = if in_vain { PAUSE } else { 0 };
            self.asked = 0;
            self.missed = 0;
        }
        false
    }

    /// Twice the places, all empty; gives the tests of the value at a place of before.
    #[cold]
    fn grow<'m>(&mut self, at: usize, spare: &'m mut Vec<TestId>) -> &'m [TestId] {
        *spare = self.places.swap_remove(at).passed;
        let places = 2 * (self.places.len() + 1);
        self.places = vec![Place::default(); places];
        self.taken = 0;
        spare
    }
}
