//! What a description or an answer of Okta's is like, beside what the registry was made from.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::tools::openapi::operation_of;
use crate::tools::{Catalogue, RowPath, Segment, Tool};

/// Above this share of paths that differ, a change is alarming.
pub const ALARM: f64 = 0.05;

/// How a tool differs from what it was made from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drift {
    /// The tool.
    pub tool: String,
    /// What is no longer as it was, in words.
    pub what: Vec<String>,
    /// The paths of a row that are gone, or of another type.
    pub gone: Vec<String>,
    /// The paths of a row that are new.
    pub new: Vec<String>,
    /// The share of the paths that are gone, or of an answer's paths that nobody described.
    pub share: f64,
    /// Whether somebody should look: a column or an operation is gone, or more than 5 % of paths.
    pub is_alarming: bool,
}

/// How the tools differ from a description: those that do, in the order of the catalogue. `schema`
/// reads a schema of the policy folder.
#[must_use]
pub fn drift(
    catalogue: &Catalogue,
    description: &Value,
    schema: &dyn Fn(&str) -> Option<Value>,
) -> Vec<Drift> {
    let drifts = catalogue.tools.iter();
    drifts
        .filter_map(|tool| drift_of(tool, description, schema))
        .collect()
}

fn drift_of(
    tool: &Tool,
    description: &Value,
    schema: &dyn Fn(&str) -> Option<Value>,
) -> Option<Drift> {
    let mut drift = Drift {
        tool: tool.name.clone(),
        what: Vec::new(),
        gone: Vec::new(),
        new: Vec::new(),
        share: 0.0,
        is_alarming: false,
    };
    let Some(operation) = operation_of(description, &tool.path) else {
        drift.what.push(format!("GET {} is gone", tool.path));
        drift.is_alarming = true;
        return Some(drift);
    };
    if operation.is_deprecated {
        drift.what.push(format!("GET {} is deprecated", tool.path));
    }
    if operation.rows != tool.rows {
        let (is, was) = (&operation.rows, &tool.rows);
        drift.what.push(format!(
            "the rows are at `{is}`, where they were at `{was}`"
        ));
        drift.is_alarming = true;
    }
    for (scope, _) in &tool.scopes {
        if !operation.scopes.contains(scope) {
            drift
                .what
                .push(format!("the scope `{scope}` is not asked for"));
        }
    }
    for column in tool
        .columns
        .iter()
        .filter(|column| !is_described(&operation.row, &column.path))
    {
        drift.what.push(format!(
            "the column `{}` is gone: {}",
            column.name, column.path
        ));
        drift.is_alarming = true;
    }
    if let Some(before) = tool.response.as_ref().and_then(|(file, _)| schema(file)) {
        let (before, after) = (paths(&before), paths(&operation.row));
        let is_gone = |(path, kind): &(&String, &String)| after.get(*path) != Some(*kind);
        drift.gone = before
            .iter()
            .filter(is_gone)
            .map(|(path, _)| path.clone())
            .collect();
        let is_new = |path: &&String| !before.contains_key(*path);
        drift.new = after.keys().filter(is_new).cloned().collect();
        drift.share = drift.gone.len() as f64 / before.len().max(1) as f64;
        drift.is_alarming |= drift.share > ALARM;
    }
    let is_same = drift.what.is_empty() && drift.gone.is_empty() && drift.new.is_empty();
    (!is_same).then_some(drift)
}

/// How the rows of an answer differ from what was described of them; nothing where they do not.
#[must_use]
pub fn drift_of_rows(tool: &Tool, schema: &Value, rows: &[Value]) -> Option<Drift> {
    let mut found = BTreeMap::new();
    for row in rows {
        observed(row, "", &mut found);
    }
    let mut gone = BTreeSet::new();
    let mut new = BTreeSet::new();
    for (path, kinds) in &found {
        match described(schema, path) {
            Described::As(Some(kind)) => {
                let fits = |told: &&str| {
                    *told == "null" || *told == kind || (*told == "integer" && kind == "number")
                };
                if !kinds.iter().all(|told| fits(&told.as_str())) {
                    gone.insert(path.clone());
                }
            }
            Described::As(None) => {}
            Described::Nowhere => {
                new.insert(path.clone());
            }
        }
    }
    let mut what = Vec::new();
    for column in tool.columns.iter().filter(|column| !column.is_optional) {
        let missing = rows
            .iter()
            .filter(|row| column.path.find(row).is_none())
            .count();
        if missing > 0 {
            what.push(format!(
                "the column `{}` is missing in {missing} of {} rows: {}",
                column.name,
                rows.len(),
                column.path
            ));
        }
    }
    let share = (gone.len() + new.len()) as f64 / found.len().max(1) as f64;
    let is_alarming = share > ALARM || !what.is_empty();
    let is_same = what.is_empty() && gone.is_empty() && new.is_empty();
    (!is_same).then(|| Drift {
        tool: tool.name.clone(),
        what,
        gone: gone.into_iter().collect(),
        new: new.into_iter().collect(),
        share,
        is_alarming,
    })
}

/// What a schema says of a path.
enum Described {
    /// It is of this type, where one is said.
    As(Option<String>),
    Nowhere,
}

fn described(schema: &Value, path: &str) -> Described {
    let mut at = schema;
    for segment in path.split('/').skip(1) {
        let inner = match segment {
            "*" => at.get("items"),
            key => at.pointer(&format!("/properties/{key}")),
        };
        match inner {
            Some(inner) => at = inner,
            // An object of which no key is described may have any.
            None if at.get("properties").is_none() && at.get("items").is_none() => {
                return Described::As(None);
            }
            // Nor one that says so, as where there are several kinds of a thing.
            None if at.get("additionalProperties") == Some(&Value::Bool(true)) => {
                return Described::As(None);
            }
            // What Okta embeds and links to is described for each thing anew, or nowhere.
            None if path.contains("/_") => return Described::As(None),
            None => return Described::Nowhere,
        }
    }
    Described::As(at.get("type").and_then(Value::as_str).map(str::to_owned))
}

fn is_described(schema: &Value, path: &RowPath) -> bool {
    let mut told = String::new();
    for segment in &path.0 {
        let is_place = |key: &str| key.bytes().all(|byte| byte.is_ascii_digit());
        match segment {
            Segment::Key(key) if !is_place(key) => {
                told.push('/');
                told.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Key(_) | Segment::Where(..) => told.push_str("/*"),
        }
    }
    matches!(described(schema, &told), Described::As(_))
}

/// The paths of a schema with their types.
fn paths(schema: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    walk(schema, "", &mut found);
    found
}

fn walk(schema: &Value, above: &str, found: &mut BTreeMap<String, String>) {
    if !above.is_empty() {
        let kind = schema
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        found.insert(above.to_owned(), kind.to_owned());
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, value) in properties.into_iter().flatten() {
        walk(value, &format!("{above}/{name}"), found);
    }
    if let Some(items) = schema.get("items") {
        walk(items, &format!("{above}/*"), found);
    }
}

/// The paths of a value with the types that stand there.
fn observed(value: &Value, above: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !above.is_empty() {
        found
            .entry(above.to_owned())
            .or_default()
            .insert(kind.to_owned());
    }
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let name = name.replace('~', "~0").replace('/', "~1");
                observed(value, &format!("{above}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for item in items {
                observed(item, &format!("{above}/*"), found);
            }
        }
        _ => {}
    }
}
