//! What a change of a policy does to logs, through the whole chain: one scan for both sides and
//! for every variant between them, findings paired, records compared, each difference attributed
//! to the edit that makes it.

mod causes;
mod doubts;
mod edits;
mod pairing;
mod told;
mod traced;

pub use self::doubts::{About, Doubt};
pub use self::edits::Edit;
pub use self::told::{
    Cause, Changed, Clause, Counted, Delta, Differing, Effect, Field, Gone, How, Lost, OfRule, One,
    Read, Signed, Tally,
};
pub use self::traced::{Kind, Subject};

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::rc::Rc;

use uuid::Uuid;

use self::causes::{Variants, variants};
use self::edits::{Taken, edits};
pub(super) use self::pairing::Rules;
use self::pairing::{Comparison, Differs};
use self::told::{LOST, TOLD};
pub(super) use self::traced::Traced;
use self::traced::{KINDS, count};
use crate::detect::{Finding, FloorSetting, Joined, Joint, JointWindows, RiskSetting, Severity};
use crate::event::{Digest, FieldPath, Time};
use crate::lab::diff::Side;
use crate::okta::ADDRESS_FIELDS;
use crate::pipeline::{
    Beginning, Counts, Filling, JointSink, Outcome, Progress, RunError, Settings, begin,
    detect_jointly, follow,
};
use crate::policy::{Policy, PolicyFile};
use crate::route::Runs;
use crate::source::Input;

/// What taking the head for the base does to logs. Slots are held constant: both sides take the
/// defaults of their policies.
///
/// # Errors
///
/// When matches cannot be sorted, or a record is no event and the settings tolerate none such.
pub fn effect(
    base: &Side,
    head: &Side,
    inputs: Vec<Input>,
    settings: &Settings,
) -> Result<Effect, RunError> {
    effect_with(base, head, inputs, settings, &|_| {})
}

/// The same, telling how far it has come.
///
/// # Errors
///
/// As [`effect`].
pub fn effect_with(
    base: &Side,
    head: &Side,
    inputs: Vec<Input>,
    settings: &Settings,
    progress: &dyn Fn(Progress),
) -> Result<Effect, RunError> {
    let supplied = settings.databases.paths(&ADDRESS_FIELDS);
    let tried = Tried::between(base, head, &supplied);
    let policies = tried.policies([base, head]);
    let joined = policies.iter().map(|between| Joined {
        detector: &between.policy.detector,
        rules: &between.policy.rules,
        outside: of_files(between.files, |path| path.starts_with("rules/lists/")),
    });
    let joined: Vec<Joined<'_>> = joined.collect();
    let joint = Joint::new(&joined);
    let mut following = Following::new(&policies);
    // Slots are held constant.
    let filling = Filling::default();
    following.begin(&policies, &filling);
    let mut sink = Sink {
        following,
        filling,
        joint: &joint,
        sides: [base, head],
        doubts: Vec::new(),
    };
    let (counts, failed) = detect_jointly(&joint, inputs, settings, &mut sink, progress)?;
    let mut doubts = doubts::of_counts(&counts, &failed, tried.is_changed());
    doubts.extend(sink.doubts);
    doubts.extend(prompts(&tried.taken));
    let read = Read {
        events: counts.events,
        outside_range: counts.outside_range,
        first: counts.first,
        last: counts.last,
    };
    Ok(sink.following.tell(read, &tried, doubts, [base, head]))
}

/// The edits that take the base to the head, and the policies with some of them.
pub(super) struct Tried {
    taken: Vec<Taken>,
    variants: Variants,
}

impl Tried {
    /// What is to be tried between two sides.
    pub(super) fn between(base: &Side, head: &Side, supplied: &[FieldPath]) -> Self {
        let taken = edits(base, head);
        let variants = variants(base, head, &taken, supplied);
        Self { taken, variants }
    }

    /// Whether anything may be decided otherwise.
    pub(super) fn is_changed(&self) -> bool {
        !self.taken.is_empty()
    }

    /// The base, the head, and every policy between the two.
    pub(super) fn policies<'t>(&'t self, sides: [&'t Side; 2]) -> Vec<Between<'t>> {
        let between = self.variants.list.iter().map(|variant| Between {
            policy: &variant.policy,
            files: &variant.files,
        });
        let ends = sides.map(|side| Between {
            policy: &side.policy,
            files: &side.files,
        });
        ends.into_iter().chain(between).collect()
    }
}

/// A policy that is compared with the base, and its files.
#[derive(Clone, Copy)]
pub(super) struct Between<'b> {
    pub(super) policy: &'b Policy,
    files: &'b [PolicyFile],
}

/// The digest of some of the files.
fn of_files(files: &[PolicyFile], wanted: impl Fn(&str) -> bool) -> Digest {
    let wanted = files.iter().filter(|file| wanted(&file.path));
    let texts: Vec<(&str, &str)> = wanted
        .map(|file| (file.path.as_str(), &*file.text))
        .collect();
    Digest::of(serde_json::json!(texts).to_string().as_bytes())
}

/// Prompts that are others: what a model would make of them is not known.
fn prompts(taken: &[Taken]) -> impl Iterator<Item = Doubt> {
    let files = taken.iter().map(|taken| &taken.edit.file);
    let prompts = files.filter(|file| file.starts_with("prompts/"));
    prompts.map(|file| Doubt {
        about: About::Prompt { file: file.clone() },
        decisive: false,
    })
}

/// What decides what follows from a finding: the files beside the rules, whether the route asks
/// for a risk, and what the rule says of it.
pub(super) type Chain<'c> = (Digest, bool, Option<OfItsRule<'c>>);

/// The default risk, the floor, and the description, which drafts may show.
pub(super) type OfItsRule<'c> = (RiskSetting, Option<FloorSetting>, Option<&'c str>);

/// Follows findings under every policy, and compares what comes of them with the base.
pub(super) struct Following<'p> {
    policies: Vec<&'p Policy>,
    /// What decides what follows from a finding, apart from its rule.
    chains: Vec<Digest>,
    /// Whether each policy detects, and whether it asks for risks.
    runs: Vec<(bool, bool)>,
    /// One for each policy but the base.
    comparisons: Vec<Comparison>,
    /// How many records the base and the head have.
    counts: [BTreeMap<Kind, u64>; 2],
    /// The findings of each rule.
    of_rules: [HashMap<Uuid, u64>; 2],
    /// The findings of each rule and day of the base and the head.
    of_days: BTreeMap<(Uuid, String), [u64; 2]>,
}

impl<'p> Following<'p> {
    pub(super) fn new(policies: &[Between<'p>]) -> Self {
        let all: Vec<&Policy> = policies.iter().map(|between| between.policy).collect();
        // Scripts may write drafts.
        let is_chain = |path: &str| !path.starts_with("rules/") || path.ends_with(".rhai");
        let (base, others) = (all.first(), all.iter().skip(1));
        let comparison = |other: &&Policy| base.map(|base| Comparison::new(base, other));
        Self {
            comparisons: others.filter_map(comparison).collect(),
            chains: policies
                .iter()
                .map(|between| of_files(between.files, is_chain))
                .collect(),
            runs: Vec::new(),
            policies: all,
            counts: Default::default(),
            of_rules: Default::default(),
            of_days: BTreeMap::new(),
        }
    }

    /// Decides the route of a run under every policy.
    fn begin(&mut self, policies: &[Between<'p>], filling: &Filling<'_>) {
        let begun = policies
            .iter()
            .map(|between| begin(between.policy, filling));
        let begun: Vec<Beginning> = begun.collect();
        self.begun(&begun, None);
    }

    /// Compares the routes of a run, which say what is done under each policy from now on; of one
    /// that an audit records, with the number of its first record.
    pub(super) fn begun(&mut self, begun: &[Beginning], record: Option<u64>) {
        self.runs.clear();
        for (policy, beginning) in self.policies.iter().zip(begun) {
            let runs: Vec<&Runs> = policy.routing.runs(&beginning.route).collect();
            self.runs
                .push((runs.contains(&&Runs::Detect), runs.contains(&&Runs::Risk)));
        }
        let Some((base, others)) = begun.split_first() else {
            return;
        };
        for (comparison, other) in self.comparisons.iter_mut().zip(others) {
            if base.route != other.route {
                let traced = |beginning: &Beginning| {
                    Rc::new(Traced::of_run(&beginning.route).recorded(record))
                };
                let (base, other) = (traced(base), traced(other));
                if base != other {
                    comparison.both(base, other);
                }
            }
        }
        for counts in &mut self.counts {
            *counts.entry(Kind::Route).or_default() += 1;
        }
    }

    /// What decides what follows from the findings of a rule under a policy, where that detects.
    pub(super) fn chain(&self, at: usize, rule: Uuid) -> Option<Chain<'p>> {
        let (policy, chain) = self.policies.get(at).zip(self.chains.get(at))?;
        let (_, asks_risk) = self.runs.get(at).filter(|(detects, _)| *detects)?;
        let of_rule = policy.rules.get(&rule).map(|rule| {
            let settings = &rule.settings;
            (settings.risk, settings.floor, rule.description.as_deref())
        });
        Some((*chain, *asks_risk, of_rule))
    }

    /// What comes of a finding under each of these policies, where that detects. Policies that
    /// would follow it in the same way do so once.
    fn outcomes(
        &self,
        of: &[usize],
        finding: &Finding,
        filling: &Filling<'_>,
    ) -> Vec<Option<Rc<Outcome>>> {
        let mut known: Vec<(Chain<'p>, Rc<Outcome>)> = Vec::new();
        let mut outcomes = vec![None; self.policies.len()];
        for at in of {
            let (Some(policy), Some(chain), Some(outcome)) = (
                self.policies.get(*at),
                self.chain(*at, finding.rule),
                outcomes.get_mut(*at),
            ) else {
                continue;
            };
            let (_, asks_risk, _) = chain;
            let same = known.iter().find(|(known, _)| *known == chain);
            let same = same.map(|(_, outcome)| Rc::clone(outcome));
            *outcome = Some(same.unwrap_or_else(|| {
                let outcome = follow(policy, filling, asks_risk, finding.clone(), false);
                let outcome = Rc::new(outcome);
                known.push((chain, Rc::clone(&outcome)));
                outcome
            }));
        }
        outcomes
    }

    /// Follows a finding under each of these policies, and compares what comes of it.
    fn take(&mut self, of: &[usize], finding: &Finding, filling: &Filling<'_>) {
        let outcomes = self.outcomes(of, finding, filling);
        self.note(&outcomes, None);
    }

    /// Compares what comes of a finding under each policy; nothing where a policy does not have it.
    /// Of one that an audit records, with the number of its record: then no other is its pair.
    pub(super) fn note(&mut self, outcomes: &[Option<Rc<Outcome>>], record: Option<u64>) {
        let ends = self.counts.iter_mut().zip(&mut self.of_rules).enumerate();
        for (outcome, (side, (counts, of_rules))) in outcomes.iter().zip(ends) {
            if let Some(outcome) = outcome {
                count(outcome, counts);
                let finding = &outcome.finding;
                *of_rules.entry(finding.rule).or_default() += 1;
                let day = (finding.rule, day_of(finding.created_at));
                let of_day = self.of_days.entry(day).or_default();
                of_day
                    .iter_mut()
                    .skip(side)
                    .take(1)
                    .for_each(|count| *count += 1);
            }
        }
        let mut known: Vec<(Rc<Outcome>, Rc<Traced>)> = Vec::new();
        let base = outcomes.first().and_then(Option::as_ref);
        for (at, comparison) in (1..).zip(&mut self.comparisons) {
            let other = outcomes.get(at).and_then(Option::as_ref);
            let is_same = |(base, other): (&Rc<Outcome>, &Rc<Outcome>)| {
                Rc::ptr_eq(base, other) || base == other
            };
            if base.zip(other).is_some_and(is_same) {
                continue;
            }
            let mut traced = |at: usize, outcome: Option<&Rc<Outcome>>| {
                Some(trace(outcome?, self.policies.get(at)?, record, &mut known))
            };
            match (traced(0, base), traced(at, other)) {
                (base, other) if base == other => {}
                pair if record.is_some() => comparison.known(pair),
                (Some(base), Some(other)) => comparison.both(base, other),
                (Some(base), None) => comparison.base(base),
                (None, Some(other)) => comparison.head(other),
                (None, None) => {}
            }
        }
    }

    /// Everything that is told.
    pub(super) fn tell(
        self,
        read: Read,
        tried: &Tried,
        mut doubts: Vec<Doubt>,
        sides: [&Side; 2],
    ) -> Effect {
        let Tried { taken, variants } = tried;
        let mut comparisons = self.comparisons.into_iter().map(Comparison::finish);
        let (differing, not_paired) = comparisons.next().unwrap_or_default();
        let causes = variants.causes.clone().known(comparisons);
        if not_paired > 0 {
            let about = About::NotPaired {
                findings: not_paired,
            };
            doubts.push(Doubt {
                about,
                decisive: true,
            });
        }
        if !causes.is_attributed() && !differing.is_empty() {
            let edits = taken.len();
            let about = About::NotAttributed { edits };
            doubts.push(Doubt {
                about,
                decisive: false,
            });
        }
        let mut effect = Effect {
            read,
            edits: taken.iter().map(|taken| taken.edit.clone()).collect(),
            findings: Delta::default(),
            risks: Delta::default(),
            incidents: Delta::default(),
            routes: Delta::default(),
            plans: Delta::default(),
            steps: Delta::default(),
            commands: Delta::default(),
            drafts: Delta::default(),
            by_rule: Vec::new(),
            by_actor: BTreeMap::new(),
            by_day: BTreeMap::new(),
            by_technique: BTreeMap::new(),
            lost: Vec::new(),
            lost_left_out: 0,
            conclusive: !doubts.iter().any(|doubt| doubt.decisive),
            doubts,
            tally: Tally {
                findings: self.of_days,
                ..Tally::default()
            },
        };
        let [base, head] = &self.counts;
        for kind in KINDS {
            let counts = &mut effect.delta(kind).counts;
            counts.base = base.get(&kind).copied().unwrap_or_default();
            counts.head = head.get(&kind).copied().unwrap_or_default();
        }
        let mut by_rule: BTreeMap<Uuid, Differing> = BTreeMap::new();
        for differs in differing {
            let cause = causes.of(&differs);
            effect.note(differs, cause, &mut by_rule);
        }
        effect.by_rule = of_rules(by_rule, &self.of_rules, sides);
        effect
    }
}

/// What is compared of an outcome; policies that follow a finding in the same way share it.
fn trace(
    outcome: &Rc<Outcome>,
    policy: &Policy,
    record: Option<u64>,
    known: &mut Vec<(Rc<Outcome>, Rc<Traced>)>,
) -> Rc<Traced> {
    let same = known.iter().find(|(known, _)| Rc::ptr_eq(known, outcome));
    if let Some((_, traced)) = same {
        return Rc::clone(traced);
    }
    let traced = Rc::new(Traced::new(outcome, policy).recorded(record));
    known.push((Rc::clone(outcome), Rc::clone(&traced)));
    traced
}

/// The rules that differ, by id.
fn of_rules(
    mut differing: BTreeMap<Uuid, Differing>,
    [base, head]: &[HashMap<Uuid, u64>; 2],
    sides: [&Side; 2],
) -> Vec<OfRule> {
    for id in base.keys().chain(head.keys()) {
        if base.get(id) != head.get(id) {
            differing.entry(*id).or_default();
        }
    }
    let label = |id: &Uuid| {
        let mut rules = sides
            .iter()
            .rev()
            .filter_map(|side| side.policy.rules.get(id));
        rules
            .next()
            .map(|rule| rule.label().to_owned())
            .unwrap_or_default()
    };
    let count = |counts: &HashMap<Uuid, u64>, id: &Uuid| counts.get(id).copied().unwrap_or(0);
    let rules = differing.into_iter().map(|(id, differing)| OfRule {
        rule: label(&id),
        base: count(base, &id),
        head: count(head, &id),
        id,
        differing,
    });
    rules.collect()
}

/// In which way a record differs.
#[derive(Clone, Copy)]
enum Way {
    Added,
    Removed,
    Changed,
}

impl Effect {
    /// Counts a difference wherever it belongs, and lists it.
    fn note(&mut self, differs: Differs, cause: Cause, by_rule: &mut BTreeMap<Uuid, Differing>) {
        match differs {
            Differs::Added(subject, record) => {
                self.count(record.kind, Way::Added, &subject, by_rule);
                if let (Kind::Finding, Some(rule)) = (record.kind, subject.rule_id) {
                    let day = (rule, day_of(subject.at));
                    *self.tally.added.entry(day).or_default() += 1;
                }
                let delta = self.delta(record.kind);
                let one = One {
                    name: record.name,
                    subject,
                    cause,
                };
                keep(&mut delta.added, one, &mut delta.left_out);
            }
            Differs::Removed(subject, record) => {
                self.count(record.kind, Way::Removed, &subject, by_rule);
                let one = One {
                    name: record.name,
                    subject,
                    cause,
                };
                self.lose(record.kind, &one);
                let delta = self.delta(record.kind);
                keep(&mut delta.removed, one, &mut delta.left_out);
            }
            Differs::Changed {
                base,
                head,
                kind,
                name,
                fields,
            } => {
                self.count(kind, Way::Changed, &head, by_rule);
                let fields = fields.into_iter();
                let fields = fields.map(|(field, base, head)| Field { field, base, head });
                let changed = Changed {
                    name,
                    base,
                    head,
                    fields: fields.collect(),
                    cause,
                };
                let delta = self.delta(kind);
                keep(&mut delta.changed, changed, &mut delta.left_out);
            }
        }
    }

    fn count(
        &mut self,
        kind: Kind,
        way: Way,
        subject: &Subject,
        by_rule: &mut BTreeMap<Uuid, Differing>,
    ) {
        let counts = &mut self.delta(kind).counts;
        add(
            way,
            &mut counts.added,
            &mut counts.removed,
            &mut counts.changed,
        );
        let Some(rule) = subject.rule_id else {
            return;
        };
        by_rule.entry(rule).or_default().add(kind, way);
        let unknown = || "unknown".to_owned();
        let actor = subject.actor.clone().unwrap_or_else(unknown);
        self.by_actor.entry(actor).or_default().add(kind, way);
        let day = day_of(subject.at);
        self.by_day.entry(day).or_default().add(kind, way);
        for technique in &subject.techniques {
            let of_technique = self.by_technique.entry(technique.clone()).or_default();
            of_technique.add(kind, way);
        }
    }

    /// Counts a finding or an incident that is gone.
    fn miss(&mut self, kind: Kind, one: &One) {
        let subject = &one.subject;
        let (Kind::Finding | Kind::Incident, Some(rule), Some(severity)) =
            (kind, subject.rule_id, subject.severity)
        else {
            return;
        };
        let mut edits = one.cause.edits.iter().filter_map(|at| self.edits.get(*at));
        let gone = self.tally.gone.entry((kind, rule, severity)).or_default();
        gone.count += 1;
        if gone.clause.is_none() {
            gone.clause = edits.next().map(Clause::of);
        }
    }

    /// Lists a record that is gone, where it was grave.
    fn lose(&mut self, kind: Kind, one: &One) {
        self.miss(kind, one);
        let is_listed = matches!(
            kind,
            Kind::Finding | Kind::Incident | Kind::Step | Kind::Command
        );
        let severity = one
            .subject
            .severity
            .filter(|severity| *severity >= Severity::High);
        let Some(severity) = severity.filter(|_| is_listed) else {
            return;
        };
        if self.lost.len() >= LOST {
            self.lost_left_out += 1;
            return;
        }
        let edits = one.cause.edits.iter().filter_map(|at| self.edits.get(*at));
        self.lost.push(Lost {
            kind,
            severity,
            one: one.clone(),
            clauses: edits.map(Clause::of).collect(),
        });
    }
}

/// The day of a time, in UTC.
fn day_of(at: Option<Time>) -> String {
    at.map_or_else(|| "unknown".to_owned(), |at| at.day().to_string())
}

/// Lists a record, while there is room.
fn keep<T>(list: &mut Vec<T>, one: T, left_out: &mut u64) {
    if list.len() < TOLD {
        list.push(one);
    } else {
        *left_out += 1;
    }
}

fn add(way: Way, added: &mut u64, removed: &mut u64, changed: &mut u64) {
    match way {
        Way::Added => *added += 1,
        Way::Removed => *removed += 1,
        Way::Changed => *changed += 1,
    }
}

impl Differing {
    fn add(&mut self, kind: Kind, way: Way) {
        let signed = match kind {
            Kind::Finding => &mut self.findings,
            Kind::Incident => &mut self.incidents,
            _ => &mut self.others,
        };
        add(
            way,
            &mut signed.added,
            &mut signed.removed,
            &mut signed.changed,
        );
    }
}

/// Takes findings from the windows.
struct Sink<'s, 'p> {
    following: Following<'p>,
    filling: Filling<'s>,
    joint: &'s Joint<'s>,
    sides: [&'s Side; 2],
    doubts: Vec<Doubt>,
}

impl JointSink for Sink<'_, '_> {
    fn finding(&mut self, of: &[usize], finding: Finding) -> io::Result<()> {
        self.following.take(of, &finding, &self.filling);
        Ok(())
    }

    fn met(&mut self, windows: &JointWindows<'_, '_>, counts: &Counts) -> io::Result<()> {
        let log = (counts.first, counts.last);
        self.doubts = doubts::of_rules(self.joint, windows, self.sides, log);
        Ok(())
    }
}
