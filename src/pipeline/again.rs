//! The first two beats again, over what was kept of them when they ran.

use std::io;

use crate::detect::{Detector, Failures, Match};
use crate::event::Time;
use crate::okta::Mapping;
use crate::pipeline::detect::correlate;
use crate::pipeline::live::{Live, LiveSink};
use crate::pipeline::scan::{Scanned, Scanner};
use crate::pipeline::sorter::Sorter;
use crate::pipeline::{Kept, RunError, Settings, Step, steps};
use crate::source::{Place, Record};

/// How the input came that the evidence is of.
#[derive(Debug)]
pub enum Came<'s> {
    /// As files, and this is the time of the latest event.
    Finite(Option<Time>),
    /// As it happened.
    Live {
        /// The generation of the policy.
        generation: u64,
        /// What was restored at its beginning, and what the clock said then.
        state: Option<(&'s [u8], Time)>,
        /// Whether its end was the end of the input, at which everything open closes, where the
        /// evidence does not say so itself.
        ended: bool,
    },
}

/// Why something cannot be made again.
#[derive(Debug, thiserror::Error)]
pub enum AgainError {
    /// Evidence is not to be had.
    #[error("the evidence cannot be read: {}", crate::visible::reason(.0))]
    Evidence(io::Error),
    /// A line of it is none.
    #[error("a line of the evidence is no event and no advance of the watermark")]
    Line,
    /// The state that it began with does not fit.
    #[error("the state that the run began with cannot be restored: {0}")]
    State(#[from] crate::detect::StateError),
    /// The second beat failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Detects again, in the evidence that was kept, whatever the input was.
///
/// # Errors
///
/// When evidence cannot be had or read, or results cannot be kept.
pub fn detect_again(
    detector: &Detector,
    evidence: &mut dyn Iterator<Item = io::Result<Vec<u8>>>,
    came: &Came<'_>,
    settings: &Settings,
    sink: &mut dyn LiveSink,
) -> Result<(), AgainError> {
    match came {
        Came::Finite(last) => finite(detector, evidence, *last, settings, sink),
        Came::Live {
            generation,
            state,
            ended,
        } => {
            let mut live = Live::new(
                detector,
                settings.clone(),
                Vec::new(),
                crate::event::Nanos::default(),
            )
            .under(*generation);
            if let Some((saved, clock)) = state {
                live = live.restore(saved, *clock)?.0;
                sink.remember(live.remembered());
            }
            as_it_came(
                live,
                evidence,
                *ended,
                Scanning::new(detector, settings),
                sink,
            )
        }
    }
}

fn finite(
    detector: &Detector,
    evidence: &mut dyn Iterator<Item = io::Result<Vec<u8>>>,
    last: Option<Time>,
    settings: &Settings,
    sink: &mut dyn LiveSink,
) -> Result<(), AgainError> {
    let mut scanning = Scanning::new(detector, settings);
    let mut sorter = Sorter::default();
    for lines in evidence {
        for step in steps(&lines.map_err(AgainError::Evidence)?) {
            match step {
                Some(Step::Event(kept)) => {
                    let matches = scanning.event(&kept);
                    sorter.extend(matches).map_err(RunError::Sort)?;
                }
                _ => return Err(AgainError::Line),
            }
        }
    }
    correlate(detector, sorter, last, sink, &mut Failures::default())?;
    Ok(())
}

fn as_it_came(
    mut live: Live<'_>,
    evidence: &mut dyn Iterator<Item = io::Result<Vec<u8>>>,
    ended: bool,
    mut scanning: Scanning<'_>,
    sink: &mut dyn LiveSink,
) -> Result<(), AgainError> {
    let mut record = (0, Vec::new());
    for lines in evidence {
        for step in steps(&lines.map_err(AgainError::Evidence)?) {
            match step.ok_or(AgainError::Line)? {
                Step::Event(kept) => record.1.extend(scanning.event(&kept)),
                Step::Came(after) => {
                    let (came, matches) = std::mem::replace(&mut record, (after, Vec::new()));
                    live.again(came, matches, sink)?;
                }
                Step::Advance(advance) => {
                    let (came, matches) = std::mem::take(&mut record);
                    live.again(came, matches, sink)?;
                    live.advance_again(advance, sink)?;
                }
                Step::Leave(leaving) => {
                    live.again(record.0, record.1, sink)?;
                    live.leave_again(&leaving, sink)?;
                    return Ok(());
                }
                Step::End(_) => {
                    live.again(record.0, record.1, sink)?;
                    live.close(sink)?;
                    return Ok(());
                }
            }
        }
    }
    live.again(record.0, record.1, sink)?;
    if ended {
        live.close(sink)?;
    }
    Ok(())
}

/// Finds the matches of events that were kept.
struct Scanning<'d> {
    as_they_came: Scanner<'d>,
    /// Of those where fields are secret, which are in Okta's shape.
    masked: Scanner<'d>,
    settings: Settings,
}

impl<'d> Scanning<'d> {
    fn new(detector: &'d Detector, settings: &Settings) -> Self {
        let settings = Settings {
            since: None,
            until: None,
            evidence: None,
            ..settings.clone()
        };
        let okta = Settings {
            mapping: Mapping::Okta,
            ..settings.clone()
        };
        Self {
            as_they_came: Scanner::again(detector, &settings),
            masked: Scanner::again(detector, &okta),
            settings,
        }
    }

    fn event(&mut self, kept: &Kept<'_>) -> Vec<Match> {
        let scanner = if kept.masked.is_none() {
            &mut self.as_they_came
        } else {
            &mut self.masked
        };
        let record = Record {
            place: Place {
                input: kept.input,
                line: kept.line,
            },
            bytes: kept.record.get().as_bytes(),
            offset: 0, // what was before it was not kept
        };
        let mut scanned = Scanned::default();
        scanner.record(&record, &self.settings, &[], &mut scanned);
        for found in &mut scanned.matches {
            found.digest = kept.digest;
        }
        scanned.matches
    }
}
