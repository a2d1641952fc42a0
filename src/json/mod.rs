//! Wanted fields, read straight from the bytes of a JSON record.
//!
//! ```text
//! bytes ─blocks▶ marks: where { } [ ] : , stand ─walk▶ places of wanted fields ─▶ scalars
//! ```
//!
//! No tree is built, and nothing is copied. A record is looked at twice: `blocks`
//! finds its structure, 64 bytes at a time, and `walk` follows that structure from
//! the first byte to the last along a tree of the wanted paths.
//!
//! What is checked when: `blocks` sees to it that the text is UTF-8, that strings are
//! closed, hold no control characters and only JSON's escapes; `walk` checks the
//! grammar of every object, array, number and literal, wanted or not. So a record is
//! read as a whole or not at all, and never half. Whatever is not compact JSON, or is
//! spelled in a way that could hide a key (a wanted key twice, or with escapes), is
//! refused here; [`crate::okta`] gives it to the parser, which decides whether it is
//! an event, and reads its canonical form here.
//!
//! ```
//! use rulectl::json::{Reader, Wanted};
//!
//! let mut wanted = Wanted::default();
//! let name = wanted.add(["target", "name"]);
//! let mut reader = Reader::new(wanted);
//! let fields = reader.read(br#"{"id":7,"target":[{"name":"a"},{"name":"b"}]}"#).unwrap();
//! let names: Vec<_> = fields.values(name).filter_map(|value| value.shown()).collect();
//! assert_eq!(names, ["a", "b"]);
//! assert!(reader.read(br#"{"id":7,"target":[{"name":"a"}]"#).is_none());
//! ```

mod blocks;
mod fields;
mod inside;
mod marks;
mod scalar;
mod supplied;
pub mod surrogates;
mod walk;
mod wanted;

#[cfg(test)]
pub mod reference;
#[cfg(test)]
mod tests;

pub use self::fields::Fields;
pub use self::inside::Notation;
pub use self::scalar::Scalar;
pub use self::supplied::{Supplied, Supplier};
pub use self::wanted::{Slot, Wanted};

use self::fields::Places;
use self::marks::Marks;
use self::walk::walk;

/// Reads the wanted fields of one record after the other, in the same memory.
#[derive(Debug)]
pub struct Reader {
    wanted: Wanted,
    places: Places,
    marks: Marks,
    supplier: Option<Box<dyn Supplier>>,
}

impl Reader {
    /// A reader of these fields.
    #[must_use]
    pub fn new(wanted: Wanted) -> Self {
        Self {
            places: Places::new(&wanted),
            marks: Marks::default(),
            wanted,
            supplier: None,
        }
    }

    /// From now on fields that a record leaves empty have the values that the supplier knows.
    pub fn supplied_by(&mut self, supplier: Box<dyn Supplier>) {
        self.supplier = Some(supplier);
    }

    /// The fields of a record; `None` unless it is one object in compact JSON, each
    /// wanted key spelled without escapes and once in its object.
    pub fn read<'r>(&'r mut self, text: &'r [u8]) -> Option<Fields<'r>> {
        self.fields(text, false)
    }

    /// The fields of an object as `serde_json` writes it.
    pub fn read_canonical<'r>(&'r mut self, text: &'r [u8]) -> Option<Fields<'r>> {
        self.fields(text, true)
    }

    fn fields<'r>(&'r mut self, text: &'r [u8], canonical: bool) -> Option<Fields<'r>> {
        walk(
            text,
            &self.wanted,
            canonical,
            &mut self.places,
            &mut self.marks,
        )
        .ok()?;
        if let Some(supplier) = &mut self.supplier {
            self.places.supply(text, &mut **supplier);
        }
        Some(Fields::new(text, &self.places))
    }
}
