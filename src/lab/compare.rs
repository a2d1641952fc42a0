//! Expected records against received ones: each expected one needs its own.

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
    let owner = assign(expected, received);
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

/// Gives as many expected records as can be a received one of their own
/// (maximum bipartite matching by augmenting paths): which expected one owns each received.
fn assign(expected: &[Value], received: &[Value]) -> Vec<Option<usize>> {
    let mut owner = vec![None; received.len()];
    for at in 0..expected.len() {
        let mut tried = vec![false; received.len()];
        claim(at, expected, received, &mut owner, &mut tried);
    }
    owner
}

fn claim(
    at: usize,
    expected: &[Value],
    received: &[Value],
    owner: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for (candidate, record) in received.iter().enumerate() {
        let Some(wanted) = expected.get(at) else {
            return false;
        };
        if tried.get(candidate) != Some(&false) || !contains(record, wanted) {
            continue;
        }
        if let Some(mark) = tried.get_mut(candidate) {
            *mark = true;
        }
        let free = match owner.get(candidate).copied().flatten() {
            None => true,
            Some(other) => claim(other, expected, received, owner, tried),
        };
        if free && let Some(slot) = owner.get_mut(candidate) {
            *slot = Some(at);
            return true;
        }
    }
    false
}

/// Whether a record has everything that is wanted: mappings may have more keys, all else is equal.
fn contains(record: &Value, wanted: &Value) -> bool {
    match (record, wanted) {
        (Value::Object(record), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| contains(record.get(key).unwrap_or(&Value::Null), wanted)),
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
