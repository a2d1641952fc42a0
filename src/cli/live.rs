//! Input that has no end: chunks as they come, and the clock while nothing comes.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::detect::Detector;
use crate::pipeline::{Counts, Live, LiveSink, Pace, RunError, Settings};
use crate::source::{Input, Reader, SourceError};
use crate::world::World;

/// The clock is asked so often while nothing comes.
const TICK: Duration = Duration::from_secs(1);

/// So many chunks are read ahead.
const AHEAD: usize = 4;

/// Detects over inputs as they come, until they end; what was found is `flush`ed each time.
///
/// # Errors
///
/// When results cannot be written, or a record is no event and none such is tolerated.
pub(super) fn follow<S: LiveSink>(
    detector: &Detector,
    inputs: Vec<Input>,
    settings: &Settings,
    pace: Pace,
    sink: &mut S,
    flush: impl Fn(&mut S) -> io::Result<()>,
) -> Result<(Counts, Vec<SourceError>), RunError> {
    let world = World::live();
    let names = inputs.iter().map(Input::name).collect();
    let mut live = Live::new(detector, settings.clone(), names, pace);
    let mut failed = Vec::new();
    let (chunks, come) = sync_channel(AHEAD);
    // Reading may wait for ever, so that the thread is left to itself when detection ends.
    thread::spawn(move || {
        let mut reader = Reader::new(inputs);
        reader.try_for_each(|chunk| chunks.send(chunk))
    });
    loop {
        match come.recv_timeout(TICK) {
            Ok(Ok(chunk)) => live.take(&chunk, (world.now)(), sink)?,
            Ok(Err(error)) => failed.push(error),
            Err(RecvTimeoutError::Timeout) => live.tick((world.now)(), sink)?,
            Err(RecvTimeoutError::Disconnected) => break,
        }
        flush(sink).map_err(RunError::Sink)?;
    }
    let counts = live.finish(sink)?;
    Ok((counts, failed))
}
