//! What a change of a policy does to logs, through the whole chain: one scan for both sides and
//! for every variant between them, findings paired, records compared, each difference attributed
//! to the edit that makes it.

mod agents;
mod bounds;
mod causes;
mod certainty;
mod doubts;
mod edits;
mod entries;
mod fills;
mod gathered;
mod latitude;
mod open;
mod pairing;
mod told;
mod traced;
mod waiting;

pub use self::certainty::{Certainty, Least};
pub use self::doubts::{About, Doubt};
pub use self::edits::Edit;
pub use self::fills::Answers;
pub use self::told::{
    Bounds, Cause, Changed, Clause, Counted, Delta, Differing, Effect, Field, Gone, How, Lost,
    OfRule, One, Read, Signed, Tally,
};
pub use self::traced::{Kind, Subject};

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::rc::Rc;

use uuid::Uuid;

use self::bounds::{Possible, Presence, Span, Spans};
use self::causes::{Causes, Makers, Variants, variants};
use self::certainty::{Certain, Way, Weighed, possible, weigh, weigh_open};
use self::edits::{Taken, edits};
use self::fills::{Asks, Fills, Known};
use self::gathered::{Gathered, Place, day_of, order_of};
use self::latitude::{Latitude, Marks};
use self::open::Open;
pub(super) use self::pairing::Rules;
use self::pairing::{Difference, Pair, Whose, differ, pair};
pub(super) use self::traced::Traced;
use self::traced::{Again, Beside, KINDS, Reckoned, count};
use self::waiting::{Compare, Together, Waiting};
use crate::detect::{Finding, FloorSetting, Joined, Joint, JointWindows, RiskSetting, ToCome};
use crate::event::{Digest, FieldPath};
use crate::lab::diff::Side;
use crate::okta::ADDRESS_FIELDS;
use crate::pipeline::{
    Beginning, Counts, JointSink, Outcome, Progress, RunError, Settings, detect_jointly,
};
use crate::policy::{Policy, PolicyFile};
use crate::route::Runs;
use crate::source::Input;

/// What taking the head for the base does to logs. Slots are held constant: nothing is known of
/// what a model says, both sides take the defaults of their policies, and bounds tell the rest.
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
    effect_with(base, head, inputs, settings, Answers::default(), &|_| {})
}

/// The same with what is known of what a model says, telling how far it has come.
///
/// # Errors
///
/// As [`effect`].
pub fn effect_with(
    base: &Side,
    head: &Side,
    inputs: Vec<Input>,
    settings: &Settings,
    answers: Answers<'_>,
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
    let known = Known::new(answers);
    let mut following = Following::new(&policies, &tried);
    following.known = Some(&known);
    following.begin(&policies);
    let mut sink = Sink {
        following,
        joint: &joint,
        sides: [base, head],
        doubts: Vec::new(),
    };
    let (counts, failed) = detect_jointly(&joint, inputs, settings, &mut sink, progress)?;
    let mut doubts = doubts::of_counts(&counts, &failed, tried.is_changed());
    doubts.extend(sink.doubts);
    let read = Read {
        events: counts.events,
        outside_range: counts.outside_range,
        first: counts.first,
        last: counts.last,
    };
    Ok(sink.following.tell(read, doubts, [base, head]))
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

    fn edits(&self) -> Vec<Edit> {
        self.taken.iter().map(|taken| taken.edit.clone()).collect()
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

/// What decides what follows from a finding: the files beside the rules, whether the route asks
/// for a risk, and what the rule says of it.
pub(super) type Chain<'c> = (Digest, bool, Option<OfItsRule<'c>>);

/// The default risk, the floor, and the description, which drafts may show.
pub(super) type OfItsRule<'c> = (RiskSetting, Option<FloorSetting>, Option<&'c str>);

/// A finding that was followed.
struct Followed {
    outcome: Rc<Outcome>,
    /// What filled its slots.
    fills: Fills,
}

/// What of each end the policies leave to a model, and what is counted of its records.
#[derive(Default)]
struct End<'p> {
    /// Nothing where it is known what a model said.
    latitude: Option<Latitude<'p>>,
    spans: Spans,
    /// How many findings leave a slot open, by slot.
    open: BTreeMap<String, u64>,
}

impl End<'_> {
    /// The route of a run.
    fn add_run(&mut self) {
        let spans = Spans::from([(Kind::Route, Span::exactly(1))]);
        self.add(&Reckoned {
            spans,
            open: Vec::new(),
        });
    }

    fn add(&mut self, reckoned: &Reckoned) {
        for (kind, span) in &reckoned.spans {
            let all = self.spans.entry(*kind).or_default();
            all.figure += span.figure;
            all.least += span.least;
            all.most += span.most;
        }
        for slot in &reckoned.open {
            *self.open.entry(slot.clone()).or_default() += 1;
        }
    }

    fn take(&mut self, reckoned: &Reckoned) {
        for (kind, span) in &reckoned.spans {
            let all = self.spans.entry(*kind).or_default();
            all.figure -= span.figure;
            all.least -= span.least;
            all.most -= span.most;
        }
        for slot in &reckoned.open {
            *self.open.entry(slot.clone()).or_default() -= 1;
        }
    }

    /// What is counted of a finding.
    fn reckon(&self, followed: &Followed) -> Reckoned {
        let mut spans = Spans::new();
        count(&followed.outcome, &mut spans);
        let mut reckoned = Reckoned {
            spans,
            open: Vec::new(),
        };
        if let Some(open) = self.open(followed, Marks::LeftOut) {
            open.widen(&mut reckoned.spans);
            reckoned.open = open.slots;
        }
        reckoned
    }

    /// What may come of a finding; nothing where no slot is open.
    fn possible(&self, followed: &Followed, traced: &Traced) -> Option<Possible> {
        let open = self.open(followed, Marks::Made)?;
        Some(open.possible(traced))
    }

    /// What a finding leaves open; nothing where no slot is.
    fn open<'o>(&'o self, followed: &'o Followed, marks: Marks) -> Option<Open<'o>> {
        let latitude = self.latitude.as_ref()?;
        latitude.open(&followed.outcome, &followed.fills, marks)
    }

    /// Whether the run detects only if a model says so.
    fn may_detect(&self) -> bool {
        let latitude = self.latitude.as_ref();
        latitude.is_some_and(|latitude| latitude.run.detects == Presence::Sometimes)
    }
}

/// Follows findings under every policy, and compares what comes of them with the base.
pub(super) struct Following<'p> {
    policies: Vec<&'p Policy>,
    /// What is known of what a model says; nothing where outcomes are handed in.
    known: Option<&'p Known<'p>>,
    /// What decides what follows from a finding, apart from its rule.
    chains: Vec<Digest>,
    /// Whether each policy detects, and whether it asks for risks.
    runs: Vec<(bool, bool)>,
    /// What is compared of each policy with the base, and not told yet.
    waiting: Waiting,
    /// How many of these are worth a look for what is complete.
    look_at: usize,
    causes: &'p Causes,
    gathered: Gathered,
    weighed: Weighed,
    /// The base and the head.
    ends: Vec<End<'p>>,
    /// The findings of each rule.
    of_rules: [HashMap<Uuid, u64>; 2],
    /// The findings of each rule and day of the base and the head.
    of_days: BTreeMap<(Uuid, String), [u64; 2]>,
}

impl<'p> Following<'p> {
    pub(super) fn new(policies: &[Between<'p>], tried: &'p Tried) -> Self {
        let all: Vec<&Policy> = policies.iter().map(|between| between.policy).collect();
        // Scripts may write drafts.
        let is_chain = |path: &str| !path.starts_with("rules/") || path.ends_with(".rhai");
        let (base, others) = all.split_at(1.min(all.len()));
        let waiting = base.first().map(|base| Waiting::new(base, others));
        Self {
            waiting: waiting.unwrap_or_default(),
            look_at: WORTH_A_LOOK,
            causes: &tried.variants.causes,
            gathered: Gathered::new(tried.edits()),
            weighed: Weighed::new(),
            known: None,
            chains: policies
                .iter()
                .map(|between| of_files(between.files, is_chain))
                .collect(),
            runs: Vec::new(),
            policies: all,
            ends: (0..ENDS).map(|_| End::default()).collect(),
            of_rules: Default::default(),
            of_days: BTreeMap::new(),
        }
    }

    /// Decides the route of the run of every policy.
    fn begin(&mut self, policies: &[Between<'p>]) {
        let Some(known) = self.known else {
            return;
        };
        let mut begun: Vec<(Beginning, Fills)> = Vec::new();
        for (at, between) in policies.iter().enumerate() {
            let asks = Asks {
                carried: begun.first().map(|(_, fills)| fills),
                model: at < ENDS,
            };
            begun.push(known.begin(between.policy, asks));
        }
        self.decided(begun.iter().map(|(beginning, _)| beginning));
        let mut possible: Vec<Possible> = Vec::new();
        for ((end, between), (beginning, fills)) in self.ends.iter_mut().zip(policies).zip(&begun) {
            let latitude = Latitude::new(between.policy, between.files, beginning, fills);
            possible.push(latitude.run.record.clone());
            end.latitude = Some(latitude);
            end.add_run();
        }
        let Some((base, others)) = begun.split_first() else {
            return;
        };
        for (at, other) in others.iter().enumerate() {
            let traced = |(beginning, fills): &(Beginning, Fills)| {
                let beside = Beside {
                    fills: fills.clone(),
                    ..Beside::default()
                };
                Rc::new(Traced::of_run(&beginning.route).with(beside))
            };
            let both = match possible.as_slice() {
                [base, head] if at == 0 => Some((base.clone(), head.clone())),
                _ => None,
            };
            if base.0.route != other.0.route {
                self.both(at, traced(base), traced(other), both);
            } else if let Some((base, head)) = both {
                weigh_open(&base, &head, &mut self.weighed);
            }
        }
    }

    /// Compares the routes of a run, which say what is done under each policy from now on; of one
    /// that an audit records, with the number of its first record.
    pub(super) fn begun(&mut self, begun: &[Beginning], record: Option<u64>) {
        self.decided(begun.iter());
        let Some((base, others)) = begun.split_first() else {
            return;
        };
        for (at, other) in others.iter().enumerate() {
            if base.route != other.route {
                let traced = |beginning: &Beginning| {
                    Rc::new(Traced::of_run(&beginning.route).recorded(record))
                };
                let (base, other) = (traced(base), traced(other));
                if base != other {
                    self.both(at, base, other, None);
                }
            }
        }
        self.ends.iter_mut().for_each(End::add_run);
        self.complete(None);
    }

    /// What is done under each policy from now on.
    fn decided<'b>(&mut self, begun: impl Iterator<Item = &'b Beginning>) {
        self.runs.clear();
        for (policy, beginning) in self.policies.iter().zip(begun) {
            let runs: Vec<&Runs> = policy.routing.runs(&beginning.route).collect();
            self.runs
                .push((runs.contains(&&Runs::Detect), runs.contains(&&Runs::Risk)));
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
    fn outcomes(&self, of: &[usize], finding: &Finding) -> Vec<Option<Rc<Followed>>> {
        let mut known: Vec<(Chain<'_>, Rc<Followed>)> = Vec::new();
        let mut outcomes: Vec<Option<Rc<Followed>>> = vec![None; self.policies.len()];
        for at in 0..self.policies.len() {
            if !of.contains(&at) {
                continue;
            }
            let Some(chain) = self.chain(at, finding.rule) else {
                continue;
            };
            let (_, asks_risk, _) = chain;
            let same = known.iter().find(|(known, _)| *known == chain);
            let same = same.map(|(_, followed)| Rc::clone(followed));
            let base = outcomes.first().and_then(Option::as_deref);
            let asks = Asks {
                carried: base.map(|base| &base.fills),
                // One without a pair so far may get the fills of one.
                model: at == 0 || at < ENDS && base.is_some(),
            };
            let followed = same.or_else(|| {
                let followed = Rc::new(self.follow(at, asks_risk, finding, asks)?);
                known.push((chain, Rc::clone(&followed)));
                Some(followed)
            });
            if let Some(outcome) = outcomes.get_mut(at) {
                *outcome = followed;
            }
        }
        outcomes
    }

    fn follow(
        &self,
        at: usize,
        asks_risk: bool,
        finding: &Finding,
        asks: Asks<'_>,
    ) -> Option<Followed> {
        let policy = self.policies.get(at)?;
        let (outcome, fills) = self.known?.follow(policy, asks_risk, finding.clone(), asks);
        let outcome = Rc::new(outcome);
        Some(Followed { outcome, fills })
    }

    /// Follows a finding under each of these policies, and compares what comes of it.
    fn take(&mut self, of: &[usize], finding: &Finding) {
        let outcomes = self.outcomes(of, finding);
        let reckoned = self.reckon(&outcomes);
        self.undetected(of, finding);
        self.compare(&outcomes, &reckoned, None);
    }

    /// Compares what comes of a finding under each policy; nothing where a policy does not have it.
    /// Of one that an audit records, with the number of its record: then no other is its pair.
    pub(super) fn note(&mut self, outcomes: &[Option<Rc<Outcome>>], record: Option<u64>) {
        let mut known: Vec<Rc<Followed>> = Vec::new();
        let followed = outcomes.iter().map(|outcome| {
            let outcome = outcome.as_ref()?;
            let mut same = known.iter();
            let same = same.find(|known| Rc::ptr_eq(&known.outcome, outcome));
            if let Some(same) = same {
                return Some(Rc::clone(same));
            }
            let followed = Rc::new(Followed {
                outcome: Rc::clone(outcome),
                fills: Fills::new(),
            });
            known.push(Rc::clone(&followed));
            Some(followed)
        });
        let followed: Vec<Option<Rc<Followed>>> = followed.collect();
        let reckoned = self.reckon(&followed);
        self.compare(&followed, &reckoned, record);
        self.complete(None);
    }

    /// Tells what of that which waits is complete, where there is so much that it is worth a look.
    fn advanced(&mut self, windows: &JointWindows<'_, '_>) {
        if self.waiting.len() < self.look_at {
            return;
        }
        if let Some(come) = windows.to_come() {
            self.complete(Some(&come));
        }
    }

    /// Tells what is complete beside what may still come; all where nothing may.
    fn complete(&mut self, come: Option<&ToCome<'_>>) {
        for together in self.waiting.complete(come) {
            self.tell_of(together);
        }
        let len = self.waiting.len();
        self.look_at = WORTH_A_LOOK.max(2 * len).min(len + LOOK_AGAIN);
    }

    /// Tells what differs between the base and the head, with what makes it.
    fn tell_of(&mut self, together: Together) {
        let mut together = together.into_iter().enumerate();
        let Some((of_head, compare)) = together.next() else {
            return;
        };
        let differing = self.differing(of_head, compare);
        if differing.is_empty() {
            return;
        }
        let mut makers = Makers::default();
        for (of, compare) in together {
            for (_, difference) in self.differing(of, compare) {
                makers.note(of - 1, &difference.what);
            }
        }
        let is_attributed = self.is_attributed();
        let is_detecting = self.is_detecting();
        for (place, mut difference) in differing {
            if !is_detecting {
                difference.certainty = Certainty::DependsOnModel;
            }
            let cause = self.causes.of(&difference.what, &makers, is_attributed);
            self.gathered.note(place, difference, cause);
        }
    }

    /// Whether all that may make a difference was tried.
    fn is_attributed(&self) -> bool {
        let mut variants = 1..self.policies.len().saturating_sub(1);
        self.causes.is_attributed() && variants.all(|of| self.waiting.not_paired(of) == 0)
    }

    /// Where nothing was edited, a model says the same on both sides.
    fn is_detecting(&self) -> bool {
        self.causes.is_without_edits() || !self.ends.iter().any(End::may_detect)
    }

    /// What differs between the base and a policy.
    fn differing(&mut self, of: usize, compare: Compare) -> Vec<(Place, Difference)> {
        let mut all = compare.pairs;
        for (base, head) in compare.of_rules.into_values() {
            let (pairs, left) = pair(base, head);
            self.waiting.leave_out(of, left);
            all.extend(pairs.into_iter().map(|pair| (pair, None)));
        }
        all.sort_by_cached_key(|(pair, _)| order_of(pair));
        let mut differing = Vec::new();
        for ((base, head), certain) in all {
            let again = head.as_ref();
            let again = again.and_then(|head| self.again(of + 1, head, base.as_deref()));
            let both: Pair = (base, again.or(head));
            let Some(order) = order_of(&both) else {
                continue;
            };
            let certain = certain.or_else(|| self.weigh(of, &both));
            let (base, head) = both;
            let what = differ(base.as_deref(), head.as_deref());
            differing.extend(what.into_iter().enumerate().map(|(at, what)| {
                let is_certain = certain.as_ref().is_none_or(|all| all.contains(&what.key()));
                let certainty = if is_certain {
                    Certainty::Certain
                } else {
                    Certainty::DependsOnModel
                };
                ((Rc::clone(&order), at), Difference { what, certainty })
            }));
        }
        differing
    }

    /// Weighs what may come of a pair of the base and the head.
    fn weigh(&mut self, of: usize, (base, head): &Pair) -> Option<Certain> {
        (of == 0).then(|| {
            let [base, head] = [base, head].map(|it| possible(it.as_deref()));
            weigh(&base, &head, &mut self.weighed)
        })
    }

    /// Takes a finding that the base and a policy have, and that leads to different things: to
    /// these, or to what else may come of it where that is told.
    fn both(
        &mut self,
        of: usize,
        base: Rc<Traced>,
        other: Rc<Traced>,
        possible: Option<(Possible, Possible)>,
    ) {
        let certain = possible.map(|(base, head)| weigh(&base, &head, &mut self.weighed));
        self.waiting.known(of, (Some(base), Some(other)), certain);
    }

    fn compare(
        &mut self,
        outcomes: &[Option<Rc<Followed>>],
        reckoned: &[Option<Reckoned>],
        record: Option<u64>,
    ) {
        let mut known: Vec<(Rc<Followed>, Rc<Traced>)> = Vec::new();
        let of = |at: usize| outcomes.get(at).and_then(Option::as_ref);
        let base = of(0);
        for at in 1..self.policies.len() {
            let other = of(at);
            if let Some((base, other)) = base.zip(other)
                && (Rc::ptr_eq(base, other) || base.outcome == other.outcome)
            {
                if at < ENDS && !Rc::ptr_eq(base, other) {
                    self.compare_open(base, other);
                }
                continue;
            }
            let waits_with_bounds = at < ENDS && (other.is_none() || base.is_none());
            let mut traced = |at: usize, followed: Option<&Rc<Followed>>| {
                let followed = followed?;
                let same = known.iter().find(|(known, _)| Rc::ptr_eq(known, followed));
                if let Some((_, traced)) = same {
                    return Some(Rc::clone(traced));
                }
                let waits = at > 0 && base.is_none() && record.is_none();
                let again = waits.then(|| Again {
                    finding: followed.outcome.finding.clone(),
                    reckoned: reckoned.get(at).cloned().flatten().unwrap_or_default(),
                });
                let mut traced = self.trace(at, followed, again)?.recorded(record);
                // One that waits for its pair is compared then.
                if waits_with_bounds {
                    traced.beside.possible = self.possible(at, followed, &traced);
                }
                let traced = Rc::new(traced);
                known.push((Rc::clone(followed), Rc::clone(&traced)));
                Some(traced)
            };
            let (compared, is_end) = (at - 1, at < ENDS);
            match (traced(0, base), traced(at, other)) {
                (base, other) if record.is_some() && base == other => {}
                pair if record.is_some() => self.waiting.known(compared, pair, None),
                (Some(one), Some(two)) => {
                    let possible = base.zip(other).filter(|_| is_end);
                    let possible = possible.map(|(base, head)| {
                        let base = self.possible(0, base, &one);
                        let head = self.possible(at, head, &two);
                        (
                            base.unwrap_or_else(|| Possible::exactly(&one)),
                            head.unwrap_or_else(|| Possible::exactly(&two)),
                        )
                    });
                    self.both(compared, one, two, possible);
                }
                (Some(base), None) => self.waiting.take(compared, Whose::Base, base, is_end),
                (None, Some(other)) => self.waiting.take(compared, Whose::Head, other, is_end),
                (None, None) => {}
            }
        }
    }

    /// Counts what comes of a finding under the base and the head.
    fn reckon(&mut self, outcomes: &[Option<Rc<Followed>>]) -> Vec<Option<Reckoned>> {
        let mut all: Vec<Option<Reckoned>> = Vec::new();
        let base = outcomes.first().and_then(Option::as_ref);
        for (at, (end, of_rules)) in self.ends.iter_mut().zip(&mut self.of_rules).enumerate() {
            let followed = outcomes.get(at).and_then(Option::as_ref);
            let is_base = at > 0
                && base
                    .zip(followed)
                    .is_some_and(|(one, it)| Rc::ptr_eq(one, it));
            let same = all.first().cloned().flatten().filter(|_| is_base);
            let reckoned = same.or_else(|| Some(end.reckon(followed?)));
            if let (Some(reckoned), Some(followed)) = (&reckoned, followed) {
                end.add(reckoned);
                let finding = &followed.outcome.finding;
                *of_rules.entry(finding.rule).or_default() += 1;
                let day = (finding.rule, day_of(finding.created_at));
                let of_day = self.of_days.entry(day).or_default();
                of_day
                    .iter_mut()
                    .skip(at)
                    .take(1)
                    .for_each(|count| *count += 1);
            }
            all.push(reckoned);
        }
        all
    }

    /// Counts what may come of a finding under policies whose runs detect only if a model says so.
    fn undetected(&mut self, of: &[usize], finding: &Finding) {
        for at in 0..ENDS {
            let end = self.ends.get(at).filter(|end| end.may_detect());
            let followed = end.filter(|_| of.contains(&at)).and_then(|end| {
                let followed = self.follow(at, false, finding, Asks::default())?;
                Some(end.reckon(&followed))
            });
            if let (Some(mut reckoned), Some(end)) = (followed, self.ends.get_mut(at)) {
                for span in reckoned.spans.values_mut() {
                    (span.figure, span.least) = (0, 0);
                }
                end.add(&reckoned);
            }
        }
    }

    /// Adds what a model could make differ of a finding that is the same on both sides so far.
    fn compare_open(&mut self, base: &Followed, head: &Followed) {
        let ends = [(0, base), (1, head)];
        let is_open = |(at, followed): &(usize, &Followed)| {
            let end = self.ends.get(*at);
            end.is_some_and(|end| end.open(followed, Marks::LeftOut).is_some())
        };
        if !ends.iter().any(is_open) {
            return;
        }
        let [base, head] = ends.map(|(at, followed)| {
            let policy = self.policies.get(at)?;
            let traced = Traced::new(&followed.outcome, policy);
            let possible = self.possible(at, followed, &traced);
            Some(possible.unwrap_or_else(|| Possible::exactly(&traced)))
        });
        if let Some((base, head)) = base.zip(head) {
            weigh_open(&base, &head, &mut self.weighed);
        }
    }

    /// What is compared of a finding.
    fn trace(&self, at: usize, followed: &Followed, again: Option<Again>) -> Option<Traced> {
        let is_filled = self.known.is_some_and(Known::is_some);
        let beside = Beside {
            fills: followed.fills.clone(),
            possible: None,
            again: again.filter(|_| is_filled).map(Box::new),
        };
        let policy = self.policies.get(at)?;
        Some(Traced::new(&followed.outcome, policy).with(beside))
    }

    /// What may come of a finding of the base or the head; nothing where no slot is open.
    fn possible(&self, at: usize, followed: &Followed, traced: &Traced) -> Option<Possible> {
        self.ends.get(at)?.possible(followed, traced)
    }

    /// Follows a finding again now that its pair is known: with the fills of that.
    fn again(&mut self, at: usize, traced: &Traced, base: Option<&Traced>) -> Option<Rc<Traced>> {
        let again = traced.beside.again.as_ref()?;
        let asks = Asks {
            carried: base.map(|base| &base.beside.fills),
            model: at < ENDS,
        };
        let (_, asks_risk) = self.runs.get(at)?;
        let followed = self.follow(at, *asks_risk, &again.finding, asks)?;
        let mut traced = self.trace(at, &followed, None)?;
        traced.beside.possible = self.possible(at, &followed, &traced);
        if let Some(end) = self.ends.get_mut(at) {
            let reckoned = end.reckon(&followed);
            end.take(&again.reckoned);
            end.add(&reckoned);
        }
        Some(Rc::new(traced))
    }

    /// Everything that is told.
    pub(super) fn tell(mut self, read: Read, mut doubts: Vec<Doubt>, sides: [&Side; 2]) -> Effect {
        self.complete(None);
        let not_paired = self.waiting.not_paired(0);
        if not_paired > 0 {
            let about = About::NotPaired {
                findings: not_paired,
            };
            doubts.push(Doubt {
                about,
                decisive: true,
            });
        }
        let gathered = std::mem::take(&mut self.gathered);
        if !self.is_attributed() && !gathered.is_empty() {
            let edits = gathered.edits();
            let about = About::NotAttributed { edits };
            doubts.push(Doubt {
                about,
                decisive: false,
            });
        }
        doubts.extend(self.prompts(sides));
        let mut effect = Effect {
            read,
            edits: Vec::new(),
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
                findings: std::mem::take(&mut self.of_days),
                ..Tally::default()
            },
        };
        let by_rule = gathered.into_effect(&mut effect);
        let is_detecting = self.is_detecting();
        for kind in KINDS {
            let bounds = self.bounds(kind, &self.weighed, is_detecting);
            let spans = self.ends.iter().map(|end| end.spans.get(&kind).copied());
            let spans: Vec<Span> = spans.map(Option::unwrap_or_default).collect();
            let counts = &mut effect.delta(kind).counts;
            if let [base, head] = spans.as_slice() {
                (counts.base, counts.head) = (base.figure, head.figure);
            }
            counts.bound(bounds);
        }
        effect.by_rule = of_rules(by_rule, &self.of_rules, sides);
        effect
    }

    /// How many records of a kind there are, whatever a model says. Where it may say that nothing
    /// is detected, all that may be there may also differ.
    fn bounds(&self, kind: Kind, weighed: &Weighed, is_detecting: bool) -> Bounds {
        let of = |at: usize| {
            let span = self.ends.get(at).and_then(|end| end.spans.get(&kind));
            let span = span.copied().unwrap_or_default();
            Least {
                at_least: span.least,
                at_most: span.most,
            }
        };
        let (base, head) = (of(0), of(1));
        let differ = |way: Way, most: u64| {
            let weighed = weighed.get(&(kind, way)).copied().unwrap_or_default();
            if is_detecting {
                weighed
            } else {
                Least {
                    at_least: 0,
                    at_most: most,
                }
            }
        };
        Bounds {
            base,
            head,
            added: differ(Way::Added, head.at_most),
            removed: differ(Way::Removed, base.at_most),
            changed: differ(Way::Changed, base.at_most.min(head.at_most)),
        }
    }

    /// The prompts that are others, so that no fill of their slots is carried, and what is open for that.
    fn prompts(&self, [base, head]: [&Side; 2]) -> Vec<Doubt> {
        let slots = head.policy.prompts.keys().chain(base.policy.prompts.keys());
        let slots: BTreeSet<&String> = slots.collect();
        let doubt = |slot: &String| {
            let digest = |side: &Side| side.policy.prompts.get(slot).map(|prompt| prompt.digest);
            let findings = self.ends.iter().filter_map(|end| end.open.get(slot));
            let findings = findings.copied().max().filter(|findings| *findings > 0)?;
            if digest(base) == digest(head) {
                return None;
            }
            let settings = [head, base].map(|side| side.policy.slots.get(slot));
            let settings = settings.into_iter().flatten().next()?;
            let about = About::Prompt {
                file: settings.prompt.0.clone(),
                slot: slot.clone(),
                findings,
            };
            Some(Doubt {
                about,
                decisive: false,
            })
        };
        slots.into_iter().filter_map(doubt).collect()
    }
}

/// So many findings that wait are worth a look for those that need not any more.
const WORTH_A_LOOK: usize = 64;

/// So many more are worth another look, however many wait: there is room for so many of a side alone.
const LOOK_AGAIN: usize = 1_000;

/// So many of the policies are ends: the base and the head.
const ENDS: usize = 2;

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

/// Takes findings from the windows.
struct Sink<'s, 'p> {
    following: Following<'p>,
    joint: &'s Joint<'s>,
    sides: [&'s Side; 2],
    doubts: Vec<Doubt>,
}

impl JointSink for Sink<'_, '_> {
    fn finding(&mut self, of: &[usize], finding: Finding) -> io::Result<()> {
        self.following.take(of, &finding);
        Ok(())
    }

    fn advanced(&mut self, windows: &JointWindows<'_, '_>) {
        self.following.advanced(windows);
    }

    fn met(&mut self, windows: &JointWindows<'_, '_>, counts: &Counts) -> io::Result<()> {
        let log = (counts.first, counts.last);
        self.doubts = doubts::of_rules(self.joint, windows, self.sides, log);
        Ok(())
    }
}
