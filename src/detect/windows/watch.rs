//! What correlations see, told beside what they do: how far the windows of their groups come, and
//! what is in them. For explanations; a run watches nobody.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use crate::detect::absent::{answers, begins};
use crate::detect::correlation::{Condition, Reached};
use crate::detect::groups::{Groups, Key, Window};
use crate::detect::seen::Member;
use crate::detect::windows::membership::{Sighting, display, groups_of};
use crate::detect::{Consumer, Detector, Rules};
use crate::event::{Digest, Nanos, Time};

/// Which correlations are watched, and what was seen of them.
#[derive(Debug, Default)]
pub struct Watch {
    watched: BTreeMap<usize, Watched>,
    chosen: BTreeSet<Digest>,
}

/// What was seen of a correlation.
#[derive(Debug, Default)]
pub struct Watched {
    /// Its rule.
    pub rule: Uuid,
    /// How many events came, for each rule that it names by position.
    pub fed: Vec<u64>,
    /// How many events count in some group.
    pub counted: u64,
    /// How many have no readable time.
    pub without_time: u64,
    /// How many have no value for what it counts.
    pub without_value: u64,
    /// How many have no value for a field that it groups by.
    pub without_group: u64,
    /// How many came to a group in which nothing had begun that they could end.
    pub unbegun: u64,
    /// In how many groups events counted; no more than are remembered.
    pub groups: u64,
    /// How often its condition held.
    pub hits: u64,
    /// How many events of an `absent` were answered in time.
    pub answered: u64,
    /// The windows that came nearest without a hit, of groups that never had one.
    pub nearest: Vec<Glimpse>,
    /// The windows at the chosen events.
    pub chosen: Vec<Glimpse>,
    known: HashSet<Key>,
    with_hits: HashSet<Key>,
    /// The events of each group with the rules that they satisfy, a while longer than they count.
    recent: HashMap<Key, VecDeque<Recent>>,
    /// How many they are, no fewer.
    remembered: usize,
}

/// A window of a group, at one event.
#[derive(Clone, Debug, PartialEq)]
pub struct Glimpse {
    /// The values of the fields that it is grouped by.
    pub group: Vec<(String, String)>,
    /// The time of its newest event.
    pub time: Time,
    /// How far it has come, in words.
    pub so_far: String,
    /// How much it lacks, in what its condition counts; of two numbers the smaller is nearer.
    pub lacks: f64,
    /// Whether the condition held.
    pub hit: bool,
    /// The first events of the window, in order.
    pub events: Vec<Glimpsed>,
    /// How many more there are.
    pub more: usize,
    /// The last event of the group that counts no more, as it is too old.
    pub left: Option<Glimpsed>,
    key: Key,
}

/// An event of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glimpsed {
    /// Its time.
    pub time: Time,
    /// Its own id.
    pub uuid: Option<String>,
    /// Its identity.
    pub digest: Digest,
    /// The rules of the correlation that it satisfies, by position.
    pub rules: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Recent {
    member: Member,
    rules: Rules,
}

/// So many groups are weighed against each other.
const CANDIDATES: usize = 64;

/// So many groups are told apart.
const MOST_GROUPS: usize = 1 << 20;

/// So many events of a window are told.
const SHOWN: usize = 50;

/// So many events of a group are remembered with their rules.
const REMEMBERED: usize = 10_000;

/// So many events of all groups are; then those that are too old to count are let go.
const MOST_REMEMBERED: usize = 1 << 20;

impl Watch {
    /// Watches the correlations among these rules, and their windows at these events.
    #[must_use]
    pub fn new(detector: &Detector, rules: &BTreeSet<Uuid>, chosen: BTreeSet<Digest>) -> Self {
        let numbered = detector.consumers.iter().enumerate();
        let watched = numbered
            .filter(|(_, consumer)| !consumer.is_each() && rules.contains(&consumer.reporter.rule));
        let begin = |(at, consumer): (usize, &Consumer)| {
            let watched = Watched {
                rule: consumer.reporter.rule,
                ..Watched::default()
            };
            (at, watched)
        };
        Self {
            watched: watched.map(begin).collect(),
            chosen,
        }
    }

    /// What was seen of each correlation.
    #[must_use]
    pub fn seen(self) -> Vec<Watched> {
        let rank = |mut watched: Watched| {
            watched.groups = watched.known.len() as u64;
            watched.nearest.sort_by(Glimpse::nearer);
            watched
        };
        self.watched.into_values().map(rank).collect()
    }

    /// One event comes to a correlation.
    pub(super) fn comes(
        &mut self,
        at: usize,
        consumer: &Consumer,
        condition: &Arc<dyn Condition>,
        sightings: &[Sighting],
    ) {
        let Some(watched) = self.watched.get_mut(&at) else {
            return;
        };
        for sighting in sightings {
            for rule in positions(sighting.rules) {
                if watched.fed.len() <= rule {
                    watched.fed.resize(rule + 1, 0);
                }
                if let Some(fed) = watched.fed.get_mut(rule) {
                    *fed += 1;
                }
            }
            let member = &sighting.member;
            if sighting.time.is_none() {
                watched.without_time += 1;
            } else if !condition.admits(member) {
                watched.without_value += 1;
            } else if groups_of(consumer, member).0.is_empty() {
                watched.without_group += 1;
            }
        }
    }

    /// An event came to a group that it cannot begin.
    pub(super) fn begins_nothing(&mut self, at: usize) {
        if let Some(watched) = self.watched.get_mut(&at) {
            watched.unbegun += 1;
        }
    }

    /// An event entered the window of a group, and it is not yet said whether that is a hit.
    pub(super) fn entered(
        &mut self,
        (at, consumer): (usize, &Consumer),
        condition: &Arc<dyn Condition>,
        (key, member, rules): (&Key, &Member, Rules),
        window: &Window,
    ) -> Option<Glimpse> {
        let watched = self.watched.get_mut(&at)?;
        watched.remember(key, member, rules, consumer.timespan);
        let reached = window.reached(condition.as_ref());
        let is_chosen = self.chosen.contains(&member.digest());
        if !is_chosen && !watched.is_candidate(key, &reached, member.time) {
            return None;
        }
        let so_far = condition.so_far(&reached, window);
        Some(watched.glimpse(consumer, (key, member), (so_far, reached.lacks), window))
    }

    /// Whether the window of a group is a hit.
    pub(super) fn decided(&mut self, at: usize, key: &Key, glimpse: Option<Glimpse>, hit: bool) {
        let Some(watched) = self.watched.get_mut(&at) else {
            return;
        };
        if hit {
            watched.hit(key);
        }
        let Some(mut glimpse) = glimpse else { return };
        glimpse.hit = hit;
        if self.chosen.contains(&glimpse.newest()) && watched.chosen.len() < CANDIDATES {
            watched.chosen.push(glimpse.clone());
        }
        watched.offer(glimpse);
    }

    /// An event comes to events that wait, or waits itself.
    pub(super) fn waits(
        &mut self,
        (at, consumer): (usize, &Consumer),
        condition: &Arc<dyn Condition>,
        (key, member, rules): (&Key, &Member, Rules),
        groups: &Groups,
    ) {
        let Some(watched) = self.watched.get_mut(&at) else {
            return;
        };
        watched.remember(key, member, rules, consumer.timespan);
        let number = groups.find(key);
        let waiting = number.and_then(|number| groups.get(number));
        let is_chosen = self.chosen.contains(&member.digest());
        let alone = Window::One(member.clone());
        let window = waiting.map_or(&alone, |group| &group.window);
        let asked = condition.reason(0.0, None);
        let waits = || window.from(0).filter(|first| first.time < member.time);
        if let Some(first) = waits().next().filter(|_| answers(rules)) {
            let waited = member.time.since(first.time);
            watched.answered += waits().count() as u64;
            let lacks = Nanos(consumer.timespan.0.saturating_sub(waited.0)).hours();
            let so_far = format!("answered after {waited}, where {asked} is asked");
            let glimpse = watched.glimpse(consumer, (key, member), (so_far, lacks), window);
            if is_chosen {
                watched.chosen.push(glimpse.clone());
            }
            watched.offer(glimpse);
        } else if is_chosen {
            let word = if begins(rules) {
                "waits"
            } else {
                "nothing waits for it"
            };
            let so_far = format!("{word}, where {asked} is asked");
            let glimpse = watched.glimpse(consumer, (key, member), (so_far, 0.0), window);
            watched.chosen.push(glimpse);
        }
    }

    /// A wait ended without an answer.
    pub(super) fn waited(&mut self, at: usize, key: &Key) {
        if let Some(watched) = self.watched.get_mut(&at) {
            watched.hit(key);
        }
    }
}

impl Watched {
    fn hit(&mut self, key: &Key) {
        self.hits += 1;
        if self.with_hits.len() < MOST_GROUPS && self.with_hits.insert(key.clone()) {
            self.nearest.retain(|glimpse| glimpse.key != *key);
        }
    }

    fn remember(&mut self, key: &Key, member: &Member, rules: Rules, timespan: Nanos) {
        self.counted += 1;
        if self.known.len() < MOST_GROUPS && !self.known.contains(key) {
            self.known.insert(key.clone());
        }
        let now = member.time;
        if self.remembered >= MOST_REMEMBERED {
            self.forget(now.minus(timespan));
        }
        self.remembered += 1;
        let events = self.recent.entry(key.clone()).or_default();
        // Twice as long, so that it can be said what was too old.
        let edge = now.minus(timespan).minus(timespan);
        while events.len() > 1
            && (events.len() >= REMEMBERED
                || events.front().is_some_and(|old| old.member.time <= edge))
        {
            events.pop_front();
        }
        events.push_back(Recent {
            member: member.clone(),
            rules,
        });
    }

    /// Lets go of the events at the edge or before; of all, where that leaves too many.
    fn forget(&mut self, edge: Time) {
        for events in self.recent.values_mut() {
            events.retain(|recent| recent.member.time > edge);
        }
        self.recent.retain(|_, events| !events.is_empty());
        self.remembered = self.recent.values().map(VecDeque::len).sum();
        if self.remembered > MOST_REMEMBERED / 2 {
            self.recent.clear();
            self.remembered = 0;
        }
    }

    /// Whether a window may be among the nearest.
    fn is_candidate(&self, key: &Key, reached: &Reached, time: Time) -> bool {
        if self.with_hits.contains(key) {
            return false;
        }
        let known = self.nearest.iter().find(|glimpse| glimpse.key == *key);
        let farthest = || {
            let farthest = self.nearest.iter().max_by(|a, b| a.nearer(b));
            farthest.filter(|_| self.nearest.len() >= CANDIDATES)
        };
        let beaten = known.or_else(farthest);
        beaten.is_none_or(|beaten| {
            let nearer = reached.lacks.total_cmp(&beaten.lacks);
            nearer.is_lt() || (nearer.is_eq() && (known.is_some() || time <= beaten.time))
        })
    }

    /// Keeps a window if it is among the nearest.
    fn offer(&mut self, glimpse: Glimpse) {
        if self.with_hits.contains(&glimpse.key) {
            return;
        }
        let mut known = self.nearest.iter_mut();
        match known.find(|known| known.key == glimpse.key) {
            Some(known) if glimpse.nearer(known).is_lt() => *known = glimpse,
            Some(_) => {}
            None => {
                self.nearest.push(glimpse);
                if self.nearest.len() > CANDIDATES {
                    self.nearest.sort_by(Glimpse::nearer);
                    self.nearest.pop();
                }
            }
        }
    }

    fn glimpse(
        &self,
        consumer: &Consumer,
        (key, newest): (&Key, &Member),
        (so_far, lacks): (String, f64),
        window: &Window,
    ) -> Glimpse {
        let recent = self.recent.get(key);
        let rules_of = |digest: Digest| {
            let mut recent = recent.into_iter().flatten().rev();
            recent
                .find(|recent| recent.member.digest() == digest)
                .map_or_else(Vec::new, |recent| positions(recent.rules).collect())
        };
        let told = |member: &Member| Glimpsed {
            time: member.time,
            uuid: member.id(),
            digest: member.digest(),
            rules: rules_of(member.digest()),
        };
        let skipped = window.len().saturating_sub(SHOWN);
        let mut events: Vec<Glimpsed> = window.from(skipped).map(told).collect();
        if events
            .last()
            .is_none_or(|last| last.digest != newest.digest())
        {
            events.push(told(newest));
        }
        let first = window.first().map_or(newest.time, |first| first.time);
        let left = recent.and_then(|recent| {
            let before = recent.partition_point(|recent| recent.member.time < first);
            recent.get(before.checked_sub(1)?)
        });
        let fields = consumer.reporter.group_by.iter();
        let values = display(consumer, &newest.seen, key.values());
        Glimpse {
            group: fields.map(|(name, _)| name.clone()).zip(values).collect(),
            time: newest.time,
            so_far,
            lacks,
            hit: false,
            events,
            more: skipped,
            left: left.map(|recent| told(&recent.member)),
            key: key.clone(),
        }
    }
}

impl Glimpse {
    /// The nearer comes first: what lacks less, has more events, came earlier.
    fn nearer(&self, other: &Self) -> Ordering {
        self.lacks
            .total_cmp(&other.lacks)
            .then_with(|| other.events.len().cmp(&self.events.len()))
            .then_with(|| self.time.cmp(&other.time))
            .then_with(|| self.group.cmp(&other.group))
    }

    fn newest(&self) -> Digest {
        let newest = self.events.last().map(|event| event.digest);
        newest.unwrap_or(Digest::of_bytes([0; 32]))
    }
}

fn positions(rules: Rules) -> impl Iterator<Item = usize> {
    (0..64).filter(move |at| rules >> at & 1 == 1)
}
