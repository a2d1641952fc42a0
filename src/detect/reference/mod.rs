//! What a detection means, said as plainly as possible: the second engine, for tests.
//!
//! It walks the tree of an event for each line of each search, in the words of the
//! Sigma specification and of `docs/semantics.md`, remembers nothing and leaves
//! nothing out. It shares with the [engine](crate::detect::engine) how a rule is
//! read and how one text is compared with one pattern that has wildcards; how
//! fields are found, which tests run, when, and on what, it has for itself.

mod correlation;
pub(in crate::detect) mod generate;
mod judges;
mod scripts;
mod sums;
pub mod tests;
mod timeline;

use std::net::IpAddr;

use chrono::DateTime;
use serde_json::{Number, Value};

use crate::detect::modifiers::Test;
use crate::detect::pattern::Anchor;
use crate::detect::predicate::Predicate;
use crate::detect::search::{Detection, Search};
use crate::event::{FieldPath, Time, fold};
use crate::json::reference::{Accessor, exists, opened, text, values};

/// An event, which of its texts hold values, and what is known of addresses.
#[derive(Clone, Copy)]
pub struct Asked<'e> {
    pub event: &'e Value,
    pub accessors: &'e [Accessor],
    pub known: &'e [Known],
}

/// What databases know of an address: the value of a field, where the event leaves it empty.
pub type Known = (&'static str, &'static str, Value);

/// Where the address of an event stands.
pub const ADDRESS: &str = "client.ipAddress";

impl Asked<'_> {
    /// The values of a field of the event itself.
    fn own(&self, field: &FieldPath) -> Vec<Value> {
        let tree = opened(field.steps(), self.event, self.accessors);
        values(field.steps(), &tree).into_iter().cloned().collect()
    }

    /// What is known of the field where the event leaves it empty.
    fn supplied(&self, field: &FieldPath) -> Option<Value> {
        let own = self.own(field);
        if own.iter().any(|value| !value.is_null() && value != "") {
            return None;
        }
        // However it is spelled.
        let parsed = |text: &str| text.parse::<IpAddr>().ok();
        let address = match self.own(&FieldPath::new(ADDRESS)).as_slice() {
            [Value::String(text)] => parsed(text)?,
            _ => return None,
        };
        let known = self.known.iter().find(|(address_of, path, _)| {
            parsed(address_of) == Some(address) && field.as_str() == *path
        });
        known.map(|(_, _, value)| value.clone())
    }

    fn values(&self, field: &FieldPath) -> Vec<Value> {
        let supplied = self.supplied(field);
        supplied.map_or_else(|| self.own(field), |value| vec![value])
    }

    fn exists(&self, field: &FieldPath) -> bool {
        let tree = opened(field.steps(), self.event, self.accessors);
        exists(field.steps(), &tree) || self.supplied(field).is_some()
    }
}

/// Whether the event satisfies the condition of the detection, and of each filter.
pub fn matches(detection: &Detection, event: Asked<'_>) -> bool {
    let (searches, condition, filters) = detection.parts();
    let condition_holds = condition.holds(&mut |at| search_holds(&searches[at], event));
    condition_holds && filters.iter().all(|(_, filter)| matches(filter, event))
}

/// Any alternative in which every line holds.
fn search_holds(search: &Search, event: Asked<'_>) -> bool {
    search
        .alternatives
        .iter()
        .any(|lines| lines.iter().all(|line| line_holds(line, event)))
}

/// Any of the values of the line, or all of them; with `neq` when that is not so.
fn line_holds(line: &Predicate, event: Asked<'_>) -> bool {
    let holds = |test: &Test| test_holds(test, line.field.as_ref(), event);
    let result = if line.all {
        line.tests.iter().all(holds)
    } else {
        line.tests.iter().any(holds)
    };
    result != line.negated
}

fn test_holds(test: &Test, field: Option<&FieldPath>, event: Asked<'_>) -> bool {
    let found = match field {
        Some(field) => event.values(field),
        None => scalars(event.event).into_iter().cloned().collect(),
    };
    match test {
        Test::Null => found.is_empty() || found.iter().any(|value| value.is_null()),
        Test::Exists(wanted) => field.is_some_and(|field| event.exists(field) == *wanted),
        Test::SameAs(other, anchor, cased) => {
            let others = event.values(other);
            let alike =
                |one: &str, other: &str| fits(*anchor, &case(other, *cased), &case(one, *cased));
            let mut pairs = found
                .iter()
                .flat_map(|one| others.iter().map(move |other| (one, other)));
            pairs.any(|(one, other)| {
                let texts = text(one).zip(text(other));
                texts.is_some_and(|(one, other)| alike(&one, &other))
            })
        }
        _ => found.iter().any(|value| passes(test, value)),
    }
}

fn case(text: &str, cased: bool) -> String {
    if cased { text.to_owned() } else { fold(text) }
}

fn fits(anchor: Anchor, part: &str, whole: &str) -> bool {
    match anchor {
        Anchor::Whole => whole == part,
        Anchor::Start => whole.starts_with(part),
        Anchor::End => whole.ends_with(part),
        Anchor::Anywhere => whole.contains(part),
    }
}

fn passes(test: &Test, value: &Value) -> bool {
    match test {
        Test::Text(patterns) => {
            text(value).is_some_and(|text| patterns.iter().any(|pattern| pattern.matches(&text)))
        }
        Test::Number(number) => match value {
            Value::Number(found) => same_number(number, found),
            _ => text(value).is_some_and(|text| text == number.to_string()),
        },
        Test::Regex(regex, _) => text(value).is_some_and(|text| regex.is_match(&text)),
        Test::Cidr(nets) => {
            let address = value.as_str().and_then(|text| text.parse::<IpAddr>().ok());
            address.is_some_and(|address| nets.iter().any(|net| net.contains(&address)))
        }
        Test::Compare(part, order, bound) => {
            let number = match (part, value) {
                (None, Value::Number(number)) => number.as_f64(),
                (None, Value::String(text)) => text
                    .trim()
                    .parse()
                    .ok()
                    .filter(|number: &f64| number.is_finite()),
                (Some(part), Value::String(text)) => Time::parse(text.trim())
                    .map(|time| (part.read)(DateTime::from_timestamp_nanos(time.0)) as f64),
                _ => None,
            };
            number.is_some_and(|number| order(number, *bound))
        }
        Test::Null | Test::Exists(_) | Test::SameAs(..) => unreachable!("asked of the field"),
    }
}

fn same_number(one: &Number, other: &Number) -> bool {
    let is_whole = |number: &Number| number.is_i64() || number.is_u64();
    if is_whole(one) && is_whole(other) {
        one == other
    } else {
        one.as_f64() == other.as_f64()
    }
}

/// Every scalar of a record: where a keyword is looked for.
fn scalars(event: &Value) -> Vec<&Value> {
    match event {
        Value::Array(items) => items.iter().flat_map(scalars).collect(),
        Value::Object(map) => map.values().flat_map(scalars).collect(),
        scalar => vec![scalar],
    }
}
