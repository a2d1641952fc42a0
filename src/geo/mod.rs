//! Where an address is and whose it is: countries, and databases of addresses in
//! MaxMind's format, for events that lack either.
//!
//! A database is read into memory and checked as a whole before the first event, so
//! that a lookup cannot fail. What it knows of an address becomes the value of fields
//! that the record leaves empty (see [`json::Supplier`](crate::json::Supplier)); it never
//! takes the place of what a record says.

mod country;
mod database;
mod supply;

#[cfg(test)]
pub mod tests;

pub use self::country::{country_code, country_name};
pub use self::database::{Database, DatabaseError, DatabaseRecord, Holds};
pub use self::supply::{AddressFields, Databases};
