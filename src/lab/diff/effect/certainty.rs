//! Which differences between two findings hold with every fill that the policies permit, and
//! how many there may be.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::lab::diff::effect::bounds::{Bound, Possible, Presence};
use crate::lab::diff::effect::traced::{Kind, Traced};

/// Whether a difference holds whatever a model says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// It does, with every fill that the policies permit.
    #[default]
    Certain,
    /// With some fill there is no such difference.
    DependsOnModel,
}

/// In which way a record differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// It is in the head alone.
    Added,
    /// It is in the base alone.
    Removed,
    /// It says something else.
    Changed,
}

/// How many records there are, at least and at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Least {
    /// With whatever the policies permit.
    pub at_least: u64,
    /// With some fill that they permit.
    pub at_most: u64,
}

/// How many records of each kind differ in each way, at least and at most.
pub type Weighed = BTreeMap<(Kind, Way), Least>;

/// The records that differ in a way with every fill.
pub type Certain = BTreeSet<(Way, Kind, String)>;

/// Compares what may come of a finding of the base with what may come of one of the head; where
/// there is no such finding, with nothing. What holds of all differences is added to `weighed`.
pub fn weigh(base: &Possible, head: &Possible, weighed: &mut Weighed) -> Certain {
    let mut certain = Certain::new();
    weigh_records(base, head, |key, way, is_certain, times| {
        let (kind, name) = key;
        let least = weighed.entry((*kind, way)).or_default();
        least.at_least += u64::from(is_certain);
        least.at_most += times;
        if is_certain {
            certain.insert((way, *kind, name.clone()));
        }
    });
    certain
}

/// What may come of a finding; where there is none, nothing.
pub fn possible(traced: Option<&Traced>) -> Possible {
    let Some(traced) = traced else {
        return Possible::default();
    };
    let possible = traced.beside.possible.clone();
    possible.unwrap_or_else(|| Possible::exactly(traced))
}

/// Adds what may differ between findings of which nothing differs with what is known.
pub fn weigh_open(base: &Possible, head: &Possible, weighed: &mut Weighed) {
    weigh_records(base, head, |(kind, _), way, _, times| {
        weighed.entry((*kind, way)).or_default().at_most += times;
    });
}

/// Tells each record that may differ, with the way, whether it does so always, and how often.
fn weigh_records(
    base: &Possible,
    head: &Possible,
    mut tell: impl FnMut(&(Kind, String), Way, bool, u64),
) {
    let none = Bound::default();
    let keys: BTreeSet<&(Kind, String)> = base.records.keys().chain(head.records.keys()).collect();
    for key in keys {
        let [base, head] = [base, head].map(|side| side.records.get(key).unwrap_or(&none));
        let times = base.times.max(head.times);
        if let Some(is_certain) = head.comes_without(base) {
            tell(key, Way::Added, is_certain, times);
        }
        if let Some(is_certain) = base.comes_without(head) {
            tell(key, Way::Removed, is_certain, times);
        }
        if let Some(is_certain) = changes(base, head) {
            tell(key, Way::Changed, is_certain, times);
        }
    }
}

/// Whether both may be there and say something else, and whether always.
fn changes(base: &Bound, head: &Bound) -> Option<bool> {
    let both = base.presence.min(head.presence);
    let may = both > Presence::Never && !base.says_as(head);
    may.then(|| both == Presence::Always && base.differs_always(head))
}
