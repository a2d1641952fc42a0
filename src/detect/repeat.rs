//! `repeat_until`: so many events of one rule, and then one of another.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::detect::Rules;
use crate::detect::bounds::{Bounds, decode_count};
use crate::detect::compile::Scope;
use crate::detect::correlation::{Account, Asked, Condition, Reached, Written};
use crate::detect::groups::Window;
use crate::detect::seen::Member;
use crate::detect::state::{Restoring, Saving};
use crate::diag::{Problems, noun};
use crate::event::Nanos;

/// Bounds that the number of events before the last must keep.
#[derive(Clone, Debug)]
struct RepeatUntil {
    bounds: Bounds,
    repeated: String,
    last: String,
    timespan: Nanos,
}

/// Reads `condition: {gte: 5}`; which rule is repeated is said by the order of `rules`.
pub(super) fn decode_repeat_until(
    written: &mut Written<'_>,
    problems: &mut Problems,
) -> Option<Arc<dyn Asked>> {
    let node = written.needed(problems);
    let bounds = node.and_then(|node| decode_count(node, problems));
    let help = "write `rules: [a, b]`: events of `a`, and then one of `b`";
    let (repeated, last) = written.first_and_others("repeat_until", help, problems)?;
    written.refuse_twice(problems)?;
    Some(Arc::new(RepeatUntil {
        bounds: bounds?,
        repeated,
        last,
        timespan: written.timespan,
    }))
}

impl Asked for RepeatUntil {
    fn compile(&self, _: &mut Scope<'_>) -> Arc<dyn Condition> {
        Arc::new(self.clone())
    }
}

/// The rule that is repeated is the first.
const REPEATED: Rules = 1;

/// Whether an event of these rules ends a row. One that could stand in it too ends it.
fn is_last(rules: Rules) -> bool {
    rules & !REPEATED != 0
}

impl Condition for RepeatUntil {
    fn opens(&self, rules: Rules) -> bool {
        !is_last(rules)
    }

    fn account(self: Arc<Self>) -> Option<Box<dyn Account>> {
        Some(Box::new(Row {
            asked: self,
            repeated: 0,
            is_over: false,
        }))
    }

    fn so_far(&self, reached: &Reached, _: &Window) -> String {
        let (count, repeated, last) = (reached.number, &self.repeated, &self.last);
        let (within, bounds) = (self.timespan, &self.bounds);
        let events = noun(count, "event");
        format!(
            "{count} {events} of {repeated} within {within}, where {bounds} and then {last} is asked"
        )
    }

    fn reason(&self, count: f64, _: Option<&(Member, Member)>) -> String {
        let (repeated, last, within) = (&self.repeated, &self.last, self.timespan);
        let (bounds, events) = (&self.bounds, noun(count, "event"));
        format!(
            "{count} {events} of {repeated} before {last} within {within}, where {bounds} is asked"
        )
    }
}

/// The row of events that goes on until the last.
struct Row {
    asked: Arc<RepeatUntil>,
    repeated: u64,
    is_over: bool,
}

impl Account for Row {
    fn enter(&mut self, _: &Member, rules: Rules) {
        self.is_over = is_last(rules);
        self.repeated += u64::from(!self.is_over);
    }

    /// Of what leaves, only the last event of a row was not repeated, and then all leave.
    fn leave(&mut self, _: &Member) {
        self.repeated = self.repeated.saturating_sub(1);
    }

    fn hit(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "no window holds 2^53 events")]
        let repeated = self.repeated as f64;
        let holds = self.is_over && self.repeated > 0 && self.asked.bounds.hold(repeated);
        holds.then_some(repeated)
    }

    fn reached(&self) -> Reached {
        #[expect(clippy::cast_precision_loss, reason = "no window holds 2^53 events")]
        let repeated = Reached::within(self.repeated as f64, &self.asked.bounds);
        Reached {
            // Then the last one is missing.
            lacks: repeated.lacks + if self.is_over { 0.0 } else { 1.0 },
            ..repeated
        }
    }

    fn save(&self, saving: &mut Saving<'_>) {
        saving.number(self.repeated);
        saving.flag(self.is_over);
    }

    fn restore(&mut self, saved: &mut Restoring<'_>, members: &VecDeque<Member>) -> Option<()> {
        self.repeated = saved.count()?;
        self.is_over = saved.flag()?;
        (self.repeated <= members.len() as u64).then_some(())
    }

    fn is_over(&self) -> bool {
        self.is_over
    }
}
