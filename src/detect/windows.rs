//! The beat after the scan: matches in event-time order → hits → findings.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use uuid::Uuid;

use crate::detect::absent::{ABSENT, answers, begins};
use crate::detect::capture::{CaptureId, MAX_VALUES};
use crate::detect::correlation::Condition;
use crate::detect::deadlines::Deadlines;
use crate::detect::failures::Failures;
use crate::detect::finding::{Closed, Finding, Growing, Hit, OrderKey, Status, Why};
use crate::detect::groups::{Group, Groups, Key, Window};
use crate::detect::limits::{Limits, left_of, oldest};
use crate::detect::seen::{Member, Seen};
use crate::detect::state::{Fate, Restored, Restoring, Saving, StateError};
use crate::detect::{Consumer, ConsumerKind, Detector, Match, Outer, Rules};
use crate::event::{Digest, Nanos, Time, fold};

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
    limits: Limits,
    /// How many bytes all groups keep: the sum of theirs.
    weight: usize,
}

/// The findings of all groups: which are open, and which wait for their turn.
struct Ledger {
    /// When each open finding closes at the earliest.
    deadlines: Deadlines,
    /// Closed findings that an open one may still have to precede.
    closed: BTreeMap<OrderKey, (usize, Closed)>,
    /// Of live input, what opened or closed since somebody asked; nothing waits for its turn.
    live: Option<Vec<Finding>>,
    tally: Tally,
    /// What scripts could not answer.
    failures: Failures,
}

/// There is no number to a pair.
const PAIR: f64 = 2.0;

/// A finding closes when it has been open so long.
const LONGEST: Nanos = Nanos::DAY;

/// An event belongs to at most so many groups of a rule: a record with long arrays must not multiply.
const MAX_GROUPS: usize = MAX_VALUES;

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
            limits: Limits::default(),
            weight: 0,
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

    /// No windows yet, over input that has no end. A finding is given when it opens,
    /// with [`Status::Open`], and when it closes, in the order in which that happens.
    #[must_use]
    pub fn live(detector: &Detector) -> Self {
        let mut windows = Self::new(detector);
        windows.ledger.live = Some(Vec::new());
        windows
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

    /// The end of the input, whose latest event was at `last`, matched or not:
    /// closes everything that is open, and gives what that makes complete one
    /// at a time, since it may be much.
    ///
    /// # Errors
    ///
    /// The first of `each`.
    pub fn finish<E>(
        &mut self,
        detector: &Detector,
        last: Option<Time>,
        mut each: impl FnMut(Finding) -> Result<(), E>,
    ) -> Result<Tally, E> {
        self.step(detector).into_iter().try_for_each(&mut each)?;
        while let Some(end) = self.first_end().filter(|end| Some(*end) <= last) {
            let findings = self.end_waits(detector, end);
            findings.into_iter().try_for_each(&mut each)?;
        }
        let waiting = self.waiting.iter().filter_map(|at| self.consumers.get(*at));
        self.ledger.tally.pending = waiting.map(|groups| groups.waiting() as u64).sum();
        let mut open: Vec<(Time, u32, u32)> = (0..)
            .zip(&self.consumers)
            .flat_map(|(at, groups)| groups.open().map(move |(last, number)| (last, at, number)))
            .collect();
        open.sort_unstable();
        for (last, at, number) in open {
            let at = at as usize;
            while let Some(finding) = self.ledger.next_before(detector, Some(last)) {
                each(finding)?;
            }
            if let (Some(consumer), Some(groups)) =
                (detector.consumers.get(at), self.consumers.get_mut(at))
            {
                self.ledger.close_group(at, consumer, groups, number);
            }
        }
        while let Some((_, (at, closed))) = self.ledger.closed.pop_first() {
            if let Some(consumer) = detector.consumers.get(at) {
                each(closed.finding(consumer))?;
            }
        }
        let live = self.ledger.live.take().unwrap_or_default();
        live.into_iter().try_for_each(each)?;
        Ok(self.ledger.tally)
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
        self.feed(detector, time, feeds);
        ready.extend(self.ledger.ready(detector, time));
        ready
    }

    /// Shows one event, or what stands for one, to those that consume it, inner
    /// correlations before outer ones.
    fn feed(&mut self, detector: &Detector, time: Option<Time>, mut feeds: Feeds) {
        let mut fed = Vec::new();
        while let Some((at, sightings)) = feeds.pop_first() {
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
                    wait(
                        ledger,
                        groups,
                        consumer,
                        condition,
                        &sightings,
                        self.limits.group,
                    );
                }
                ConsumerKind::Over(condition) => {
                    let most = self.limits.group;
                    let hits = correlate(ledger, groups, at, consumer, condition, &sightings, most);
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

    /// Lets go of the oldest groups where a rule, or all rules together, keep more than they may.
    fn relieve(&mut self, detector: &Detector, at: usize, now: Time) {
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
    fn sweep(&mut self, detector: &Detector, at: usize, now: Time) {
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

    /// When the first of all waits ends.
    fn first_end(&self) -> Option<Time> {
        let waiting = self.waiting.iter().filter_map(|at| self.consumers.get(*at));
        waiting.filter_map(Groups::first_end).min()
    }

    /// Takes the waits that end then for hits, in the order of the events that
    /// waited. What waited in several correlations is one event to others.
    fn end_waits(&mut self, detector: &Detector, end: Time) -> Vec<Finding> {
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
            self.feed(detector, Some(end), feeds);
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

impl Windows {
    /// Everything as bytes, for [`Windows::restore`].
    #[must_use]
    pub fn save(&self, detector: &Detector) -> Vec<u8> {
        let mut saving = Saving::new(detector);
        self.save_in(&mut saving);
        saving.finish()
    }

    /// The windows that were saved, over the rules of another detector perhaps: a rule with
    /// the id and the [logic digest](Detector::logic_digest) of one that was saved goes on as if nothing had
    /// been, others begin anew.
    ///
    /// # Errors
    ///
    /// Where the bytes are something else, or are damaged.
    pub fn restore(detector: &Detector, saved: &[u8]) -> Result<(Self, Restored), StateError> {
        let mut restoring = Restoring::new(detector, saved)?;
        let restored = Self::restore_from(&mut restoring).ok_or(StateError::Senseless)?;
        restoring.end()?;
        Ok(restored)
    }

    /// [`Windows::save`] beside other things.
    pub fn save_in(&self, saving: &mut Saving<'_>) {
        let detector = saving.detector;
        let ledger = &self.ledger;
        saving.flag(ledger.live.is_some());
        saving.counts(&ledger.tally);
        saving.each(self.event.iter(), Saving::found);
        saving.number(self.consumers.len() as u64);
        for (at, (groups, consumer)) in self.consumers.iter().zip(&detector.consumers).enumerate() {
            consumer.pack_key(saving);
            saving.text(consumer.label());
            saving.number(groups.open().count() as u64);
            let deadlines = ledger.deadlines.of(at);
            saving.section(|saving| groups.save(saving, &deadlines));
        }
        saving.each(ledger.closed.values(), |saving, (at, closed)| {
            saving.number(*at as u64);
            saving.section(|saving| closed.save(saving));
        });
    }

    /// [`Windows::restore`] beside other things; `None` where something else was saved.
    pub fn restore_from(saved: &mut Restoring<'_>) -> Option<(Self, Restored)> {
        let detector = saved.detector;
        let mut windows = Self::new(detector);
        windows.ledger.live = saved.flag()?.then(Vec::new);
        windows.ledger.tally = saved.counts()?;
        let event: Vec<Option<Match>> = saved.each(Restoring::found)?;
        windows.event = event.into_iter().flatten().collect();
        let mut restored = Restored::default();
        let (mut known, mut places) = (HashSet::new(), Vec::new());
        for _ in 0..saved.number()? {
            let rule = saved.uuid()?;
            if !known.insert(rule) {
                return None; // a rule is there once
            }
            places.push(windows.restore_consumer(saved, rule, &mut restored)?);
        }
        windows.weight = windows.consumers.iter().map(Groups::weight).sum();
        for _ in 0..saved.number()? {
            let place = usize::try_from(saved.number()?).ok()?;
            let section = saved.bytes()?;
            let Some(at) = *places.get(place)? else {
                continue;
            };
            let consumer = detector.consumers.get(at)?;
            let closed = saved.section(section, |saved| Closed::restore(saved, consumer))?;
            let order = closed.order(&consumer.reporter);
            windows.ledger.closed.insert(order, (at, closed));
        }
        let is_new = |consumer: &&Consumer| !known.contains(&consumer.reporter.rule);
        let new = detector.consumers.iter().filter(is_new);
        let new = new.filter(|consumer| consumer.keeps_state());
        let new = new.map(|consumer| (consumer.label().to_owned(), Fate::New));
        restored.rules.extend(new);
        Some((windows, restored))
    }

    /// Takes back the groups of one consumer, if it is still there and does the same: where it is now.
    fn restore_consumer(
        &mut self,
        saved: &mut Restoring<'_>,
        rule: Uuid,
        restored: &mut Restored,
    ) -> Option<Option<usize>> {
        let (logic, reports) = (saved.digest()?, saved.flag()?);
        let (label, open) = (saved.text()?.to_owned(), saved.count()?);
        let section = saved.bytes()?;
        let mut consumers = saved.detector.consumers.iter().enumerate();
        let Some((at, consumer)) = consumers.find(|(_, one)| one.reporter.rule == rule) else {
            restored.rules.push((label, Fate::Gone(open)));
            return Some(None);
        };
        let fate = match (consumer.logic == logic, consumer.reports == reports) {
            (false, _) => Fate::Changed(open),
            (true, false) => Fate::Rewired(open),
            (true, true) => Fate::Kept,
        };
        if consumer.keeps_state() {
            restored.rules.push((consumer.label().to_owned(), fate));
        }
        if fate != Fate::Kept {
            return Some(None);
        }
        let (groups, deadlines) =
            saved.section(section, |saved| Groups::restore(saved, consumer))?;
        *self.consumers.get_mut(at)? = groups;
        for (deadline, number) in deadlines {
            self.ledger.deadlines.push(at, deadline, number);
        }
        Some(Some(at))
    }
}

/// What each consumer is to see of one event.
type Feeds = BTreeMap<usize, Vec<Sighting>>;

/// A wait that ended: in which consumer and group, and the event that waited.
struct Ended {
    at: usize,
    key: Key,
    waited: Member,
}

/// An event on its way to the groups of a consumer.
struct Sighting {
    time: Option<Time>,
    member: Member,
    /// Which rules of the correlation it satisfies.
    rules: Rules,
    why: Why,
}

impl Sighting {
    fn new(time: Option<Time>, seen: Seen, rules: Rules, why: Why) -> Self {
        Self {
            time,
            member: Member {
                time: time.unwrap_or(Time(i64::MIN)),
                seen,
            },
            rules,
            why,
        }
    }
}

/// A hit of a correlation that others name: its event and its group.
struct Passed {
    member: Member,
    key: Key,
}

impl Outer {
    /// A hit of the inner correlation as an event of this one: at the time and with the identity
    /// and the values of the hit's event, of the fields that the inner one groups by the group's.
    fn sighting(&self, inner: &Consumer, hit: &Passed) -> Sighting {
        let seen = &hit.member.seen;
        let shown = display(inner, seen, hit.key.values());
        let fields = inner.reporter.group_by.iter().zip(&shown);
        let has_more = |id: &CaptureId| seen.values().all(*id).nth(1).is_some();
        let narrowed: Vec<(CaptureId, &str)> = fields
            .map(|((_, id), value)| (*id, value.as_str()))
            .filter(|(id, _)| has_more(id))
            .collect();
        let seen = if narrowed.is_empty() {
            self.tell(seen)
        } else {
            self.tell(&seen.with(&seen.values().narrowed(&narrowed)))
        };
        Sighting::new(Some(hit.member.time), seen, self.rules, Why::default())
    }

    /// An event in the words of the one that wants it.
    fn tell(&self, seen: &Seen) -> Seen {
        if self.renamed.is_empty() && self.said.is_empty() {
            return seen.clone();
        }
        seen.with(&seen.values().renamed(&self.renamed, &self.said))
    }
}

/// The hits of a correlation go to those that name it.
fn pass_on(consumer: &Consumer, hits: &[Passed], feeds: &mut Feeds) {
    for outer in &consumer.outer {
        let passed = hits.iter().map(|hit| outer.sighting(consumer, hit));
        feeds.entry(outer.consumer).or_default().extend(passed);
    }
}

/// Takes a match of a rule whose every match is a hit.
fn report(
    ledger: &mut Ledger,
    groups: &mut Groups,
    at: usize,
    consumer: &Consumer,
    sighting: &Sighting,
) {
    let (keys, cut) = groups_of(consumer, &sighting.member);
    ledger.tally.cut_groups += u64::from(cut);
    if keys.is_empty() {
        ledger.tally.without_group += 1;
    }
    if keys.is_empty() || sighting.time.is_none() || consumer.reporter.suppress == Nanos(0) {
        ledger.report_alone(at, consumer, sighting);
        return;
    }
    let member = &sighting.member;
    for key in keys {
        let known = |window: &mut Window| window.renew(member);
        let number = groups.enter(&key, known, || Window::One(member.clone()));
        ledger.join_window((at, number), consumer, &key, groups, None, &sighting.why);
    }
}

/// Shows one event to a correlation, in all groups it belongs to, and gives its hits to pass on.
fn correlate(
    ledger: &mut Ledger,
    groups: &mut Groups,
    at: usize,
    consumer: &Consumer,
    condition: &Arc<dyn Condition>,
    sightings: &[Sighting],
    most: usize,
) -> Vec<Passed> {
    let mut hits = Vec::new();
    for (key, member, rules) in memberships(ledger, consumer, condition, sightings) {
        if !condition.opens(rules) && groups.find(&key).is_none() {
            continue;
        }
        let mut evicted = 0;
        let slide = |window: &mut Window| {
            window.slide(consumer, &member, rules);
            evicted = window.cut(most, consumer);
        };
        let number = groups.enter(&key, slide, || Window::new(consumer, &member, rules));
        ledger.tally.evicted += evicted as u64;
        let met = groups.change(number, |group| condition.meet(&mut group.window));
        let met = met.flatten();
        let measure = match &met {
            Some(_) => Some(PAIR),
            None if condition.is_of_pairs() => None,
            None => groups
                .get(number)
                .and_then(|group| group.window.hit(condition.as_ref())),
        };
        let Some(measure) = measure else {
            let failure = groups.change(number, |group| group.window.failure());
            if let Some(why) = failure.flatten() {
                let event = (Some(member.time), member.digest());
                ledger.failures.add(consumer.reporter.called(), event, &why);
            }
            continue;
        };
        if consumer.reports {
            let why = Why::Measure(measure);
            ledger.join_window((at, number), consumer, &key, groups, met, &why);
        }
        if !consumer.outer.is_empty() {
            hits.push(Passed { member, key });
        }
    }
    hits
}

/// Shows one event to a correlation in which events wait for others: it ends
/// the waits before it, or waits itself, or both.
fn wait(
    ledger: &mut Ledger,
    groups: &mut Groups,
    consumer: &Consumer,
    condition: &Arc<dyn Condition>,
    sightings: &[Sighting],
    most: usize,
) {
    for (key, member, rules) in memberships(ledger, consumer, condition, sightings) {
        if answers(rules)
            && let Some(number) = groups.find(&key)
        {
            groups.change(number, |group| group.window.answer(member.time));
        }
        if begins(rules) {
            let first = || Window::One(member.clone());
            let mut evicted = 0;
            let wait = |window: &mut Window| {
                window.wait(&member);
                evicted = window.cut(most, consumer);
            };
            let number = groups.enter(&key, wait, first);
            groups.wait_until(member.time.plus(consumer.timespan), number);
            ledger.tally.evicted += evicted as u64;
        }
    }
}

/// The groups that an event belongs to, and the event as each sees it: what
/// satisfies two rules of a correlation is one event satisfying both.
fn memberships(
    ledger: &mut Ledger,
    consumer: &Consumer,
    condition: &Arc<dyn Condition>,
    sightings: &[Sighting],
) -> Vec<(Key, Member, Rules)> {
    let mut found: Vec<(Key, Member, Rules)> = Vec::new();
    let mut places: HashMap<Key, usize> = HashMap::new();
    for sighting in sightings {
        if sighting.time.is_none() {
            ledger.tally.without_time += 1;
            continue;
        }
        if !condition.admits(&sighting.member) {
            continue;
        }
        let (keys, mut cut) = groups_of(consumer, &sighting.member);
        if keys.is_empty() {
            ledger.tally.without_group += 1;
        }
        for key in keys {
            if sightings.len() > 1 {
                let known = places.get(&key).and_then(|at| found.get_mut(*at));
                if let Some((_, member, rules)) = known {
                    *rules |= sighting.rules;
                    member.hear(&sighting.member, &consumer.of_rules);
                    continue;
                }
                if found.len() >= MAX_GROUPS {
                    cut = true;
                    break;
                }
                places.insert(key.clone(), found.len());
            }
            found.push((key, sighting.member.clone(), sighting.rules));
        }
        ledger.tally.cut_groups += u64::from(cut);
    }
    found
}

impl Ledger {
    /// Adds the hit that a group's window is, or its newest event with the one
    /// that it met, to the open finding, or opens one.
    fn join_window(
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
    fn join(
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

    fn report_alone(&mut self, at: usize, consumer: &Consumer, sighting: &Sighting) {
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
    fn close_group(&mut self, at: usize, consumer: &Consumer, groups: &mut Groups, number: u32) {
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
    fn ready(&mut self, detector: &Detector, now: Option<Time>) -> Vec<Finding> {
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
    fn next_before(&mut self, detector: &Detector, bound: Option<Time>) -> Option<Finding> {
        let (order, _) = self.closed.first_key_value()?;
        if order.last_hit >= bound {
            return None;
        }
        let (_, (at, closed)) = self.closed.pop_first()?;
        let consumer = detector.consumers.get(at)?;
        Some(closed.finding(consumer))
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

/// The groups an event belongs to: one an element where a field is an array,
/// all mixes where several are; none when a field has no value. And whether
/// there were more than are followed.
fn groups_of(consumer: &Consumer, member: &Member) -> (Vec<Key>, bool) {
    let mut keys = vec![Key::default()];
    let mut cut = false;
    let captured = member.values();
    for (_, id) in &consumer.reporter.group_by {
        let mut values = captured.all(*id).map(fold);
        let first = values.next();
        let second = values.next();
        if let (Some(value), None, [key]) = (&first, &second, keys.as_mut_slice()) {
            key.push(value);
            continue;
        }
        let mut known = HashSet::new();
        let values: Vec<String> = first
            .into_iter()
            .chain(second)
            .chain(values)
            .filter(|value| known.insert(value.clone()))
            .collect();
        cut |= captured.is_cut(*id) || keys.len() * values.len() > MAX_GROUPS;
        let extended = |key: &Key| -> Vec<Key> {
            let one = |value: &String| {
                let mut key = key.clone();
                key.push(value);
                key
            };
            values.iter().map(one).collect()
        };
        keys = keys.iter().flat_map(extended).take(MAX_GROUPS).collect();
    }
    (keys, cut)
}

/// A group's values as the given event shows them.
pub(super) fn display<'k>(
    consumer: &Consumer,
    seen: &Seen,
    folded: impl Iterator<Item = &'k str>,
) -> Vec<String> {
    let fields = consumer.reporter.group_by.iter().zip(folded);
    fields
        .map(|((_, id), folded)| {
            let mut values = seen.values().all(*id);
            let shown = values.find(|value| fold(value) == folded);
            shown.unwrap_or(folded).to_owned()
        })
        .collect()
}
