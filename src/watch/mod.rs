//! Whether the files of a policy have changed.
//!
//! The system is asked to tell of changes in *folders*: editors replace a file by another of its
//! name, a checkout swaps whole trees, and Kubernetes a link. What it tells is taken for a hint
//! alone: after it, everything is read again, and only another content is a change. So a save
//! that changes nothing tells nothing, and hints that are lost are made up for by a look now and
//! then.

mod content;
mod reload;
#[cfg(test)]
mod tests;

pub use self::reload::{News, Reload};

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::event::Digest;

use self::content::{Beside, Content, Places, content, holds};

/// What of a policy folder is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// What the policy is made from: `rules/`, `prompts/`, `routing.toml` and `tools.yaml`.
    Policy,
    /// That and `fixtures/`, with which it is tested; what else it is tested with is told to
    /// [`Watch::also`].
    Project,
}

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// After a hint, for one save to come to its end.
    pub quiet: Duration,
    /// At the most between two looks, whether or not there was a hint.
    pub look: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(100),
            look: Duration::from_secs(5),
        }
    }
}

/// While hints go on and on, a look is taken after so many quiet spans all the same.
const MOST_QUIET: u32 = 5;

/// A look may take this part of the time at the most.
const SHARE: u32 = 50;

/// So many files are watched beside the folder.
const MOST_BESIDE: usize = 1_000;

/// So many hints wait; what is more is made up for by one look.
const HINTS: usize = 1024;

/// The content of what would be watched.
#[must_use]
pub fn digest(folder: &Path, watched: Watched) -> Digest {
    content(&absolute(folder), watched).digest
}

fn absolute(folder: &Path) -> PathBuf {
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}

/// A watch over a policy folder, until it is dropped.
#[derive(Debug)]
pub struct Watch {
    hints: SyncSender<Hint>,
    state: Arc<State>,
    began: Digest,
    hindrance: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    /// More hints came than wait.
    missed: AtomicBool,
    /// What there is is told, changed or not.
    again: AtomicBool,
    over: AtomicBool,
    /// What is watched beside the folder, with what it held when it was looked at last.
    beside: Mutex<Beside>,
}

enum Hint {
    /// Something happened there.
    At(Vec<PathBuf>),
    /// Something happened, or somebody wants a look.
    Anywhere,
}

impl Watch {
    /// Begins to watch what had this content at some time before, and tells at once where it has
    /// another by now; otherwise as [`Watch::begin`].
    pub fn since(
        known: Digest,
        folder: &Path,
        watched: Watched,
        pace: Pace,
        tell: impl FnMut(Digest) + Send + 'static,
    ) -> Self {
        Self::new(Some(known), folder, watched, pace, tell)
    }

    /// Begins to watch, and has each new content told by its digest, on a thread of the watch's own.
    /// What changes from now on is told, also while the folder is not there.
    pub fn begin(
        folder: &Path,
        watched: Watched,
        pace: Pace,
        tell: impl FnMut(Digest) + Send + 'static,
    ) -> Self {
        Self::new(None, folder, watched, pace, tell)
    }

    fn new(
        known: Option<Digest>,
        folder: &Path,
        watched: Watched,
        pace: Pace,
        tell: impl FnMut(Digest) + Send + 'static,
    ) -> Self {
        let (hints, come) = sync_channel(HINTS);
        let state = Arc::new(State::default());
        let (watcher, hindrance) = match watcher(hints.clone(), Arc::clone(&state)) {
            Ok(watcher) => (Some(watcher), None),
            Err(error) => (None, Some(reason(&error))),
        };
        let mut watching = Watching {
            folder: absolute(folder),
            watched,
            pace,
            watcher,
            hindrance,
            places: Places::default(),
            heard: BTreeSet::new(),
            took: Duration::ZERO,
        };
        let began = watching.look(&state).0;
        let hindrance = watching.hindrance.take();
        let of_thread = Arc::clone(&state);
        let watch = Self {
            hints,
            state,
            began,
            hindrance,
        };
        if known.is_some_and(|known| known != began) {
            watch.again();
        }
        thread::spawn(move || watching.watch(began, &come, &of_thread, tell));
        watch
    }

    /// What there was when the watch began.
    #[must_use]
    pub fn began(&self) -> Digest {
        self.began
    }

    /// Why the system does not tell of changes, where it does not: they are then seen by looking alone.
    #[must_use]
    pub fn hindrance(&self) -> Option<&str> {
        self.hindrance.as_deref()
    }

    /// From now on these files are watched too, wherever they stand, and no others but those of the
    /// folder: where one of them changes, the content is told again.
    pub fn also(&self, files: impl IntoIterator<Item = PathBuf>) {
        let mut beside = locked(&self.state.beside);
        let files = files.into_iter().take(MOST_BESIDE).map(|file| {
            let file = absolute(&file);
            // What changed since the last look is still to be seen.
            let known = beside.get(&file).cloned();
            let held = known.unwrap_or_else(|| holds(&file));
            (file, held)
        });
        *beside = files.collect();
        drop(beside);
        self.look();
    }

    /// Has a look taken now, and what there is told whether or not it has changed.
    pub fn again(&self) {
        self.state.again.store(true, Ordering::Release);
        self.look();
    }

    /// Has a look taken now.
    pub fn look(&self) {
        give(&self.hints, Hint::Anywhere, &self.state);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Release);
        self.look();
    }
}

/// Looks at what is watched beside the folder, and says whether any of it is another.
fn is_other_beside(state: &State) -> bool {
    let mut is_other = false;
    for (file, held) in locked(&state.beside).iter_mut() {
        let now = holds(file);
        is_other |= *held != now;
        *held = now;
    }
    is_other
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the system tells becomes hints. That a file was opened or read is none: looking does that.
fn watcher(hints: SyncSender<Hint>, state: Arc<State>) -> notify::Result<RecommendedWatcher> {
    notify::recommended_watcher(move |told: notify::Result<notify::Event>| {
        let hint = match told {
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => return,
            Ok(event) if !event.need_rescan() => Hint::At(event.paths),
            _ => Hint::Anywhere,
        };
        give(&hints, hint, &state);
    })
}

/// Whoever tells must not wait for whoever looks.
fn give(hints: &SyncSender<Hint>, hint: Hint, state: &State) {
    if let Err(TrySendError::Full(_)) = hints.try_send(hint) {
        state.missed.store(true, Ordering::Release);
    }
}

fn reason(error: &notify::Error) -> String {
    match &error.kind {
        notify::ErrorKind::Io(error) => crate::visible::reason(error),
        notify::ErrorKind::MaxFilesWatch => {
            "as many folders are watched as the system allows".to_owned()
        }
        _ => crate::visible::visible(&error.to_string()).to_string(),
    }
}

struct Watching {
    /// Absolute, with its links.
    folder: PathBuf,
    watched: Watched,
    pace: Pace,
    watcher: Option<RecommendedWatcher>,
    hindrance: Option<String>,
    places: Places,
    /// The folders that the system tells of.
    heard: BTreeSet<PathBuf>,
    /// How long the last look took.
    took: Duration,
}

impl Watching {
    fn watch(
        mut self,
        began: Digest,
        come: &Receiver<Hint>,
        state: &State,
        mut tell: impl FnMut(Digest),
    ) {
        let mut last = began;
        let mut next = self.pace.look;
        while self.wait(next, come, state) {
            let (now, is_other_beside) = self.look(state);
            // A file may have been read while it was written, so that a change is looked at again.
            next = if now == last && !is_other_beside {
                self.pace.look.max(self.took * SHARE)
            } else {
                self.pace.quiet * 2
            };
            let is_asked = state.again.swap(false, Ordering::AcqRel);
            if now != last || is_other_beside || is_asked {
                last = now;
                tell(now);
            }
        }
    }

    /// Waits for a hint, or so long; false when the watch is over.
    fn wait(&self, most: Duration, come: &Receiver<Hint>, state: &State) -> bool {
        let end = Instant::now() + most;
        while !state.missed.swap(false, Ordering::AcqRel) {
            let left = end.saturating_duration_since(Instant::now());
            match come.recv_timeout(left) {
                Ok(Hint::At(paths)) if !paths.iter().any(|path| self.places.concern(path)) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => break,
                Ok(Hint::Anywhere) => break,
                Ok(Hint::At(_)) => {
                    self.settle(come);
                    break;
                }
            }
        }
        !state.over.load(Ordering::Acquire)
    }

    /// Waits until nothing happened for a moment.
    fn settle(&self, come: &Receiver<Hint>) {
        let end = Instant::now() + self.pace.quiet * MOST_QUIET;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let more = come.recv_timeout(left.min(self.pace.quiet));
            if left.is_zero() || !matches!(more, Ok(Hint::At(_))) {
                return;
            }
        }
    }

    /// Reads everything, and says whether what is beside the folder is another. What came into a folder before the system was asked to tell of it is
    /// read once more.
    fn look(&mut self, state: &State) -> (Digest, bool) {
        let begun = Instant::now();
        let mut seen = self.content(state);
        if self.listen(&seen.places) {
            seen = self.content(state);
        }
        let is_other = is_other_beside(state);
        self.took = begun.elapsed();
        self.places = seen.places;
        (seen.digest, is_other)
    }

    fn content(&self, state: &State) -> Content {
        let mut seen = content(&self.folder, self.watched);
        for file in locked(&state.beside).keys() {
            seen.places.links(file);
        }
        seen
    }

    /// Asks the system to tell of the folders in which changes are seen now, and says whether it
    /// does of one more.
    fn listen(&mut self, places: &Places) -> bool {
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        self.heard.retain(|folder| {
            let is_seen = places.folders.contains(folder);
            if !is_seen {
                // The system forgets by itself what is no more.
                let _ = watcher.unwatch(folder);
            }
            is_seen
        });
        let mut is_more = false;
        for folder in &places.folders {
            // One that is heard of may be another of its name by now; asking twice for one changes nothing.
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => is_more |= self.heard.insert(folder.clone()),
                Err(error) if folder.exists() => self.hindrance = Some(reason(&error)),
                Err(_) => {}
            }
        }
        is_more
    }
}
