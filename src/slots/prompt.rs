//! `prompts/*.md`: front matter with the slot, its limits, context and schema; then the text.

use std::sync::Arc;
use std::time::Duration;

use jsonschema::{PatternOptions, Validator, draft202012};
use serde_json::Value;

use crate::diag::{FileId, Problems, Span, nearest};
use crate::document::{Node, codes as shape, parse_yaml};
use crate::event::{Digest, clip};
use crate::slots::ASK;
use crate::slots::context::{self, FIELDS, is_given, known, line};
use crate::slots::enforced;
use crate::slots::template::{self, Fault, NotRendered, Wrong};

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
    /// A formula that gives no score.
    pub const FORMULA: &str = "RL0405";
    /// A keyword of a schema that endpoints take and do not enforce.
    pub const NOT_ENFORCED: &str = "RL0406";
    /// A prompt that can be longer than its limit.
    pub const TOO_LONG: &str = "RL0407";
    /// A text that is no template.
    pub const TEMPLATE: &str = "RL0408";
    /// A slot whose model can keep a finding from becoming an incident.
    pub const SUPPRESSIBLE: &str = "RL0409";
    /// A slot that no agent runs.
    pub const NO_AGENT: &str = "RL0410";
    /// A default that is not what the schema of its prompt asks for.
    pub const BAD_DEFAULT: &str = "RL0411";
}

/// A checked prompt.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The slot it fills.
    pub slot: String,
    /// What a fill may cost.
    pub limits: Limits,
    /// The only fields that reach a model.
    pub context: Vec<String>,
    /// The schema of the reply.
    pub schema: Value,
    /// The text.
    pub body: String,
    /// Of the file.
    pub digest: Digest,
    /// The schema, ready to be asked.
    validator: Arc<Validator>,
}

/// What a fill may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most tokens of a reply.
    pub max_tokens: u32,
    /// The time of one call, its retries included.
    pub timeout: Duration,
    /// How often a refused reply may be repaired.
    pub repair: u32,
    /// The most bytes of the text with its values.
    pub prompt_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_tokens: 512,
            timeout: Duration::from_secs(30),
            repair: 1,
            prompt_bytes: 16 << 10,
        }
    }
}

/// How many ways in which a reply breaks its schema are told.
const TOLD: usize = 8;

impl Prompt {
    /// What of a context reaches a model: the listed fields, none longer than it may be.
    #[must_use]
    pub fn select(&self, context: &Value) -> Value {
        context::select(&self.context, context)
    }

    /// The same prompt with another schema of its replies.
    ///
    /// # Errors
    ///
    /// When it is no JSON Schema.
    pub fn with_schema(&self, schema: Value) -> Result<Self, String> {
        Ok(Self {
            validator: Arc::new(validator(&schema)?),
            schema,
            ..self.clone()
        })
    }

    /// The text with the values of a context in it.
    ///
    /// # Errors
    ///
    /// When it is longer than its limit, or cannot be rendered.
    pub fn render(&self, context: &Value) -> Result<String, NotRendered> {
        let most = self.limits.prompt_bytes;
        template::render(&self.body, &self.select(context), line, most)
    }

    /// Every way in which a reply breaks the schema, without the values that break it.
    pub(super) fn errors(&self, reply: &Value) -> Vec<String> {
        let errors = self.broken(reply).into_iter();
        errors
            .map(|(path, message)| {
                let place = if path.is_empty() { "the reply" } else { &path };
                format!("{}: {}", clip(place), clip(&message))
            })
            .collect()
    }

    /// The same, each with the place in the value as a JSON pointer.
    pub(super) fn broken(&self, value: &Value) -> Vec<(String, String)> {
        let errors = self.validator.iter_errors(value).take(TOLD);
        errors
            .map(|error| {
                let path = error.instance_path().as_str().to_owned();
                (path, error.masked().to_string())
            })
            .collect()
    }
}

/// Reads a prompt file. `slots` are those that it may be for, where they are known.
pub fn decode_prompt(
    file: FileId,
    text: &str,
    slots: Option<&[&str]>,
    problems: &mut Problems,
) -> Option<Prompt> {
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
        .and_then(|node| decode_slot(node, slots, problems));
    let limits = table
        .get("limits")
        .map(|node| decode_limits(node, problems))
        .unwrap_or_default();
    let context_node = table.require("context", problems);
    let has_context = context_node.is_some();
    let context = context_node
        .map(|node| node.texts(problems))
        .unwrap_or_default();
    let schema = match slot {
        Some(ASK) => made_for_each(table.get("schema"), problems),
        _ => table
            .require("schema", problems)
            .and_then(|node| check_schema(node, problems)),
    };
    table.finish(problems);
    for (name, span) in context.iter().filter(|(name, _)| known(name).is_none()) {
        problems
            .error(
                codes::CONTEXT,
                *span,
                format!("there is no context field `{name}`"),
            )
            .did_you_mean(name, FIELDS.map(|field| field.name));
    }
    for (name, span) in &context {
        if let Some(slot) = &slot
            && known(name).is_some()
            && !is_given(slot, name)
        {
            problems
                .error(
                    codes::CONTEXT,
                    *span,
                    format!("a prompt of the slot `{slot}` never has a value for `{name}`"),
                )
                .help("docs/prompts.md has the fields of each slot");
        }
    }
    let context: Vec<String> = context
        .into_iter()
        .filter(|(name, _)| known(name).is_some())
        .map(|(name, _)| name.to_owned())
        .collect();
    let written = Written { file, text, body };
    if has_context {
        written.check(&context, limits, problems);
    }
    let (schema, validator) = schema.unzip();
    let prompt = Prompt {
        slot: slot?.to_owned(),
        limits,
        context,
        schema: schema?,
        body: body.to_owned(),
        digest: Digest::of(text.as_bytes()),
        validator: Arc::new(validator?),
    };
    (problems.counts().0 == errors).then_some(prompt)
}

/// The front matter, with as many characters as in the file before it, and the text.
#[must_use]
pub fn split(text: &str) -> Option<(&str, &str)> {
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

/// The name of a slot. A prompt for one that nobody declares is used by nobody, but a misspelt
/// name is a mistake.
fn decode_slot<'n>(
    node: &'n Node,
    slots: Option<&[&str]>,
    problems: &mut Problems,
) -> Option<&'n str> {
    let name = node.text(problems)?;
    let known = slots.unwrap_or_default();
    if known.contains(&name) || nearest(name, known.iter().copied()).is_none() {
        return Some(name);
    }
    let words: Vec<(&str, ())> = known.iter().map(|slot| (*slot, ())).collect();
    node.one_of(&words, problems)?;
    None
}

fn decode_limits(node: &Node, problems: &mut Problems) -> Limits {
    let mut limits = Limits::default();
    let Some(mut table) = node.table(problems) else {
        return limits;
    };
    if let Some(tokens) = whole(table.get("max_tokens"), 1, 32_768, problems) {
        limits.max_tokens = tokens;
    }
    if let Some(node) = table.get("timeout")
        && let Some(timeout) = decode_timeout(node, problems)
    {
        limits.timeout = timeout;
    }
    if let Some(repair) = whole(table.get("repair"), 0, 1, problems) {
        limits.repair = repair;
    }
    if let Some(bytes) = whole(table.get("prompt_bytes"), 1, 1 << 20, problems) {
        limits.prompt_bytes = bytes as usize;
    }
    table.finish(problems);
    limits
}

fn whole(node: Option<&Node>, low: u32, high: u32, problems: &mut Problems) -> Option<u32> {
    let node = node?;
    let count = node.count(problems)?;
    let found = u32::try_from(count)
        .ok()
        .filter(|count| (low..=high).contains(count));
    if found.is_none() {
        let message = format!("`{count}` is out of range");
        problems
            .error(shape::BAD_VALUE, node.span, message)
            .help(format!("expected {low} to {high}"));
    }
    found
}

fn decode_timeout(node: &Node, problems: &mut Problems) -> Option<Duration> {
    let seconds = node.span_of_time(problems)?.seconds();
    if !(1.0..=600.0).contains(&seconds) {
        problems
            .error(shape::BAD_VALUE, node.span, "this timeout is out of range")
            .help("expected `1s` to `10m`");
        return None;
    }
    Some(Duration::from_secs_f64(seconds))
}

/// Every way in which the schema is none of draft 2020-12, each at its place; and what it says
/// and no endpoint holds a model to.
fn check_schema(node: &Node, problems: &mut Problems) -> Option<(Value, Validator)> {
    let schema = node.to_json();
    let mut good = true;
    for error in draft202012::meta::validator().iter_errors(&schema) {
        let at = node.at(error.instance_path().as_str()).unwrap_or(node);
        let message = format!("not a JSON Schema: {error}");
        problems.error(codes::SCHEMA, at.span, message);
        good = false;
    }
    if !good {
        return None;
    }
    enforced::report(node, problems);
    match validator(&schema) {
        Ok(validator) => Some((schema, validator)),
        Err(error) => {
            let message = format!("the schema cannot be used: {error}");
            problems.error(codes::SCHEMA, node.span, message);
            None
        }
    }
}

/// Patterns that take time without bound are no patterns here, and formats are looked at.
fn validator(schema: &Value) -> Result<Validator, String> {
    let options = draft202012::options()
        .with_pattern_options(PatternOptions::regex())
        .should_validate_formats(true);
    options.build(schema).map_err(|error| error.to_string())
}

/// Of the slot `ask`: what a question may ask for is known when one is asked.
fn made_for_each(written: Option<&Node>, problems: &mut Problems) -> Option<(Value, Validator)> {
    if let Some(node) = written {
        problems
            .error(
                codes::SCHEMA,
                node.span,
                "a prompt of the slot `ask` has no schema of its own",
            )
            .help("leave it out: it is made of the tools that are shown with each question");
        return None;
    }
    let any = Value::Bool(true);
    validator(&any).ok().map(|validator| (any, validator))
}

/// The text of a prompt, and where it stands.
struct Written<'t> {
    file: FileId,
    text: &'t str,
    body: &'t str,
}

impl Written<'_> {
    /// The text may use only what the front matter declares: `{{ finding.count }}`.
    fn check(&self, context: &[String], limits: Limits, problems: &mut Problems) {
        let wrong = template::check(self.body, context);
        for Wrong { at, what } in &wrong {
            self.report(*at, what, context, problems);
        }
        if wrong.is_empty() {
            self.report_long(context, limits, problems);
        }
    }

    fn report(&self, at: usize, what: &Fault, context: &[String], problems: &mut Problems) {
        match what {
            Fault::Undeclared(name) => problems
                .error(
                    codes::CONTEXT,
                    self.span_of(name, at),
                    format!("the text uses `{name}`, which `context` does not list"),
                )
                .did_you_mean(name, context.iter().map(String::as_str)),
            Fault::Unreadable(message) => problems
                .error(codes::TEMPLATE, self.span(at), message.clone())
                .help("a prompt has `{{ NAME }}`, `{% if NAME %}` and `{% for X in NAME %}`"),
        }
    }

    /// Fills in the longest values that there can be.
    fn report_long(&self, context: &[String], limits: Limits, problems: &mut Problems) {
        let longest = context::largest(context)
            .map(|values| template::render(self.body, &values, line, LONGEST))
            .map(|text| text.map(|text| text.len()));
        let size = match longest {
            [Ok(long), Ok(many)] => long.max(many),
            [Err(NotRendered::Failed(why)), _] | [_, Err(NotRendered::Failed(why))] => {
                let message = format!("the text cannot be rendered: {why}");
                problems.error(codes::TEMPLATE, self.span(0), message);
                return;
            }
            [Err(NotRendered::TooLong(most)), _] | [_, Err(NotRendered::TooLong(most))] => most,
        };
        if size > limits.prompt_bytes {
            let message = format!(
                "with the longest values of its fields the text has {size} bytes, and it may have {}",
                limits.prompt_bytes
            );
            problems.warn(codes::TOO_LONG, self.span(0), message).help(
                "list fewer fields, or raise `prompt_bytes` in `limits`: a longer text is not sent",
            );
        }
    }

    /// The tag that begins there, as far as its line goes on.
    fn span(&self, at: usize) -> Span {
        self.stretch(at, self.tag(at).len())
    }

    /// A name in the tag that begins there.
    fn span_of(&self, name: &str, at: usize) -> Span {
        match self.tag(at).find(name) {
            Some(inside) => self.stretch(at + inside, name.len()),
            None => self.span(at),
        }
    }

    fn tag(&self, at: usize) -> &str {
        let rest = self.body.get(at..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default();
        let ends = ["}}", "%}", "#}"].map(|end| line.find(end).map(|found| found + end.len()));
        let is_tag = line.starts_with('{');
        let end = ends.into_iter().flatten().min().filter(|_| is_tag);
        // Where there is no end, its first two letters.
        line.get(..end.unwrap_or(2)).unwrap_or(line)
    }

    fn stretch(&self, at: usize, length: usize) -> Span {
        let place = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        let offset = self.text.len() - self.body.len() + at;
        Span {
            file: self.file,
            start: place(offset),
            end: place((offset + length).min(self.text.len())),
        }
    }
}

/// The most that is rendered to see how long a text can be.
const LONGEST: usize = 4 << 20;
