//! What a model is shown of the registry for a question, and what it may say: a schema made of
//! those few tools, in which there is no room for a path, a query or a text.

use serde_json::{Map, Value, json};

use crate::ask::plan::Wanted;
use crate::tools::{Catalogue, Param, Recipe, Tool};

/// The codes with which a model may refuse.
pub const REFUSALS: [&str; 3] = ["uncertain", "out_of_scope", "not_read_only"];

/// A step, a column: what a plan may call things.
const NAME: &str = "^[a-z][a-z0-9_]{0,29}$";
/// A time before the question.
const AGO: &str = "^-[0-9]{1,4}[dh]$";
/// The value of a column of an earlier step.
const FIELD: &str = "^\\$[a-z][a-z0-9_]{0,29}\\.[a-z][a-z0-9_]{0,29}$";
/// The most steps of a plan.
const MOST_STEPS: usize = 6;
/// The keywords of a parameter's schema that endpoints hold a model to.
const KEPT: [&str; 7] = [
    "type",
    "enum",
    "const",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
];
/// How texts of filters are compared.
const TESTS: [&str; 9] = [
    "is", "not", "contains", "without", "before", "after", "exists", "gt", "lt",
];

/// What a model said.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// That this is asked for.
    Wanted(Wanted),
    /// That nothing is, with one of [`REFUSALS`].
    Refused(String),
}

/// The tools and recipes that a model is shown.
#[derive(Debug, Default)]
pub struct Slice<'c> {
    tools: Vec<&'c Tool>,
    recipes: Vec<&'c Recipe>,
}

impl<'c> Slice<'c> {
    /// Those of these names.
    pub fn new<'n>(names: impl Iterator<Item = &'n str>, catalogue: &'c Catalogue) -> Self {
        let mut slice = Self::default();
        for name in names {
            match (catalogue.recipe(name), catalogue.tool(name)) {
                (Some(recipe), _) => slice.recipes.push(recipe),
                (None, tool) => slice.tools.extend(tool),
            }
        }
        slice
    }

    /// Whether nothing is shown.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty() && self.recipes.is_empty()
    }

    /// What a prompt shows of a question.
    #[must_use]
    pub fn context(&self, question: &str) -> Value {
        let recipes = self.recipes.iter().map(|recipe| {
            let (about, params) = (&recipe.description, &recipe.params);
            told(&recipe.name, about, params, &recipe.examples, None)
        });
        let tools = self.tools.iter().map(|tool| {
            let columns = tool.columns.iter().map(|column| column.name.as_str());
            let columns = Some(columns.collect());
            let (about, params) = (&tool.description, &tool.params);
            told(&tool.name, about, params, &tool.examples, columns)
        });
        json!({"question": question, "tools": recipes.chain(tools).collect::<Vec<_>>()})
    }

    /// The schema of what may be said.
    #[must_use]
    pub fn schema(&self) -> Value {
        let recipes = self.recipes.iter();
        let recipes = recipes.map(|recipe| call(&recipe.name, &recipe.params));
        let tools = self.tools.iter().map(|tool| call(&tool.name, &tool.params));
        let mut choices: Vec<Value> = recipes.chain(tools).collect();
        if !self.tools.is_empty() {
            let steps = json!({"type": "array", "minItems": 1, "maxItems": MOST_STEPS, "items": {"anyOf": self.steps()}});
            choices.push(closed(&[("steps", steps)]));
        }
        choices.push(closed(&[("refuse", json!({"enum": REFUSALS}))]));
        closed(&[("choice", json!({"anyOf": choices}))])
    }

    /// The steps of which a plan may be made.
    fn steps(&self) -> Vec<Value> {
        let name = || text(NAME);
        let names = || json!({"type": "array", "minItems": 1, "maxItems": 8, "items": name()});
        let test = closed(&[
            ("column", name()),
            ("test", json!({"enum": TESTS})),
            (
                "value",
                json!({"anyOf": [{"type": "string", "maxLength": 100}, {"type": "integer"}, {"type": "boolean"}]}),
            ),
        ]);
        let filter = json!({"type": "array", "maxItems": 4, "items": test});
        let pairs = closed(&[("left", name()), ("right", name())]);
        let mut steps: Vec<Value> = self
            .tools
            .iter()
            .map(|tool| {
                let with = params(&tool.params, true);
                closed(&[
                    ("step", name()),
                    ("call", json!({"const": tool.name})),
                    ("each", or_null(name())),
                    ("with", with),
                ])
            })
            .collect();
        steps.push(closed(&[
            ("step", name()),
            ("from", name()),
            ("filter", filter),
            ("sort", or_null(text("^-?[a-z][a-z0-9_]{0,29}$"))),
            (
                "limit",
                or_null(json!({"type": "integer", "minimum": 1, "maximum": 1000})),
            ),
            ("select", or_null(names())),
        ]));
        steps.push(closed(&[("step", name()), ("count", name())]));
        steps.push(closed(&[
            ("step", name()),
            ("group", name()),
            ("by", names()),
        ]));
        steps.push(closed(&[
            ("step", name()),
            ("join", name()),
            ("kind", json!({"enum": ["join", "semi_join", "anti_join"]})),
            ("with", name()),
            (
                "on",
                json!({"type": "array", "minItems": 1, "maxItems": 2, "items": pairs}),
            ),
        ]));
        steps
    }
}

fn told(
    name: &str,
    about: &str,
    params: &[Param],
    examples: &[String],
    columns: Option<Vec<&str>>,
) -> Value {
    let params = params.iter().map(|param| {
        let listed = param.schema.get("enum").cloned();
        let kind = listed.unwrap_or_else(|| kind(param).into());
        (param.name.clone(), kind)
    });
    let mut told = Map::new();
    told.insert("tool".to_owned(), name.into());
    told.insert("gives".to_owned(), about.into());
    told.insert(
        "params".to_owned(),
        Value::Object(params.collect::<Map<_, _>>()),
    );
    told.extend(columns.map(|columns| ("columns".to_owned(), json!(columns))));
    told.extend(
        examples
            .first()
            .map(|example| ("example".to_owned(), example.as_str().into())),
    );
    told.into()
}

/// What a parameter takes, in a word.
fn kind(param: &Param) -> &str {
    match param.is_time() {
        true => "a time such as -30d",
        false => param
            .schema
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or("text"),
    }
}

fn call(name: &str, declared: &[Param]) -> Value {
    closed(&[
        ("tool", json!({"const": name})),
        ("params", params(declared, false)),
    ])
}

/// Endpoints that are strict want every key: what is not given is null.
fn params(declared: &[Param], in_steps: bool) -> Value {
    let keys = declared.iter().map(|param| {
        let mut ways = vec![match param.is_time() {
            true => text(AGO),
            false => kept(&param.schema),
        }];
        if in_steps {
            ways.push(text(FIELD));
        }
        if !param.required || param.default.is_some() {
            ways.push(json!({"type": "null"}));
        }
        let way = match ways.len() {
            1 => ways.pop().unwrap_or_default(),
            _ => json!({"anyOf": ways}),
        };
        (param.name.as_str(), way)
    });
    closed(&keys.collect::<Vec<_>>())
}

/// Of the schema of a parameter what endpoints hold a model to; the rest is checked behind them.
fn kept(schema: &Value) -> Value {
    let entries = schema.as_object().into_iter().flatten();
    let kept = entries.filter(|(key, value)| {
        let is_anchored = value
            .as_str()
            .is_some_and(|text| text.starts_with('^') && text.ends_with('$'));
        KEPT.contains(&key.as_str()) || (*key == "pattern" && is_anchored)
    });
    let kept: Map<String, Value> = kept
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    kept.into()
}

fn or_null(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

fn text(pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern})
}

/// An object with these keys, all of them.
fn closed(keys: &[(&str, Value)]) -> Value {
    let required: Vec<&str> = keys.iter().map(|(key, _)| *key).collect();
    let properties = keys
        .iter()
        .map(|(key, schema)| ((*key).to_owned(), schema.clone()));
    let properties: Map<String, Value> = properties.collect();
    json!({"type": "object", "additionalProperties": false, "required": required, "properties": properties})
}

/// What a reply says, whatever its schema let through.
///
/// # Errors
///
/// What it is not.
pub fn read(reply: &Value) -> Result<Said, Vec<String>> {
    let wrong = || vec!["/choice: expected a `tool`, `steps` or `refuse`".to_owned()];
    let choice = reply
        .get("choice")
        .and_then(Value::as_object)
        .ok_or_else(wrong)?;
    if let Some(tool) = choice.get("tool").and_then(Value::as_str) {
        let params = choice.get("params").and_then(Value::as_object);
        let params = params.into_iter().flatten();
        let given = params.filter(|(_, value)| !value.is_null());
        return Ok(Said::Wanted(Wanted::Call {
            tool: tool.to_owned(),
            params: given
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            by_form: Vec::new(),
            after: None,
        }));
    }
    if let Some(steps) = choice.get("steps").and_then(Value::as_array) {
        let steps = steps
            .iter()
            .map(step)
            .collect::<Option<Vec<_>>>()
            .ok_or_else(wrong)?;
        return Ok(Said::Wanted(Wanted::Plan {
            steps: steps.into(),
        }));
    }
    let code = choice.get("refuse").and_then(Value::as_str);
    match code.filter(|code| REFUSALS.contains(code)) {
        Some(code) => Ok(Said::Refused(code.to_owned())),
        None => Err(wrong()),
    }
}

/// A step as it is written in `tools.yaml`.
fn step(said: &Value) -> Option<Value> {
    let said = said.as_object()?;
    let name = said.get("step")?.as_str()?;
    let kind = said.get("kind").and_then(Value::as_str);
    let mut body = Map::new();
    for (key, value) in said.iter().filter(|(_, value)| !value.is_null()) {
        let (key, value) = match key.as_str() {
            "step" | "kind" => continue,
            "join" => (kind.unwrap_or("join"), value.clone()),
            "with" => (
                "with",
                match value.as_object() {
                    Some(params) => {
                        let given = params.iter().filter(|(_, value)| !value.is_null());
                        let given = given.map(|(name, value)| (name.clone(), value.clone()));
                        Value::Object(given.collect())
                    }
                    None => value.clone(),
                },
            ),
            "filter" => ("filter", filter(value)?),
            "on" => ("on", pairs(value)?),
            key => (key, value.clone()),
        };
        let is_empty = value.as_object().is_some_and(Map::is_empty);
        if !is_empty {
            body.insert(key.to_owned(), value);
        }
    }
    Some(json!({ name: body }))
}

fn filter(tests: &Value) -> Option<Value> {
    let mut clauses = Map::new();
    for said in tests.as_array()? {
        let column = said.get("column")?.as_str()?;
        let key = match said.get("test")?.as_str()? {
            "is" => column.to_owned(),
            test => format!("{column}|{test}"),
        };
        clauses.insert(key, said.get("value")?.clone());
    }
    Some(clauses.into())
}

fn pairs(on: &Value) -> Option<Value> {
    let pairs = on.as_array()?.iter().map(|pair| {
        let (left, right) = (pair.get("left")?.as_str()?, pair.get("right")?.clone());
        Some((left.to_owned(), right))
    });
    pairs.collect::<Option<Map<_, _>>>().map(Value::Object)
}
