//! The beat after the scan: matches in event-time order → hits → findings.

mod ending;
mod eviction;
mod hits;
mod ledger;
mod membership;
mod saved;
mod to_come;
mod waits;
mod watch;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::detect::deadlines::Deadlines;
use crate::detect::failures::Failures;
use crate::detect::finding::{Finding, Why};
use crate::detect::groups::Groups;
use crate::detect::limits::Limits;
use crate::detect::seen::Seen;
use crate::detect::{Consumer, ConsumerKind, Detector, Match};
use crate::event::{Nanos, Time};

pub(super) use self::ending::Ending;
use self::hits::{correlate, report, wait};
use self::ledger::{LONGEST, Ledger};
pub(super) use self::membership::display;
use self::membership::{Feeds, Sighting, pass_on};
pub(super) use self::to_come::Closed;
pub use self::watch::{Glimpse, Glimpsed, Watch, Watched};

/// What was left out of correlation, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tally {
    /// Matches that were second copies of an event.
    pub duplicates: u64,
    /// Matches without a value for a field that their rule groups by.
    pub without_group: u64,
    /// Matches whose fields to group by had more values than are followed.
    pub cut_groups: u64,
    /// Matches for a correlation without a readable time.
    pub without_time: u64,
    /// Events that still waited at the end for what an `absent` asks for.
    #[serde(default)]
    pub pending: u64,
    /// Events and values that were let go before their time, since there were too many.
    #[serde(default)]
    pub evicted: u64,
}

impl Tally {
    /// Adds what was left out behind this, of the same input.
    pub fn append(&mut self, later: &Self) {
        self.duplicates += later.duplicates;
        self.without_group += later.without_group;
        self.cut_groups += later.cut_groups;
        self.without_time += later.without_time;
        self.pending = later.pending;
        self.evicted += later.evicted;
    }

    /// What was left out since it was like this.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            duplicates: self.duplicates.saturating_sub(earlier.duplicates),
            without_group: self.without_group.saturating_sub(earlier.without_group),
            cut_groups: self.cut_groups.saturating_sub(earlier.cut_groups),
            without_time: self.without_time.saturating_sub(earlier.without_time),
            pending: self.pending,
            evicted: self.evicted.saturating_sub(earlier.evicted),
        }
    }
}

/// The state of every window and every finding that may still grow.
pub struct Windows {
    consumers: Vec<Groups>,
    ledger: Ledger,
    /// The matches of one event, until the next one comes: what an event
    /// satisfies is looked at together.
    event: Vec<Match>,
    /// The consumers in which events wait for others.
    waiting: Vec<usize>,
    /// As which live event the first came that each consumer sees; all, where nothing is said.
    since: HashMap<usize, u64>,
    /// The generation of the policy under which findings open; 0 where there is none.
    generation: u64,
    /// The consumers that somebody else has the windows of.
    left_out: HashSet<usize>,
    limits: Limits,
    /// How many bytes all groups keep: the sum of theirs.
    weight: usize,
    /// Who looks at the windows of some correlations.
    watch: Option<Watch>,
}

impl Windows {
    /// No windows yet.
    #[must_use]
    pub fn new(detector: &Detector) -> Self {
        // A deadline is set just after the time until which a hit still joins.
        let lag = |consumer: &Consumer| Nanos(consumer.reporter.suppress.min(LONGEST).0 + 1);
        let numbered = detector.consumers.iter().enumerate();
        let waiting = numbered.filter(|(_, consumer)| consumer.waits());
        Self {
            consumers: detector
                .consumers
                .iter()
                .map(|_| Groups::default())
                .collect(),
            ledger: Ledger {
                deadlines: Deadlines::new(detector.consumers.iter().map(lag)),
                closed: BTreeMap::new(),
                live: None,
                tally: Tally::default(),
                failures: Failures::default(),
            },
            event: Vec::new(),
            waiting: waiting.map(|(at, _)| at).collect(),
            since: HashMap::new(),
            generation: 0,
            left_out: HashSet::new(),
            limits: Limits::default(),
            weight: 0,
            watch: None,
        }
    }

    /// No windows yet, which keep no more than this.
    #[must_use]
    pub fn within(detector: &Detector, limits: Limits) -> Self {
        Self {
            limits,
            ..Self::new(detector)
        }
    }

    /// No windows yet, and somebody who looks at those of some correlations.
    #[must_use]
    pub fn watched(detector: &Detector, watch: Watch) -> Self {
        Self {
            watch: Some(watch),
            ..Self::new(detector)
        }
    }

    /// Who looked at the windows, with what was seen.
    pub fn take_watch(&mut self) -> Option<Watch> {
        self.watch.take()
    }

    /// No windows yet, and never any of some consumers.
    pub(super) fn without(detector: &Detector, left_out: HashSet<usize>) -> Self {
        Self {
            left_out,
            ..Self::new(detector)
        }
    }

    /// No windows yet, over input that has no end. A finding is given when it opens,
    /// with [`Status::Open`], and when it closes, in the order in which that happens.
    #[must_use]
    pub fn live(detector: &Detector) -> Self {
        let mut windows = Self::new(detector);
        windows.ledger.live = Some(Vec::new());
        windows
    }

    /// From now on findings open under a generation of a policy.
    pub fn under(&mut self, generation: u64) {
        self.generation = generation;
    }

    /// Under which generation of a policy findings open.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Every event up to `time` has come: takes what is held, ends the waits and
    /// closes the findings that are over by then, and gives what that makes ready.
    pub fn pass(&mut self, detector: &Detector, time: Time) -> Vec<Finding> {
        let mut ready = self.step(detector);
        while let Some(end) = self.first_end().filter(|end| *end <= time) {
            ready.extend(self.end_waits(detector, end));
        }
        self.close_until(detector, time);
        ready.extend(self.ledger.ready(detector, Some(time)));
        ready
    }

    /// Takes a match that comes too late for windows: single-event rules report it by itself.
    pub fn alone(&mut self, detector: &Detector, found: Match) -> Vec<Finding> {
        let consumers = detector.matchers.get(found.matcher as usize);
        let seen = Seen::new(found.digest, found.uuid.as_deref(), &found.captured);
        let why = Why::texts(found.reasons);
        for outer in consumers.iter().flat_map(|matcher| &matcher.consumers) {
            let at = outer.consumer;
            let consumer = detector.consumers.get(at).filter(|one| one.is_each());
            if let Some(consumer) = consumer {
                let seen = outer.tell(&seen);
                let sighting = Sighting::new(found.time, seen, outer.rules, why.clone());
                self.ledger.report_alone(at, consumer, &sighting);
            }
        }
        self.ledger.ready(detector, found.time)
    }

    /// How many bytes each group of each consumer keeps.
    #[cfg(test)]
    pub(super) fn weights(&self) -> Vec<Vec<usize>> {
        let of_groups = |groups: &Groups| groups.weights().map(|(.., weight)| weight).collect();
        self.consumers.iter().map(of_groups).collect()
    }

    /// How many bytes all groups keep, as it is told from event to event.
    #[cfg(test)]
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// What was left out so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.ledger.tally
    }

    /// Takes the next match in the order of [`Match::order`] and gives the
    /// findings that are complete and in their final order.
    pub fn advance(&mut self, detector: &Detector, found: Match) -> Vec<Finding> {
        let mut ready = Vec::new();
        if let Some(last) = self.event.last() {
            if last.order() == found.order() {
                self.ledger.tally.duplicates += 1;
                return ready;
            }
            if (last.time, last.digest) != (found.time, found.digest) {
                ready = self.step(detector);
            }
        }
        self.event.push(found);
        ready
    }

    /// What scripts could not answer since this was asked last.
    pub fn take_failures(&mut self) -> Failures {
        std::mem::take(&mut self.ledger.failures)
    }

    /// Shows the event that is held to all that consume it, after the waits that ended before it.
    fn step(&mut self, detector: &Detector) -> Vec<Finding> {
        let Some(time) = self.event.first().map(|found| found.time) else {
            return Vec::new();
        };
        let mut ready = Vec::new();
        if let Some(now) = time {
            while let Some(end) = self.first_end().filter(|end| *end < now) {
                ready.extend(self.end_waits(detector, end));
            }
            self.close_until(detector, now);
        }
        let mut feeds = Feeds::new();
        let came = self.event.first().map_or(0, |found| found.came);
        for found in self.event.drain(..) {
            let Some(matcher) = detector.matchers.get(found.matcher as usize) else {
                continue;
            };
            let seen = Seen::new(found.digest, found.uuid.as_deref(), &found.captured);
            let why = Why::texts(found.reasons);
            for outer in &matcher.consumers {
                let seen = outer.tell(&seen);
                let sighting = Sighting::new(time, seen, outer.rules, why.clone());
                feeds.entry(outer.consumer).or_default().push(sighting);
            }
        }
        self.feed(detector, time, feeds, came);
        ready.extend(self.ledger.ready(detector, time));
        ready
    }

    /// Shows one event, or what stands for one, to those that consume it, inner
    /// correlations before outer ones.
    fn feed(&mut self, detector: &Detector, time: Option<Time>, mut feeds: Feeds, came: u64) {
        let mut fed = Vec::new();
        while let Some((at, sightings)) = feeds.pop_first() {
            // What came before a rule was there is for the rules that were.
            let is_before = self.since.get(&at).is_some_and(|since| came < *since);
            if is_before || self.left_out.contains(&at) {
                continue;
            }
            let (Some(consumer), Some(groups)) =
                (detector.consumers.get(at), self.consumers.get_mut(at))
            else {
                continue;
            };
            fed.push(at);
            let before = groups.weight();
            let ledger = &mut self.ledger;
            match &consumer.kind {
                ConsumerKind::Over(condition) if condition.waits() => {
                    let most = self.limits.group;
                    let watch = self.watch.as_mut();
                    let place = (at, consumer);
                    wait(ledger, groups, place, condition, &sightings, most, watch);
                }
                ConsumerKind::Over(condition) => {
                    let most = self.limits.group;
                    let watch = self.watch.as_mut();
                    let place = (at, consumer);
                    let hits = correlate(ledger, groups, place, condition, &sightings, most, watch);
                    pass_on(consumer, &hits, &mut feeds);
                }
                ConsumerKind::Each => {
                    for sighting in &sightings {
                        report(ledger, groups, at, consumer, sighting);
                    }
                }
            }
            self.weight = (self.weight + groups.weight()).saturating_sub(before);
        }
        if let Some(now) = time {
            for at in fed {
                self.sweep(detector, at, now);
                self.relieve(detector, at, now);
            }
        }
    }

    /// Closes the findings whose last hit is more than `suppress` ago, and those open for a day.
    fn close_until(&mut self, detector: &Detector, now: Time) {
        while let Some((at, number)) = self.ledger.deadlines.pop(now) {
            let (Some(consumer), Some(groups)) =
                (detector.consumers.get(at), self.consumers.get_mut(at))
            else {
                continue;
            };
            let Some(open) = groups.get(number).and_then(|group| group.open.as_ref()) else {
                continue;
            };
            let (Some(first), Some(last)) = (open.first_hit(), open.last_hit()) else {
                continue;
            };
            let (quiet, aged) = (last.plus(consumer.reporter.suppress), first.plus(LONGEST));
            if now <= quiet && now < aged {
                // One hit exactly `suppress` later still joins, so look again just after.
                let next = quiet.plus(Nanos(1)).min(aged);
                let next = next.max(now.plus(Nanos(1)));
                self.ledger.deadlines.push(at, next, number);
                continue;
            }
            let aged = (now <= quiet).then(|| {
                let group = open.group(consumer, groups.values(number));
                (open.id(&consumer.reporter, &group), last)
            });
            let before = groups.weight();
            self.ledger.close_group(at, consumer, groups, number);
            groups.change(number, |group| group.window.age(aged));
            self.weight = (self.weight + groups.weight()).saturating_sub(before);
        }
    }
}

impl Consumer {
    /// Whether each hit is a finding of the whole window.
    pub(super) fn tells_windows(&self) -> bool {
        let sliding = !self.is_of_pairs() && !self.waits();
        self.reports && self.reporter.suppress == Nanos(0) && sliding
    }

    /// Whether there is ever more to it than the event at hand.
    pub(super) fn keeps_state(&self) -> bool {
        !self.is_each() || self.reporter.suppress != Nanos(0)
    }

    /// Whether its events wait for others.
    pub(super) fn waits(&self) -> bool {
        matches!(&self.kind, ConsumerKind::Over(condition) if condition.waits())
    }

    fn is_of_pairs(&self) -> bool {
        matches!(&self.kind, ConsumerKind::Over(condition) if condition.is_of_pairs())
    }
}
