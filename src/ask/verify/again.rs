//! A plan over the bytes that were received, once more, in the most obvious way.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::ask::answer::{Answer, CallRecord, Cell, End, Place, Row, Source, Verdict};
use crate::ask::evaluate::Asking;
use crate::ask::plan::Plan;
use crate::ask::request::request;
use crate::event::Nanos;
use crate::okta;
use crate::tools::{Clause, Join, Named, Operator, Segment, Step, Term, Test, Tool};

/// Holds an answer against what the plan makes of the pages.
pub(super) fn again(
    plan: &Plan,
    asking: &Asking<'_>,
    answer: &Answer,
    pages: &[Vec<Value>],
    wrong: &mut Vec<String>,
) {
    let mut again = Again {
        plan,
        asking,
        answer,
        pages,
        used: 0,
        tables: BTreeMap::new(),
    };
    again.compare(wrong);
}

/// A row as it is made again.
type Line = (Vec<(Value, Source)>, Vec<Place>);

/// The rows of a step as they are made again.
#[derive(Clone, Default)]
struct Table {
    names: Vec<String>,
    lines: Vec<Line>,
    is_cut: bool,
    calls: Vec<usize>,
}

/// The plan over the bytes that were received, once more.
struct Again<'a> {
    plan: &'a Plan,
    asking: &'a Asking<'a>,
    answer: &'a Answer,
    pages: &'a [Vec<Value>],
    used: usize,
    tables: BTreeMap<&'a str, Table>,
}

/// What the plan comes to.
enum Came {
    Rows(Table),
    Nothing(&'static str),
}

impl<'a> Again<'a> {
    fn compare(&mut self, wrong: &mut Vec<String>) {
        let came = self.run();
        if self.used != self.answer.calls.len() {
            let (used, told) = (self.used, self.answer.calls.len());
            wrong.push(format!("the plan makes {used} calls, {told} are told"));
        }
        let told = &self.answer.verdict;
        match (came, told) {
            (Ok(Came::Nothing(code)), Verdict::Unknown { code: said, .. }) if code == said => {
                if !self.answer.rows.is_empty() {
                    wrong.push("rows are told of what is not known".to_owned());
                }
            }
            (Ok(Came::Nothing(code)), _) => wrong.push(format!("nothing is known: {code}")),
            (Ok(Came::Rows(table)), told) => self.hold(&table, told, wrong),
            (Err(why), _) => wrong.push(why),
        }
    }

    fn hold(&self, table: &Table, told: &Verdict, wrong: &mut Vec<String>) {
        let is_right = match told {
            Verdict::Rows => !table.is_cut && !table.lines.is_empty(),
            Verdict::Incomplete { .. } => table.is_cut && !table.lines.is_empty(),
            Verdict::Empty { nothing_from } => {
                let calls = table.calls.iter().copied();
                let mut nothing: Vec<usize> = calls.filter(|call| self.count(*call) == 0).collect();
                nothing.sort_unstable();
                nothing.dedup();
                !table.is_cut && table.lines.is_empty() && nothing == *nothing_from
            }
            Verdict::Unknown { code, .. } => {
                code == "incomplete" && table.is_cut && table.lines.is_empty()
            }
        };
        if !is_right {
            wrong.push("the verdict is not what the rows are".to_owned());
        }
        let knows = !matches!(told, Verdict::Unknown { .. });
        if knows && table.names != self.answer.columns {
            wrong.push(format!("the columns are `{}`", table.names.join("`, `")));
        }
        if table.lines.len() != self.answer.rows.len() {
            let (there, told) = (table.lines.len(), self.answer.rows.len());
            wrong.push(format!("there are {there} rows, {told} are told"));
        }
        for (number, (line, row)) in table.lines.iter().zip(&self.answer.rows).enumerate() {
            let again = Row {
                cells: line
                    .0
                    .iter()
                    .map(|(value, source)| Cell {
                        value: value.clone(),
                        source: source.clone(),
                    })
                    .collect(),
                of: line.1.clone(),
            };
            if again != *row {
                wrong.push(format!("row {} is another", number + 1));
            }
        }
    }

    /// How many rows a call returned.
    fn count(&self, call: usize) -> usize {
        let record = self.answer.calls.get(call);
        let tool = record.and_then(|call| self.asking.catalogue.tool(&call.tool));
        let pages = self.pages.get(call).map(Vec::as_slice).unwrap_or_default();
        let counts = pages.iter().map(|page| {
            let found = tool.and_then(|tool| page.pointer(&tool.rows));
            match found {
                Some(Value::Array(items)) => items.len(),
                Some(_) => 1,
                None => 0,
            }
        });
        counts.sum()
    }

    fn run(&mut self) -> Result<Came, String> {
        let mut last = Table::default();
        for step in &self.plan.steps {
            match self.step(step)? {
                Came::Nothing(code) => return Ok(Came::Nothing(code)),
                Came::Rows(table) => {
                    last = table.clone();
                    self.tables.insert(&step.name, table);
                }
            }
        }
        Ok(Came::Rows(last))
    }

    fn step(&mut self, step: &'a Step) -> Result<Came, String> {
        let mut table = match self.operate(step)? {
            Came::Rows(table) => table,
            nothing @ Came::Nothing(_) => return Ok(nothing),
        };
        if !step.filter.is_empty() {
            let mut kept = Vec::new();
            for line in table.lines.clone() {
                let mut holds = false;
                for clauses in &step.filter {
                    let mut all = true;
                    for clause in clauses {
                        match self.clause(&table.names, &line, clause)? {
                            Ok(passed) => all &= passed,
                            Err(code) => return Ok(Came::Nothing(code)),
                        }
                    }
                    holds |= all;
                }
                if holds {
                    kept.push(line);
                }
            }
            table.lines = kept;
        }
        if let Some((column, is_down)) = &step.sort {
            let at = index(&table.names, column)?;
            let mut lines = Vec::new();
            // By insertion, so that equal ones keep their order.
            for line in table.lines {
                let value = &line.0.get(at).ok_or("a row is too short")?.0;
                let behind = lines.iter().position(|other: &Line| {
                    let other = other.0.get(at).map_or(&Value::Null, |cell| &cell.0);
                    match is_down {
                        true => less(other, value),
                        false => less(value, other),
                    }
                });
                lines.insert(behind.unwrap_or(lines.len()), line);
            }
            table.lines = lines;
        }
        if let Some(limit) = step.limit {
            if step.sort.is_some() && table.is_cut {
                return Ok(Came::Nothing("incomplete"));
            }
            table
                .lines
                .truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        if let Some(select) = &step.select {
            table = project(&table, select)?;
        }
        if table.lines.len() > self.asking.limits.joined() {
            return Ok(Came::Nothing("limit"));
        }
        if step.expects_one {
            match (table.lines.len(), table.is_cut) {
                (1, false) => {}
                (0, _) => return Ok(Came::Nothing("not_found")),
                (1, true) => return Ok(Came::Nothing("incomplete")),
                _ => return Ok(Came::Nothing("ambiguous")),
            }
        }
        Ok(Came::Rows(table))
    }

    fn table(&self, name: &str) -> Result<&Table, String> {
        self.tables
            .get(name)
            .ok_or_else(|| format!("no step `{name}`"))
    }

    fn operate(&mut self, step: &'a Step) -> Result<Came, String> {
        match &step.operator {
            Operator::Call {
                tool,
                with,
                each,
                keep,
            } => self.calls(step, tool, with, each.as_deref(), keep),
            Operator::From(of) => Ok(Came::Rows(self.table(of)?.clone())),
            Operator::Union(of) => {
                let mut whole = Table::default();
                for name in of {
                    let table = self.table(name)?;
                    whole.names.clone_from(&table.names);
                    whole.lines.extend(table.lines.iter().cloned());
                    whole.is_cut |= table.is_cut;
                    whole.calls.extend(&table.calls);
                }
                Ok(Came::Rows(whole))
            }
            Operator::Join {
                kind,
                left,
                right,
                on,
                keep,
            } => self.pair(*kind, self.table(left)?, self.table(right)?, on, keep),
            Operator::Count(of) => {
                let table = self.table(of)?;
                if table.is_cut {
                    return Ok(Came::Nothing("incomplete"));
                }
                let of: Vec<Place> = table.lines.iter().flat_map(|line| line.1.clone()).collect();
                let source = Source::Derived {
                    operator: "count".to_owned(),
                    of: of.clone(),
                };
                Ok(Came::Rows(Table {
                    names: vec!["count".to_owned()],
                    lines: vec![(vec![(table.lines.len().into(), source)], of)],
                    ..table.clone()
                }))
            }
            Operator::Group { of, by, latest } => self.groups(of, by, latest.as_deref()),
            Operator::Members {
                of,
                called,
                list,
                on,
                says,
            } => self.members(of, called, list, on, says),
        }
    }

    fn calls(
        &mut self,
        step: &Step,
        name: &str,
        with: &[(String, Term)],
        each: Option<&str>,
        keep: &[Named],
    ) -> Result<Came, String> {
        let tool = self.asking.catalogue.tool(name).ok_or("a tool is gone")?;
        let mut names: Vec<String> = keep.iter().map(|named| named.name.clone()).collect();
        names.extend(tool.columns.iter().map(|column| column.name.clone()));
        let mut whole = Table {
            names,
            ..Table::default()
        };
        let above = each.map(|each| self.table(each).cloned()).transpose()?;
        let lines: Vec<Option<Line>> = match &above {
            None => vec![None],
            Some(above) => {
                whole.is_cut = above.is_cut;
                whole.calls.clone_from(&above.calls);
                above.lines.iter().cloned().map(Some).collect()
            }
        };
        let mut was_cut = false;
        for line in lines {
            if was_cut {
                break;
            }
            if self.used >= self.asking.limits.calls {
                whole.is_cut = true;
                break;
            }
            let row = above.as_ref().zip(line.as_ref());
            let row = row.map(|(above, line)| (each.unwrap_or_default(), above, line));
            let values = match self.given(tool, with, row)? {
                Ok(values) => values,
                Err(code) => return Ok(Came::Nothing(code)),
            };
            let number = self.used;
            let record = self.answer.calls.get(number).ok_or("a call was not made")?;
            self.used += 1;
            whole.calls.push(number);
            self.same(number, record, step, tool, &values)?;
            if record.end == End::Complete || matches!(record.end, End::Cut { .. }) {
                was_cut = record.end != End::Complete;
                whole.is_cut |= was_cut;
            } else if matches!(record.end, End::Failed { .. }) {
                return Ok(Came::Nothing("failed"));
            } else {
                return Ok(Came::Nothing("not_found"));
            }
            let mut kept = Vec::new();
            for named in keep {
                let (above, line) = above
                    .as_ref()
                    .zip(line.as_ref())
                    .ok_or("nothing to keep of")?;
                let at = index(&above.names, &named.column)?;
                kept.push(line.0.get(at).cloned().ok_or("a row is too short")?);
            }
            for (page, body) in self.pages.get(number).into_iter().flatten().enumerate() {
                match rows(tool, number, page, body) {
                    None => return Ok(Came::Nothing("drift")),
                    Some(rows) => whole.lines.extend(
                        rows.into_iter()
                            .map(|(cells, of)| (kept.iter().cloned().chain(cells).collect(), of)),
                    ),
                }
            }
        }
        Ok(Came::Rows(whole))
    }

    /// What is told of a call is what the plan asks.
    fn same(
        &self,
        number: usize,
        record: &CallRecord,
        step: &Step,
        tool: &Tool,
        values: &BTreeMap<String, Value>,
    ) -> Result<(), String> {
        let shown = request(tool, values).shown(tool);
        let is_same = record.step == step.name
            && record.tool == tool.name
            && record.params == *values
            && record.request == shown
            && record.rows == self.count(number)
            && match record.end {
                End::Complete => !record.pages.is_empty(),
                End::NotFound { .. } => record.pages.is_empty(),
                End::Cut { .. } | End::Failed { .. } => true,
            };
        match is_same {
            true => Ok(()),
            false => Err(format!(
                "call {} is not what the plan asks: {shown}",
                number + 1
            )),
        }
    }

    fn given(
        &self,
        tool: &Tool,
        with: &[(String, Term)],
        row: Option<(&str, &Table, &Line)>,
    ) -> Result<Result<BTreeMap<String, Value>, &'static str>, String> {
        let mut values = BTreeMap::new();
        for param in &tool.params {
            let term = with.iter().rev().find(|(name, _)| *name == param.name);
            let said = match term {
                None => None,
                Some((_, term)) => match self.term(term, row)? {
                    Ok(said) => said,
                    Err(code) => return Ok(Err(code)),
                },
            };
            match said.or_else(|| param.default_at(self.asking.now)) {
                Some(value) if jsonschema::is_valid(&param.schema, &value) => {
                    values.insert(param.name.clone(), value);
                }
                None if !param.required => {}
                _ => return Ok(Err("parameter")),
            }
        }
        Ok(Ok(values))
    }

    fn term(
        &self,
        term: &Term,
        row: Option<(&str, &Table, &Line)>,
    ) -> Result<Result<Option<Value>, &'static str>, String> {
        Ok(Ok(match term {
            Term::Literal(value) => Some(value.clone()),
            Term::Param(name) => self.plan.params.get(name).cloned(),
            Term::Field { step, column } => match row {
                Some((each, table, line)) if each == step => {
                    let at = index(&table.names, column)?;
                    line.0.get(at).map(|cell| cell.0.clone())
                }
                _ => {
                    let table = self.table(step)?;
                    let [line] = table.lines.as_slice() else {
                        return Ok(Err("ambiguous"));
                    };
                    let at = index(&table.names, column)?;
                    line.0.get(at).map(|cell| cell.0.clone())
                }
            },
            Term::Ago { amount, unit } => {
                let amount = match self.term(amount, row)? {
                    Ok(amount) => amount.and_then(|amount| amount.as_i64()),
                    Err(code) => return Ok(Err(code)),
                };
                let Some(amount) = amount.filter(|amount| (0..=100_000).contains(amount)) else {
                    return Ok(Err("parameter"));
                };
                let seconds = amount * if *unit == 'd' { 86_400 } else { 3_600 };
                let then = self.asking.now.minus(Nanos(seconds * Nanos::SECOND.0));
                Some(Value::from(then.to_string()))
            }
        }))
    }

    fn clause(
        &self,
        names: &[String],
        line: &Line,
        clause: &Clause,
    ) -> Result<Result<bool, &'static str>, String> {
        let at = index(names, &clause.column)?;
        let value = line.0.get(at).map_or(&Value::Null, |cell| &cell.0);
        let mut wanted = Vec::new();
        for term in &clause.values {
            match self.term(term, None)? {
                Ok(said) => wanted.extend(said),
                Err(code) => return Ok(Err(code)),
            }
        }
        if wanted.is_empty() {
            return Ok(Ok(true));
        }
        let equal = |wanted: &Value| same_text(value, wanted);
        let moment = |value: &Value| okta::parse_time(value.as_str()?);
        let any = |test: &dyn Fn(&Value) -> bool| wanted.iter().any(test);
        Ok(Ok(match clause.test {
            Test::Is => any(&equal),
            Test::IsNot => !any(&equal),
            Test::Without => {
                !any(&|wanted| !value.is_null() && text(value).contains(&text(wanted)))
            }
            Test::Contains => {
                any(&|wanted| !value.is_null() && text(value).contains(&text(wanted)))
            }
            Test::Before => any(
                &|wanted| matches!((moment(value), moment(wanted)), (Some(value), Some(wanted)) if value < wanted),
            ),
            Test::After => any(
                &|wanted| matches!((moment(value), moment(wanted)), (Some(value), Some(wanted)) if value >= wanted),
            ),
            Test::Exists => any(&|wanted| *wanted == Value::Bool(!value.is_null())),
            Test::Above => any(
                &|wanted| matches!((value.as_f64(), wanted.as_f64()), (Some(value), Some(wanted)) if value > wanted),
            ),
            Test::Below => any(
                &|wanted| matches!((value.as_f64(), wanted.as_f64()), (Some(value), Some(wanted)) if value < wanted),
            ),
        }))
    }

    fn pair(
        &self,
        kind: Join,
        left: &Table,
        right: &Table,
        on: &[(String, String)],
        keep: &[Named],
    ) -> Result<Came, String> {
        let needs_all = matches!(kind, Join::Left | Join::Anti);
        if needs_all && right.is_cut {
            return Ok(Came::Nothing("incomplete"));
        }
        let adds = matches!(kind, Join::Inner | Join::Left);
        let mut names = left.names.clone();
        names.extend(keep.iter().filter(|_| adds).map(|named| named.name.clone()));
        let mut lines = Vec::new();
        for line in &left.lines {
            let mut found = Vec::new();
            for other in &right.lines {
                let mut agrees = true;
                for (own, theirs) in on {
                    let own = line
                        .0
                        .get(index(&left.names, own)?)
                        .ok_or("a row is too short")?;
                    let theirs = other
                        .0
                        .get(index(&right.names, theirs)?)
                        .ok_or("a row is too short")?;
                    agrees &= !own.0.is_null() && same_text(&own.0, &theirs.0);
                }
                if agrees {
                    found.push(other);
                }
            }
            match kind {
                Join::Semi if !found.is_empty() => lines.push(line.clone()),
                Join::Anti if found.is_empty() => lines.push(line.clone()),
                Join::Semi | Join::Anti => {}
                Join::Left if found.is_empty() => {
                    let (mut cells, of) = line.clone();
                    let source = Source::Derived {
                        operator: "left_join".to_owned(),
                        of: of.clone(),
                    };
                    cells.extend(keep.iter().map(|_| (Value::Null, source.clone())));
                    lines.push((cells, of));
                }
                Join::Inner | Join::Left => {
                    for other in found {
                        let (mut cells, mut of) = line.clone();
                        for named in keep {
                            let at = index(&right.names, &named.column)?;
                            cells.extend(other.0.get(at).cloned());
                        }
                        of.extend(other.1.clone());
                        lines.push((cells, of));
                    }
                }
            }
        }
        let calls = left.calls.iter().chain(&right.calls).copied().collect();
        let is_cut = left.is_cut || right.is_cut;
        Ok(Came::Rows(Table {
            names,
            lines,
            is_cut,
            calls,
        }))
    }

    fn groups(&self, of: &str, by: &[String], latest: Option<&str>) -> Result<Came, String> {
        let table = self.table(of)?;
        if table.is_cut {
            return Ok(Came::Nothing("incomplete"));
        }
        let key = |line: &Line| {
            let mut key = Vec::new();
            for column in by {
                let cell = line.0.get(index(&table.names, column)?);
                key.push(cell.ok_or("a row is too short")?.0.to_string());
            }
            Ok::<_, String>(key)
        };
        let mut keys = Vec::new();
        for line in &table.lines {
            let key = key(line)?;
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys.sort();
        let mut lines = Vec::new();
        for wanted in keys {
            let mut members = Vec::new();
            for line in &table.lines {
                if key(line)? == wanted {
                    members.push(line);
                }
            }
            let of: Vec<Place> = members.iter().flat_map(|line| line.1.clone()).collect();
            let first = members.first().ok_or("a group is empty")?;
            let mut cells = Vec::new();
            for column in by {
                cells.extend(first.0.get(index(&table.names, column)?).cloned());
            }
            let source = Source::Derived {
                operator: "count".to_owned(),
                of: of.clone(),
            };
            cells.push((members.len().into(), source));
            if let Some(column) = latest {
                let at = index(&table.names, column)?;
                let mut newest: Option<&(Value, Source)> = None;
                for line in &members {
                    let cell = line.0.get(at).ok_or("a row is too short")?;
                    // Of equal ones the last.
                    if newest.is_none_or(|known| !less(&cell.0, &known.0)) {
                        newest = Some(cell);
                    }
                }
                cells.extend(newest.cloned());
            }
            lines.push((cells, of));
        }
        let mut names = by.to_vec();
        names.push("count".to_owned());
        names.extend(latest.map(str::to_owned));
        Ok(Came::Rows(Table {
            names,
            lines,
            ..table.clone()
        }))
    }

    fn members(
        &self,
        of: &str,
        called: &str,
        list: &str,
        on: &[String],
        says: &[String],
    ) -> Result<Came, String> {
        let table = self.table(of)?;
        let is_defined = self.asking.lists.names().contains(&list.to_owned());
        let mut lines = Vec::new();
        for line in &table.lines {
            let mut belongs = false;
            for column in if is_defined { on } else { says } {
                let cell = line.0.get(index(&table.names, column)?);
                let said = cell.and_then(|cell| cell.0.as_str()).unwrap_or_default();
                belongs |= match is_defined {
                    true => !said.is_empty() && self.asking.lists.has(list, said) == Ok(true),
                    false => said.eq_ignore_ascii_case(called),
                };
            }
            if belongs {
                lines.push(line.clone());
            }
        }
        if !is_defined && (lines.is_empty() || table.is_cut) {
            return Ok(Came::Nothing("no_attribute"));
        }
        Ok(Came::Rows(Table {
            lines,
            ..table.clone()
        }))
    }
}

fn index(names: &[String], name: &str) -> Result<usize, String> {
    let found = names.iter().position(|known| known == name);
    found.ok_or_else(|| format!("no column `{name}`"))
}

/// A value as it is compared.
fn text(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_lowercase(),
        None => value.to_string().to_lowercase(),
    }
}

fn same_text(one: &Value, other: &Value) -> bool {
    !one.is_null() && text(one) == text(other)
}

/// Whether a value comes before another: null first, numbers and times by what they are, then texts.
fn less(one: &Value, other: &Value) -> bool {
    if one.is_null() || other.is_null() {
        return one.is_null() && !other.is_null();
    }
    if let (Value::Number(one), Value::Number(other)) = (one, other) {
        return one.as_f64() < other.as_f64();
    }
    let moment = |value: &Value| okta::parse_time(value.as_str()?);
    if let (Some(one), Some(other)) = (moment(one), moment(other)) {
        return one < other;
    }
    let plain = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    plain(one) < plain(other)
}

/// The rows of a page; nothing where something that was to be there is not.
fn rows(tool: &Tool, call: usize, page: usize, body: &Value) -> Option<Vec<Line>> {
    let mut all = Vec::new();
    let place = |pointer: String| Place {
        call,
        page,
        pointer,
    };
    let found = match body.pointer(&tool.rows)? {
        Value::Array(items) => items.iter().collect::<Vec<_>>(),
        one => vec![one],
    };
    let is_list = body.pointer(&tool.rows)?.is_array();
    for (number, item) in found.into_iter().enumerate() {
        let above = match is_list {
            true => format!("{}/{number}", tool.rows),
            false => tool.rows.clone(),
        };
        let mut cells = Vec::new();
        for column in &tool.columns {
            let mut value = Some(item);
            let mut pointer = above.clone();
            for segment in &column.path.0 {
                let step = match (segment, value) {
                    (Segment::Key(key), _) => Some(key.clone()),
                    (Segment::Where(key, wanted), Some(Value::Array(items))) => {
                        let mut numbered = items.iter().enumerate();
                        let found =
                            numbered.find(|(_, item)| item[key.as_str()] == wanted.as_str());
                        found.map(|(number, _)| number.to_string())
                    }
                    (Segment::Where(..), _) => None,
                };
                let escaped = step.map(|step| step.replace('~', "~0").replace('/', "~1"));
                let escaped = escaped.map(|step| format!("/{step}"));
                value = value
                    .zip(escaped.as_ref())
                    .and_then(|(value, step)| value.pointer(step));
                pointer.extend(escaped);
            }
            cells.push(match value {
                Some(value) => (value.clone(), Source::Response(place(pointer))),
                None if column.is_optional => (Value::Null, Source::Absent(place(above.clone()))),
                None => return None,
            });
        }
        all.push((cells, vec![place(above)]));
    }
    Some(all)
}

fn project(table: &Table, select: &[Named]) -> Result<Table, String> {
    let mut lines = Vec::new();
    for (cells, of) in &table.lines {
        let mut kept = Vec::new();
        for named in select {
            let at = index(&table.names, &named.column)?;
            kept.push(cells.get(at).cloned().ok_or("a row is too short")?);
        }
        lines.push((kept, of.clone()));
    }
    Ok(Table {
        names: select.iter().map(|named| named.name.clone()).collect(),
        lines,
        ..table.clone()
    })
}
