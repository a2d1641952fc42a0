//! When open findings are to be looked at, and how long ago the last hit of
//! any of them is at most.
//!
//! Each consumer has a queue of its groups by deadline, so that its groups can
//! be numbered anew without a look at those of others. Over the queues stand
//! two small orders of consumers, by the first deadline and by what it says of last hits.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use crate::detect::groups::GONE;
use crate::event::{Nanos, Time};

/// The deadlines of all open findings, one each.
pub(super) struct Deadlines {
    consumers: Vec<Queue>,
    /// The first deadline of each consumer that has one.
    due: BTreeSet<(Time, usize)>,
    /// No open finding of the consumer has had its last hit before this.
    since: BTreeSet<(Time, usize)>,
}

struct Queue {
    groups: BinaryHeap<Reverse<(Time, u32)>>,
    /// A deadline is at most so long after the last hit that was known when it was set.
    lag: Nanos,
}

impl Deadlines {
    /// `lags` says how long after a last hit a consumer sets its deadlines at the most.
    pub(super) fn new(lags: impl Iterator<Item = Nanos>) -> Self {
        let queue = |lag| Queue {
            groups: BinaryHeap::new(),
            lag,
        };
        Self {
            consumers: lags.map(queue).collect(),
            due: BTreeSet::new(),
            since: BTreeSet::new(),
        }
    }

    pub(super) fn push(&mut self, consumer: usize, deadline: Time, group: u32) {
        self.change(consumer, |groups| groups.push(Reverse((deadline, group))));
    }

    /// The next group whose finding is to be looked at by now.
    pub(super) fn pop(&mut self, now: Time) -> Option<(usize, u32)> {
        let (_, consumer) = self.due.first().filter(|(deadline, _)| *deadline <= now)?;
        let consumer = *consumer;
        let Reverse((_, group)) = self.change(consumer, BinaryHeap::pop)??;
        Some((consumer, group))
    }

    /// No open finding has had its last hit before this; `None` where none is open.
    pub(super) fn since(&self) -> Option<Time> {
        self.since.first().map(|(since, _)| *since)
    }

    /// The deadlines of a consumer, the first first.
    pub(super) fn of(&self, consumer: usize) -> Vec<(Time, u32)> {
        let queue = self.consumers.get(consumer);
        let groups = queue.into_iter().flat_map(|queue| &queue.groups);
        let mut all: Vec<_> = groups.map(|Reverse(deadline)| *deadline).collect();
        all.sort_unstable();
        all
    }

    /// Takes the numbers that the groups of a consumer have got: those at the
    /// places of the old ones. Groups that are gone have no deadlines any more.
    pub(super) fn renumber(&mut self, consumer: usize, numbers: &[u32]) {
        self.change(consumer, |groups| {
            let renumbered = groups.drain().filter_map(|Reverse((deadline, group))| {
                let group = numbers
                    .get(group as usize)
                    .filter(|group| **group != GONE)?;
                Some(Reverse((deadline, *group)))
            });
            *groups = renumbered.collect::<Vec<_>>().into();
        });
    }

    /// Changes a queue and keeps both orders true to it.
    fn change<T>(
        &mut self,
        consumer: usize,
        change: impl FnOnce(&mut BinaryHeap<Reverse<(Time, u32)>>) -> T,
    ) -> Option<T> {
        let queue = self.consumers.get_mut(consumer)?;
        let before = queue.first();
        let changed = change(&mut queue.groups);
        let (after, lag) = (queue.first(), queue.lag);
        if before != after {
            if let Some(first) = before {
                self.due.remove(&(first, consumer));
                self.since.remove(&(first.minus(lag), consumer));
            }
            if let Some(first) = after {
                self.due.insert((first, consumer));
                self.since.insert((first.minus(lag), consumer));
            }
        }
        Some(changed)
    }
}

impl Queue {
    fn first(&self) -> Option<Time> {
        self.groups.peek().map(|Reverse((deadline, _))| *deadline)
    }
}
