//! Which edit makes which difference: the base with some of the edits, beside the head.
//!
//! Edits are tried one by one, then those of a rule or a table together, then those of a file.
//! What none of these makes is made by edits of several files together.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use uuid::Uuid;

use crate::event::{Digest, FieldPath};
use crate::lab::diff::Side;
use crate::lab::diff::effect::edits::{Taken, with_edits};
use crate::lab::diff::effect::pairing::Differs;
use crate::lab::diff::effect::told::{Cause, How};
use crate::lab::diff::effect::traced::{Kind, Subject};
use crate::policy::{Policy, PolicyFile};

/// So many policies between the base and the head are tried.
const TRIED: usize = 24;

/// A policy between the base and the head.
pub struct Variant {
    /// The policy.
    pub policy: Policy,
    /// Its files.
    pub files: Vec<PolicyFile>,
}

/// The policies between the base and the head, and what will be known from them.
pub struct Variants {
    /// The policies that run.
    pub list: Vec<Variant>,
    /// What each tells.
    pub causes: Causes,
}

/// What makes which difference.
#[derive(Clone, Debug, Default)]
pub struct Causes {
    /// How many edits there are.
    edits: usize,
    /// The edits of each variant, in the order of the list: the smallest sets first.
    tried: Vec<Vec<usize>>,
    /// Whether each edit was tried by itself.
    is_attributed: bool,
}

/// Of findings that are compared together: which variants make each difference.
#[derive(Debug, Default)]
pub struct Makers {
    of: HashMap<Digest, Vec<usize>>,
}

impl Makers {
    /// Notes what differs between the base and a variant. Variants are told one after the other.
    pub fn note(&mut self, variant: usize, differs: &Differs) {
        for mark in marks(differs) {
            let makers = self.of.entry(mark).or_default();
            if makers.last() != Some(&variant) {
                makers.push(variant);
            }
        }
    }
}

/// Policies between the base and the head, as many as are worth trying.
#[must_use]
pub fn variants(base: &Side, head: &Side, taken: &[Taken], supplied: &[FieldPath]) -> Variants {
    let mut causes = Causes {
        edits: taken.len(),
        is_attributed: true,
        ..Causes::default()
    };
    let mut list = Vec::new();
    for edits in worth_trying(taken, &mut causes.is_attributed) {
        let some: Vec<&Taken> = edits.iter().filter_map(|at| taken.get(*at)).collect();
        let loaded = with_edits(base, head, &some);
        if let Some((policy, files)) = loaded.and_then(|it| Some((it.policy?, it.files))) {
            let mut variant = Variant { policy, files };
            variant.policy.detector.note_supplied(supplied);
            list.push(variant);
            causes.tried.push(edits);
        }
    }
    Variants { list, causes }
}

/// Sets of edits, the smallest first: each by itself, those of a part, those of a file. Levels
/// that would be too many are left out.
fn worth_trying(taken: &[Taken], is_attributed: &mut bool) -> Vec<Vec<usize>> {
    let by = |key: &dyn Fn(usize, &Taken) -> String| {
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, one) in taken.iter().enumerate() {
            groups.entry(key(at, one)).or_default().push(at);
        }
        groups.into_values().collect::<Vec<_>>()
    };
    let levels = [
        by(&|at, _| format!("{at:09}")),
        by(&|_, one| format!("{}\n{}", one.edit.file, one.edit.part)),
        by(&|_, one| one.edit.file.clone()),
    ];
    let mut sets: Vec<Vec<usize>> = Vec::new();
    // From the coarsest, which are the fewest.
    for level in levels.into_iter().rev() {
        let new = level.into_iter().filter(|set| set.len() < taken.len());
        let new: Vec<Vec<usize>> = new.filter(|set| !sets.contains(set)).collect();
        if sets.len() + new.len() > TRIED {
            *is_attributed = false;
            break;
        }
        sets.extend(new);
    }
    sets.sort_by_key(|set| (set.len(), set.first().copied()));
    sets
}

impl Causes {
    /// Whether nothing was edited.
    #[must_use]
    pub fn is_without_edits(&self) -> bool {
        self.edits == 0
    }

    /// Whether each edit was tried.
    #[must_use]
    pub fn is_attributed(&self) -> bool {
        self.is_attributed
    }

    /// What makes a difference; `is_attributed` where all that may make it was compared.
    #[must_use]
    pub fn of(&self, differs: &Differs, makers: &Makers, is_attributed: bool) -> Cause {
        if self.edits == 1 {
            return Cause {
                how: How::Alone,
                edits: vec![0],
            };
        }
        let mut cause = Cause {
            how: How::Alone,
            edits: Vec::new(),
        };
        for mark in marks(differs) {
            let made = self.smallest(makers.of.get(&mark), is_attributed);
            if made.how != How::Alone {
                return made;
            }
            cause.edits.extend(made.edits);
        }
        cause.edits.sort_unstable();
        cause.edits.dedup();
        cause
    }

    /// The smallest sets of edits that make a difference.
    fn smallest(&self, makers: Option<&Vec<usize>>, is_attributed: bool) -> Cause {
        let made_by = makers.into_iter().flatten();
        let sets: Vec<&Vec<usize>> = made_by.filter_map(|at| self.tried.get(*at)).collect();
        let smallest = sets.iter().map(|set| set.len()).min();
        let mut alone = sets
            .iter()
            .filter(|set| set.len() == 1)
            .flat_map(|set| set.iter());
        match smallest {
            Some(1) => Cause {
                how: How::Alone,
                edits: alone.by_ref().copied().collect(),
            },
            Some(_) => Cause {
                how: How::Together,
                edits: sets.first().map(|set| (*set).clone()).unwrap_or_default(),
            },
            None if is_attributed => Cause {
                how: How::Together,
                edits: (0..self.edits).collect(),
            },
            None => Cause::default(),
        }
    }
}

/// What a difference is told by: a record that is added or removed, or what a field becomes.
fn marks(differs: &Differs) -> Vec<Digest> {
    let mark = |way: &str, subject: &Subject, kind: Kind, name: &str, field: &[&Value]| {
        let finding = subject.finding.unwrap_or(Uuid::nil());
        let mark = serde_json::json!([way, subject.record, finding, kind, name, field]);
        Digest::of(mark.to_string().as_bytes())
    };
    match differs {
        Differs::Added(subject, record) => {
            vec![mark("added", subject, record.kind, &record.name, &[])]
        }
        Differs::Removed(subject, record) => {
            vec![mark("removed", subject, record.kind, &record.name, &[])]
        }
        Differs::Changed {
            base,
            kind,
            name,
            fields,
            ..
        } => {
            let of_field = |(field, _, becomes): &(String, Value, Value)| {
                mark(field, base, *kind, name, &[becomes])
            };
            fields.iter().map(of_field).collect()
        }
    }
}
