//! Input that has no end: chunks as they come, and the clock while nothing comes.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::cli::output::{talk, warn};
use crate::cli::so_far::SoFar;
use crate::cli::state::{read_state, write_state};
use crate::detect::Detector;
use crate::event::{Nanos, Time};
use crate::pipeline::{Counts, Live, LiveSink, RunError, Settings};
use crate::render::{Lines, restored};
use crate::source::{Chunk, Input, Reader, SourceError, Taken};
use crate::visible::visible;
use crate::world::World;

/// The clock is asked so often while nothing comes.
const TICK: Duration = Duration::from_secs(1);

/// State is kept so often.
const KEEP: Nanos = Nanos(60 * Nanos::SECOND.0);

/// So many chunks are read ahead.
const AHEAD: usize = 4;

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
    detector: &Detector,
    inputs: Vec<Input>,
    settings: &Settings,
    lateness: Nanos,
    state: Option<&Path>,
    sink: &mut dyn Follower,
) -> Result<Outcome> {
    let world = World::live();
    let names = inputs.iter().map(Input::name).collect();
    let live = Live::new(detector, settings.clone(), names, lateness);
    let live = match state {
        Some(file) => go_on(live, file, (world.now)(), sink)?,
        None => live,
    };
    // Being told to stop is the end of the input.
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())
            .context("signals cannot be waited for")?;
    }
    let following = Following {
        live,
        sink,
        state,
        stop: &stop,
        world,
        kept: (world.now)(),
        failed: Vec::new(),
        so_far: SoFar::default(),
    };
    let mut reader = Reader::new(inputs);
    let taken = settings.evidence.is_some().then(|| reader.taken());
    following.follow(&read_ahead(reader), taken.as_ref())
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
fn read_ahead(mut reader: Reader) -> Receiver<Result<Chunk, SourceError>> {
    let (chunks, come) = sync_channel(AHEAD);
    thread::spawn(move || reader.try_for_each(|chunk| chunks.send(chunk)));
    come
}

struct Following<'f> {
    live: Live<'f>,
    sink: &'f mut dyn Follower,
    state: Option<&'f Path>,
    stop: &'f AtomicBool,
    world: World,
    /// When state was kept last.
    kept: Time,
    failed: Vec<SourceError>,
    so_far: SoFar,
}

impl Following<'_> {
    fn follow(
        mut self,
        come: &Receiver<Result<Chunk, SourceError>>,
        taken: Option<&Taken>,
    ) -> Result<Outcome> {
        // What was read when the program was told to stop is looked at.
        let mut left = AHEAD + 1;
        loop {
            let is_told = self.stop.load(Ordering::Relaxed);
            left -= usize::from(is_told && left > 0);
            let wait = if is_told { Duration::ZERO } else { TICK };
            let next = come.recv_timeout(wait);
            let is_over = match &next {
                Err(RecvTimeoutError::Disconnected) => true,
                Err(RecvTimeoutError::Timeout) => is_told,
                Ok(_) => is_told && left == 0,
            };
            if is_over {
                break;
            }
            if let Err(error) = self.step(next) {
                return Ok(Err(error));
            }
            if (self.world.now)().since(self.kept) >= KEEP {
                self.keep()?;
            }
        }
        self.keep()?;
        if let Some(taken) = taken {
            // Those that were read to their end: of one that goes on there is no digest.
            self.sink.read(&self.live.counts(), &taken.inputs())?;
        }
        let Self {
            live, sink, failed, ..
        } = self;
        if self.state.is_some() {
            return Ok(Ok((live.counts(), failed)));
        }
        Ok(live.finish(sink).map(|counts| (counts, failed)))
    }

    fn step(
        &mut self,
        next: Result<Result<Chunk, SourceError>, RecvTimeoutError>,
    ) -> Result<(), RunError> {
        let clock = (self.world.now)();
        match next {
            Ok(Ok(chunk)) => self.live.take(&chunk, clock, self.sink)?,
            Ok(Err(error)) => self.failed.push(error),
            Err(_) => {}
        }
        // What comes may hold no event.
        self.live.tick(clock, self.sink)?;
        let told = self.so_far.lines(&self.live.counts());
        told.iter().for_each(|line| warn(line));
        self.sink.flush().map_err(RunError::Sink)
    }

    /// What was told is written before the state that knows of it.
    fn keep(&mut self) -> Result<()> {
        self.kept = (self.world.now)();
        self.sink.keep(&self.live.counts(), &self.failed)?;
        self.state
            .map_or(Ok(()), |file| write_state(file, &self.live.save()))
    }
}
