//! What scripts are given and what they give back, in words that are not the script engine's.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Debug;
use std::sync::Arc;

use rhai::{Array, Dynamic, EvalAltResult, Map};

use crate::event::{Time, fold};
use crate::script::host::{FIELD_BYTES, FIELD_VALUES};
use crate::script::meter::cost;
use crate::script::sandbox::spend;

/// A value of an event, as Sigma's lines see it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
}

impl Value {
    /// The value that a script holds; `None` for null and for what no event has.
    pub(super) fn of(value: &Dynamic) -> Option<Self> {
        if let Ok(value) = value.as_bool() {
            return Some(Self::Bool(value));
        }
        if let Ok(value) = value.as_int() {
            return Some(Self::Int(value));
        }
        if let Ok(value) = value.as_float() {
            return Some(Self::Float(value));
        }
        if let Ok(value) = value.as_char() {
            return Some(Self::Text(value.to_string()));
        }
        let text = value.clone().into_immutable_string().ok()?;
        Some(Self::Text(text.as_str().to_owned()))
    }

    fn into_dynamic(self) -> Dynamic {
        match self {
            Self::Bool(value) => value.into(),
            Self::Int(value) => value.into(),
            Self::Float(value) => value.into(),
            Self::Text(text) => cut(&text).into_owned().into(),
        }
    }

    /// The operations that going through it takes.
    pub(super) fn cost(&self) -> usize {
        match self {
            Self::Text(text) => text.len() / 32,
            _ => 0,
        }
    }

    /// Its text, as findings show it.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => serde_json::Value::from(*value).to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// The beginning of a text that is too long for a script.
fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= FIELD_BYTES {
        return text.into();
    }
    let end = (0..=FIELD_BYTES)
        .rev()
        .find(|at| text.is_char_boundary(*at));
    Cow::Borrowed(text.get(..end.unwrap_or(0)).unwrap_or_default())
}

/// What scripts ask of detection, so that they get the answers that Sigma's lines get.
pub trait Outside: Send + Sync {
    /// The names of the lists.
    fn lists(&self) -> Vec<String>;
    /// Whether a value is on a list; not where there is no such list.
    fn is_listed(&self, list: &str, value: &Value) -> bool;
    /// How many texts with wildcards a list has, each of which a value is tried with.
    fn wildcards(&self, list: &str) -> usize;
    /// What a list has in a column beside a value, if that is on it; or why it cannot be asked.
    fn beside(&self, list: &str, value: &Value, column: &str) -> Result<Option<String>, String>;
    /// Whether a value is a Sigma text.
    fn is_like(&self, value: &Value, pattern: &str) -> bool;
    /// Whether a value is an address in a network; `None` where that is none.
    fn is_in_network(&self, value: &Value, network: &str) -> Option<bool>;
    /// The great-circle distance of two places, each in degrees north and east.
    fn distance_km(&self, from: (f64, f64), to: (f64, f64)) -> f64;
}

/// Where the values of an event come from, when a script asks for them.
pub trait Source: Debug + Send + Sync {
    /// Event time.
    fn time(&self) -> Option<Time>;
    /// The values of a field, by its position among those that the function reads.
    fn values(&self, field: usize) -> Vec<Value>;
    /// Whether the key of the field is there.
    fn exists(&self, field: usize) -> bool;
    /// Which rules of a correlation it satisfies.
    fn rules(&self) -> Vec<&str> {
        Vec::new()
    }
}

/// So many values that a script is given are one operation beside their length.
pub(super) const VALUE_STEP: usize = 4;

/// An event in the hands of a script: nothing is read before it is asked for.
#[derive(Clone, Debug)]
pub struct EventView {
    /// The fields that the function reads.
    pub fields: Arc<[String]>,
    /// What has their values.
    pub source: Arc<dyn Source>,
}

impl EventView {
    fn place(&self, path: &str) -> Result<usize, Box<EvalAltResult>> {
        let place = self.fields.iter().position(|known| known == path);
        let unknown = || format!("the field `{path}` was not found when the script was read");
        place.ok_or_else(|| unknown().into())
    }

    pub(super) fn values(&self, path: &str) -> Result<Array, Box<EvalAltResult>> {
        let values = self.source.values(self.place(path)?);
        spend(values.len() / VALUE_STEP + values.iter().map(Value::cost).sum::<usize>())?;
        let values = values.into_iter();
        Ok(values.take(FIELD_VALUES).map(Value::into_dynamic).collect())
    }

    pub(super) fn exists(&self, path: &str) -> Result<bool, Box<EvalAltResult>> {
        Ok(self.source.exists(self.place(path)?))
    }

    pub(super) fn time(&self) -> Option<Time> {
        self.source.time()
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = &str> {
        self.source.rules().into_iter()
    }
}

/// The events of a group's window.
#[derive(Clone, Debug)]
pub struct WindowView {
    /// How many there are.
    pub count: u64,
    /// The newest of them, in order.
    pub events: Arc<[EventView]>,
}

impl WindowView {
    pub(super) fn distinct(&self, path: &str) -> Result<Array, Box<EvalAltResult>> {
        let mut known = HashSet::new();
        let mut distinct = Array::new();
        for event in self.events.iter() {
            for value in event.source.values(event.place(path)?) {
                spend(1 + value.cost())?;
                if known.insert(fold(&value.shown())) {
                    distinct.push(value.into_dynamic());
                }
            }
        }
        Ok(distinct)
    }
}

/// A finding in the hands of a script.
#[derive(Clone, Debug)]
pub struct FindingView(pub Arc<FindingFacts>);

/// What a script may know of a finding.
#[derive(Clone, Debug, Default)]
pub struct FindingFacts {
    /// The rule's title.
    pub title: String,
    /// What kind of finding it is.
    pub finding_type: String,
    /// The rule's level.
    pub level: String,
    /// What the rule says of it.
    pub summary: String,
    /// The account that it is about.
    pub user: Option<String>,
    /// How many events it has.
    pub count: u64,
    /// How many hits it has.
    pub hits: u64,
    /// The time of its first event.
    pub first_seen: Option<Time>,
    /// The time of its last event.
    pub last_seen: Option<Time>,
    /// Why its first hit was one.
    pub reasons: Vec<String>,
    /// The values of its group.
    pub group: BTreeMap<String, String>,
    /// The values of the fields that the rule lists.
    pub metadata: BTreeMap<String, Vec<String>>,
}

/// An incident and what led to it, in the hands of a script.
#[derive(Clone, Debug)]
pub struct AboutView(pub Arc<serde_json::Value>);

impl AboutView {
    /// One part of it as a map; `()` where there is none.
    pub(super) fn part(&self, name: &str) -> Result<Dynamic, Box<EvalAltResult>> {
        let part = self.0.get(name).map_or(Dynamic::UNIT, of_json);
        spend(cost(&part))?;
        Ok(part)
    }
}

/// A value of JSON as scripts have it.
fn of_json(value: &serde_json::Value) -> Dynamic {
    match value {
        serde_json::Value::Null => Dynamic::UNIT,
        serde_json::Value::Bool(value) => (*value).into(),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(number)) => number.into(),
            (None, None) => Dynamic::UNIT,
        },
        serde_json::Value::String(text) => text.clone().into(),
        serde_json::Value::Array(items) => items.iter().map(of_json).collect::<Array>().into(),
        serde_json::Value::Object(entries) => {
            let entries = entries.iter();
            let map: Map = entries
                .map(|(key, value)| (key.as_str().into(), of_json(value)))
                .collect();
            map.into()
        }
    }
}

/// The deepest nesting of what a script gives.
const DEEPEST: usize = 16;

/// A value of a script as JSON; why not, where it cannot be.
pub(super) fn to_json(value: &Dynamic, depth: usize) -> Result<serde_json::Value, String> {
    if depth > DEEPEST {
        return Err(format!("lists and maps of more than {DEEPEST} levels"));
    }
    if let Ok(items) = value.as_array_ref() {
        return items.iter().map(|item| to_json(item, depth + 1)).collect();
    }
    if let Ok(map) = value.as_map_ref() {
        let entry = |(key, value): (&rhai::Identifier, &Dynamic)| {
            Ok((key.to_string(), to_json(value, depth + 1)?))
        };
        let entries: Result<serde_json::Map<_, _>, String> = map.iter().map(entry).collect();
        return entries.map(Into::into);
    }
    match Value::of(value) {
        Some(Value::Bool(value)) => Ok(value.into()),
        Some(Value::Int(number)) => Ok(number.into()),
        Some(Value::Float(number)) if number.is_finite() => Ok(number.into()),
        Some(Value::Float(number)) => Err(format!("`{number}`, which is no number of JSON")),
        Some(Value::Text(text)) => Ok(text.into()),
        None if value.is_unit() => Ok(serde_json::Value::Null),
        None => {
            Err("what is neither a text, a number, `true`, `false`, a list nor a map".to_owned())
        }
    }
}

/// A list, by its name.
#[derive(Clone, Debug)]
pub struct ListView(pub Arc<str>);
