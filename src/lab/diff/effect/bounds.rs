//! What of the records of a finding holds with every fill that a policy permits, and what with
//! some.
//!
//! A slot that is asked on both sides with the same prompt gets the same reply on both, since that
//! would be carried. So what follows from a reply is known by a mark of all that it follows from:
//! equal marks say that two records agree whatever the reply is.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::event::Digest;
use crate::lab::diff::effect::entries::{self, Fields};
use crate::lab::diff::effect::traced::{Compared, Kind, Traced};

/// With which fills something is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// With none that is permitted.
    #[default]
    Never,
    /// With some.
    Sometimes,
    /// With every one.
    Always,
}

impl Presence {
    /// Of what is always there, and of what may be.
    #[must_use]
    pub fn of(always: bool, ever: bool) -> Self {
        match (always, ever) {
            (true, _) => Self::Always,
            (false, true) => Self::Sometimes,
            (false, false) => Self::Never,
        }
    }
}

/// How many records of a kind there are: with what is known, and with whatever is permitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// With what is known of fills, and defaults for the rest.
    pub figure: u64,
    /// At least so many.
    pub least: u64,
    /// At most so many.
    pub most: u64,
}

impl Span {
    /// So many, whatever a model says.
    #[must_use]
    pub fn exactly(figure: u64) -> Self {
        Self {
            figure,
            least: figure,
            most: figure,
        }
    }
}

/// The records of a finding, by kind.
pub type Spans = BTreeMap<Kind, Span>;

/// What of a record holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bound {
    /// With which fills it is there.
    pub presence: Presence,
    /// The same where the finding is promoted.
    within: Presence,
    /// What the promotion follows from, where that is open.
    gate: Mark,
    /// How often it is there at most: two agents may suggest one command.
    pub times: u64,
    /// What its presence follows from beside the promotion.
    is_there: Mark,
    /// What its fields follow from.
    pub says: Mark,
    /// The fields that are settled, as JSON: many of these wait for their pair.
    settled: Option<Rc<str>>,
    /// What others may be; one that is in neither may be anything.
    pub ranges: Vec<(&'static str, Within)>,
    /// Whether no fill changes it.
    is_exact: bool,
}

/// What a value may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Within {
    /// One of these.
    These(Vec<Value>),
    /// A number from one to the other.
    Numbers(f64, f64),
}

impl Within {
    fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::These(own), Self::These(others)) => {
                !own.iter().any(|value| others.contains(value))
            }
            (Self::Numbers(least, most), Self::These(others)) => {
                let is_in = |value: &Value| {
                    let number = value.as_f64();
                    number.is_none_or(|number| (*least..=*most).contains(&number))
                };
                !others.iter().any(is_in)
            }
            (Self::These(_), Self::Numbers(..)) => other.excludes(self),
            (Self::Numbers(least, most), Self::Numbers(from, to)) => most < from || to < least,
        }
    }
}

/// What something follows from; nothing for what is the same with every fill.
pub type Mark = Option<Digest>;

/// The mark of what something follows from.
#[must_use]
pub fn mark(of: &impl Serialize) -> Digest {
    // What is no JSON is in no policy, finding or record.
    Digest::of(&serde_json::to_vec(of).unwrap_or_default())
}

/// Whether the values of a field differ; of two objects, those of an entry that both have: what
/// else they have may be open.
fn is_other_value(one: &str, other: &str) -> bool {
    if one == other {
        return false;
    }
    let is_object = |text: &str| text.starts_with('{');
    match (is_object(one), is_object(other)) {
        (true, true) => {
            let others = entries::read(other);
            entries::read(one).iter().any(|(name, value)| {
                let other = others.get(name);
                other.is_some_and(|other| other.get() != value.get())
            })
        }
        (false, false) => true,
        _ => false,
    }
}

/// Whether two follow from the same.
fn same(one: Mark, other: Mark) -> bool {
    one.is_some() && one == other
}

/// The mark of what follows from all of these.
#[must_use]
pub fn both(one: Mark, other: Mark) -> Mark {
    match (one, other) {
        (None, mark) | (mark, None) => mark,
        (Some(one), Some(other)) => {
            Some(Digest::of(&[*one.as_bytes(), *other.as_bytes()].concat()))
        }
    }
}

/// The records that there may be of a finding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Possible {
    /// By kind and name.
    pub records: BTreeMap<(Kind, String), Bound>,
}

impl Possible {
    /// The records of a finding that no fill changes.
    #[must_use]
    pub fn exactly(traced: &Traced) -> Self {
        let mut possible = Self::default();
        for record in &traced.records {
            possible.keep(record);
        }
        possible
    }

    /// Takes a record that no fill changes.
    pub fn keep(&mut self, record: &Compared) {
        let bound = self.add(record.kind, &record.name, Presence::Always, None);
        bound.settle(record.text());
    }

    /// Takes a record, whose fields may be anything so far.
    pub fn add(
        &mut self,
        kind: Kind,
        name: &str,
        presence: Presence,
        is_there: Mark,
    ) -> &mut Bound {
        let bound = self.records.entry((kind, name.to_owned())).or_default();
        bound.within = bound.within.max(presence);
        bound.presence = bound.within;
        bound.times += 1;
        bound.is_there = is_there;
        bound
    }
}

impl Bound {
    /// No fill changes these fields.
    pub fn exactly(&mut self, fields: Fields) {
        self.settle(fields.text());
    }

    /// These fields are settled.
    pub fn settle(&mut self, fields: Rc<str>) {
        self.says = Some(Digest::of(fields.as_bytes()));
        self.settled = Some(fields);
        self.is_exact = true;
    }

    /// What it says follows from this too.
    pub fn follows_from(&mut self, mark: Mark) {
        self.says = both(self.says, mark);
        self.is_exact &= mark.is_none();
    }

    /// What a field may be that is not settled.
    fn range(&self, name: &str) -> Option<&Within> {
        let mut ranges = self.ranges.iter();
        ranges
            .find(|(ranged, _)| *ranged == name)
            .map(|(_, within)| within)
    }

    /// Whether a record says something else than this one with every fill.
    #[must_use]
    pub fn differs_always(&self, other: &Self) -> bool {
        if self.is_exact && other.is_exact {
            return self.says != other.says;
        }
        let [own, others] = [self, other].map(|bound| bound.settled.as_deref().unwrap_or("{}"));
        let (own, others) = (entries::read(own), entries::read(others));
        let is_open = |name: &str| self.range(name).or_else(|| other.range(name)).is_some();
        let is_other = |(name, own): (&String, &&RawValue)| {
            let other = others.get(name).filter(|_| !is_open(name));
            other.is_some_and(|other| is_other_value(own.get(), other.get()))
        };
        own.iter().any(is_other)
            || self.is_out_of_range(other, &others)
            || other.is_out_of_range(self, &own)
    }

    /// Whether a field that is not settled here is another there with every fill.
    fn is_out_of_range(&self, other: &Self, settled: &BTreeMap<String, &RawValue>) -> bool {
        self.ranges.iter().any(|(name, own)| {
            let settled = || {
                let value = settled.get(*name)?;
                let value = serde_json::from_str(value.get()).ok()?;
                Some(Within::These(vec![value]))
            };
            match other.range(name) {
                Some(other) => own.excludes(other),
                None => settled().is_some_and(|other| own.excludes(&other)),
            }
        })
    }

    /// Is there only where the finding is promoted.
    pub fn given(&mut self, promoted: Presence, gate: Mark) -> &mut Self {
        self.presence = self.within.min(promoted);
        self.gate = gate;
        self
    }

    /// Whether it may be there where another is not, and whether always.
    #[must_use]
    pub fn comes_without(&self, other: &Self) -> Option<bool> {
        let is_gated_alike = same(self.gate, other.gate);
        let (own, others) = if is_gated_alike {
            (self.within, other.within)
        } else {
            (self.presence, other.presence)
        };
        // Both follow from the same, or this one is there once for each of the other.
        let is_open = self.gate.is_some() || other.gate.is_some();
        let is_tied =
            own == others && (is_gated_alike || !is_open) && same(self.is_there, other.is_there);
        let may = own > Presence::Never && others < Presence::Always && !is_tied;
        // Of what is there more than once, one may be without its pair.
        let may = may || self.times.max(other.times) > 1;
        let is_certain = self.presence == Presence::Always && other.presence == Presence::Never;
        may.then_some(is_certain)
    }

    /// Whether it says the same as the other wherever both are there.
    #[must_use]
    pub fn says_as(&self, other: &Self) -> bool {
        same(self.says, other.says)
    }
}
