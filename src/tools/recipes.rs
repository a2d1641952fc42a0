//! Reading plans: the steps of recipes, and those that a model proposes.
//!
//! Every name is held against what is there: tools, their parameters and columns, earlier steps.
//! What is left cannot fail for a name when it is executed.

use serde_json::Value;

use crate::diag::{Problems, Span};
use crate::document::{Kind, Node, Table, codes as shape};
use crate::tools::catalogue::{decode_asked, decode_params};
use crate::tools::{
    Clause, Join, Named, Operator, Param, Place, Recipe, Step, Term, Test, Tool, codes,
};

/// A plan has at most so many steps.
const MOST_STEPS: usize = 16;

/// The column of a count.
pub const COUNT: &str = "count";

pub(super) fn decode_recipe(
    name: &str,
    at: Span,
    node: &Node,
    tools: &[Tool],
    problems: &mut Problems,
) -> Option<Recipe> {
    let mut table = node.table(problems)?;
    let description = table
        .require("description", problems)
        .and_then(|node| node.text(problems));
    let notes = table.get("notes").and_then(|node| node.text(problems));
    let params = decode_params(table.get("params"), decode_param, problems);
    let follows = table.get("follows").map(|node| {
        let columns = node.texts(problems).into_iter();
        columns
            .map(|(column, _)| column.to_owned())
            .collect::<Vec<_>>()
    });
    let steps = table.require("steps", problems);
    let steps = steps.and_then(|node| {
        let known = follows.as_deref().map(|columns| (THESE, columns));
        decode_steps_behind(known, node, tools, &params, problems)
    });
    let asked = decode_asked(&mut table, &params, problems);
    table.finish(problems);
    Some(Recipe {
        name: name.to_owned(),
        at,
        description: description?.to_owned(),
        notes: notes.map(str::to_owned),
        params,
        follows,
        steps: steps?,
        examples: asked.examples,
        patterns: asked.patterns,
    })
}

/// A parameter of a recipe is its schema; it is required where that has no `default`.
fn decode_param(name: &str, at: Span, node: &Node, problems: &mut Problems) -> Option<Param> {
    node.table(problems)?;
    let mut schema = node.to_json();
    let map = schema.as_object_mut()?;
    let default = map.remove("default");
    let optional = map.remove("optional");
    if optional
        .as_ref()
        .is_some_and(|optional| !optional.is_boolean())
    {
        let message = "`optional` is true or false".to_owned();
        problems.error(codes::PARAMETER, at, message);
    }
    Some(Param {
        name: name.to_owned(),
        at,
        place: Place::Recipe,
        required: default.is_none() && optional != Some(Value::Bool(true)),
        schema,
        default,
    })
}

/// The names that a step may use.
struct Scope<'s> {
    tools: &'s [Tool],
    params: &'s [Param],
    /// Earlier steps with their columns.
    steps: Vec<(String, Vec<String>)>,
}

/// Reads the steps of a plan; nothing where one of them is none.
#[must_use]
pub fn decode_steps(
    node: &Node,
    tools: &[Tool],
    params: &[Param],
    problems: &mut Problems,
) -> Option<Vec<Step>> {
    decode_steps_behind(None, node, tools, params, problems)
}

/// What the rows of an earlier answer are called.
pub const THESE: &str = "these";

/// The same behind rows that are there, with the columns that are known of them.
fn decode_steps_behind(
    known: Option<(&str, &[String])>,
    node: &Node,
    tools: &[Tool],
    params: &[Param],
    problems: &mut Problems,
) -> Option<Vec<Step>> {
    let items = node.list(problems)?;
    if items.is_empty() || items.len() > MOST_STEPS {
        let message = format!(
            "a plan has 1 to {MOST_STEPS} steps, this one has {}",
            items.len()
        );
        problems.error(codes::STEP, node.span, message);
        return None;
    }
    let mut scope = Scope {
        tools,
        params,
        steps: known
            .into_iter()
            .map(|(name, columns)| (name.to_owned(), columns.to_vec()))
            .collect(),
    };
    let mut steps = Vec::new();
    for item in items {
        let step = scope.step(item, problems);
        steps.push(step);
    }
    steps.into_iter().collect()
}

impl Scope<'_> {
    fn step(&mut self, node: &Node, problems: &mut Problems) -> Option<Step> {
        let entries = node.table(problems)?.entries();
        let [(key, body)] = entries else {
            problems
                .error(
                    codes::STEP,
                    node.span,
                    "a step is one name with what it does",
                )
                .help("such as `- users: {call: list_users}`");
            return None;
        };
        if self.steps.iter().any(|(name, _)| *name == key.text) {
            let message = format!("there is a step `{}` already", key.text);
            problems.error(codes::STEP, key.span, message);
        }
        let mut table = body.table(problems)?;
        let operator = self.operator(&mut table, problems);
        let (operator, columns) = match operator {
            Some((operator, columns)) => (Some(operator), columns),
            None => {
                // What belongs to an operator that is wrong is no problem of its own.
                for key in [
                    "with", "each", "keep", "on", "by", "latest", "called", "list", "says",
                ] {
                    table.get(key);
                }
                (None, None)
            }
        };
        let columns = columns.as_deref();
        let filter = table.get("filter");
        let filter = filter.map(|node| self.filter(node, columns, problems));
        let sort = table.get("sort");
        let sort = sort.and_then(|node| sorted(node, columns, problems));
        let limit = table.get("limit").and_then(|node| node.count(problems));
        let select = table.get("select");
        let select = select.map(|node| names(node, columns, problems));
        let expect = table.get("expect");
        let words = [("one", true), ("any", false)];
        let expects_one = expect.and_then(|node| node.one_of(&words, problems));
        table.finish(problems);
        let kept = match (&select, columns) {
            (Some(select), _) => select.iter().map(|named| named.name.clone()).collect(),
            (None, Some(columns)) => columns.to_vec(),
            // What is unknown is not told again at every use.
            (None, None) => Vec::new(),
        };
        self.steps.push((key.text.clone(), kept));
        Some(Step {
            name: key.text.clone(),
            at: key.span,
            operator: operator?,
            filter: filter.unwrap_or_default(),
            select,
            sort,
            limit,
            expects_one: expects_one.unwrap_or(false),
        })
    }

    /// What gives the rows, and which columns these have.
    fn operator(
        &self,
        table: &mut Table<'_>,
        problems: &mut Problems,
    ) -> Option<(Operator, Option<Vec<String>>)> {
        const WORDS: [&str; 10] = [
            "call",
            "from",
            "join",
            "left_join",
            "semi_join",
            "anti_join",
            "union",
            "count",
            "group",
            "members",
        ];
        let found: Vec<(&str, &Node)> = WORDS
            .iter()
            .filter_map(|word| Some((*word, table.get(word)?)))
            .collect();
        let [(word, node)] = found.as_slice() else {
            let message = format!("a step does one thing, this one does {}", found.len());
            problems
                .error(codes::STEP, table.span(), message)
                .help(format!(
                    "write one of {}",
                    WORDS.map(|word| format!("`{word}`")).join(", ")
                ));
            return None;
        };
        match *word {
            "call" => self.call(node, table, problems),
            "from" => {
                let of = self.earlier(node, problems)?;
                Some((Operator::From(of.0), of.1))
            }
            "count" => {
                let of = self.earlier(node, problems)?;
                Some((Operator::Count(of.0), Some(vec![COUNT.to_owned()])))
            }
            "union" => {
                let list = node.list(problems)?;
                let of = list.iter().map(|node| self.earlier(node, problems));
                let of: Vec<_> = of.collect::<Option<_>>()?;
                let columns = of.first().and_then(|(_, columns)| columns.clone());
                if of.iter().any(|(_, other)| *other != columns) {
                    let message = "the rows of a union have the same columns";
                    problems
                        .error(codes::STEP, node.span, message)
                        .help("give each step the same `select`");
                }
                let names = of.into_iter().map(|(name, _)| name).collect();
                Some((Operator::Union(names), columns))
            }
            "group" => self.group(node, table, problems),
            "members" => self.members(node, table, problems),
            word => self.join(word, node, table, problems),
        }
    }

    fn call(
        &self,
        node: &Node,
        table: &mut Table<'_>,
        problems: &mut Problems,
    ) -> Option<(Operator, Option<Vec<String>>)> {
        let name = node.text(problems)?;
        let tool = self.tools.iter().find(|tool| tool.name == name);
        let Some(tool) = tool else {
            let known = self.tools.iter().map(|tool| tool.name.as_str());
            problems
                .error(
                    codes::REFERENCE,
                    node.span,
                    format!("there is no tool `{name}`"),
                )
                .did_you_mean(name, known);
            return None;
        };
        let each = table.get("each");
        let each = each.and_then(|node| self.earlier(node, problems));
        let keep = table.get("keep");
        let of_each = each.as_ref().and_then(|(_, columns)| columns.as_deref());
        let keep = keep.map_or_else(Vec::new, |node| names(node, of_each, problems));
        let mut with = Vec::new();
        let given = table.get("with").and_then(|node| node.table(problems));
        for (key, value) in given.map(|table| table.entries()).unwrap_or_default() {
            if tool.param(&key.text).is_none() {
                let known = tool.params.iter().map(|param| param.name.as_str());
                let message = format!("`{name}` has no parameter `{}`", key.text);
                problems
                    .error(codes::REFERENCE, key.span, message)
                    .did_you_mean(&key.text, known);
            }
            let term = self.term(value, problems)?;
            with.push((key.text.clone(), term));
        }
        for param in tool.params.iter().filter(|param| param.required) {
            let is_given = with.iter().any(|(name, _)| *name == param.name);
            if !is_given && param.default.is_none() {
                let message = format!("`{name}` needs `{}`", param.name);
                problems.error(codes::REFERENCE, node.span, message);
            }
        }
        let mut columns: Vec<String> = keep.iter().map(|named| named.name.clone()).collect();
        columns.extend(tool.columns.iter().map(|column| column.name.clone()));
        let operator = Operator::Call {
            tool: name.to_owned(),
            with,
            each: each.map(|(name, _)| name),
            keep,
        };
        Some((operator, Some(columns)))
    }

    fn join(
        &self,
        word: &str,
        node: &Node,
        table: &mut Table<'_>,
        problems: &mut Problems,
    ) -> Option<(Operator, Option<Vec<String>>)> {
        let kind = match word {
            "join" => Join::Inner,
            "left_join" => Join::Left,
            "semi_join" => Join::Semi,
            _ => Join::Anti,
        };
        let left = self.earlier(node, problems);
        let right = table.require("with", problems);
        let right = right.and_then(|node| self.earlier(node, problems));
        let (left_columns, right_columns) = (
            left.as_ref().and_then(|(_, columns)| columns.clone()),
            right.as_ref().and_then(|(_, columns)| columns.clone()),
        );
        let on = table.require("on", problems)?;
        let mut pairs = Vec::new();
        for (key, value) in on.table(problems)?.entries() {
            let text = value.text(problems)?;
            known(&key.text, key.span, left_columns.as_deref(), problems);
            known(text, value.span, right_columns.as_deref(), problems);
            pairs.push((key.text.clone(), text.to_owned()));
        }
        if pairs.is_empty() {
            let message = "a join compares at least one pair of columns";
            problems.error(codes::STEP, on.span, message);
        }
        let adds = matches!(kind, Join::Inner | Join::Left);
        let keep = adds.then(|| table.get("keep")).flatten();
        let keep = keep.map_or_else(Vec::new, |node| {
            names(node, right_columns.as_deref(), problems)
        });
        let columns = left_columns.map(|mut columns| {
            columns.extend(keep.iter().map(|named| named.name.clone()));
            columns
        });
        let operator = Operator::Join {
            kind,
            left: left?.0,
            right: right?.0,
            on: pairs,
            keep,
        };
        Some((operator, columns))
    }

    fn group(
        &self,
        node: &Node,
        table: &mut Table<'_>,
        problems: &mut Problems,
    ) -> Option<(Operator, Option<Vec<String>>)> {
        let (of, columns) = self.earlier(node, problems)?;
        let by = table.require("by", problems)?.texts(problems);
        for (name, span) in &by {
            known(name, *span, columns.as_deref(), problems);
        }
        let latest = table.get("latest").and_then(|node| {
            let name = node.text(problems)?;
            known(name, node.span, columns.as_deref(), problems);
            Some(name.to_owned())
        });
        let by: Vec<String> = by.into_iter().map(|(name, _)| name.to_owned()).collect();
        let mut columns = by.clone();
        columns.push(COUNT.to_owned());
        columns.extend(latest.clone());
        Some((Operator::Group { of, by, latest }, Some(columns)))
    }

    fn members(
        &self,
        node: &Node,
        table: &mut Table<'_>,
        problems: &mut Problems,
    ) -> Option<(Operator, Option<Vec<String>>)> {
        let (of, columns) = self.earlier(node, problems)?;
        let called = table.require("called", problems)?.text(problems)?;
        let list = table.require("list", problems)?.text(problems)?;
        let mut columns_of = |key| {
            let named = table.require(key, problems)?.texts(problems);
            for (name, span) in &named {
                known(name, *span, columns.as_deref(), problems);
            }
            let named = named.into_iter();
            Some(named.map(|(name, _)| name.to_owned()).collect())
        };
        let on = columns_of("on")?;
        let says = columns_of("says")?;
        let operator = Operator::Members {
            of,
            called: called.to_owned(),
            list: list.to_owned(),
            on,
            says,
        };
        Some((operator, columns))
    }

    /// An earlier step and its columns.
    fn earlier(
        &self,
        node: &Node,
        problems: &mut Problems,
    ) -> Option<(String, Option<Vec<String>>)> {
        let name = node.text(problems)?;
        let found = self.steps.iter().find(|(step, _)| step == name);
        if found.is_none() {
            let known = self.steps.iter().map(|(step, _)| step.as_str());
            problems
                .error(
                    codes::REFERENCE,
                    node.span,
                    format!("there is no step `{name}` before this one"),
                )
                .did_you_mean(name, known);
        }
        let (name, columns) = found?;
        let columns = (!columns.is_empty()).then(|| columns.clone());
        Some((name.clone(), columns))
    }

    fn filter(
        &self,
        node: &Node,
        columns: Option<&[String]>,
        problems: &mut Problems,
    ) -> Vec<Vec<Clause>> {
        let alternatives = match &node.kind {
            Kind::List(items) => items.iter().collect(),
            _ => vec![node],
        };
        let clauses = |node: &Node, problems: &mut Problems| {
            let entries = node.table(problems)?.entries().iter();
            let clauses = entries.map(|(key, value)| {
                let (column, test) = match key.text.split_once('|') {
                    None => (key.text.as_str(), Test::Is),
                    Some((column, word)) => {
                        let found = Test::ALL.into_iter().find(|(known, _)| *known == word);
                        if found.is_none() {
                            let message = format!("a column cannot be compared by `{word}`");
                            let known = Test::ALL.map(|(word, _)| word);
                            problems
                                .error(codes::STEP, key.span, message)
                                .did_you_mean(word, known);
                        }
                        (column, found?.1)
                    }
                };
                known(column, key.span, columns, problems);
                let values = match &value.kind {
                    Kind::List(items) => items
                        .iter()
                        .map(|item| self.term(item, problems))
                        .collect::<Option<_>>()?,
                    _ => vec![self.term(value, problems)?],
                };
                Some(Clause {
                    column: column.to_owned(),
                    test,
                    values,
                })
            });
            clauses.collect::<Option<Vec<_>>>()
        };
        let alternatives = alternatives.into_iter();
        alternatives
            .filter_map(|node| clauses(node, problems))
            .collect()
    }

    /// A value: a literal, `$name`, `$step.column` or a time such as `-30d`.
    fn term(&self, node: &Node, problems: &mut Problems) -> Option<Term> {
        let Kind::Text(text) = &node.kind else {
            return match &node.kind {
                Kind::List(_) | Kind::Map(_) => {
                    let message = format!("expected a value, found {}", node.describe());
                    problems.error(shape::WRONG_TYPE, node.span, message);
                    None
                }
                _ => Some(Term::Literal(node.to_json())),
            };
        };
        if let Some(reference) = text.strip_prefix('$') {
            return self.reference(reference, node.span, problems);
        }
        if let Some((amount, unit)) = ago(text) {
            let amount = match amount.strip_prefix('{') {
                Some(name) => {
                    let name = name.strip_suffix('}')?;
                    self.reference(name, node.span, problems)?
                }
                None => Term::Literal(amount.parse::<u32>().ok()?.into()),
            };
            return Some(Term::Ago {
                amount: Box::new(amount),
                unit,
            });
        }
        Some(Term::Literal(text.clone().into()))
    }

    fn reference(&self, text: &str, span: Span, problems: &mut Problems) -> Option<Term> {
        if let Some((step, column)) = text.split_once('.') {
            let found = self.steps.iter().find(|(name, _)| name == step);
            let Some((_, columns)) = found else {
                let message = format!("there is no step `{step}` before this one");
                let names = self.steps.iter().map(|(name, _)| name.as_str());
                problems
                    .error(codes::REFERENCE, span, message)
                    .did_you_mean(step, names);
                return None;
            };
            let columns = (!columns.is_empty()).then_some(columns.as_slice());
            known(column, span, columns, problems);
            return Some(Term::Field {
                step: step.to_owned(),
                column: column.to_owned(),
            });
        }
        if !self.params.iter().any(|param| param.name == text) {
            let message = format!("there is no parameter `{text}`");
            let names = self.params.iter().map(|param| param.name.as_str());
            problems
                .error(codes::REFERENCE, span, message)
                .did_you_mean(text, names);
            return None;
        }
        Some(Term::Param(text.to_owned()))
    }
}

/// The parts of a time that counts back, such as `-30d`.
/// The amount and the unit of a text such as `-30d` or `-{days}d`.
#[must_use]
pub fn ago(text: &str) -> Option<(&str, char)> {
    let rest = text.strip_prefix('-')?;
    let unit = rest
        .chars()
        .last()
        .filter(|unit| matches!(unit, 'h' | 'd'))?;
    let amount = rest.get(..rest.len() - 1)?;
    let is_hole = amount.starts_with('{') && amount.ends_with('}');
    let is_number = !amount.is_empty() && amount.bytes().all(|byte| byte.is_ascii_digit());
    (is_hole || is_number).then_some((amount, unit))
}

/// Reports a column that is none of these.
fn known(column: &str, span: Span, columns: Option<&[String]>, problems: &mut Problems) {
    let Some(columns) = columns else { return };
    if !columns.iter().any(|known| known == column) {
        let message = format!("there is no column `{column}` here");
        problems
            .error(codes::REFERENCE, span, message)
            .did_you_mean(column, columns.iter().map(String::as_str));
    }
}

/// Columns with their new names: `[id, login]`, or `{user: login}`.
fn names(node: &Node, columns: Option<&[String]>, problems: &mut Problems) -> Vec<Named> {
    let mut named = Vec::new();
    if let Kind::Map(entries) = &node.kind {
        for (key, value) in entries {
            if let Some(column) = value.text(problems) {
                known(column, value.span, columns, problems);
                named.push(Named {
                    name: key.text.clone(),
                    column: column.to_owned(),
                });
            }
        }
        return named;
    }
    for (name, span) in node.texts(problems) {
        known(name, span, columns, problems);
        named.push(Named {
            name: name.to_owned(),
            column: name.to_owned(),
        });
    }
    named
}

/// `last_login`, or `-last_login` with the largest first.
fn sorted(
    node: &Node,
    columns: Option<&[String]>,
    problems: &mut Problems,
) -> Option<(String, bool)> {
    let text = node.text(problems)?;
    let (column, is_down) = match text.strip_prefix('-') {
        Some(column) => (column, true),
        None => (text, false),
    };
    known(column, node.span, columns, problems);
    Some((column.to_owned(), is_down))
}
