//! Checked rules → a [`Detector`]: names resolved, captured fields shared.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use crate::detect::accessors::Accessors;
use crate::detect::alerts::{About, is_of_rule};
use crate::detect::capture::{CaptureId, Captures};
use crate::detect::correlation::{self, Aliases, Correlation};
use crate::detect::engine::Engine;
use crate::detect::enrich::Enriched;
use crate::detect::logic::{Feeding, logic_digest};
use crate::detect::script::{Named, Scripted};
use crate::detect::search::Detection;
use crate::detect::template::Template;
use crate::detect::{
    Consumer, ConsumerKind, Detector, Logic, Matcher, Outer, Reporter, Rule, Rules,
};
use crate::diag::{Problems, Span};
use crate::event::{Digest, FieldPath, Nanos};
use crate::json::Wanted;

impl Detector {
    /// Makes checked rules ready to run; reports names that cannot be resolved.
    /// `broken` are the names and ids of rules that were reported already: a
    /// correlation that names one is not reported again.
    pub fn compile(rules: &[Rule], broken: &BTreeSet<String>, problems: &mut Problems) -> Self {
        let mut compiler = Compiler::default();
        let names = Names::new(rules);
        let silent = silent_rules(rules, &names);
        let selected = selected_rules(rules, &names, &silent);
        let mut feeds = BTreeMap::new();
        let mut detections = Vec::new();
        for (at, rule) in rules.iter().enumerate() {
            if let Logic::Detection(detection) = &rule.logic {
                let logic = logic_digest(rule, Vec::new());
                let matcher = compiler.add_detection(rule, logic, !silent.contains(&at));
                detections.push(detection);
                feeds.insert(at, Feed::Matcher(matcher));
            }
        }
        for at in inner_first(rules, &names, &selected, problems) {
            if let Some(rule) = rules.get(at)
                && let Logic::Correlation(correlation) = &rule.logic
            {
                let mut feeders = feeders(correlation, rules, &names, broken, problems);
                let fed_by: Vec<usize> = feeders.keys().copied().collect();
                let chosen = selected.get(&at).map(Vec::as_slice);
                report_inactive(rule, &fed_by, chosen, rules, problems);
                let chosen = chosen.unwrap_or_default().iter();
                feeders.extend(chosen.map(|at| (*at, (String::new(), 1))));
                let edges = feeders.into_iter().filter_map(|(feeder, (name, bits))| {
                    Some(Edge {
                        feed: *feeds.get(&feeder)?,
                        name,
                        rules: bits,
                        about: About::new(rules.get(feeder)?),
                        renamed: Vec::new(),
                    })
                });
                let edges = edges.collect();
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
    about: About,
    /// Values that go by another name here.
    renamed: Vec<(CaptureId, CaptureId)>,
}

/// What feeds a consumer, what it calls its fields, and which it reads.
struct Wiring {
    rule: Uuid,
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
}

/// Gives the fields of one consumer their ids.
pub(super) struct Scope<'c> {
    compiler: &'c mut Compiler,
    consumer: usize,
}

impl Scope<'_> {
    /// The id of a field.
    pub(super) fn id(&mut self, path: &FieldPath) -> CaptureId {
        self.compiler.id(self.consumer, path)
    }

    fn named(&mut self, paths: &[FieldPath]) -> Vec<(String, CaptureId)> {
        let id = |path: &FieldPath| (path.as_str().to_owned(), self.id(path));
        paths.iter().map(id).collect()
    }
}

impl Compiler {
    fn add_detection(&mut self, rule: &Rule, logic: Digest, reports: bool) -> usize {
        let matcher = self.matchers.len();
        self.matchers.push(Matcher {
            rule: rule.id,
            logic,
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
                about: About::new(rule),
                renamed: Vec::new(),
            };
            let none = Nanos(0);
            let mut scope = self.wire(rule.id, vec![edge], Aliases::default());
            let mut reporter = reporter(rule, &rule.settings.group_by, none, &mut scope);
            if let Some(named) = rule
                .settings
                .script
                .group
                .as_ref()
                .and_then(Named::function)
            {
                let id = self.captures.alias(rule.id, &FieldPath::new(named.name()));
                reporter.group_by.push((named.name().to_owned(), id));
                key = Some(id);
            }
            self.consumers.push(Consumer {
                kind: ConsumerKind::Each,
                logic,
                timespan: none,
                reporter,
                reports,
                outer: Vec::new(),
                of_rules: Vec::new(),
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
        let mut scope = self.wire(rule.id, edges, correlation.aliases.clone());
        let condition = correlation.asked.compile(&mut scope);
        let reporter = reporter(rule, &correlation.group_by, timespan, &mut scope);
        let logic = self.logic_of_last(rule);
        self.consumers.push(Consumer {
            kind: ConsumerKind::Over(condition),
            logic,
            timespan,
            reporter,
            reports,
            outer: Vec::new(),
            of_rules: Vec::new(),
        });
        self.consumers.len() - 1
    }

    /// The logic digest of the correlation that was wired last.
    fn logic_of_last(&self, rule: &Rule) -> Digest {
        let wiring = self.wirings.last();
        let edges = wiring.map_or(&[][..], |wiring| &wiring.edges);
        let feeding = edges.iter().filter_map(|edge| {
            let logic = match edge.feed {
                Feed::Matcher(at) => self.matchers.get(at)?.logic,
                Feed::Inner(at) => self.consumers.get(at)?.logic,
            };
            let said = wiring?.said(edge).into_iter();
            Some(Feeding {
                name: &edge.name,
                rules: edge.rules,
                logic,
                said: said.map(|(_, text)| text).collect(),
            })
        });
        logic_digest(rule, feeding.collect())
    }

    fn wire(&mut self, rule: Uuid, edges: Vec<Edge>, aliases: Aliases) -> Scope<'_> {
        self.wirings.push(Wiring {
            rule,
            edges,
            aliases,
            used: Vec::new(),
        });
        Scope {
            consumer: self.wirings.len() - 1,
            compiler: self,
        }
    }

    /// The id of a field of a consumer. One that is called the same in all rules
    /// is shared between consumers, another is given its name where values come in.
    fn id(&mut self, consumer: usize, path: &FieldPath) -> CaptureId {
        let used = |wiring: &Wiring| {
            let mut used = wiring.used.iter();
            used.find(|(known, _)| known == path).map(|(_, id)| *id)
        };
        if let Some(known) = self.wirings.get(consumer).and_then(used) {
            return known;
        }
        let meant: Vec<Option<(Feed, FieldPath)>> =
            self.wirings.get(consumer).map_or(Vec::new(), |wiring| {
                let edges = wiring.edges.iter();
                let meant = |edge: &Edge| {
                    let field = wiring.meant(path.as_str(), edge)?;
                    Some((edge.feed, FieldPath::new(field)))
                };
                edges.map(meant).collect()
            });
        let ids: Vec<Option<CaptureId>> = meant
            .into_iter()
            .map(|meant| meant.map(|(feed, field)| self.id_in_feed(feed, &field)))
            .collect();
        let plain = (!is_of_rule(path.as_str())).then(|| self.captures.id(path));
        let id = match plain.filter(|plain| ids.iter().all(|id| *id == Some(*plain))) {
            Some(plain) => plain,
            None => {
                let rule = self.wirings.get(consumer).map(|wiring| wiring.rule);
                self.captures.alias(rule.unwrap_or_default(), path)
            }
        };
        if let Some(wiring) = self.wirings.get_mut(consumer) {
            wiring.used.push((path.clone(), id));
            for (edge, from) in wiring.edges.iter_mut().zip(ids) {
                edge.renamed
                    .extend(from.filter(|from| *from != id).map(|from| (from, id)));
            }
        }
        id
    }

    /// The id that a field has in the matches or hits that a feed gives.
    fn id_in_feed(&mut self, feed: Feed, field: &FieldPath) -> CaptureId {
        match feed {
            Feed::Inner(inner) => self.id(inner, field),
            Feed::Matcher(at) => {
                let id = self.captures.id(field);
                if let Some(matcher) = self.matchers.get_mut(at) {
                    matcher.captured.push(id);
                }
                id
            }
        }
    }

    /// Each feed learns who wants it; each matcher captures what is needed, and nothing else.
    /// `detections` has one for each matcher.
    fn finish(mut self, detections: &[&Detection]) -> Detector {
        for (at, wiring) in std::mem::take(&mut self.wirings).into_iter().enumerate() {
            for edge in &wiring.edges {
                let outer = Outer {
                    consumer: at,
                    rules: edge.rules,
                    renamed: edge.renamed.clone(),
                    said: wiring.said(edge),
                };
                match edge.feed {
                    Feed::Matcher(matcher) => {
                        if let Some(matcher) = self.matchers.get_mut(matcher) {
                            matcher.consumers.push(outer);
                        }
                    }
                    Feed::Inner(inner) => {
                        if let Some(inner) = self.consumers.get_mut(inner) {
                            inner.outer.push(outer);
                        }
                    }
                }
            }
            if let Some(consumer) = self.consumers.get_mut(at) {
                let used = wiring.used.iter();
                let of_rules = used.filter(|(path, _)| is_of_rule(path.as_str()));
                consumer.of_rules = of_rules.map(|(_, id)| *id).collect();
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
            inside: Accessors::default(),
        }
    }
}

impl Wiring {
    /// What a field is called by the rule that feeds.
    fn meant<'w>(&'w self, field: &'w str, edge: &'w Edge) -> Option<&'w str> {
        edge.about.means(self.aliases.meant(field, &edge.name))
    }

    /// The fields that are about the rules, and what they say of the one that feeds.
    fn said(&self, edge: &Edge) -> Vec<(CaptureId, String)> {
        let used = self.used.iter();
        let said = used.filter_map(|(path, id)| Some((*id, edge.about.says(path.as_str())?)));
        said.map(|(id, text)| (id, text.to_owned())).collect()
    }
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

/// For each correlation with a selection, the rules that it selects: those that
/// give findings of their own, without correlations that see selected ones themselves.
fn selected_rules(
    rules: &[Rule],
    names: &Names<'_>,
    silent: &BTreeSet<usize>,
) -> BTreeMap<usize, Vec<usize>> {
    let correlations: Vec<(usize, &Correlation)> = rules
        .iter()
        .enumerate()
        .filter_map(|(at, rule)| match &rule.logic {
            Logic::Correlation(correlation) => Some((at, correlation)),
            _ => None,
        })
        .collect();
    let selects = |(_, correlation): &&(usize, &Correlation)| correlation.selection.is_some();
    let mut seeing: BTreeSet<usize> = correlations
        .iter()
        .filter(selects)
        .map(|(at, _)| *at)
        .collect();
    if seeing.is_empty() {
        return BTreeMap::new();
    }
    for _ in 0..LONGEST_CHAIN {
        let names_one = |correlation: &Correlation| {
            let mut named = inner_of(correlation, rules, names);
            named.any(|(inner, _)| seeing.contains(&inner))
        };
        let named = correlations.iter().filter(|(_, c)| names_one(c));
        let named: Vec<usize> = named.map(|(at, _)| *at).collect();
        seeing.extend(named);
    }
    let is_open = |at: &usize| !silent.contains(at) && !seeing.contains(at);
    let selected = correlations.iter().filter_map(|(at, correlation)| {
        let selection = correlation.selection.as_ref()?;
        let numbered = rules.iter().enumerate();
        let chosen = numbered.filter(|(at, rule)| is_open(at) && selection.is_for(rule));
        Some((*at, chosen.map(|(at, _)| at).collect()))
    });
    selected.collect()
}

/// A correlation all of whose rules are inactive never fires.
fn report_inactive(
    rule: &Rule,
    feeders: &[usize],
    chosen: Option<&[usize]>,
    rules: &[Rule],
    problems: &mut Problems,
) {
    if chosen.is_some_and(<[usize]>::is_empty) {
        problems
            .warn(
                correlation::codes::INACTIVE,
                rule.span.part(0, 1),
                "no rule is what this correlation selects, so that it never fires",
            )
            .help("it selects among rules that give findings of their own");
    }
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
fn inner_first(
    rules: &[Rule],
    names: &Names<'_>,
    selected: &BTreeMap<usize, Vec<usize>>,
    problems: &mut Problems,
) -> Vec<usize> {
    let mut waiting: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let mut named_by: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, rule) in rules.iter().enumerate() {
        if let Logic::Correlation(correlation) = &rule.logic {
            let named = inner_of(correlation, rules, names).map(|(inner, _)| inner);
            let is_correlation = |at: &usize| {
                let logic = rules.get(*at).map(|rule| &rule.logic);
                matches!(logic, Some(Logic::Correlation(_)))
            };
            let chosen = selected.get(&at).into_iter().flatten().copied();
            let inner: BTreeSet<usize> = named.chain(chosen.filter(is_correlation)).collect();
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
    report_waiting(&waiting, rules, names, problems);
    order
}

/// Reports the correlations that wait for others: those of a circle, and the first beyond the
/// end of a chain that is too long. What waits for these will not when they are mended.
fn report_waiting(
    waiting: &BTreeMap<usize, BTreeSet<usize>>,
    rules: &[Rule],
    names: &Names<'_>,
    problems: &mut Problems,
) {
    let next = |at: &usize| waiting.get(at).and_then(BTreeSet::first).copied();
    let errors = problems.counts().0;
    for at in waiting.keys() {
        let Some(rule) = rules.get(*at) else { continue };
        let Logic::Correlation(correlation) = &rule.logic else {
            continue;
        };
        let place = |wanted: Option<usize>| {
            let mut inner = inner_of(correlation, rules, names);
            let named = inner.find(|(inner, _)| wanted.is_none_or(|wanted| wanted == *inner));
            named.map_or(rule.span.part(0, 1), |(_, span)| span)
        };
        let Some(first) = next(at) else {
            let message =
                format!("this is the end of a chain of more than {LONGEST_CHAIN} correlations");
            problems
                .error(correlation::codes::CHAIN, place(None), message)
                .help("let it name a correlation that is nearer to the detections, or a detection");
            continue;
        };
        let way: Vec<usize> = std::iter::successors(Some(first), next)
            .take(LONGEST_WAY)
            .take_while(|other| other != at)
            .collect();
        if way.last().map_or(first, |last| next(last).unwrap_or(first)) != *at {
            continue; // the way leads into a circle of others, or is told at the end of the chain
        }
        let called = |at: &usize| rules.get(*at).map_or("", Rule::label);
        let ways: Vec<String> = way.iter().map(|at| format!("`{}`", called(at))).collect();
        let (message, help) = match ways.as_slice() {
            [] => (
                format!("`{}` names itself", called(at)),
                "name another rule here: a correlation cannot wait for its own hits".to_owned(),
            ),
            [first, ..] => (
                format!(
                    "`{}` names itself by way of {}",
                    called(at),
                    ways.join(", ")
                ),
                format!(
                    "take {first} out here, or one of them out of another's `rules`: a correlation cannot wait for its own hits"
                ),
            ),
        };
        problems
            .error(correlation::codes::CHAIN, place(Some(first)), message)
            .help(help);
    }
    let one = waiting.keys().next().and_then(|at| rules.get(*at));
    if let Some(rule) = one.filter(|_| problems.counts().0 == errors) {
        let message =
            format!("correlations name each other in a circle of more than {LONGEST_WAY}");
        problems
            .error(correlation::codes::CHAIN, rule.span.part(0, 1), message)
            .help("a correlation cannot wait for its own hits");
    }
}

/// So many correlations are followed to see whether a circle closes.
const LONGEST_WAY: usize = 1_000;

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
