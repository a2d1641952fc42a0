//! Where a literal of a plan comes from.

use std::fmt;

use serde_json::Value;

use crate::tools::{Param, number, tokens};

/// Where a literal comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ground {
    /// These words of the question, from byte to byte.
    Question(usize, usize),
    /// The parameter's own default.
    Default,
    /// The form of questions that the question has.
    Form,
}

impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Question(from, to) => write!(f, "question, bytes {from} to {to}"),
            Self::Default => write!(f, "the registry's default"),
            Self::Form => write!(f, "the form of the question"),
        }
    }
}

/// A text as words are compared: lower-cased, `_` and `-` as blanks.
pub(super) fn folded(text: &str) -> String {
    let text = text.to_lowercase().replace(['_', '-'], " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where a literal comes from: the words of the question that say it, or the registry. A value of
/// an `enum` is no exception: the question has to name it.
#[must_use]
pub fn ground(question: &str, value: &Value, param: Option<&Param>) -> Option<Ground> {
    if param.is_some_and(|param| param.default.as_ref() == Some(value)) {
        return Some(Ground::Default);
    }
    let tokens = tokens(question);
    let at = |from: usize, to: usize| {
        let (from, to) = (tokens.get(from)?, tokens.get(to)?);
        Some(Ground::Question(from.at.start, to.at.end))
    };
    match value {
        Value::Number(wanted) => {
            let wanted = wanted.as_i64()?;
            let place = tokens
                .iter()
                .position(|token| number(&token.word) == Some(wanted))?;
            at(place, place)
        }
        Value::String(text) => {
            let wanted = folded(text);
            if wanted.is_empty() {
                return None;
            }
            // One of a list, or of a filter, which does not look at case, may be written otherwise.
            let is_listed = param.is_none_or(|param| param.schema.get("enum").is_some());
            let is_said = |found: &Ground| match found {
                Ground::Question(from, to) => {
                    is_listed || question.get(*from..*to) == Some(text.as_str())
                }
                _ => false,
            };
            for from in 0..tokens.len() {
                let mut said = String::new();
                for to in from..tokens.len().min(from + 12) {
                    let token = tokens.get(to)?;
                    if !said.is_empty() {
                        said.push(' ');
                    }
                    said.push_str(&folded(&token.word));
                    if said == wanted
                        && let Some(found) = at(from, to).filter(is_said)
                    {
                        return Some(found);
                    }
                    if said.len() > wanted.len() {
                        break;
                    }
                }
            }
            None
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
