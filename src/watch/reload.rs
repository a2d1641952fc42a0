//! A policy that is loaded anew whenever its files change, beside the one that decides.
//!
//! Loading is [`policy::load`], which is what a start and `check` do: a folder with any error is
//! no policy, and what decides goes on. A folder that is met half way through a checkout is one
//! that has an error, or another policy for a moment; the next look mends it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::diag::Problems;
use crate::event::Digest;
use crate::policy::{self, Loaded};
use crate::watch::{Pace, Watch, Watched, locked};

/// What came of a change.
#[derive(Debug)]
pub enum News<'l> {
    /// The folder has errors: what decides goes on.
    Rejected(&'l Problems),
    /// The folder is another policy, which may have warnings, and waits to be taken.
    Ready(&'l Problems),
    /// The folder is the policy that decides, again.
    Same(&'l Problems),
}

/// Loads a policy anew whenever its files change, until it is dropped.
#[derive(Debug)]
pub struct Reload {
    watch: Watch,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// The policy that decides.
    active: Digest,
    /// The last policy that was loaded, where it is another.
    ready: Option<Loaded>,
}

impl Reload {
    /// Begins: the policy that decides was loaded from the folder when its [content](crate::watch::digest) was
    /// `known`, or later. News come on a thread of its own.
    pub fn begin(
        folder: &Path,
        pace: Pace,
        known: Digest,
        active: Digest,
        tell: impl FnMut(&News<'_>) + Send + 'static,
    ) -> Self {
        let ready = None;
        let state = Arc::new(Mutex::new(State { active, ready }));
        let mut loading = Loading {
            folder: folder.to_owned(),
            state: Arc::clone(&state),
            tell,
        };
        let watch = Watch::since(known, folder, Watched::Policy, pace, move |_| {
            loading.load();
        });
        Self { watch, state }
    }

    /// The newest policy that was loaded, where it is another than the one that decides. Whoever
    /// takes it has it decide from now on, or says by [`Reload::keep`] what decides.
    #[must_use]
    pub fn take(&self) -> Option<Loaded> {
        let mut state = locked(&self.state);
        let loaded = state.ready.take()?;
        let policy = loaded.policy.as_ref()?;
        state.active = policy.digest;
        Some(loaded)
    }

    /// What was taken cannot decide, and this still does.
    pub fn keep(&self, active: Digest) {
        locked(&self.state).active = active;
    }

    /// Loads the policy now, whether or not its files have changed.
    pub fn again(&self) {
        self.watch.again();
    }

    /// See [`Watch::hindrance`].
    #[must_use]
    pub fn hindrance(&self) -> Option<&str> {
        self.watch.hindrance()
    }
}

struct Loading<T> {
    folder: PathBuf,
    state: Arc<Mutex<State>>,
    tell: T,
}

impl<T: FnMut(&News<'_>)> Loading<T> {
    fn load(&mut self) {
        let loaded = policy::load(&self.folder);
        let Some(policy) = &loaded.policy else {
            // What was saved before is in no file any more.
            locked(&self.state).ready = None;
            return (self.tell)(&News::Rejected(&loaded.problems));
        };
        // What is told comes before what is said when it is taken.
        let mut state = locked(&self.state);
        if policy.digest == state.active {
            state.ready = None;
            (self.tell)(&News::Same(&loaded.problems));
        } else {
            (self.tell)(&News::Ready(&loaded.problems));
            state.ready = Some(loaded);
        }
    }
}
