//! What knows Okta: how its System Log records are shaped and timed, which
//! event types and fields exist, and how other exports of the same log are read.

mod catalogue;
mod log_source;
mod mapping;
mod surrogates;
mod time;

pub use self::catalogue::{event_types, fields, is_open_map};
pub use self::log_source::not_ours;
pub use self::mapping::{MAPPINGS, Mapping, is_lower_cased, place};
pub use self::time::parse_time;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::event::Event;

/// The field that names what kind of event a record is.
pub const EVENT_TYPE: &str = "eventType";

/// Why a stretch of input is not an event.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotAnEvent {
    /// It is not UTF-8.
    #[error("not UTF-8 text")]
    Encoding,
    /// It is not JSON.
    #[error("not JSON: {0}")]
    Syntax(String),
    /// It is JSON, and not an object.
    #[error("expected a JSON object, found {0}")]
    Shape(&'static str),
    /// It is an event-hook envelope without a list of events.
    #[error("an event-hook envelope without `data.events`")]
    EmptyEnvelope,
}

/// The events of one record: itself, or those inside an event-hook envelope.
///
/// # Errors
///
/// Says why the record is not read; none of it is then used.
pub fn read_record<'a>(raw: &'a [u8], mapping: &Mapping) -> Result<Vec<Event<'a>>, NotAnEvent> {
    let text = std::str::from_utf8(raw)
        .map_err(|_| NotAnEvent::Encoding)?
        .trim_ascii();
    let tree = parse(text)?;
    match &tree {
        Value::Object(map) if is_envelope(map) => envelope(text, mapping),
        Value::Object(_) => Ok(vec![event(text, tree, mapping)]),
        other => Err(NotAnEvent::Shape(describe(other))),
    }
}

/// Whether an object is what Okta posts to an event hook, or its body as some stores keep it.
fn is_envelope(map: &serde_json::Map<String, Value>) -> bool {
    match map.get(EVENT_TYPE) {
        Some(event_type) => event_type == "com.okta.event_hook",
        None => map
            .get("data")
            .and_then(|data| data.get("events"))
            .is_some_and(Value::is_array),
    }
}

fn event<'a>(text: &'a str, tree: Value, mapping: &Mapping) -> Event<'a> {
    let fields = mapping.apply(tree);
    let time = fields
        .get("published")
        .and_then(Value::as_str)
        .and_then(parse_time);
    let uuid = fields
        .get("uuid")
        .and_then(Value::as_str)
        .filter(|uuid| !uuid.is_empty())
        .map(|uuid| crate::event::clip(uuid).into_owned());
    Event {
        raw: text.as_bytes(),
        fields,
        time,
        uuid,
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: EnvelopeData<'a>,
}

#[derive(Deserialize)]
struct EnvelopeData<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// Events that Okta delivers to a hook (`{"eventType":"com.okta.event_hook","data":{"events":[…]}}`).
fn envelope<'a>(text: &'a str, mapping: &Mapping) -> Result<Vec<Event<'a>>, NotAnEvent> {
    let envelope: Envelope<'a> =
        serde_json::from_str(text).map_err(|_| NotAnEvent::EmptyEnvelope)?;
    let mut events = Vec::new();
    for raw in envelope.data.events {
        let tree = parse(raw.get())?;
        if !tree.is_object() {
            return Err(NotAnEvent::Shape(describe(&tree)));
        }
        events.push(event(raw.get(), tree, mapping));
    }
    Ok(events)
}

/// The tree of a record. A half of a surrogate pair, which is JSON and no text, must
/// not hide an event: it reads as U+FFFD.
fn parse(text: &str) -> Result<Value, NotAnEvent> {
    let failed = match serde_json::from_str(text) {
        Ok(tree) => return Ok(tree),
        Err(error) => error,
    };
    let repaired = surrogates::repaired(text).and_then(|text| serde_json::from_str(&text).ok());
    repaired.ok_or_else(|| NotAnEvent::Syntax(explain(&failed)))
}

fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let message = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(message, _)| message);
    match error.line() {
        0 | 1 => format!("{message}, at byte {}", error.column()),
        line => format!("{message}, at byte {} of its line {line}", error.column()),
    }
}

fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_an_event_says_why() {
        let cases: [(&[u8], &str); 7] = [
            (b"", "not JSON: EOF while parsing a value, at byte 0"),
            (b"{\"a\":", "not JSON: EOF while parsing a value, at byte 5"),
            (b"42", "expected a JSON object, found a number"),
            (b"[1]", "expected a JSON object, found an array"),
            (b"{\"a\":\"\xff\"}", "not UTF-8 text"),
            (
                b"{\"eventType\":\"com.okta.event_hook\"}",
                "an event-hook envelope without `data.events`",
            ),
            (
                b"{\"eventType\":\"com.okta.event_hook\",\"data\":{\"events\":[1]}}",
                "expected a JSON object, found a number",
            ),
        ];
        for (raw, expected) in cases {
            let error = read_record(raw, &Mapping::Okta)
                .map(|_| ())
                .expect_err("not an event");
            assert_eq!(error.to_string(), expected);
        }
        let deep = "[".repeat(1_000_000);
        assert!(matches!(
            read_record(deep.as_bytes(), &Mapping::Okta),
            Err(NotAnEvent::Syntax(_))
        ));
    }

    #[test]
    fn the_body_of_a_hook_is_opened_without_its_envelope() {
        let cases = [
            (r#"{"data":{"events":[{"uuid":"a"},{"uuid":"b"}]}}"#, 2),
            (r#"{"data":{"events":[]}}"#, 0),
            (r#"{"data":{"events":7}}"#, 1),
            (
                r#"{"eventType":"user.session.start","data":{"events":[{},{}]}}"#,
                1,
            ),
        ];
        for (raw, expected) in cases {
            let events = read_record(raw.as_bytes(), &Mapping::Auto).expect(raw);
            assert_eq!(events.len(), expected, "{raw}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_hides_no_event() {
        let cases = [
            (r#"{"a":"x\ud800y"}"#, "x\u{fffd}y"),
            (r#"{"a":"\udc00\ud83d\ude00"}"#, "\u{fffd}\u{1f600}"),
            (
                r#"{"a":"\ud800\ud83d\ude00\uD8AB"}"#,
                "\u{fffd}\u{1f600}\u{fffd}",
            ),
            (r#"{"a":"\\ud800 \ud800"}"#, "\\ud800 \u{fffd}"),
        ];
        for (raw, expected) in cases {
            let events = read_record(raw.as_bytes(), &Mapping::Okta).expect(raw);
            let found: Vec<_> = events
                .iter()
                .map(|event| event.fields["a"].as_str())
                .collect();
            assert_eq!(found, [Some(expected)], "{raw}");
        }
    }

    #[test]
    fn an_envelope_holds_events_with_their_own_bytes() {
        let raw = br#"{"eventType":"com.okta.event_hook","data":{"events":[{"uuid":"a","published":"2026-01-01T00:00:00Z"},{"uuid":"b"}]}}"#;
        let events = read_record(raw, &Mapping::Auto).expect("an envelope");
        let seen: Vec<_> = events
            .iter()
            .map(|e| (e.uuid.as_deref(), e.time.is_some(), e.raw))
            .collect();
        let first = br#"{"uuid":"a","published":"2026-01-01T00:00:00Z"}"#.as_slice();
        let second = br#"{"uuid":"b"}"#.as_slice();
        assert_eq!(seen, [(Some("a"), true, first), (Some("b"), false, second)]);
    }
}
