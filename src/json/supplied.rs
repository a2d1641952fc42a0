//! Values of fields that a record leaves empty, known from elsewhere.

use std::fmt;

use serde_json::Value;

use super::fields::Fields;
use super::wanted::Slot;

/// Knows values of fields that records leave empty.
pub trait Supplier: fmt::Debug + Send {
    /// The fields whose values it may know.
    fn fields(&self) -> &[Slot];
    /// What it knows of a record that leaves one of them empty.
    fn know(&mut self, record: &Fields<'_>) -> &[(Slot, Supplied)];
}

/// A value that does not stand in the record, as JSON spells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supplied(Box<[u8]>);

impl Supplied {
    /// A string.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::spelled(&Value::from(text))
    }

    /// A whole number.
    #[must_use]
    pub fn number(number: u64) -> Self {
        Self::spelled(&Value::from(number))
    }

    fn spelled(value: &Value) -> Self {
        Self(value.to_string().into_bytes().into())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
