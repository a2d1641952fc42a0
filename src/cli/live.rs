//! Input that has no end: chunks as they come, and the clock while nothing comes.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use uuid::Uuid;

use crate::cli::output::{talk, warn};
use crate::cli::so_far::SoFar;
use crate::cli::state::{read_state, write_state};
use crate::detect::Detector;
use crate::event::{Nanos, Time};
use crate::pipeline::{Counts, Live, LiveSink, RunError, Settings};
use crate::policy::Policy;
use crate::render::{Lines, handed_over, restored};
use crate::source::{Chunk, Input, Reader, SourceError, Taken};
use crate::visible::visible;
use crate::world::World;

/// The clock is asked so often while nothing comes.
const TICK: Duration = Duration::from_secs(1);

/// Whether another policy is ready is asked so often while nothing comes.
const LOOK: Duration = Duration::from_millis(50);

/// At the end, a request that is under way is waited for so long.
const LAST: Duration = Duration::from_secs(5);

/// State is kept so often.
const KEEP: Nanos = Nanos(60 * Nanos::SECOND.0);

/// So much is read ahead, in chunks or pages.
pub(super) const AHEAD: usize = 4;

/// What comes from a source.
pub(super) enum Came {
    /// Records of a source that keeps no place: where it is read again, it begins anew.
    Chunk(Chunk),
    /// Records of a source that keeps its place, decided together.
    Page {
        chunks: Vec<Chunk>,
        /// The place behind them.
        position: Option<String>,
        /// What the clock said when they were asked for.
        asked: Time,
        /// Whether more may be there at once. Otherwise all that there was by then has come.
        is_full: bool,
    },
    /// An input, or the source, that cannot be read on.
    Failed(SourceError),
}

/// Where live events come from.
pub(super) trait Source {
    /// What messages call it.
    fn name(&self) -> String;
    /// Begins to read, behind the place that was kept, if one was. What is given beside it is the
    /// place where it begins.
    ///
    /// # Errors
    ///
    /// When it cannot go on from there.
    fn begin(self: Box<Self>, position: Option<&str>) -> Result<(Receiver<Came>, Option<String>)>;
}

/// What was counted, and the inputs that failed; or why it ended before.
type Outcome = Result<(Counts, Vec<SourceError>), RunError>;

/// Where the results of following go.
pub(super) trait Follower: LiveSink {
    /// What was told so far reaches whoever reads it.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    fn flush(&mut self) -> io::Result<()>;

    /// State is about to be kept: what it rests on is kept before. This comes every minute, and at the end.
    ///
    /// # Errors
    ///
    /// When it cannot be kept.
    fn keep(&mut self, _: &Counts, _: &[SourceError]) -> Result<()> {
        Ok(())
    }

    /// What was saved is gone on from, when the clock said so.
    ///
    /// # Errors
    ///
    /// When that cannot be kept.
    fn restored(&mut self, _: &[u8], _: Time) -> Result<()> {
        Ok(())
    }

    /// What is to be known again where somebody goes on from what is saved now.
    fn to_remember(&mut self) -> io::Result<Vec<Uuid>> {
        Ok(Vec::new())
    }
}

/// A policy that decides from now on.
pub(super) struct Successor {
    pub(super) policy: Policy,
    pub(super) generation: u64,
}

/// Where the policies come from that decide after one another.
pub(super) trait Successors {
    /// The next one, once it is there and is activated.
    fn next(&mut self) -> Option<Successor>;
}

/// How a policy ends to decide.
pub(super) enum Ended {
    /// With the input, or since the program was told to stop.
    Over(Outcome),
    /// Another one goes on.
    Succeeded(Box<Handover>),
}

/// What goes from a policy to the next.
pub(super) struct Handover {
    pub(super) successor: Successor,
    /// What was counted under the one before.
    pub(super) counts: Counts,
    pub(super) saved: Saved,
}

/// What was saved, and when the source had been heard of last.
pub(super) struct Saved {
    state: Vec<u8>,
    clock: Time,
}

/// How events are looked at under one policy.
pub(super) struct Under<'u> {
    pub(super) detector: &'u Detector,
    /// Its generation; 0 where there are none.
    pub(super) generation: u64,
    pub(super) settings: &'u Settings,
    pub(super) lateness: Nanos,
    /// The file in which state is kept.
    pub(super) state: Option<&'u Path>,
}

impl<W: Write, R: Write> Follower for Lines<W, R> {
    fn flush(&mut self) -> io::Result<()> {
        Self::flush(self)
    }
}

/// Detects over inputs as they come, until they end or the program is told to stop.
///
/// # Errors
///
/// When state cannot be read or kept. When results cannot be written, or a record is no event
/// and none such is tolerated, the inner one.
pub(super) fn follow(
    under: &Under<'_>,
    inputs: Vec<Input>,
    sink: &mut dyn Follower,
) -> Result<Outcome> {
    let mut coming = Coming::begin(inputs, false)?;
    match coming.follow(under, None, sink, None)? {
        Ended::Over(outcome) => Ok(outcome),
        Ended::Succeeded(_) => bail!("a policy came where none was waited for"),
    }
}

/// What comes, under whichever policy: the inputs, the clock and the word to stop.
pub(super) struct Coming {
    came: Receiver<Came>,
    /// A source that has not begun to be read.
    source: Option<Box<dyn Source>>,
    /// Of a source that keeps its place: the place behind what was decided.
    position: Option<String>,
    /// Whether where it began is not kept yet.
    is_new: bool,
    /// Whether the source says itself when all has come that there is.
    is_polled: bool,
    names: Vec<String>,
    taken: Option<Taken>,
    stop: Arc<AtomicBool>,
    world: World,
    /// When state was kept last.
    kept: Time,
    failed: Vec<SourceError>,
    /// What was counted under earlier policies.
    before: Counts,
    so_far: SoFar,
}

impl Coming {
    /// Begins to read; what is read is told by its digest too where that is asked.
    ///
    /// # Errors
    ///
    /// Where signals cannot be waited for.
    pub(super) fn begin(inputs: Vec<Input>, told: bool) -> Result<Self> {
        let names = inputs.iter().map(Input::name).collect();
        let mut reader = Reader::new(inputs);
        let taken = told.then(|| reader.taken());
        Ok(Self {
            taken,
            ..Self::of(read_ahead(reader), names, told_to_stop()?)
        })
    }

    /// The same of a source that keeps its place, and that is read from where the state says.
    pub(super) fn from(source: Box<dyn Source>, stop: Arc<AtomicBool>) -> Self {
        let names = vec![source.name()];
        // Nothing comes until it is known where to begin.
        let (_, none) = sync_channel(0);
        Self {
            source: Some(source),
            is_polled: true,
            ..Self::of(none, names, stop)
        }
    }

    fn of(came: Receiver<Came>, names: Vec<String>, stop: Arc<AtomicBool>) -> Self {
        let world = World::live();
        Self {
            came,
            source: None,
            position: None,
            is_new: false,
            is_polled: false,
            names,
            taken: None,
            stop,
            world,
            kept: (world.now)(),
            failed: Vec::new(),
            before: Counts::default(),
            so_far: SoFar::default(),
        }
    }

    /// Detects under one policy, until the inputs end, the program is told to stop, or there is
    /// another policy.
    ///
    /// # Errors
    ///
    /// As [`follow`].
    pub(super) fn follow<'u>(
        &'u mut self,
        under: &Under<'u>,
        saved: Option<&Saved>,
        sink: &'u mut dyn Follower,
        successors: Option<&'u mut dyn Successors>,
    ) -> Result<Ended> {
        let settings = under.settings.clone();
        let names = self.names.clone();
        let live = Live::new(under.detector, settings, names, under.lateness);
        let live = live.under(under.generation);
        let live = match (saved, under.state) {
            (Some(saved), _) => take_over(live, saved, sink)?,
            (None, Some(file)) => go_on(live, file, (self.world.now)(), sink)?,
            (None, None) => live,
        };
        if let Some(source) = self.source.take() {
            let (came, begins) = source.begin(live.position())?;
            self.came = came;
            self.position = live.position().map(str::to_owned);
            if self.position.is_none() {
                // Where it began has to be known from the first event on, whatever happens then.
                self.position = begins;
                self.is_new = true;
            }
        }
        let following = Following {
            live,
            detector: under.detector,
            sink,
            state: under.state,
            coming: self,
        };
        following.follow(successors)
    }

    /// Lets go what comes while a policy leaves detection out, until there is another one.
    pub(super) fn wait(&mut self, successors: &mut dyn Successors) -> Option<Successor> {
        while !self.stop.load(Ordering::Relaxed) {
            if let Some(successor) = successors.next() {
                return Some(successor);
            }
            match self.came.recv_timeout(LOOK) {
                Err(RecvTimeoutError::Disconnected) => return None,
                Ok(Came::Failed(error)) => self.failed.push(error),
                Ok(Came::Page { position, .. }) => self.position = position,
                Ok(Came::Chunk(_)) | Err(RecvTimeoutError::Timeout) => {}
            }
        }
        None
    }

    /// Nothing is read any more. A source that is just asking may come to an end of it.
    pub(super) fn leave(self) {
        self.stop.store(true, Ordering::Relaxed);
        let until = Instant::now() + LAST;
        while self.is_polled && Instant::now() < until {
            if let Err(RecvTimeoutError::Disconnected) = self.came.recv_timeout(LOOK) {
                return;
            }
        }
    }

    /// What was counted so far, and the inputs that failed.
    pub(super) fn end(&mut self) -> (Counts, Vec<SourceError>) {
        (self.before.clone(), std::mem::take(&mut self.failed))
    }
}

/// Goes on under another policy.
fn take_over<'d>(live: Live<'d>, saved: &Saved, sink: &mut dyn Follower) -> Result<Live<'d>> {
    let (live, became) = live
        .restore(&saved.state, saved.clock)
        .context("what was open cannot be handed over to the new policy")?;
    handed_over(&became).iter().for_each(|line| talk(line));
    sink.remember(live.remembered());
    sink.restored(&saved.state, saved.clock)?;
    Ok(live)
}

/// Restores what was kept in a file, if it exists, and says what became of it.
fn go_on<'d>(
    live: Live<'d>,
    file: &Path,
    clock: Time,
    sink: &mut dyn Follower,
) -> Result<Live<'d>> {
    let shown = || visible(&file.display().to_string());
    let Some(saved) = read_state(file)? else {
        return Ok(live);
    };
    match live.restore(&saved, clock) {
        Ok((live, became)) => {
            restored(&became).iter().for_each(|line| talk(line));
            sink.remember(live.remembered());
            sink.restored(&saved, clock)?;
            Ok(live)
        }
        Err(error) => bail!(
            "the state in `{}` cannot be restored: {error}; move it away to begin anew",
            shown()
        ),
    }
}

/// Reading may wait for ever, so that the thread is left to itself when detection ends.
fn read_ahead(mut reader: Reader) -> Receiver<Came> {
    let (send, come) = sync_channel(AHEAD);
    thread::spawn(move || {
        reader.try_for_each(|chunk| send.send(chunk.map_or_else(Came::Failed, Came::Chunk)))
    });
    come
}

/// A flag that is set when the program is told to stop, which is the end of the input.
///
/// # Errors
///
/// Where signals cannot be waited for.
pub(super) fn told_to_stop() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())
            .context("signals cannot be waited for")?;
    }
    Ok(stop)
}

struct Following<'f> {
    live: Live<'f>,
    detector: &'f Detector,
    sink: &'f mut dyn Follower,
    state: Option<&'f Path>,
    coming: &'f mut Coming,
}

impl Following<'_> {
    fn follow(mut self, mut successors: Option<&mut dyn Successors>) -> Result<Ended> {
        let pace = if successors.is_some() { LOOK } else { TICK };
        // What was read when the program was told to stop is looked at.
        let mut left = AHEAD + 1;
        if std::mem::take(&mut self.coming.is_new) {
            self.keep()?;
        }
        loop {
            let is_told = self.coming.stop.load(Ordering::Relaxed);
            left -= usize::from(is_told && left > 0);
            let next = successors.as_mut().filter(|_| !is_told);
            if let Some(successor) = next.and_then(|successors| successors.next()) {
                return self.hand_over(successor);
            }
            let wait = if is_told { Duration::ZERO } else { pace };
            let next = self.coming.came.recv_timeout(wait);
            let is_over = match &next {
                Err(RecvTimeoutError::Disconnected) => true,
                Err(RecvTimeoutError::Timeout) => is_told,
                Ok(_) => is_told && left == 0,
            };
            let is_read = next.is_ok();
            if is_over && !is_read {
                break;
            }
            if let Err(error) = self.step(next) {
                return Ok(Ended::Over(Err(error)));
            }
            if is_over {
                break;
            }
            if (self.coming.world.now)().since(self.coming.kept) >= KEEP {
                self.keep()?;
            }
        }
        self.end().map(Ended::Over)
    }

    fn end(mut self) -> Result<Outcome> {
        self.keep()?;
        let counts = self.counts();
        if let Some(taken) = &self.coming.taken {
            // Those that were read to their end: of one that goes on there is no digest.
            self.sink.read(&counts, &taken.inputs())?;
        }
        let Self {
            live, sink, coming, ..
        } = self;
        let failed = std::mem::take(&mut coming.failed);
        if self.state.is_some() {
            return Ok(Ok((counts, failed)));
        }
        let mut all = std::mem::take(&mut coming.before);
        Ok(live.finish(sink).map(|counts| {
            all.append(&counts);
            (all, failed)
        }))
    }

    /// Another policy goes on with what this one has open, as far as its rules do the same.
    fn hand_over(mut self, successor: Successor) -> Result<Ended> {
        self.live.remember(self.sink.to_remember()?);
        let clock = (self.coming.world.now)();
        let saved = Saved {
            state: self.live.save_for_successor(),
            clock: self.live.heard().unwrap_or(clock),
        };
        let leaving = self.detector.leaving(&successor.policy.detector);
        let counts = match self.live.leave(leaving, self.sink) {
            Ok(counts) => counts,
            Err(error) => return Ok(Ended::Over(Err(error))),
        };
        self.coming.before.append(&counts);
        Ok(Ended::Succeeded(Box::new(Handover {
            successor,
            counts,
            saved,
        })))
    }

    /// What was counted so far, under all policies.
    fn counts(&self) -> Counts {
        let mut counts = self.coming.before.clone();
        counts.append(&self.live.counts());
        counts
    }

    fn step(&mut self, next: Result<Came, RecvTimeoutError>) -> Result<(), RunError> {
        let clock = (self.coming.world.now)();
        match next {
            Ok(Came::Chunk(chunk)) => self.live.take(&chunk, clock, self.sink)?,
            Ok(Came::Page {
                chunks,
                position,
                asked,
                is_full,
            }) => {
                for chunk in &chunks {
                    self.live.take(chunk, asked, self.sink)?;
                }
                self.coming.position = position;
                if !is_full {
                    self.live.tick(asked, self.sink)?;
                }
            }
            Ok(Came::Failed(error)) => self.coming.failed.push(error),
            Err(_) => {}
        }
        // What comes may hold no event. Of a source that is polled, only a page that is not full
        // says that nothing else is there: it may be slow, or fail, for hours.
        if !self.coming.is_polled {
            self.live.tick(clock, self.sink)?;
        }
        let told = self.coming.so_far.lines(&self.counts());
        told.iter().for_each(|line| warn(line));
        self.sink.flush().map_err(RunError::Sink)
    }

    /// What was told is written before the state that knows of it.
    fn keep(&mut self) -> Result<()> {
        self.coming.kept = (self.coming.world.now)();
        self.sink.keep(&self.counts(), &self.coming.failed)?;
        let Some(file) = self.state else {
            return Ok(());
        };
        if self.coming.is_polled && self.coming.position.is_none() {
            // Whoever went on from here would not know where in the source.
            return Ok(());
        }
        self.live.remember(self.sink.to_remember()?);
        self.live.at(self.coming.position.clone());
        write_state(file, &self.live.save())
    }
}
