//! Keywords of JSON Schema that endpoints take and do not hold a model to.
//!
//! A reply that breaks one is refused here all the same: that is a wasted call, and the default.

use crate::diag::{Problems, Span};
use crate::document::{Kind, Node};
use crate::slots::codes;

/// Keywords that no grammar of replies knows, whatever they stand beside.
const UNKNOWN: [(&str, &str); 9] = [
    ("format", "write what matters of it as a `pattern`"),
    ("uniqueItems", "say in the text that each may be there once"),
    ("multipleOf", "ask for a whole number"),
    ("contains", "require a key for it"),
    ("propertyNames", "name the keys under `properties`"),
    ("patternProperties", "name the keys under `properties`"),
    ("not", "say what is allowed, with `enum`"),
    ("if", "say it with `anyOf`"),
    ("dependentRequired", "say it with `anyOf`"),
];

/// The bounds of numbers.
const BOUNDS: [&str; 4] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];

/// Warns about the keywords of a schema and of the schemas in it.
pub(super) fn report(schema: &Node, problems: &mut Problems) {
    let Kind::Map(entries) = &schema.kind else {
        return;
    };
    let is_whole = entries
        .iter()
        .any(|(key, value)| key.text == "type" && value.kind == Kind::Text("integer".to_owned()));
    for (key, value) in entries {
        let name = key.text.as_str();
        if let Some((_, help)) = UNKNOWN.iter().find(|(known, _)| *known == name) {
            warn(name, key.span, help, problems);
        } else if BOUNDS.contains(&name) && !is_whole {
            warn(
                name,
                key.span,
                "ask for an `integer`, of which they are kept",
                problems,
            );
        } else if name == "pattern" && !is_anchored(value) {
            warn(
                name,
                value.span,
                "begin the pattern with `^` and end it with `$`",
                problems,
            );
        }
        below(name, value, problems);
    }
}

fn warn(keyword: &str, span: Span, help: &str, problems: &mut Problems) {
    let message = format!("endpoints take `{keyword}` here and do not hold a model to it");
    problems.warn(codes::NOT_ENFORCED, span, message).help(help);
}

fn is_anchored(node: &Node) -> bool {
    matches!(&node.kind, Kind::Text(pattern)
        if pattern.starts_with('^') && pattern.ends_with('$') && !pattern.ends_with("\\$"))
}

/// The schemas in the value of a keyword; values and names that look like keywords are none.
fn below(keyword: &str, value: &Node, problems: &mut Problems) {
    match (keyword, &value.kind) {
        ("enum" | "const" | "default" | "examples", _) => {}
        ("properties" | "patternProperties" | "$defs" | "dependentSchemas", Kind::Map(named)) => {
            for (_, schema) in named {
                report(schema, problems);
            }
        }
        (_, Kind::List(schemas)) => {
            for schema in schemas {
                report(schema, problems);
            }
        }
        _ => report(value, problems),
    }
}
