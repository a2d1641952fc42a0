//! What a change of a policy does: what changed in meaning, and what that does to logs.

pub mod effect;

use crate::policy::{Policy, PolicyFile};

pub use self::effect::{Effect, effect, effect_with};

/// One side of a diff: a policy and the files that it was made from.
#[derive(Debug)]
pub struct Side {
    /// As given: a folder, a revision, a generation.
    pub name: String,
    /// The policy.
    pub policy: Policy,
    /// Its files.
    pub files: Vec<PolicyFile>,
}
