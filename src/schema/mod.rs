//! The formats of a policy as JSON Schema, for editors: what may stand where, and what it means.
//!
//! The words are those of the tables that the decoders read by; a test holds the keys of each
//! mapping against what its decoder asks for. `x-rulectl` says of a value what it names.

mod pages;
mod prompts;
mod routing;
mod rules;
mod suites;
mod tools;

use serde_json::{Map, Value, json};

use self::pages::Table;

/// A format that a person writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// `rules/**/*.yml`.
    Rules,
    /// `routing.toml`.
    Routing,
    /// `tools.yaml`.
    Tools,
    /// The front matter of `prompts/**/*.md`.
    Prompts,
    /// `fixtures/**/*.test.yml`.
    Tests,
}

impl Format {
    /// Every format by name.
    pub const ALL: [(&str, Self); 5] = [
        ("rules", Self::Rules),
        ("routing", Self::Routing),
        ("tools", Self::Tools),
        ("prompts", Self::Prompts),
        ("tests", Self::Tests),
    ];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let named = Self::ALL.iter().find(|(_, format)| *format == self);
        named.map_or("", |(name, _)| name)
    }

    /// The format of a file, by its path in a policy folder.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let is_yaml = name.ends_with(".yml") || name.ends_with(".yaml");
        match name.split('/').next() {
            _ if name == "routing.toml" => Some(Self::Routing),
            _ if name == "tools.yaml" => Some(Self::Tools),
            Some("rules") if is_yaml => Some(Self::Rules),
            Some("prompts") if name.ends_with(".md") => Some(Self::Prompts),
            Some("fixtures") if is_yaml => Some(Self::Tests),
            _ => None,
        }
    }
}

/// The key of a schema that says what its values name.
pub const NAMES: &str = "x-rulectl";

/// The schema of a format: JSON Schema, draft 2020-12.
#[must_use]
pub fn schema(format: Format) -> Value {
    let (title, mut schema) = match format {
        Format::Rules => ("A rule of rulectl: a Sigma document", rules::schema()),
        Format::Routing => ("routing.toml of rulectl", routing::schema()),
        Format::Tools => ("tools.yaml of rulectl", tools::schema()),
        Format::Prompts => ("The front matter of a prompt of rulectl", prompts::schema()),
        Format::Tests => ("A suite of rulectl", suites::schema()),
    };
    if let Value::Object(schema) = &mut schema {
        let id = format!("urn:rulectl:schema:{}", format.as_str());
        schema.insert(
            "$schema".to_owned(),
            "https://json-schema.org/draft/2020-12/schema".into(),
        );
        schema.insert("$id".to_owned(), id.into());
        schema.insert("title".to_owned(), title.into());
    }
    schema
}

/// What the documentation says of a modifier of Sigma's.
#[must_use]
pub fn modifier(name: &str) -> String {
    Table::MODIFIERS.says(name)
}

/// A mapping with these keys and no others, of which some must be there. What each means is said by
/// a table of the documentation.
fn closed(table: Table, required: &[&str], mut properties: Value) -> Value {
    let keys = properties.as_object_mut().into_iter().flatten();
    for (key, property) in keys {
        describe(property, &table.says(key));
    }
    json!({
        "type": "object",
        "required": required,
        "additionalProperties": false,
        "properties": properties,
    })
}

/// Says what a value means.
fn describe(schema: &mut Value, says: &str) {
    if let Value::Object(schema) = schema
        && !says.is_empty()
    {
        schema.insert("description".to_owned(), says.into());
    }
}

/// A value, and what it means where no table of the documentation says it.
fn said(says: &str, mut schema: Value) -> Value {
    describe(&mut schema, says);
    schema
}

fn text() -> Value {
    json!({"type": "string"})
}

fn boolean() -> Value {
    json!({"type": "boolean"})
}

/// A text that names something.
fn named(names: &str) -> Value {
    json!({"type": "string", NAMES: names})
}

fn list_of(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

/// One or several.
fn some(items: &Value) -> Value {
    json!({"anyOf": [items, list_of(items.clone())]})
}

/// One of a closed list of words.
fn one_of<T>(words: &[(&str, T)]) -> Value {
    let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    json!({"type": "string", "enum": words})
}

/// Texts of a catalogue, which need not have all that there are.
fn known(words: &[&str], names: &str) -> Value {
    json!({"anyOf": [{"type": "string", "enum": words}, {"type": "string"}], NAMES: names})
}

/// A number between two.
fn number(low: f64, high: f64) -> Value {
    json!({"type": "number", "minimum": low, "maximum": high})
}

/// A whole number, 0 or more.
fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

/// A time span such as `10m`, of at most 292 years: what is longer is no number of nanoseconds.
fn span_of_time() -> Value {
    json!({"type": "string", "pattern": "^0*([0-9]{1,10}s|[0-9]{1,9}m|[0-9]{1,7}h|[0-9]{1,6}d|[0-9]{1,5}w|[0-9]{1,4}M|([0-9]{1,2}|[12][0-9]{2})y)$"})
}

/// A list, or nothing: a key without a value counts as absent.
fn list_or_nothing(items: Value) -> Value {
    json!({"type": ["array", "null"], "items": items})
}

/// A mapping of any names to values of one kind.
fn mapping_to(values: Value) -> Value {
    json!({"type": "object", "additionalProperties": values})
}

/// The keys of several mappings as those of one.
fn together(all: impl IntoIterator<Item = Value>) -> Value {
    let mut keys = Map::new();
    for one in all {
        if let Value::Object(one) = one {
            keys.extend(one);
        }
    }
    Value::Object(keys)
}
