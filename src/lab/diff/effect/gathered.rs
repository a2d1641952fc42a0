//! What differs, as far as it was compared: counted wherever it belongs, and listed where there is room.

use std::collections::BTreeMap;
use std::rc::Rc;

use uuid::Uuid;

use crate::detect::Severity;
use crate::event::{Digest, Time};
use crate::lab::diff::effect::certainty::Way;
use crate::lab::diff::effect::edits::Edit;
use crate::lab::diff::effect::pairing::{Difference, Differs, Pair};
use crate::lab::diff::effect::told::{
    Cause, Changed, Clause, Differing, Effect, Field, Gone, LOST, Lost, One, Signed, TOLD,
};
use crate::lab::diff::effect::traced::{KINDS, Kind, Subject};

/// What tells the order of findings: last hit, rule, group, anchor, and the id, of the head where
/// that has it.
type Of = (Option<Time>, Uuid, Vec<String>, Digest, Uuid);

/// Where a difference stands among others: its finding, and its place in that.
pub type Place = (Rc<Of>, usize);

/// What tells the order of a pair.
#[must_use]
pub fn order_of((base, head): &Pair) -> Option<Rc<Of>> {
    let one = head.as_ref().or(base.as_ref())?;
    let group = one.group.clone();
    Some(Rc::new((
        one.subject.at,
        one.rule,
        group,
        one.anchor,
        one.id,
    )))
}

/// The first of what was taken, in order, whatever the order in which it was taken.
#[derive(Debug)]
struct First<T, const MOST: usize> {
    list: BTreeMap<Place, T>,
    left_out: u64,
}

impl<T, const MOST: usize> First<T, MOST> {
    /// Takes one, if it is among the first.
    fn take(&mut self, place: Place, one: impl FnOnce() -> T) {
        if self.list.len() >= MOST {
            self.left_out += 1;
            let last = self.list.last_key_value();
            if last.is_some_and(|(last, _)| *last < place) {
                return;
            }
            self.list.pop_last();
        }
        self.list.insert(place, one());
    }

    fn list(self) -> Vec<T> {
        self.list.into_values().collect()
    }
}

/// The records of a kind that differ.
#[derive(Debug, Default)]
struct Lists {
    counts: Signed,
    added: First<One, TOLD>,
    removed: First<One, TOLD>,
    changed: First<Changed, TOLD>,
}

impl<T, const MOST: usize> Default for First<T, MOST> {
    fn default() -> Self {
        Self {
            list: BTreeMap::new(),
            left_out: 0,
        }
    }
}

/// How many are gone, and the first clause that takes some.
#[derive(Debug, Default)]
struct Missed {
    count: u64,
    clause: Option<(Place, Clause)>,
}

/// Everything that differs, as far as it was compared.
#[derive(Debug, Default)]
pub struct Gathered {
    edits: Vec<Edit>,
    lists: BTreeMap<Kind, Lists>,
    by_rule: BTreeMap<Uuid, Differing>,
    by_actor: BTreeMap<String, Differing>,
    by_day: BTreeMap<String, Differing>,
    by_technique: BTreeMap<String, Differing>,
    lost: First<Lost, LOST>,
    added: BTreeMap<(Uuid, String), u64>,
    gone: BTreeMap<(Kind, Uuid, Severity), Missed>,
}

impl Gathered {
    /// Nothing differs so far.
    #[must_use]
    pub fn new(edits: Vec<Edit>) -> Self {
        Self {
            edits,
            ..Self::default()
        }
    }

    /// How many edits there are.
    #[must_use]
    pub fn edits(&self) -> usize {
        self.edits.len()
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// Counts a difference wherever it belongs, and lists it.
    pub fn note(&mut self, place: Place, difference: Difference, cause: Cause) {
        let certainty = difference.certainty;
        match difference.what {
            Differs::Added(subject, record) => {
                self.count(record.kind, Way::Added, &subject);
                if let (Kind::Finding, Some(rule)) = (record.kind, subject.rule_id) {
                    let day = (rule, day_of(subject.at));
                    *self.added.entry(day).or_default() += 1;
                }
                let lists = self.lists.entry(record.kind).or_default();
                lists.added.take(place, || One {
                    name: record.name,
                    subject,
                    cause,
                    certainty,
                });
            }
            Differs::Removed(subject, record) => {
                self.count(record.kind, Way::Removed, &subject);
                let one = One {
                    name: record.name,
                    subject,
                    cause,
                    certainty,
                };
                self.miss(&place, record.kind, &one);
                self.lose(&place, record.kind, &one);
                let lists = self.lists.entry(record.kind).or_default();
                lists.removed.take(place, || one);
            }
            Differs::Changed {
                base,
                head,
                kind,
                name,
                fields,
            } => {
                self.count(kind, Way::Changed, &head);
                let lists = self.lists.entry(kind).or_default();
                lists.changed.take(place, || {
                    let fields = fields.into_iter();
                    let fields = fields.map(|(field, base, head)| Field { field, base, head });
                    Changed {
                        name,
                        base,
                        head,
                        fields: fields.collect(),
                        cause,
                        certainty,
                    }
                });
            }
        }
    }

    fn count(&mut self, kind: Kind, way: Way, subject: &Subject) {
        self.lists.entry(kind).or_default().counts.add(way);
        let Some(rule) = subject.rule_id else {
            return;
        };
        self.by_rule.entry(rule).or_default().add(kind, way);
        let unknown = || "unknown".to_owned();
        let actor = subject.actor.clone().unwrap_or_else(unknown);
        self.by_actor.entry(actor).or_default().add(kind, way);
        let day = day_of(subject.at);
        self.by_day.entry(day).or_default().add(kind, way);
        for technique in &subject.techniques {
            let of_technique = self.by_technique.entry(technique.clone()).or_default();
            of_technique.add(kind, way);
        }
    }

    /// Counts a finding or an incident that is gone.
    fn miss(&mut self, place: &Place, kind: Kind, one: &One) {
        let subject = &one.subject;
        let (Kind::Finding | Kind::Incident, Some(rule), Some(severity)) =
            (kind, subject.rule_id, subject.severity)
        else {
            return;
        };
        let mut edits = one.cause.edits.iter().filter_map(|at| self.edits.get(*at));
        let missed = self.gone.entry((kind, rule, severity)).or_default();
        missed.count += 1;
        let known = missed.clause.as_ref();
        if known.is_none_or(|(first, _)| place < first)
            && let Some(edit) = edits.next()
        {
            missed.clause = Some((place.clone(), Clause::of(edit)));
        }
    }

    /// Lists a record that is gone, where it was grave.
    fn lose(&mut self, place: &Place, kind: Kind, one: &One) {
        let is_listed = matches!(
            kind,
            Kind::Finding | Kind::Incident | Kind::Step | Kind::Command
        );
        let severity = one.subject.severity;
        let severity = severity.filter(|severity| is_listed && *severity >= Severity::High);
        let Some(severity) = severity else {
            return;
        };
        let edits = one.cause.edits.iter().filter_map(|at| self.edits.get(*at));
        self.lost.take(place.clone(), || Lost {
            kind,
            severity,
            one: one.clone(),
            clauses: edits.map(Clause::of).collect(),
        });
    }

    /// Puts all of it into what is told. What differs by rule is given back.
    pub fn into_effect(self, effect: &mut Effect) -> BTreeMap<Uuid, Differing> {
        effect.edits = self.edits;
        let mut of_kinds = self.lists;
        for kind in KINDS {
            let lists = of_kinds.remove(&kind).unwrap_or_default();
            let delta = effect.delta(kind);
            let Signed {
                added,
                removed,
                changed,
            } = lists.counts;
            (delta.counts.added, delta.counts.removed) = (added, removed);
            delta.counts.changed = changed;
            delta.left_out = lists.added.left_out + lists.removed.left_out + lists.changed.left_out;
            delta.added = lists.added.list();
            delta.removed = lists.removed.list();
            delta.changed = lists.changed.list();
        }
        effect.by_actor = self.by_actor;
        effect.by_day = self.by_day;
        effect.by_technique = self.by_technique;
        effect.lost_left_out = self.lost.left_out;
        effect.lost = self.lost.list();
        effect.tally.added = self.added;
        let gone = self.gone.into_iter().map(|(of, missed)| {
            let clause = missed.clause.map(|(_, clause)| clause);
            let count = missed.count;
            (of, Gone { count, clause })
        });
        effect.tally.gone = gone.collect();
        self.by_rule
    }
}

/// The day of a time, in UTC.
pub fn day_of(at: Option<Time>) -> String {
    at.map_or_else(|| "unknown".to_owned(), |at| at.day().to_string())
}

impl Signed {
    fn add(&mut self, way: Way) {
        match way {
            Way::Added => self.added += 1,
            Way::Removed => self.removed += 1,
            Way::Changed => self.changed += 1,
        }
    }
}

impl Differing {
    fn add(&mut self, kind: Kind, way: Way) {
        match kind {
            Kind::Finding => self.findings.add(way),
            Kind::Incident => self.incidents.add(way),
            _ => self.others.add(way),
        }
    }
}
