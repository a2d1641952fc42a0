//! Reading `tools.yaml`.

use crate::diag::{Problems, Span};
use crate::document::{Kind, Node, Table, codes as shape};
use crate::tools::commands::decode_commands;
use crate::tools::recipes::decode_recipe;
use crate::tools::{
    Catalogue, Column, Form, Pages, Param, Pattern, Place, RowPath, Tool, Words, codes,
};

/// The operators of SCIM that a parameter may be compared by.
const OPERATORS: [(&str, &str); 9] = [
    ("eq", "eq"),
    ("ne", "ne"),
    ("gt", "gt"),
    ("ge", "ge"),
    ("lt", "lt"),
    ("le", "le"),
    ("co", "co"),
    ("sw", "sw"),
    ("ew", "ew"),
];

/// Reads the file. `steps` are those that a plan may hold; `None` where that is not known.
pub fn decode_tools(node: &Node, steps: Option<&[&str]>, problems: &mut Problems) -> Catalogue {
    let mut catalogue = Catalogue::default();
    let Some(mut table) = node.table(problems) else {
        return catalogue;
    };
    if let Some(node) = table.get("words") {
        catalogue.words = decode_words(node, problems);
    }
    for (name, span, node) in named(table.get("tools"), problems) {
        catalogue
            .tools
            .extend(decode_tool(name, span, node, problems));
    }
    for (name, span, node) in named(table.get("recipes"), problems) {
        let recipe = decode_recipe(name, span, node, &catalogue.tools, problems);
        catalogue.recipes.extend(recipe);
    }
    if let Some(commands) = table.require("commands", problems) {
        catalogue.commands = decode_commands(commands, steps, problems);
    }
    table.finish(problems);
    let words = catalogue.words.clone();
    let of_tools = catalogue.tools.iter_mut().map(|tool| &mut tool.patterns);
    let recipes = catalogue.recipes.iter_mut();
    let of_recipes = recipes.map(|recipe| &mut recipe.patterns);
    for form in of_tools.chain(of_recipes).flatten() {
        form.pattern = form.pattern.clone().with(&words);
    }
    for recipe in &catalogue.recipes {
        if catalogue.tool(&recipe.name).is_some() {
            let message = format!("there is a tool `{}` already", recipe.name);
            problems.error(shape::BAD_VALUE, recipe.at, message);
        }
    }
    catalogue
}

/// Classes of words that mean the same.
fn decode_words(node: &Node, problems: &mut Problems) -> Words {
    let mut words = Words::default();
    for class in node.list(problems).unwrap_or_default() {
        let texts: Vec<&str> = class
            .texts(problems)
            .into_iter()
            .map(|(text, _)| text)
            .collect();
        if let Err(phrase) = words.add(&texts) {
            problems
                .error(
                    codes::PATTERN,
                    class.span,
                    format!("`{phrase}` is no phrase, or stands in another class"),
                )
                .help("a phrase is one or more words, and means one thing");
        }
    }
    words
}

/// The entries of a mapping by name.
fn named<'n>(node: Option<&'n Node>, problems: &mut Problems) -> Vec<(&'n str, Span, &'n Node)> {
    let table = node.and_then(|node| node.table(problems));
    let entries = table.map(|table| table.entries()).unwrap_or_default();
    let named = entries.iter();
    named
        .map(|(key, node)| (key.text.as_str(), key.span, node))
        .collect()
}

fn decode_tool(name: &str, at: Span, node: &Node, problems: &mut Problems) -> Option<Tool> {
    let mut table = node.table(problems)?;
    let description = table
        .require("description", problems)
        .and_then(|node| node.text(problems));
    let notes = table.get("notes").and_then(|node| node.text(problems));
    let path = table.require("get", problems).and_then(|node| {
        let text = node.text(problems)?;
        is_path(text, node.span, problems).then_some((text, node.span))
    });
    let scopes = table.get("scopes").map(|node| node.texts(problems));
    let params = decode_params(table.get("params"), decode_param, problems);
    let query = decode_query(table.get("query"), problems);
    let words = [
        ("none", Pages::None),
        ("link", Pages::Link),
        ("body", Pages::Body),
    ];
    let pages = table.get("pages").map(|node| node.one_of(&words, problems));
    let rate_limit = table.get("rate_limit").and_then(|node| node.text(problems));
    let rows = table.get("rows").map(|node| decode_rows(node, problems));
    let columns = table.require("columns", problems);
    let columns = columns.map(|node| decode_columns(node, problems));
    let response = table.get("response").and_then(|node| {
        let mut table = node.table(problems)?;
        let path = table.require("$ref", problems)?;
        let text = path.text(problems)?;
        table.finish(problems);
        Some((text.to_owned(), path.span))
    });
    let asked = decode_asked(&mut table, &params, problems);
    let is_imported = table.get("imported").map(|node| node.boolean(problems));
    table.finish(problems);
    let (path, path_at) = path?;
    check_holes(path, path_at, &params, problems);
    Some(Tool {
        name: name.to_owned(),
        at,
        description: description?.to_owned(),
        notes: notes.map(str::to_owned),
        path: path.to_owned(),
        path_at,
        scopes: owned(scopes.unwrap_or_default()),
        rate_limit: rate_limit.map_or_else(|| bucket(path), str::to_owned),
        params,
        query,
        pages: pages.unwrap_or(Some(Pages::None))?,
        rows: rows.unwrap_or(Some(String::new()))?,
        columns: columns?,
        response,
        examples: asked.examples,
        patterns: asked.patterns,
        is_imported: is_imported.unwrap_or(Some(false))?,
    })
}

fn owned(texts: Vec<(&str, Span)>) -> Vec<(String, Span)> {
    let texts = texts.into_iter();
    texts.map(|(text, span)| (text.to_owned(), span)).collect()
}

/// The bucket of a path where none is named: the thing that it is about.
fn bucket(path: &str) -> String {
    let of = path.strip_prefix("/api/v1/").unwrap_or(path);
    of.split('/').next().unwrap_or_default().to_owned()
}

fn is_path(text: &str, span: Span, problems: &mut Problems) -> bool {
    let segments = text.strip_prefix("/api/v1/");
    let is_good = |segment: &str| {
        let inner = segment
            .strip_prefix('{')
            .and_then(|segment| segment.strip_suffix('}'));
        let text = inner.unwrap_or(segment);
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !matches!(text, "" | "." | "..") && text.bytes().all(is_plain)
    };
    let is_path = segments.is_some_and(|segments| segments.split('/').all(is_good));
    if !is_path {
        let message = format!("`{text}` is not a path of Okta's API");
        problems
            .error(codes::PATH, span, message)
            .help("a path begins with `/api/v1/`, and a parameter is a whole segment in braces");
    }
    is_path
}

/// Each hole of a path has its parameter, and each parameter of the path its hole.
fn check_holes(path: &str, at: Span, params: &[Param], problems: &mut Problems) {
    let holes = path.split('/').filter_map(|segment| {
        let inner = segment.strip_prefix('{')?;
        inner.strip_suffix('}')
    });
    let holes: Vec<&str> = holes.collect();
    let of_path: Vec<&Param> = params
        .iter()
        .filter(|param| param.place == Place::Path)
        .collect();
    for hole in &holes {
        if !of_path.iter().any(|param| param.name == *hole) {
            let message = format!("`{{{hole}}}` has no parameter `{hole}` with `in: path`");
            problems.error(codes::PARAMETER, at, message);
        }
    }
    for param in of_path {
        let problem = if !holes.contains(&param.name.as_str()) {
            format!("the path has no `{{{}}}`", param.name)
        } else if !param.required {
            "a parameter of the path is `required: true`".to_owned()
        } else {
            continue;
        };
        problems.error(codes::PARAMETER, param.at, problem);
    }
}

fn decode_query(node: Option<&Node>, problems: &mut Problems) -> Vec<(String, String)> {
    let mut query = Vec::new();
    for (name, _, node) in named(node, problems) {
        match node.scalar_text() {
            Some(text) => query.push((name.to_owned(), text)),
            None => {
                let message = format!("expected a text, found {}", node.describe());
                problems.error(shape::WRONG_TYPE, node.span, message);
            }
        }
    }
    query
}

fn decode_rows(node: &Node, problems: &mut Problems) -> Option<String> {
    let text = node.text(problems)?;
    if RowPath::parse(text).is_none() || text.contains('{') {
        let message = format!("`{text}` is not a JSON Pointer");
        problems
            .error(codes::COLUMN, node.span, message)
            .help("write where the list is in the answer, such as `/roles`");
        return None;
    }
    Some(text.to_owned())
}

fn decode_columns(node: &Node, problems: &mut Problems) -> Vec<Column> {
    let mut columns = Vec::new();
    let entries = named(Some(node), problems);
    if entries.is_empty() {
        problems.error(
            shape::BAD_VALUE,
            node.span,
            "a tool has at least one column",
        );
    }
    for (name, at, node) in entries {
        let Some(text) = node.text(problems) else {
            continue;
        };
        let path = text.strip_suffix('?').unwrap_or(text);
        let Some(path) = RowPath::parse(path) else {
            let message = format!("`{text}` is no place in a row");
            problems
                .error(codes::COLUMN, node.span, message)
                .help("write a JSON Pointer such as `/profile/login`; `/target/{type=User}/id` takes the first item of a list whose `type` is `User`; a `?` at the end says that a row may be without it");
            continue;
        };
        columns.push(Column {
            name: name.to_owned(),
            at,
            path,
            is_optional: text.ends_with('?'),
        });
    }
    columns
}

/// How questions ask for it.
pub(super) struct Asked {
    pub(super) examples: Vec<String>,
    pub(super) patterns: Vec<Form>,
}

/// The examples and forms of a tool or recipe.
pub(super) fn decode_asked<'n>(
    table: &mut Table<'n>,
    params: &[Param],
    problems: &mut Problems,
) -> Asked {
    let examples = table.get("examples").map(|node| node.texts(problems));
    let written = table.get("patterns").and_then(|node| node.list(problems));
    let forms = written.unwrap_or_default().iter();
    let patterns = forms
        .filter_map(|node| decode_form(node, params, problems))
        .collect();
    let examples = examples.unwrap_or_default().into_iter();
    Asked {
        examples: examples.map(|(text, _)| text.to_owned()).collect(),
        patterns,
    }
}

/// A form: its text, or `{form: its text, with: {status: ACTIVE}}`.
fn decode_form(node: &Node, params: &[Param], problems: &mut Problems) -> Option<Form> {
    let mut with = Vec::new();
    let written = match &node.kind {
        Kind::Map(_) => {
            let mut table = node.table(problems)?;
            let written = table.require("form", problems);
            let said = table.require("with", problems);
            table.finish(problems);
            for (name, span, value) in named(said, problems) {
                let value = value.to_json();
                let param = params.iter().find(|param| param.name == name);
                if param.is_none_or(|param| !jsonschema::is_valid(&param.schema, &value)) {
                    let message = format!("there is no parameter `{name}` that can be `{value}`");
                    problems.error(codes::PATTERN, span, message);
                    return None;
                }
                with.push((name.to_owned(), value));
            }
            written?
        }
        _ => node,
    };
    let text = written.text(problems)?;
    let pattern = match Pattern::parse(text) {
        Ok(pattern) => pattern,
        Err(why) => {
            problems.error(codes::PATTERN, written.span, why);
            return None;
        }
    };
    for hole in pattern.holes() {
        let is_param = params.iter().any(|param| param.name == hole);
        if !is_param || with.iter().any(|(name, _)| name == hole) {
            let message = format!("there is no parameter `{hole}` that is not said already");
            let known = params.iter().map(|param| param.name.as_str());
            problems
                .error(codes::PATTERN, written.span, message)
                .did_you_mean(hole, known);
        }
    }
    Some(Form { pattern, with })
}

/// Parameters, each read by `decode`.
pub(super) fn decode_params(
    node: Option<&Node>,
    decode: fn(&str, Span, &Node, &mut Problems) -> Option<Param>,
    problems: &mut Problems,
) -> Vec<Param> {
    let entries = named(node, problems).into_iter();
    let params = entries.filter_map(|(name, at, node)| {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !name.bytes().all(is_name) {
            let message = format!("`{name}` is no name of a parameter");
            problems
                .error(codes::PARAMETER, at, message)
                .help("a name has letters, digits and `_`");
            return None;
        }
        let param = decode(name, at, node, problems)?;
        check_schema(&param, node.span, problems);
        Some(param)
    });
    params.collect()
}

fn decode_param(name: &str, at: Span, node: &Node, problems: &mut Problems) -> Option<Param> {
    let mut table = node.table(problems)?;
    let words = [
        ("path", "path"),
        ("query", "query"),
        ("filter", "filter"),
        ("search", "search"),
    ];
    let place = table.require("in", problems);
    let place = place.and_then(|node| node.one_of(&words, problems));
    let required = table.get("required").map(|node| node.boolean(problems));
    let schema = table.require("schema", problems).map(Node::to_json);
    let default = table.get("default").map(Node::to_json);
    let parameter = match place {
        Some("filter") => Some("filter"),
        Some("search") => Some("search"),
        _ => None,
    };
    let place = match (place, parameter) {
        (_, Some(parameter)) => {
            let attribute = table.require("attribute", problems);
            let attribute = attribute.and_then(|node| decode_attribute(node, problems));
            let operator = table.require("operator", problems);
            let operator = operator.and_then(|node| node.one_of(&OPERATORS, problems));
            attribute
                .zip(operator)
                .map(|(attribute, operator)| Place::Clause {
                    parameter,
                    attribute,
                    operator,
                })
        }
        (Some("path"), _) => Some(Place::Path),
        (Some(_), _) => Some(Place::Query),
        (None, _) => None,
    };
    table.finish(problems);
    Some(Param {
        name: name.to_owned(),
        at,
        place: place?,
        required: required.unwrap_or(Some(false))?,
        schema: schema?,
        default,
    })
}

/// The name of an attribute stands in an expression as it is.
fn decode_attribute(node: &Node, problems: &mut Problems) -> Option<String> {
    let text = node.text(problems)?;
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._".contains(&byte);
    if text.is_empty() || !text.bytes().all(is_good) {
        let message = format!("`{text}` is no name of an attribute");
        problems.error(codes::PARAMETER, node.span, message);
        return None;
    }
    Some(text.to_owned())
}

/// A parameter's schema is one, and takes its default.
fn check_schema(param: &Param, span: Span, problems: &mut Problems) {
    match jsonschema::validator_for(&param.schema) {
        Err(error) => {
            let message = format!("the schema of `{}` is none: {error}", param.name);
            problems.error(codes::PARAMETER, span, message);
        }
        Ok(validator) => {
            let refused = param
                .default
                .as_ref()
                .filter(|default| !validator.is_valid(default));
            if let Some(default) = refused {
                let message = format!("its schema refuses the default `{default}`");
                problems.error(codes::PARAMETER, span, message);
            }
        }
    }
}
