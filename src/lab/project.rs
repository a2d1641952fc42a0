//! A policy folder as everybody reads it who holds it against its cases.

use std::path::Path;

use crate::geo::Databases;
use crate::lab::run::{CaseResult, Rig, run_cases};
use crate::lab::suite::{Case, Suite, all_suites};
use crate::okta::ADDRESS_FIELDS;
use crate::policy::{self, Loaded, Policy};

/// A policy folder with its suites.
#[derive(Debug)]
pub struct Project {
    /// The policy, its files, and every problem of these and of the suites.
    pub loaded: Loaded,
    /// The suites.
    pub suites: Vec<Suite>,
}

impl Project {
    /// Reads a policy folder and its suites.
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        let mut loaded = policy::load(folder);
        let suites = all_suites(folder, &mut loaded);
        Self { loaded, suites }
    }

    /// Takes the policy out, told which fields databases supply; nothing where there is any error.
    pub fn take_policy(&mut self, databases: &Databases) -> Option<Policy> {
        let is_broken = self.loaded.problems.has_errors();
        let mut policy = self.loaded.policy.take().filter(|_| !is_broken)?;
        let supplied = databases.paths(&ADDRESS_FIELDS);
        policy.detector.note_supplied(&supplied);
        Some(policy)
    }
}

/// Runs cases on as many threads as there are processors.
#[must_use]
pub fn run_all(rig: &Rig<'_>, cases: &[&Case]) -> Vec<CaseResult> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    run_cases(rig, cases, threads)
}
