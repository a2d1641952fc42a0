//! What may be asked of Okta: one operation that reads, with its parameters and its columns.

use std::fmt;

use serde_json::Value;

use crate::diag::Span;
use crate::event::Time;
use crate::tools::Form;

/// An operation that reads, as questions may use it.
#[derive(Clone, Debug)]
pub struct Tool {
    /// Its name in `tools.yaml`.
    pub name: String,
    /// Where it is written.
    pub at: Span,
    /// What it gives.
    pub description: String,
    /// What its rows do not say, for whoever reads an answer.
    pub notes: Option<String>,
    /// The path with the names of parameters in braces, such as `/api/v1/apps/{appId}/users`.
    pub path: String,
    /// Where the path is written.
    pub path_at: Span,
    /// The scopes of OAuth of which a service app needs one.
    pub scopes: Vec<(String, Span)>,
    /// What it may be given, in the order written.
    pub params: Vec<Param>,
    /// What is always in the query.
    pub query: Vec<(String, String)>,
    /// How its answers go on.
    pub pages: Pages,
    /// The bucket of the rate limit that it counts in.
    pub rate_limit: String,
    /// Where in an answer the rows are, as a JSON Pointer; the answer itself where it is empty.
    pub rows: String,
    /// What a row is shown by.
    pub columns: Vec<Column>,
    /// The JSON Schema of a row as it was described, a path in the policy folder.
    pub response: Option<(String, Span)>,
    /// Questions that it answers.
    pub examples: Vec<String>,
    /// Forms of questions that it answers.
    pub patterns: Vec<Form>,
    /// Whether it is as it was imported, and nobody looked at it.
    pub is_imported: bool,
}

/// A parameter of a tool or of a recipe.
#[derive(Clone, Debug)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Where it is written.
    pub at: Span,
    /// Where its value goes.
    pub place: Place,
    /// Whether a call without it is none.
    pub required: bool,
    /// What it may be, as JSON Schema.
    pub schema: Value,
    /// What it is where nobody says; `now` of a time is the moment of the question.
    pub default: Option<Value>,
}

impl Param {
    /// Whether it is a moment.
    #[must_use]
    pub fn is_time(&self) -> bool {
        let format = self.schema.get("format");
        format.is_some_and(|format| format == "date-time")
    }

    /// What it is where nobody says, for a question of this moment.
    #[must_use]
    pub fn default_at(&self, now: Time) -> Option<Value> {
        match &self.default {
            Some(Value::String(text)) if self.is_time() && text == "now" => {
                Some(now.to_string().into())
            }
            other => other.clone(),
        }
    }
}

/// Where the value of a parameter goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A segment of the path.
    Path,
    /// The query, under its own name.
    Query,
    /// An expression of SCIM in the query: `attribute operator "value"`, joined by `and`.
    Clause {
        /// The parameter of the query, `filter` or `search`.
        parameter: &'static str,
        /// What is compared, such as `profile.department`.
        attribute: String,
        /// How, such as `eq`.
        operator: &'static str,
    },
    /// The steps of a recipe.
    Recipe,
}

/// How the answers of a tool go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// There is one.
    None,
    /// By a `Link` header.
    Link,
    /// By `_links.next.href` in the body.
    Body,
}

/// One value of each row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Where it is written.
    pub at: Span,
    /// Where in a row its value is.
    pub path: RowPath,
    /// Whether a row may be without it. One that is there in the registry and gone in the answer is
    /// a change of Okta's that no plan goes past.
    pub is_optional: bool,
}

/// A way into a row: like a JSON Pointer, where `{key=value}` stands for the first item of a list
/// whose `key` is that text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowPath(pub Vec<Segment>);

/// One step of a [`RowPath`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A key, or a place in a list.
    Key(String),
    /// The first item of a list whose key is a text.
    Where(String, String),
}

impl RowPath {
    /// Reads one; nothing where it does not begin with `/` or a brace is not closed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('/')?;
        let segment = |segment: &str| match segment.strip_prefix('{') {
            Some(inner) => {
                let (key, value) = inner.strip_suffix('}')?.split_once('=')?;
                Some(Segment::Where(key.to_owned(), value.to_owned()))
            }
            None if segment.is_empty() => None,
            None => Some(Segment::Key(segment.replace("~1", "/").replace("~0", "~"))),
        };
        rest.split('/')
            .map(segment)
            .collect::<Option<_>>()
            .map(Self)
    }

    /// The value and the JSON Pointer to it, both from the row; nothing where the row has no such
    /// place.
    #[must_use]
    pub fn find<'r>(&self, row: &'r Value) -> Option<(&'r Value, String)> {
        let mut pointer = String::new();
        let mut value = row;
        for segment in &self.0 {
            let key = match (segment, value) {
                (Segment::Key(key), _) => key.clone(),
                (Segment::Where(key, wanted), Value::Array(items)) => {
                    let is_it = |item: &Value| {
                        item.get(key).and_then(Value::as_str) == Some(wanted.as_str())
                    };
                    items.iter().position(is_it)?.to_string()
                }
                (Segment::Where(..), _) => return None,
            };
            let step = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
            value = value.pointer(&step)?;
            pointer.push_str(&step);
        }
        Some((value, pointer))
    }
}

impl fmt::Display for RowPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.0 {
            match segment {
                Segment::Key(key) => write!(f, "/{}", key.replace('~', "~0").replace('/', "~1"))?,
                Segment::Where(key, value) => write!(f, "/{{{key}={value}}}")?,
            }
        }
        Ok(())
    }
}

impl Tool {
    /// A parameter by name.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&Param> {
        self.params.iter().find(|param| param.name == name)
    }

    /// A column by name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}
