//! What knows Okta: how its System Log records are shaped and timed, which
//! event types and fields exist, and how other exports of the same log are read.

mod catalogue;
pub mod client;
mod log_source;
mod mapping;
pub mod system_log;
mod time;

pub use self::catalogue::{
    DESCRIBED, EventFacts, event_facts, event_types, fields, has_one_value, is_open_map, is_secret,
    methods, scopes, spelling, text_above,
};
pub use self::log_source::not_ours;
use self::mapping::is_lower_cased;
pub use self::mapping::{MAPPINGS, Mapping, place};
pub use self::time::parse_time;

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::event::{Event, solid_parts};
use crate::geo::{AddressFields, Databases};
use crate::json::{self, Fields, Slot, Wanted, surrogates};

/// The field that names what kind of event a record is.
pub const EVENT_TYPE: &str = "eventType";

/// The fields of an event that databases of addresses may fill where they are empty.
pub const ADDRESS_FIELDS: AddressFields = AddressFields {
    address: "client.ipAddress",
    country: "client.geographicalContext.country",
    as_number: "securityContext.asNumber",
    as_org: "securityContext.asOrg",
};

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
    /// It would take too much memory to read.
    #[error("more than 50,000 objects in one record")]
    TooManyObjects,
}

/// A record that is read through a tree has at most so many objects: each takes a
/// hundred times its text there.
const MOST_OBJECTS: usize = 50_000;

/// What an event says about its own kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It has an event type.
    Typed,
    /// It has none, and its field names look lower-cased: no rule matches it as it is.
    LowerCased,
    /// It has none.
    Untyped,
}

/// Reads records, one after the other, in the same memory.
///
/// Most records are one event in compact JSON, whose fields are read straight from
/// its bytes. What is not goes the long way, through a tree, which also decides
/// whether it is an event at all and if not, why: white space outside strings that
/// does not part two tokens is the exception, and only left out.
#[derive(Debug)]
pub struct Records {
    json: json::Reader,
    mapping: Mapping,
    event_type: Slot,
    published: Slot,
    uuid: Slot,
    /// A record in compact JSON, where it is not as it came.
    compact: Vec<u8>,
    /// Whether a record may be an envelope.
    unwraps: bool,
}

/// What Okta posts to an event hook says that it is of this type.
const HOOK: &str = "com.okta.event_hook";

impl Records {
    /// Reads records whose fields become Okta's by the mapping, and of them those that are wanted.
    #[must_use]
    pub fn new(mapping: Mapping, wanted: &Wanted) -> Self {
        Self::with(mapping, wanted, &Databases::NONE)
    }

    /// The same, where what a record leaves empty of its address is what databases know of it.
    #[must_use]
    pub fn with(mapping: Mapping, wanted: &Wanted, databases: &Databases) -> Self {
        let mut wanted = wanted.clone();
        let supplier = databases.supplier(&ADDRESS_FIELDS, &mut wanted);
        let [event_type, published, uuid] =
            [EVENT_TYPE, "published", "uuid"].map(|key| wanted.add([key]));
        let mut json = json::Reader::new(wanted);
        if let Some(supplier) = supplier {
            json.supplied_by(supplier);
        }
        Self {
            json,
            mapping,
            event_type,
            published,
            uuid,
            compact: Vec::new(),
            unwraps: true,
        }
    }

    /// Takes each record for one event, as which it was read before, though it may look like an envelope.
    #[must_use]
    pub fn of_events(self) -> Self {
        Self {
            unwraps: false,
            ..self
        }
    }

    /// Shows `take` the events of one record: itself, or those inside an event-hook envelope.
    ///
    /// # Errors
    ///
    /// Says why the record is not read; none of it was then shown.
    pub fn read(
        &mut self,
        raw: &[u8],
        take: &mut dyn FnMut(&Event<'_>, Kind),
    ) -> Result<(), NotAnEvent> {
        let raw = raw.trim_ascii();
        if matches!(self.mapping, Mapping::Auto | Mapping::Okta) {
            let slots = (self.event_type, self.published, self.uuid);
            if let Some(event) = typed(raw, true, slots, self.json.read(raw)) {
                take(&event, Kind::Typed);
                return Ok(());
            }
            if without_blanks(raw, &mut self.compact)
                && let Some(event) = typed(raw, false, slots, self.json.read(&self.compact))
            {
                take(&event, Kind::Typed);
                return Ok(());
            }
        }
        let text = std::str::from_utf8(raw).map_err(|_| NotAnEvent::Encoding)?;
        if has_more_objects_than(MOST_OBJECTS, text) {
            return Err(NotAnEvent::TooManyObjects);
        }
        match parse(text)? {
            Value::Object(map) if self.unwraps && is_envelope(&map) => {
                // A tree takes much more than its text, and the events get theirs one by one.
                drop(map);
                self.envelope(text, take)
            }
            tree @ Value::Object(_) => self.event(text, tree, take),
            other => Err(NotAnEvent::Shape(describe(&other))),
        }
    }

    /// Shows the events that Okta delivers to a hook
    /// (`{"eventType":"com.okta.event_hook","data":{"events":[…]}}`).
    fn envelope(
        &mut self,
        text: &str,
        take: &mut dyn FnMut(&Event<'_>, Kind),
    ) -> Result<(), NotAnEvent> {
        let repaired;
        let events = if let Some(events) = events_within(text) {
            events
        } else {
            repaired = surrogates::repaired(text).unwrap_or_default();
            events_within(&repaired).ok_or(NotAnEvent::EmptyEnvelope)?
        };
        if let Some(other) = events.iter().find(|raw| !raw.get().starts_with('{')) {
            return Err(NotAnEvent::Shape(describe(&parse(other.get())?)));
        }
        let mut events = events.into_iter().map(RawValue::get);
        events.try_for_each(|raw| self.event(raw, parse(raw)?, take))
    }

    /// Shows the event that a tree holds.
    fn event(
        &mut self,
        raw: &str,
        tree: Value,
        take: &mut dyn FnMut(&Event<'_>, Kind),
    ) -> Result<(), NotAnEvent> {
        let tree = self.mapping.apply(tree);
        let kind = if tree.get(EVENT_TYPE).is_some() {
            Kind::Typed
        } else if is_lower_cased(&tree) {
            Kind::LowerCased
        } else {
            Kind::Untyped
        };
        self.compact.clear();
        let written = serde_json::to_writer(&mut self.compact, &tree);
        let fields = written
            .ok()
            .and_then(|()| self.json.read_canonical(&self.compact));
        let fields = fields.ok_or_else(|| NotAnEvent::Syntax("nested too deeply".to_owned()))?;
        take(
            &event(raw.as_bytes(), false, self.published, self.uuid, fields),
            kind,
        );
        Ok(())
    }
}

/// The event that a record is, unless it has to go the long way.
fn typed<'r>(
    raw: &'r [u8],
    compact: bool,
    (event_type, published, uuid): (Slot, Slot, Slot),
    fields: Option<Fields<'r>>,
) -> Option<Event<'r>> {
    let fields = fields.filter(|fields| fields.exists(event_type))?;
    let hook = fields.first(event_type).is_some_and(|value| value.is(HOOK));
    (!hook).then(|| event(raw, compact, published, uuid, fields))
}

fn event<'r>(
    raw: &'r [u8],
    compact: bool,
    published: Slot,
    id: Slot,
    fields: Fields<'r>,
) -> Event<'r> {
    let time = fields
        .own(published)
        .and_then(|value| parse_time(&value.as_str()?));
    Event {
        raw,
        compact,
        fields,
        time,
        id,
    }
}

/// Copies a record without the white space outside its strings: whether there was
/// any, and none of it parted two tokens.
fn without_blanks(raw: &[u8], compact: &mut Vec<u8>) -> bool {
    let is_mark = |byte: &u8| matches!(byte, b'{' | b'}' | b'[' | b']' | b':' | b',');
    compact.clear();
    for part in solid_parts(raw) {
        let apart = |(last, first)| !is_mark(last) && !is_mark(first);
        if compact.last().zip(part.first()).is_some_and(apart) {
            return false;
        }
        compact.extend_from_slice(part);
    }
    compact.len() < raw.len()
}

/// Whether a text opens more than so many objects, not counting braces in its strings.
fn has_more_objects_than(most: usize, text: &str) -> bool {
    /// Each object has two braces.
    const SHORTEST: usize = 2;
    if text.len() / SHORTEST <= most {
        return false;
    }
    let mut in_string = false;
    let mut is_escaped = false;
    let mut opens = |byte: &u8| {
        let escaped = std::mem::take(&mut is_escaped);
        match byte {
            b'"' if !escaped => in_string = !in_string,
            b'\\' => is_escaped = in_string && !escaped,
            b'{' => return !in_string,
            _ => {}
        }
        false
    };
    text.bytes().filter(|byte| opens(byte)).nth(most).is_some()
}

/// Whether an object is what Okta posts to an event hook, or its body as some stores keep it.
fn is_envelope(map: &serde_json::Map<String, Value>) -> bool {
    match map.get(EVENT_TYPE) {
        Some(event_type) => event_type == HOOK,
        None => map
            .get("data")
            .and_then(|data| data.get("events"))
            .is_some_and(Value::is_array),
    }
}

/// The texts in `data.events` of an object.
fn events_within(text: &str) -> Option<Vec<&RawValue>> {
    let data = member(text, "data")?;
    serde_json::from_str(member(data.get(), "events")?.get()).ok()
}

/// The text of a member of an object; where a key stands twice, the last, as in a tree.
fn member<'t>(text: &'t str, key: &str) -> Option<&'t RawValue> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
    members.get(key).copied()
}

/// The tree of a record, if it is JSON; see [`Records::read`].
#[must_use]
pub fn tree(text: &str) -> Option<Value> {
    parse(text).ok()
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
mod tests;
