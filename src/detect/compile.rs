//! Checked rules → a [`Detector`]: names resolved, captured fields shared.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use crate::detect::capture::{CaptureId, Captures};
use crate::detect::correlation::{self, Aliases, Correlation};
use crate::detect::engine::Engine;
use crate::detect::enrich::Enriched;
use crate::detect::script::{Named, Scripted};
use crate::detect::search::Detection;
use crate::detect::template::Template;
use crate::detect::{
    Consumer, ConsumerKind, Detector, Logic, Matcher, Outer, Reporter, Rule, Rules,
};
use crate::diag::{Problems, Span};
use crate::event::{FieldPath, Nanos};
use crate::json::Wanted;

impl Detector {
    /// Makes checked rules ready to run; reports names that cannot be resolved.
    /// `broken` are the names and ids of rules that were reported already: a
    /// correlation that names one is not reported again.
    pub fn compile(rules: &[Rule], broken: &BTreeSet<String>, problems: &mut Problems) -> Self {
        let mut compiler = Compiler::default();
        let names = Names::new(rules);
        let silent = silent_rules(rules, &names);
        let mut feeds = BTreeMap::new();
        let mut detections = Vec::new();
        for (at, rule) in rules.iter().enumerate() {
            if let Logic::Detection(detection) = &rule.logic {
                let matcher = compiler.add_detection(rule, !silent.contains(&at));
                detections.push(detection);
                feeds.insert(at, Feed::Matcher(matcher));
            }
        }
        for at in inner_first(rules, &names, problems) {
            if let Some(rule) = rules.get(at)
                && let Logic::Correlation(correlation) = &rule.logic
            {
                let feeders = feeders(correlation, rules, &names, broken, problems);
                let fed_by: Vec<usize> = feeders.keys().copied().collect();
                report_inactive(rule, &fed_by, rules, problems);
                let edges = feeders
                    .into_iter()
                    .filter_map(|(feeder, (name, rules))| {
                        Some(Edge {
                            feed: *feeds.get(&feeder)?,
                            name,
                            rules,
                        })
                    })
                    .collect();
                let consumer =
                    compiler.add_correlation(rule, correlation, edges, !silent.contains(&at));
                feeds.insert(at, Feed::Inner(consumer));
            }
        }
        let mut detector = compiler.finish(&detections);
        detector.enriched = Enriched::new(rules);
        detector
    }
}

/// What feeds a consumer: a detection's matches or a correlation's hits.
#[derive(Clone, Copy)]
enum Feed {
    Matcher(usize),
    Inner(usize),
}

/// A feed of a consumer, as one rule or more of those that it names.
struct Edge {
    feed: Feed,
    /// What the consumer calls the rule.
    name: String,
    rules: Rules,
}

/// What feeds a consumer, what it calls its fields, and which it reads.
struct Wiring {
    edges: Vec<Edge>,
    aliases: Aliases,
    used: Vec<(FieldPath, CaptureId)>,
}

#[derive(Default)]
struct Compiler {
    captures: Captures,
    matchers: Vec<Matcher>,
    consumers: Vec<Consumer>,
    /// One for each consumer.
    wirings: Vec<Wiring>,
    /// The fields of matches that a consumer's field may stand for.
    sources: HashMap<(usize, String), BTreeSet<(usize, CaptureId)>>,
}

/// Gives the fields of one consumer their ids.
pub(super) struct Scope<'c> {
    compiler: &'c mut Compiler,
    consumer: usize,
}

impl Scope<'_> {
    /// The id of a field. One that is called the same in all rules is shared between consumers.
    pub(super) fn id(&mut self, path: &FieldPath) -> CaptureId {
        let compiler = &mut *self.compiler;
        let used = |wiring: &Wiring| {
            let mut used = wiring.used.iter();
            used.find(|(known, _)| known == path).map(|(_, id)| *id)
        };
        if let Some(known) = compiler.wirings.get(self.consumer).and_then(used) {
            return known;
        }
        let plain = compiler.captures.id(path);
        let sources = compiler.sources(self.consumer, path.as_str());
        let id = if sources.iter().all(|(_, source)| *source == plain) {
            plain
        } else {
            compiler.captures.alias()
        };
        if let Some(wiring) = compiler.wirings.get_mut(self.consumer) {
            wiring.used.push((path.clone(), id));
        }
        id
    }

    fn named(&mut self, paths: &[FieldPath]) -> Vec<(String, CaptureId)> {
        let id = |path: &FieldPath| (path.as_str().to_owned(), self.id(path));
        paths.iter().map(id).collect()
    }
}

impl Compiler {
    fn add_detection(&mut self, rule: &Rule, reports: bool) -> usize {
        let matcher = self.matchers.len();
        self.matchers.push(Matcher {
            captured: Vec::new(),
            consumers: Vec::new(),
            reports,
            heading: None,
            script: None,
        });
        let mut key = None;
        if reports {
            let edge = Edge {
                feed: Feed::Matcher(matcher),
                name: String::new(),
                rules: 1,
            };
            let none = Nanos(0);
            let mut scope = self.wire(vec![edge], Aliases::default());
            let mut reporter = reporter(rule, &rule.settings.group_by, none, &mut scope);
            if let Some(named) = rule
                .settings
                .script
                .group
                .as_ref()
                .and_then(Named::function)
            {
                let id = self.captures.alias();
                reporter.group_by.push((named.name().to_owned(), id));
                key = Some(id);
            }
            self.consumers.push(Consumer {
                kind: ConsumerKind::Each,
                timespan: none,
                reporter,
                reports,
                outer: Vec::new(),
            });
        }
        if let Some(matcher) = self.matchers.get_mut(matcher) {
            matcher.script = Scripted::new(rule, key);
        }
        matcher
    }

    fn add_correlation(
        &mut self,
        rule: &Rule,
        correlation: &Correlation,
        edges: Vec<Edge>,
        reports: bool,
    ) -> usize {
        let timespan = correlation.timespan;
        let mut scope = self.wire(edges, correlation.aliases.clone());
        let condition = correlation.asked.compile(&mut scope);
        let reporter = reporter(rule, &correlation.group_by, timespan, &mut scope);
        self.consumers.push(Consumer {
            kind: ConsumerKind::Over(condition),
            timespan,
            reporter,
            reports,
            outer: Vec::new(),
        });
        self.consumers.len() - 1
    }

    fn wire(&mut self, edges: Vec<Edge>, aliases: Aliases) -> Scope<'_> {
        self.wirings.push(Wiring {
            edges,
            aliases,
            used: Vec::new(),
        });
        Scope {
            consumer: self.wirings.len() - 1,
            compiler: self,
        }
    }

    /// The fields, by matcher, that a field of a consumer stands for. Chains
    /// are short ([`LONGEST_CHAIN`]), and each answer is found once.
    fn sources(&mut self, consumer: usize, field: &str) -> BTreeSet<(usize, CaptureId)> {
        let key = (consumer, field.to_owned());
        if let Some(known) = self.sources.get(&key) {
            return known.clone();
        }
        let meant: Vec<(Feed, String)> = self.wirings.get(consumer).map_or(Vec::new(), |wiring| {
            let edges = wiring.edges.iter();
            edges
                .map(|edge| (edge.feed, wiring.meant(field, edge).to_owned()))
                .collect()
        });
        let mut found = BTreeSet::new();
        for (feed, field) in meant {
            match feed {
                Feed::Matcher(at) => {
                    found.insert((at, self.captures.id(&FieldPath::new(&field))));
                }
                Feed::Inner(at) => found.extend(self.sources(at, &field)),
            }
        }
        self.sources.insert(key, found.clone());
        found
    }

    /// Each feed learns who wants it; each matcher captures what is needed, and nothing else.
    /// `detections` has one for each matcher.
    fn finish(mut self, detections: &[&Detection]) -> Detector {
        let wirings = std::mem::take(&mut self.wirings);
        let carried = carried(&wirings);
        for (at, (wiring, carried)) in wirings.into_iter().zip(carried).enumerate() {
            for edge in &wiring.edges {
                match edge.feed {
                    Feed::Matcher(matcher) => {
                        if let Some(matcher) = self.matchers.get_mut(matcher) {
                            matcher.consumers.push((at, edge.rules));
                        }
                    }
                    Feed::Inner(inner) => {
                        if let Some(inner) = self.consumers.get_mut(inner) {
                            let narrowed = wiring.narrowed(&carried, edge, &inner.reporter);
                            inner.outer.push(Outer {
                                consumer: at,
                                rules: edge.rules,
                                narrowed,
                            });
                        }
                    }
                }
            }
            for (path, id) in &wiring.used {
                let sources = self.sources.remove(&(at, path.as_str().to_owned()));
                for (matcher, source) in sources.unwrap_or_default() {
                    if let Some(matcher) = self.matchers.get_mut(matcher) {
                        matcher.captured.push((*id, source));
                    }
                }
            }
        }
        for matcher in &mut self.matchers {
            matcher.captured.sort_unstable();
            matcher.captured.dedup();
        }
        let mut wanted = Wanted::default();
        self.captures.want(&mut wanted);
        for script in self
            .matchers
            .iter_mut()
            .filter_map(|matcher| matcher.script.as_mut())
        {
            script.want(&mut wanted);
        }
        let numbered = (0..).zip(detections).zip(&self.matchers);
        let consumed = numbered.filter(|(_, matcher)| !matcher.consumers.is_empty());
        let engine = Engine::new(
            consumed.map(|((at, detection), _)| (at, *detection)),
            &mut wanted,
        );
        Detector {
            engine,
            wanted,
            captures: self.captures,
            matchers: self.matchers,
            consumers: self.consumers,
            enriched: Enriched::default(),
            notes: None,
        }
    }
}

impl Wiring {
    /// What a field is called by the rule that feeds.
    fn meant<'w>(&'w self, field: &'w str, edge: &Edge) -> &'w str {
        self.aliases.meant(field, &edge.name)
    }

    /// The fields that the inner correlation groups by, of those that are
    /// carried on: a hit has one value of each.
    fn narrowed(
        &self,
        carried: &BTreeSet<(FieldPath, CaptureId)>,
        edge: &Edge,
        inner: &Reporter,
    ) -> Vec<(CaptureId, usize)> {
        let carried = carried.iter();
        carried
            .filter_map(|(path, id)| {
                let meant = self.meant(path.as_str(), edge);
                let at = inner.group_by.iter().position(|(name, _)| name == meant)?;
                Some((*id, at))
            })
            .collect()
    }
}

/// For each consumer the fields that it, or one that its hits go to, reads, as it calls them.
fn carried(wirings: &[Wiring]) -> Vec<BTreeSet<(FieldPath, CaptureId)>> {
    let used = |wiring: &Wiring| wiring.used.iter().cloned().collect();
    let mut all: Vec<BTreeSet<(FieldPath, CaptureId)>> = wirings.iter().map(used).collect();
    // Whoever takes hits stands after those that give them.
    for (at, wiring) in wirings.iter().enumerate().rev() {
        for edge in &wiring.edges {
            let Feed::Inner(inner) = edge.feed else {
                continue;
            };
            let outer = all.get(at).cloned().unwrap_or_default();
            let meant = outer
                .iter()
                .map(|(path, id)| (FieldPath::new(wiring.meant(path.as_str(), edge)), *id));
            if let Some(inner) = all.get_mut(inner) {
                inner.extend(meant);
            }
        }
    }
    all
}

fn reporter(
    rule: &Rule,
    group_by: &[FieldPath],
    suppress: Nanos,
    scope: &mut Scope<'_>,
) -> Reporter {
    let settings = &rule.settings;
    let summary_paths = settings.summary.iter().flat_map(Template::fields);
    Reporter {
        rule: rule.id,
        name: rule.name.clone(),
        title: rule.title.clone(),
        author: rule.author.clone(),
        level: rule.level,
        tags: rule.tags.clone(),
        finding_type: settings.finding_type.clone(),
        summary: settings.summary.clone(),
        summary_fields: summary_paths
            .map(|path| (path.clone(), scope.id(path)))
            .collect(),
        user: settings.user.as_ref().map(|path| scope.id(path)),
        metadata: scope.named(&settings.metadata),
        group_by: scope.named(group_by),
        suppress: settings.suppress.unwrap_or(suppress),
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
fn report_inactive(rule: &Rule, feeders: &[usize], rules: &[Rule], problems: &mut Problems) {
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

/// A chain of correlations over correlations is at most so long.
const LONGEST_CHAIN: usize = 32;

/// The correlations, each after those that it names; reports those that go in
/// a circle or make too long a chain, and leaves them out.
fn inner_first(rules: &[Rule], names: &Names<'_>, problems: &mut Problems) -> Vec<usize> {
    let mut waiting: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let mut named_by: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, rule) in rules.iter().enumerate() {
        if let Logic::Correlation(correlation) = &rule.logic {
            let inner: BTreeSet<usize> = inner_of(correlation, rules, names)
                .map(|(inner, _)| inner)
                .collect();
            for inner in &inner {
                named_by.entry(*inner).or_default().push(at);
            }
            waiting.insert(at, inner);
        }
    }
    let ready = waiting.iter().filter(|(_, inner)| inner.is_empty());
    let mut layer: Vec<usize> = ready.map(|(at, _)| *at).collect();
    let mut order = Vec::new();
    for _ in 0..LONGEST_CHAIN {
        let mut next = Vec::new();
        for at in layer {
            waiting.remove(&at);
            order.push(at);
            for outer in named_by.get(&at).into_iter().flatten() {
                if let Some(inner) = waiting.get_mut(outer) {
                    inner.remove(&at);
                    next.extend(inner.is_empty().then_some(*outer));
                }
            }
        }
        layer = next;
    }
    for at in waiting.keys() {
        if let Some(Logic::Correlation(correlation)) = rules.get(*at).map(|rule| &rule.logic) {
            // Where a chain is too long, the first beyond its end waits for nothing any more.
            let waits = |(inner, _): &(usize, Span)| waiting.contains_key(inner);
            let inner = || inner_of(correlation, rules, names);
            if let Some((_, span)) = inner().find(waits).or_else(|| inner().next()) {
                let message =
                    "correlations name each other in a circle, or in a chain of more than 32";
                problems
                    .error(correlation::codes::CHAIN, span, message)
                    .help("a correlation cannot wait for its own hits");
            }
        }
    }
    order
}

/// The correlations that a correlation names.
fn inner_of<'r>(
    correlation: &'r Correlation,
    rules: &'r [Rule],
    names: &'r Names<'_>,
) -> impl Iterator<Item = (usize, Span)> + 'r {
    correlation.rules.iter().filter_map(|(name, span)| {
        let at = names.get(name)?;
        let logic = &rules.get(at)?.logic;
        matches!(logic, Logic::Correlation(_)).then_some((at, *span))
    })
}

/// The rules that a correlation names, each once for each name; reports those
/// that do not exist. With each its place in the list, as a bit.
fn feeders(
    correlation: &Correlation,
    rules: &[Rule],
    names: &Names<'_>,
    broken: &BTreeSet<String>,
    problems: &mut Problems,
) -> BTreeMap<usize, (String, Rules)> {
    let mut feeders: BTreeMap<usize, (String, Rules)> = BTreeMap::new();
    for (place, (name, span)) in correlation.rules.iter().enumerate() {
        let Some(at) = names.get(name) else {
            if !broken.contains(name) {
                let message = format!("there is no rule `{name}`");
                problems
                    .error(correlation::codes::NO_SUCH_RULE, *span, message)
                    .did_you_mean(name, rules.iter().filter_map(|rule| rule.name.as_deref()));
            }
            continue;
        };
        // Types that ask which rules are met name no more than there are bits.
        let bit = 1 << u32::try_from(place).map_or(Rules::BITS - 1, |at| at.min(Rules::BITS - 1));
        feeders.entry(at).or_insert_with(|| (name.clone(), 0)).1 |= bit;
    }
    feeders
}
