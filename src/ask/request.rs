//! A tool and values → a request: data, until somebody sends it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::okta::client::{Call, Expects, Operation};
use crate::tools::{Place, Tool};

/// What is to be asked of Okta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The values of the path, by their names.
    pub path: Vec<(String, String)>,
    /// The query, not encoded.
    pub query: Vec<(String, String)>,
}

/// The request of a tool with these values, which its schemas took.
#[must_use]
pub fn request(tool: &Tool, values: &BTreeMap<String, Value>) -> Request {
    let mut path = Vec::new();
    let mut query = tool.query.clone();
    let mut clauses: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for param in &tool.params {
        let Some(value) = values.get(&param.name) else {
            continue;
        };
        let text = plain(value);
        match &param.place {
            Place::Path => path.push((param.name.clone(), text)),
            Place::Query => query.push((param.name.clone(), text)),
            Place::Clause {
                parameter,
                attribute,
                operator,
            } => {
                let value = match value {
                    Value::Bool(_) | Value::Number(_) => text,
                    _ => quoted(&text),
                };
                let clause = format!("{attribute} {operator} {value}");
                clauses.entry(parameter).or_default().push(clause);
            }
            Place::Recipe => {}
        }
    }
    for (parameter, clauses) in clauses {
        query.push((parameter.to_owned(), clauses.join(" and ")));
    }
    Request { path, query }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A text as SCIM writes it (RFC 7644, section 3.4.2.2: a JSON string).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl Request {
    /// The call of Okta's client; nothing where a value cannot stand in a path.
    #[must_use]
    pub fn call(&self, tool: &Tool) -> Option<Call> {
        let scope = tool.scopes.first().map_or("", |(scope, _)| scope);
        let operation = Operation::get(&tool.path, &tool.rate_limit, scope);
        let path: Vec<(&str, &str)> = pairs(&self.path);
        let query: Vec<(&str, &str)> = pairs(&self.query);
        Call::new(&operation, &path, &query, Expects::Either)
    }

    /// How it is told: `GET /api/v1/users?limit=200`.
    #[must_use]
    pub fn shown(&self, tool: &Tool) -> String {
        match self.call(tool) {
            Some(call) if call.query().is_empty() => format!("GET {}", call.path()),
            Some(call) => format!("GET {}?{}", call.path(), call.query()),
            None => format!("GET {}", tool.path),
        }
    }
}

fn pairs(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}
