//! Scripts that gave no answer: how often, and the first time why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::{Digest, Time};
use crate::script::Failure;

/// The failures of scripts by the rule that they are of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Failures(BTreeMap<Uuid, Failed>);

/// How often the scripts of one rule failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// What the rule is called.
    pub rule: String,
    /// How often.
    pub failures: u64,
    /// Why, and where in the script, at the earliest event.
    pub first: String,
    /// The earliest event, whichever thread met it.
    #[serde(skip)]
    event: Option<(Option<Time>, Digest)>,
}

impl Failures {
    /// Counts a failure at an event.
    pub(super) fn add(
        &mut self,
        (rule, called): (Uuid, &str),
        event: (Option<Time>, Digest),
        why: &Failure,
    ) {
        self.merge_one(
            rule,
            Failed {
                rule: called.to_owned(),
                failures: 1,
                first: why.to_string(),
                event: Some(event),
            },
        );
    }

    /// Adds those that others counted.
    pub fn merge(&mut self, other: Self) {
        for (rule, failed) in other.0 {
            self.merge_one(rule, failed);
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each rule with a failure, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (Uuid, &Failed)> {
        self.0.iter().map(|(rule, failed)| (*rule, failed))
    }

    fn merge_one(&mut self, rule: Uuid, failed: Failed) {
        match self.0.entry(rule) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(failed);
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                let failures = known.failures + failed.failures;
                if (failed.event, &failed.first) < (known.event, &known.first) {
                    *known = failed;
                }
                known.failures = failures;
            }
        }
    }
}
