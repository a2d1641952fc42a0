//! What a slot of the engineer's holds where no reply is accepted: a table whose texts are
//! templates over the context of the prompt, within the schema of the prompt.

use serde_json::Value;

use crate::diag::{Problems, Span};
use crate::document::{Kind, Node};
use crate::slots::context::{self, words};
use crate::slots::template::{self, Fault, NotRendered};
use crate::slots::{Prompt, codes};

/// The most bytes of a text with its values, before it is cut to what the schema allows.
const LONGEST: usize = 64 << 10;
/// What says that something was cut.
const CUT: char = '…';

/// The `default` of `[slots.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fallback {
    written: Node,
}

/// Why a default could not be made of a context.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFallback {
    /// A text of it could not be filled in.
    #[error("the default of the slot: {0}")]
    NotRendered(#[from] NotRendered),
    /// With these values it is not what the schema asks for.
    #[error("the default of the slot breaks its schema: {0}")]
    Broken(String),
}

impl Fallback {
    /// Reads a table; reports anything else.
    pub(super) fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        node.table(problems)?;
        Some(Self {
            written: node.clone(),
        })
    }

    /// As it is written.
    #[must_use]
    pub fn written(&self) -> Value {
        self.written.to_json()
    }

    /// The default of a context. A text that is longer than the schema's `maxLength` is cut.
    ///
    /// # Errors
    ///
    /// When it cannot be what the schema asks for.
    pub fn of(&self, prompt: &Prompt, context: &Value) -> Result<Value, NoFallback> {
        let filled = self.filled(prompt, &prompt.select(context))?;
        let broken = prompt.errors(&filled);
        if broken.is_empty() {
            Ok(filled)
        } else {
            Err(NoFallback::Broken(broken.join("; ")))
        }
    }

    fn filled(&self, prompt: &Prompt, selected: &Value) -> Result<Value, NotRendered> {
        let mut value = self.written.to_json();
        fill(&mut value, selected)?;
        cut(&mut value, &prompt.schema);
        Ok(value)
    }

    /// Reports what is wrong with it: in its templates, and where it breaks the schema, with the
    /// longest values of the fields and without any.
    pub fn check(&self, path: &str, prompt: &Prompt, problems: &mut Problems) {
        let errors = problems.counts().0;
        check_texts(&self.written, path, prompt, problems);
        if problems.counts().0 > errors {
            return;
        }
        let [long, many] = context::largest(&prompt.context);
        let mut told = Vec::new();
        for values in [prompt.select(&Value::Null), long, many] {
            let broken = match self.filled(prompt, &values) {
                Ok(value) => prompt.broken(&value),
                Err(why) => vec![(String::new(), why.to_string())],
            };
            for (at, message) in broken {
                let problem = (at, message);
                if !told.contains(&problem) {
                    self.report(&problem.0, &problem.1, path, problems);
                    told.push(problem);
                }
            }
        }
    }

    fn report(&self, at: &str, message: &str, path: &str, problems: &mut Problems) {
        let node = self.written.at(at).unwrap_or(&self.written);
        problems
            .error(
                codes::BAD_DEFAULT,
                node.span,
                format!("not what the schema of `{path}` asks for: {message}"),
            )
            .help("the default is what the slot holds without a model, so that it satisfies the schema whatever the values of its fields are");
    }
}

fn fill(value: &mut Value, selected: &Value) -> Result<(), NotRendered> {
    match value {
        Value::String(text) => *text = template::render(text, selected, words, LONGEST)?,
        Value::Array(items) => {
            for item in items {
                fill(item, selected)?;
            }
        }
        Value::Object(entries) => {
            for (_, value) in entries.iter_mut() {
                fill(value, selected)?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

/// Cuts each text to the `maxLength` that the schema says of its place in so many words.
fn cut(value: &mut Value, schema: &Value) {
    match value {
        Value::String(text) => {
            let most = schema.get("maxLength").and_then(Value::as_u64);
            let most = most.and_then(|most| usize::try_from(most).ok());
            if let Some(most) = most.filter(|most| text.chars().count() > *most) {
                *text = text.chars().take(most.saturating_sub(1)).collect();
                text.extend((most > 0).then_some(CUT));
            }
        }
        Value::Array(items) => {
            let schema = schema.get("items").unwrap_or(&Value::Null);
            items.iter_mut().for_each(|item| cut(item, schema));
        }
        Value::Object(entries) => {
            let properties = schema.get("properties");
            for (key, value) in entries.iter_mut() {
                let schema = properties.and_then(|properties| properties.get(key));
                cut(value, schema.unwrap_or(&Value::Null));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn check_texts(node: &Node, path: &str, prompt: &Prompt, problems: &mut Problems) {
    match &node.kind {
        Kind::Text(text) => {
            for wrong in template::check(text, &prompt.context) {
                let span = problems.part(node.span, text, wrong.at, wrong.at + 2);
                report_text(&wrong.what, span, path, prompt, problems);
            }
        }
        Kind::List(items) => {
            for item in items {
                check_texts(item, path, prompt, problems);
            }
        }
        Kind::Map(entries) => {
            for (_, value) in entries {
                check_texts(value, path, prompt, problems);
            }
        }
        Kind::Null | Kind::Bool(_) | Kind::Number(_) => {}
    }
}

fn report_text(what: &Fault, span: Span, path: &str, prompt: &Prompt, problems: &mut Problems) {
    let listed = prompt.context.iter().map(String::as_str);
    match what {
        Fault::Undeclared(name) if context::known(name).is_none() => problems
            .error(
                codes::CONTEXT,
                span,
                format!("there is no context field `{name}`"),
            )
            .did_you_mean(name, listed),
        Fault::Undeclared(name) => problems
            .error(
                codes::CONTEXT,
                span,
                format!("the text uses `{name}`, which the `context` of `{path}` does not list"),
            )
            .help("list it there, so that the prompt and the default are made of the same fields"),
        Fault::Unreadable(message) => problems
            .error(codes::TEMPLATE, span, message.clone())
            .help("a text has `{{ NAME }}`, `{% if NAME %}` and `{% for X in NAME %}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_are_cut_wherever_the_schema_says_how_long_they_may_be() {
        let schema = json!({
            "properties": {
                "short": {"maxLength": 3},
                "none": {"maxLength": 0},
                "list": {"items": {"properties": {"a": {"maxLength": 1}}}},
                "free": {},
            },
        });
        let mut value = json!({
            "short": "äöüx", "none": "x", "list": [{"a": "xy", "b": "xy"}], "free": "xyz", "more": "xyz", "n": 1,
        });
        cut(&mut value, &schema);
        let expected = json!({
            "short": "äö…", "none": "", "list": [{"a": "…", "b": "xy"}], "free": "xyz", "more": "xyz", "n": 1,
        });
        assert_eq!(value, expected);
    }
}
