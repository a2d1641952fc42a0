//! A checked plan → calls, and the rows that its operators make of the answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ask::answer::{Answer, CallRecord, Cell, End, PageRecord, Row, Verdict};
use crate::ask::operators::{count, group, join, limited, passes, plain, selected, sorted};
use crate::ask::plan::Plan;
use crate::ask::request::{Request, request};
use crate::ask::set::{Known, Set, Unknown, read_rows, unknown};
use crate::detect::Lists;
use crate::event::{Digest, Nanos, Time};
use crate::tools::{Catalogue, Clause, Named, Operator, Step, Term, Tool};

/// What one question may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The most calls.
    pub calls: usize,
    /// The most pages of one call.
    pub pages: usize,
    /// The rows of a call after which no further page is read.
    pub rows: usize,
    /// The most bytes of all answers.
    pub bytes: usize,
    /// The most time of all calls, in milliseconds.
    pub max_execution_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls: 100,
            pages: 20,
            rows: 10_000,
            bytes: 64 << 20,
            max_execution_ms: 60_000,
        }
    }
}

impl Limits {
    /// The most rows of one step, which may be more than those of the calls that it is made of.
    #[must_use]
    pub fn joined(&self) -> usize {
        self.rows.saturating_mul(10)
    }
}

/// What a plan is executed with, beside the tenant.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// The tools.
    pub catalogue: &'a Catalogue,
    /// The lists of the policy.
    pub lists: &'a Lists,
    /// What it may cost.
    pub limits: Limits,
    /// When the question was asked.
    pub now: Time,
}

/// Who sends requests: a tenant, or a record of one.
pub trait Fetch {
    /// A page of the answer to a request: the first, or the one behind what `next` says.
    ///
    /// # Errors
    ///
    /// When there is none.
    fn fetch(
        &mut self,
        tool: &Tool,
        request: &Request,
        next: Option<&str>,
    ) -> Result<Fetched, Unanswered>;
}

/// A page.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Its body, as it is kept.
    pub body: Vec<u8>,
    /// What the next page is fetched by.
    pub next: Option<String>,
}

/// Why there is no page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// There is no such thing.
    NotFound(String),
    /// It could not be waited for: a rate limit, or the end of the time for the question.
    Cut(String),
    /// Anything else.
    Failed(String),
}

/// Executes a plan: the answer, and the bodies of each call's pages.
pub fn execute(
    plan: &Plan,
    asking: &Asking<'_>,
    fetch: &mut dyn Fetch,
) -> (Answer, Vec<Vec<Vec<u8>>>) {
    let mut run = Run {
        plan,
        asking,
        fetch,
        steps: BTreeMap::new(),
        calls: Vec::new(),
        bodies: Vec::new(),
        bytes: 0,
    };
    let outcome = run.steps();
    let (verdict, columns, rows) = match outcome {
        Err(Unknown { code, why }) => {
            let code = code.to_owned();
            (Verdict::Unknown { code, why }, Vec::new(), Vec::new())
        }
        Ok(set) => match (set.cut, set.rows.is_empty()) {
            (Some(why), true) => {
                let (code, why) = (
                    "incomplete".to_owned(),
                    format!("{why}, so that none is not known"),
                );
                (Verdict::Unknown { code, why }, Vec::new(), Vec::new())
            }
            (Some(why), false) => (Verdict::Incomplete { why }, set.columns, set.rows),
            (None, true) => {
                let nothing = set
                    .calls
                    .into_iter()
                    .filter(|call| run.calls.get(*call).is_some_and(|call| call.rows == 0));
                let nothing_from = nothing.collect();
                (Verdict::Empty { nothing_from }, set.columns, Vec::new())
            }
            (None, false) => (Verdict::Rows, set.columns, set.rows),
        },
    };
    let answer = Answer {
        verdict,
        columns,
        rows,
        calls: run.calls,
    };
    (answer, run.bodies)
}

struct Run<'r> {
    plan: &'r Plan,
    asking: &'r Asking<'r>,
    fetch: &'r mut dyn Fetch,
    steps: BTreeMap<String, Set>,
    calls: Vec<CallRecord>,
    bodies: Vec<Vec<Vec<u8>>>,
    bytes: usize,
}

impl Run<'_> {
    fn steps(&mut self) -> Known<Set> {
        let mut last = Set::default();
        for step in &self.plan.steps {
            let set = self.step(step)?;
            last = set.clone();
            self.steps.insert(step.name.clone(), set);
        }
        Ok(last)
    }

    fn step(&mut self, step: &Step) -> Known<Set> {
        let set = self.operator(step)?;
        let set = self.filtered(set, &step.filter)?;
        let set = sorted(set, step)?;
        let set = limited(set, step)?;
        let set = selected(set, step.select.as_deref())?;
        if set.rows.len() > self.asking.limits.joined() {
            let most = self.asking.limits.joined();
            return unknown(
                "limit",
                format!("`{}` has more than {most} rows", step.name),
            );
        }
        if step.expects_one {
            self.expect_one(step, &set)?;
        }
        Ok(set)
    }

    fn operator(&mut self, step: &Step) -> Known<Set> {
        match &step.operator {
            Operator::Call {
                tool,
                with,
                each,
                keep,
            } => self.call(step, tool, with, each.as_deref(), keep),
            Operator::From(of) => self.set(of).cloned(),
            Operator::Join {
                kind,
                left,
                right,
                on,
                keep,
            } => join(*kind, self.set(left)?, self.set(right)?, on, keep),
            Operator::Union(of) => {
                let mut whole = Set::default();
                for name in of {
                    let set = self.set(name)?.clone();
                    whole.columns = set.columns;
                    whole.rows.extend(set.rows);
                    whole.cut = whole.cut.or(set.cut);
                    whole.calls.extend(set.calls);
                }
                Ok(whole)
            }
            Operator::Count(of) => count(self.set(of)?),
            Operator::Group { of, by, latest } => group(self.set(of)?, by, latest.as_deref()),
            Operator::Members {
                of,
                called,
                list,
                on,
                says,
            } => self.members(of, called, list, on, says),
        }
    }

    fn set(&self, name: &str) -> Known<&Set> {
        let found = self.steps.get(name);
        found.map_or_else(|| unknown("plan", format!("there is no step `{name}`")), Ok)
    }

    fn call(
        &mut self,
        step: &Step,
        name: &str,
        with: &[(String, Term)],
        each: Option<&str>,
        keep: &[Named],
    ) -> Known<Set> {
        let Some(tool) = self.asking.catalogue.tool(name) else {
            return unknown("plan", format!("there is no tool `{name}`"));
        };
        let mut columns: Vec<String> = keep.iter().map(|named| named.name.clone()).collect();
        columns.extend(tool.columns.iter().map(|column| column.name.clone()));
        let mut whole = Set {
            columns,
            ..Set::default()
        };
        let Some(each) = each else {
            let values = self.values(tool, with, None)?;
            self.one_call(step, tool, values, Vec::new(), &mut whole)?;
            return Ok(whole);
        };
        let above = self.set(each)?.clone();
        whole.cut.clone_from(&above.cut);
        whole.calls.extend(&above.calls);
        for row in &above.rows {
            if whole.cut.is_some() && above.cut != whole.cut {
                break;
            }
            let values = self.values(tool, with, Some((each, &above, row)))?;
            let kept = keep.iter().map(|named| {
                let place = above.place(&named.column)?;
                Ok(row.cells.get(place).cloned())
            });
            let kept: Vec<Option<Cell>> = kept.collect::<Known<_>>()?;
            self.one_call(
                step,
                tool,
                values,
                kept.into_iter().flatten().collect(),
                &mut whole,
            )?;
        }
        Ok(whole)
    }

    /// One call and its rows, each behind the cells that are kept.
    fn one_call(
        &mut self,
        step: &Step,
        tool: &Tool,
        values: BTreeMap<String, Value>,
        kept: Vec<Cell>,
        whole: &mut Set,
    ) -> Known<()> {
        if self.calls.len() >= self.asking.limits.calls {
            let most = self.asking.limits.calls;
            whole.cut = Some(format!("a question makes at most {most} calls"));
            return Ok(());
        }
        let call = self.calls.len();
        whole.calls.insert(call);
        let asked = request(tool, &values);
        let mut record = CallRecord {
            step: step.name.clone(),
            tool: tool.name.clone(),
            params: values,
            request: asked.shown(tool),
            pages: Vec::new(),
            rows: 0,
            end: End::Complete,
        };
        let mut bodies = Vec::new();
        let mut rows = Vec::new();
        let outcome = self.pages(tool, &asked, call, &mut record, &mut bodies, &mut rows);
        if let End::Cut { why } = &record.end {
            whole.cut = Some(why.clone());
        }
        // Of what is not there nothing follows: "in no group" is no answer about nobody.
        let failed = match &record.end {
            End::Failed { why } => Some(("failed", why.clone())),
            End::NotFound { said } => Some(("not_found", said.clone())),
            End::Complete | End::Cut { .. } => None,
        };
        self.calls.push(record);
        self.bodies.push(bodies);
        outcome?;
        if let Some((code, why)) = failed {
            return unknown(code, why);
        }
        for mut row in rows {
            let mut cells = kept.clone();
            cells.append(&mut row.cells);
            row.cells = cells;
            whole.rows.push(row);
        }
        Ok(())
    }

    fn pages(
        &mut self,
        tool: &Tool,
        asked: &Request,
        call: usize,
        record: &mut CallRecord,
        bodies: &mut Vec<Vec<u8>>,
        rows: &mut Vec<Row>,
    ) -> Known<()> {
        let mut next: Option<String> = None;
        loop {
            let limits = self.asking.limits;
            if bodies.len() >= limits.pages {
                let why = format!("only the first {} pages were read", limits.pages);
                record.end = End::Cut { why };
                return Ok(());
            }
            let fetched = match self.fetch.fetch(tool, asked, next.as_deref()) {
                Ok(fetched) => fetched,
                Err(unanswered) => {
                    record.end = match unanswered {
                        Unanswered::NotFound(said) if bodies.is_empty() => End::NotFound { said },
                        Unanswered::Cut(why) => End::Cut { why },
                        Unanswered::NotFound(why) | Unanswered::Failed(why) => End::Failed { why },
                    };
                    return Ok(());
                }
            };
            self.bytes += fetched.body.len();
            record.pages.push(PageRecord {
                sha256: Digest::of(&fetched.body).to_string(),
                bytes: fetched.body.len(),
            });
            let page = bodies.len();
            let read = read_rows(tool, call, page, &fetched.body);
            record.rows += match &read {
                Ok(rows) => rows.len(),
                Err((count, _)) => *count,
            };
            bodies.push(fetched.body);
            rows.extend(read.map_err(|(_, unknown)| unknown)?);
            if self.bytes > limits.bytes {
                let why = format!("the answers have more than {} bytes", limits.bytes);
                record.end = End::Cut { why };
                return Ok(());
            }
            if rows.len() > limits.rows {
                let why = format!("only the first {} rows were read", rows.len());
                record.end = End::Cut { why };
                return Ok(());
            }
            match fetched.next {
                Some(found) => next = Some(found),
                None => return Ok(()),
            }
        }
    }

    /// The values of a call's parameters.
    fn values(
        &self,
        tool: &Tool,
        with: &[(String, Term)],
        row: Option<(&str, &Set, &Row)>,
    ) -> Known<BTreeMap<String, Value>> {
        let mut values = BTreeMap::new();
        for (name, term) in with {
            if let Some(value) = self.value(term, row)? {
                values.insert(name.clone(), value);
            }
        }
        for param in &tool.params {
            let default = param.default_at(self.asking.now);
            let default = default.filter(|_| !values.contains_key(&param.name));
            values.extend(default.map(|default| (param.name.clone(), default)));
            let value = values.get(&param.name);
            let is_wrong = value.is_some_and(|value| !jsonschema::is_valid(&param.schema, value));
            if is_wrong || (param.required && value.is_none()) {
                let value = value.map_or_else(|| "nothing".to_owned(), Value::to_string);
                let why = format!("`{}` of `{}` cannot be {value}", param.name, tool.name);
                return unknown("parameter", why);
            }
        }
        Ok(values)
    }

    /// What a term stands for; nothing for a parameter that is not given.
    fn value(&self, term: &Term, row: Option<(&str, &Set, &Row)>) -> Known<Option<Value>> {
        Ok(match term {
            Term::Literal(value) => Some(value.clone()),
            Term::Param(name) => self.plan.params.get(name).cloned(),
            Term::Field { step, column } => {
                let (set, row) = match row {
                    Some((each, set, row)) if each == step => (set, Some(row)),
                    _ => {
                        let set = self.set(step)?;
                        (set, set.rows.first().filter(|_| set.rows.len() == 1))
                    }
                };
                let Some(row) = row else {
                    let count = set.rows.len();
                    return unknown(
                        "ambiguous",
                        format!("`{step}` has {count} rows where one is meant"),
                    );
                };
                let cell = row.cells.get(set.place(column)?);
                cell.map(|cell| cell.value.clone())
            }
            Term::Ago { amount, unit } => {
                let amount = self.value(amount, row)?;
                let amount = amount.as_ref().and_then(Value::as_i64);
                let amount = amount.filter(|amount| (0..=100_000).contains(amount));
                let Some(amount) = amount else {
                    return unknown("parameter", "a time counts back by a whole number");
                };
                Some(ago(self.asking.now, amount, *unit).to_string().into())
            }
        })
    }

    fn filtered(&self, set: Set, filter: &[Vec<Clause>]) -> Known<Set> {
        if filter.is_empty() {
            return Ok(set);
        }
        let mut alternatives = Vec::new();
        for clauses in filter {
            let mut tests = Vec::new();
            for clause in clauses {
                let mut values = Vec::new();
                for term in &clause.values {
                    values.extend(self.value(term, None)?);
                }
                // What is not given is not asked for.
                if !values.is_empty() {
                    tests.push((set.place(&clause.column)?, clause.test, values));
                }
            }
            alternatives.push(tests);
        }
        let holds = |row: &Row| {
            alternatives.iter().any(|tests| {
                tests.iter().all(|(place, test, values)| {
                    let value = row.cells.get(*place).map(|cell| &cell.value);
                    passes(*test, value.unwrap_or(&Value::Null), values)
                })
            })
        };
        let rows = set.rows.iter().filter(|row| holds(row)).cloned().collect();
        Ok(set.like(set.columns.clone(), rows))
    }

    fn expect_one(&self, step: &Step, set: &Set) -> Known<()> {
        let name = &step.name;
        match set.rows.as_slice() {
            [] => {
                let calls = set.calls.iter().map(|call| format!("call {}", call + 1));
                let calls = calls.collect::<Vec<_>>().join(", ");
                unknown(
                    "not_found",
                    format!("there is no such {name}: {calls} returned none"),
                )
            }
            [_] if set.cut.is_none() => Ok(()),
            [_] => unknown(
                "incomplete",
                format!("there may be a second {name} like that"),
            ),
            rows => {
                let shown = rows.iter().take(5).map(|row| {
                    let cells = row.cells.iter().take(2).map(|cell| plain(&cell.value));
                    cells.collect::<Vec<_>>().join(" ")
                });
                let shown = shown.collect::<Vec<_>>().join("; ");
                let count = rows.len();
                unknown(
                    "ambiguous",
                    format!("{count} rows of {name} are like that: {shown}"),
                )
            }
        }
    }

    /// The rows of those who belong to a population.
    fn members(
        &self,
        of: &str,
        called: &str,
        list: &str,
        on: &[String],
        says: &[String],
    ) -> Known<Set> {
        let set = self.set(of)?;
        let places = |columns: &[String]| {
            let places = columns.iter().map(|column| set.place(column));
            places.collect::<Known<Vec<usize>>>()
        };
        let texts = |row: &Row, places: &[usize]| {
            let cells = places.iter().filter_map(|place| row.cells.get(*place));
            let texts = cells.filter_map(|cell| cell.value.as_str().map(str::to_owned));
            texts.collect::<Vec<String>>()
        };
        if self.asking.lists.names().iter().any(|known| known == list) {
            let on = places(on)?;
            let is_listed = |row: &&Row| {
                let texts = texts(row, &on);
                texts
                    .iter()
                    .any(|text| self.asking.lists.has(list, text).unwrap_or(false))
            };
            let rows = set.rows.iter().filter(is_listed).cloned().collect();
            return Ok(set.like(set.columns.clone(), rows));
        }
        let says_places = places(says)?;
        let is_said = |row: &&Row| {
            let texts = texts(row, &says_places);
            texts.iter().any(|text| text.eq_ignore_ascii_case(called))
        };
        let rows: Vec<Row> = set.rows.iter().filter(is_said).cloned().collect();
        if rows.is_empty() || set.cut.is_some() {
            let columns = says.join("` or `");
            let count = set.rows.len();
            return unknown(
                "no_attribute",
                format!(
                    "none of {count} users has a `{columns}` that says `{called}`, and the policy has no list `{list}`: a file rules/lists/{list}.txt with a login in each line says who they are"
                ),
            );
        }
        Ok(set.like(set.columns.clone(), rows))
    }
}

/// So long before.
pub(super) fn ago(now: Time, amount: i64, unit: char) -> Time {
    let hours = if unit == 'd' { 24 * amount } else { amount };
    now.minus(Nanos(hours * 3600 * Nanos::SECOND.0))
}
