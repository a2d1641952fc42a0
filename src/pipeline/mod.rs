//! The spine: events → matches → findings → risk → incident → plan → commands.
//!
//! Three beats: `scan` a chunk for matches (any core, no order), `advance` the
//! correlations over them in event-time order, `follow` each finding to its
//! commands. The same spine runs for `run`, `test` and, later, live; `detect` is
//! its first two beats.

mod again;
mod detect;
mod evidence;
mod feed;
mod fills;
mod follow;
mod following;
mod joint;
mod live;
mod look;
mod parallel;
mod scan;
mod sorter;
mod watermark;

pub use self::again::{AgainError, Came, detect_again};
pub use self::detect::{DetectSink, detect, detect_watched};
pub use self::evidence::{Evidence, Kept, Step, steps};
pub use self::fills::{Fills, SlotFills};
pub use self::follow::{Beginning, Filled, Filling, Outcome, Response, begin, follow};
pub use self::following::{Following, following};
pub use self::joint::{JointSink, detect_jointly};
pub use self::live::{Advance, Late, Leaving, Live, LiveSink};
pub use self::look::{Look, look};
pub use self::scan::{Rejected, Settings, newest};

use std::io;

use serde::{Deserialize, Serialize};

use crate::detect::{Failures, Tally};
use crate::event::Time;
use crate::policy::Policy;
use crate::source::{Input, InputRead, SourceError};

use self::detect::detect_in;
use self::feed::Feed;
use self::scan::Scanned;

/// Where the results of a run go, in their final order.
pub trait Sink {
    /// The route of the run and how it was decided, before anything else.
    ///
    /// # Errors
    ///
    /// When it cannot be kept; the run then ends.
    fn begin(&mut self, beginning: &Beginning) -> io::Result<()>;
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
    /// Events that satisfied a rule, where the settings ask for evidence: before what is found in them.
    ///
    /// # Errors
    ///
    /// When they cannot be kept; the run then ends.
    fn evidence(&mut self, _: Evidence) -> io::Result<()> {
        Ok(())
    }
    /// A live event that a correlation asks for came too late.
    ///
    /// # Errors
    ///
    /// When it cannot be kept; the run then ends.
    fn late(&mut self, _: &Late) -> io::Result<()> {
        Ok(())
    }
    /// Inputs were read to their end: finite ones before anything is found in them, live ones at last.
    ///
    /// # Errors
    ///
    /// When it cannot be kept; the run then ends.
    fn read(&mut self, _: &Counts, _: &[InputRead]) -> io::Result<()> {
        Ok(())
    }
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
    /// Live events that came after the watermark had passed their time.
    #[serde(skip_serializing_if = "is_none", default)]
    pub late: u64,
    /// Live events whose time was more than five minutes ahead of the clock.
    #[serde(skip_serializing_if = "is_none", default)]
    pub ahead: u64,
    /// Matches of live events that windows never saw: too many waited for the watermark, or the
    /// input ended before it reached their time.
    #[serde(skip_serializing_if = "is_none", default)]
    pub evicted: u64,
    /// What scripts could not answer, by rule.
    #[serde(skip_serializing_if = "Failures::is_empty", default)]
    pub scripts: Failures,
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none(count: &u64) -> bool {
    *count == 0
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

impl RunError {
    fn rejected(rejected: &Rejected) -> Self {
        Self::Rejected {
            input: rejected.input.clone(),
            line: rejected.line,
            reason: rejected.reason.clone(),
        }
    }
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
/// Where a model proposes the route, the first events are looked at before; that is the summary
/// that it is decided from, whatever `filling` has.
///
/// # Errors
///
/// When results cannot be written or matches cannot be sorted.
pub fn run(
    policy: &Policy,
    filling: &Filling<'_>,
    inputs: Vec<Input>,
    settings: &Settings,
    sink: &mut dyn Sink,
    progress: &dyn Fn(Progress),
) -> Result<(Counts, Vec<SourceError>), RunError> {
    let mut feed = Feed::new(inputs, settings);
    let summary = filling.asks_route(policy).then(|| feed.summary(settings));
    let filling = Filling {
        summary: summary.as_ref().or(filling.summary),
        ..*filling
    };
    let detected = following(policy, &filling, sink, |following| {
        detect_in(&policy.detector, feed, settings, following, progress)
    });
    detected
        .map_err(RunError::Sink)?
        .unwrap_or_else(|| Ok((Counts::default(), Vec::new())))
}

impl Counts {
    /// Adds what was counted behind this, of the same input.
    pub fn append(&mut self, later: &Self) {
        self.events += later.events;
        self.outside_range += later.outside_range;
        self.without_time += later.without_time;
        self.rejected += later.rejected;
        self.lower_cased += later.lower_cased;
        self.without_type += later.without_type;
        self.late += later.late;
        self.ahead += later.ahead;
        self.evicted += later.evicted;
        self.scripts.merge(later.scripts.clone());
        self.correlation.append(&later.correlation);
        self.bytes += later.bytes;
        self.saw(later.first);
        self.saw(later.last);
    }

    fn add(&mut self, scanned: &Scanned) {
        let other = &scanned.counts;
        self.events += other.events;
        self.outside_range += other.outside_range;
        self.without_time += other.without_time;
        self.rejected += other.rejected;
        self.lower_cased += other.lower_cased;
        self.without_type += other.without_type;
        self.scripts.merge(other.scripts.clone());
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
