//! The same spine with nothing live: `test`, the suites of a policy, `replay`, what an audit records,
//! `diff`, what a change of a policy means, and `hostile`, a policy under attack.

mod compare;
pub mod diff;
pub mod hostile;
pub mod replay;
mod run;
mod suite;

pub use self::compare::Mismatch;
pub use self::run::{CaseResult, run_case, run_cases};
pub use self::suite::{Case, Expectation, Suite, Wanted, codes, load_suites};
