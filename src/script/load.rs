//! A script file, read: its functions, what each calls and reads, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rhai::{AST, ASTFlags, ASTNode, Engine, Expr, FnCallExpr, ParseErrorType, Position, Stmt};

use crate::diag::{FileId, Problems, Span, noun};
use crate::script::host::{self, LITERALS, Literal};
use crate::script::{codes, sandbox};

/// A script file that was read and checked.
#[derive(Clone)]
pub(super) struct Script {
    pub(super) name: Arc<str>,
    pub(super) ast: Arc<AST>,
    functions: BTreeMap<String, Vec<Definition>>,
}

/// A function of a script: one of those of its name.
#[derive(Clone)]
struct Definition {
    parameters: usize,
    uses: Uses,
    /// The first place in it.
    at: Position,
}

/// What the text of a function names.
#[derive(Clone, Default)]
pub(super) struct Uses {
    /// The functions that it may call.
    calls: BTreeSet<String>,
    /// The literal arguments of host functions, each with its place.
    pub(super) literals: Vec<(Literal, String, Span)>,
}

/// The native functions that a script may call, with the numbers of their parameters.
pub(super) struct Known(BTreeMap<String, BTreeSet<usize>>);

impl Known {
    pub(super) fn new(engine: &Engine) -> Self {
        let mut known: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        let named = |info: rhai::FuncInfo<'_>| {
            Some((info.metadata.name.to_string(), info.metadata.num_params))
        };
        for (name, parameters) in engine.collect_fn_metadata(None, named, true) {
            known.entry(name).or_default().insert(parameters);
        }
        Self(known)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let is_word = |name: &&str| name.starts_with(|c: char| c.is_ascii_alphabetic());
        let plain = |name: &&str| !name.contains('$');
        self.0
            .keys()
            .map(String::as_str)
            .filter(is_word)
            .filter(plain)
    }
}

impl Script {
    /// Reads a script; reports what is wrong with it.
    pub(super) fn read(
        (engine, known): (&Engine, &Known),
        name: &str,
        file: FileId,
        text: &str,
        problems: &mut Problems,
    ) -> Option<Self> {
        let errors = problems.counts().0;
        if text.len() > sandbox::SCRIPT_BYTES {
            let message = format!(
                "`{name}` is larger than {} KiB",
                sandbox::SCRIPT_BYTES >> 10
            );
            problems
                .file_error(codes::SYNTAX, file, message)
                .help("split it: a script is read whole for each rule that names it");
            return None;
        }
        let places = Places { file, text };
        let ast = match engine.compile(text) {
            Ok(ast) => ast,
            Err(error) => {
                report(&error, &places, problems);
                return None;
            }
        };
        let mut script = Self {
            name: name.into(),
            functions: BTreeMap::new(),
            ast: Arc::new(ast),
        };
        script.refuse_statements(&places, problems);
        script.describe((engine, known), &places, problems);
        (problems.counts().0 == errors).then_some(script)
    }

    /// The names of its functions.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let is_anonymous = |name: &&str| name.contains('$');
        self.functions
            .keys()
            .map(String::as_str)
            .filter(move |name| !is_anonymous(name))
    }

    /// How many parameters the functions of a name take.
    pub(super) fn parameters(&self, function: &str) -> Vec<usize> {
        let all = self.functions.get(function).into_iter().flatten();
        all.map(|definition| definition.parameters).collect()
    }

    /// Where a function begins.
    pub(super) fn begins(&self, function: &str) -> Position {
        let first = self.functions.get(function).and_then(|all| all.first());
        first.map_or(Position::NONE, |definition| definition.at)
    }

    /// What a function names, itself or through those that it calls.
    pub(super) fn uses(&self, function: &str) -> Vec<(Literal, String, Span)> {
        let mut found = Vec::new();
        let mut reached = BTreeSet::from([function]);
        let mut todo = vec![function];
        while let Some(name) = todo.pop() {
            for definition in self.functions.get(name).into_iter().flatten() {
                found.extend(definition.uses.literals.iter().cloned());
                let calls = definition.uses.calls.iter().map(String::as_str);
                todo.extend(calls.filter(|name| reached.insert(name)));
            }
        }
        found
    }

    /// What stands outside of functions would never run.
    fn refuse_statements(&self, places: &Places<'_>, problems: &mut Problems) {
        if let Some(statement) = self
            .ast
            .statements()
            .iter()
            .find(|s| !matches!(s, Stmt::Noop(_)))
        {
            problems
                .error(
                    codes::SYNTAX,
                    places.span(statement.position(), 1),
                    "a statement outside of a function would never run",
                )
                .help("a script holds functions: `fn name(event) { … }`");
        }
    }

    /// A function that is there already would be another from here on.
    fn refuse_name(&self, name: &str, places: &Places<'_>, problems: &mut Problems) {
        let written = definition(places.text, name);
        let span = places.bytes(written, written + name.len());
        problems
            .error(
                codes::SYNTAX,
                span,
                format!("`{name}` is a function that scripts have already"),
            )
            .help("give yours another name");
    }

    /// Notes what each function calls and reads; reports what cannot be.
    fn describe(
        &mut self,
        (engine, known): (&Engine, &Known),
        places: &Places<'_>,
        problems: &mut Problems,
    ) {
        let functions: Vec<(String, usize)> = self
            .ast
            .iter_functions()
            .map(|function| (function.name.to_owned(), function.params.len()))
            .collect();
        let own: BTreeSet<&str> = functions.iter().map(|(name, _)| name.as_str()).collect();
        for (name, parameters) in &functions {
            if host::defines(name) {
                self.refuse_name(name, places, problems);
            }
            let mut alone = self.ast.as_ref().clone();
            alone.retain_functions(|_, _, other, of| other == name && of == *parameters);
            let mut walk = Walk {
                own: &functions,
                names: &own,
                engine,
                known,
                places,
                problems,
                uses: Uses::default(),
                at: Position::NONE,
            };
            alone.walk(&mut |path| {
                walk.node(path);
                true
            });
            let definition = Definition {
                parameters: *parameters,
                uses: walk.uses,
                at: walk.at,
            };
            self.functions
                .entry(name.clone())
                .or_default()
                .push(definition);
        }
    }
}

/// A walk through the text of one function.
struct Walk<'w> {
    own: &'w [(String, usize)],
    names: &'w BTreeSet<&'w str>,
    engine: &'w Engine,
    known: &'w Known,
    places: &'w Places<'w>,
    problems: &'w mut Problems,
    uses: Uses,
    at: Position,
}

/// Methods that let a value grow. Rhai looks at the size of what they are called on, and not of
/// the value that holds it.
const GROWING: [&str; 9] = [
    "append",
    "fill_with",
    "insert",
    "mixin",
    "pad",
    "push",
    "replace",
    "set",
    "splice",
];

impl Walk<'_> {
    fn node(&mut self, path: &[ASTNode<'_>]) {
        if let (true, Some(first)) = (self.at.is_none(), path.last()) {
            self.at = first.position();
        }
        match path.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, at))) => self.call(call, 0, *at),
            Some(ASTNode::Stmt(Stmt::FnCall(call, at))) => self.call(call, 0, *at),
            Some(ASTNode::Expr(Expr::MethodCall(call, at))) => {
                self.call(call, 1, *at);
                if GROWING.contains(&call.name.as_str()) && !is_of_variable(path) {
                    self.refuse(
                        *at,
                        &format!("`{}` changes a part of a value", call.name),
                        "keep the part in a variable, change that, and put it back with `set`",
                    );
                }
            }
            Some(ASTNode::Stmt(Stmt::Assignment(parts)))
                if !matches!(parts.1.lhs, Expr::Variable(..)) =>
            {
                self.refuse(
                    parts.1.lhs.start_position(),
                    "a part of a value cannot be assigned to",
                    "write `list.set(0, x)` or `map.set(\"key\", x)`",
                );
            }
            Some(ASTNode::Stmt(Stmt::Return(Some(thrown), options, at)))
                if options.contains(ASTFlags::BREAK)
                    && !matches!(
                        **thrown,
                        Expr::StringConstant(..) | Expr::InterpolatedString(..)
                    ) =>
            {
                self.refuse(
                    *at,
                    "`throw` takes a text in quotes",
                    "it says why the script gives no answer: write `throw \"…\"`",
                );
            }
            // The name of a function may be handed over as a text.
            Some(ASTNode::Expr(Expr::StringConstant(text, _)))
                if self.names.contains(text.as_str()) =>
            {
                self.uses.calls.insert(text.to_string());
            }
            Some(ASTNode::Expr(Expr::DynamicConstant(value, _))) => {
                if let Ok(function) = value.clone().try_cast_result::<rhai::FnPtr>() {
                    self.uses.calls.insert(function.fn_name().to_owned());
                }
            }
            _ => {}
        }
    }

    /// A call, of a method where `object` is 1.
    fn call(&mut self, call: &FnCallExpr, object: usize, at: Position) {
        let name = call.name.as_str();
        if call.op_token.is_some() {
            return;
        }
        if let Some((_, instead)) = sandbox::REFUSED.iter().find(|(word, _)| *word == name) {
            self.refuse(at, &format!("scripts have no `{name}`"), instead);
            return;
        }
        self.uses.calls.insert(name.to_owned());
        let arguments = call.args.len() + object;
        for (of, literal) in LITERALS {
            if name == of && !self.own.iter().any(|(own, _)| own == name) {
                self.literal(literal, call, 1 - object);
            }
        }
        self.is_known(name, call.args.len(), arguments, at);
    }

    /// An argument that says which field, list or value is meant.
    fn literal(&mut self, literal: Literal, call: &FnCallExpr, place: usize) {
        let place = if literal == Literal::List { 0 } else { place };
        match call.args.get(place) {
            Some(Expr::StringConstant(text, at)) => {
                let span = self.places.literal(*at, text);
                self.uses.literals.push((literal, text.to_string(), span));
            }
            Some(other) => {
                let message = format!(
                    "`{}` takes {} in quotes, found something that is known only when the script runs",
                    call.name,
                    literal.named(),
                );
                let span = self.places.span(other.start_position(), 1);
                self.problems
                    .error(codes::NOT_LITERAL, span, message)
                    .help(literal.reason());
            }
            // Too few arguments are reported as such.
            None => {}
        }
    }

    /// Reports a call of what does not exist, or not with so many parameters.
    fn is_known(&mut self, name: &str, written: usize, arguments: usize, at: Position) {
        let own = || self.own.iter().filter(|(own, _)| own == name);
        let native = self.known.0.get(name);
        let fits = own().any(|(_, parameters)| *parameters == written)
            || native.is_some_and(|parameters| parameters.contains(&arguments))
            || matches!((name, arguments), ("call", _) | ("type_of", 1));
        if fits || self.engine.is_symbol_disabled(name) {
            return;
        }
        let span = self.places.span(at, name.chars().count());
        let method = arguments - written;
        let mut takes: Vec<usize> = own().map(|(_, parameters)| *parameters).collect();
        takes.extend(
            native
                .into_iter()
                .flatten()
                .filter_map(|n| n.checked_sub(method)),
        );
        takes.sort_unstable();
        takes.dedup();
        if takes.is_empty() {
            let names = self.known.names().chain(self.names.iter().copied());
            self.problems
                .error(
                    codes::UNKNOWN,
                    span,
                    format!("there is no function `{name}`"),
                )
                .did_you_mean_only(name, names);
            return;
        }
        let message = format!("`{name}` takes {}, found {written}", numbers(&takes));
        self.problems.error(codes::UNKNOWN, span, message);
    }

    fn refuse(&mut self, at: Position, message: &str, help: &str) {
        let span = self.places.span(at, 1);
        self.problems
            .error(codes::SYNTAX, span, message)
            .help(help.to_owned());
    }
}

/// `1 argument`, `1 or 2 arguments`.
fn numbers(takes: &[usize]) -> String {
    let texts: Vec<String> = takes.iter().map(usize::to_string).collect();
    let last = takes.last().copied().unwrap_or(0);
    format!("{} {}", texts.join(" or "), noun(last as u64, "argument"))
}

/// Whether a method is called on a variable, and not on a part of one.
fn is_of_variable(path: &[ASTNode<'_>]) -> bool {
    let mut above = path.iter().rev().skip(1);
    let Some(ASTNode::Expr(parent @ Expr::Dot(chain, ..))) = above.next() else {
        return false;
    };
    let is_rest = match above.next() {
        Some(ASTNode::Expr(Expr::Dot(outer, ..) | Expr::Index(outer, ..))) => {
            std::ptr::eq(&raw const outer.rhs, std::ptr::from_ref(*parent))
        }
        _ => false,
    };
    matches!(chain.lhs, Expr::Variable(..)) && !is_rest
}

/// Where a function of this name is defined.
fn definition(text: &str, name: &str) -> usize {
    let mut starts = text.match_indices(name).map(|(at, _)| at);
    let is_definition = |at: &usize| {
        let before = text.get(..*at).unwrap_or_default();
        let after = text.get(at + name.len()..).unwrap_or_default();
        before.trim_end().ends_with("fn") && after.trim_start().starts_with('(')
    };
    starts.find(is_definition).unwrap_or(0)
}

/// Where a script's lines and columns are in bytes.
pub(super) struct Places<'t> {
    file: FileId,
    text: &'t str,
}

impl Places<'_> {
    /// So many characters from a position on; nothing at the end where there is none.
    fn span(&self, at: Position, characters: usize) -> Span {
        let start = self.offset(at);
        let rest = self.text.get(start..).unwrap_or_default();
        let length: usize = rest
            .chars()
            .take(characters)
            .take_while(|c| *c != '\n')
            .map(char::len_utf8)
            .sum();
        self.bytes(start, start + length)
    }

    /// The text between the quotes of a literal that is spelled as it reads.
    fn literal(&self, at: Position, text: &str) -> Span {
        let start = self.offset(at);
        let spelled = self
            .text
            .get(start + 1..)
            .is_some_and(|rest| rest.starts_with(text));
        if spelled {
            self.bytes(start + 1, start + 1 + text.len())
        } else {
            self.span(at, 1)
        }
    }

    fn bytes(&self, start: usize, end: usize) -> Span {
        let bytes = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span {
            file: self.file,
            start: bytes(start),
            end: bytes(end),
        }
    }

    fn offset(&self, at: Position) -> usize {
        let Some(line) = at.line() else {
            return self.text.len();
        };
        let before: usize = self
            .text
            .split_inclusive('\n')
            .take(line - 1)
            .map(str::len)
            .sum();
        let rest = self.text.get(before..).unwrap_or_default();
        let column = at.position().unwrap_or(1).saturating_sub(1);
        let within: usize = rest.chars().take(column).map(char::len_utf8).sum();
        before + within
    }

    /// The word or sign that stands at a position.
    fn found(&self, at: Position) -> Option<&str> {
        let rest = self.text.get(self.offset(at)..)?;
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let word = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let first = rest.chars().next()?.len_utf8();
        rest.get(..word.max(first))
            .filter(|found| !found.trim().is_empty())
    }
}

/// Reports why a script cannot be read: the parser stops at the first place.
fn report(error: &rhai::ParseError, places: &Places<'_>, problems: &mut Problems) {
    let at = error.position();
    let found = places.found(at);
    let refused = |word: &str| sandbox::REFUSED.iter().find(|(known, _)| *known == word);
    let width = found.map_or(1, |word| word.chars().count());
    let span = places.span(at, width);
    if let Some((word, instead)) = found.and_then(refused) {
        let message = format!("scripts have no `{word}`");
        problems.error(codes::SYNTAX, span, message).help(*instead);
        return;
    }
    let text = sentence(&error.err_type().to_string());
    let message = match (error.err_type(), found) {
        (ParseErrorType::MissingToken(..) | ParseErrorType::MissingSymbol(_), Some(found)) => {
            format!("{text}, found `{found}`")
        }
        (ParseErrorType::MissingToken(..) | ParseErrorType::MissingSymbol(_), None) => {
            format!("{text}, found the end of the script")
        }
        _ => text,
    };
    let help = match error.err_type() {
        ParseErrorType::VariableUndefined(_) => {
            "a function knows its own variables and parameters; what an anonymous one needs is handed to it"
        }
        ParseErrorType::ExprTooDeep => "give parts of it names with `let`",
        ParseErrorType::WrongFnDefinition => "close the function before with `}`",
        _ => "",
    };
    let problem = problems.error(codes::SYNTAX, span, message);
    if !help.is_empty() {
        problem.help(help);
    }
}

/// A message of Rhai as ours are: in lower case, and what was typed in backticks.
pub(super) fn sentence(text: &str) -> String {
    let mut out: String = text.replace('\'', "`");
    let expected = [
        ("Expecting ", "expected "),
        ("Undefined variable: ", "there is no variable "),
    ];
    for (theirs, ours) in expected {
        if let Some(rest) = out.strip_prefix(theirs) {
            out = if theirs.starts_with("Undefined") {
                format!("{ours}`{rest}`")
            } else {
                format!("{ours}{rest}")
            };
        }
    }
    let mut chars = out.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => out,
    }
}
