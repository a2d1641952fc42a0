//! Tools and recipes as text.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};

use crate::ask::rank;
use crate::diag::counted;
use crate::tools::{Catalogue, Drift, Operator, Pages, Param, Place, Tool};
use crate::visible::visible;

/// A tool or recipe in a list.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// `tool`, or `recipe`.
    pub kind: &'static str,
    /// What it gives.
    pub description: String,
    /// What it has to be given.
    pub needs: Vec<String>,
    /// Whether it is as it was imported.
    pub imported: bool,
    /// The scopes that were not granted, of each of which it needs one: it is refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
}

impl Listed {
    /// The tools and recipes, recipes first and what is imported last; where words are given, those
    /// that are about them, the nearest first. `granted` are the scopes of the credentials, where
    /// these say.
    #[must_use]
    pub fn of(catalogue: &Catalogue, about: &str, granted: Option<&[String]>) -> Vec<Self> {
        let lacks = |tool: &Tool| {
            let has = |granted: &[String]| {
                tool.scopes.is_empty()
                    || tool.scopes.iter().any(|(scope, _)| granted.contains(scope))
            };
            let scopes = tool.scopes.iter().map(|(scope, _)| scope.as_str());
            granted
                .is_some_and(|granted| !has(granted))
                .then(|| scopes.collect::<Vec<_>>().join(" or "))
        };
        let needs = |params: &[Param]| {
            let needed = params
                .iter()
                .filter(|param| param.required && param.default.is_none());
            needed.map(|param| param.name.clone()).collect()
        };
        let recipes = catalogue.recipes.iter().map(|recipe| Self {
            name: recipe.name.clone(),
            kind: "recipe",
            description: recipe.description.clone(),
            needs: needs(&recipe.params),
            imported: false,
            lacks: lacking(recipe.steps.iter().filter_map(|step| match &step.operator {
                Operator::Call { tool, .. } => catalogue.tool(tool).and_then(lacks),
                _ => None,
            })),
        });
        let tools = catalogue.tools.iter().map(|tool| Self {
            name: tool.name.clone(),
            kind: "tool",
            description: tool.description.clone(),
            needs: needs(&tool.params),
            imported: tool.is_imported,
            lacks: lacking(lacks(tool).into_iter()),
        });
        let mut listed: Vec<Self> = recipes.chain(tools).collect();
        listed.sort_by_key(|one| one.imported);
        if about.is_empty() {
            return listed;
        }
        let ranked = rank(about, catalogue);
        let found = ranked.iter().filter_map(|ranked| {
            let found = listed.iter().find(|one| one.name == ranked.name);
            found.cloned()
        });
        found.collect()
    }
}

/// Each once.
fn lacking(scopes: impl Iterator<Item = String>) -> Vec<String> {
    let each: BTreeSet<String> = scopes.collect();
    each.into_iter().collect()
}

/// A list of tools and recipes.
#[must_use]
pub fn tools(listed: &[Listed]) -> String {
    let width = listed
        .iter()
        .map(|one| one.name.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for one in listed {
        let kind = match (one.kind, one.imported) {
            ("recipe", _) => "recipe  ",
            (_, true) => "imported",
            _ => "tool    ",
        };
        let needs = match one.needs.as_slice() {
            [] => String::new(),
            needs => format!(" ({})", needs.join(", ")),
        };
        let description = visible(&one.description);
        let lacks = match one.lacks.as_slice() {
            [] => String::new(),
            lacks => format!("; disabled: {} was not granted", lacks.join(", ")),
        };
        text.push_str(&format!(
            "{kind}  {:<width$}  {description}{needs}{lacks}\n",
            one.name
        ));
    }
    let recipes = listed.iter().filter(|one| one.kind == "recipe").count() as u64;
    let imported = listed.iter().filter(|one| one.imported).count() as u64;
    let tools = listed.len() as u64 - recipes;
    text.push_str(&format!(
        "{}, {}, {imported} of these as imported\n",
        counted(recipes, "recipe"),
        counted(tools, "tool")
    ));
    text
}

/// A tool or recipe, as JSON and as text; nothing where there is none.
#[must_use]
pub fn tool(catalogue: &Catalogue, name: &str) -> Option<(Value, String)> {
    let params = |params: &[Param]| {
        let mut text = String::new();
        for param in params {
            let kind = match &param.place {
                Place::Clause {
                    attribute,
                    operator,
                    ..
                } => format!(" [{attribute} {operator}]"),
                _ => String::new(),
            };
            let need = match (&param.default, param.required) {
                (Some(default), _) => format!(" = {default}"),
                (None, true) => " required".to_owned(),
                (None, false) => String::new(),
            };
            text.push_str(&format!(
                "  {}{need}{kind} {}\n",
                param.name,
                visible(&param.schema.to_string())
            ));
        }
        text
    };
    let as_json = |all: &[Param]| {
        let all = all.iter().map(|param| json!({
            "name": param.name, "required": param.required, "schema": param.schema, "default": param.default,
        }));
        all.collect::<Vec<_>>()
    };
    if let Some(tool) = catalogue.tool(name) {
        let columns: Vec<String> = tool
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect();
        let scopes: Vec<&str> = tool
            .scopes
            .iter()
            .map(|(scope, _)| scope.as_str())
            .collect();
        let pages = match tool.pages {
            Pages::None => "one page",
            Pages::Link => "pages, by `Link`",
            Pages::Body => "pages, by `_links.next`",
        };
        let mut text = format!("{}: {}\n", tool.name, visible(&tool.description));
        if let Some(notes) = &tool.notes {
            text.push_str(&format!("note: {}\n", visible(notes)));
        }
        text.push_str(&format!(
            "GET {}; scope {}; rate limit `{}`; {pages}\n",
            tool.path,
            scopes.join(" or "),
            tool.rate_limit
        ));
        text.push_str(&format!(
            "parameters:\n{}columns: {}\n",
            params(&tool.params),
            columns.join(", ")
        ));
        push_asked(&mut text, &tool.examples);
        let json = json!({
            "name": tool.name, "description": tool.description, "get": tool.path, "scopes": scopes,
            "params": as_json(&tool.params), "columns": columns, "examples": tool.examples,
            "imported": tool.is_imported,
        });
        return Some((json, text));
    }
    let recipe = catalogue.recipe(name)?;
    let mut text = format!("{}: {}\n", recipe.name, visible(&recipe.description));
    if let Some(notes) = &recipe.notes {
        text.push_str(&format!("note: {}\n", visible(notes)));
    }
    text.push_str(&format!("parameters:\n{}steps:\n", params(&recipe.params)));
    let mut steps = Vec::new();
    for step in &recipe.steps {
        let does = match &step.operator {
            Operator::Call {
                tool, each: None, ..
            } => format!("call {tool}"),
            Operator::Call {
                tool,
                each: Some(each),
                ..
            } => format!("call {tool} for each of {each}"),
            Operator::From(of) => format!("from {of}"),
            Operator::Join {
                kind, left, right, ..
            } => format!("{} {left} with {right}", kind.as_str()),
            Operator::Union(of) => format!("union of {}", of.join(", ")),
            Operator::Count(of) => format!("count {of}"),
            Operator::Group { of, by, .. } => format!("group {of} by {}", by.join(", ")),
            Operator::Members {
                of, called, list, ..
            } => format!("members of {of}: {called}, by the list `{list}`"),
        };
        text.push_str(&format!("  {}: {does}\n", step.name));
        steps.push(json!({"name": step.name, "does": does}));
    }
    push_asked(&mut text, &recipe.examples);
    let json = json!({
        "name": recipe.name, "description": recipe.description, "notes": recipe.notes,
        "params": as_json(&recipe.params), "steps": steps, "examples": recipe.examples,
    });
    Some((json, text))
}

fn push_asked(text: &mut String, examples: &[String]) {
    if !examples.is_empty() {
        text.push_str("asked for by:\n");
    }
    for example in examples {
        text.push_str(&format!("  {}\n", visible(example)));
    }
}

/// How tools differ from a description, or from answers.
#[must_use]
pub fn drift(drift: &[Drift]) -> String {
    let mut text = String::new();
    for one in drift {
        let word = if one.is_alarming { "ALARM" } else { "note " };
        let share = 100.0 * one.share;
        text.push_str(&format!("{word} {}: {share:.1} % of paths\n", one.tool));
        for what in &one.what {
            text.push_str(&format!("      {}\n", visible(what)));
        }
        for (word, paths) in [("gone or another type", &one.gone), ("new", &one.new)] {
            if !paths.is_empty() {
                let shown: Vec<String> = paths.iter().take(8).map(|path| visible(path)).collect();
                let more = paths.len().saturating_sub(8);
                let more = if more > 0 {
                    format!(" and {more} more")
                } else {
                    String::new()
                };
                text.push_str(&format!("      {word}: {}{more}\n", shown.join(", ")));
            }
        }
    }
    let alarming = drift.iter().filter(|one| one.is_alarming).count() as u64;
    text.push_str(&match drift.is_empty() {
        true => "no tool differs\n".to_owned(),
        false => format!("{} to look at\n", counted(alarming, "tool")),
    });
    text
}
