//! One line of a Sigma search, checked: a field, and what its values are tested for.

use serde_json::Value;

use crate::detect::modifiers::Test;
use crate::diag::Span;
use crate::event::FieldPath;

/// A field compared with values: `client.ipAddress|cidr: [10.0.0.0/8]`.
#[derive(Clone, Debug)]
pub struct Predicate {
    /// The field; `None` for a keyword, which is looked for in every scalar.
    pub field: Option<FieldPath>,
    /// Where the field is written.
    pub span: Span,
    /// The fields that it is compared with, and where they are written.
    pub compared: Vec<(String, Span)>,
    /// One for each value as written.
    pub tests: Vec<Test>,
    /// Whether every test must hold, instead of any (`all`).
    pub all: bool,
    /// Whether the line holds when its tests do not (`neq`).
    pub negated: bool,
    /// The plain texts that the field is compared with, and where, for lints.
    pub literals: Vec<(String, Span)>,
    /// How a person reads it, for explanations.
    pub shown: String,
}

impl Predicate {
    /// Whether the event satisfies it.
    #[must_use]
    pub fn holds(&self, fields: &Value) -> bool {
        let found = match &self.field {
            Some(field) => field.values(fields),
            None => scalars(fields),
        };
        let holds = |test: &Test| test.holds(&found, self.field.as_ref(), fields);
        let result = if self.all {
            self.tests.iter().all(holds)
        } else {
            self.tests.iter().any(holds)
        };
        result != self.negated
    }
}

/// Every scalar of a record: where a keyword is looked for.
fn scalars(fields: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    let mut todo = vec![fields];
    while let Some(value) = todo.pop() {
        match value {
            Value::Array(items) => todo.extend(items),
            Value::Object(map) => todo.extend(map.values()),
            scalar => found.push(scalar),
        }
    }
    found
}
