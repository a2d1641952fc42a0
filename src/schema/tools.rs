//! `tools.yaml`.

use serde_json::{Value, json};

use crate::schema::pages::Table;
use crate::schema::{boolean, closed, list_of, mapping_to, named, said, text, together};
use crate::tools::{Hole, METHODS};

pub(super) fn schema() -> Value {
    let commands = said(
        "The templates of the commands that may be suggested for the steps of a plan",
        json!({"type": "object", "propertyNames": named("step"), "additionalProperties": command()}),
    );
    let tools = said(
        "What questions may ask of Okta: operations that read",
        json!({"type": "object", "additionalProperties": tool()}),
    );
    let recipes = said(
        "Plans with parameters: calls of tools, and closed operators over their rows",
        json!({"type": "object", "additionalProperties": recipe()}),
    );
    let words = said(
        "Words and phrases that mean the same in questions",
        list_of(json!({"type": "array", "items": text(), "minItems": 1})),
    );
    let keys = json!({"words": words, "tools": tools, "recipes": recipes, "commands": commands});
    closed(Table::NONE, &["commands"], keys)
}

fn tool() -> Value {
    let scalar = json!({"type": ["string", "number", "boolean"]});
    let schema = closed(Table::NONE, &["$ref"], json!({"$ref": text()}));
    closed(
        Table::TOOLS,
        &["description", "get", "columns"],
        json!({
            "description": text(),
            "notes": text(),
            "get": {"type": "string", "pattern": "^/api/v1/[^?#]+$"},
            "scopes": list_of(text()),
            "params": mapping_to(param()),
            "query": mapping_to(scalar),
            "pages": {"type": "string", "enum": ["none", "link", "body"]},
            "rate_limit": text(),
            "rows": {"type": "string", "pattern": "^/"},
            "columns": {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string", "pattern": "^/"}},
            "response": schema,
            "examples": list_of(text()),
            "patterns": list_of(form()),
            "imported": boolean(),
        }),
    )
}

fn param() -> Value {
    let places = ["path", "query", "filter", "search"];
    let operators = ["eq", "ne", "gt", "ge", "lt", "le", "co", "sw", "ew"];
    closed(
        Table::PARAMS,
        &["in", "schema"],
        json!({
            "in": {"type": "string", "enum": places},
            "required": boolean(),
            "schema": {"type": ["object", "boolean"]},
            "default": {},
            "attribute": {"type": "string", "pattern": "^[A-Za-z0-9._]+$"},
            "operator": {"type": "string", "enum": operators},
        }),
    )
}

fn form() -> Value {
    let with = json!({"form": text(), "with": mapping_to(json!({}))});
    json!({"anyOf": [text(), closed(Table::NONE, &["form", "with"], with)]})
}

fn recipe() -> Value {
    let step = json!({"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": step()});
    closed(
        Table::RECIPES,
        &["description", "steps"],
        json!({
            "description": text(),
            "notes": text(),
            "params": mapping_to(json!({"type": "object"})),
            "follows": list_of(text()),
            "steps": {"type": "array", "items": step, "minItems": 1, "maxItems": 16},
            "examples": list_of(text()),
            "patterns": list_of(form()),
        }),
    )
}

fn step() -> Value {
    let names = json!({"anyOf": [list_of(text()), mapping_to(text())]});
    let term = json!({"type": ["string", "number", "boolean", "null"]});
    let clauses = mapping_to(json!({"anyOf": [term, list_of(term.clone())]}));
    closed(
        Table::STEPS,
        &[],
        json!({
            "call": text(),
            "with": {"anyOf": [text(), mapping_to(term)]},
            "each": text(),
            "keep": names,
            "from": text(),
            "join": text(),
            "left_join": text(),
            "semi_join": text(),
            "anti_join": text(),
            "on": {"anyOf": [mapping_to(text()), list_of(text())]},
            "union": list_of(text()),
            "count": text(),
            "group": text(),
            "by": list_of(text()),
            "latest": text(),
            "members": text(),
            "called": text(),
            "list": text(),
            "says": list_of(text()),
            "filter": {"anyOf": [clauses, list_of(clauses.clone())]},
            "sort": text(),
            "limit": {"type": "integer", "minimum": 0},
            "select": names,
            "expect": {"type": "string", "enum": ["one", "any"]},
        }),
    )
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
