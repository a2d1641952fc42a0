//! What is answered: rows whose every value names the place that it was read from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What came of a question, as it is kept and shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// What is known.
    pub verdict: Verdict,
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows, in the order of the plan.
    pub rows: Vec<Row>,
    /// The calls that were made, in order.
    pub calls: Vec<CallRecord>,
}

/// What is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub enum Verdict {
    /// These rows, and no others.
    Rows,
    /// That there are none.
    Empty {
        /// The calls that returned nothing; none where the rows that came did not qualify.
        nothing_from: Vec<usize>,
    },
    /// These rows, and perhaps others.
    Incomplete {
        /// What cut it short.
        why: String,
    },
    /// Nothing.
    Unknown {
        /// Of which kind the reason is.
        code: String,
        /// Why.
        why: String,
    },
}

/// One row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its values, one for each column.
    pub cells: Vec<Cell>,
    /// The rows of answers that it was made of.
    pub of: Vec<Place>,
}

/// One value, and where it is from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// The value.
    pub value: Value,
    /// Where it is from.
    pub source: Source,
}

/// Where a value is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A value of an answer.
    Response(Place),
    /// Nothing: the row of an answer is without it, which the registry permits.
    Absent(Place),
    /// An operator over rows of answers.
    Derived {
        /// Which one: `count`, `latest`, or `left_join` where there was no other row.
        operator: String,
        /// The values or rows.
        of: Vec<Place>,
    },
}

/// A place in an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The call, from 0.
    pub call: usize,
    /// The page of its answer, from 0.
    pub page: usize,
    /// A JSON Pointer (RFC 6901) into the body.
    pub pointer: String,
}

/// A call that was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallRecord {
    /// The step that made it.
    pub step: String,
    /// The tool.
    pub tool: String,
    /// What it was given.
    pub params: BTreeMap<String, Value>,
    /// The request, without its host: `GET /api/v1/users?limit=200`.
    pub request: String,
    /// The pages of its answer.
    pub pages: Vec<PageRecord>,
    /// How many rows they have.
    pub rows: usize,
    /// How it ended.
    pub end: End,
}

/// A page of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageRecord {
    /// The SHA-256 of its body.
    pub sha256: String,
    /// The size of its body in bytes.
    pub bytes: usize,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case", deny_unknown_fields)]
pub enum End {
    /// With its last page.
    Complete,
    /// Okta has no such thing (404).
    NotFound {
        /// What Okta said.
        said: String,
    },
    /// Before its last page.
    Cut {
        /// Why.
        why: String,
    },
    /// Without an answer.
    Failed {
        /// Why.
        why: String,
    },
}
