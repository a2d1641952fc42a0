//! Sigma documents → predicates and windows → [`Finding`]s with reasons.
//!
//! Three beats: [`Detector::scan`] finds the matches of one event (any core, no
//! order), [`Windows::advance`] correlates them in event-time order, and what
//! comes out are findings. A rule goes through three types: a
//! [`Node`](crate::document::Node) as written, a [`Rule`] that was checked, and a
//! place in a [`Detector`] that runs.

mod absent;
mod accessors;
mod alerts;
mod bounds;
mod capture;
mod compile;
mod condition;
mod consecutive;
mod correlation;
mod count;
mod deadlines;
mod encoding;
mod engine;
mod enrich;
mod events;
mod explain;
mod failures;
mod filter;
mod finding;
mod first_seen;
mod groups;
mod joint;
mod judged;
mod limits;
mod line;
mod lists;
mod logic;
mod memory;
mod modifiers;
mod packed;
mod pair;
mod pattern;
mod portable;
mod predicate;
mod probe;
mod program;
mod ratio;
#[cfg(test)]
mod reference;
mod relation;
mod repeat;
mod report;
mod rule;
mod script;
mod search;
mod seen;
mod settings;
mod state;
mod supplied;
mod template;
mod temporal;
mod value;
mod values;
mod versions;
mod windows;

pub use self::accessors::{Accessors, NOTATIONS, decode_accessors, is_accessors};
pub use self::bounds::bound_names;
pub use self::correlation::{Correlation, correlation_types};
pub use self::engine::Scratch;
pub use self::explain::{
    Clause, Explainer, Kind as ValueKind, Line as ClauseLine, Step, Verdict, Walked, What,
};
pub use self::failures::{Failed, Failures};
pub use self::filter::{Filter, apply_filters, decode_filter, is_filter};
pub use self::finding::{Finding, Moment, OrderKey, Status};
pub use self::joint::{Joined, Joint, JointWindows, Reach, ToCome};
pub use self::limits::Limits;
pub use self::lists::{Lists, NotThere};
pub use self::modifiers::modifier_names;
pub use self::portable::{exploding, of_ours};
pub use self::probe::{Part, Probe};
pub use self::report::Heading;
pub use self::rule::{
    DESCRIPTIVE, LEVELS, Level, LogSource, Logic, NAMESPACE, Rule, codes as rule_codes, decode_rule,
};
pub use self::script::{Answers, Named, ScriptSettings, link_scripts};
pub use self::search::codes as search_codes;
pub use self::settings::{FloorSetting, RiskSetting, SEVERITIES, Settings, Severity};
pub use self::state::{Fate, Restored, Restoring, Saving, StateError};
pub use self::versions::{Relation, Remark, Versions, compare_versions, remarks};
pub use self::windows::{Glimpse, Glimpsed, Tally, Watch, Watched, Windows};

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use self::capture::{CaptureId, Captured, Captures, Values};
use self::correlation::Condition;
use self::engine::Engine;
use self::enrich::Enriched;
use self::packed::{Unpacked, pack_bytes, pack_text};
use self::script::Scripted;
use self::supplied::Notes;
use self::template::Template;
use crate::event::{Digest, Event, FieldPath, Nanos, Time};
use crate::json::Wanted;

/// The rules of a policy, ready to run.
#[derive(Debug)]
pub struct Detector {
    engine: Engine,
    wanted: Wanted,
    captures: Captures,
    matchers: Vec<Matcher>,
    consumers: Vec<Consumer>,
    /// What scripts say of the findings of rules.
    enriched: Enriched,
    /// Which fields may be supplied, where some may.
    notes: Option<Notes>,
    /// The fields whose texts hold values.
    inside: Accessors,
}

/// Who wants the matches of a detection, and what of them.
#[derive(Debug)]
struct Matcher {
    /// The rule, and its logic digest.
    rule: Uuid,
    logic: Digest,
    /// The fields whose values are captured.
    captured: Vec<CaptureId>,
    /// Who wants its matches, and as which of the rules that a consumer names.
    consumers: Vec<Outer>,
    /// Whether its matches are findings by themselves, so that reasons are wanted.
    reports: bool,
    /// What its matches are reported as while the scan goes, if they are.
    heading: Option<Heading>,
    /// The functions of scripts that have a say in its matches.
    script: Option<Scripted>,
}

/// Turns matches into findings. One stands after all those that feed it.
#[derive(Debug)]
struct Consumer {
    kind: ConsumerKind,
    /// The logic digest of the rule.
    logic: Digest,
    timespan: Nanos,
    reporter: Reporter,
    /// Whether it gives findings, and not only hits to other correlations.
    reports: bool,
    /// The correlations that name this one: its hits are events of theirs.
    outer: Vec<Outer>,
    /// The fields that are about the rules that an event satisfies: one that
    /// satisfies several has a value for each.
    of_rules: Vec<CaptureId>,
}

#[derive(Debug)]
enum ConsumerKind {
    /// Each match is a hit.
    Each,
    /// An event is a hit where the condition holds over its window.
    Over(Arc<dyn Condition>),
}

/// Who wants the matches of a detection or the hits of a correlation.
#[derive(Debug)]
struct Outer {
    consumer: usize,
    rules: Rules,
    /// Values that go by another name there: the ids that they have, and those that they get.
    renamed: Vec<(CaptureId, CaptureId)>,
    /// What its fields that are about the rule say.
    said: Vec<(CaptureId, String)>,
}

/// Which of the rules that a correlation names, a bit each, by position.
type Rules = u64;

/// What the findings of a rule say, with its fields resolved.
#[derive(Debug)]
struct Reporter {
    rule: Uuid,
    name: Option<String>,
    title: String,
    author: Option<String>,
    level: Level,
    tags: Vec<String>,
    finding_type: String,
    summary: Option<Template>,
    summary_fields: Vec<(FieldPath, CaptureId)>,
    user: Option<CaptureId>,
    metadata: Vec<(String, CaptureId)>,
    group_by: Vec<(String, CaptureId)>,
    suppress: Nanos,
}

impl Reporter {
    fn capture(&self, path: &FieldPath) -> Option<CaptureId> {
        self.summary_fields
            .iter()
            .find(|(known, _)| known == path)
            .map(|(_, id)| *id)
    }
}

/// An event that satisfies a rule, with the values that are needed later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Event time.
    pub time: Option<Time>,
    /// Identity of the event.
    pub digest: Digest,
    matcher: u32,
    uuid: Option<String>,
    captured: Captured,
    reasons: Vec<String>,
    /// As which of all live events it came; nothing is said of other input.
    came: u64,
}

impl Match {
    /// It came as this one of all live events, from 1.
    pub(crate) fn came_as(&mut self, number: u64) {
        self.came = number;
    }

    /// The event's own id, which may be missing or shared.
    #[must_use]
    pub fn event_id(&self) -> Option<&str> {
        self.uuid.as_deref()
    }

    fn values(&self) -> Values<'_> {
        Values::of_bytes(self.captured.as_bytes())
    }

    /// What matches are sorted by before they are correlated.
    #[must_use]
    pub fn order(&self) -> (Option<Time>, Digest, u32) {
        (self.time, self.digest, self.matcher)
    }

    /// Which of two comes first in [`Match::order`].
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        let rest = || (self.digest, self.matcher).cmp(&(other.digest, other.matcher));
        self.time.cmp(&other.time).then_with(rest)
    }

    /// Roughly how many bytes this takes.
    #[must_use]
    pub fn size(&self) -> usize {
        let reasons = self.reasons.iter().map(|reason| 24 + reason.len());
        192 + self.captured.as_bytes().len() + reasons.sum::<usize>()
    }

    /// A match for tests, of an event of this text.
    #[cfg(test)]
    pub(crate) fn sample(time: Option<Time>, text: &str) -> Self {
        let mut captured = capture::CapturedBuilder::default();
        captured.begin(Captures::default().id(&FieldPath::new("text")));
        captured.push(text);
        Self {
            time,
            digest: Digest::of(text.as_bytes()),
            matcher: 7,
            uuid: Some(text.to_owned()),
            captured: captured.finish(),
            reasons: vec![text.to_owned(), String::new()],
            came: 0,
        }
    }

    /// Appends the match as bytes, which [`Match::unpack`] reads back.
    pub fn pack(&self, packed: &mut Vec<u8>) {
        packed.push(u8::from(self.time.is_some()));
        let time = self.time.map_or(0, |time| time.0);
        packed.extend_from_slice(&time.to_le_bytes());
        packed.extend_from_slice(self.digest.as_bytes());
        packed.extend_from_slice(&self.matcher.to_le_bytes());
        packed.push(u8::from(self.uuid.is_some()));
        pack_text(packed, self.uuid.as_deref().unwrap_or_default());
        pack_bytes(packed, self.captured.as_bytes());
        for reason in &self.reasons {
            pack_text(packed, reason);
        }
    }

    /// The match whose bytes these are; `None` where they are something else.
    #[must_use]
    pub fn unpack(mut packed: &[u8]) -> Option<Self> {
        let timed = packed.take(1)? == [1];
        let time = i64::from_le_bytes(*packed.take(8)?.first_chunk()?);
        let digest = Digest::of_bytes(*packed.take(32)?.first_chunk()?);
        let matcher = u32::from_le_bytes(*packed.take(4)?.first_chunk()?);
        let has_uuid = packed.take(1)? == [1];
        let uuid = packed.text()?.to_owned();
        let captured = Captured::of_bytes(packed.bytes()?);
        let mut reasons = Vec::new();
        while !packed.is_empty() {
            reasons.push(packed.text()?.to_owned());
        }
        Some(Self {
            time: timed.then_some(Time(time)),
            digest,
            matcher,
            uuid: has_uuid.then_some(uuid),
            captured,
            reasons,
            came: 0,
        })
    }
}

impl Matcher {
    fn is_wanted(&self) -> bool {
        self.heading.is_some() || !self.consumers.is_empty()
    }
}

impl Detector {
    /// The fields that are read from each event.
    #[must_use]
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// The logic digest of a rule that runs: equal for rules that do the same, whatever they
    /// are called, how they are laid out and what they say of themselves. It changes with the
    /// rule's log source, its detection or correlation, the lists, filters and accessors that
    /// these use, what of its `rulectl` block shapes findings (`suppress`, `group-by`, `user`,
    /// `metadata`, the fields of `summary`), and with the digest of each rule that it names.
    #[must_use]
    pub fn logic_digest(&self, rule: Uuid) -> Option<Digest> {
        let mut consumers = self.consumers.iter();
        let consumer = consumers.find(|consumer| consumer.reporter.rule == rule);
        let mut matchers = self.matchers.iter();
        let matcher = matchers.find(|matcher| matcher.rule == rule);
        let of_matcher = matcher.map(|matcher| matcher.logic);
        consumer.map(|consumer| consumer.logic).or(of_matcher)
    }

    /// The rules that report and that another detector does not go on with: it lacks them, they do
    /// something else there, or they report no more.
    #[must_use]
    pub fn leaving(&self, next: &Self) -> BTreeSet<Uuid> {
        let goes_on = |consumer: &Consumer| {
            next.consumers.iter().any(|other| {
                let is_same = other.logic == consumer.logic && other.reports == consumer.reports;
                is_same && other.reporter.rule == consumer.reporter.rule
            })
        };
        let reporting = self.consumers.iter().filter(|consumer| consumer.reports);
        let leaving = reporting.filter(|consumer| !goes_on(consumer));
        leaving.map(|consumer| consumer.reporter.rule).collect()
    }

    /// The [logic digests](Self::logic_digest) of all rules that run.
    #[must_use]
    pub fn logic_digests(&self) -> BTreeMap<Uuid, Digest> {
        let of_matchers = self.matchers.iter();
        let of_matchers = of_matchers.map(|matcher| (matcher.rule, matcher.logic));
        let of_consumers = self.consumers.iter();
        let of_consumers = of_consumers.map(|consumer| (consumer.reporter.rule, consumer.logic));
        of_matchers.chain(of_consumers).collect()
    }

    /// The rule that a match is of.
    #[must_use]
    pub fn rule_of(&self, found: &Match) -> Option<Uuid> {
        let matcher = self.matchers.get(found.matcher as usize);
        matcher.map(|matcher| matcher.rule)
    }

    /// From now on fields are found inside of texts too.
    pub fn read_inside(&mut self, accessors: &Accessors) {
        accessors.apply(&mut self.wanted);
        self.inside.clone_from(accessors);
    }

    /// What a thread needs to scan events.
    #[must_use]
    pub fn scratch(&self) -> Scratch {
        self.engine.scratch()
    }

    /// Appends the matches of one event, whose fields are the [`Self::wanted`] ones.
    pub fn scan(&self, scratch: &mut Scratch, event: &Event<'_>, matches: &mut Vec<Match>) {
        let mut digest = None;
        let mut failures = std::mem::take(&mut scratch.failures);
        self.engine.scan(scratch, &event.fields, |at, reasons| {
            let Some(matcher) = self.matchers.get(at).filter(|matcher| matcher.is_wanted()) else {
                return;
            };
            let script = matcher.script.as_ref();
            if script.is_some_and(|script| !script.holds(event, &mut failures)) {
                return;
            }
            let supplied = self.notes.as_ref().filter(|_| event.fields.has_supplied());
            let supplied = supplied.map(|notes| notes.of(at, event.fields));
            let mut captured = self
                .captures
                .read(&matcher.captured, &event.fields, supplied);
            if let Some(script) = script {
                captured = script.keyed(captured, event, &mut failures);
            }
            matches.push(Match {
                time: event.time,
                digest: *digest.get_or_insert_with(|| event.digest()),
                matcher: u32::try_from(at).unwrap_or(u32::MAX),
                came: 0,
                uuid: event.uuid(),
                captured,
                reasons: if matcher.reports {
                    let mut reasons = reasons();
                    reasons.extend(script.and_then(Scripted::reason));
                    reasons
                } else {
                    Vec::new()
                },
            });
        });
        scratch.failures = failures;
    }
}
