//! Scripts that gave no answer: how often, and the first time why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::{Digest, Time};
use crate::script::Failure;

/// The failures of scripts by the rule and the function that they are of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Failed>", into = "Vec<Failed>")]
pub struct Failures(BTreeMap<(Uuid, String), Failed>);

/// How often one function failed for one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The id of the rule.
    pub rule_id: Uuid,
    /// What the rule is called.
    pub rule: String,
    /// The function that the rule names, `FILE#FUNCTION`.
    pub function: String,
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
        self.merge_one(Failed {
            rule_id: rule,
            rule: called.to_owned(),
            function: why.function(),
            failures: 1,
            first: why.to_string(),
            event: Some(event),
        });
    }

    /// Adds those that others counted.
    pub fn merge(&mut self, other: Self) {
        for failed in other.0.into_values() {
            self.merge_one(failed);
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each function with a failure, in the order of the ids of the rules.
    pub fn iter(&self) -> impl Iterator<Item = &Failed> {
        self.0.values()
    }

    fn merge_one(&mut self, failed: Failed) {
        match self.0.entry((failed.rule_id, failed.function.clone())) {
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

impl From<Vec<Failed>> for Failures {
    fn from(failed: Vec<Failed>) -> Self {
        let mut failures = Self::default();
        failed
            .into_iter()
            .for_each(|failed| failures.merge_one(failed));
        failures
    }
}

impl From<Failures> for Vec<Failed> {
    fn from(failures: Failures) -> Self {
        failures.0.into_values().collect()
    }
}
