//! Reading the templates of commands.

use crate::diag::{Problems, Span};
use crate::document::{Kind, Node, Table, codes as shape};
use crate::tools::{CommandTemplate, Hole, Method, Piece, QueryParameter, codes};

/// The methods by their keys.
pub const METHODS: [(&str, Method); 4] = [
    ("get", Method::Get),
    ("post", Method::Post),
    ("put", Method::Put),
    ("delete", Method::Delete),
];

/// Reads the templates. `steps` are those that a plan may hold; `None` where that is not known.
pub(super) fn decode_commands(
    node: &Node,
    steps: Option<&[&str]>,
    problems: &mut Problems,
) -> Vec<CommandTemplate> {
    let table = node.table(problems);
    let entries = table.map(|table| table.entries()).unwrap_or_default();
    entries
        .iter()
        .filter_map(|(key, node)| decode_command(&key.text, key.span, node, steps, problems))
        .collect()
}

fn decode_command(
    name: &str,
    name_span: Span,
    node: &Node,
    steps: Option<&[&str]>,
    problems: &mut Problems,
) -> Option<CommandTemplate> {
    let mut table = node.table(problems)?;
    let step_node = table.get("step");
    let step = step_node.map_or(Some(name), |node| node.text(problems));
    let finding_types = table
        .get("finding_types")
        .map(|node| decode_finding_types(node, problems))
        .unwrap_or_default();
    let system = table
        .require("system", problems)
        .and_then(|node| node.one_of(&[("okta_api", "okta_api")], problems));
    let description = table
        .require("description", problems)
        .and_then(|node| node.text(problems));
    let notes = table
        .get("notes")
        .and_then(|node| node.text(problems))
        .map(str::to_owned);
    let scope = table
        .get("scope")
        .and_then(|node| Some((node.text(problems)?.to_owned(), node.span)));
    let operation = decode_operation(&mut table, name_span, problems);
    let query = table
        .get("query")
        .map(|node| decode_query(node, problems))
        .unwrap_or_default();
    let written = table.get("body");
    let reads = matches!(operation, Some((Method::Get, ..)));
    if let Some(node) = written.filter(|_| reads) {
        problems
            .error(
                shape::BAD_VALUE,
                node.span,
                "what is read with `get` has no `body`",
            )
            .help("write what is asked for under `query`");
    }
    let body = written.map(Node::to_json);
    table.finish(problems);
    let step = step?;
    if let Some(steps) = steps.filter(|steps| !steps.contains(&step)) {
        let span = step_node.map_or(name_span, |node| node.span);
        problems
            .error(
                codes::NO_SUCH_STEP,
                span,
                format!("`plan.steps` of routing.toml has no step `{step}`"),
            )
            .did_you_mean(step, steps.iter().copied());
    }
    let (method, at, path) = operation?;
    Some(CommandTemplate {
        name: name.to_owned(),
        step: step.to_owned(),
        finding_types,
        system: system?.to_owned(),
        description: description?.to_owned(),
        notes,
        scope,
        at,
        method,
        path,
        query,
        body,
    })
}

/// The types of findings that a template is for: at least one, since none would mean all.
fn decode_finding_types(node: &Node, problems: &mut Problems) -> Vec<(String, Span)> {
    if matches!(&node.kind, Kind::List(items) if items.is_empty()) {
        problems
            .error(
                shape::BAD_VALUE,
                node.span,
                "expected the types of findings that the command is for, found none",
            )
            .help("leave `finding_types` out where it is for all");
    }
    let named = node.texts(problems).into_iter();
    named.map(|(name, span)| (name.to_owned(), span)).collect()
}

fn decode_operation(
    table: &mut Table<'_>,
    span: Span,
    problems: &mut Problems,
) -> Option<(Method, Span, Vec<Vec<Piece>>)> {
    let found: Vec<_> = METHODS
        .iter()
        .filter_map(|(key, method)| Some((*method, table.get(key)?)))
        .collect();
    let [(method, node)] = found.as_slice() else {
        problems
            .error(
                codes::METHOD,
                span,
                format!("a command has one method, this one has {}", found.len()),
            )
            .help("write one of `get`, `post`, `put` and `delete` with the path");
        return None;
    };
    Some((*method, node.span, decode_path(node, problems)?))
}

fn decode_path(node: &Node, problems: &mut Problems) -> Option<Vec<Vec<Piece>>> {
    let text = node.text(problems)?;
    let Some(rest) = text
        .strip_prefix('/')
        .filter(|rest| rest.starts_with("api/v1/") && !rest.contains(['?', '#']))
    else {
        problems
            .error(
                codes::PATH,
                node.span,
                format!("`{text}` is not a path of Okta's API"),
            )
            .help("a path begins with `/api/v1/`; what follows a `?` goes under `query`");
        return None;
    };
    let segments: Vec<&str> = rest.split('/').collect();
    if segments
        .iter()
        .any(|segment| matches!(*segment, "" | "." | ".."))
    {
        problems.error(
            codes::PATH,
            node.span,
            format!("`{text}` has an empty segment, `.` or `..`"),
        );
        return None;
    }
    segments
        .into_iter()
        .map(|segment| decode_pieces(segment, node.span, problems))
        .collect()
}

fn decode_query(node: &Node, problems: &mut Problems) -> Vec<QueryParameter> {
    let entries = node
        .table(problems)
        .map(|table| table.entries())
        .unwrap_or_default();
    let mut query = Vec::new();
    for (key, node) in entries {
        let Some(text) = node.scalar_text() else {
            problems.error(
                shape::WRONG_TYPE,
                node.span,
                format!("expected a text, found {}", node.describe()),
            );
            continue;
        };
        if let Some(value) = decode_pieces(&text, node.span, problems) {
            let is_filter = key.text == "filter" && matches!(node.kind, Kind::Text(_));
            query.push(QueryParameter {
                name: key.text.clone(),
                value,
                is_filter,
            });
        }
    }
    query
}

fn decode_pieces(text: &str, span: Span, problems: &mut Problems) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, inner)) = rest.split_once('{') {
        let Some((name, after)) = inner.split_once('}') else {
            problems.error(
                codes::HOLE,
                span,
                format!("a `{{` is not closed in `{text}`"),
            );
            return None;
        };
        let Some((_, hole)) = Hole::ALL.iter().find(|(known, _)| *known == name) else {
            problems
                .error(
                    codes::HOLE,
                    span,
                    format!("a command cannot be filled with `{{{name}}}`"),
                )
                .did_you_mean(name, Hole::ALL.iter().map(|(known, _)| *known));
            return None;
        };
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        pieces.push(Piece::Hole(*hole));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Some(pieces)
}
