//! Checked rules → a [`Detector`]: names resolved, captured fields shared.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use crate::detect::capture::{CaptureId, Captures};
use crate::detect::correlation::{self, Correlation, CorrelationKind};
use crate::detect::search::Detection;
use crate::detect::template::Template;
use crate::detect::{Consumer, ConsumerKind, Detector, Logic, Matcher, Reporter, Rule};
use crate::diag::Problems;
use crate::event::{FieldPath, Nanos};

impl Detector {
    /// Makes checked rules ready to run; reports names that cannot be resolved.
    /// `broken` are the names and ids of rules that were reported already: a
    /// correlation that names one is not reported again.
    pub fn compile(rules: &[Rule], broken: &BTreeSet<String>, problems: &mut Problems) -> Self {
        let mut detector = Self {
            captures: Captures::default(),
            matchers: Vec::new(),
            consumers: Vec::new(),
        };
        let names = Names::new(rules);
        let silent = silent_rules(rules, &names);
        let mut matcher_of = BTreeMap::new();
        for (at, rule) in rules.iter().enumerate() {
            if let Logic::Detection(detection) = &rule.logic {
                matcher_of.insert(at, detector.matchers.len());
                detector.add_detection(rule, detection, !silent.contains(&at));
            }
        }
        for rule in rules {
            if let Logic::Correlation(correlation) = &rule.logic {
                let consumer = detector.add_correlation(rule, correlation);
                let feeders = feeders(correlation, rules, &names, broken, problems);
                report_inactive(rule, &feeders, rules, problems);
                for at in feeders {
                    let matcher = matcher_of.get(&at).copied();
                    if let Some(matcher) = matcher.and_then(|m| detector.matchers.get_mut(m)) {
                        matcher.consumers.push(consumer);
                    }
                }
            }
        }
        detector.resolve_captures();
        detector
    }

    fn add_detection(&mut self, rule: &Rule, detection: &Detection, reports: bool) {
        let mut consumers = Vec::new();
        if reports {
            let group_by = &rule.settings.group_by;
            let none = Nanos(0);
            consumers.push(self.add_consumer(rule, ConsumerKind::Each, none, group_by, none));
        }
        self.matchers.push(Matcher {
            detection: detection.clone(),
            captured: Vec::new(),
            consumers,
            reports,
        });
    }

    fn add_correlation(&mut self, rule: &Rule, correlation: &Correlation) -> usize {
        let kind = match &correlation.kind {
            CorrelationKind::EventCount(condition) => ConsumerKind::Count(condition.clone()),
            CorrelationKind::Consecutive(condition) => {
                ConsumerKind::Pair(condition.compile(&mut self.captures))
            }
        };
        let span = correlation.timespan;
        self.add_consumer(rule, kind, span, &correlation.group_by, span)
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

/// The rules by every name they are called.
struct Names<'r> {
    by_name: HashMap<&'r str, usize>,
    by_id: HashMap<Uuid, usize>,
}

impl<'r> Names<'r> {
    fn new(rules: &'r [Rule]) -> Self {
        let numbered = || rules.iter().enumerate();
        Self {
            by_name: numbered()
                .filter_map(|(at, rule)| Some((rule.name.as_deref()?, at)))
                .collect(),
            by_id: numbered().map(|(at, rule)| (rule.id, at)).collect(),
        }
    }

    fn get(&self, name: &str) -> Option<usize> {
        let by_id = || self.by_id.get(&Uuid::parse_str(name).ok()?);
        self.by_name.get(name).or_else(by_id).copied()
    }
}

/// The rules that only feed correlations: Sigma does not report them unless one says `generate`.
fn silent_rules(rules: &[Rule], names: &Names<'_>) -> BTreeSet<usize> {
    let correlations = || {
        rules.iter().filter_map(|rule| match &rule.logic {
            Logic::Correlation(correlation) => Some(correlation),
            _ => None,
        })
    };
    let named = |correlation: &Correlation| -> Vec<usize> {
        let rules = correlation.rules.iter();
        rules.filter_map(|(name, _)| names.get(name)).collect()
    };
    let fed: BTreeSet<usize> = correlations().flat_map(named).collect();
    let kept: BTreeSet<usize> = correlations()
        .filter(|correlation| correlation.generate)
        .flat_map(named)
        .collect();
    fed.difference(&kept).copied().collect()
}

/// A correlation all of whose rules are inactive never fires.
fn report_inactive(
    rule: &Rule,
    feeders: &BTreeSet<usize>,
    rules: &[Rule],
    problems: &mut Problems,
) {
    let inactive = |at: &usize| {
        matches!(
            rules.get(*at).map(|rule| &rule.logic),
            Some(Logic::Inactive)
        )
    };
    if !feeders.is_empty() && feeders.iter().all(inactive) {
        let at = rule.span.part(0, 1);
        problems.warn(
            correlation::codes::INACTIVE,
            at,
            "every rule that this correlation names is inactive, and so is it",
        );
    }
}

/// The rules that a correlation names; reports those that cannot feed it.
fn feeders(
    correlation: &Correlation,
    rules: &[Rule],
    names: &Names<'_>,
    broken: &BTreeSet<String>,
    problems: &mut Problems,
) -> BTreeSet<usize> {
    let mut feeders = BTreeSet::new();
    for (name, span) in &correlation.rules {
        let Some(at) = names.get(name) else {
            if !broken.contains(name) {
                let message = format!("there is no rule `{name}`");
                problems
                    .error(correlation::codes::NO_SUCH_RULE, *span, message)
                    .did_you_mean(name, rules.iter().filter_map(|rule| rule.name.as_deref()));
            }
            continue;
        };
        let logic = rules.get(at).map(|rule| &rule.logic);
        if matches!(logic, Some(Logic::Correlation(_))) {
            let message =
                "a correlation over correlations is not supported by this version of rulectl";
            problems
                .error(correlation::codes::UNSUPPORTED, *span, message)
                .help("name detection rules");
        }
        feeders.insert(at);
    }
    feeders
}
