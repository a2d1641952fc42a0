//! A file that a person wrote, as a tree in which every key and value knows its place.
//!
//! YAML, TOML and a prompt's front matter all become [`Node`]s, so that a
//! decoder can report every problem of a file in one run, each at its place.
//! Serde's derive stops at the first one.

mod allow;
mod plain;
mod table;
mod toml;
mod yaml;

pub use self::allow::{WORD_OF_ALLOWANCES, read_allowances};
pub use self::table::Table;
pub use self::toml::parse_toml;
pub use self::yaml::{parse_yaml, parse_yaml_documents};

use serde_json::Number;

use crate::diag::{Problems, Span};
use crate::event::Nanos;

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it is written.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// What a [`Node`] holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Nothing: `null`, `~` or an empty value.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order written, keys unique.
    Map(Vec<(Key, Node)>),
}

/// The key of a mapping, with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Where it is written.
    pub span: Span,
    /// The key.
    pub text: String,
}

/// The codes of shape problems, the same in every file format.
pub mod codes {
    /// The file is not well-formed YAML or TOML, or past a limit.
    pub const SYNTAX: &str = "RL0010";
    /// A key that the format does not have.
    pub const UNKNOWN_KEY: &str = "RL0011";
    /// A key that the format asks for is missing.
    pub const MISSING_KEY: &str = "RL0012";
    /// A value of another type than the format asks for.
    pub const WRONG_TYPE: &str = "RL0013";
    /// A value of the right type that is not allowed.
    pub const BAD_VALUE: &str = "RL0014";
}

impl Node {
    /// What this is, in the words of a message.
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "true or false",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    /// The text of a scalar as a person would write it; `None` for null, lists and mappings.
    #[must_use]
    pub fn scalar_text(&self) -> Option<String> {
        match &self.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Number(number) => Some(number.to_string()),
            Kind::Bool(value) => Some(value.to_string()),
            Kind::Null | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// A mapping to take keys from; reports anything else.
    pub fn table<'n>(&'n self, problems: &mut Problems) -> Option<Table<'n>> {
        match &self.kind {
            Kind::Map(entries) => Some(Table::new(self.span, entries)),
            _ => self.wrong("a mapping", problems),
        }
    }

    /// A text; reports anything else.
    pub fn text<'n>(&'n self, problems: &mut Problems) -> Option<&'n str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => self.wrong("a text", problems),
        }
    }

    /// A list; reports anything else.
    pub fn list<'n>(&'n self, problems: &mut Problems) -> Option<&'n [Node]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            _ => self.wrong("a list", problems),
        }
    }

    /// A list of texts with their places; reports what is not.
    pub fn texts<'n>(&'n self, problems: &mut Problems) -> Vec<(&'n str, Span)> {
        let items = self.list(problems).unwrap_or_default();
        items
            .iter()
            .filter_map(|item| Some((item.text(problems)?, item.span)))
            .collect()
    }

    /// `true` or `false`; reports anything else.
    pub fn boolean(&self, problems: &mut Problems) -> Option<bool> {
        match &self.kind {
            Kind::Bool(value) => Some(*value),
            _ => self.wrong("true or false", problems),
        }
    }

    /// A finite number of at least `low` and at most `high`; reports anything else.
    pub fn number(&self, low: f64, high: f64, problems: &mut Problems) -> Option<f64> {
        let Kind::Number(number) = &self.kind else {
            return self.wrong("a number", problems);
        };
        let value = number.as_f64()?;
        if !(low..=high).contains(&value) {
            let message = format!("`{number}` is out of range");
            problems
                .error(codes::BAD_VALUE, self.span, message)
                .help(format!("expected {low} to {high}"));
            return None;
        }
        Some(value)
    }

    /// A whole number that is not negative; reports anything else.
    pub fn count(&self, problems: &mut Problems) -> Option<u64> {
        match &self.kind {
            Kind::Number(number) if number.is_u64() => number.as_u64(),
            Kind::Number(number) => {
                let message = format!("expected a whole number, 0 or more, found `{number}`");
                problems.error(codes::WRONG_TYPE, self.span, message);
                None
            }
            _ => self.wrong("a whole number, 0 or more", problems),
        }
    }

    /// A time span such as `10m`; reports anything else.
    pub fn span_of_time(&self, problems: &mut Problems) -> Option<Nanos> {
        if let Kind::Number(number) = &self.kind {
            problems
                .error(
                    codes::WRONG_TYPE,
                    self.span,
                    format!("`{number}` has no unit"),
                )
                .help(format!(
                    "a time span is written like `{number}m` or `{number}s`"
                ));
            return None;
        }
        let text = self.text(problems)?;
        let parsed = Nanos::parse(text);
        if parsed.is_none() {
            problems
                .error(
                    codes::BAD_VALUE,
                    self.span,
                    format!("`{text}` is not a time span"),
                )
                .help("write a whole number and one of s, m, h, d, w, M, y, such as `10m`");
        }
        parsed
    }

    /// One of a closed list of words; reports anything else.
    pub fn one_of<T: Copy>(&self, words: &[(&str, T)], problems: &mut Problems) -> Option<T> {
        let text = self.text(problems)?;
        let found = words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value);
        if found.is_none() {
            problems
                .error(
                    codes::BAD_VALUE,
                    self.span,
                    format!("`{text}` is not allowed here"),
                )
                .did_you_mean(text, words.iter().map(|(word, _)| *word));
        }
        found
    }

    /// The value that a JSON Pointer (RFC 6901) leads to.
    #[must_use]
    pub fn at(&self, pointer: &str) -> Option<&Self> {
        let mut steps = pointer.split('/').skip(1);
        steps.try_fold(self, |node, step| {
            let step = step.replace("~1", "/").replace("~0", "~");
            match &node.kind {
                Kind::Map(entries) => {
                    let mut found = entries.iter().filter(|(key, _)| key.text == step);
                    found.next().map(|(_, value)| value)
                }
                Kind::List(items) => items.get(step.parse::<usize>().ok()?),
                _ => None,
            }
        })
    }

    fn wrong<T>(&self, expected: &str, problems: &mut Problems) -> Option<T> {
        let message = format!("expected {expected}, found {}", self.describe());
        problems.error(codes::WRONG_TYPE, self.span, message);
        None
    }

    /// The tree as JSON, places forgotten.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match &self.kind {
            Kind::Null => serde_json::Value::Null,
            Kind::Bool(value) => (*value).into(),
            Kind::Number(number) => number.clone().into(),
            Kind::Text(text) => text.clone().into(),
            Kind::List(items) => items.iter().map(Self::to_json).collect(),
            Kind::Map(entries) => entries
                .iter()
                .map(|(k, v)| (k.text.clone(), v.to_json()))
                .collect(),
        }
    }
}
