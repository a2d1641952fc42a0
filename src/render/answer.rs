//! What came of a question, for a person, a script and a spreadsheet.

use serde_json::{Map, Value, json};

use crate::ask::{ACCOUNTED, Answer, Cell, End, Record, Source, Verdict, Wanted};
use crate::diag::{counted, grouped};
use crate::lab::diff::{QuestionAction, QuestionChange, Questions};
use crate::render::audit::csv_cell;
use crate::render::lists::table_within;
use crate::render::style::time;
use crate::visible::visible;

/// Answers are as wide as this at the most: ids and times of a row stand beside each other.
const WIDTH: u16 = 160;

/// A question and what came of it.
#[must_use]
pub fn answered(record: &Record) -> String {
    let mut text = String::new();
    match (&record.answer, &record.refused) {
        (Some(answer), _) => text.push_str(&of_answer(record, answer)),
        (None, Some(refused)) => {
            let said = match refused.code.as_str() {
                "uncertain" => "I don't know what is asked",
                _ => "refused",
            };
            text.push_str(&format!(
                "{said} ({}): {}\n",
                refused.code,
                visible(&refused.why)
            ));
        }
        (None, None) => text.push_str("a dry run: nothing was sent\n"),
    }
    let is_chosen = record.refused.is_some() && record.wanted.is_some() && record.by == "model";
    if is_chosen
        && record
            .checks
            .iter()
            .all(|check| check.holds || check.check == ACCOUNTED)
    {
        text.push_str(&format!(
            "to ask what the model chose: rulectl ask --accept {}\n",
            record.id
        ));
    }
    if !record.candidates.is_empty() {
        text.push_str("what is near:\n");
    }
    for candidate in &record.candidates {
        text.push_str(&format!("  {}\n", visible(candidate)));
    }
    for request in &record.not_sent {
        text.push_str(&format!("not sent: {}\n", visible(request)));
    }
    text
}

fn of_answer(record: &Record, answer: &Answer) -> String {
    let mut text = String::new();
    if !answer.rows.is_empty() {
        let head: Vec<&str> = answer.columns.iter().map(String::as_str).collect();
        let rows = answer
            .rows
            .iter()
            .map(|row| row.cells.iter().map(shown).collect());
        text.push_str(&table_within(WIDTH, &head, rows));
    }
    let rows = counted(answer.rows.len() as u64, "row");
    match &answer.verdict {
        Verdict::Rows => text.push_str(&format!("{rows}\n")),
        Verdict::Incomplete { why } => {
            text.push_str(&format!(
                "INCOMPLETE: {rows}, and there may be more: {}\n",
                visible(why)
            ));
        }
        Verdict::Empty { nothing_from } => {
            let calls: Vec<String> = nothing_from
                .iter()
                .map(|call| (call + 1).to_string())
                .collect();
            text.push_str(&match calls.as_slice() {
                [] => "none: no row that came is like that\n".to_owned(),
                [one] => format!("none: call {one} returned nothing\n"),
                many => format!("none: the calls {} returned nothing\n", many.join(", ")),
            });
        }
        Verdict::Unknown { code, why } => {
            text.push_str(&format!("I don't know ({code}): {}\n", visible(why)));
        }
    }
    if let Some(left) = &record.unaccounted {
        let left = left.iter().map(|word| format!("`{}`", visible(word)));
        let left = left.collect::<Vec<_>>().join(", ");
        let wanted = record
            .wanted
            .as_ref()
            .map(|wanted| json!(wanted).to_string());
        let wanted = visible(&wanted.unwrap_or_default());
        let left = if left.is_empty() {
            "the question".to_owned()
        } else {
            left
        };
        text.push_str(&format!(
            "note: a model chose what is asked, {wanted}; no form of questions accounts for {left}\n"
        ));
    }
    if let Some(notes) = record
        .notes
        .as_ref()
        .filter(|_| !matches!(answer.verdict, Verdict::Unknown { .. }))
    {
        text.push_str(&format!("note: {}\n", visible(notes)));
    }
    if let Some(Wanted::Call {
        after: Some(id), ..
    }) = &record.wanted
    {
        let then = record.as_of.unwrap_or(record.asked_at);
        text.push_str(&format!("about the answer to {id}, as of {then}\n"));
    }
    let many = answer.calls.len() > SHOWN;
    for (number, call) in answer.calls.iter().take(SHOWN).enumerate() {
        let rows = counted(call.rows as u64, "row");
        let end = match &call.end {
            End::Complete => String::new(),
            End::NotFound { .. } => ", not found (404)".to_owned(),
            End::Cut { .. } => ", cut short".to_owned(),
            End::Failed { .. } => ", failed".to_owned(),
        };
        let pages = call
            .pages
            .iter()
            .map(|page| page.sha256.get(..12).unwrap_or_default());
        let pages = pages.collect::<Vec<_>>().join(" ");
        let pages = if pages.is_empty() {
            String::new()
        } else {
            format!(", sha256 {pages}")
        };
        let request = visible(&call.request);
        text.push_str(&format!(
            "call {}: {request}: {rows}{end}{pages}\n",
            number + 1
        ));
    }
    if many {
        let more = grouped((answer.calls.len() - SHOWN) as u64);
        text.push_str(&format!(
            "and {more} more calls: `rulectl replay {} --format json` has them\n",
            record.id
        ));
    }
    text
}

/// What a change does to questions.
#[must_use]
pub fn changed_questions(questions: &Questions) -> String {
    let asked = counted(questions.asked as u64, "question");
    let mut text = match questions.changed.len() {
        0 => return format!("\nquestions: the same of {asked}\n"),
        changed => format!(
            "\nquestions: {} of {asked} differ\n",
            grouped(changed as u64)
        ),
    };
    for change in &questions.changed {
        text.push_str(&format!("  {}\n", changed_question(change)));
    }
    text
}

/// The same for a comment on a pull request; nothing where nothing differs.
#[must_use]
pub fn questions_as_markdown(questions: &Questions) -> String {
    if questions.changed.is_empty() {
        return String::new();
    }
    let asked = counted(questions.asked as u64, "question");
    let changed = grouped(questions.changed.len() as u64);
    let mut text = format!("\n### Questions\n\n{changed} of {asked} differ:\n\n");
    for change in &questions.changed {
        let line = changed_question(change).replace('`', "'");
        text.push_str(&format!("- `{line}`\n"));
    }
    text
}

fn changed_question(change: &QuestionChange) -> String {
    let word = match change.action {
        QuestionAction::Refused => "refused now",
        QuestionAction::Answered => "answered now",
        QuestionAction::Changed => "changed",
    };
    let id = change.id.as_ref().map(|id| format!(" ({id})"));
    let (was, is) = (made_of(&change.base), made_of(&change.head));
    // Where the calls are called the same, what they send is not.
    let (was, is) = match was == is {
        true => (change.base.to_string(), change.head.to_string()),
        false => (was, is),
    };
    visible(&format!(
        "{word}: {}{}: {was} → {is}",
        change.question,
        id.unwrap_or_default()
    ))
}

/// A call or a refusal in a few words.
fn made_of(made: &Value) -> String {
    let text = |key: &str| made.get(key).and_then(Value::as_str);
    match (text("tool"), text("code")) {
        (Some(tool), _) => {
            let params = made.get("params").and_then(Value::as_object);
            let params = params.into_iter().flatten();
            let params = params.map(|(name, value)| format!(" {name}={value}"));
            format!("{tool}{}", params.collect::<String>())
        }
        (None, Some(code)) => format!("refused ({code})"),
        (None, None) => made.to_string(),
    }
}

/// So many calls are told one by one.
const SHOWN: usize = 8;

fn shown(cell: &Cell) -> String {
    match &cell.value {
        Value::Null => match cell.source {
            Source::Absent(_) => "-".to_owned(),
            _ => "null".to_owned(),
        },
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The rows as JSON, one a line: values by column, and where each is from; the verdict at the end.
#[must_use]
pub fn answered_rows(record: &Record) -> Vec<Value> {
    let Some(answer) = &record.answer else {
        return vec![
            json!({"id": record.id, "refused": record.refused, "not_sent": record.not_sent}),
        ];
    };
    let mut lines: Vec<Value> = Vec::new();
    for row in &answer.rows {
        let cells = || answer.columns.iter().zip(&row.cells);
        let values: Map<String, Value> = cells()
            .map(|(column, cell)| (column.clone(), cell.value.clone()))
            .collect();
        let sources: Map<String, Value> = cells()
            .map(|(column, cell)| (column.clone(), json!(cell.source)))
            .collect();
        lines.push(json!({"row": values, "sources": sources}));
    }
    lines.push(json!({"id": record.id, "verdict": answer.verdict, "rows": answer.rows.len()}));
    lines
}

/// The rows as CSV (RFC 4180), with no cell that a spreadsheet takes for a formula.
#[must_use]
pub fn answered_as_csv(answer: &Answer) -> String {
    let line = |cells: Vec<String>| cells.join(",") + "\r\n";
    let mut text = line(
        answer
            .columns
            .iter()
            .map(|column| csv_cell(column))
            .collect(),
    );
    for row in &answer.rows {
        let cells = row.cells.iter().map(|cell| match &cell.value {
            Value::Null => String::new(),
            Value::String(text) => csv_cell(&visible(text)),
            other => csv_cell(&visible(&other.to_string())),
        });
        text.push_str(&line(cells.collect()));
    }
    text
}

/// Questions that were asked, the last one last.
#[must_use]
pub fn history(records: &[Record]) -> String {
    let mut text = String::new();
    for record in records {
        let became = match (&record.answer, &record.refused) {
            (Some(answer), _) => match &answer.verdict {
                Verdict::Rows => counted(answer.rows.len() as u64, "row"),
                Verdict::Incomplete { .. } => "INCOMPLETE".to_owned(),
                Verdict::Empty { .. } => "none".to_owned(),
                Verdict::Unknown { code, .. } => format!("not known: {code}"),
            },
            (None, Some(refused)) => format!("refused: {}", refused.code),
            (None, None) => "dry run".to_owned(),
        };
        text.push_str(&format!(
            "{}  {}  {}  ({became})\n",
            record.id,
            time(Some(record.asked_at)),
            visible(&record.question)
        ));
    }
    text
}
