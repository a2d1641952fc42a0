//! `event_count`: so many events of a group in a window.

use std::collections::VecDeque;

use crate::detect::correlation::codes;
use crate::detect::windows::Member;
use crate::diag::Problems;
use crate::document::{Node, codes as shape};
use crate::event::Nanos;

/// Bounds that the number of events must keep, all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountCondition {
    bounds: Vec<(Bound, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
}

const BOUNDS: [(&str, Bound); 6] = [
    ("gt", Bound::Greater),
    ("gte", Bound::GreaterOrEqual),
    ("lt", Bound::Less),
    ("lte", Bound::LessOrEqual),
    ("eq", Bound::Equal),
    ("neq", Bound::NotEqual),
];

impl CountCondition {
    /// Whether so many events satisfy it.
    #[must_use]
    pub fn holds(&self, count: u64) -> bool {
        self.bounds.iter().all(|(bound, limit)| match bound {
            Bound::Greater => count > *limit,
            Bound::GreaterOrEqual => count >= *limit,
            Bound::Less => count < *limit,
            Bound::LessOrEqual => count <= *limit,
            Bound::Equal => count == *limit,
            Bound::NotEqual => count != *limit,
        })
    }

    /// Why the window is a hit, if it is one.
    #[must_use]
    pub(super) fn hit(&self, window: &VecDeque<Member>, timespan: Nanos) -> Option<String> {
        let count = window.len() as u64;
        self.holds(count)
            .then(|| format!("{count} events within {timespan}, where {self} is asked"))
    }
}

impl std::fmt::Display for CountCondition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = |bound: &Bound| {
            BOUNDS
                .iter()
                .find(|(_, b)| b == bound)
                .map_or("", |(name, _)| name)
        };
        let texts: Vec<_> = self
            .bounds
            .iter()
            .map(|(bound, limit)| format!("{} {limit}", name(bound)))
            .collect();
        f.write_str(&texts.join(" and "))
    }
}

/// Reads `condition: {gte: 5}`.
pub fn decode_count_condition(node: &Node, problems: &mut Problems) -> Option<CountCondition> {
    let mut table = node.table(problems)?;
    let mut bounds = Vec::new();
    for (name, bound) in BOUNDS {
        if let Some(limit) = table.get(name).and_then(|node| node.count(problems)) {
            bounds.push((bound, limit));
        }
    }
    let empty = table.entries().is_empty();
    table.finish(problems);
    if empty {
        problems
            .error(shape::MISSING_KEY, node.span, "the condition is empty")
            .help("write a bound such as `gte: 5`");
    }
    if contradicts(&bounds) {
        problems.error(
            codes::CONDITION,
            node.span,
            "no number of events satisfies this condition",
        );
        return None;
    }
    (!bounds.is_empty()).then_some(CountCondition { bounds })
}

/// Whether no count up to one past every limit holds: enough to decide all.
fn contradicts(bounds: &[(Bound, u64)]) -> bool {
    let condition = CountCondition {
        bounds: bounds.to_vec(),
    };
    let near = bounds
        .iter()
        .flat_map(|(_, limit)| [limit.saturating_sub(1), *limit, limit.saturating_add(1)]);
    !bounds.is_empty()
        && !near
            .filter(|count| *count > 0)
            .any(|count| condition.holds(count))
}
