//! Findings that wait for their pair, until nothing that could be it is still to come.
//!
//! Findings can be pairs only within a rule and a group, where they overlap. So what overlaps, one
//! with the next, under whichever policy, is a chain that is paired by itself, and once it ends
//! before all that may still come of its rule and group, it is complete. What waits is then as
//! much as what overlaps with an open finding, however long the log is.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use uuid::Uuid;

use crate::detect::ToCome;
use crate::event::Time;
use crate::lab::diff::effect::certainty::Certain;
use crate::lab::diff::effect::pairing::{Pair, Rules, Whose};
use crate::lab::diff::effect::traced::Traced;
use crate::policy::Policy;

/// So many findings of a side may wait for their pair.
const WAITING: usize = 20_000;

/// A finding that waits beside others of its rule and group.
#[derive(Debug)]
enum Waits {
    /// For its pair.
    One(Whose, Rc<Traced>),
    /// For others of its chain alone: its pair is known, and what of it is certain.
    Two(Pair, Option<Certain>),
}

/// Findings of the base and of another policy.
pub type OfTwo = (Vec<Rc<Traced>>, Vec<Rc<Traced>>);

/// What is comparable of one policy with the base.
#[derive(Debug, Default)]
pub struct Compare {
    /// Findings without a pair so far, of the base and of the policy, by the rules that are each
    /// other's in these two.
    pub of_rules: BTreeMap<usize, OfTwo>,
    /// Findings that have theirs.
    pub pairs: Vec<(Pair, Option<Certain>)>,
}

/// Findings that overlap, one with the next: for each policy but the base what is compared.
pub type Together = Vec<Compare>;

/// The rules that are each other's under any of the policies, and a group.
type Place = (usize, Vec<String>);

/// The findings that wait, of all policies but the base.
#[derive(Debug, Default)]
pub struct Waiting {
    /// For each policy, which of its rules are the base's.
    pairs: Vec<Rules>,
    /// The rules that are each other's under any of them.
    classes: HashMap<Uuid, usize>,
    rules: Vec<Vec<Uuid>>,
    places: BTreeMap<Place, BTreeMap<(usize, Uuid, u64), Waits>>,
    /// How many wait of the base and of each policy, by policy.
    counts: BTreeMap<(usize, Option<Whose>), usize>,
    /// How many wait.
    len: usize,
    /// How many ever waited.
    told: u64,
    /// For each policy, how many could not wait.
    not_paired: Vec<u64>,
}

impl Waiting {
    /// Nothing waits; of a base and of the policies that are compared with it.
    #[must_use]
    pub fn new(base: &Policy, others: &[&Policy]) -> Self {
        let mut waiting = Self {
            not_paired: vec![0; others.len()],
            ..Self::default()
        };
        for other in others {
            let rules = Rules::new(base, other);
            for ids in rules.pairs().into_values() {
                waiting.join(&ids);
            }
            waiting.pairs.push(rules);
        }
        waiting
    }

    /// Makes rules each other's, with all that each was before.
    fn join(&mut self, ids: &[Uuid]) {
        let class = self.rules.len();
        let mut joined: Vec<Uuid> = Vec::new();
        for id in ids {
            match self.classes.get(id).copied() {
                Some(known) if known == class => {}
                Some(known) => {
                    let of_known = self.rules.get_mut(known).map(std::mem::take);
                    for id in of_known.into_iter().flatten() {
                        self.classes.insert(id, class);
                        joined.push(id);
                    }
                }
                None => {
                    self.classes.insert(*id, class);
                    joined.push(*id);
                }
            }
        }
        self.rules.push(joined);
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// How many findings of a policy, and of the base beside it, were too many to be paired.
    #[must_use]
    pub fn not_paired(&self, of: usize) -> u64 {
        self.not_paired.get(of).copied().unwrap_or(0)
    }

    /// Notes findings that were not paired for their number.
    pub fn leave_out(&mut self, of: usize, more: u64) {
        let left = self.not_paired.get_mut(of);
        left.into_iter().for_each(|left| *left += more);
    }

    /// Takes a finding that one of the two has. One that the other has likewise is its pair, and
    /// neither waits any more.
    pub fn take(&mut self, of: usize, whose: Whose, traced: Rc<Traced>, with_bounds: bool) {
        let place = self.place(&traced);
        let waits = self.places.entry(place.clone()).or_default();
        let same = waits.range((of, traced.id, 0)..=(of, traced.id, u64::MAX));
        let same = same.into_iter().find_map(|(key, waits)| match waits {
            Waits::One(other, same) if *other != whose => {
                same.is_same(&traced, with_bounds).then_some((*key, *other))
            }
            _ => None,
        });
        if let Some((key, other)) = same {
            waits.remove(&key);
            if waits.is_empty() {
                self.places.remove(&place);
            }
            self.count_out(of, Some(other));
            return;
        }
        let id = traced.id;
        self.wait(place, of, id, Some(whose), Waits::One(whose, traced));
    }

    /// Takes a finding of which it is known whether both have it.
    pub fn known(&mut self, of: usize, pair: Pair, certain: Option<Certain>) {
        let (base, head) = &pair;
        let Some(one) = base.as_ref().or(head.as_ref()) else {
            return;
        };
        let (place, id) = (self.place(one), one.id);
        self.wait(place, of, id, None, Waits::Two(pair, certain));
    }

    fn wait(&mut self, place: Place, of: usize, id: Uuid, whose: Option<Whose>, waits: Waits) {
        let waiting = self.counts.entry((of, whose)).or_default();
        if *waiting >= WAITING {
            return self.leave_out(of, 1);
        }
        *waiting += 1;
        self.len += 1;
        self.told += 1;
        let key = (of, id, self.told);
        self.places.entry(place).or_default().insert(key, waits);
    }

    fn count_out(&mut self, of: usize, whose: Option<Whose>) {
        let waiting = self.counts.get_mut(&(of, whose));
        waiting.into_iter().for_each(|waiting| *waiting -= 1);
        self.len -= 1;
    }

    fn place(&self, traced: &Traced) -> Place {
        let class = self.classes.get(&traced.rule).copied();
        (class.unwrap_or(usize::MAX), traced.group.clone())
    }

    /// Gives the chains that are complete beside what may still come; all where nothing may.
    pub fn complete(&mut self, come: Option<&ToCome<'_>>) -> Vec<Together> {
        let mut complete = Vec::new();
        for (place, waits) in std::mem::take(&mut self.places) {
            let (class, group) = &place;
            let rules = self.rules.get(*class).map(Vec::as_slice);
            let since = come.map(|come| come.reaches(rules.unwrap_or_default(), group));
            let mut left = BTreeMap::new();
            for chain in chains(waits) {
                if since.is_some_and(|since| !chain.ends_before(since)) {
                    left.extend(chain.waits);
                    continue;
                }
                complete.push(self.release(chain));
            }
            if !left.is_empty() {
                self.places.insert(place, left);
            }
        }
        complete
    }

    fn release(&mut self, linked: Linked) -> Together {
        let mut chain: Together = self.pairs.iter().map(|_| Compare::default()).collect();
        for ((of, ..), waits) in linked.waits {
            self.count_out(of, waits.whose());
            let (Some(compare), Some(rules)) = (chain.get_mut(of), self.pairs.get(of)) else {
                continue;
            };
            match waits {
                Waits::One(whose, traced) => {
                    let pair = rules.pair_of(whose, traced.rule).unwrap_or(usize::MAX);
                    let (base, head) = compare.of_rules.entry(pair).or_default();
                    let own = match whose {
                        Whose::Base => base,
                        Whose::Head => head,
                    };
                    own.push(traced);
                }
                Waits::Two(pair, certain) => compare.pairs.push((pair, certain)),
            }
        }
        chain
    }
}

impl Waits {
    fn whose(&self) -> Option<Whose> {
        match self {
            Self::One(whose, _) => Some(*whose),
            Self::Two(..) => None,
        }
    }

    fn time(&self) -> Option<(Time, Time)> {
        match self {
            Self::One(_, traced) => traced.time,
            Self::Two((base, head), _) => base.as_ref().or(head.as_ref())?.time,
        }
    }
}

/// Findings that overlap, one with the next.
struct Linked {
    /// When the last of them ends; nothing for those without a time.
    end: Option<Time>,
    waits: Vec<((usize, Uuid, u64), Waits)>,
}

impl Linked {
    fn ends_before(&self, since: Time) -> bool {
        self.end.is_some_and(|end| end < since)
    }
}

/// Links what overlaps. Those without a time are one chain.
fn chains(waits: BTreeMap<(usize, Uuid, u64), Waits>) -> Vec<Linked> {
    let mut waits: Vec<_> = waits.into_iter().collect();
    waits.sort_by_key(|(key, waits)| (waits.time().map(|(start, _)| start), *key));
    let mut chains: Vec<Linked> = Vec::new();
    for (key, one) in waits {
        let (start, end) = one.time().unzip();
        match chains.last_mut().filter(|last| start <= last.end) {
            Some(last) => {
                last.end = last.end.max(end);
                last.waits.push((key, one));
            }
            None => chains.push(Linked {
                end,
                waits: vec![(key, one)],
            }),
        }
    }
    chains
}
