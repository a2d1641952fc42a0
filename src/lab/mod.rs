//! The same spine with nothing live: `test`, the suites of a policy, `replay`, what an audit records,
//! `diff`, what a change of a policy means, `hostile`, a policy under attack, and `explain`, why rules
//! hold for events or do not. `dev` does what `check`, `test` and `diff` do at each save.

mod changed;
mod compare;
mod coverage;
pub mod diff;
pub mod explain;
mod fix;
pub mod hostile;
mod observed;
mod pack;
mod project;
mod regression;
pub mod replay;
mod run;
mod saved;
mod suite;

pub use self::changed::changed_since;
pub use self::compare::Mismatch;
pub use self::coverage::{Coverage, Item, UNREACHED, cover, report_unreached};
pub use self::fix::{Fixed, Fixes, Texts, fix};
pub use self::observed::{Met, Observed};
pub use self::pack::{Covered, Held, Planned, covered};
pub use self::project::{Project, run_all};
pub use self::run::{CaseResult, Reached, Rig, run_case, run_cases};
pub use self::saved::{Asked, Differs, NotCompared, Saved, Sound, Standing, saved};
pub use self::suite::{
    Case, Events, Expectation, MAX_EVENTS, NamedRule, RECORDS, Suite, Wanted, all_suites,
    all_suites_over, codes, is_suite,
};
