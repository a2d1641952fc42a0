//! `prompts/*.md`: front matter with the slot, its limits, context and schema; then the text.

use jsonschema::draft202012;
use serde_json::Value;

use crate::diag::{FileId, Problems, Span};
use crate::document::{Node, parse_yaml};
use crate::slots::decode::SLOTS;

/// The codes of problems in prompts and slots.
pub mod codes {
    /// A prompt without front matter.
    pub const FRONT_MATTER: &str = "RL0401";
    /// A schema that is not a JSON Schema.
    pub const SCHEMA: &str = "RL0402";
    /// A context field that does not exist, or that the text uses without declaring it.
    pub const CONTEXT: &str = "RL0403";
    /// A slot that names a prompt that is missing or for another slot.
    pub const NO_PROMPT: &str = "RL0404";
    /// A feature that is not read yet.
    pub const UNSUPPORTED: &str = "RL0405";
}

/// What a prompt's context may name.
const CONTEXT: [&str; 26] = [
    "agents",
    "finding.count",
    "finding.description",
    "finding.finding_type",
    "finding.first_seen",
    "finding.group",
    "finding.hits",
    "finding.last_seen",
    "finding.level",
    "finding.metadata",
    "finding.reasons",
    "finding.rule_name",
    "finding.rule_title",
    "finding.tags",
    "finding.user_id",
    "guardrails",
    "incident.description",
    "incident.metadata",
    "incident.risk_score",
    "incident.severity",
    "incident.title",
    "plan.mandatory",
    "plan.steps",
    "risk.rationale",
    "rule.description",
    "route.context",
];

/// A checked prompt.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The slot it fills.
    pub slot: String,
    /// The only fields that reach a model.
    pub context: Vec<String>,
    /// The schema of the reply.
    pub schema: Value,
    /// The text.
    pub body: String,
}

/// Reads a prompt file.
pub fn decode_prompt(file: FileId, text: &str, problems: &mut Problems) -> Option<Prompt> {
    let errors = problems.counts().0;
    let Some((front, body)) = split(text) else {
        problems
            .file_error(codes::FRONT_MATTER, file, "the prompt has no front matter")
            .help("begin the file with a line `---`, the keys `slot`, `context` and `schema`, and a line `---`");
        return None;
    };
    let node = parse_yaml(file, front, problems)?;
    let mut table = node.table(problems)?;
    let slot = table
        .require("slot", problems)
        .and_then(|node| node.one_of(&SLOTS.map(|slot| (slot, slot)), problems));
    if let Some(node) = table.get("limits") {
        decode_limits(node, problems);
    }
    let context_node = table.require("context", problems);
    let has_context = context_node.is_some();
    let context = context_node
        .map(|node| node.texts(problems))
        .unwrap_or_default();
    let schema = table.require("schema", problems);
    table.finish(problems);
    for (name, span) in context.iter().filter(|(name, _)| !CONTEXT.contains(name)) {
        problems
            .error(
                codes::CONTEXT,
                *span,
                format!("there is no context field `{name}`"),
            )
            .did_you_mean(name, CONTEXT);
    }
    let context: Vec<String> = context
        .into_iter()
        .filter(|(name, _)| CONTEXT.contains(name))
        .map(|(name, _)| name.to_owned())
        .collect();
    if has_context {
        report_undeclared(file, text, body, &context, problems);
    }
    let schema = schema.and_then(|node| check_schema(node, problems));
    let prompt = Prompt {
        slot: slot?.to_owned(),
        context,
        schema: schema?,
        body: body.to_owned(),
    };
    (problems.counts().0 == errors).then_some(prompt)
}

/// The front matter, with as many characters as in the file before it, and the text.
fn split(text: &str) -> Option<(&str, &str)> {
    let rest = text
        .strip_prefix("---\n")
        .or_else(|| text.strip_prefix("---\r\n"))?;
    let end = rest.match_indices("\n---").map(|(at, _)| at).find(|at| {
        let after = rest.get(at + 4..).unwrap_or_default();
        after.is_empty() || after.starts_with('\n') || after.starts_with("\r\n")
    })?;
    let front_end = text.len() - rest.len() + end + 1;
    let (front, body) = text.split_at(front_end);
    // The opening `---` stays: it is YAML too, and places in the file stay right.
    Some((front, body.strip_prefix("---").unwrap_or(body).trim_start()))
}

fn decode_limits(node: &Node, problems: &mut Problems) {
    let Some(mut table) = node.table(problems) else {
        return;
    };
    table
        .get("max_tokens")
        .and_then(|node| node.count(problems));
    table
        .get("timeout")
        .and_then(|node| node.span_of_time(problems));
    table.get("repair").and_then(|node| node.count(problems));
    table.finish(problems);
}

/// Every way in which the schema is none of draft 2020-12, each at its place.
fn check_schema(node: &Node, problems: &mut Problems) -> Option<Value> {
    let schema = node.to_json();
    let mut good = true;
    for error in draft202012::meta::validator().iter_errors(&schema) {
        let at = node.at(error.instance_path().as_str()).unwrap_or(node);
        let message = format!("not a JSON Schema: {error}");
        problems.error(codes::SCHEMA, at.span, message);
        good = false;
    }
    if good && let Err(error) = draft202012::new(&schema) {
        let message = format!("the schema cannot be used: {error}");
        problems.error(codes::SCHEMA, node.span, message);
        good = false;
    }
    good.then_some(schema)
}

/// The text may use only what the front matter declares: `{{ finding.count }}`.
fn report_undeclared(
    file: FileId,
    text: &str,
    body: &str,
    context: &[String],
    problems: &mut Problems,
) {
    let offset = text.len() - body.len();
    for (at, _) in body.match_indices("{{") {
        let inner = body.get(at + 2..).unwrap_or_default();
        let name = inner.split(['}', '|']).next().unwrap_or_default().trim();
        if !context.iter().any(|known| known == name) {
            let start = u32::try_from(offset + at).unwrap_or(u32::MAX);
            let span = Span {
                file,
                start,
                end: start.saturating_add(2),
            };
            problems
                .error(
                    codes::CONTEXT,
                    span,
                    format!("the text uses `{name}`, which `context` does not list"),
                )
                .did_you_mean(name, context.iter().map(String::as_str));
        }
    }
}
