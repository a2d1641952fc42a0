//! What came of asking a model for slots.

use crate::pipeline::{Fills, SlotFills};
use crate::visible::visible;

/// How many slots were filled, and what became of the others: `11 of 15; 1 refused, 3 failed`.
#[must_use]
pub fn filled(fills: &Fills) -> String {
    let total = fills.total();
    let mut text = format!("{} of {}", total.filled, total.asked);
    let others = others(&total);
    if !others.is_empty() {
        text.push_str(&format!("; {}", others.join(", ")));
    }
    text
}

/// The same for each slot, with the reason why it was not filled the first time that it was not.
#[must_use]
pub fn filled_by_slot(fills: &Fills) -> Vec<String> {
    let line = |(slot, fills): (&str, &SlotFills)| {
        let floored = (fills.floored > 0).then(|| format!("{} floored", fills.floored));
        let parts = [format!("{} of {}", fills.filled, fills.asked)];
        let first = fills.first.as_ref();
        let parts = parts
            .into_iter()
            .chain(floored)
            .chain(others(fills))
            .chain(first.map(|why| format!("first: {}", visible(why))));
        let parts: Vec<String> = parts.collect();
        format!("{:<8} {}", visible(slot), parts.join(", "))
    };
    fills.iter().map(line).collect()
}

/// What became of those that were not filled, where there are any.
fn others(fills: &SlotFills) -> Vec<String> {
    let others = [
        (fills.refused, "refused"),
        (fills.failed, "failed"),
        (fills.over_budget, "over the budget"),
        (fills.not_recorded, "not recorded"),
    ];
    let some = others.into_iter().filter(|(count, _)| *count > 0);
    some.map(|(count, what)| format!("{count} {what}"))
        .collect()
}
