//! The policy of a live run, watched: what is wrong with a change is told at once, and a change
//! that is a policy is activated when its turn comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context as _, Error, Result};

use crate::audit::Audit;
use crate::cli::Common;
use crate::cli::live::{Successor, Successors};
use crate::cli::output::{bad, talk, talk_problems, warn};
use crate::diag::Problems;
use crate::event::{Digest, FieldPath};
use crate::policy::{self, Loaded};
use crate::record::activate;
use crate::render::problems_as_text;
use crate::watch::{News, Pace, Reload};

/// The policies that come after the one that a run began with.
pub(super) struct Watching<'w> {
    common: &'w Common,
    audit: Option<&'w Audit>,
    reload: Reload,
    /// The policy that decides.
    active: Digest,
    /// Its generation.
    generation: Arc<AtomicU64>,
    /// The fields that databases supply.
    supplied: Vec<FieldPath>,
    /// Somebody asks by SIGHUP that the policy is loaded again.
    asked: Arc<AtomicBool>,
}

impl<'w> Watching<'w> {
    /// Begins to watch the policy folder, whose content was `known` before the policy was loaded
    /// that decides.
    ///
    /// # Errors
    ///
    /// Where signals cannot be waited for.
    pub(super) fn begin(
        common: &'w Common,
        audit: Option<&'w Audit>,
        known: Digest,
        (active, generation): (Digest, u64),
        supplied: Vec<FieldPath>,
    ) -> Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        #[cfg(unix)]
        signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&asked))
            .context("signals cannot be waited for")?;
        let generation = Arc::new(AtomicU64::new(generation));
        let mut telling = Telling {
            generation: Arc::clone(&generation),
            told: String::new(),
        };
        let pace = Pace::default();
        let reload = Reload::begin(&common.policy, pace, known, active, move |news| {
            telling.tell(news);
        });
        if let Some(hindrance) = reload.hindrance() {
            warn(&format!(
                "changes of the policy are looked for every {} seconds alone: {hindrance}",
                pace.look.as_secs()
            ));
        }
        let watching = Self {
            common,
            audit,
            reload,
            active,
            generation,
            supplied,
            asked,
        };
        watching.tell();
        Ok(watching)
    }

    /// Says what decides from now on.
    fn tell(&self) {
        let (generation, policy) = (self.generation.load(Ordering::Acquire), self.active);
        talk(&format!("generation {generation} decides: policy {policy}"));
    }

    fn activate(&self, loaded: Loaded) -> Result<Option<Successor>> {
        let Loaded { policy, files, .. } = loaded;
        let Some(mut policy) = policy else {
            return Ok(None);
        };
        let generation = activate(self.audit, policy.digest, || {
            policy::activate(&self.common.data, policy.digest, &files).map_err(Error::from)
        })?;
        policy.detector.note_supplied(&self.supplied);
        Ok(Some(Successor { policy, generation }))
    }
}

impl Successors for Watching<'_> {
    fn next(&mut self) -> Option<Successor> {
        if self.asked.swap(false, Ordering::Relaxed) {
            self.reload.again();
        }
        let loaded = self.reload.take()?;
        match self.activate(loaded) {
            Ok(successor) => {
                let successor = successor?;
                self.active = successor.policy.digest;
                self.generation
                    .store(successor.generation, Ordering::Release);
                self.tell();
                Some(successor)
            }
            Err(error) => {
                self.reload.keep(self.active);
                let generation = self.generation.load(Ordering::Acquire);
                bad(&format!(
                    "the policy cannot be activated, and generation {generation} goes on: {error:#}"
                ));
                None
            }
        }
    }
}

/// Says what came of changes.
struct Telling {
    generation: Arc<AtomicU64>,
    /// The warnings that were told last: the same ones are not told twice in a row.
    told: String,
}

impl Telling {
    fn tell(&mut self, news: &News<'_>) {
        let generation = self.generation.load(Ordering::Acquire);
        match news {
            News::Rejected(problems) => {
                talk_problems(problems);
                bad(&format!(
                    "the policy has errors and is not activated: generation {generation} goes on"
                ));
            }
            News::Ready(problems) => self.warnings(problems),
            News::Same(problems) => {
                self.warnings(problems);
                talk(&format!("the policy is that of generation {generation}"));
            }
        }
    }

    fn warnings(&mut self, problems: &Problems) {
        let text = problems_as_text(problems, false);
        if text != self.told {
            talk_problems(problems);
            self.told = text;
        }
    }
}
