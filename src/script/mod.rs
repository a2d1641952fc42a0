//! Scripts in Rhai: what Sigma has no words for, as functions of the files `rules/**/*.rhai`.
//!
//! One place builds the script engine ([`sandbox`]), with every limit set. A script is
//! read when the policy is, so that what it calls, and which fields and lists it reads, is
//! known and checked before it runs ([`Scripts::add`]). What it may ask is one table
//! (`host`), of which the definitions for editors are made ([`definitions`]).

mod alike;
mod definitions;
mod expression;
mod host;
mod load;
mod meter;
pub mod sandbox;
mod value;
mod words;

#[cfg(test)]
mod bombs;
#[cfg(test)]
mod tests;

pub use self::definitions::definitions;
pub use self::expression::{Expression, Named};
pub use self::host::{FIELD_BYTES, FIELD_VALUES, Literal, WINDOW_EVENTS};
pub use self::value::{
    AboutView, EventView, FindingFacts, FindingView, Outside, Source, Value, WindowView,
};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use rhai::{AST, CallFnOptions, Dynamic, Engine, EvalAltResult, Map, Position, Scope};

use self::load::{Known, Script, sentence};
use crate::diag::{FileId, Problems, Span, noun};
use crate::event::Digest;

/// The codes of problems in scripts.
pub mod codes {
    /// A script that cannot be read, or says what scripts cannot say.
    pub const SYNTAX: &str = "RL0160";
    /// A call of a function that does not exist, or not with so many arguments.
    pub const UNKNOWN: &str = "RL0161";
    /// A field or list whose name is not written out.
    pub const NOT_LITERAL: &str = "RL0162";
    /// A rule that names a script or function that does not exist, or does not fit.
    pub const REFERENCE: &str = "RL0163";
    /// A script that no rule names.
    pub const UNUSED: &str = "RL0164";
    /// A list that does not exist, or a field that the finding does not have.
    pub const NOTHING_THERE: &str = "RL0165";
}

/// `FILE#FUNCTION`: a function of a script, as a rule names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The path of the file in `rules/`.
    pub file: String,
    /// The function.
    pub function: String,
    /// Where it is written.
    pub span: Span,
}

impl Reference {
    /// Reads `FILE#FUNCTION`; reports what is something else.
    pub fn read(text: &str, span: Span, problems: &mut Problems) -> Option<Self> {
        let parts = text.split_once('#');
        let parts = parts.filter(|(file, function)| {
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            file.ends_with(".rhai") && !function.is_empty() && function.chars().all(is_word)
        });
        if parts.is_none() {
            problems
                .error(
                    codes::REFERENCE,
                    span,
                    format!("`{text}` names no function of a script"),
                )
                .help(
                    "write the file in `rules/` and the function, such as `travel.rhai#is_unusual`",
                );
        }
        let (file, function) = parts?;
        Some(Self {
            file: file.to_owned(),
            function: function.to_owned(),
            span,
        })
    }
}

/// The scripts of a policy.
pub struct Scripts {
    engine: Arc<Engine>,
    known: Known,
    lists: BTreeSet<String>,
    /// By their paths in `rules/`; nothing for one that was reported.
    files: BTreeMap<String, (FileId, Digest, Option<Script>)>,
    used: BTreeSet<String>,
}

impl Scripts {
    /// No scripts yet, over what they may ask.
    #[must_use]
    pub fn new(outside: Arc<dyn Outside>) -> Self {
        let mut engine = sandbox::engine();
        host::register(&mut engine, &outside);
        Self {
            known: Known::new(&engine),
            engine: Arc::new(engine),
            lists: outside.lists().into_iter().collect(),
            files: BTreeMap::new(),
            used: BTreeSet::new(),
        }
    }

    /// Reads the script at a path in `rules/`; reports what is wrong with it.
    pub fn add(&mut self, path: &str, file: FileId, text: &str, problems: &mut Problems) {
        let shown = problems.file_name(file).to_owned();
        let script = Script::read((&self.engine, &self.known), &shown, file, text, problems);
        let written = Digest::of(text.as_bytes());
        self.files.insert(path.to_owned(), (file, written, script));
    }

    /// The function that a rule names, if it has the one parameter that it is given;
    /// reports what does not fit.
    pub fn function(
        &mut self,
        reference: &Reference,
        parameter: &str,
        problems: &mut Problems,
    ) -> Option<Function> {
        let Reference {
            file,
            function,
            span,
        } = reference;
        self.used.insert(file.clone());
        let Some((_, written, script)) = self.files.get(file) else {
            problems
                .error(
                    codes::REFERENCE,
                    *span,
                    format!("there is no script `{file}`"),
                )
                .did_you_mean_or(
                    file,
                    self.files.keys().map(String::as_str),
                    "put it into `rules/`, and name it as it stands there",
                );
            return None;
        };
        let script = script.as_ref()?;
        let parameters = script.parameters(function);
        if parameters.is_empty() {
            problems
                .error(
                    codes::REFERENCE,
                    *span,
                    format!("`{file}` has no function `{function}`"),
                )
                .did_you_mean_or(
                    function,
                    script.names(),
                    &format!("write `fn {function}({parameter})` in it"),
                );
            return None;
        }
        if !parameters.contains(&1) {
            let numbers: Vec<String> = parameters.iter().map(usize::to_string).collect();
            let last = parameters.last().copied().unwrap_or(0);
            let message = format!(
                "`{function}` has {} {}, expected 1",
                numbers.join(" or "),
                noun(last as u64, "parameter")
            );
            problems
                .error(codes::REFERENCE, *span, message)
                .help(format!("write `fn {function}({parameter})`"));
            return None;
        }
        let uses = script.uses(function);
        self.check_lists(&uses, problems);
        let mut fields: Vec<(String, Span)> = Vec::new();
        for (_, name, span) in uses.iter().filter(|(kind, ..)| *kind == Literal::Field) {
            if !fields.iter().any(|(known, _)| known == name) {
                fields.push((name.clone(), *span));
            }
        }
        Some(Function {
            engine: Arc::clone(&self.engine),
            ast: Arc::clone(&script.ast),
            file: Arc::clone(&script.name),
            name: function.as_str().into(),
            names: fields.iter().map(|(name, _)| name.clone()).collect(),
            fields,
            uses,
            at: script.begins(function),
            written: *written,
        })
    }

    fn check_lists(&self, uses: &[(Literal, String, Span)], problems: &mut Problems) {
        for (_, name, span) in uses.iter().filter(|(kind, ..)| *kind == Literal::List) {
            if !self.lists.contains(name) {
                let known = self.lists.iter().map(String::as_str);
                problems
                    .error(
                        codes::NOTHING_THERE,
                        *span,
                        format!("there is no list `{name}`"),
                    )
                    .did_you_mean(name, known);
            }
        }
    }

    /// Warns about the scripts that no rule names.
    pub fn report_unused(&self, problems: &mut Problems) {
        for (path, (file, ..)) in &self.files {
            if !self.used.contains(path) {
                let span = Span {
                    file: *file,
                    start: 0,
                    end: 0,
                };
                problems
                    .warn(
                        codes::UNUSED,
                        span,
                        format!("neither a rule nor an agent names the script `{path}`"),
                    )
                    .help(format!(
                        "name a function of it in a rule: `rulectl: {{script: {path}#FUNCTION}}`"
                    ));
            }
        }
    }
}

/// A function of a script, ready to be called from any thread.
#[derive(Clone)]
pub struct Function {
    engine: Arc<Engine>,
    ast: Arc<AST>,
    file: Arc<str>,
    name: Arc<str>,
    names: Arc<[String]>,
    fields: Vec<(String, Span)>,
    uses: Vec<(Literal, String, Span)>,
    /// Where it begins.
    at: Position,
    /// The digest of its file.
    written: Digest,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.file, self.name)
    }
}

/// What an enrichment says of a finding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enrichment {
    /// How severe it is.
    pub severity: Option<String>,
    /// Its description.
    pub summary: Option<String>,
}

/// What a window detector says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Whether it is a hit.
    Bool(bool),
    /// A number, which bounds decide on.
    Number(f64),
}

/// The most bytes of a draft as JSON.
pub const DRAFT_BYTES: usize = 16 << 10;

/// Why a function gave no answer, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct Failure {
    /// The script.
    pub file: Arc<str>,
    /// The function of it that was asked, whichever one it failed in.
    pub asked: Arc<str>,
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters, from 1.
    pub column: usize,
    /// What happened.
    pub message: String,
}

impl Failure {
    /// The function that was asked, as `FILE#FUNCTION`.
    #[must_use]
    pub fn function(&self) -> String {
        format!("{}#{}", self.file, self.asked)
    }
}

impl Function {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The digest of the script that it stands in.
    #[must_use]
    pub fn written(&self) -> Digest {
        self.written
    }

    /// The fields that it may read, each with a place where it does.
    #[must_use]
    pub fn fields(&self) -> &[(String, Span)] {
        &self.fields
    }

    /// What it asks of a finding: the values of these fields.
    pub fn asked(&self, of: Literal) -> impl Iterator<Item = (&str, Span)> {
        let uses = self.uses.iter().filter(move |(kind, ..)| *kind == of);
        uses.map(|(_, name, span)| (name.as_str(), *span))
    }

    /// An event to give to it. Its fields are those of [`Function::fields`], in that order.
    #[must_use]
    pub fn event(&self, source: Arc<dyn Source>) -> EventView {
        EventView {
            fields: Arc::clone(&self.names),
            source,
        }
    }

    /// A failure for an answer that cannot be used.
    #[must_use]
    pub fn refuse(&self, message: String) -> Failure {
        self.failure(self.at, message)
    }

    /// Asks it whether an event is a match.
    ///
    /// # Errors
    ///
    /// When it fails, is not done in time, or answers something else.
    pub fn holds(&self, event: EventView) -> Result<bool, Failure> {
        let answer = self.call(event)?;
        let found = answer.type_name();
        answer
            .as_bool()
            .map_err(|_| self.unexpected(found, "true or false"))
    }

    /// Asks it for the text that events of one finding share; there may be none.
    ///
    /// # Errors
    ///
    /// See [`Function::holds`].
    pub fn key(&self, event: EventView) -> Result<Option<String>, Failure> {
        let answer = self.call(event)?;
        if answer.is_unit() {
            return Ok(None);
        }
        let key = Value::of(&answer).map(|value| value.shown());
        let found = answer.type_name();
        key.map(Some)
            .ok_or_else(|| self.unexpected(found, "a text or ()"))
    }

    /// Asks it about a window.
    ///
    /// # Errors
    ///
    /// See [`Function::holds`].
    pub fn judge(&self, window: WindowView, bounded: bool) -> Result<Verdict, Failure> {
        let answer = self.call(window)?;
        let verdict = match Value::of(&answer) {
            Some(Value::Bool(answer)) if !bounded => Some(Verdict::Bool(answer)),
            #[expect(clippy::cast_precision_loss, reason = "bounds are doubles")]
            Some(Value::Int(number)) if bounded => Some(Verdict::Number(number as f64)),
            Some(Value::Float(number)) if bounded && number.is_finite() => {
                Some(Verdict::Number(number))
            }
            _ => None,
        };
        let expected = if bounded { "a number" } else { "true or false" };
        let found = answer.type_name();
        verdict.ok_or_else(|| self.unexpected(found, expected))
    }

    /// Asks it what to say of a finding.
    ///
    /// # Errors
    ///
    /// See [`Function::holds`]; and when it says what nobody asks for.
    pub fn describe(&self, finding: FindingFacts) -> Result<Enrichment, Failure> {
        let answer = self.call(FindingView(Arc::new(finding)))?;
        if answer.is_unit() {
            return Ok(Enrichment::default());
        }
        let found = answer.type_name();
        let map = answer
            .try_cast::<Map>()
            .ok_or_else(|| self.unexpected(found, "a map `#{…}` or ()"))?;
        let mut enrichment = Enrichment::default();
        for (key, value) in map {
            let place = match key.as_str() {
                "severity" => &mut enrichment.severity,
                "summary" => &mut enrichment.summary,
                _ => {
                    let message = format!("`{key}` is not one of `severity` and `summary`");
                    return Err(self.failure(self.at, message));
                }
            };
            if value.is_unit() {
                continue;
            }
            let found = value.type_name();
            let text = value.into_immutable_string();
            let text = text.map_err(|_| self.unexpected(found, &format!("a text for `{key}`")))?;
            *place = Some(text.as_str().to_owned());
        }
        Ok(enrichment)
    }

    /// Asks it for a draft about an incident: a text or a map, or `()` for none.
    ///
    /// # Errors
    ///
    /// See [`Function::holds`]; and when what it gives has more than [`DRAFT_BYTES`] as JSON.
    pub fn draft(&self, about: AboutView) -> Result<Option<serde_json::Value>, Failure> {
        let answer = self.call(about)?;
        let is_draft = answer.is_map() || answer.is_string();
        if answer.is_unit() {
            return Ok(None);
        }
        if !is_draft {
            return Err(self.unexpected(answer.type_name(), "a text, a map `#{…}` or ()"));
        }
        let draft = value::to_json(&answer, 0).map_err(|why| {
            let message = format!("`{}` returned {why}", self.name);
            self.failure(self.at, message)
        })?;
        let bytes = draft.to_string().len();
        if bytes > DRAFT_BYTES {
            let message = format!(
                "`{}` returned a draft of {bytes} bytes, expected at most {DRAFT_BYTES}",
                self.name
            );
            return Err(self.failure(self.at, message));
        }
        Ok(Some(draft))
    }

    fn call<T: Clone + Send + Sync + 'static>(&self, argument: T) -> Result<Dynamic, Failure> {
        let options = CallFnOptions::new().eval_ast(false);
        let mut scope = Scope::new();
        let argument = (Dynamic::from(argument),);
        sandbox::begin();
        let answer = self.engine.call_fn_with_options(
            options,
            &mut scope,
            &self.ast,
            self.name.as_ref(),
            argument,
        );
        answer.map_err(|error| self.explain(*error))
    }

    fn explain(&self, error: EvalAltResult) -> Failure {
        // The place where it happened, and not those where the functions around it were called.
        let mut inner = error;
        while let EvalAltResult::ErrorInFunctionCall(_, _, cause, _) = inner {
            inner = *cause;
        }
        let at = inner.take_position();
        let message = match &inner {
            EvalAltResult::ErrorTooManyOperations(_) | EvalAltResult::ErrorTerminated(..) => {
                format!("not done after {} operations", sandbox::OPERATIONS)
            }
            EvalAltResult::ErrorStackOverflow(_) => format!(
                "more than {} functions have called each other",
                sandbox::CALL_LEVELS
            ),
            EvalAltResult::ErrorTooManyVariables(_) => {
                format!("more than {} variables", sandbox::VARIABLES)
            }
            EvalAltResult::ErrorDataTooLarge(what, _) if what.contains("string") => {
                format!("texts of more than {} KiB", sandbox::TEXT_BYTES >> 10)
            }
            EvalAltResult::ErrorDataTooLarge(what, _) if what.contains("array") => {
                format!("lists of more than {} elements", sandbox::LIST_ELEMENTS)
            }
            EvalAltResult::ErrorDataTooLarge(..) => {
                format!("maps of more than {} entries", sandbox::MAP_ENTRIES)
            }
            EvalAltResult::ErrorFunctionNotFound(said, _) if said.ends_with("cannot be sorted") => {
                words::of_types(said)
            }
            EvalAltResult::ErrorFunctionNotFound(called, _) => {
                format!("there is no function `{}`", words::of_call(called))
            }
            EvalAltResult::ErrorDotExpr(said, _) => {
                words::of_property(said).unwrap_or_else(|| sentence(&words::of_types(said)))
            }
            EvalAltResult::ErrorMismatchDataType(..)
            | EvalAltResult::ErrorMismatchOutputType(..)
            | EvalAltResult::ErrorIndexingType(..) => {
                sentence(&words::of_types(&inner.to_string()))
            }
            EvalAltResult::ErrorRuntime(value, _) => value.to_string(),
            other => sentence(&other.to_string()),
        };
        // Rhai does not tell where a limit was passed.
        self.failure(if at.is_none() { self.at } else { at }, message)
    }

    fn unexpected(&self, found: &str, expected: &str) -> Failure {
        let found = words::of_type(found).unwrap_or("something else");
        let message = format!("`{}` returned {found}, expected {expected}", self.name);
        self.failure(self.at, message)
    }

    /// A failure at a place; at the first line where there is none.
    fn failure(&self, at: Position, message: String) -> Failure {
        let kept = message.char_indices().nth(300).map(|(end, _)| end);
        let message = match kept {
            Some(end) => format!("{}…", message.get(..end).unwrap_or_default()),
            None => message,
        };
        Failure {
            file: Arc::clone(&self.file),
            asked: Arc::clone(&self.name),
            line: at.line().unwrap_or(1),
            column: at.position().unwrap_or(1),
            message,
        }
    }
}
