//! What is not known for certain of an effect, and why.

use serde::Serialize;

use crate::detect::{Failed, Joint, JointWindows, Reach};
use crate::event::{Nanos, Time};
use crate::lab::diff::Side;
use crate::lab::diff::audits::OfAudit;
use crate::pipeline::Counts;
use crate::source::SourceError;

/// Something that may have been missed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Doubt {
    /// What.
    #[serde(flatten)]
    pub about: About,
    /// Whether it could change what is told; if not, it is to be known and no more.
    pub decisive: bool,
}

/// What may have been missed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum About {
    /// An input could not be read, or not to its end.
    CutShort {
        /// Why, with the input.
        why: String,
    },
    /// Records are no events.
    Rejected {
        /// How many.
        records: u64,
    },
    /// Events have no readable time: no correlation took them.
    WithoutTime {
        /// How many.
        events: u64,
    },
    /// Events have lower-cased field names, which no rule matches.
    LowerCased {
        /// How many.
        events: u64,
    },
    /// Windows let events go before their time, since there were too many.
    LetGo {
        /// How many.
        events: u64,
    },
    /// A script could not answer.
    Script {
        /// The rule.
        rule: String,
        /// The function.
        function: String,
        /// How often.
        failures: u64,
        /// Why, the first time.
        first: String,
    },
    /// A window of a rule that changed reaches before the first event of the log: what was
    /// there may belong to it.
    BeforeLog {
        /// The rule.
        rule: String,
        /// How far the windows reach back from an event.
        span: String,
        /// The first event that counts for the rule.
        first: Time,
    },
    /// No event reached a detection on which a rule that changed rests: the log does not test it.
    Untested {
        /// The rule that changed.
        rule: String,
        /// The side whose rule it is.
        side: &'static str,
        /// The detections that no event satisfied.
        detections: Vec<String>,
    },
    /// There are no events at all.
    NoEvents,
    /// Findings were too many to be paired: they are counted by rule, and not compared.
    NotPaired {
        /// How many.
        findings: u64,
    },
    /// The prompt of a slot is another, so that no fill of it is carried: what a model would say
    /// now is not known.
    Prompt {
        /// The file.
        file: String,
        /// The slot.
        slot: String,
        /// How many findings have no known fill of the slot.
        findings: u64,
    },
    /// There are so many edits, or findings that differ, that not every edit was tried by itself.
    NotAttributed {
        /// How many edits.
        edits: usize,
    },
    /// Of findings that an audit records.
    #[serde(untagged)]
    Audit(OfAudit),
}

/// A window that reaches before the log matters where it is longer than this part of the log.
const SHORT: i64 = 10;

/// What the numbers of a run leave open. Where nothing changed, none of it matters.
#[must_use]
pub fn of_counts(counts: &Counts, failed: &[SourceError], is_changed: bool) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let mut doubt = |about: About| {
        doubts.push(Doubt {
            about,
            decisive: is_changed,
        });
    };
    for error in failed {
        let why = error.to_string();
        doubt(About::CutShort { why });
    }
    if counts.events == 0 {
        doubt(About::NoEvents);
    }
    let numbers = [
        (
            counts.rejected,
            About::Rejected {
                records: counts.rejected,
            },
        ),
        (
            counts.without_time,
            About::WithoutTime {
                events: counts.without_time,
            },
        ),
        (
            counts.lower_cased,
            About::LowerCased {
                events: counts.lower_cased,
            },
        ),
        (
            counts.correlation.evicted,
            About::LetGo {
                events: counts.correlation.evicted,
            },
        ),
    ];
    let some = numbers.into_iter().filter(|(count, _)| *count > 0);
    some.for_each(|(_, about)| doubt(about));
    counts
        .scripts
        .iter()
        .for_each(|failed| doubt(script(failed)));
    doubts
}

fn script(failed: &Failed) -> About {
    About::Script {
        rule: failed.rule.clone(),
        function: failed.function.clone(),
        failures: failed.failures,
        first: failed.first.clone(),
    }
}

/// What the rules that changed have not met.
#[must_use]
pub fn of_rules(
    joint: &Joint<'_>,
    windows: &JointWindows<'_, '_>,
    sides: [&Side; 2],
    (first, last): (Option<Time>, Option<Time>),
) -> Vec<Doubt> {
    let mut doubts: Vec<Doubt> = Vec::new();
    for (at, side) in sides.iter().enumerate() {
        for (id, rule) in &side.policy.rules {
            let meaning = joint.meaning(at, *id);
            if meaning.is_none() || meaning == joint.meaning(1 - at, *id) {
                continue;
            }
            let reach = windows.reach(at, *id);
            doubts.extend(untested(side, at, rule.label(), &reach));
            let before = before_log(rule.label(), &reach, first, last);
            doubts.extend(before.filter(|doubt| !doubts.contains(doubt)));
        }
    }
    doubts
}

fn untested(side: &Side, at: usize, rule: &str, reach: &Reach) -> Option<Doubt> {
    let unmet = reach.detections.iter().filter(|(_, events)| *events == 0);
    let label = |id| {
        side.policy
            .rules
            .get(id)
            .map(|rule| rule.label().to_owned())
    };
    let detections: Vec<String> = unmet.filter_map(|(id, _)| label(id)).collect();
    (!detections.is_empty()).then(|| Doubt {
        about: About::Untested {
            rule: rule.to_owned(),
            side: if at == 0 { "base" } else { "head" },
            detections,
        },
        decisive: true,
    })
}

fn before_log(rule: &str, reach: &Reach, first: Option<Time>, last: Option<Time>) -> Option<Doubt> {
    let (first, last, met) = (first?, last?, reach.first?);
    if reach.span == Nanos(0) || met.minus(reach.span) >= first {
        return None;
    }
    let log = last.since(first).0;
    Some(Doubt {
        about: About::BeforeLog {
            rule: rule.to_owned(),
            span: reach.span.to_string(),
            first: met,
        },
        decisive: reach.span.0 > log / SHORT,
    })
}
