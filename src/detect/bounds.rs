//! `gte: 5`, `gt: 1.5`: bounds that a number must keep, all of them.

use crate::detect::correlation::codes;
use crate::diag::Problems;
use crate::document::{Node, Table, codes as shape};

/// Bounds that a number must keep, all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds(Vec<(Bound, f64)>);

/// What kind of number is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// So many events, values or rules: whole, and at least one.
    Count,
    /// Any number.
    Number,
}

/// Numbers further from zero than this do not count: a sum of many stays finite.
pub const FARTHEST: f64 = 1e290;

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

/// The names of the bounds.
pub fn bound_names() -> impl Iterator<Item = &'static str> {
    BOUNDS.into_iter().map(|(name, _)| name)
}

impl Bounds {
    /// Whether a number keeps all of them.
    #[must_use]
    #[expect(clippy::float_cmp, reason = "`eq` asks for the very number")]
    pub fn hold(&self, number: f64) -> bool {
        self.0.iter().all(|(bound, limit)| match bound {
            Bound::Greater => number > *limit,
            Bound::GreaterOrEqual => number >= *limit,
            Bound::Less => number < *limit,
            Bound::LessOrEqual => number <= *limit,
            Bound::Equal => number == *limit,
            Bound::NotEqual => number != *limit,
        })
    }
}

impl Bounds {
    /// How much a number lacks to keep all of them; nothing where it does.
    #[must_use]
    pub fn lack(&self, number: f64) -> f64 {
        let lack = |(bound, limit): &(Bound, f64)| {
            let held = Self(vec![(*bound, *limit)]).hold(number);
            // A bound that is not met at the limit itself is met right beyond it.
            let away = (limit - number).abs();
            if held {
                0.0
            } else {
                away.max(f64::MIN_POSITIVE)
            }
        };
        self.0.iter().map(lack).sum()
    }
}

impl std::fmt::Display for Bounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = |bound: &Bound| {
            BOUNDS
                .iter()
                .find(|(_, b)| b == bound)
                .map_or("", |(name, _)| name)
        };
        let texts: Vec<_> = self
            .0
            .iter()
            .map(|(bound, limit)| format!("{} {limit}", name(bound)))
            .collect();
        f.write_str(&texts.join(" and "))
    }
}

/// Takes the bounds out of a condition. `others` are the keys that the type has besides them.
pub fn decode_bounds(
    node: &Node,
    table: &mut Table<'_>,
    kind: Kind,
    others: &[&str],
    problems: &mut Problems,
) -> Option<Bounds> {
    let mut bounds = Vec::new();
    let mut written = false;
    for (name, bound) in BOUNDS {
        let Some(limit) = table.get(name) else {
            continue;
        };
        written = true;
        let limit = match kind {
            #[expect(clippy::cast_precision_loss, reason = "no window holds 2^53 events")]
            Kind::Count => limit.count(problems).map(|count| count as f64),
            Kind::Number => limit.number(-FARTHEST, FARTHEST, problems),
        };
        bounds.extend(limit.map(|limit| (bound, limit)));
    }
    // A key that nobody knows is reported as such, and may have been meant for a bound.
    let known = |key: &str| others.contains(&key);
    if !written && table.entries().iter().all(|(key, _)| known(&key.text)) {
        let message = if table.entries().is_empty() {
            "the condition is empty"
        } else {
            "the condition has no bound"
        };
        problems
            .error(shape::MISSING_KEY, node.span, message)
            .help("write a bound such as `gte: 5`");
    }
    let bounds = Bounds(bounds);
    if !bounds.0.is_empty() && !bounds.can_hold(kind) {
        let message = match kind {
            Kind::Count => "no number of events satisfies this condition",
            Kind::Number => "no number satisfies this condition",
        };
        problems.error(codes::CONDITION, node.span, message);
        return None;
    }
    (!bounds.0.is_empty()).then_some(bounds)
}

/// Reads `{gte: 5}`: bounds on a number of events or rules, and nothing else.
pub fn decode_count(node: &Node, problems: &mut Problems) -> Option<Bounds> {
    let mut table = node.table(problems)?;
    let bounds = decode_bounds(node, &mut table, Kind::Count, &[], problems);
    table.finish(problems);
    bounds
}

impl Bounds {
    /// Whether some number holds: one at or next to a limit does, if any does.
    fn can_hold(&self, kind: Kind) -> bool {
        let near = self.0.iter().flat_map(|(_, limit)| match kind {
            Kind::Count => [limit - 1.0, *limit, limit + 1.0],
            Kind::Number => [limit.next_down(), *limit, limit.next_up()],
        });
        near.filter(|number| kind == Kind::Number || *number >= 1.0)
            .any(|number| self.hold(number))
    }
}
