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

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use uuid::Uuid;

use crate::detect::correlation::{Account, Condition};
use crate::detect::events::{Telling, Told};
use crate::detect::finding::Growing;
use crate::detect::limits::left_of;
use crate::detect::packed::{Unpacked, pack_text};
use crate::detect::seen::Member;
use crate::detect::state::{Restoring, Saving};
use crate::detect::{Consumer, ConsumerKind, Rules};
use crate::event::{Nanos, Time};
use crate::script::Failure;

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

/// The events of a window, in order.
pub(super) enum Window {
    One(Member),
    Many(Box<Many>),
}

/// A window of any number of events, and what few groups have.
#[derive(Default)]
pub(super) struct Many {
    members: VecDeque<Member>,
    /// How many bytes the events take.
    weight: usize,
    account: Option<Box<dyn Account>>,
    /// For findings that are made of a whole window at each hit.
    telling: Option<Box<Telling>>,
    /// A finding that was closed for its age alone, and when it had its last
    /// hit: the next one goes on from it.
    aged: Option<(Uuid, Time)>,
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

impl Window {
    fn save(&self, saving: &mut Saving<'_>) {
        let many = match self {
            Self::One(member) => {
                saving.flag(false);
                return saving.member(member);
            }
            Self::Many(many) => many,
        };
        saving.flag(true);
        saving.each(many.members.iter(), Saving::member);
        if let Some(account) = &many.account {
            account.save(saving);
        }
        saving.option(many.aged, |saving, (finding, last)| {
            saving.uuid(finding);
            saving.time(last);
        });
    }

    fn restore(saved: &mut Restoring<'_>, consumer: &Consumer) -> Option<Self> {
        let (account, mut telling) = kept_of(consumer);
        if !saved.flag()? {
            let is_bare = account.is_none() && telling.is_none();
            return saved.member().filter(|_| is_bare).map(Self::One);
        }
        let members: VecDeque<Member> = saved.each(Restoring::member)?;
        let account = match account {
            Some(mut account) => {
                account.restore(saved, &members)?;
                Some(account)
            }
            None => None,
        };
        if let Some(telling) = &mut telling {
            let enter = |member: &Member| telling.enter(member, &consumer.reporter);
            members.iter().for_each(enter);
        }
        let aged = saved.option(|saved| Some((saved.uuid()?, saved.time()?)))?;
        Some(Self::Many(Box::new(Many {
            weight: weight_of(&members),
            members,
            account,
            telling,
            aged,
        })))
    }

    /// The window of a group's first event.
    pub(super) fn new(consumer: &Consumer, member: &Member, rules: Rules) -> Self {
        let (account, telling) = kept_of(consumer);
        if account.is_none() && telling.is_none() {
            return Self::One(member.clone());
        }
        let mut many = Many {
            account,
            telling,
            ..Many::default()
        };
        many.enter(consumer, member, rules);
        many.push(member);
        Self::Many(Box::new(many))
    }

    /// Moves the window on to an event: what is not within `(t − span, t]` leaves.
    pub(super) fn slide(&mut self, consumer: &Consumer, member: &Member, rules: Rules) {
        let edge = member.time.minus(consumer.timespan);
        let many = match self {
            Self::One(only) if only.time <= edge => {
                *only = member.clone();
                return;
            }
            Self::One(only) => {
                *self = Self::list([only.clone(), member.clone()].into());
                return;
            }
            Self::Many(many) => many,
        };
        let is_over = many.account.as_ref().is_some_and(|kept| kept.is_over());
        let leaves = |oldest: &Member| is_over || oldest.time <= edge;
        while many.members.front().is_some_and(leaves) {
            many.leave(consumer);
        }
        many.enter(consumer, member, rules);
        if many.is_bare() {
            *self = Self::One(member.clone());
        } else {
            many.push(member);
        }
    }

    /// Whether the condition holds over the window, and at which number.
    pub(super) fn hit(&self, condition: &dyn Condition) -> Option<f64> {
        match self {
            Self::Many(many) if many.account.is_some() => many.account.as_ref()?.hit(),
            _ => condition.hit(self),
        }
    }

    /// Why the script that was asked of it gave no answer.
    pub(super) fn failure(&mut self) -> Option<Failure> {
        match self {
            Self::One(_) => None,
            Self::Many(many) => many.account.as_mut()?.failure(),
        }
    }

    /// What its events say, where that is kept.
    pub(super) fn told(&self) -> Option<Told> {
        match self {
            Self::One(_) => None,
            Self::Many(many) => many.telling.as_ref().map(|telling| telling.told()),
        }
    }

    /// How many events and values it keeps.
    fn count(&self) -> usize {
        let values = match self {
            Self::One(_) => 0,
            Self::Many(many) => many.account.as_ref().map_or(0, |kept| kept.values()),
        };
        self.len() + values
    }

    /// How many bytes it keeps.
    fn weight(&self) -> usize {
        match self {
            Self::One(only) => only.weight(),
            Self::Many(many) => many.weight(),
        }
    }

    /// Lets go of what is the oldest where there are more bytes than this, and
    /// says of how many events and values. The newest event stays.
    pub(super) fn cut(&mut self, most: usize, consumer: &Consumer) -> usize {
        let Self::Many(many) = self else { return 0 };
        if many.weight() <= most {
            return 0;
        }
        let (had, left) = (many.members.len(), left_of(most));
        while many.members.len() > 1 && many.weight() > left {
            many.leave(consumer);
        }
        let gone = had - many.members.len();
        let others = many.weight() - many.account_weight();
        let account = many.account.as_mut();
        gone + account.map_or(0, |kept| kept.cut(left.saturating_sub(others)))
    }

    pub(super) fn len(&self) -> usize {
        let (front, back) = self.slices();
        front.len() + back.len()
    }

    pub(super) fn first(&self) -> Option<&Member> {
        self.slices().0.first()
    }

    pub(super) fn last(&self) -> Option<&Member> {
        let (front, back) = self.slices();
        back.last().or(front.last())
    }

    /// The events from the given one on.
    pub(super) fn from(&self, at: usize) -> impl DoubleEndedIterator<Item = &Member> {
        let (front, back) = self.slices();
        let (left, right) = (at.min(front.len()), at.saturating_sub(front.len()));
        let front = front.get(left..).unwrap_or_default();
        front.iter().chain(back.get(right..).unwrap_or_default())
    }

    fn slices(&self) -> (&[Member], &[Member]) {
        match self {
            Self::One(only) => (std::slice::from_ref(only), &[]),
            Self::Many(many) => many.members.as_slices(),
        }
    }

    /// Two events.
    pub(super) fn pair(earlier: Member, later: Member) -> Self {
        Self::list([earlier, later].into())
    }

    fn list(members: VecDeque<Member>) -> Self {
        Self::Many(Box::new(Many {
            weight: weight_of(&members),
            members,
            ..Many::default()
        }))
    }

    /// Leaves these events alone, of which there are few.
    pub(super) fn keep(&mut self, members: impl IntoIterator<Item = Member>) {
        match self {
            Self::One(_) => *self = Self::list(members.into_iter().collect()),
            Self::Many(many) => {
                many.members.clear();
                many.members.extend(members);
                many.weight = weight_of(&many.members);
            }
        }
    }

    /// One more event waits.
    pub(super) fn wait(&mut self, member: &Member) {
        match self {
            Self::One(only) => *self = Self::list([only.clone(), member.clone()].into()),
            Self::Many(many) => many.push(member),
        }
    }

    /// What waits and came before this time waits no more.
    pub(super) fn answer(&mut self, at: Time) {
        let left: Vec<Member> = self.from(0).filter(|m| m.time >= at).cloned().collect();
        if left.len() < self.len() {
            self.keep(left);
        }
    }

    /// The first event that waits, if it came at this time; it waits no more.
    pub(super) fn end_wait(&mut self, since: Time) -> Option<Member> {
        let first = self.first().filter(|first| first.time == since)?.clone();
        match self {
            Self::One(_) => self.keep([]),
            Self::Many(many) => {
                many.pop();
            }
        }
        Some(first)
    }

    /// Leaves one event alone.
    pub(super) fn renew(&mut self, member: &Member) {
        match self {
            Self::One(only) => *only = member.clone(),
            Self::Many(_) => self.keep([member.clone()]),
        }
    }

    /// Remembers the finding that was closed for its age alone, and its last hit.
    pub(super) fn age(&mut self, finding: Option<(Uuid, Time)>) {
        match self {
            Self::Many(many) => many.aged = finding,
            Self::One(only) if finding.is_some() => {
                let members = [only.clone()].into();
                *self = Self::Many(Box::new(Many {
                    weight: weight_of(&members),
                    members,
                    aged: finding,
                    ..Many::default()
                }));
            }
            Self::One(_) => {}
        }
    }

    /// The finding that was closed for its age alone, and its last hit; from now on there is none.
    fn take_aged(&mut self) -> Option<(Uuid, Time)> {
        match self {
            Self::One(_) => None,
            Self::Many(many) => many.aged.take(),
        }
    }
}

/// What is kept of each window of a consumer beside its events, when there are none yet.
fn kept_of(consumer: &Consumer) -> (Option<Box<dyn Account>>, Option<Box<Telling>>) {
    let account = match &consumer.kind {
        ConsumerKind::Over(condition) => condition.clone().account(),
        ConsumerKind::Each => None,
    };
    (account, consumer.tells_windows().then(Box::default))
}

fn weight_of(members: &VecDeque<Member>) -> usize {
    members.iter().map(|member| member.weight()).sum()
}

impl Many {
    fn push(&mut self, member: &Member) {
        self.weight += member.weight();
        self.members.push_back(member.clone());
    }

    fn pop(&mut self) -> Option<Member> {
        let oldest = self.members.pop_front()?;
        self.weight -= oldest.weight();
        Some(oldest)
    }

    /// How many bytes it keeps.
    fn weight(&self) -> usize {
        let telling = self.telling.as_ref().map_or(0, |telling| telling.weight());
        size_of::<Self>() + self.weight + self.account_weight() + telling
    }

    fn account_weight(&self) -> usize {
        self.account.as_ref().map_or(0, |kept| kept.weight())
    }

    fn enter(&mut self, consumer: &Consumer, member: &Member, rules: Rules) {
        if let Some(account) = &mut self.account {
            account.enter(member, rules);
        }
        if let Some(telling) = &mut self.telling {
            telling.enter(member, &consumer.reporter);
        }
    }

    /// The oldest event goes.
    fn leave(&mut self, consumer: &Consumer) {
        let Some(oldest) = self.pop() else {
            return;
        };
        if let Some(account) = &mut self.account {
            account.leave(&oldest);
        }
        if let Some(telling) = &mut self.telling {
            telling.leave(&oldest, &consumer.reporter);
        }
    }

    /// Whether there is nothing but an empty list.
    fn is_bare(&self) -> bool {
        self.members.is_empty()
            && self.account.is_none()
            && self.telling.is_none()
            && self.aged.is_none()
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
