//! The same spine with nothing live: `test`, the suites of a policy, `replay`, what an audit
//! records, and `diff`, what a change would do.

mod compare;
pub mod diff;
pub mod replay;
mod run;
mod suite;

pub use self::compare::Mismatch;
pub use self::run::{CaseResult, run_case};
pub use self::suite::{Case, Expectation, Suite, Wanted, codes, load_suites};
