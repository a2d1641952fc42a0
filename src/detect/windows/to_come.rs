//! What may still come: since when the findings of a group that were not given yet may reach.

use std::collections::HashMap;

use uuid::Uuid;

use crate::detect::finding::group_names;
use crate::detect::groups::Key;
use crate::detect::windows::Windows;
use crate::detect::{Consumer, Detector, Reporter};
use crate::event::Time;

/// The first event of the findings that are closed and wait for their turn, by rule and group.
pub(in crate::detect) type Closed = HashMap<(Uuid, Vec<String>), Time>;

impl Windows {
    /// No event, and no wait that ends, is looked at any more that is earlier than this.
    pub(in crate::detect) fn looked_at(&self, now: Time) -> Time {
        let held = self.event.first().and_then(|found| found.time);
        held.into_iter()
            .chain(self.first_end())
            .fold(now, Time::min)
    }

    /// Notes the findings that wait for their turn.
    pub(in crate::detect) fn note_closed(&self, detector: &Detector, noted: &mut Closed) {
        for (order, (at, closed)) in &self.ledger.closed {
            let consumer = detector.consumers.get(*at);
            if let Some((consumer, first)) = consumer.zip(closed.growing.first_seen()) {
                let of = (consumer.reporter.rule, order.group().to_vec());
                let earliest = noted.entry(of).or_insert(first);
                *earliest = first.min(*earliest);
            }
        }
    }

    /// The earliest event that a finding of a group may have which is open, or opens at an event
    /// not earlier than `since`; nothing where that is one of these events.
    pub(in crate::detect) fn reaches(
        &self,
        detector: &Detector,
        at: usize,
        group: &[String],
        since: Time,
    ) -> Option<Time> {
        let consumer = detector.consumers.get(at)?;
        let groups = self.consumers.get(at)?;
        let key = key_of(&consumer.reporter, group)?;
        let known = groups.get(groups.find(&key)?)?;
        let open = known.open.as_ref().and_then(|open| open.first_seen());
        let oldest = known.window.first().map(|oldest| oldest.time);
        let oldest = oldest.map(|oldest| oldest.max(edge(consumer, since)));
        open.into_iter().chain(oldest).min()
    }
}

/// What is older is in no window any more at an event of this time.
fn edge(consumer: &Consumer, since: Time) -> Time {
    since.minus(consumer.timespan)
}

/// The key of a group by its values, in the order of the names of their fields; nothing where the
/// rule has no such group.
fn key_of(reporter: &Reporter, group: &[String]) -> Option<Key> {
    let mut names: Vec<&str> = group_names(reporter).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() != group.len() {
        return None;
    }
    let mut key = Key::default();
    for name in group_names(reporter) {
        let at = names.binary_search(&name).ok()?;
        key.push(group.get(at)?);
    }
    Some(key)
}
