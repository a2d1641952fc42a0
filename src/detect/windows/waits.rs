//! Events that wait for others: what is a hit when the wait is over.

use std::collections::BTreeMap;

use crate::detect::Detector;
use crate::detect::absent::ABSENT;
use crate::detect::finding::{Finding, Hit, Why};
use crate::detect::groups::{Groups, Key, Window};
use crate::detect::seen::Member;
use crate::detect::windows::Windows;
use crate::detect::windows::membership::{Feeds, Passed, pass_on};
use crate::event::{Digest, Time};

/// A wait that ended: in which consumer and group, and the event that waited.
struct Ended {
    at: usize,
    key: Key,
    waited: Member,
}

impl Windows {
    /// When the first of all waits ends.
    pub(super) fn first_end(&self) -> Option<Time> {
        let waiting = self.waiting.iter().filter_map(|at| self.consumers.get(*at));
        waiting.filter_map(Groups::first_end).min()
    }

    /// Takes the waits that end then for hits, in the order of the events that
    /// waited. What waited in several correlations is one event to others.
    pub(super) fn end_waits(&mut self, detector: &Detector, end: Time) -> Vec<Finding> {
        self.close_until(detector, end);
        let mut ended: BTreeMap<Digest, Vec<Ended>> = BTreeMap::new();
        for at in self.waiting.iter().copied() {
            let (Some(consumer), Some(groups)) =
                (detector.consumers.get(at), self.consumers.get_mut(at))
            else {
                continue;
            };
            let since = end.minus(consumer.timespan);
            let before = groups.weight();
            while let Some(number) = groups.next_ended(end) {
                let waited = groups.change(number, |group| group.window.end_wait(since));
                if let Some(waited) = waited.flatten() {
                    let key = groups.key_of(number);
                    let of_event = ended.entry(waited.digest()).or_default();
                    of_event.push(Ended { at, key, waited });
                }
            }
            self.weight = (self.weight + groups.weight()).saturating_sub(before);
        }
        for ended in ended.into_values() {
            let mut feeds = Feeds::new();
            for ended in ended {
                self.end_wait(detector, end, ended, &mut feeds);
            }
            // That nothing came is known now, whenever it was that something did.
            self.feed(detector, Some(end), feeds, u64::MAX);
        }
        self.ledger.ready(detector, Some(end))
    }

    fn end_wait(&mut self, detector: &Detector, end: Time, ended: Ended, feeds: &mut Feeds) {
        let Ended { at, key, waited } = ended;
        let (Some(consumer), Some(groups)) =
            (detector.consumers.get(at), self.consumers.get_mut(at))
        else {
            return;
        };
        if let Some(watch) = &mut self.watch {
            watch.waited(at, &key);
        }
        let member = Member {
            time: end,
            seen: waited.seen.clone(),
        };
        if consumer.reports
            && let Some(number) = groups.find(&key)
        {
            let hit = Hit {
                at: Some(end),
                event: &member,
                window: &Window::One(waited),
                why: &Why::Measure(ABSENT),
                pair: false,
            };
            let before = groups.weight();
            groups.change(number, |group| {
                let aged = group.take_aged();
                let place = (at, number);
                self.ledger
                    .join(place, consumer, &key, &mut group.open, aged, &hit);
            });
            self.weight = (self.weight + groups.weight()).saturating_sub(before);
        }
        pass_on(consumer, &[Passed { member, key }], feeds);
    }
}
