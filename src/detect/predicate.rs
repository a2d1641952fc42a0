//! One line of a Sigma search, checked: a field, and what its values are tested for.

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
    /// Where each of the tests is written; nothing where they come from a list.
    pub places: Vec<Span>,
    /// Whether every test must hold, instead of any (`all`).
    pub all: bool,
    /// Whether the line holds when its tests do not (`neq`).
    pub negated: bool,
    /// The plain texts that the field is compared with, and where, for lints.
    pub literals: Vec<(String, Span)>,
    /// How a person reads it, for explanations.
    pub shown: String,
}
