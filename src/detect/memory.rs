//! What was found out about the values seen last, so that a value that comes
//! again is not tested again.

use std::hash::BuildHasher as _;

use crate::detect::values::{TestId, Values};
use crate::json::Scalar;

/// The values of one field that were seen last, and the tests that each passes.
///
/// A value has one place where it can be kept, by its hash; a new one takes the
/// place of the old. There are more places when many were taken, up to a bound, and
/// what is forgotten is tested again.
#[derive(Debug)]
pub struct Memory {
    places: Vec<Place>,
    /// How often a value took the place of another since there are so many places.
    taken: usize,
    most: usize,
}

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
        let hash = HASHER.hash_one(raw) | 1;
        let at = (hash >> 1) as usize & (self.places.len() - 1);
        let place = self.places.get_mut(at);
        let Some(place) = place.filter(|_| raw.len() <= LONGEST) else {
            spare.clear();
            values.passed(value, spare);
            return spare;
        };
        if place.hash != hash || place.tag != tag || place.value != raw {
            self.taken += usize::from(place.hash != 0);
            place.hash = hash;
            place.tag = tag;
            place.value.clear();
            place.value.extend_from_slice(raw);
            place.passed.clear();
            values.passed(value, &mut place.passed);
            if self.taken > self.places.len() && self.places.len() < self.most {
                return self.grow(at, spare);
            }
        }
        self.places.get(at).map_or(&[], |place| &place.passed)
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
