//! Which findings of two policies are each other's, and what differs between their records.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use serde_json::Value;
use uuid::Uuid;

use crate::detect::Detector;
use crate::event::{Digest, Nanos, Time};
use crate::lab::diff::effect::certainty::{
    Certain, Certainty, Way, Weighed, possible, weigh, weigh_open,
};
use crate::lab::diff::effect::possible::Possible;
use crate::lab::diff::effect::traced::{Compared, Kind, Subject, Traced};
use crate::policy::Policy;

/// So many findings of a side may wait for their pair.
const WAITING: usize = 20_000;

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

    fn add(&mut self, base: Option<Uuid>, head: Option<Uuid>) {
        let number = self.base.len() + self.head.len();
        self.base.extend(base.map(|id| (id, number)));
        self.head.extend(head.map(|id| (id, number)));
    }
}

/// What differs between the sides.
#[derive(Clone, Debug, PartialEq)]
pub enum Differs {
    /// It is in the head alone.
    Added(Subject, Compared),
    /// It is in the base alone.
    Removed(Subject, Compared),
    /// It says something else: each field with what it was and is.
    Changed {
        /// What it was about.
        base: Box<Subject>,
        /// What it is about.
        head: Box<Subject>,
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

/// Everything that differs between two sides.
#[derive(Debug, Default)]
pub struct Differences {
    /// In the order of the findings.
    pub list: Vec<Difference>,
    /// How many findings were too many to be paired.
    pub not_paired: u64,
    /// How many records differ at least and at most.
    pub weighed: Weighed,
}

/// Follows a finding again that was followed before its pair was known.
pub type FollowAgain<'f> = &'f mut dyn FnMut(&Traced, Option<&Traced>) -> Option<Rc<Traced>>;

/// Takes the findings of two sides and pairs them.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Whether it is told what a model could make of the findings.
    with_bounds: bool,
    weighed: Weighed,
    rules: Rules,
    base: HashMap<Uuid, Rc<Traced>>,
    head: HashMap<Uuid, Rc<Traced>>,
    paired: Vec<(Pair, Option<Certain>)>,
    /// How many could not wait for their pair.
    not_paired: u64,
}

impl Comparison {
    /// Of two policies; `with_bounds` where it is told what a model could make of the findings.
    #[must_use]
    pub fn new(base: &Policy, head: &Policy, with_bounds: bool) -> Self {
        Self {
            with_bounds,
            rules: Rules::new(base, head),
            ..Self::default()
        }
    }

    /// Takes a finding that both sides have, and that leads to different things: to these, or to
    /// what else may come of it where that is told.
    pub fn both(
        &mut self,
        base: Rc<Traced>,
        head: Rc<Traced>,
        possible: Option<(Possible, Possible)>,
    ) {
        if self.paired.len() >= WAITING {
            self.not_paired += 1;
            return;
        }
        let certain = possible.map(|(base, head)| weigh(&base, &head, &mut self.weighed));
        self.paired.push(((Some(base), Some(head)), certain));
    }

    /// Takes a finding of which it is known whether the sides have it, and that no other is the pair of.
    pub fn known(&mut self, pair: Pair) {
        if self.paired.len() >= WAITING {
            self.not_paired += 1;
            return;
        }
        self.paired.push((pair, None));
    }

    /// Takes a finding that leads to the same on both sides with what is known of fills.
    pub fn open(&mut self, base: &Possible, head: &Possible) {
        weigh_open(base, head, &mut self.weighed);
    }

    /// Takes a finding of the base. One that the head has likewise is its pair.
    pub fn base(&mut self, traced: Rc<Traced>) {
        let Self { base, head, .. } = self;
        self.not_paired += wait(base, head, traced, self.with_bounds);
    }

    /// Takes a finding of the head.
    pub fn head(&mut self, traced: Rc<Traced>) {
        let Self { base, head, .. } = self;
        self.not_paired += wait(head, base, traced, self.with_bounds);
    }

    /// What differs.
    #[must_use]
    pub fn finish(self, again: FollowAgain<'_>) -> Differences {
        let mut not_paired = self.not_paired;
        let mut all: Vec<(Pair, Option<Certain>)> = self.paired;
        let mut groups: BTreeMap<(usize, Vec<String>), Beside> = BTreeMap::new();
        for traced in self.base.into_values() {
            let rule = self.rules.base.get(&traced.rule).copied();
            let key = (rule.unwrap_or(usize::MAX), traced.group.clone());
            groups.entry(key).or_default().0.push(traced);
        }
        for traced in self.head.into_values() {
            let rule = self.rules.head.get(&traced.rule).copied();
            let key = (rule.unwrap_or(usize::MAX), traced.group.clone());
            groups.entry(key).or_default().1.push(traced);
        }
        for (mut base, mut head) in groups.into_values() {
            base.sort_by_key(|traced| order(traced));
            head.sort_by_key(|traced| order(traced));
            let (pairs, left) = pair(base, head);
            all.extend(pairs.into_iter().map(|pair| (pair, None)));
            not_paired += left;
        }
        all.sort_by_cached_key(|((base, head), _)| {
            let one = head.as_ref().or(base.as_ref());
            one.map(|one| (one.subject.at, one.rule, one.group.clone(), one.anchor))
        });
        let mut weighed = self.weighed;
        let mut list = Vec::new();
        for ((base, head), certain) in all {
            let followed = head.as_ref().and_then(|head| again(head, base.as_deref()));
            let (base, head) = (base, followed.or(head));
            let mut differing = Vec::new();
            differ(base.as_deref(), head.as_deref(), &mut differing);
            let weigh_now = || {
                let [base, head] = [&base, &head].map(|it| possible(it.as_deref()));
                weigh(&base, &head, &mut weighed)
            };
            let certain = certain.or_else(|| self.with_bounds.then(weigh_now));
            list.extend(differing.into_iter().map(|what| {
                let is_certain = certain.as_ref().is_none_or(|all| all.contains(&what.key()));
                let certainty = if is_certain {
                    Certainty::Certain
                } else {
                    Certainty::DependsOnModel
                };
                Difference { what, certainty }
            }));
        }
        Differences {
            list,
            not_paired,
            weighed,
        }
    }
}

impl Differs {
    /// What tells it from the others of a finding.
    fn key(&self) -> (Way, Kind, String) {
        match self {
            Self::Added(_, record) => (Way::Added, record.kind, record.name.clone()),
            Self::Removed(_, record) => (Way::Removed, record.kind, record.name.clone()),
            Self::Changed { kind, name, .. } => (Way::Changed, *kind, name.clone()),
        }
    }
}

/// Lets a finding wait for its pair, unless the other side has the same one. Counts what cannot wait.
fn wait(
    own: &mut HashMap<Uuid, Rc<Traced>>,
    other: &mut HashMap<Uuid, Rc<Traced>>,
    traced: Rc<Traced>,
    with_bounds: bool,
) -> u64 {
    let same = other.get(&traced.id);
    if same.is_some_and(|same| same.is_same(&traced, with_bounds)) {
        other.remove(&traced.id);
        return 0;
    }
    if own.len() >= WAITING {
        return 1;
    }
    own.insert(traced.id, traced);
    0
}

fn order(traced: &Traced) -> (Option<(Time, Time)>, Digest, Uuid) {
    (traced.time, traced.anchor, traced.id)
}

/// The findings of one group, of the base and of the head.
type Beside = (Vec<Rc<Traced>>, Vec<Rc<Traced>>);

/// A finding of the base and one of the head, or one that has no pair.
pub type Pair = (Option<Rc<Traced>>, Option<Rc<Traced>>);

/// Pairs the findings of one group: by the largest overlap, then the earliest, each used once. And
/// how many were not looked at, since they overlap with too many others.
fn pair(base: Vec<Rc<Traced>>, head: Vec<Rc<Traced>>) -> (Vec<Pair>, u64) {
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

/// Appends what differs between the records of a pair, or of one that has none.
fn differ(base: Option<&Traced>, head: Option<&Traced>, differing: &mut Vec<Differs>) {
    let (base, head) = match (base, head) {
        (Some(base), Some(head)) => (base, head),
        (Some(base), None) => {
            let removed =
                |record: &Compared| Differs::Removed(base.subject.clone(), record.clone());
            return differing.extend(base.records.iter().map(removed));
        }
        (None, Some(head)) => {
            let added = |record: &Compared| Differs::Added(head.subject.clone(), record.clone());
            return differing.extend(head.records.iter().map(added));
        }
        (None, None) => return,
    };
    let mut old: BTreeMap<(Kind, &str), &Compared> = BTreeMap::new();
    for record in &base.records {
        old.insert((record.kind, &record.name), record);
    }
    for new in &head.records {
        match old.remove(&(new.kind, new.name.as_str())) {
            None => differing.push(Differs::Added(head.subject.clone(), new.clone())),
            Some(was) if was == new => {}
            Some(was) => differing.push(Differs::Changed {
                base: Box::new(base.subject.clone()),
                head: Box::new(head.subject.clone()),
                kind: new.kind,
                fields: fields(was, new),
                name: new.name.clone(),
            }),
        }
    }
    let left = old.into_values();
    differing.extend(left.map(|record| Differs::Removed(base.subject.clone(), record.clone())));
}

/// The fields in which two records differ, with what they were and are.
fn fields(was: &Compared, is: &Compared) -> Vec<(String, Value, Value)> {
    let (was, is) = (was.fields(), is.fields());
    let keys: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let differing = keys.into_iter().filter_map(|key| {
        let (old, new) = (was.get(key).cloned(), is.get(key).cloned());
        (old != new).then(|| {
            (
                key.clone(),
                old.unwrap_or_default(),
                new.unwrap_or_default(),
            )
        })
    });
    differing.collect()
}
