//! Why an event satisfies a detection, or does not: its condition as a tree in which each clause
//! has its place, what was found there, and whether it holds.
//!
//! It reads an event on its own, one rule after the other, and leaves nothing out; that it comes
//! to what the [engine](crate::detect::engine) comes to is held by a property.

mod steps;
mod taken;
#[cfg(test)]
mod tests;
mod told;

pub use self::steps::{Step, Walked};
pub use self::told::{Clause, Kind, Line, Verdict, What};

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::detect::script::Scripted;
use crate::detect::{Detector, Logic, Rule};
use crate::diag::Span;
use crate::event::Event;
use crate::json::Wanted;

use self::taken::Taken;

/// Detections taken apart, to be asked of events one by one.
#[derive(Debug)]
pub struct Explainer {
    wanted: Wanted,
    rules: BTreeMap<Uuid, Explained>,
}

/// A detection taken apart.
#[derive(Debug)]
struct Explained {
    taken: Taken,
    /// Its last predicate, how that is called and where.
    script: Option<(Scripted, String, Span)>,
}

impl Explainer {
    /// Takes the detections among rules apart; fields are found where `like` finds them.
    #[must_use]
    pub fn new<'r>(rules: impl Iterator<Item = &'r Rule>, like: &Detector) -> Self {
        let mut wanted = Wanted::default();
        let mut taken = BTreeMap::new();
        for rule in rules {
            let Logic::Detection(detection) = &rule.logic else {
                continue;
            };
            let explained = Explained {
                taken: Taken::new(detection, &mut wanted),
                script: script_of(rule, &mut wanted),
            };
            taken.insert(rule.id, explained);
        }
        like.inside.apply(&mut wanted);
        Self {
            wanted,
            rules: taken,
        }
    }

    /// The fields that are read from each event.
    #[must_use]
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// The tree of a rule over an event whose fields are the [`Self::wanted`] ones; `None` of a
    /// rule that is no detection, or does not run.
    #[must_use]
    pub fn tree(&self, rule: Uuid, event: &Event<'_>) -> Option<Clause> {
        let explained = self.rules.get(&rule)?;
        let own = explained.taken.told(&event.fields);
        let script = explained.script.as_ref();
        let script = script.map(|script| told::script(script, event, own.iter().all(Clause::does)));
        let mut tree = told::all(
            own.into_iter().chain(script).collect(),
            explained.taken.place,
        );
        tree.mark();
        Some(tree)
    }
}

/// The last predicate of a rule, if it has one.
fn script_of(rule: &Rule, wanted: &mut Wanted) -> Option<(Scripted, String, Span)> {
    let (name, span) = rule.settings.script.matches.as_ref()?.written();
    let mut script = Scripted::new(rule, None)?;
    script.want(wanted);
    Some((script, name, span))
}
