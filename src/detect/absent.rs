//! `absent`: an event that none of others follows in time.
//!
//! Its hit is where the wait ends, and not at an event. The window of a group
//! holds the events that still wait.

use std::sync::Arc;

use crate::detect::Rules;
use crate::detect::compile::Scope;
use crate::detect::correlation::{Asked, Condition, Written};
use crate::detect::seen::Member;
use crate::diag::Problems;
use crate::event::Nanos;

/// The names of the rules, in the words of a reason.
#[derive(Clone, Debug)]
struct Absent {
    first: String,
    others: String,
    timespan: Nanos,
}

/// There is no condition: the order of `rules` is all of it.
pub(super) fn decode_absent(
    written: &mut Written<'_>,
    problems: &mut Problems,
) -> Option<Arc<dyn Asked>> {
    written.refuse_condition("absent", problems)?;
    let help = "write `rules: [a, b]`: an event of `a` that none of `b` follows";
    let (first, others) = written.first_and_others("absent", help, problems)?;
    Some(Arc::new(Absent {
        first,
        others,
        timespan: written.timespan,
    }))
}

impl Asked for Absent {
    fn waits(&self) -> bool {
        true
    }

    fn compile(&self, _: &mut Scope<'_>) -> Arc<dyn Condition> {
        Arc::new(self.clone())
    }
}

impl Condition for Absent {
    fn waits(&self) -> bool {
        true
    }

    fn reason(&self, _: f64, _: Option<&(Member, Member)>) -> String {
        let (first, others, within) = (&self.first, &self.others, self.timespan);
        format!("no {others} within {within} after {first}")
    }
}

/// There is no number to an absence.
pub(super) const ABSENT: f64 = 1.0;

/// The rule whose events wait is the first.
const WAITS: Rules = 1;

/// Whether an event of these rules waits.
pub(super) fn begins(rules: Rules) -> bool {
    rules & WAITS != 0
}

/// Whether an event of these rules ends the wait of those before it.
pub(super) fn answers(rules: Rules) -> bool {
    rules & !WAITS != 0
}
