//! What a change of a policy means and does, before it is merged.
//!
//! Two [`Side`]s, each a policy with the files that it was made from. [`changes`] says what
//! differs, from the files alone: in words, with the place on both sides, with how two versions
//! of a matcher relate, and with the guardrails that hold less or more. [`effect()`] says what that
//! does to logs.

pub mod audits;
mod changes;
mod details;
pub mod effect;
mod gate;
mod guardrails;
mod questions;
mod relation;
mod side;
mod texts;
mod things;

pub use self::changes::{Action, Change, Changes, Named, changes, rule_pairs};
pub use self::details::{Detail, Matters};
pub use self::effect::{Answers, Effect, effect, effect_with};
pub use self::gate::{Breach, Judged, Outcome, Verdict, Waived, judge};
pub use self::guardrails::{Guardrail, Moved};
pub use self::questions::{PastQuestion, QuestionAction, QuestionChange, Questions, questions};
pub use self::relation::Related;
pub use self::side::{Found, SideError, files_of, find, folder, revision, revision_files};
pub use self::texts::{TextDiff, text_diffs};
pub use self::things::{Kind, Place};

use crate::policy::{Policy, PolicyFile};

/// One side of a diff: a policy and the files that it was made from.
#[derive(Debug)]
pub struct Side {
    /// As given: a folder, a revision, a generation.
    pub name: String,
    /// The policy.
    pub policy: Policy,
    /// The files that it was made from.
    pub files: Vec<PolicyFile>,
}
