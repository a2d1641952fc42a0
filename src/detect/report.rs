//! Matches that are reported as they are found, without a finding.

use std::collections::HashSet;

use uuid::Uuid;

use crate::detect::capture::CaptureId;
use crate::detect::supplied::SUPPLIED;
use crate::detect::{Consumer, ConsumerKind, Detector, Level, Match, Reporter};

/// The rule that a match or a finding is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// The rule's id.
    pub rule: Uuid,
    /// Its title.
    pub title: String,
    /// Its level.
    pub level: Level,
    /// Its author, where it names one.
    pub author: Option<String>,
    /// Under which id a match has the fields that were supplied.
    supplied: Option<CaptureId>,
}

impl Heading {
    /// The fields of a match of the rule whose value does not stand in its event.
    #[must_use]
    pub fn supplied(&self, found: &Match) -> Vec<String> {
        let values = self.supplied.map(|id| found.captured.values().all(id));
        values.into_iter().flatten().map(str::to_owned).collect()
    }

    fn of(reporter: &Reporter) -> Self {
        Self {
            rule: reporter.rule,
            title: reporter.title.clone(),
            level: reporter.level,
            author: reporter.author.clone(),
            supplied: reporter
                .metadata
                .iter()
                .find(|(name, _)| name == SUPPLIED)
                .map(|(_, id)| *id),
        }
    }
}

impl Detector {
    /// Leaves the matches of rules that report by themselves to whoever scans:
    /// [`Detector::heading`] says which those are. They make no findings any
    /// more, so that nothing of them is kept and no reasons are looked for.
    #[must_use]
    pub fn reporting_matches(mut self) -> Self {
        let consumers = &self.consumers;
        let each = |at: usize| consumers.get(at).filter(|consumer| consumer.is_each());
        for matcher in &mut self.matchers {
            let reporter = matcher
                .consumers
                .iter()
                .find_map(|outer| each(outer.consumer));
            matcher.heading = reporter.map(|consumer| Heading::of(&consumer.reporter));
            matcher
                .consumers
                .retain(|outer| each(outer.consumer).is_none());
            matcher.reports = false;
        }
        self
    }

    /// The rule of a match that is reported as it is found.
    #[must_use]
    pub fn heading(&self, found: &Match) -> Option<&Heading> {
        let matcher = self.matchers.get(found.matcher as usize)?;
        matcher.heading.as_ref()
    }

    /// Whether anything is made of a match after the scan.
    #[must_use]
    pub fn is_consumed(&self, found: &Match) -> bool {
        let matcher = self.matchers.get(found.matcher as usize);
        matcher.is_some_and(|matcher| !matcher.consumers.is_empty())
    }

    /// Whether a correlation asks for a match.
    #[must_use]
    pub fn is_correlated(&self, found: &Match) -> bool {
        let matcher = self.matchers.get(found.matcher as usize);
        let mut consumers = matcher.into_iter().flat_map(|matcher| &matcher.consumers);
        consumers.any(|outer| {
            let consumer = self.consumers.get(outer.consumer);
            consumer.is_some_and(|one| !one.is_each())
        })
    }

    /// The rules that give findings, and not only hits to other rules.
    #[must_use]
    pub fn reporting(&self) -> HashSet<Uuid> {
        let consumers = self.consumers.iter().filter(|consumer| consumer.reports);
        consumers.map(|consumer| consumer.reporter.rule).collect()
    }

    /// The rules each of whose findings is of matches, and not of a correlation.
    #[must_use]
    pub fn rules_of_one_event(&self) -> HashSet<Uuid> {
        let consumers = self.consumers.iter().filter(|consumer| consumer.is_each());
        consumers.map(|consumer| consumer.reporter.rule).collect()
    }
}

impl Reporter {
    /// The rule, and what a person calls it.
    pub(super) fn called(&self) -> (Uuid, &str) {
        (self.rule, self.name.as_deref().unwrap_or(&self.title))
    }
}

impl Consumer {
    pub(super) fn is_each(&self) -> bool {
        matches!(self.kind, ConsumerKind::Each)
    }
}
