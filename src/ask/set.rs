//! The rows of a step, or why they are not known.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::ask::answer::{Cell, Place, Row, Source};
use crate::tools::Tool;

/// What is known of a step: rows, or why none.
pub(super) type Known<T> = Result<T, Unknown>;

/// Why nothing is known.
pub(super) struct Unknown {
    pub(super) code: &'static str,
    pub(super) why: String,
}

pub(super) fn unknown<T>(code: &'static str, why: impl Into<String>) -> Known<T> {
    let why = why.into();
    Err(Unknown { code, why })
}

/// The rows of a step.
#[derive(Clone, Debug, Default)]
pub(super) struct Set {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Row>,
    /// What cut it short, where there may be more rows.
    pub(super) cut: Option<String>,
    /// The calls that it is made of.
    pub(super) calls: BTreeSet<usize>,
}

impl Set {
    pub(super) fn place(&self, column: &str) -> Known<usize> {
        let found = self.columns.iter().position(|known| known == column);
        found.map_or_else(
            || unknown("plan", format!("there is no column `{column}`")),
            Ok,
        )
    }

    /// These rows with other ones' limits.
    pub(super) fn like(&self, columns: Vec<String>, rows: Vec<Row>) -> Self {
        Self {
            columns,
            rows,
            cut: self.cut.clone(),
            calls: self.calls.clone(),
        }
    }
}

/// The rows of a page; where they cannot be read, how many there are and why.
pub(super) fn read_rows(
    tool: &Tool,
    call: usize,
    page: usize,
    body: &[u8],
) -> Result<Vec<Row>, (usize, Unknown)> {
    let unknown =
        |count: usize, code: &'static str, why: String| Err((count, Unknown { code, why }));
    let Ok(whole) = serde_json::from_slice::<Value>(body) else {
        return unknown(0, "failed", "an answer is no JSON".to_owned());
    };
    let Some(found) = whole.pointer(&tool.rows) else {
        return unknown(
            0,
            "drift",
            format!(
                "the answer of `{}` has no `{}`, where its rows were",
                tool.name, tool.rows
            ),
        );
    };
    let items: Vec<(String, &Value)> = match found {
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items
                .map(|(at, item)| (format!("{}/{at}", tool.rows), item))
                .collect()
        }
        other => vec![(tool.rows.clone(), other)],
    };
    let mut rows = Vec::new();
    let count = items.len();
    for (pointer, item) in items {
        let place = Place {
            call,
            page,
            pointer,
        };
        let mut cells = Vec::new();
        for column in &tool.columns {
            let found = column.path.find(item);
            if found.is_none() && !column.is_optional {
                return unknown(
                    count,
                    "drift",
                    format!(
                        "`{}{}` is gone from the answer of `{}`: Okta's API is not what tools.yaml says",
                        place.pointer, column.path, tool.name
                    ),
                );
            }
            cells.push(match found {
                Some((value, inside)) => Cell {
                    value: value.clone(),
                    source: Source::Response(Place {
                        pointer: format!("{}{inside}", place.pointer),
                        ..place.clone()
                    }),
                },
                None => Cell {
                    value: Value::Null,
                    source: Source::Absent(place.clone()),
                },
            });
        }
        rows.push(Row {
            cells,
            of: vec![place],
        });
    }
    Ok(rows)
}
