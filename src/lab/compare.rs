//! Expected records against received ones: each expected one needs its own.

use std::collections::VecDeque;

use serde_json::{Map, Value};

use crate::lab::suite::{Expectation, Wanted};

/// One way in which a case did not come out as expected.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mismatch {
    /// Another number of records.
    Count {
        /// The kind of record.
        kind: &'static str,
        /// How many were expected.
        expected: u64,
        /// What came out.
        received: Vec<Value>,
    },
    /// An expected record that is not there, beside the received one that is nearest to it.
    Missing {
        /// The kind of record.
        kind: &'static str,
        /// What was expected.
        expected: Value,
        /// The same fields of the nearest record that nothing else expected.
        nearest: Option<Value>,
    },
    /// A record that nothing expected.
    Unexpected {
        /// The kind of record.
        kind: &'static str,
        /// What came out.
        received: Value,
    },
    /// The case could not be run.
    Broken(String),
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count {
                kind,
                expected,
                received,
            } => write!(f, "expected {expected} {kind}, received {}", received.len()),
            Self::Missing {
                kind,
                nearest: None,
                ..
            } => write!(
                f,
                "expected one of the {kind} to be this, and there is none left"
            ),
            Self::Missing {
                kind,
                nearest: Some(_),
                ..
            } => write!(
                f,
                "expected one of the {kind} to be this (-), and the nearest is (+)"
            ),
            Self::Unexpected { kind, .. } => {
                write!(f, "received one of the {kind} that nothing expected")
            }
            Self::Broken(reason) => write!(f, "the case could not be run: {reason}"),
        }
    }
}

/// What is wrong with the received records of one kind.
#[must_use]
pub fn compare(expectation: &Expectation, received: &[Value]) -> Vec<Mismatch> {
    let kind = expectation.kind;
    match &expectation.wanted {
        Wanted::Count(expected) if *expected == received.len() as u64 => Vec::new(),
        Wanted::Count(expected) => vec![Mismatch::Count {
            kind,
            expected: *expected,
            received: received.to_vec(),
        }],
        Wanted::Records(expected) => compare_records(kind, expected, received),
        Wanted::OrRefused(expected) => {
            compare_records(kind, std::slice::from_ref(expected), received)
        }
        Wanted::OfRule(names, count) => {
            let is_named = |rule: &Value| names.iter().any(|name| rule == name);
            let of_rule = received.iter();
            let of_rule = of_rule.filter(|record| record.get("rule").is_some_and(is_named));
            let found: Vec<Value> = of_rule.cloned().collect();
            let expected = count.unwrap_or_else(|| (found.len() as u64).max(1));
            if expected == found.len() as u64 {
                return Vec::new();
            }
            vec![Mismatch::Count {
                kind,
                expected,
                received: found,
            }]
        }
    }
}

fn compare_records(kind: &'static str, expected: &[Value], received: &[Value]) -> Vec<Mismatch> {
    let Some(owner) = assign(expected, received) else {
        let (expected, received) = (expected.len(), received.len());
        return vec![Mismatch::Broken(format!(
            "{expected} expected {kind} cannot be held against {received}: expect a number, or fewer events"
        ))];
    };
    let mut left: Vec<&Value> = received
        .iter()
        .zip(&owner)
        .filter(|(_, owner)| owner.is_none())
        .map(|(record, _)| record)
        .collect();
    let mut mismatches = Vec::new();
    for (_, wanted) in expected
        .iter()
        .enumerate()
        .filter(|(at, _)| !owner.contains(&Some(*at)))
    {
        let nearest = left
            .iter()
            .enumerate()
            .max_by_key(|(at, record)| (agreement(wanted, record), usize::MAX - at));
        let nearest = nearest.map(|(at, _)| at).map(|at| left.remove(at));
        mismatches.push(Mismatch::Missing {
            kind,
            expected: wanted.clone(),
            nearest: nearest.map(|record| project(record, wanted)),
        });
    }
    mismatches.extend(left.into_iter().map(|record| Mismatch::Unexpected {
        kind,
        received: record.clone(),
    }));
    mismatches
}

/// So often an expected record is held against a received one.
const COMPARED: u32 = 10_000_000;

/// Gives as many expected records as can be a received one of their own
/// (maximum bipartite matching by augmenting paths): which expected one owns each received.
/// Nothing where there are too many for that.
fn assign(expected: &[Value], received: &[Value]) -> Option<Vec<Option<usize>>> {
    let mut claiming = Claiming {
        expected,
        received,
        owner: vec![None; received.len()],
        left: COMPARED,
    };
    for at in 0..expected.len() {
        let free = claiming.free(at)?;
        match free {
            Some(free) => claiming.give(free, at),
            None => claiming.make_room(at)?,
        }
    }
    Some(claiming.owner)
}

/// Received records on their way to be owned.
struct Claiming<'r> {
    expected: &'r [Value],
    received: &'r [Value],
    owner: Vec<Option<usize>>,
    /// So often they may still be held against each other.
    left: u32,
}

impl Claiming<'_> {
    /// Whether a received record is what is expected; nothing once that was asked too often.
    fn fits(&mut self, at: usize, candidate: usize) -> Option<bool> {
        self.left = self.left.checked_sub(1)?;
        let both = self.expected.get(at).zip(self.received.get(candidate));
        Some(both.is_some_and(|(wanted, record)| holds(record, wanted)))
    }

    fn owner_of(&self, candidate: usize) -> Option<usize> {
        self.owner.get(candidate).copied().flatten()
    }

    fn give(&mut self, candidate: usize, to: usize) {
        if let Some(owner) = self.owner.get_mut(candidate) {
            *owner = Some(to);
        }
    }

    /// The first record that fits and that nobody owns.
    fn free(&mut self, at: usize) -> Option<Option<usize>> {
        for candidate in 0..self.received.len() {
            if self.owner_of(candidate).is_none() && self.fits(at, candidate)? {
                return Some(Some(candidate));
            }
        }
        Some(None)
    }

    /// Gives a record to an expected one by giving others another one, where that goes.
    fn make_room(&mut self, at: usize) -> Option<()> {
        // Who would take each record, the nearest first.
        let mut takers: Vec<Option<usize>> = vec![None; self.received.len()];
        let mut waiting = VecDeque::from([at]);
        while let Some(taker) = waiting.pop_front() {
            for candidate in 0..self.received.len() {
                let is_new = takers.get(candidate) == Some(&None);
                if !is_new
                    || self.owner_of(candidate) == Some(taker)
                    || !self.fits(taker, candidate)?
                {
                    continue;
                }
                if let Some(slot) = takers.get_mut(candidate) {
                    *slot = Some(taker);
                }
                match self.owner_of(candidate) {
                    Some(owner) => waiting.push_back(owner),
                    None => {
                        self.hand_over(candidate, &takers);
                        return Some(());
                    }
                }
            }
        }
        Some(())
    }

    /// Gives a record that nobody owns to its taker, what that had to the taker of that, and so on.
    fn hand_over(&mut self, free: usize, takers: &[Option<usize>]) {
        let mut next = Some(free);
        while let Some(candidate) = next {
            let Some(taker) = takers.get(candidate).copied().flatten() else {
                return;
            };
            next = self.owner.iter().position(|owner| *owner == Some(taker));
            self.give(candidate, taker);
        }
    }
}

/// Whether a record is what is wanted; a field of it that is not there is null.
fn holds(record: &Value, wanted: &Value) -> bool {
    match (record, wanted) {
        (Value::Object(record), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| contains(record.get(key).unwrap_or(&Value::Null), wanted)),
        _ => contains(record, wanted),
    }
}

/// Whether a record has everything that is wanted: mappings may have more keys, all else is equal.
fn contains(record: &Value, wanted: &Value) -> bool {
    match (record, wanted) {
        (Value::Object(record), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| record.get(key).is_some_and(|found| contains(found, wanted))),
        (Value::Number(record), Value::Number(wanted)) => record.as_f64() == wanted.as_f64(),
        _ => record == wanted,
    }
}

fn agreement(wanted: &Value, record: &Value) -> usize {
    let Value::Object(fields) = wanted else {
        return 0;
    };
    fields
        .iter()
        .filter(|(key, value)| record.get(key).is_some_and(|found| contains(found, value)))
        .count()
}

/// The fields of a record that are wanted, and only those.
fn project(record: &Value, wanted: &Value) -> Value {
    match (record, wanted) {
        (Value::Object(record), Value::Object(wanted)) => {
            let pairs = wanted
                .iter()
                .filter_map(|(key, wanted)| Some((key.clone(), project(record.get(key)?, wanted))));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
        _ => record.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn long_chains_and_many_alike_are_no_trouble() {
        let many: usize = 3_000;
        // Each fits two, and the last one leaves room only where all others move on.
        let received: Vec<Value> = (0..many)
            .map(|at| json!({"a": at / 2, "b": at.div_ceil(2)}))
            .collect();
        let of = |at: usize| match at % 2 {
            0 => json!({"a": at / 2}),
            _ => json!({"b": at.div_ceil(2)}),
        };
        let mut expected: Vec<Value> = (0..many - 1).map(of).collect();
        expected.push(json!({"a": 0}));
        let owner = assign(&expected, &received).expect("not too many");
        assert_eq!(owner.iter().flatten().count(), many);
        let alike = vec![json!({"a": 1}); 12_000];
        let owner = assign(&alike, &alike).expect("not too many");
        assert!(owner.iter().all(Option::is_some));
        let never = vec![json!({"a": 2}); 12_000];
        assert_eq!(assign(&never, &alike), None);
    }

    #[test]
    fn each_expected_record_needs_its_own() {
        let received = [json!({"a": 1, "b": 1}), json!({"a": 1, "b": 2})];
        let cases = [
            (json!([{"a": 1}, {"b": 1}]), 0),
            (json!([{"b": 1}, {"a": 1}]), 0),
            (json!([{"a": 1}, {"a": 1}, {"a": 1}]), 1),
            (json!([{"a": 1}]), 1),
            (json!([]), 2),
            (json!([{"b": 1}, {"b": 1}]), 1),
            (json!([{"a": 1.0, "b": 2}, {"a": 1, "c": null}]), 0),
        ];
        for (expected, mismatches) in cases {
            let Value::Array(records) = expected.clone() else {
                unreachable!("a list")
            };
            let expectation = Expectation {
                kind: "findings",
                wanted: Wanted::Records(records),
            };
            assert_eq!(
                compare(&expectation, &received).len(),
                mismatches,
                "{expected}"
            );
        }
    }
}
