//! Tools out of an OpenAPI description: what reads, with what it takes and what its rows are like.
//!
//! What is made is text for `tools.yaml`, so that a person sees and changes it; it is marked as
//! imported until then. A description is a file from outside: what it refers to and does not have is
//! left out and told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// A description has at most so many bytes; Okta's has 3.5 MB.
pub const MOST_BYTES: u64 = 64 << 20;
/// A row is described down to so many keys inside of each other.
const DEPTH: usize = 5;
/// A row has at most so many columns where nobody chose them.
const COLUMNS: usize = 8;
/// The folder of the schemas of rows, in a policy folder.
pub const SCHEMAS: &str = "schemas/responses";

/// What of a description is taken: every operation that one of these means.
#[derive(Clone, Debug)]
pub enum Select {
    /// By its `operationId`, such as `list*`.
    Operation(globset::GlobMatcher),
    /// By its path, such as `/api/v1/users/**`.
    Path(globset::GlobMatcher),
    /// By one of its tags.
    Tag(String),
}

impl Select {
    /// Reads `listUsers`, `list*`, `/api/v1/users/**` or `tag:User`.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(tag) = text.strip_prefix("tag:") {
            return Ok(Self::Tag(tag.to_owned()));
        }
        let glob = globset::GlobBuilder::new(text)
            .literal_separator(true)
            .build();
        let glob = glob.map_err(|error| error.to_string())?.compile_matcher();
        Ok(match text.starts_with('/') {
            true => Self::Path(glob),
            false => Self::Operation(glob),
        })
    }

    fn means(&self, path: &str, operation: &Value) -> bool {
        match self {
            Self::Operation(glob) => {
                text(operation, "operationId").is_some_and(|id| glob.is_match(id))
            }
            Self::Path(glob) => glob.is_match(path),
            Self::Tag(tag) => {
                let tags = operation.get("tags").and_then(Value::as_array);
                tags.is_some_and(|tags| tags.iter().any(|told| told == tag.as_str()))
            }
        }
    }
}

/// Why a text is no description.
#[derive(Debug, thiserror::Error)]
pub enum NotADescription {
    /// It is neither YAML nor JSON.
    #[error("{0}")]
    Syntax(String),
    /// It has no paths.
    #[error("it has no `paths`: an OpenAPI description is expected")]
    Shape,
}

/// Reads an OpenAPI description, YAML or JSON.
///
/// # Errors
///
/// When it is none.
pub fn read_openapi(text: &str) -> Result<Value, NotADescription> {
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! { max_nodes: 2_000_000, max_depth: 200, max_events: 8_000_000, max_total_scalar_bytes: 64 << 20 },
    };
    let read: Result<Value, _> = serde_yaml::from_str_with_options(text, options);
    let description = read.map_err(|error| {
        let told = error.to_string();
        NotADescription::Syntax(told.lines().next().unwrap_or_default().to_owned())
    })?;
    match description.get("paths") {
        Some(Value::Object(_)) => Ok(description),
        _ => Err(NotADescription::Shape),
    }
}

/// What came of an import.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// The tools by name, each as a block of `tools.yaml`, two spaces in.
    pub tools: BTreeMap<String, String>,
    /// The schemas of their rows, by their files in the policy folder.
    pub schemas: BTreeMap<String, Value>,
    /// What was meant and is not there, with the reason.
    pub left_out: Vec<(String, &'static str)>,
}

/// The operations that are meant, as tools.
#[must_use]
pub fn import(description: &Value, select: &[Select]) -> Imported {
    let mut imported = Imported::default();
    let paths = description.get("paths").and_then(Value::as_object);
    for (path, item) in paths.into_iter().flatten() {
        let item = resolved(description, item);
        for (method, operation) in item.as_object().into_iter().flatten() {
            let is_method = ["get", "post", "put", "patch", "delete"].contains(&method.as_str());
            if !is_method || !select.iter().any(|select| select.means(path, operation)) {
                continue;
            }
            let called = text(operation, "operationId").unwrap_or(path);
            match Operation::of(description, path, method, item, operation) {
                Ok(operation) => operation.put(&mut imported),
                Err(why) => imported.left_out.push((called.to_owned(), why)),
            }
        }
    }
    imported
}

/// What a description says of an operation that reads.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) rows: String,
    pub(super) row: Value,
    pub(super) scopes: Vec<String>,
    pub(super) is_deprecated: bool,
}

/// What a description says of the `GET` of a path, whatever the names of its parameters; nothing
/// where it has none.
pub(super) fn operation_of(description: &Value, path: &str) -> Option<Said> {
    let is_hole = |segment: &str| segment.starts_with('{');
    let is_same = |known: &str| {
        known.split('/').count() == path.split('/').count()
            && known
                .split('/')
                .zip(path.split('/'))
                .all(|(known, asked)| known == asked || is_hole(known) && is_hole(asked))
    };
    let paths = description.get("paths")?.as_object()?;
    let (_, item) = paths.iter().find(|(known, _)| is_same(known))?;
    let operation = resolved(description, item).get("get")?;
    let shape = Shape::of(description, answer(description, operation)?);
    Some(Said {
        rows: shape.rows,
        row: shape.row,
        scopes: scopes(operation),
        is_deprecated: operation.get("deprecated") == Some(&Value::Bool(true)),
    })
}

/// An operation that reads, as far as a tool needs it.
struct Operation {
    name: String,
    description: String,
    path: String,
    scopes: Vec<String>,
    params: Vec<(String, Value)>,
    limit: Option<u64>,
    pages: &'static str,
    rows: String,
    columns: Vec<(String, String)>,
    component: String,
    row: Value,
}

impl Operation {
    fn of(
        description: &Value,
        path: &str,
        method: &str,
        item: &Value,
        operation: &Value,
    ) -> Result<Self, &'static str> {
        if method != "get" {
            return Err("it does not read");
        }
        if !path.starts_with("/api/v1/") {
            return Err("its path is not below `/api/v1/`");
        }
        let id = text(operation, "operationId").ok_or("it has no `operationId`")?;
        let answer = answer(description, operation).ok_or("it answers no JSON")?;
        let shape = Shape::of(description, answer);
        let row = shape.row;
        if row.get("properties").is_none() {
            return Err("nothing is said of what its answer holds");
        }
        let mut params = Vec::new();
        let (mut limit, mut after) = (None, false);
        for parameter in parameters(description, item, operation) {
            let Some(name) = text(parameter, "name") else {
                continue;
            };
            let schema = parameter
                .get("schema")
                .map(|schema| resolved(description, schema));
            match (text(parameter, "in"), name) {
                (Some("path"), _) => {
                    let schema = json!({"type": "string", "minLength": 1, "maxLength": 200});
                    params.push((
                        name.to_owned(),
                        json!({"in": "path", "required": true, "schema": schema}),
                    ));
                }
                (Some("query"), "after") => after = true,
                (Some("query"), "limit") => {
                    let most = schema.and_then(|schema| schema.get("maximum")?.as_u64());
                    limit = most.map(|most| most.min(1000));
                }
                // How rows are compared is ours to write, and what else they bring is not asked.
                (
                    Some("query"),
                    "filter" | "search" | "expand" | "fields" | "sortBy" | "sortOrder",
                ) => {}
                (Some("query"), _) => {
                    let is_required = parameter.get("required") == Some(&Value::Bool(true));
                    let mut said = json!({"in": "query", "schema": scalar(schema)});
                    if is_required && let Some(said) = said.as_object_mut() {
                        said.insert("required".to_owned(), true.into());
                    }
                    params.push((name.to_owned(), said));
                }
                _ => {}
            }
        }
        // What an operation says of a parameter comes behind what its path says, and counts.
        let mut params: Vec<(String, Value)> = params.into_iter().rev().collect();
        let mut seen = BTreeSet::new();
        params.retain(|(name, _)| {
            let is_name = name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            is_name && seen.insert(name.clone())
        });
        params.reverse();
        let pages = match (shape.has_links, after) {
            (true, _) => "body",
            (false, true) => "link",
            (false, false) => "none",
        };
        Ok(Self {
            name: snake(id),
            description: text(operation, "summary").unwrap_or(id).trim().to_owned(),
            path: path.to_owned(),
            scopes: scopes(operation),
            params,
            limit,
            pages,
            rows: shape.rows,
            columns: columns(&row),
            component: shape.component.unwrap_or_else(|| id.to_owned()),
            row,
        })
    }

    fn put(self, imported: &mut Imported) {
        let file = format!("{SCHEMAS}/{}.json", self.component);
        let mut block = format!("  {}:\n", self.name);
        let mut say = |line: String| {
            block.push_str("    ");
            block.push_str(&line);
            block.push('\n');
        };
        say(format!("description: {}", scalar_yaml(&self.description)));
        say(format!("get: {}", scalar_yaml(&self.path)));
        if !self.scopes.is_empty() {
            say(format!("scopes: [{}]", self.scopes.join(", ")));
        }
        if !self.params.is_empty() {
            say("params:".to_owned());
            for (name, param) in &self.params {
                say(format!("  {name}: {}", flow(param)));
            }
        }
        if let Some(limit) = self.limit {
            say(format!("query: {{limit: {limit}}}"));
        }
        if self.pages != "none" {
            say(format!("pages: {}", self.pages));
        }
        if !self.rows.is_empty() {
            say(format!("rows: {}", scalar_yaml(&self.rows)));
        }
        let columns = self
            .columns
            .iter()
            .map(|(name, path)| format!("{name}: {path}?"));
        say(format!(
            "columns: {{{}}}",
            columns.collect::<Vec<_>>().join(", ")
        ));
        say(format!("response: {{$ref: {file}}}"));
        say("imported: true".to_owned());
        imported.schemas.insert(file, self.row);
        imported.tools.insert(self.name, block);
    }
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

/// What a reference leads to; itself where it is none, or leads nowhere.
fn resolved<'d>(description: &'d Value, value: &'d Value) -> &'d Value {
    let mut value = value;
    for _ in 0..16 {
        let Some(target) = text(value, "$ref") else {
            return value;
        };
        let Some(found) = target
            .strip_prefix('#')
            .and_then(|at| description.pointer(at))
        else {
            return value;
        };
        value = found;
    }
    value
}

fn parameters<'d>(description: &'d Value, item: &'d Value, operation: &'d Value) -> Vec<&'d Value> {
    let lists = [item, operation].map(|holder| holder.get("parameters").and_then(Value::as_array));
    let all = lists.into_iter().flatten().flatten();
    all.map(|parameter| resolved(description, parameter))
        .collect()
}

fn scopes(operation: &Value) -> Vec<String> {
    let kinds = operation.get("security").and_then(Value::as_array);
    let granted = kinds
        .into_iter()
        .flatten()
        .filter_map(|kind| kind.get("oauth2")?.as_array());
    let scopes: BTreeSet<&str> = granted.flatten().filter_map(Value::as_str).collect();
    scopes.into_iter().map(str::to_owned).collect()
}

/// The schema of a good answer.
fn answer<'d>(description: &'d Value, operation: &'d Value) -> Option<&'d Value> {
    let response = resolved(description, operation.get("responses")?.get("200")?);
    let content = response.get("content")?.as_object()?;
    let json = content
        .iter()
        .find(|(kind, _)| kind.starts_with("application/json"));
    json?.1.get("schema")
}

/// What an answer is made of.
struct Shape {
    row: Value,
    rows: String,
    component: Option<String>,
    has_links: bool,
}

impl Shape {
    fn of(description: &Value, answer: &Value) -> Self {
        let whole = resolved(description, answer);
        if let Some(items) = whole.get("items") {
            return Self::at(description, items, "", false);
        }
        let properties = whole.get("properties").and_then(Value::as_object);
        let links = properties.and_then(|properties| properties.get("_links"));
        let lists: Vec<_> = properties
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name, resolved(description, value).get("items")?)))
            .collect();
        let others = properties.map_or(0, Map::len) - lists.len();
        match lists.as_slice() {
            [(name, items)] if others <= 1 => {
                let links = links.map(|links| flat(description, links, 3));
                let has_next =
                    links.is_some_and(|links| links.pointer("/properties/next").is_some());
                Self::at(description, items, &format!("/{name}"), has_next)
            }
            _ => Self::at(description, answer, "", false),
        }
    }

    fn at(description: &Value, row: &Value, rows: &str, has_links: bool) -> Self {
        let name = text(row, "$ref").and_then(|target| target.rsplit('/').next());
        Self {
            row: flat(description, row, DEPTH),
            rows: rows.to_owned(),
            component: name.map(str::to_owned),
            has_links,
        }
    }
}

/// A schema without references and without prose: types, properties and items, to a depth.
fn flat(description: &Value, schema: &Value, depth: usize) -> Value {
    let schema = resolved(description, schema);
    let mut told = Map::new();
    if let Some(kind) = schema.get("type") {
        told.insert("type".to_owned(), kind.clone());
    }
    if schema.get("discriminator").is_some() {
        // What its kinds have beside it stands with each kind.
        told.insert("additionalProperties".to_owned(), true.into());
    }
    let mut properties = Map::new();
    for key in ["allOf", "oneOf", "anyOf"] {
        let parts = schema.get(key).and_then(Value::as_array);
        for part in parts.into_iter().flatten().take(64) {
            let part = if depth == 0 {
                Value::Null
            } else {
                flat(description, part, depth)
            };
            if let Some(Value::Object(more)) = part.get("properties") {
                for (name, value) in more {
                    properties.entry(name).or_insert_with(|| value.clone());
                }
            }
            if let Some(open) = part.get("additionalProperties") {
                told.insert("additionalProperties".to_owned(), open.clone());
            }
            if let Some(kind) = part.get("type").filter(|_| !told.contains_key("type")) {
                told.insert("type".to_owned(), kind.clone());
            }
        }
    }
    if depth > 0 {
        let own = schema.get("properties").and_then(Value::as_object);
        for (name, value) in own.into_iter().flatten() {
            properties.insert(name.clone(), flat(description, value, depth - 1));
        }
        if let Some(items) = schema.get("items") {
            told.insert("items".to_owned(), flat(description, items, depth - 1));
        }
    }
    if !properties.is_empty() {
        told.insert("properties".to_owned(), properties.into());
    }
    Value::Object(told)
}

/// The columns of a row where nobody chose them: what names it first, then what else is one value.
fn columns(row: &Value) -> Vec<(String, String)> {
    const FIRST: [&str; 10] = [
        "id",
        "name",
        "label",
        "displayName",
        "status",
        "type",
        "kind",
        "created",
        "lastUpdated",
        "description",
    ];
    let mut found: Vec<(String, String)> = Vec::new();
    let mut leaves = Vec::new();
    leaves_of(row, "", 2, &mut leaves);
    let mut add = |path: &str| {
        let last = path.rsplit('/').next().unwrap_or(path);
        let is_name = last
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let name = snake(last);
        if is_name && found.len() < COLUMNS && !found.iter().any(|(known, _)| *known == name) {
            found.push((name, path.to_owned()));
        }
    };
    for first in FIRST {
        let named = leaves
            .iter()
            .filter(|path| path.rsplit('/').next() == Some(first));
        named
            .min_by_key(|path| path.len())
            .into_iter()
            .for_each(|path| add(path));
    }
    leaves
        .iter()
        .filter(|path| !path.contains("/_"))
        .for_each(|path| add(path));
    if found.is_empty() {
        let properties = row.get("properties").and_then(Value::as_object);
        for (name, _) in properties.into_iter().flatten().take(COLUMNS) {
            found.push((snake(name), format!("/{name}")));
        }
    }
    found
}

fn leaves_of(row: &Value, above: &str, depth: usize, leaves: &mut Vec<String>) {
    let properties = row.get("properties").and_then(Value::as_object);
    for (name, value) in properties.into_iter().flatten() {
        let path = format!("{above}/{name}");
        let is_leaf = matches!(
            text(value, "type"),
            Some("string" | "integer" | "number" | "boolean")
        );
        if is_leaf {
            leaves.push(path);
        } else if depth > 1 {
            leaves_of(value, &path, depth - 1, leaves);
        }
    }
}

/// A parameter's schema: what holds of one value.
fn scalar(schema: Option<&Value>) -> Value {
    const KEPT: [&str; 7] = [
        "type",
        "enum",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "format",
    ];
    let written = schema.and_then(Value::as_object);
    let mut kept = Map::new();
    for (key, value) in written.into_iter().flatten() {
        let is_list = key == "type" && (value == "array" || value == "object");
        if KEPT.contains(&key.as_str()) && !is_list {
            kept.insert(key.clone(), value.clone());
        }
    }
    if !kept.contains_key("type") && !kept.contains_key("enum") {
        kept.insert("type".to_owned(), "string".into());
    }
    // Formats such as `int32` say nothing to JSON Schema.
    if kept
        .get("format")
        .is_some_and(|format| format != "date-time")
    {
        kept.remove("format");
    }
    Value::Object(kept)
}

/// `listAppUsers` as `list_app_users`.
#[must_use]
pub fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut told = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| letters.get(at));
        let after = letters.get(at + 1);
        let is_begin = letter.is_uppercase()
            && before.is_some_and(|before| {
                !before.is_uppercase() && *before != '_'
                    || before.is_uppercase() && after.is_some_and(|after| after.is_lowercase())
            });
        if is_begin {
            told.push('_');
        }
        told.extend(letter.to_lowercase());
    }
    told.replace(['-', '.', ' '], "_")
}

/// A text as it may stand in YAML.
fn scalar_yaml(text: &str) -> String {
    let is_plain = text.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '/')
        && text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || " /-_.(){}'".contains(letter))
        && !text.ends_with(' ')
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_lowercase().as_str());
    if is_plain && (text.starts_with('/') || !text.contains(['{', '}'])) {
        text.to_owned()
    } else {
        json!(text).to_string()
    }
}

/// A JSON value in the flow style of YAML.
fn flow(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let entries = map
                .iter()
                .map(|(key, value)| format!("{key}: {}", flow(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => {
            let items = items.iter().map(flow);
            format!("[{}]", items.collect::<Vec<_>>().join(", "))
        }
        Value::String(text) if !text.contains(['{', '}', '\'']) => scalar_yaml(text),
        other => other.to_string(),
    }
}
