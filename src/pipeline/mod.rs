//! The spine: events → matches → findings → risk → incident → plan → commands.
//!
//! Three beats: `scan` a chunk for matches (any core, no order), `advance` the
//! correlations over them in event-time order, `follow` each finding to its
//! commands. The same spine runs for `run`, `test` and, later, live.

mod follow;
mod parallel;
mod scan;
mod sorter;

pub use self::follow::{Outcome, Response, follow};
pub use self::scan::{Rejected, Settings, newest};

use std::io;

use serde::{Deserialize, Serialize};

use crate::detect::{Tally, Windows};
use crate::event::Time;
use crate::policy::Policy;
use crate::route::{Context, Facts, Route, Runs};
use crate::source::{Input, Reader, SourceError};

use self::scan::{Scanned, scan};
use self::sorter::Sorter;

/// Where the results of a run go, in their final order.
pub trait Sink {
    /// The route of the run, before anything else.
    ///
    /// # Errors
    ///
    /// When it cannot be kept; the run then ends.
    fn begin(&mut self, route: &Route) -> io::Result<()>;
    /// A finding and all that follows from it.
    ///
    /// # Errors
    ///
    /// When it cannot be kept; the run then ends.
    fn outcome(&mut self, outcome: &Outcome) -> io::Result<()>;
    /// A stretch of input that is no event.
    ///
    /// # Errors
    ///
    /// When it cannot be kept; the run then ends.
    fn reject(&mut self, rejected: &Rejected) -> io::Result<()>;
}

/// What a run read and left out, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Events that were read and lie in the time range.
    pub events: u64,
    /// Events outside the time range.
    pub outside_range: u64,
    /// Events without a readable time: they met single-event rules only.
    pub without_time: u64,
    /// Stretches of input that are no events.
    pub rejected: u64,
    /// Events with lower-cased field names, which no rule matches as they are.
    pub lower_cased: u64,
    /// Events without an event type.
    pub without_type: u64,
    /// What correlation left out.
    pub correlation: Tally,
    /// The time of the earliest event.
    pub first: Option<Time>,
    /// The time of the latest event.
    pub last: Option<Time>,
    /// Bytes of input, decompressed.
    #[serde(skip)]
    pub bytes: u64,
}

/// A run could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A record is no event, and the settings tolerate none such.
    #[error("{input}:{line}: {reason}, and --strict tolerates no such record")]
    Rejected {
        /// The input.
        input: String,
        /// The line, from 1.
        line: u64,
        /// Why it is no event.
        reason: String,
    },
    /// Results could not be kept.
    #[error("the results cannot be written: {}", crate::visible::reason(.0))]
    Sink(#[source] io::Error),
    /// The temporary file for sorting failed.
    #[error("the temporary file for sorting matches failed: {}; TMPDIR names its folder", crate::visible::reason(.0))]
    Sort(#[source] io::Error),
}

/// How far a run has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Bytes of the inputs that were read, compressed as they are.
    pub read: u64,
    /// Events so far.
    pub events: u64,
}

/// Runs a policy over inputs. Inputs that fail are reported in the answer and
/// do not keep the others from being read.
///
/// # Errors
///
/// When results cannot be written or matches cannot be sorted.
pub fn run(
    policy: &Policy,
    inputs: Vec<Input>,
    settings: &Settings,
    sink: &mut dyn Sink,
    progress: &dyn Fn(Progress),
) -> Result<(Counts, Vec<SourceError>), RunError> {
    let route = policy
        .routing
        .decide(Context::RawEvents, None, Facts::default(), &[]);
    sink.begin(&route).map_err(RunError::Sink)?;
    let mut counts = Counts::default();
    let mut failed = Vec::new();
    if !policy.routing.runs(&route).any(|runs| runs == Runs::Detect) {
        return Ok((counts, failed));
    }

    let names: Vec<String> = inputs.iter().map(Input::name).collect();
    let mut sorter = Sorter::default();
    parallel::map_in_order(
        Feed(Reader::new(inputs)),
        settings.threads,
        |(chunk, read)| chunk.map(|chunk| (scan(&policy.detector, &chunk, settings, &names), read)),
        |scanned: Result<(Scanned, u64), SourceError>| {
            match scanned {
                Ok((scanned, read)) => {
                    scanned
                        .rejected
                        .iter()
                        .try_for_each(|rejected| reject(rejected, settings, sink))?;
                    counts.add(&scanned);
                    sorter.extend(scanned.matches).map_err(RunError::Sort)?;
                    progress(Progress {
                        read,
                        events: counts.events,
                    });
                }
                Err(error) => failed.push(error),
            }
            Ok(())
        },
    )?;

    let mut windows = Windows::new(&policy.detector);
    for found in sorter.sorted().map_err(RunError::Sort)? {
        for finding in windows.advance(&policy.detector, found.map_err(RunError::Sort)?) {
            sink.outcome(&follow(policy, finding))
                .map_err(RunError::Sink)?;
        }
    }
    counts.correlation = windows
        .finish(&policy.detector, |finding| {
            sink.outcome(&follow(policy, finding))
        })
        .map_err(RunError::Sink)?;
    Ok((counts, failed))
}

/// Hands a rejected record on, unless none is tolerated.
fn reject(rejected: &Rejected, settings: &Settings, sink: &mut dyn Sink) -> Result<(), RunError> {
    if settings.strict {
        return Err(RunError::Rejected {
            input: rejected.input.clone(),
            line: rejected.line,
            reason: rejected.reason.clone(),
        });
    }
    sink.reject(rejected).map_err(RunError::Sink)
}

impl Counts {
    fn add(&mut self, scanned: &Scanned) {
        let other = &scanned.counts;
        self.events += other.events;
        self.outside_range += other.outside_range;
        self.without_time += other.without_time;
        self.rejected += other.rejected;
        self.lower_cased += other.lower_cased;
        self.without_type += other.without_type;
        self.bytes += other.bytes;
        self.saw(other.first);
        self.saw(other.last);
    }

    /// Widens the range of times that were seen.
    fn saw(&mut self, time: Option<Time>) {
        self.first = self.first.into_iter().chain(time).min();
        self.last = self.last.max(time);
    }
}

/// A reader with how much of the inputs it has read at each chunk.
struct Feed(Reader);

impl Iterator for Feed {
    type Item = (Result<crate::source::Chunk, SourceError>, u64);

    fn next(&mut self) -> Option<Self::Item> {
        let chunk = self.0.next()?;
        Some((chunk, self.0.read_so_far()))
    }
}
