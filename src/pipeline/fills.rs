//! How often slots were asked for in a run, and what came of it, in numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::pipeline::{Beginning, Filled, Outcome};
use crate::risk::Risk;
use crate::slots::{Fate, Provenance};

/// How often each slot was asked for, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fills(BTreeMap<String, SlotFills>);

/// How often one slot was asked for: each time it was filled, refused, failed or over the budget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotFills {
    /// How often.
    pub asked: u64,
    /// A reply was accepted.
    pub filled: u64,
    /// Of those, severity or score were under the bound, which took their place.
    pub floored: u64,
    /// No reply was accepted, and the slot took its default.
    pub refused: u64,
    /// There was no reply, since the model's endpoint failed, and the slot took its default.
    pub failed: u64,
    /// The budget of the run was spent, and the slot took its default.
    pub over_budget: u64,
    /// The recording that was asked had no reply, and the slot took its default.
    #[serde(skip_serializing_if = "is_none", default)]
    pub not_recorded: u64,
    /// Why it was not filled the first time that it was not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first: Option<String>,
}

impl Fills {
    /// Counts what was asked for the route of a run.
    pub fn begin(&mut self, beginning: &Beginning) {
        beginning.asked.iter().for_each(|filled| self.note(filled));
    }

    /// Counts what was asked on the way of a finding.
    pub fn outcome(&mut self, outcome: &Outcome) {
        for filled in &outcome.asked {
            self.note(filled);
            let is_floored = filled.slot == "risk" && is_floored(&outcome.risk);
            if is_floored && filled.asked.fate() == Fate::Filled {
                self.of(&filled.slot).floored += 1;
            }
        }
    }

    fn note(&mut self, filled: &Filled) {
        let fills = self.of(&filled.slot);
        fills.asked += 1;
        match filled.asked.fate() {
            Fate::Filled => fills.filled += 1,
            Fate::Refused => fills.refused += 1,
            Fate::Failed => fills.failed += 1,
            Fate::OverBudget => fills.over_budget += 1,
            Fate::NotRecorded => fills.not_recorded += 1,
        }
        if fills.first.is_none() {
            fills.first.clone_from(&filled.asked.refused);
        }
    }

    fn of(&mut self, slot: &str) -> &mut SlotFills {
        self.0.entry(slot.to_owned()).or_default()
    }

    /// Each slot that was asked for, by its name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SlotFills)> {
        self.0.iter().map(|(slot, fills)| (slot.as_str(), fills))
    }

    /// Whether nobody was asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All slots together.
    #[must_use]
    pub fn total(&self) -> SlotFills {
        let mut total = SlotFills::default();
        for fills in self.0.values() {
            total.asked += fills.asked;
            total.filled += fills.filled;
            total.floored += fills.floored;
            total.refused += fills.refused;
            total.failed += fills.failed;
            total.over_budget += fills.over_budget;
            total.not_recorded += fills.not_recorded;
        }
        total
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

fn is_floored(risk: &Risk) -> bool {
    risk.provenance
        .values()
        .any(|provenance| *provenance == Provenance::Floored)
}
