//! What is let go: groups that no later event can meet, and the oldest where there is too much.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use crate::detect::Detector;
use crate::detect::groups::Groups;
use crate::detect::limits::{Limits, left_of, oldest};
use crate::detect::windows::Windows;
use crate::event::Time;

impl Windows {
    /// Lets go of the oldest groups where a rule, or all rules together, keep more than they may.
    pub(super) fn relieve(&mut self, detector: &Detector, at: usize, now: Time) {
        let Limits { rule, all, .. } = self.limits;
        if self
            .consumers
            .get(at)
            .is_some_and(|groups| groups.weight() > rule)
        {
            self.evict(detector, now, at..at + 1, left_of(rule));
        }
        if self.weight > all {
            self.evict(detector, now, 0..self.consumers.len(), left_of(all));
        }
    }

    /// Lets go of the oldest groups of some consumers, so that they keep no more than `left`.
    fn evict(&mut self, detector: &Detector, now: Time, of: Range<usize>, left: usize) {
        of.clone().for_each(|at| self.sweep_now(detector, at, now));
        let groups = self.consumers.iter().enumerate();
        let some: Vec<_> = groups.filter(|(at, _)| of.contains(at)).collect();
        let mut gone: BTreeMap<usize, HashSet<u32>> = BTreeMap::new();
        for (at, number) in oldest(&some, left) {
            gone.entry(at).or_default().insert(number);
        }
        for (at, gone) in gone {
            let (Some(consumer), Some(groups)) =
                (detector.consumers.get(at), self.consumers.get_mut(at))
            else {
                continue;
            };
            for number in &gone {
                self.ledger.close_group(at, consumer, groups, *number);
            }
            let (renumbered, evicted) = groups.evict(&gone);
            self.ledger.deadlines.renumber(at, &renumbered);
            self.ledger.tally.evicted += evicted as u64;
        }
        self.weight = self.consumers.iter().map(Groups::weight).sum();
    }

    /// Lets go of the groups of a consumer that no later event can meet, where there are many.
    pub(super) fn sweep(&mut self, detector: &Detector, at: usize, now: Time) {
        if self.consumers.get(at).is_some_and(Groups::are_many) {
            self.sweep_now(detector, at, now);
        }
    }

    fn sweep_now(&mut self, detector: &Detector, at: usize, now: Time) {
        let (Some(consumer), Some(groups)) =
            (detector.consumers.get(at), self.consumers.get_mut(at))
        else {
            return;
        };
        let before = groups.weight();
        let reach = consumer.timespan.max(consumer.reporter.suppress);
        let renumbered = groups.sweep(now, reach);
        self.ledger.deadlines.renumber(at, &renumbered);
        self.weight = (self.weight + groups.weight()).saturating_sub(before);
    }
}
