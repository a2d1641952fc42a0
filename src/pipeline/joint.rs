//! The first two beats for several policies at once: one scan, and the windows of each.

use std::io;

use crate::detect::{Detector, Finding, Joint, JointWindows, Match, Tally};
use crate::pipeline::scan::{Scanned, Scanner, scan};
use crate::pipeline::sorter::Sorter;
use crate::pipeline::{Counts, Progress, RunError, Settings, parallel};
use crate::source::{Chunk, Input, Reader, SourceError};

/// Where the findings of several policies go.
pub trait JointSink {
    /// A finding, and the numbers of the policies whose it is.
    ///
    /// # Errors
    ///
    /// When it cannot be kept; detection then ends.
    fn finding(&mut self, of: &[usize], finding: Finding) -> io::Result<()>;
    /// The windows have taken one match more, and given what that completes; or, at the end, one
    /// of the findings that are left.
    fn advanced(&mut self, windows: &JointWindows<'_, '_>);
    /// Everything was read and correlated; the windows tell what rules have met.
    ///
    /// # Errors
    ///
    /// When it cannot be kept.
    fn met(&mut self, windows: &JointWindows<'_, '_>, counts: &Counts) -> io::Result<()>;
}

/// Detects over inputs for several policies. Inputs that fail are reported in the answer and do
/// not keep the others from being read.
///
/// # Errors
///
/// When results cannot be kept, matches cannot be sorted, or a record is no event and
/// the settings tolerate none such.
pub fn detect_jointly(
    joint: &Joint<'_>,
    inputs: Vec<Input>,
    settings: &Settings,
    sink: &mut dyn JointSink,
    progress: &dyn Fn(Progress),
) -> Result<(Counts, Vec<SourceError>), RunError> {
    let mut counts = Counts::default();
    let mut failed = Vec::new();
    let mut sorter = Sorter::default();
    let names: Vec<String> = inputs.iter().map(Input::name).collect();
    let mut reader = Reader::new(inputs);
    let chunks = std::iter::from_fn(|| {
        let chunk = reader.next()?;
        Some((chunk, reader.read_so_far()))
    });
    parallel::map_in_order(
        chunks,
        settings.threads,
        || Scanning::new(joint.scanners(), settings),
        |scanning, (chunk, read)| chunk.map(|chunk| (scanning.scan(&chunk, &names), read)),
        |scanned: Result<(Scanned, u64), SourceError>| {
            match scanned {
                Ok((scanned, read)) => {
                    if let Some(first) = scanned.rejected.first().filter(|_| settings.strict) {
                        return Err(RunError::rejected(first));
                    }
                    counts.add(&scanned);
                    sorter.extend(scanned.matches).map_err(RunError::Sort)?;
                    let events = counts.events;
                    progress(Progress { read, events });
                }
                Err(error) => failed.push(error),
            }
            Ok(())
        },
    )?;
    let mut windows = joint.windows();
    for found in sorter.sorted().map_err(RunError::Sort)? {
        advance(&mut windows, found.map_err(RunError::Sort)?, sink)?;
        sink.advanced(&windows);
    }
    let each = &mut |of: &[usize], finding: Finding| sink.finding(of, finding);
    windows.finish(counts.last, each).map_err(RunError::Sink)?;
    loop {
        let each = &mut |of: &[usize], finding: Finding| sink.finding(of, finding);
        if !windows.finish_next(each).map_err(RunError::Sink)? {
            break;
        }
        sink.advanced(&windows);
    }
    counts.correlation = most(&windows.tallies());
    counts.scripts.merge(windows.take_failures());
    sink.met(&windows, &counts).map_err(RunError::Sink)?;
    Ok((counts, failed))
}

fn advance(
    windows: &mut JointWindows<'_, '_>,
    found: Match,
    sink: &mut dyn JointSink,
) -> Result<(), RunError> {
    let each = &mut |of: &[usize], finding: Finding| sink.finding(of, finding);
    windows.advance(found, each).map_err(RunError::Sink)
}

/// The most that was left out of the windows of a policy: what is shared has its windows in one.
fn most(tallies: &[Tally]) -> Tally {
    let most = |count: fn(&Tally) -> u64| tallies.iter().map(count).max().unwrap_or(0);
    Tally {
        duplicates: most(|tally| tally.duplicates),
        without_group: most(|tally| tally.without_group),
        cut_groups: most(|tally| tally.cut_groups),
        without_time: most(|tally| tally.without_time),
        pending: most(|tally| tally.pending),
        evicted: most(|tally| tally.evicted),
    }
}

/// What a thread needs to scan chunks for all policies.
struct Scanning<'d> {
    scanners: Vec<Scanner<'d>>,
    settings: Settings,
}

impl<'d> Scanning<'d> {
    fn new(scanners: &'d [Detector], settings: &Settings) -> Self {
        let settings = Settings {
            evidence: None,
            ..settings.clone()
        };
        let scanner = |detector| Scanner::new(detector, &settings);
        Self {
            scanners: scanners.iter().map(scanner).collect(),
            settings,
        }
    }

    /// What the first scanner counts, with the matches of all.
    fn scan(&mut self, chunk: &Chunk, names: &[String]) -> Scanned {
        let mut all = Scanned::default();
        for (at, scanner) in self.scanners.iter_mut().enumerate() {
            let scanned = scan(scanner, chunk, &self.settings, names);
            if at == 0 {
                all = scanned;
                continue;
            }
            all.counts.scripts.merge(scanned.counts.scripts);
            all.matches.extend(scanned.matches);
        }
        all
    }
}
