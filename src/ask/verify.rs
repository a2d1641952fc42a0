//! The answer once more, by another way, before anybody sees it.
//!
//! [`verify`] shares no code with the evaluation but the words of plans and answers: it reads the
//! bytes that were received again, finds each value by a walk of its own, does what the operators say
//! in the most obvious way, and holds what comes of it against the answer, cell by cell. It costs
//! what the evaluation costs and more, and is what "zero invented values" rests on.

mod again;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use self::again::again;
use crate::ask::answer::{Answer, Place, Source};
use crate::ask::evaluate::Asking;
use crate::ask::plan::Plan;

/// How many differences are told.
const MOST: usize = 20;

/// Whether an answer is what its calls returned: every difference, none where it is. `body` gives
/// the bytes of a digest.
#[must_use]
pub fn verify(
    plan: &Plan,
    asking: &Asking<'_>,
    answer: &Answer,
    body: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let pages = read(answer, body, &mut wrong);
    if wrong.is_empty() {
        resolve(answer, &pages, &mut wrong);
    }
    if wrong.is_empty() {
        again(plan, asking, answer, &pages, &mut wrong);
    }
    wrong.truncate(MOST);
    wrong
}

/// The pages of each call as JSON, each held against its digest.
fn read(
    answer: &Answer,
    body: &dyn Fn(&str) -> Option<Vec<u8>>,
    wrong: &mut Vec<String>,
) -> Vec<Vec<Value>> {
    let mut all = Vec::new();
    for (number, call) in answer.calls.iter().enumerate() {
        let mut pages = Vec::new();
        for page in &call.pages {
            let bytes = body(&page.sha256).unwrap_or_default();
            let digest: String = Sha256::digest(&bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            if digest != page.sha256 || bytes.len() != page.bytes {
                wrong.push(format!(
                    "call {}: the bytes of `{}` are not there",
                    number + 1,
                    page.sha256
                ));
            }
            pages.push(serde_json::from_slice(&bytes).unwrap_or(Value::Null));
        }
        all.push(pages);
    }
    all
}

/// Every source leads to its value.
fn resolve(answer: &Answer, pages: &[Vec<Value>], wrong: &mut Vec<String>) {
    let at = |place: &Place| {
        let page = pages.get(place.call)?.get(place.page)?;
        page.pointer(&place.pointer)
    };
    for (number, row) in answer.rows.iter().enumerate() {
        if row.cells.len() != answer.columns.len() {
            wrong.push(format!("row {} has {} values", number + 1, row.cells.len()));
        }
        if !row.of.iter().all(|place| at(place).is_some()) {
            wrong.push(format!("row {} is of a row that is not there", number + 1));
        }
        for (column, cell) in answer.columns.iter().zip(&row.cells) {
            let holds = match &cell.source {
                Source::Response(place) => at(place) == Some(&cell.value),
                Source::Absent(place) => cell.value.is_null() && at(place).is_some(),
                Source::Derived { of, .. } => of.iter().all(|place| at(place).is_some()),
            };
            if !holds {
                wrong.push(format!(
                    "row {}, {column}: its source has another value",
                    number + 1
                ));
            }
        }
    }
}
