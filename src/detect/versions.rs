//! How two versions of a detection relate: which events only one of them matches.
//!
//! Both become formulas over the same atoms, each a test of a field; equal tests are one atom,
//! and values that stand in the same lines are one. What a value cannot do, pass one test and
//! not another that follows from it, is known of each pair. A search over the atoms then either
//! finds nothing that only one of the two accepts, which proves it, or a mix of atoms for which
//! an event is made up and shown to whoever can tell whether the rules match it. Where a mix is
//! left for which no event was found, nothing is claimed.

mod atoms;
mod candidates;
mod search;
mod sense;

pub use self::sense::{Remark, remarks};

use serde::Serialize;
use serde_json::Value;

use self::atoms::Atoms;
use self::search::{Outcome, Search};
use crate::detect::search::Detection;
use crate::detect::{Logic, Rule};
use crate::event::Digest;

/// How what the head matches relates to what the base matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// The same events.
    Equivalent,
    /// Some of the base's events, and no others.
    Narrower,
    /// All of the base's events, and others.
    Broader,
    /// Each matches events that the other does not.
    Incomparable,
    /// Nobody knows.
    Undecided,
}

impl Relation {
    /// How the base relates to the head.
    #[must_use]
    pub fn swapped(self) -> Self {
        match self {
            Self::Narrower => Self::Broader,
            Self::Broader => Self::Narrower,
            same => same,
        }
    }

    /// What a person reads.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equivalent => "equivalent",
            Self::Narrower => "narrower",
            Self::Broader => "broader",
            Self::Incomparable => "incomparable",
            Self::Undecided => "undecided",
        }
    }
}

/// What is known of two versions of a detection.
#[derive(Clone, Debug, PartialEq)]
pub struct Versions {
    /// How they relate.
    pub relation: Relation,
    /// An event that only the base matches.
    pub only_base: Option<Value>,
    /// An event that only the head matches.
    pub only_head: Option<Value>,
    /// Why nothing is claimed, where that is so.
    pub why: Option<String>,
}

impl Versions {
    fn undecided(why: &str) -> Self {
        Self {
            relation: Relation::Undecided,
            only_base: None,
            only_head: None,
            why: Some(why.to_owned()),
        }
    }
}

/// Compares two versions of a detection. `matching` tells of an event whether the base matches
/// it, and whether the head does: no event is given that it was not asked about.
pub fn compare_versions(
    base: &Rule,
    head: &Rule,
    matching: &mut dyn FnMut(&Value) -> (bool, bool),
) -> Versions {
    let scripted = |rule: &Rule| rule.settings.script.matches.is_some();
    if scripted(base) || scripted(head) {
        return Versions::undecided("a script has the last word on what the rule matches");
    }
    if base.inside != head.inside {
        return Versions::undecided("fields inside texts are read in another way");
    }
    let detection = |rule: &Rule| match &rule.logic {
        Logic::Detection(detection) => Ok(Some(detection.clone())),
        Logic::Inactive => Ok(None),
        Logic::Correlation(_) => Err(()),
    };
    let (Ok(base), Ok(head)) = (detection(base), detection(head)) else {
        return Versions::undecided("a detection and a correlation are not compared");
    };
    compare_detections(base.as_ref(), head.as_ref(), matching)
}

/// The same of detections alone; `None` never matches.
pub(super) fn compare_detections(
    base: Option<&Detection>,
    head: Option<&Detection>,
    matching: &mut dyn FnMut(&Value) -> (bool, bool),
) -> Versions {
    // Of two events that would do, the same one is told whichever of the two is the base.
    if mark(base) <= mark(head) {
        return compare_in_order(base, head, matching);
    }
    let versions = compare_in_order(head, base, &mut |event| {
        let (of_base, of_head) = matching(event);
        (of_head, of_base)
    });
    Versions {
        relation: versions.relation.swapped(),
        only_base: versions.only_head,
        only_head: versions.only_base,
        why: versions.why,
    }
}

/// What tells a detection and its filters from others.
fn mark(detection: Option<&Detection>) -> Vec<Digest> {
    let Some(detection) = detection else {
        return Vec::new();
    };
    let (_, _, filters) = detection.parts();
    let filters = filters.iter().map(|(_, filter)| filter.written());
    std::iter::once(detection.written())
        .chain(filters)
        .collect()
}

fn compare_in_order(
    base: Option<&Detection>,
    head: Option<&Detection>,
    matching: &mut dyn FnMut(&Value) -> (bool, bool),
) -> Versions {
    let Some((atoms, base, head)) = Atoms::of(base, head) else {
        return Versions::undecided(
            "the rules ask for too many different things to try all of them",
        );
    };
    let mut of_base = |event: &Value| matching(event) == (true, false);
    let only_base = Search::run(&atoms, &base, &head, &mut of_base);
    let mut of_head = |event: &Value| matching(event) == (false, true);
    let only_head = Search::run(&atoms, &head, &base, &mut of_head);
    let why = [&only_base, &only_head].into_iter().find_map(Outcome::why);
    let relation = match (&only_base, &only_head) {
        _ if why.is_some() => Relation::Undecided,
        (Outcome::Nothing, Outcome::Nothing) => Relation::Equivalent,
        (_, Outcome::Nothing) => Relation::Narrower,
        (Outcome::Nothing, _) => Relation::Broader,
        _ => Relation::Incomparable,
    };
    Versions {
        relation,
        only_base: only_base.event(),
        only_head: only_head.event(),
        why,
    }
}

#[cfg(test)]
mod tests;
