//! The beat after the scan: matches in event-time order → hits → findings.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use crate::detect::capture::{Captured, MAX_VALUES};
use crate::detect::correlation::{Account, Condition};
use crate::detect::finding::{Finding, Growing, Hit, OrderKey};
use crate::detect::{Consumer, ConsumerKind, Detector, Match, Outer, Rules};
use crate::event::{Digest, Nanos, Time, fold};

/// An event in a window. There may be millions, and each may be in many windows.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) time: Time,
    pub(super) seen: Arc<Seen>,
    /// Which rules of the correlation it satisfies.
    pub(super) rules: Rules,
}

/// What is kept of a matched event.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) digest: Digest,
    pub(super) uuid: Option<String>,
    pub(super) captured: Captured,
}

impl std::ops::Deref for Member {
    type Target = Seen;

    fn deref(&self) -> &Seen {
        &self.seen
    }
}

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
}

/// The state of every window and every finding that may still grow.
pub struct Windows {
    consumers: Vec<HashMap<Vec<String>, Group>>,
    ledger: Ledger,
    /// The matches of one event, until the next one comes: what an event
    /// satisfies is looked at together.
    event: Vec<Match>,
    /// How many groups of each consumer the last sweep left.
    left: Vec<usize>,
}

/// The findings of all groups: which are open, and which wait for their turn.
#[derive(Default)]
struct Ledger {
    /// When each open finding closes at the earliest, soonest first; one entry a finding.
    deadlines: BinaryHeap<Reverse<(Time, usize, Vec<String>)>>,
    /// How many open findings had their last hit when.
    open_since: BTreeMap<Time, usize>,
    /// Closed findings that an open one may still have to precede.
    closed: BTreeMap<OrderKey, Finding>,
    tally: Tally,
}

#[derive(Default)]
struct Group {
    window: VecDeque<Member>,
    account: Option<Box<dyn Account>>,
    open: Option<Box<Growing>>,
    /// A finding that was closed for its age alone: the next one goes on from it.
    aged: Option<(Uuid, Time)>,
}

/// A finding closes when it has been open so long.
const LONGEST: Nanos = Nanos::DAY;

/// Groups that hold nothing any more are looked for when there are so many, and
/// again when there are twice as many as were left.
const SWEEP: usize = 4_096;

/// An event belongs to at most so many groups of a rule: a record with long arrays must not multiply.
const MAX_GROUPS: usize = MAX_VALUES;

impl Windows {
    /// No windows yet.
    #[must_use]
    pub fn new(detector: &Detector) -> Self {
        Self {
            consumers: detector.consumers.iter().map(|_| HashMap::new()).collect(),
            ledger: Ledger::default(),
            event: Vec::new(),
            left: vec![0; detector.consumers.len()],
        }
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

    /// The end of the input: closes everything that is open.
    pub fn finish(mut self, detector: &Detector) -> (Vec<Finding>, Tally) {
        let mut findings = self.step(detector);
        for (groups, consumer) in self.consumers.into_iter().zip(&detector.consumers) {
            for growing in groups.into_values().filter_map(|group| group.open) {
                self.ledger.close(consumer, *growing);
            }
        }
        findings.extend(self.ledger.closed.into_values());
        (findings, self.ledger.tally)
    }

    /// Shows the event that waits to all that consume it, inner correlations before outer ones.
    fn step(&mut self, detector: &Detector) -> Vec<Finding> {
        let Some(time) = self.event.first().map(|found| found.time) else {
            return Vec::new();
        };
        if let Some(now) = time {
            self.close_until(detector, now);
        }
        let mut feeds: BTreeMap<usize, Vec<Sighting>> = BTreeMap::new();
        for found in self.event.drain(..) {
            let matcher = detector.matchers.get(found.matcher as usize);
            let seen = Arc::new(Seen {
                digest: found.digest,
                uuid: found.uuid,
                captured: found.captured,
            });
            for (at, rules) in matcher.map_or(&[][..], |m| &m.consumers) {
                let sighting = Sighting::new(time, seen.clone(), *rules, found.reasons.clone());
                feeds.entry(*at).or_default().push(sighting);
            }
        }
        while let Some((at, sightings)) = feeds.pop_first() {
            let (Some(consumer), Some(groups)) =
                (detector.consumers.get(at), self.consumers.get_mut(at))
            else {
                continue;
            };
            if let ConsumerKind::Over(condition) = &consumer.kind {
                let hits = correlate(
                    &mut self.ledger,
                    groups,
                    at,
                    consumer,
                    condition,
                    &sightings,
                );
                for outer in &consumer.outer {
                    let passed = hits.iter().map(|hit| outer.sighting(consumer, hit));
                    feeds.entry(outer.consumer).or_default().extend(passed);
                }
            } else {
                for sighting in &sightings {
                    report(&mut self.ledger, groups, at, consumer, sighting);
                }
            }
        }
        self.sweep(detector, time);
        self.ledger.ready(time)
    }

    /// Closes the findings whose last hit is more than `suppress` ago, and those open for a day.
    fn close_until(&mut self, detector: &Detector, now: Time) {
        while let Some((at, key)) = self.ledger.due(now) {
            let Some(consumer) = detector.consumers.get(at) else {
                continue;
            };
            let Some(group) = self
                .consumers
                .get_mut(at)
                .and_then(|groups| groups.get_mut(&key))
            else {
                continue;
            };
            let Some(open) = group.open.take() else {
                continue;
            };
            let (Some(first), Some(last)) = (open.first_hit, open.last_hit) else {
                continue;
            };
            let (quiet, aged) = (last.plus(consumer.reporter.suppress), first.plus(LONGEST));
            if now <= quiet && now < aged {
                // One hit exactly `suppress` later still joins, so look again just after.
                let next = quiet.plus(Nanos(1)).min(aged);
                self.ledger
                    .deadlines
                    .push(Reverse((next.max(now.plus(Nanos(1))), at, key)));
                group.open = Some(open);
                continue;
            }
            group.aged = (now <= quiet).then(|| (open.id(&consumer.reporter), last));
            self.ledger.moved(Some(last), None);
            self.ledger.close(consumer, *open);
        }
    }

    /// Lets go of groups that no later event can meet.
    fn sweep(&mut self, detector: &Detector, now: Option<Time>) {
        let Some(now) = now else { return };
        let swept = self.consumers.iter_mut().zip(&mut self.left);
        for ((groups, left), consumer) in swept.zip(&detector.consumers) {
            if groups.len() < SWEEP.max(2 * *left) {
                continue;
            }
            let reach = consumer.timespan.max(consumer.reporter.suppress);
            groups.retain(|_, group| {
                let newest = group.window.back().map(|member| member.time);
                group.open.is_some() || newest.is_some_and(|newest| now.since(newest) <= reach)
            });
            groups.shrink_to(2 * groups.len());
            *left = groups.len();
        }
    }
}

/// An event on its way to the groups of a consumer.
struct Sighting {
    time: Option<Time>,
    member: Member,
    reasons: Vec<String>,
}

impl Sighting {
    fn new(time: Option<Time>, seen: Arc<Seen>, rules: Rules, reasons: Vec<String>) -> Self {
        Self {
            time,
            member: Member {
                time: time.unwrap_or(Time(i64::MIN)),
                seen,
                rules,
            },
            reasons,
        }
    }
}

/// A hit of a correlation that others name: its event and its group.
struct Passed {
    member: Member,
    key: Vec<String>,
}

impl Outer {
    /// A hit of the inner correlation as an event of this one: at the time and with the identity
    /// and the values of the hit's event, of the fields that the inner one groups by the group's.
    fn sighting(&self, inner: &Consumer, hit: &Passed) -> Sighting {
        let shown = display(inner, &hit.member, &hit.key);
        let value = |at: usize| shown.get(at).map(|(_, value)| value.as_str());
        let narrowed: Vec<_> = self
            .narrowed
            .iter()
            .filter_map(|(id, at)| Some((*id, value(*at)?)))
            .collect();
        let seen = if narrowed.is_empty() {
            hit.member.seen.clone()
        } else {
            Arc::new(Seen {
                digest: hit.member.digest,
                uuid: hit.member.uuid.clone(),
                captured: hit.member.captured.narrowed(&narrowed),
            })
        };
        Sighting::new(Some(hit.member.time), seen, self.rules, Vec::new())
    }
}

/// Takes a match of a rule whose every match is a hit.
fn report(
    ledger: &mut Ledger,
    groups: &mut HashMap<Vec<String>, Group>,
    at: usize,
    consumer: &Consumer,
    sighting: &Sighting,
) {
    let (shown, cut) = groups_of(consumer, &sighting.member);
    ledger.tally.cut_groups += u64::from(cut);
    if shown.is_empty() {
        ledger.tally.without_group += 1;
    }
    if shown.is_empty() || sighting.time.is_none() || consumer.reporter.suppress == Nanos(0) {
        ledger.report_alone(consumer, sighting, shown.into_iter().next());
        return;
    }
    for values in shown {
        let key: Vec<String> = values.iter().map(|value| fold(value)).collect();
        let group = groups.entry(key.clone()).or_default();
        group.window.clear();
        group.window.push_back(sighting.member.clone());
        ledger.join(at, consumer, key, group, sighting.reasons.clone());
    }
}

/// Shows one event to a correlation, in all groups it belongs to, and gives its hits to pass on.
fn correlate(
    ledger: &mut Ledger,
    groups: &mut HashMap<Vec<String>, Group>,
    at: usize,
    consumer: &Consumer,
    condition: &Arc<dyn Condition>,
    sightings: &[Sighting],
) -> Vec<Passed> {
    let mut hits = Vec::new();
    for (key, member) in memberships(ledger, consumer, condition, sightings) {
        let group = groups.entry(key.clone()).or_default();
        group.slide(consumer, condition, &member);
        let Some(reason) = group.hit(condition) else {
            continue;
        };
        if !consumer.outer.is_empty() {
            let key = key.clone();
            hits.push(Passed { member, key });
        }
        if consumer.reports {
            ledger.join(at, consumer, key, group, vec![reason]);
        }
    }
    hits
}

/// The groups that an event belongs to, and the event as each sees it: what
/// satisfies two rules of a correlation is one event satisfying both.
fn memberships(
    ledger: &mut Ledger,
    consumer: &Consumer,
    condition: &Arc<dyn Condition>,
    sightings: &[Sighting],
) -> Vec<(Vec<String>, Member)> {
    let mut found: Vec<(Vec<String>, Member)> = Vec::new();
    let mut places: HashMap<Vec<String>, usize> = HashMap::new();
    for sighting in sightings {
        if sighting.time.is_none() {
            ledger.tally.without_time += 1;
            continue;
        }
        if !condition.admits(&sighting.member) {
            continue;
        }
        let (shown, mut cut) = groups_of(consumer, &sighting.member);
        if shown.is_empty() {
            ledger.tally.without_group += 1;
        }
        for values in shown {
            let key: Vec<String> = values.iter().map(|value| fold(value)).collect();
            if sightings.len() > 1 {
                if let Some((_, member)) = places.get(&key).and_then(|at| found.get_mut(*at)) {
                    member.rules |= sighting.member.rules;
                    continue;
                }
                if found.len() >= MAX_GROUPS {
                    cut = true;
                    break;
                }
                places.insert(key.clone(), found.len());
            }
            found.push((key, sighting.member.clone()));
        }
        ledger.tally.cut_groups += u64::from(cut);
    }
    found
}

impl Ledger {
    /// Adds a hit to the open finding of its group, or opens one.
    fn join(
        &mut self,
        at: usize,
        consumer: &Consumer,
        key: Vec<String>,
        group: &mut Group,
        reasons: Vec<String>,
    ) {
        let reporter = &consumer.reporter;
        let Some(event) = group.window.back() else {
            return;
        };
        let now = event.time;
        let hit = Hit {
            at: Some(now),
            event,
            window: &group.window,
            reasons,
            pair: consumer.is_of_pairs(),
        };
        if let Some(open) = &mut group.open {
            let before = open.last_hit;
            open.add(reporter, &hit);
            self.moved(before, Some(now));
            return;
        }
        let values = hit
            .window
            .front()
            .map_or_else(Vec::new, |first| display(consumer, first, &key));
        let continues = group
            .aged
            .take()
            .filter(|(_, last)| now.since(*last) <= reporter.suppress)
            .map(|(id, _)| id);
        let opened = Growing::open(reporter, values, &hit, continues);
        if reporter.suppress == Nanos(0) {
            self.close(consumer, opened);
            return;
        }
        group.open = Some(Box::new(opened));
        self.moved(None, Some(now));
        let deadline = now.plus(reporter.suppress.min(LONGEST));
        self.deadlines.push(Reverse((deadline, at, key)));
    }

    fn report_alone(
        &mut self,
        consumer: &Consumer,
        sighting: &Sighting,
        group: Option<Vec<String>>,
    ) {
        let names = consumer
            .reporter
            .group_by
            .iter()
            .map(|(name, _)| name.clone());
        let values = names.zip(group.unwrap_or_default()).collect();
        let window = VecDeque::from([sighting.member.clone()]);
        let hit = Hit {
            at: sighting.time,
            event: &sighting.member,
            window: &window,
            reasons: sighting.reasons.clone(),
            pair: false,
        };
        self.close(
            consumer,
            Growing::open(&consumer.reporter, values, &hit, None),
        );
    }

    fn close(&mut self, consumer: &Consumer, growing: Growing) {
        let finding = growing.close(&consumer.reporter);
        self.closed.insert(finding.order(), finding);
    }

    /// The next group whose finding is to be looked at.
    fn due(&mut self, now: Time) -> Option<(usize, Vec<String>)> {
        let Reverse((deadline, ..)) = self.deadlines.peek()?;
        if *deadline > now {
            return None;
        }
        self.deadlines.pop().map(|Reverse((_, at, key))| (at, key))
    }

    /// Records that an open finding's last hit went from one time to another.
    fn moved(&mut self, from: Option<Time>, to: Option<Time>) {
        if let Some(from) = from
            && let Some(count) = self.open_since.get_mut(&from)
        {
            *count -= 1;
            if *count == 0 {
                self.open_since.remove(&from);
            }
        }
        if let Some(to) = to {
            *self.open_since.entry(to).or_default() += 1;
        }
    }

    /// The closed findings that nothing still to come can precede.
    fn ready(&mut self, now: Option<Time>) -> Vec<Finding> {
        let Some(now) = now else { return Vec::new() };
        let bound = self
            .open_since
            .keys()
            .next()
            .copied()
            .unwrap_or(now)
            .min(now);
        let mut ready = Vec::new();
        while self
            .closed
            .first_key_value()
            .is_some_and(|(key, _)| key.last_hit < Some(bound))
        {
            ready.extend(self.closed.pop_first().map(|(_, finding)| finding));
        }
        ready
    }
}

impl Group {
    /// Moves the window on to an event: what is not within `(t − span, t]` leaves.
    fn slide(&mut self, consumer: &Consumer, condition: &Arc<dyn Condition>, member: &Member) {
        if self.window.is_empty() && self.account.is_none() {
            self.account = condition.clone().account();
        }
        let edge = member.time.minus(consumer.timespan);
        while let Some(oldest) = self.window.front().filter(|oldest| oldest.time <= edge) {
            if let Some(account) = &mut self.account {
                account.leave(oldest);
            }
            self.window.pop_front();
        }
        if let Some(account) = &mut self.account {
            account.enter(member);
        }
        if self.window.capacity() == 0 {
            self.window.reserve_exact(1); // most groups never see a second event
        }
        self.window.push_back(member.clone());
    }

    fn hit(&mut self, condition: &Arc<dyn Condition>) -> Option<String> {
        match &self.account {
            Some(account) => account.hit(),
            None => condition.hit(&mut self.window),
        }
    }
}

impl Consumer {
    fn is_of_pairs(&self) -> bool {
        matches!(&self.kind, ConsumerKind::Over(condition) if condition.is_of_pairs())
    }
}

/// The groups an event belongs to, as shown: one an element where a field is an
/// array, all mixes where several are; none when a field has no value. And
/// whether there were more than are followed.
fn groups_of(consumer: &Consumer, member: &Member) -> (Vec<Vec<String>>, bool) {
    let mut groups: Vec<Vec<String>> = vec![Vec::new()];
    let mut cut = false;
    for (_, id) in &consumer.reporter.group_by {
        let mut folded: HashSet<String> = HashSet::new();
        let values: Vec<&str> = member
            .captured
            .all(*id)
            .filter(|value| folded.insert(fold(value)))
            .collect();
        cut |= member.captured.is_cut(*id) || groups.len() * values.len() > MAX_GROUPS;
        let extended = |group: &Vec<String>| -> Vec<Vec<String>> {
            let one = |value: &&str| [group.as_slice(), &[(*value).to_owned()]].concat();
            values.iter().map(one).collect()
        };
        groups = groups.iter().flat_map(extended).take(MAX_GROUPS).collect();
    }
    (groups, cut)
}

/// A group's values as the given event shows them.
fn display(consumer: &Consumer, member: &Member, key: &[String]) -> Vec<(String, String)> {
    let fields = consumer.reporter.group_by.iter().zip(key);
    fields
        .map(|((name, id), folded)| {
            let shown = member
                .captured
                .all(*id)
                .find(|value| fold(value) == *folded);
            (name.clone(), shown.unwrap_or(folded).to_owned())
        })
        .collect()
}
