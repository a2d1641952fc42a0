//! Other shapes of the same log, read as if they were Okta's.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::okta::{EVENT_TYPE, fields};

/// How a record's fields become Okta's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mapping {
    /// Records are read as they are, but for those that have the flat shape.
    #[default]
    Auto,
    /// Records are read as they are.
    Okta,
    /// Records have the flat shape of [`FLAT`].
    Flat,
    /// Field names were lower-cased by a store; those that Okta documents get their spelling back.
    Lowercase,
}

/// The mappings by name.
pub const MAPPINGS: [(&str, Mapping); 4] = [
    ("auto", Mapping::Auto),
    ("okta", Mapping::Okta),
    ("flat", Mapping::Flat),
    ("lowercase", Mapping::Lowercase),
];

/// The flat shape that an earlier system exported: one level of keys, and the Okta path of each.
const FLAT: [(&str, &str); 11] = [
    ("id", "uuid"),
    ("event_type", EVENT_TYPE),
    ("timestamp", "published"),
    ("actor_id", "actor.id"),
    ("actor_id", "actor.alternateId"),
    ("actor_type", "actor.type"),
    ("ip_address", "client.ipAddress"),
    ("user_agent", "client.userAgent.rawUserAgent"),
    ("city", "client.geographicalContext.city"),
    ("country", "client.geographicalContext.country"),
    ("outcome", "outcome.result"),
];

/// A record with all of these, and without Okta's own field, is flat.
const FLAT_MARKS: [&str; 3] = ["event_type", "actor_id", "timestamp"];

impl Mapping {
    /// The record in Okta's shape.
    #[must_use]
    pub fn apply(&self, tree: Value) -> Value {
        match (self, tree) {
            (Self::Flat, Value::Object(map)) => flat(&map),
            (Self::Auto, Value::Object(map)) if is_flat(&map) => flat(&map),
            (Self::Lowercase, tree) => respell(tree),
            (_, tree) => tree,
        }
    }
}

/// Whether a record, read as it is, looks like one with lower-cased field names.
#[must_use]
pub fn is_lower_cased(fields: &Value) -> bool {
    fields.get(EVENT_TYPE).is_none() && fields.get("eventtype").is_some()
}

fn is_flat(map: &Map<String, Value>) -> bool {
    !map.contains_key(EVENT_TYPE) && FLAT_MARKS.iter().all(|key| map.contains_key(*key))
}

fn flat(map: &Map<String, Value>) -> Value {
    let mut mapped = Value::Object(Map::new());
    for (from, to) in FLAT {
        if let Some(value) = map.get(from) {
            place(&mut mapped, to, value.clone());
        }
    }
    if let Some(target) = map.get("target_id").filter(|target| !target.is_null()) {
        place(&mut mapped, "target", serde_json::json!([{"id": target}]));
    }
    mapped
}

/// Puts a value at a dotted path, making the objects on the way.
pub fn place(tree: &mut Value, path: &str, value: Value) {
    let Value::Object(map) = tree else { return };
    match path.split_once('.') {
        None => {
            map.insert(path.to_owned(), value);
        }
        Some((step, rest)) => {
            let inner = map.entry(step).or_insert_with(|| Value::Object(Map::new()));
            place(inner, rest, value);
        }
    }
}

/// Okta's spelling of each key, by its lower-cased form.
static SPELLING: LazyLock<HashMap<String, &str>> = LazyLock::new(|| {
    let steps = fields().iter().flat_map(|path| path.split('.'));
    steps
        .map(|step| (step.to_ascii_lowercase(), step))
        .collect()
});

fn respell(tree: Value) -> Value {
    match tree {
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| {
                let spelled = SPELLING
                    .get(&key.to_ascii_lowercase())
                    .map_or(key, |spelling| (*spelling).to_owned());
                (spelled, respell(value))
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(respell).collect(),
        scalar => scalar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_flat_record_reads_as_okta_s() {
        let record = json!({"id": "e", "event_type": "t", "actor_id": "alice", "timestamp": "x", "country": "US", "outcome": "FAILURE", "target_id": "app"});
        let expected = json!({
            "uuid": "e", "eventType": "t", "published": "x",
            "actor": {"id": "alice", "alternateId": "alice"},
            "client": {"geographicalContext": {"country": "US"}},
            "outcome": {"result": "FAILURE"}, "target": [{"id": "app"}],
        });
        assert_eq!(Mapping::Auto.apply(record.clone()), expected);
        assert_eq!(Mapping::Flat.apply(record.clone()), expected);
        assert_eq!(Mapping::Okta.apply(record.clone()), record);
    }

    #[test]
    fn lower_cased_names_are_noticed_and_respelled() {
        let record = json!({"eventtype": "t", "debugcontext": {"debugdata": {"requesturi": "/"}}, "target": [{"alternateid": "a"}], "own": 1});
        assert!(is_lower_cased(&record));
        let expected = json!({"eventType": "t", "debugContext": {"debugData": {"requestUri": "/"}}, "target": [{"alternateId": "a"}], "own": 1});
        assert_eq!(Mapping::Lowercase.apply(record), expected);
    }
}
