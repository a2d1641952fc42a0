//! What a diff found, written for others: a comment on a pull request, a page to look through,
//! and what the machines of a pipeline read.

mod checked;
mod junit;
mod markdown;
mod naming;
mod news;
mod page;
mod plot;
mod records;
mod sarif;
mod tested;
mod tested_page;

pub use self::checked::{problems_as_commands, problems_as_sarif};
pub use self::junit::junit;
pub use self::markdown::{MARKER, markdown};
pub use self::naming::Actors;
pub use self::page::page;
pub use self::sarif::sarif;
pub use self::tested::{tested_annotations, tested_junit, tested_sarif};
pub use self::tested_page::tested_page;

use crate::diag::counted;
use crate::lab::diff::audits::Audits;
use crate::lab::diff::{Changes, Effect, Verdict};

/// What a diff found: the same value for every report.
#[derive(Clone, Copy, Debug)]
pub struct Diffed<'d> {
    /// What the base and the head are called.
    pub names: [&'d str; 2],
    /// What changed between the policies.
    pub changes: &'d Changes,
    /// What that does to logs, where some were read, or to what past runs found.
    pub effect: Option<&'d Effect>,
    /// Those runs, and the routes of what they found.
    pub audits: Option<&'d Audits>,
    /// What the gates of both say of it, where one has a gate.
    pub gate: Option<&'d Verdict>,
    /// How accounts and addresses of the logs are named.
    pub actors: Actors,
}

impl Diffed<'_> {
    /// What was read: `38 events`, `6 recorded findings of 1 run`.
    fn read(&self, effect: &Effect) -> String {
        match self.audits {
            None => counted(effect.read.events, "event"),
            Some(audits) => {
                let findings = counted(audits.read.findings, "recorded finding");
                format!("{findings} of {}", counted(audits.read.runs, "run"))
            }
        }
    }
}
