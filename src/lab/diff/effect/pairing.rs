//! Which findings of two policies are each other's, and what differs between their records.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use crate::detect::Detector;
use crate::event::{Digest, Nanos, Time};
use crate::lab::diff::effect::certainty::{Certainty, Way};
use crate::lab::diff::effect::entries;
use crate::lab::diff::effect::traced::{Compared, Kind, Subject, Traced};
use crate::policy::Policy;

/// So many possible pairs of one group are weighed against each other.
const WEIGHED: usize = 200_000;

/// Rules that are each other's: by id, else by what they do. A rule of either side has the number
/// of its pair.
#[derive(Debug, Default)]
pub struct Rules {
    base: HashMap<Uuid, usize>,
    head: HashMap<Uuid, usize>,
}

impl Rules {
    /// Pairs the rules of two policies.
    #[must_use]
    pub fn new(base: &Policy, head: &Policy) -> Self {
        let mut pairs = Self::default();
        let (old, new): (BTreeSet<&Uuid>, BTreeSet<&Uuid>) =
            (base.rules.keys().collect(), head.rules.keys().collect());
        for id in old.intersection(&new) {
            pairs.add(Some(**id), Some(**id));
        }
        let mut by_logic: BTreeMap<_, Vec<Uuid>> = BTreeMap::new();
        let logic = |detector: &Detector, id: &Uuid| detector.logic_digest(*id);
        for id in new.difference(&old) {
            by_logic
                .entry(logic(&head.detector, id))
                .or_default()
                .push(**id);
        }
        for id in old.difference(&new) {
            let same = logic(&base.detector, id).and_then(|logic| by_logic.get_mut(&Some(logic)));
            let same = same.filter(|same| !same.is_empty());
            pairs.add(Some(**id), same.map(|same| same.remove(0)));
        }
        for id in by_logic.into_values().flatten() {
            pairs.add(None, Some(id));
        }
        pairs
    }

    /// The rules of the base that have another id in the head, with that.
    #[must_use]
    pub fn renamed(&self) -> Vec<(Uuid, Uuid)> {
        let heads: HashMap<usize, Uuid> = self.head.iter().map(|(id, at)| (*at, *id)).collect();
        let twin = |(id, at): (&Uuid, &usize)| Some((*id, *heads.get(at)?));
        let mut twins: Vec<(Uuid, Uuid)> = self.base.iter().filter_map(twin).collect();
        twins.retain(|(base, head)| base != head);
        twins.sort_unstable();
        twins
    }

    /// The number of the pair that a rule is of.
    pub(super) fn pair_of(&self, whose: Whose, rule: Uuid) -> Option<usize> {
        let numbers = match whose {
            Whose::Base => &self.base,
            Whose::Head => &self.head,
        };
        numbers.get(&rule).copied()
    }

    /// The rules of each pair.
    pub(super) fn pairs(&self) -> BTreeMap<usize, Vec<Uuid>> {
        let mut pairs: BTreeMap<usize, Vec<Uuid>> = BTreeMap::new();
        for (id, number) in self.base.iter().chain(&self.head) {
            pairs.entry(*number).or_default().push(*id);
        }
        pairs
    }

    fn add(&mut self, base: Option<Uuid>, head: Option<Uuid>) {
        let number = self.base.len() + self.head.len();
        self.base.extend(base.map(|id| (id, number)));
        self.head.extend(head.map(|id| (id, number)));
    }
}

/// Whose a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// The base's, so far.
    Base,
    /// The other policy's, so far.
    Head,
}

/// What differs between the sides.
#[derive(Clone, Debug, PartialEq)]
pub enum Differs {
    /// It is in the head alone.
    Added(Arc<Subject>, Compared),
    /// It is in the base alone.
    Removed(Arc<Subject>, Compared),
    /// It says something else: each field with what it was and is.
    Changed {
        /// What it was about.
        base: Arc<Subject>,
        /// What it is about.
        head: Arc<Subject>,
        /// The kind of the record.
        kind: Kind,
        /// What tells it from others of its kind.
        name: String,
        /// The fields that differ.
        fields: Vec<(String, Value, Value)>,
    },
}

/// A difference, and whether it holds whatever a model says.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// What differs.
    pub what: Differs,
    /// Whether it always does.
    pub certainty: Certainty,
}

impl Differs {
    /// What tells it from the others of a finding.
    pub(super) fn key(&self) -> (Way, Kind, String) {
        match self {
            Self::Added(_, record) => (Way::Added, record.kind, record.name.clone()),
            Self::Removed(_, record) => (Way::Removed, record.kind, record.name.clone()),
            Self::Changed { kind, name, .. } => (Way::Changed, *kind, name.clone()),
        }
    }
}

/// In which order findings of a group are paired.
fn order(traced: &Traced) -> (Option<(Time, Time)>, Digest, Uuid) {
    (traced.time, traced.anchor, traced.id)
}

/// A finding of the base and one of the head, or one that has no pair.
pub type Pair = (Option<Rc<Traced>>, Option<Rc<Traced>>);

/// Pairs the findings of one group: by the largest overlap, then the earliest, each used once. And
/// how many were not looked at, since they overlap with too many others.
pub fn pair(mut base: Vec<Rc<Traced>>, mut head: Vec<Rc<Traced>>) -> (Vec<Pair>, u64) {
    base.sort_by_key(|traced| order(traced));
    head.sort_by_key(|traced| order(traced));
    let mut weighed: Vec<(Reverse<Nanos>, Option<Time>, usize, usize)> = Vec::new();
    let mut left = 0;
    let mut from = 0;
    for (at, old) in base.iter().enumerate() {
        if weighed.len() >= WEIGHED {
            left += 1;
            continue;
        }
        // Those that ended before this one began are behind all that come.
        while let Some(new) = head.get(from)
            && ended_before(new, old)
        {
            from += 1;
        }
        for (beside, new) in head.iter().enumerate().skip(from) {
            if starts_after(new, old) {
                break;
            }
            if let Some((overlap, start)) = overlap(old, new) {
                weighed.push((Reverse(overlap), start, at, beside));
            }
        }
    }
    weighed.sort_unstable();
    let (mut old_used, mut new_used) = (HashMap::new(), HashSet::new());
    for (.., old, new) in weighed {
        if !old_used.contains_key(&old) && new_used.insert(new) {
            old_used.insert(old, new);
        }
    }
    let mut head: Vec<Option<Rc<Traced>>> = head.into_iter().map(Some).collect();
    let mut pairs = Vec::new();
    for (at, old) in base.into_iter().enumerate() {
        let new = old_used.get(&at).and_then(|new| head.get_mut(*new)?.take());
        pairs.push((Some(old), new));
    }
    pairs.extend(head.into_iter().flatten().map(|new| (None, Some(new))));
    (pairs, left)
}

fn ended_before(one: &Traced, other: &Traced) -> bool {
    match (one.time, other.time) {
        (Some((_, end)), Some((start, _))) => end < start,
        (one, other) => one.is_none() && other.is_some(),
    }
}

fn starts_after(one: &Traced, other: &Traced) -> bool {
    match (one.time, other.time) {
        (Some((start, _)), Some((_, end))) => start > end,
        (one, other) => one.is_some() && other.is_none(),
    }
}

/// How much two findings overlap, and since when; nothing where they cannot be a pair. Findings
/// of one event each are a pair where the event is the same.
fn overlap(one: &Traced, other: &Traced) -> Option<(Nanos, Option<Time>)> {
    let is_same = one.anchor == other.anchor;
    if one.is_single && other.is_single || one.time.is_none() || other.time.is_none() {
        let since = one.time.map(|(first, _)| first);
        return is_same.then_some((Nanos(0), since));
    }
    let ((start, end), (from, to)) = (one.time?, other.time?);
    let (start, end) = (start.max(from), end.min(to));
    (start <= end).then(|| (end.since(start), Some(start)))
}

/// What differs between the records of a pair, or of one that has none.
pub fn differ(base: Option<&Traced>, head: Option<&Traced>) -> Vec<Differs> {
    let mut differing = Vec::new();
    let (base, head) = match (base, head) {
        (Some(base), Some(head)) => (base, head),
        (Some(base), None) => {
            let removed =
                |record: &Compared| Differs::Removed(Arc::clone(&base.subject), record.clone());
            return base.records.iter().map(removed).collect();
        }
        (None, Some(head)) => {
            let added =
                |record: &Compared| Differs::Added(Arc::clone(&head.subject), record.clone());
            return head.records.iter().map(added).collect();
        }
        (None, None) => return differing,
    };
    let mut old: BTreeMap<(Kind, &str), &Compared> = BTreeMap::new();
    for record in &base.records {
        old.insert((record.kind, &record.name), record);
    }
    for new in &head.records {
        match old.remove(&(new.kind, new.name.as_str())) {
            None => differing.push(Differs::Added(Arc::clone(&head.subject), new.clone())),
            Some(was) if was == new => {}
            Some(was) => differing.push(Differs::Changed {
                base: Arc::clone(&base.subject),
                head: Arc::clone(&head.subject),
                kind: new.kind,
                fields: fields(was, new),
                name: new.name.clone(),
            }),
        }
    }
    let left = old.into_values();
    differing
        .extend(left.map(|record| Differs::Removed(Arc::clone(&base.subject), record.clone())));
    differing
}

/// The fields in which two records differ, with what they were and are.
fn fields(was: &Compared, is: &Compared) -> Vec<(String, Value, Value)> {
    let (was, is) = (was.text(), is.text());
    let (was, is) = (entries::read(&was), entries::read(&is));
    let keys: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let differing = keys.into_iter().filter_map(|key| {
        let [old, new] = [&was, &is].map(|fields| fields.get(key).map(|value| value.get()));
        let value = |text: Option<&str>| {
            let value = text.and_then(|text| serde_json::from_str(text).ok());
            value.unwrap_or_default()
        };
        (old != new).then(|| (key.clone(), value(old), value(new)))
    });
    differing.collect()
}
