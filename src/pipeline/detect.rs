//! The first two beats: events → matches → findings.

use std::io;

use crate::detect::{Detector, Failures, Finding, Heading, Match, Tally, Watch, Windows};
use crate::event::Time;
use crate::pipeline::feed::Feed;
use crate::pipeline::scan::{Scanned, Scanner, scan};
use crate::pipeline::sorter::Sorter;
use crate::pipeline::{Counts, Evidence, Progress, Rejected, RunError, Settings, parallel};
use crate::source::{Input, InputRead, SourceError};

/// Where the results of detection go.
pub trait DetectSink {
    /// A match that is reported as it is found, in the order of the input; only
    /// a detector that is [`Detector::reporting_matches`] has such.
    ///
    /// # Errors
    ///
    /// When it cannot be kept; detection then ends.
    fn found(&mut self, rule: &Heading, found: &Match) -> io::Result<()>;
    /// A finding, in the order of findings, after all matches.
    ///
    /// # Errors
    ///
    /// When it cannot be kept; detection then ends.
    fn finding(&mut self, finding: Finding) -> io::Result<()>;
    /// A stretch of input that is no event.
    ///
    /// # Errors
    ///
    /// When it cannot be kept; detection then ends.
    fn reject(&mut self, rejected: &Rejected) -> io::Result<()>;
    /// Events that satisfied a rule, where the settings ask for evidence: before what is found in them.
    ///
    /// # Errors
    ///
    /// When they cannot be kept; detection then ends.
    fn evidence(&mut self, _: Evidence) -> io::Result<()> {
        Ok(())
    }
    /// Inputs were read to their end: finite ones before any finding, live ones at last.
    ///
    /// # Errors
    ///
    /// When it cannot be kept; detection then ends.
    fn read(&mut self, _: &Counts, _: &[InputRead]) -> io::Result<()> {
        Ok(())
    }
}

/// Detects over inputs. Inputs that fail are reported in the answer and do not
/// keep the others from being read.
///
/// # Errors
///
/// When results cannot be written or matches cannot be sorted.
pub fn detect(
    detector: &Detector,
    inputs: Vec<Input>,
    settings: &Settings,
    sink: &mut dyn DetectSink,
    progress: &dyn Fn(Progress),
) -> Result<(Counts, Vec<SourceError>), RunError> {
    let feed = Feed::new(inputs, settings);
    detect_in(detector, feed, settings, sink, progress)
}

/// The same while somebody looks at the windows of some correlations, and gives that back.
///
/// # Errors
///
/// See [`detect`].
pub fn detect_watched(
    detector: &Detector,
    inputs: Vec<Input>,
    settings: &Settings,
    watch: Watch,
    sink: &mut dyn DetectSink,
) -> Result<Watch, RunError> {
    let feed = Feed::new(inputs, settings);
    let mut windows = Windows::watched(detector, watch);
    detect_with(&mut windows, detector, feed, settings, sink, &|_| {})?;
    Ok(windows.take_watch().unwrap_or_default())
}

/// The same over inputs of which some may be read already.
pub(super) fn detect_in(
    detector: &Detector,
    feed: Feed,
    settings: &Settings,
    sink: &mut dyn DetectSink,
    progress: &dyn Fn(Progress),
) -> Result<(Counts, Vec<SourceError>), RunError> {
    let mut windows = Windows::new(detector);
    detect_with(&mut windows, detector, feed, settings, sink, progress)
}

fn detect_with(
    windows: &mut Windows,
    detector: &Detector,
    feed: Feed,
    settings: &Settings,
    sink: &mut dyn DetectSink,
    progress: &dyn Fn(Progress),
) -> Result<(Counts, Vec<SourceError>), RunError> {
    let names = feed.names();
    let mut counts = Counts::default();
    let mut failed = Vec::new();
    let mut sorter = Sorter::default();
    let taken = feed.taken();
    parallel::map_in_order(
        feed,
        settings.threads,
        || Scanner::new(detector, settings),
        |scanner, (chunk, read)| chunk.map(|chunk| (scan(scanner, &chunk, settings, &names), read)),
        |scanned: Result<(Scanned, u64), SourceError>| {
            match scanned {
                Ok((scanned, read)) => {
                    let mut rejected = scanned.rejected.iter();
                    rejected.try_for_each(|rejected| reject(rejected, settings, sink))?;
                    counts.add(&scanned);
                    if !scanned.evidence.is_empty() {
                        let kept = sink.evidence(scanned.evidence);
                        kept.map_err(RunError::Sink)?;
                    }
                    take(detector, scanned.matches, sink, &mut sorter)?;
                    let events = counts.events;
                    progress(Progress { read, events });
                }
                Err(error) => failed.push(error),
            }
            Ok(())
        },
    )?;
    if let Some(taken) = taken {
        let read = sink.read(&counts, &taken.inputs());
        read.map_err(RunError::Sink)?;
    }
    let mut failures = Failures::default();
    counts.correlation = correlate_in(windows, detector, sorter, counts.last, sink, &mut failures)?;
    counts.scripts.merge(failures);
    Ok((counts, failed))
}

/// Hands on the matches that are reported as they are found, and keeps those
/// that something is made of.
fn take(
    detector: &Detector,
    mut matches: Vec<Match>,
    sink: &mut dyn DetectSink,
    sorter: &mut Sorter,
) -> Result<(), RunError> {
    for found in &matches {
        if let Some(rule) = detector.heading(found) {
            sink.found(rule, found).map_err(RunError::Sink)?;
        }
    }
    matches.retain(|found| detector.is_consumed(found));
    sorter.extend(matches).map_err(RunError::Sort)
}

/// The second beat: matches in event-time order → findings.
pub(super) fn correlate(
    detector: &Detector,
    sorter: Sorter,
    last: Option<Time>,
    sink: &mut dyn DetectSink,
    failures: &mut Failures,
) -> Result<Tally, RunError> {
    let mut windows = Windows::new(detector);
    correlate_in(&mut windows, detector, sorter, last, sink, failures)
}

fn correlate_in(
    windows: &mut Windows,
    detector: &Detector,
    sorter: Sorter,
    last: Option<Time>,
    sink: &mut dyn DetectSink,
    failures: &mut Failures,
) -> Result<Tally, RunError> {
    let mut hand_on = |mut finding: Finding| {
        detector.enrich(&mut finding, failures);
        sink.finding(finding)
    };
    for found in sorter.sorted().map_err(RunError::Sort)? {
        let findings = windows.advance(detector, found.map_err(RunError::Sort)?);
        let mut findings = findings.into_iter();
        findings
            .try_for_each(&mut hand_on)
            .map_err(RunError::Sink)?;
    }
    let tally = windows
        .finish(detector, last, hand_on)
        .map_err(RunError::Sink)?;
    failures.merge(windows.take_failures());
    Ok(tally)
}

/// Hands a rejected record on, unless none is tolerated.
fn reject(
    rejected: &Rejected,
    settings: &Settings,
    sink: &mut dyn DetectSink,
) -> Result<(), RunError> {
    if settings.strict {
        return Err(RunError::rejected(rejected));
    }
    sink.reject(rejected).map_err(RunError::Sink)
}
