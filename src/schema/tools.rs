//! `tools.yaml`.

use serde_json::{Value, json};

use crate::schema::pages::Table;
use crate::schema::{closed, mapping_to, named, said, text, together};
use crate::tools::{Hole, METHODS};

pub(super) fn schema() -> Value {
    let commands = said(
        "The templates of the commands that may be suggested for the steps of a plan",
        json!({"type": "object", "propertyNames": named("step"), "additionalProperties": command()}),
    );
    closed(Table::NONE, &["commands"], json!({"commands": commands}))
}

fn command() -> Value {
    let holes = Hole::ALL.map(|(name, _)| name).join("|");
    let filled = |text: &str| format!(r"({text}|\{{({holes})\}})");
    let query = format!("^{}*$", filled("[^{]"));
    let scalar = json!({"type": ["string", "number", "boolean"], "pattern": query});
    let own = json!({
        "step": named("step"),
        "finding_types": {"type": "array", "items": named("finding_type"), "minItems": 1},
        "system": {"type": "string", "enum": ["okta_api"]},
        "description": text(),
        "notes": text(),
        "scope": text(),
        "query": mapping_to(scalar),
        "body": {},
    });
    let path = format!("^/api/v1/{}+$", filled("[^?#{]"));
    let path = || json!({"type": "string", "pattern": path});
    let methods = METHODS.map(|(method, _)| json!({method: path()}));
    let mut command = closed(
        Table::COMMANDS,
        &["system", "description"],
        together([own].into_iter().chain(methods)),
    );
    let one = METHODS.map(|(method, _)| json!({"required": [method]}));
    if let Value::Object(command) = &mut command {
        command.insert("oneOf".to_owned(), one.to_vec().into());
    }
    command
}
