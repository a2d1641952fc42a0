//! Sigma documents → predicates and windows → [`Finding`]s with reasons.
//!
//! Three beats: [`Detector::scan`] finds the matches of one event (any core, no
//! order), [`Windows::advance`] correlates them in event-time order, and what
//! comes out are findings. A rule goes through three types: a
//! [`Node`](crate::document::Node) as written, a [`Rule`] that was checked, and a
//! place in a [`Detector`] that runs.

mod capture;
mod condition;
mod consecutive;
mod correlation;
mod count;
mod country;
mod finding;
mod lists;
mod pattern;
mod predicate;
mod rule;
mod search;
mod settings;
mod template;
mod windows;

pub use self::finding::{Finding, Moment, OrderKey, Status};
pub use self::lists::Lists;
pub use self::rule::{Level, Logic, NAMESPACE, Rule, codes as rule_codes, decode_rule};
pub use self::settings::{FloorSetting, RiskSetting, SEVERITIES, Settings, Severity};
pub use self::windows::{Tally, Windows};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::capture::{CaptureId, Captured, Captures};
use self::consecutive::CompiledPair;
use self::correlation::{Correlation, CorrelationKind};
use self::count::CountCondition;
use self::search::Detection;
use self::template::Template;
use crate::diag::Problems;
use crate::event::{Digest, Event, FieldPath, Nanos, Time};

/// The rules of a policy, ready to run.
#[derive(Debug)]
pub struct Detector {
    captures: Captures,
    matchers: Vec<Matcher>,
    consumers: Vec<Consumer>,
}

/// A detection, and who wants its matches.
#[derive(Debug)]
struct Matcher {
    detection: Detection,
    captured: Vec<CaptureId>,
    consumers: Vec<usize>,
    /// Whether its matches are findings by themselves, so that reasons are wanted.
    reports: bool,
}

/// Turns matches into findings.
#[derive(Debug)]
struct Consumer {
    kind: ConsumerKind,
    timespan: Nanos,
    reporter: Reporter,
}

#[derive(Debug)]
enum ConsumerKind {
    /// Each match is a hit.
    Each,
    Count(CountCondition),
    Pair(CompiledPair),
}

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

    fn capture_ids(&self) -> impl Iterator<Item = CaptureId> {
        let named = self
            .metadata
            .iter()
            .chain(&self.group_by)
            .map(|(_, id)| *id);
        named
            .chain(self.summary_fields.iter().map(|(_, id)| *id))
            .chain(self.user)
    }
}

/// An event that satisfies a rule, with the values that are needed later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// Event time.
    pub time: Option<Time>,
    /// Identity of the event.
    pub digest: Digest,
    matcher: u32,
    uuid: Option<String>,
    captured: Captured,
    reasons: Vec<String>,
}

impl Match {
    /// What matches are sorted by before they are correlated.
    #[must_use]
    pub fn order(&self) -> (Option<Time>, Digest, u32) {
        (self.time, self.digest, self.matcher)
    }

    /// Roughly how many bytes this takes.
    #[must_use]
    pub fn size(&self) -> usize {
        160 + self.captured.size()
            + self
                .reasons
                .iter()
                .map(|reason| 24 + reason.len())
                .sum::<usize>()
    }
}

impl Detector {
    /// Makes checked rules ready to run; reports names that cannot be resolved.
    pub fn compile(rules: &[Rule], problems: &mut Problems) -> Self {
        let mut detector = Self {
            captures: Captures::default(),
            matchers: Vec::new(),
            consumers: Vec::new(),
        };
        let silent = silent_rules(rules);
        let mut matcher_of = vec![None; rules.len()];
        for (at, rule) in rules.iter().enumerate() {
            if let Logic::Detection(detection) = &rule.logic {
                matcher_of[at] = Some(detector.matchers.len());
                detector.add_detection(rule, detection, !silent[at]);
            }
        }
        for rule in rules {
            if let Logic::Correlation(correlation) = &rule.logic {
                detector.add_correlation(rule, correlation, rules, &matcher_of, problems);
            }
        }
        detector.resolve_captures();
        detector
    }

    /// Appends the matches of one event.
    pub fn scan(&self, event: &Event<'_>, matches: &mut Vec<Match>) {
        let mut digest = None;
        for (at, matcher) in self.matchers.iter().enumerate() {
            if matcher.consumers.is_empty() || !matcher.detection.matches(&event.fields) {
                continue;
            }
            matches.push(Match {
                time: event.time,
                digest: *digest.get_or_insert_with(|| event.digest()),
                matcher: u32::try_from(at).unwrap_or(u32::MAX),
                uuid: event.uuid.clone(),
                captured: self.captures.read(&matcher.captured, &event.fields),
                reasons: if matcher.reports {
                    matcher.detection.explain(&event.fields)
                } else {
                    Vec::new()
                },
            });
        }
    }

    fn add_detection(&mut self, rule: &Rule, detection: &Detection, reports: bool) {
        let mut consumers = Vec::new();
        if reports {
            let group_by = rule.settings.group_by.clone();
            consumers.push(self.add_consumer(
                rule,
                ConsumerKind::Each,
                Nanos(0),
                &group_by,
                Nanos(0),
            ));
        }
        self.matchers.push(Matcher {
            detection: detection.clone(),
            captured: Vec::new(),
            consumers,
            reports,
        });
    }

    fn add_correlation(
        &mut self,
        rule: &Rule,
        correlation: &Correlation,
        rules: &[Rule],
        matcher_of: &[Option<usize>],
        problems: &mut Problems,
    ) {
        let kind = match &correlation.kind {
            CorrelationKind::EventCount(condition) => ConsumerKind::Count(condition.clone()),
            CorrelationKind::Consecutive(condition) => {
                ConsumerKind::Pair(condition.compile(&mut self.captures))
            }
        };
        let consumer = self.add_consumer(
            rule,
            kind,
            correlation.timespan,
            &correlation.group_by,
            correlation.timespan,
        );
        for (name, span) in &correlation.rules {
            match resolve(name, rules) {
                Some(at) => {
                    if let Some(matcher) = matcher_of
                        .get(at)
                        .copied()
                        .flatten()
                        .and_then(|m| self.matchers.get_mut(m))
                    {
                        matcher.consumers.push(consumer);
                    } else if matches!(
                        rules.get(at).map(|rule| &rule.logic),
                        Some(Logic::Correlation(_))
                    ) {
                        problems
                            .error(correlation::codes::UNSUPPORTED, *span, "a correlation over correlations is not supported by this version of rulectl")
                            .help("name detection rules");
                    }
                }
                None => problems
                    .error(
                        correlation::codes::NO_SUCH_RULE,
                        *span,
                        format!("there is no rule `{name}`"),
                    )
                    .did_you_mean(name, rules.iter().filter_map(|rule| rule.name.as_deref())),
            }
        }
    }

    fn add_consumer(
        &mut self,
        rule: &Rule,
        kind: ConsumerKind,
        timespan: Nanos,
        group_by: &[FieldPath],
        suppress: Nanos,
    ) -> usize {
        let captures = &mut self.captures;
        let settings = &rule.settings;
        let mut named = |paths: &[FieldPath]| -> Vec<(String, CaptureId)> {
            paths
                .iter()
                .map(|path| (path.as_str().to_owned(), captures.id(path)))
                .collect()
        };
        let metadata = named(&settings.metadata);
        let group_by = named(group_by);
        let summary_paths = settings.summary.iter().flat_map(Template::fields);
        let reporter = Reporter {
            rule: rule.id,
            name: rule.name.clone(),
            title: rule.title.clone(),
            author: rule.author.clone(),
            level: rule.level,
            tags: rule.tags.clone(),
            finding_type: settings.finding_type.clone(),
            summary: settings.summary.clone(),
            summary_fields: summary_paths
                .map(|path| (path.clone(), captures.id(path)))
                .collect(),
            user: settings.user.as_ref().map(|path| captures.id(path)),
            metadata,
            group_by,
            suppress: settings.suppress.unwrap_or(suppress),
        };
        self.consumers.push(Consumer {
            kind,
            timespan,
            reporter,
        });
        self.consumers.len() - 1
    }

    /// Each matcher captures what its consumers need, and nothing else.
    fn resolve_captures(&mut self) {
        for matcher in &mut self.matchers {
            let wanted = matcher
                .consumers
                .iter()
                .filter_map(|at| self.consumers.get(*at))
                .flat_map(Consumer::capture_ids);
            matcher.captured = wanted.collect();
            matcher.captured.sort_unstable();
            matcher.captured.dedup();
        }
    }
}

impl Consumer {
    fn capture_ids(&self) -> Vec<CaptureId> {
        let mut ids: Vec<_> = self.reporter.capture_ids().collect();
        if let ConsumerKind::Pair(pair) = &self.kind {
            ids.extend(pair.capture_ids());
        }
        ids
    }
}

/// The rules that only feed correlations: Sigma does not report them unless one says `generate`.
fn silent_rules(rules: &[Rule]) -> Vec<bool> {
    let mut silent = vec![false; rules.len()];
    let mut generate = vec![false; rules.len()];
    for rule in rules {
        let Logic::Correlation(correlation) = &rule.logic else {
            continue;
        };
        for (name, _) in &correlation.rules {
            if let Some(at) = resolve(name, rules) {
                silent[at] = true;
                generate[at] |= correlation.generate;
            }
        }
    }
    silent
        .iter()
        .zip(&generate)
        .map(|(silent, generate)| *silent && !generate)
        .collect()
}

fn resolve(name: &str, rules: &[Rule]) -> Option<usize> {
    rules.iter().position(|rule| rule.is_called(name))
}
