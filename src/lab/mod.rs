//! The same spine with nothing live: today `test`, the suites of a policy.

mod compare;
mod run;
mod suite;

pub use self::compare::Mismatch;
pub use self::run::{CaseResult, run_case};
pub use self::suite::{Case, Expectation, Suite, Wanted, codes, load_suites};
