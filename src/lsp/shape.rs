//! What a schema says of a place in a file.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::lsp::outline::Step;
use crate::schema::{Format, NAMES, schema};

/// References and choices are followed no deeper than this.
const DEEPEST: usize = 12;

/// The schema of a format.
#[derive(Debug)]
pub(super) struct Shape(Value);

/// What another key of a mapping says: the path of the mapping, and the key.
pub(super) type Said<'s> = dyn Fn(&[Step], &str) -> Option<String> + 's;

impl Shape {
    /// That of a format.
    pub(super) fn of(format: Format) -> Self {
        Self(schema(format))
    }

    /// Every schema that may hold for the value at a path.
    pub(super) fn at<'s>(&'s self, path: &[Step], said: &Said<'_>) -> Vec<&'s Value> {
        let mut now = Vec::new();
        self.spread(&self.0, &[], said, 0, &mut now);
        for (done, step) in path.iter().enumerate() {
            let here = path.get(..=done).unwrap_or_default();
            let mut next = Vec::new();
            for one in now.iter().flat_map(|one| self.inside(one, step)) {
                self.spread(one, here, said, 0, &mut next);
            }
            now = next;
        }
        now
    }

    /// A schema with all that it refers to and chooses between.
    fn spread<'s>(
        &'s self,
        one: &'s Value,
        path: &[Step],
        said: &Said<'_>,
        depth: usize,
        all: &mut Vec<&'s Value>,
    ) {
        if depth > DEEPEST {
            return;
        }
        all.push(one);
        let referred = one.get("$ref").and_then(Value::as_str);
        let referred = referred.and_then(|to| self.0.pointer(to.strip_prefix('#')?));
        let choices = ["anyOf", "oneOf", "allOf"].into_iter();
        let choices = choices.filter_map(|key| one.get(key).and_then(Value::as_array));
        let then = one.get("then").filter(|_| holds(one, path, said));
        for inner in referred.into_iter().chain(choices.flatten()).chain(then) {
            self.spread(inner, path, said, depth + 1, all);
        }
    }

    /// What a schema says of what a step leads to.
    fn inside<'s>(&'s self, one: &'s Value, step: &Step) -> Vec<&'s Value> {
        let key = match step {
            Step::Item(_) => return one.get("items").into_iter().collect(),
            Step::Key(key) => key,
        };
        let field = field_of(one, key);
        let properties = one.get("properties");
        let known = properties.and_then(|properties| properties.get(field));
        let other = || {
            one.get("additionalProperties")
                .filter(|other| other.is_object())
        };
        let any = || one.pointer("/patternProperties/^[^|]+$");
        known.or_else(any).or_else(other).into_iter().collect()
    }
}

/// The field of a line, whatever modifiers stand behind it.
fn field_of<'k>(one: &Value, key: &'k str) -> &'k str {
    let is_line = one.get(NAMES).and_then(Value::as_str) == Some("line");
    let field = key.split('|').next().filter(|_| is_line);
    field.unwrap_or(key)
}

/// Whether the condition of a schema holds: that a key says something.
fn holds(one: &Value, path: &[Step], said: &Said<'_>) -> bool {
    let asked = one.pointer("/if/properties").and_then(Value::as_object);
    let mut asked = asked.into_iter().flatten();
    asked.any(|(key, schema)| {
        let wanted = schema.get("const").and_then(Value::as_str);
        wanted.is_some() && said(path, key).as_deref() == wanted
    })
}

/// The keys that a mapping may have.
pub(super) fn keys<'s>(schemas: &[&'s Value]) -> BTreeMap<&'s str, &'s Value> {
    let properties = schemas
        .iter()
        .filter_map(|one| one.get("properties")?.as_object());
    let mut keys = BTreeMap::new();
    for (key, one) in properties.flatten() {
        // What only restricts a key says nothing of it.
        let known = keys.entry(key.as_str()).or_insert(one);
        if known.get("description").is_none() {
            *known = one;
        }
    }
    keys
}

/// What the values name, if anything.
pub(super) fn names<'s>(schemas: &[&'s Value]) -> Option<&'s str> {
    let mut names = schemas.iter().filter_map(|one| one.get(NAMES)?.as_str());
    names.next()
}

/// What the keys name that are not told one by one.
pub(super) fn names_of_keys<'s>(schemas: &[&'s Value]) -> Option<&'s str> {
    let mut names = schemas
        .iter()
        .filter_map(|one| one.get("propertyNames")?.get(NAMES)?.as_str());
    names.next()
}

/// The words of closed lists.
pub(super) fn words<'s>(schemas: &[&'s Value]) -> Vec<&'s str> {
    let mut words: Vec<&str> = Vec::new();
    for one in schemas {
        let listed = one.get("enum").and_then(Value::as_array);
        words.extend(listed.into_iter().flatten().filter_map(Value::as_str));
        if one.get("type").and_then(Value::as_str) == Some("boolean") {
            words.extend(["true", "false"]);
        }
    }
    words
}

/// What the documentation says of the place.
pub(super) fn description<'s>(schemas: &[&'s Value]) -> Option<&'s str> {
    let mut said = schemas
        .iter()
        .filter_map(|one| one.get("description")?.as_str());
    said.next()
}
