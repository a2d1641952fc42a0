//! Events on their way to the groups of a consumer: in whose words, and to which groups.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::detect::capture::{CaptureId, MAX_VALUES};
use crate::detect::correlation::Condition;
use crate::detect::finding::Why;
use crate::detect::groups::Key;
use crate::detect::seen::{Member, Seen};
use crate::detect::windows::ledger::Ledger;
use crate::detect::{Consumer, Outer, Rules};
use crate::event::{Time, fold};

/// What each consumer is to see of one event.
pub(super) type Feeds = BTreeMap<usize, Vec<Sighting>>;

/// An event on its way to the groups of a consumer.
pub(super) struct Sighting {
    pub(super) time: Option<Time>,
    pub(super) member: Member,
    /// Which rules of the correlation it satisfies.
    pub(super) rules: Rules,
    pub(super) why: Why,
}

impl Sighting {
    pub(super) fn new(time: Option<Time>, seen: Seen, rules: Rules, why: Why) -> Self {
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
pub(super) struct Passed {
    pub(super) member: Member,
    pub(super) key: Key,
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
    pub(super) fn tell(&self, seen: &Seen) -> Seen {
        if self.renamed.is_empty() && self.said.is_empty() {
            return seen.clone();
        }
        seen.with(&seen.values().renamed(&self.renamed, &self.said))
    }
}

/// The hits of a correlation go to those that name it.
pub(super) fn pass_on(consumer: &Consumer, hits: &[Passed], feeds: &mut Feeds) {
    for outer in &consumer.outer {
        let passed = hits.iter().map(|hit| outer.sighting(consumer, hit));
        feeds.entry(outer.consumer).or_default().extend(passed);
    }
}

/// The groups that an event belongs to, and the event as each sees it: what
/// satisfies two rules of a correlation is one event satisfying both.
pub(super) fn memberships(
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

/// An event belongs to at most so many groups of a rule: a record with long arrays must not multiply.
const MAX_GROUPS: usize = MAX_VALUES;

/// The groups an event belongs to: one an element where a field is an array,
/// all mixes where several are; none when a field has no value. And whether
/// there were more than are followed.
pub(super) fn groups_of(consumer: &Consumer, member: &Member) -> (Vec<Key>, bool) {
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
pub(in crate::detect) fn display<'k>(
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
