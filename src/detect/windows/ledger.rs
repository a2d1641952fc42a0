//! The findings of all groups: which grow, which are closed, and when each has its turn.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::detect::deadlines::Deadlines;
use crate::detect::failures::Failures;
use crate::detect::finding::{Closed, Finding, Growing, Hit, OrderKey, Status, Why};
use crate::detect::groups::{Group, Groups, Key, Window};
use crate::detect::seen::Member;
use crate::detect::windows::Tally;
use crate::detect::windows::membership::Sighting;
use crate::detect::{Consumer, Detector};
use crate::event::{Nanos, Time};

/// The findings of all groups: which are open, and which wait for their turn.
pub(super) struct Ledger {
    /// When each open finding closes at the earliest.
    pub(super) deadlines: Deadlines,
    /// Closed findings that an open one may still have to precede.
    pub(super) closed: BTreeMap<OrderKey, (usize, Closed)>,
    /// Of live input, what opened or closed since somebody asked; nothing waits for its turn.
    pub(super) live: Option<Vec<Finding>>,
    pub(super) tally: Tally,
    /// What scripts could not answer.
    pub(super) failures: Failures,
}

/// A finding closes when it has been open so long.
pub(super) const LONGEST: Nanos = Nanos::DAY;

impl Ledger {
    /// Adds the hit that a group's window is, or its newest event with the one
    /// that it met, to the open finding, or opens one.
    pub(super) fn join_window(
        &mut self,
        place: (usize, u32),
        consumer: &Consumer,
        key: &Key,
        groups: &mut Groups,
        met: Option<Member>,
        why: &Why,
    ) {
        groups.change(place.1, |group| {
            self.join_group(place, consumer, key, group, met, why);
        });
    }

    fn join_group(
        &mut self,
        place: (usize, u32),
        consumer: &Consumer,
        key: &Key,
        group: &mut Group,
        met: Option<Member>,
        why: &Why,
    ) {
        let aged = group.take_aged();
        let Group { window, open, .. } = group;
        let Some(event) = window.last().cloned() else {
            return;
        };
        let pair = met.map(|earlier| Window::pair(earlier, event.clone()));
        let hit = Hit {
            at: Some(event.time),
            event: &event,
            window: pair.as_ref().unwrap_or(window),
            why,
            pair: pair.is_some(),
        };
        self.join(place, consumer, key, open, aged, &hit);
    }

    /// Adds a hit to the open finding of its group, or opens one.
    pub(super) fn join(
        &mut self,
        (at, number): (usize, u32),
        consumer: &Consumer,
        key: &Key,
        open: &mut Option<Box<Growing>>,
        aged: Option<(Uuid, Time)>,
        hit: &Hit<'_>,
    ) {
        let reporter = &consumer.reporter;
        if let Some(open) = open {
            open.add(hit, reporter);
            return;
        }
        let now = hit.event.time;
        let continues = aged
            .filter(|(_, last)| now.since(*last) <= reporter.suppress)
            .map(|(id, _)| id);
        let opened = Growing::open(reporter, hit, continues);
        if reporter.suppress == Nanos(0) {
            let group = opened.group(consumer, key.values());
            self.close(at, consumer, opened, group);
            return;
        }
        if let Some(live) = &mut self.live {
            let group = opened.group(consumer, key.values());
            live.push(opened.finding(consumer, &group, Status::Open));
        }
        *open = Some(Box::new(opened));
        let deadline = now.plus(reporter.suppress.min(LONGEST));
        self.deadlines.push(at, deadline, number);
    }

    pub(super) fn report_alone(&mut self, at: usize, consumer: &Consumer, sighting: &Sighting) {
        let fields = consumer.reporter.group_by.iter();
        let values = sighting.member.values();
        let group: Option<Vec<String>> = fields
            .map(|(_, id)| values.first(*id).map(str::to_owned))
            .collect();
        let window = Window::One(sighting.member.clone());
        let hit = Hit {
            at: sighting.time,
            event: &sighting.member,
            window: &window,
            why: &sighting.why,
            pair: false,
        };
        let growing = Growing::open(&consumer.reporter, &hit, None);
        self.close(at, consumer, growing, group.unwrap_or_default());
    }

    /// Closes the open finding of a group.
    pub(super) fn close_group(
        &mut self,
        at: usize,
        consumer: &Consumer,
        groups: &mut Groups,
        number: u32,
    ) {
        let open = groups.change(number, |group| group.open.take());
        if let Some(growing) = open.flatten() {
            let group = growing.group(consumer, groups.values(number));
            self.close(at, consumer, *growing, group);
        }
    }

    fn close(&mut self, at: usize, consumer: &Consumer, growing: Growing, group: Vec<String>) {
        if let Some(live) = &mut self.live {
            return live.push(growing.finding(consumer, &group, Status::Closed));
        }
        let group = group.into();
        let closed = Closed { growing, group };
        let order = closed.order(&consumer.reporter);
        self.closed.insert(order, (at, closed));
    }

    /// The closed findings that nothing still to come can precede.
    pub(super) fn ready(&mut self, detector: &Detector, now: Option<Time>) -> Vec<Finding> {
        if let Some(live) = &mut self.live {
            return std::mem::take(live);
        }
        let Some(now) = now.filter(|_| !self.closed.is_empty()) else {
            return Vec::new();
        };
        let bound = self.deadlines.since().map_or(now, |since| since.min(now));
        std::iter::from_fn(|| self.next_before(detector, Some(bound))).collect()
    }

    /// The first closed finding, if its last hit was before a time.
    pub(super) fn next_before(
        &mut self,
        detector: &Detector,
        bound: Option<Time>,
    ) -> Option<Finding> {
        let (order, _) = self.closed.first_key_value()?;
        if order.last_hit >= bound {
            return None;
        }
        let (_, (at, closed)) = self.closed.pop_first()?;
        let consumer = detector.consumers.get(at)?;
        Some(closed.finding(consumer))
    }
}
