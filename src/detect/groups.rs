//! The groups of one consumer. There may be millions, so that they are small.
//!
//! A group is a slot of a vector, in the order in which the groups came up,
//! and its number is its place there. The keys stand in one buffer in the same
//! order: a slot says where its key ends, which is where the next begins. A
//! hash table of numbers finds a group by its key. A group goes in a sweep
//! only, which moves those that stay together and numbers them anew.
//!
//! A window of one event is that event; only a second one makes it a list.
//!
//! Keys are text out of a log. They are hashed by `SipHash` under a random
//! key, so that nobody can make up a million that collide.

mod window;

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use uuid::Uuid;

use crate::detect::Consumer;
use crate::detect::finding::Growing;
use crate::detect::packed::{Unpacked, pack_text};
use crate::detect::state::{Restoring, Saving};
use crate::event::{Nanos, Time};

pub(super) use self::window::Window;

/// What is known of each group, by the folded values of its fields.
#[derive(Default)]
pub(super) struct Groups {
    numbers: HashTable<u32>,
    slots: Vec<Group>,
    keys: Vec<u8>,
    hasher: RandomState,
    /// When each wait of an event ends, and in which group it waits; some have an end by now.
    waits: VecDeque<(Time, u32)>,
    /// How many the last sweep left.
    left: usize,
    /// How many bytes they keep: [`Group::weight`] of all.
    weight: usize,
}

/// What is known of a group.
pub(super) struct Group {
    /// Where its key ends.
    end: usize,
    pub(super) window: Window,
    pub(super) open: Option<Box<Growing>>,
}

/// The folded values of a group's fields, one behind the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Key(Vec<u8>);

/// Groups that hold nothing any more are looked for when there are so many, and
/// again when there are twice as many as were left.
const SWEEP: usize = 4_096;

impl Groups {
    /// The number of a group. The window of one that is known is changed, a new one gets its first.
    pub(super) fn enter(
        &mut self,
        key: &Key,
        change: impl FnOnce(&mut Window),
        first: impl FnOnce() -> Window,
    ) -> u32 {
        let hash = self.hasher.hash_one(key.0.as_slice());
        if let Some(number) = self.find(key) {
            self.change(number, |group| change(&mut group.window));
            return number;
        }
        let number = u32::try_from(self.slots.len()).unwrap_or(GONE);
        self.keys.extend_from_slice(&key.0);
        let group = Group {
            end: self.keys.len(),
            window: first(),
            open: None,
        };
        self.weight += group.weight();
        self.slots.push(group);
        let (slots, keys, hasher) = (&self.slots, &self.keys, &self.hasher);
        self.numbers
            .insert_unique(hash, number, |at| hasher.hash_one(key_at(slots, keys, *at)));
        number
    }

    /// The number of a group that is known.
    pub(super) fn find(&self, key: &Key) -> Option<u32> {
        let hash = self.hasher.hash_one(key.0.as_slice());
        let known = self.numbers.find(hash, |at| self.key(*at) == key.0);
        known.copied()
    }

    /// The key of a group.
    pub(super) fn key_of(&self, number: u32) -> Key {
        Key(self.key(number).to_vec())
    }

    pub(super) fn get(&self, number: u32) -> Option<&Group> {
        self.slots.get(number as usize)
    }

    /// Changes a group, which may keep more or less then.
    pub(super) fn change<T>(
        &mut self,
        number: u32,
        change: impl FnOnce(&mut Group) -> T,
    ) -> Option<T> {
        let group = self.slots.get_mut(number as usize)?;
        let before = group.weight();
        let changed = change(group);
        self.weight = (self.weight + group.weight()).saturating_sub(before);
        Some(changed)
    }

    /// The values of a group, folded.
    pub(super) fn values(&self, number: u32) -> impl Iterator<Item = &str> {
        values(self.key(number))
    }

    fn key(&self, number: u32) -> &[u8] {
        key_at(&self.slots, &self.keys, number)
    }

    /// The numbers of the groups with an open finding, and when it had its last hit.
    pub(super) fn open(&self) -> impl Iterator<Item = (Time, u32)> {
        (0..).zip(&self.slots).filter_map(|(number, group)| {
            let open = group.open.as_ref()?;
            Some((open.last_hit()?, number))
        })
    }

    /// An event of a group waits until then. No wait that is told later ends sooner.
    pub(super) fn wait_until(&mut self, end: Time, number: u32) {
        self.waits.push_back((end, number));
    }

    /// When the first wait ends.
    pub(super) fn first_end(&self) -> Option<Time> {
        self.waits.front().map(|(end, _)| *end)
    }

    /// The next group in which a wait ends then.
    pub(super) fn next_ended(&mut self, end: Time) -> Option<u32> {
        if self.first_end() != Some(end) {
            return None;
        }
        self.waits.pop_front().map(|(_, number)| number)
    }

    /// How many events wait.
    pub(super) fn waiting(&self) -> usize {
        let windows = self.slots.iter().map(|group| group.window.len());
        windows.sum()
    }

    /// Whether there are so many that it is worth while to look for those that no later event can meet.
    pub(super) fn are_many(&self) -> bool {
        self.slots.len() >= SWEEP.max(2 * self.left)
    }

    /// Lets go of the groups without an open finding whose newest event is
    /// longer ago than `reach`. Gives the numbers of those that stay, at the places of the old ones.
    pub(super) fn sweep(&mut self, now: Time, reach: Nanos) -> Vec<u32> {
        self.retain(|_, group| group.is_alive(now, reach))
    }

    /// Lets go of the groups of these numbers, like [`Self::sweep`], and says how many events and values they kept.
    pub(super) fn evict(&mut self, gone: &HashSet<u32>) -> (Vec<u32>, usize) {
        let mut kept = 0;
        let renumbered = self.retain(|number, group| {
            let goes = gone.contains(&number);
            kept += if goes { group.window.count() } else { 0 };
            !goes
        });
        (renumbered, kept)
    }

    fn retain(&mut self, mut stays: impl FnMut(u32, &Group) -> bool) -> Vec<u32> {
        let mut renumbered = Vec::with_capacity(self.slots.len());
        let (mut begin, mut kept, mut left, mut number) = (0, 0, 0, 0);
        let keys = &mut self.keys;
        self.slots.retain_mut(|group| {
            let key = begin..group.end;
            begin = group.end;
            let stays = stays(number, group);
            number += 1;
            if !stays {
                renumbered.push(GONE);
                return false;
            }
            let length = key.len();
            keys.copy_within(key, kept);
            kept += length;
            group.end = kept;
            renumbered.push(left);
            left += 1;
            true
        });
        keys.truncate(kept);
        self.numbers.retain(|number| {
            *number = renumbered.get(*number as usize).copied().unwrap_or(GONE);
            *number != GONE
        });
        self.waits.retain_mut(|(_, number)| {
            *number = renumbered.get(*number as usize).copied().unwrap_or(GONE);
            *number != GONE
        });
        self.left = self.slots.len();
        self.weight = self.slots.iter().map(Group::weight).sum();
        self.shrink();
        renumbered
    }

    /// How many bytes all groups keep.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// Of each group the time of its newest event, its number, and how many bytes it keeps.
    pub(super) fn weights(&self) -> impl Iterator<Item = (Option<Time>, u32, usize)> {
        (0..).zip(&self.slots).map(|(number, group)| {
            let newest = group.window.last().map(|member| member.time);
            (newest, number, group.weight())
        })
    }

    /// Leaves room for twice as many.
    fn shrink(&mut self) {
        self.slots.shrink_to(2 * self.slots.len());
        self.keys.shrink_to(2 * self.keys.len());
        let (slots, keys, hasher) = (&self.slots, &self.keys, &self.hasher);
        self.numbers.shrink_to(2 * slots.len(), |at| {
            hasher.hash_one(key_at(slots, keys, *at))
        });
    }
}

/// The number of a group that a sweep let go.
pub(super) const GONE: u32 = u32::MAX;

fn key_at<'k>(slots: &[Group], keys: &'k [u8], number: u32) -> &'k [u8] {
    let end = |at: usize| slots.get(at).map_or(0, |group| group.end);
    let number = number as usize;
    let begin = number.checked_sub(1).map_or(0, end);
    keys.get(begin..end(number)).unwrap_or_default()
}

fn values(mut key: &[u8]) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || key.text())
}

impl Key {
    /// The key with one more value.
    pub(super) fn push(&mut self, folded: &str) {
        pack_text(&mut self.0, folded);
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        values(&self.0)
    }
}

impl Groups {
    /// Packs all groups; `deadlines` are those of the open findings.
    pub(super) fn save(&self, saving: &mut Saving<'_>, deadlines: &[(Time, u32)]) {
        saving.number(self.left as u64);
        saving.number(self.weight as u64);
        saving.number(self.slots.len() as u64);
        for (number, group) in (0..).zip(&self.slots) {
            saving.bytes(self.key(number));
            group.window.save(saving);
            saving.option(group.open.as_deref(), |saving, open| open.save(saving));
        }
        saving.each(deadlines.iter(), pack_due);
        saving.each(self.waits.iter(), pack_due);
    }

    /// Takes back the groups of a consumer, and the deadlines of their open findings.
    pub(super) fn restore(
        saved: &mut Restoring<'_>,
        consumer: &Consumer,
    ) -> Option<(Self, Vec<(Time, u32)>)> {
        let mut groups = Self {
            left: usize::try_from(saved.count()?).ok()?,
            ..Self::default()
        };
        let weight = saved.count()?;
        for number in 0..saved.number()? {
            let key = Key(saved.bytes()?.to_vec());
            let is_key = key.values().count() == consumer.reporter.group_by.len();
            let window = Window::restore(saved, consumer)?;
            let open = saved.option(|saved| Growing::restore(saved, &consumer.reporter))?;
            let entered = groups.enter(&key, |_| {}, || window);
            if u64::from(entered) != number || !is_key {
                return None;
            }
            groups.change(entered, |group| group.open = open.map(Box::new))?;
        }
        let due = |saved: &mut Restoring<'_>| {
            let (time, number) = (saved.time()?, u32::try_from(saved.number()?).ok()?);
            groups.get(number).map(|_| (time, number))
        };
        let deadlines = saved.each(due)?;
        let waits = saved.each(due)?;
        groups.waits = waits;
        groups.weight = usize::try_from(weight)
            .ok()
            .filter(|weight| *weight <= MOST_WEIGHT)?;
        Some((groups, deadlines))
    }
}

/// More is never kept.
const MOST_WEIGHT: usize = 1 << 40;

fn pack_due(saving: &mut Saving<'_>, (time, number): &(Time, u32)) {
    saving.time(*time);
    saving.number(u64::from(*number));
}

impl Group {
    /// How many bytes it keeps.
    pub(super) fn weight(&self) -> usize {
        let open = self.open.as_ref().map_or(0, |open| open.weight());
        size_of::<Self>() + self.window.weight() + open
    }

    /// The finding that was closed for its age alone, and its last hit, where none is open.
    pub(super) fn take_aged(&mut self) -> Option<(Uuid, Time)> {
        match self.open {
            Some(_) => None,
            None => self.window.take_aged(),
        }
    }

    fn is_alive(&self, now: Time, reach: Nanos) -> bool {
        let newest = self.window.last().map(|member| member.time);
        self.open.is_some() || newest.is_some_and(|newest| now.since(newest) <= reach)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_small() {
        assert_eq!(size_of::<Group>(), 40);
    }
}
