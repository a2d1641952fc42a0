//! The records that differ, each in one shape, however it does.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::lab::diff::Effect;
use crate::lab::diff::effect::{Cause, Certainty, Changed, Delta, Field, Kind, One, Subject};

/// A record that differs.
pub(super) struct Record<'e> {
    /// `-`, `+` or `~`.
    pub(super) sign: &'static str,
    /// The step, the command or the agent; empty for others.
    pub(super) name: &'e str,
    /// What it is about, as the head has it where that has it.
    pub(super) subject: &'e Subject,
    /// The fields that differ, where both have it.
    pub(super) fields: &'e [Field],
    /// What makes the difference.
    pub(super) cause: &'e Cause,
    /// Whether it is one whatever a model says.
    pub(super) certainty: Certainty,
}

impl<'e> Record<'e> {
    fn one(sign: &'static str, one: &'e One) -> Self {
        Self {
            sign,
            name: &one.name,
            subject: &one.subject,
            fields: &[],
            cause: &one.cause,
            certainty: one.certainty,
        }
    }

    fn both(changed: &'e Changed) -> Self {
        Self {
            sign: "~",
            name: &changed.name,
            subject: &changed.head,
            fields: &changed.fields,
            cause: &changed.cause,
            certainty: changed.certainty,
        }
    }
}

/// Those of one kind.
pub(super) struct Listed<'e> {
    pub(super) kind: Kind,
    pub(super) records: Vec<Record<'e>>,
    /// How many more differ than the effect lists.
    pub(super) left_out: u64,
}

/// The records of every kind that differ, without those that came or went with what they hang on.
pub(super) fn listed(effect: &Effect) -> Vec<Listed<'_>> {
    let mut implied: BTreeSet<Uuid> = BTreeSet::new();
    let mut all = Vec::new();
    for (kind, delta) in effect.deltas() {
        let hangs = |record: &Record<'_>| {
            let finding = record.subject.finding;
            finding.is_some_and(|finding| implied.contains(&finding))
        };
        let mut records = of(delta);
        records.retain(|record| !hangs(record));
        if !records.is_empty() || delta.left_out > 0 {
            all.push(Listed {
                kind,
                records,
                left_out: delta.left_out,
            });
        }
        // Of steps and commands, one may come where others stay.
        if matches!(kind, Kind::Finding | Kind::Incident | Kind::Plan) {
            let ones = delta.removed.iter().chain(&delta.added);
            implied.extend(ones.filter_map(|one| one.subject.finding));
        }
    }
    all
}

fn of(delta: &Delta) -> Vec<Record<'_>> {
    let removed = delta.removed.iter().map(|one| Record::one("-", one));
    let added = delta.added.iter().map(|one| Record::one("+", one));
    let changed = delta.changed.iter().map(Record::both);
    removed.chain(added).chain(changed).collect()
}
