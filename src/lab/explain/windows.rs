//! What a correlation saw: what fed it, how far its windows came, and what was in them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde::Serialize;
use uuid::Uuid;

use super::told::{EventTold, PlaceTold};
use crate::detect::{
    Correlation, Finding, Glimpse, Glimpsed, Heading, Match, Rule, Watch, Watched,
};
use crate::diag::Problems;
use crate::event::{Digest, Time};
use crate::pipeline::{self, DetectSink, Rejected, RunError, Settings};
use crate::policy::Policy;
use crate::source::Input;

/// What a correlation saw.
#[derive(Clone, Debug, Serialize)]
pub struct WindowsTold {
    /// Where its condition is written.
    pub place: PlaceTold,
    /// The rules whose events it sees.
    pub feeds: Vec<FeedTold>,
    /// How many events entered the window of a group.
    pub counted: u64,
    /// How many groups there were.
    pub groups: u64,
    /// How often its condition held.
    pub hits: u64,
    /// How many findings these made.
    pub findings: u64,
    /// A hit so long after the last one still joins its finding.
    pub suppress: String,
    /// Events that were not counted, and why.
    pub left_out: LeftOut,
    /// Of an `absent`, how many events were answered in time.
    #[serde(skip_serializing_if = "is_zero")]
    pub answered: u64,
    /// The windows at the chosen event, or else those that came nearest without a hit, each of
    /// another group.
    pub windows: Vec<WindowTold>,
}

/// A rule whose events a correlation sees.
#[derive(Clone, Debug, Serialize)]
pub struct FeedTold {
    /// It as the correlation names it.
    pub rule: String,
    /// Where that is.
    pub place: PlaceTold,
    /// How many events came from it.
    pub events: u64,
    /// What it makes of the chosen events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<EventTold>,
}

/// Events of the rules that a correlation names that it did not count.
#[derive(Clone, Debug, Serialize)]
pub struct LeftOut {
    /// No readable time.
    pub without_time: u64,
    /// No value for what it counts.
    pub without_value: u64,
    /// No value for a field that it groups by.
    pub without_group: u64,
    /// An end of what had not begun in their group.
    pub unbegun: u64,
}

/// A window of a group.
#[derive(Clone, Debug, Serialize)]
pub struct WindowTold {
    /// The values of the fields that it is grouped by.
    pub group: BTreeMap<String, String>,
    /// The time of its newest event.
    pub time: Time,
    /// How far it has come.
    pub so_far: String,
    /// Whether that is a hit.
    pub hit: bool,
    /// How many earlier events are not listed.
    #[serde(skip_serializing_if = "is_nothing")]
    pub earlier: usize,
    /// Its events, in order.
    pub events: Vec<WindowEvent>,
    /// The last event of the group that is too old to count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub too_old: Option<WindowEvent>,
    /// The rules that none of its events satisfies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// An event of a window.
#[derive(Clone, Debug, Serialize)]
pub struct WindowEvent {
    /// Its time.
    pub time: Time,
    /// Its own id.
    pub uuid: Option<String>,
    /// The rules that it satisfies.
    pub rules: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_nothing(count: &usize) -> bool {
    *count == 0
}

/// So many windows are told that are not of a chosen event.
const NEAREST: usize = 3;

/// What was seen of correlations.
#[derive(Default)]
pub(super) struct Observed {
    watched: BTreeMap<Uuid, Watched>,
    findings: BTreeMap<Uuid, u64>,
}

/// Runs the rules of a policy over events, and looks at the windows of some of its correlations.
pub(super) fn observe(
    policy: &Policy,
    rules: &BTreeSet<Uuid>,
    chosen: BTreeSet<Digest>,
    inputs: Vec<Input>,
    settings: &Settings,
) -> Result<Observed, RunError> {
    let watch = Watch::new(&policy.detector, rules, chosen);
    let mut observed = Observed::default();
    let watch = pipeline::detect_watched(&policy.detector, inputs, settings, watch, &mut observed)?;
    let seen = watch.seen().into_iter();
    observed.watched = seen.map(|watched| (watched.rule, watched)).collect();
    Ok(observed)
}

impl DetectSink for Observed {
    fn found(&mut self, _: &Heading, _: &Match) -> io::Result<()> {
        Ok(())
    }

    fn finding(&mut self, finding: Finding) -> io::Result<()> {
        *self.findings.entry(finding.rule).or_default() += 1;
        Ok(())
    }

    /// What is no event was counted when the events were looked at.
    fn reject(&mut self, _: &Rejected) -> io::Result<()> {
        Ok(())
    }
}

/// What a correlation saw, as it is told.
pub(super) fn told(
    (rule, correlation): (&Rule, &Correlation),
    observed: &Observed,
    is_chosen: bool,
    mut examples: impl FnMut(&str) -> Vec<EventTold>,
    texts: &Problems,
) -> WindowsTold {
    let none = Watched::default();
    let watched = observed.watched.get(&rule.id).unwrap_or(&none);
    let names: Vec<&str> = correlation
        .rules
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let fed = |at: usize| watched.fed.get(at).copied().unwrap_or(0);
    let mut feeds: Vec<FeedTold> = correlation
        .rules
        .iter()
        .enumerate()
        .map(|(at, (name, span))| FeedTold {
            rule: name.clone(),
            place: PlaceTold::of(*span, texts),
            events: fed(at),
            examples: examples(name),
        })
        .collect();
    if feeds.is_empty() {
        feeds.push(FeedTold {
            rule: "the rules that it selects".to_owned(),
            place: PlaceTold::of(correlation.place, texts),
            events: watched.fed.iter().sum(),
            examples: Vec::new(),
        });
    }
    let windows = if is_chosen {
        watched.chosen.as_slice()
    } else {
        let near = watched.nearest.len().min(NEAREST);
        watched.nearest.get(..near).unwrap_or_default()
    };
    let suppress = rule.settings.suppress.unwrap_or(correlation.timespan);
    WindowsTold {
        place: PlaceTold::of(correlation.place, texts),
        feeds,
        counted: watched.counted,
        groups: watched.groups,
        hits: watched.hits,
        findings: observed.findings.get(&rule.id).copied().unwrap_or(0),
        suppress: suppress.to_string(),
        left_out: LeftOut {
            without_time: watched.without_time,
            without_value: watched.without_value,
            without_group: watched.without_group,
            unbegun: watched.unbegun,
        },
        answered: watched.answered,
        windows: windows
            .iter()
            .map(|glimpse| window(glimpse, &names))
            .collect(),
    }
}

fn window(glimpse: &Glimpse, names: &[&str]) -> WindowTold {
    let met = |at: &usize| {
        let mut events = glimpse.events.iter();
        glimpse.more > 0 || events.any(|event| event.rules.contains(at))
    };
    let missing = (0..names.len()).filter(|at| !met(at));
    WindowTold {
        group: glimpse.group.iter().cloned().collect(),
        time: glimpse.time,
        so_far: glimpse.so_far.clone(),
        hit: glimpse.hit,
        earlier: glimpse.more,
        events: glimpse
            .events
            .iter()
            .map(|event| one(event, names))
            .collect(),
        too_old: glimpse.left.as_ref().map(|event| one(event, names)),
        missing: named(missing, names),
    }
}

fn one(event: &Glimpsed, names: &[&str]) -> WindowEvent {
    WindowEvent {
        time: event.time,
        uuid: event.uuid.clone(),
        rules: named(event.rules.iter().copied(), names),
    }
}

fn named(rules: impl Iterator<Item = usize>, names: &[&str]) -> Vec<String> {
    let names = rules.filter_map(|at| names.get(at));
    names.map(|name| (*name).to_owned()).collect()
}
