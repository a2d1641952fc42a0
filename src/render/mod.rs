//! The faces: values as text for a person. They show results and decide nothing.

mod diagnostics;
mod finding;
mod lines;
mod lists;
mod restored;
mod style;
mod summary;
mod test;

pub use self::diagnostics::{problems_as_text, problems_as_values};
pub use self::finding::explain_finding;
pub use self::lines::{Lines, detected};
pub use self::lists::{commands, findings, incidents, plans};
pub use self::restored::restored;
pub use self::style::Styles;
pub use self::summary::{Collected, summary};
pub use self::test::failed_case;
