//! What a change of a policy does to the findings that an audit records: each is followed again under
//! both sides and every policy between them, with what the model proposed then.
//!
//! Findings are the recorded ones, and proposals too: a proposal is held against the guardrails of
//! each side even where the request for it would read differently now.

mod proposals;
mod reading;
mod routing;

pub use self::proposals::Carrying;
pub use self::reading::{Survey, survey};
pub use self::routing::{
    Agent, Both, Fate, Fates, Otherwise, Promoted, Reason, Routed, Routing, Treated, Weighed,
};

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::rc::Rc;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use self::proposals::{Answering, Noted, Proposals};
use self::reading::{Item, Run, Told};
use self::routing::Weighing;
use crate::audit::AuditError;
use crate::detect::{Finding, Status};
use crate::event::Time;
use crate::lab::diff::Side;
use crate::lab::diff::effect::{
    About, Between, Chain, Doubt, Effect, Following, Read, Rules, Traced, Tried,
};
use crate::llm::{self, Model};
use crate::pipeline::{Beginning, Filling, Outcome, begin, follow};
use crate::policy::Policy;
use crate::route::Summary;

/// What a change does to what an audit records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Audits {
    /// What was read.
    pub read: ReadAudit,
    /// What differs of the records that follow from the findings.
    #[serde(serialize_with = "without_what_was_read")]
    pub effect: Effect,
    /// What the guardrails make of the recorded proposals.
    pub routing: Routing,
}

/// An effect tells what it read of logs, and there were none.
fn without_what_was_read<S: Serializer>(effect: &Effect, to: S) -> Result<S::Ok, S::Error> {
    let mut told = serde_json::to_value(effect).map_err(serde::ser::Error::custom)?;
    if let Some(told) = told.as_object_mut() {
        told.remove("read");
    }
    told.serialize(to)
}

/// What was read of an audit.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ReadAudit {
    /// Runs.
    pub runs: u64,
    /// Those of them that were decided without a model.
    pub without_model: u64,
    /// How many runs each policy decided, by its digest.
    pub policies: BTreeMap<String, u64>,
    /// Findings; one that a run told several times counts once, as it told it last.
    pub findings: u64,
    /// Those of which the base decides, with what was proposed, what was decided then.
    pub as_recorded: u64,
    /// Findings outside the time range.
    pub outside_range: u64,
    /// Findings that neither side has: of rules that are gone, or where nothing is detected.
    pub of_neither: u64,
    /// The time of the earliest finding that was followed.
    pub first: Option<Time>,
    /// The time of the latest.
    pub last: Option<Time>,
}

/// What cannot be said for certain of recorded findings.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum OfAudit {
    /// The end of the audit is not whole: what stood there is not told.
    AuditCutShort {
        /// What is wrong there.
        why: String,
    },
    /// This version cannot read what is recorded of runs or findings.
    Unreadable {
        /// How many.
        records: u64,
        /// The number of the first.
        first: u64,
    },
    /// It is not recorded what was decided of findings.
    NotDecided {
        /// How many.
        findings: u64,
        /// The number of the record of the first.
        first: u64,
    },
    /// Proposals answer requests that read differently now.
    Carried {
        /// The slot.
        slot: String,
        /// Under which side.
        side: &'static str,
        /// How many.
        proposals: u64,
        /// In what the first of these requests differs.
        differs: String,
    },
    /// Proposals are not to be had any more: their slots take their default.
    ProposalsGone {
        /// The slot.
        slot: String,
        /// Under which side.
        side: &'static str,
        /// How many.
        proposals: u64,
        /// Why, the first time.
        why: String,
    },
    /// Replies are refused that were accepted, and the model was not asked to repair them: their
    /// slots take their default.
    NotRepaired {
        /// The slot.
        slot: String,
        /// Under which side.
        side: &'static str,
        /// How many.
        proposals: u64,
    },
    /// The model was not asked for slots that it is asked for: they take their default.
    NotAsked {
        /// The slot.
        slot: String,
        /// Under which side.
        side: &'static str,
        /// How many times.
        proposals: u64,
    },
    /// A rule finds something else than it did: which findings there would be, logs alone tell.
    FindsOther {
        /// The rule.
        rule: String,
    },
    /// A rule is new: what it would find, logs alone tell.
    NewRule {
        /// The rule.
        rule: String,
    },
    /// Findings are of rules that neither side has, or both detect nothing.
    OfNeither {
        /// How many.
        findings: u64,
    },
    /// Runs were decided by another policy than the base.
    OtherPolicy {
        /// How many.
        runs: u64,
    },
    /// Runs were decided without a model: slots take their default.
    WithoutModel {
        /// How many.
        runs: u64,
    },
    /// Runs are not recorded to have ended: what they found later is not told.
    NotEnded {
        /// How many.
        runs: u64,
    },
    /// There are no findings.
    NoFindings,
}

/// Why an audit cannot be followed again.
#[derive(Debug, thiserror::Error)]
pub enum AuditsError {
    /// It could not be read, or is damaged.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// It does not have the run that is asked for.
    #[error("the audit records no run `{0}`; `rulectl audit show --kind run.begun` lists them")]
    NoRun(Uuid),
    /// It is written in another form.
    #[error("the audit is of format {found}, and this version reads format 1")]
    Format {
        /// Which.
        found: String,
    },
}

/// The findings of these times alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Range {
    /// At or after this.
    pub since: Option<Time>,
    /// Before this.
    pub until: Option<Time>,
}

impl Range {
    fn holds(&self, time: Option<Time>) -> bool {
        match time {
            Some(time) => {
                self.since.is_none_or(|since| time >= since)
                    && self.until.is_none_or(|until| time < until)
            }
            None => self.since.is_none() && self.until.is_none(),
        }
    }
}

/// What taking the head for the base does to what an audit records.
///
/// # Errors
///
/// When the audit cannot be read again.
pub fn audits(
    base: &Side,
    head: &Side,
    folder: &Path,
    survey: &Survey,
    range: Range,
) -> Result<Audits, AuditsError> {
    let tried = Tried::between(base, head, &[]);
    let policies = tried.policies([base, head]);
    let mut again = Again {
        audit: folder,
        range,
        following: Following::new(&policies, &tried),
        known: policies
            .iter()
            .map(|between| between.policy.detector.reporting())
            .collect(),
        policies: policies.clone(),
        names: names(base, head),
        promoted: Vec::new(),
        model: None,
        summary: None,
        read: ReadAudit::default(),
        weighing: Weighing::new([base, head]),
        unreadable: Noticed::default(),
        not_decided: Noticed::default(),
    };
    survey.each(&mut |item| again.take(item))?;
    let mut doubts = again.doubts(survey, &base.policy);
    let Again {
        following,
        read,
        weighing,
        names,
        ..
    } = again;
    let routing = weighing.finish();
    doubts.extend(of_rules(&base.policy, &head.policy, &names));
    doubts.extend(of_proposals(&routing));
    if !tried.is_changed() {
        doubts.iter_mut().for_each(|doubt| doubt.decisive = false);
    }
    Ok(Audits {
        effect: following.tell(Read::default(), doubts, [base, head]),
        read,
        routing,
    })
}

/// The other id of each rule that has two.
fn names(base: &Side, head: &Side) -> HashMap<Uuid, Uuid> {
    let renamed = Rules::new(&base.policy, &head.policy).renamed();
    let both = |(old, new): (Uuid, Uuid)| [(old, new), (new, old)];
    renamed.into_iter().flat_map(both).collect()
}

/// How often something was met, and at which record first.
#[derive(Default)]
struct Noticed {
    times: u64,
    first: u64,
}

impl Noticed {
    fn at(&mut self, record: u64) {
        if self.times == 0 {
            self.first = record;
        }
        self.times += 1;
    }
}

/// Follows again what an audit records.
struct Again<'a> {
    audit: &'a Path,
    range: Range,
    policies: Vec<Between<'a>>,
    following: Following<'a>,
    /// The rules of each policy that give findings.
    known: Vec<HashSet<Uuid>>,
    /// The other id of each rule that has two.
    names: HashMap<Uuid, Uuid>,
    /// Under each policy, the findings of the run that are open and were promoted.
    promoted: Vec<HashSet<Uuid>>,
    /// Of the run: what is said of its model, where it had one.
    model: Option<llm::About>,
    /// Of the run: what its route was decided from.
    summary: Option<Summary>,
    read: ReadAudit,
    weighing: Weighing,
    unreadable: Noticed,
    not_decided: Noticed,
}

/// What comes of a finding under a policy.
#[derive(Clone)]
struct Came {
    outcome: Rc<Outcome>,
    noted: Rc<Noted>,
}

impl Again<'_> {
    fn take(&mut self, item: Item) {
        match item {
            Item::Run(run) => self.run(*run),
            // What was promoted when it opened counts where it closes.
            Item::Told(told) if told.is_superseded || self.range.holds(told.finding.created_at) => {
                self.told(*told);
            }
            Item::Told(_) => self.read.outside_range += 1,
            Item::Unreadable(record) => self.unreadable.at(record),
        }
    }

    fn run(&mut self, run: Run) {
        self.read.runs += 1;
        self.promoted = vec![HashSet::new(); self.policies.len()];
        self.summary = run.summary;
        match run.begun {
            Some(begun) => {
                let decided = self.read.policies.entry(begun.policy.to_string());
                *decided.or_default() += 1;
                self.read.without_model += u64::from(begun.slots.is_none());
                self.model = begun.slots.map(|asks| asks.model);
            }
            None => {
                self.model = None;
                self.unreadable.at(run.seq);
            }
        }
        let about = self.model.clone();
        let proposals = about.map(|about| Proposals::new(self.audit, about, &run.slots));
        let policies = self.policies.iter().enumerate();
        let begun = policies.map(|(at, between)| {
            let fill = |filling: &Filling<'_>| begin(between.policy, filling);
            self.answered(proposals.as_ref(), at, fill)
        });
        let (begun, noted): (Vec<Beginning>, Vec<Noted>) = begun.unzip();
        self.following.begun(&begun, Some(run.seq));
        let (Some([base, head]), Some([of_base, of_head])) =
            (begun.first_chunk(), noted.first_chunk())
        else {
            return;
        };
        let subject = Traced::of_run(&base.route).recorded(Some(run.seq)).subject;
        let noted = [Some(of_base), Some(of_head)];
        self.weighing.proposals(&subject, noted);
        let routes = [Some(&base.route), Some(&head.route)];
        self.weighing.route(&subject, routes, noted);
    }

    fn told(&mut self, told: Told) {
        let came = self.came(&told);
        for (promoted, came) in self.promoted.iter_mut().zip(&came) {
            let Some(Came { outcome, .. }) = came else {
                continue;
            };
            promoted.remove(&told.finding.id);
            if told.finding.status == Status::Open && outcome.promotion.promoted {
                promoted.insert(told.finding.id);
            }
        }
        if told.is_superseded {
            return;
        }
        self.read.findings += 1;
        if !told.is_decided() {
            self.not_decided.at(told.seq);
        }
        let of_base = came.first().and_then(Option::as_ref);
        let is_as_recorded = of_base.is_some_and(|came| told.is_as_recorded(&came.outcome));
        self.read.as_recorded += u64::from(is_as_recorded);
        let time = told.finding.created_at;
        self.read.first = self.read.first.into_iter().chain(time).min();
        self.read.last = self.read.last.max(time);
        let outcomes = came
            .iter()
            .map(|came| came.as_ref().map(|came| Rc::clone(&came.outcome)));
        let outcomes: Vec<Option<Rc<Outcome>>> = outcomes.collect();
        self.following.note(&outcomes, Some(told.seq));
        let mut ends = came.into_iter();
        self.weigh(told.seq, [ends.next().flatten(), ends.next().flatten()]);
    }

    /// Weighs what came of a finding under the base and the head.
    fn weigh(&mut self, record: u64, ends: [Option<Came>; 2]) {
        let [base, head] = &ends;
        let Some(one) = head.as_ref().or(base.as_ref()) else {
            self.read.of_neither += 1;
            return;
        };
        let side = usize::from(head.is_some());
        let Some(policy) = self.policies.get(side).map(|between| between.policy) else {
            return;
        };
        let subject = Traced::new(&one.outcome, policy)
            .recorded(Some(record))
            .subject;
        if let (Some(base), Some(head)) = (base, head) {
            self.weighing
                .promotion(&subject, [&base.outcome, &head.outcome]);
        }
        let noted = ends
            .each_ref()
            .map(|came| came.as_ref().map(|came| &*came.noted));
        self.weighing.proposals(&subject, noted);
        let routes = ends.each_ref().map(|came| {
            let response = came.as_ref()?.outcome.response.as_ref()?;
            Some(&response.route)
        });
        self.weighing.route(&subject, routes, noted);
    }

    /// What comes of a finding under each policy; nothing where a policy does not have its rule, or
    /// does not detect. Policies that would follow it in the same way do so once.
    fn came(&self, told: &Told) -> Vec<Option<Came>> {
        let about = self.model.clone();
        let proposals = about.map(|about| Proposals::new(self.audit, about, &told.slots));
        let mut known: Vec<(Way<'_>, Came)> = Vec::new();
        let came = (0..self.policies.len()).map(|at| {
            let way = self.way(at, &told.finding)?;
            if let Some((_, came)) = known.iter().find(|(known, _)| *known == way) {
                return Some(came.clone());
            }
            let policy = self.policies.get(at)?.policy;
            let (_, asks_risk, _) = way.chain;
            let follow = |filling: &Filling<'_>| {
                let finding = way.finding.clone();
                follow(policy, filling, asks_risk, finding, way.was_promoted)
            };
            let (outcome, noted) = self.answered(proposals.as_ref(), at, follow);
            let came = Came {
                outcome: Rc::new(outcome),
                noted: Rc::new(noted),
            };
            known.push((way, came.clone()));
            Some(came)
        });
        came.collect()
    }

    /// In which way a policy follows a finding, where it has its rule.
    fn way(&self, at: usize, finding: &Finding) -> Option<Way<'_>> {
        let known = self.known.get(at)?;
        let rules = [Some(&finding.rule), self.names.get(&finding.rule)];
        let rule = rules
            .into_iter()
            .flatten()
            .find(|rule| known.contains(rule))?;
        let chain = self.following.chain(at, *rule)?;
        let rule = self.policies.get(at)?.policy.rules.get(rule)?;
        let promoted = self.promoted.get(at);
        Some(Way {
            chain,
            was_promoted: promoted.is_some_and(|promoted| promoted.contains(&finding.id)),
            finding: finding.clone().as_told_by(rule),
        })
    }

    /// What is made of the slots as the model of the run answered, and what became of its answers.
    fn answered<T>(
        &self,
        proposals: Option<&Proposals>,
        at: usize,
        fill: impl FnOnce(&Filling<'_>) -> T,
    ) -> (T, Noted) {
        // The base and the head come first; of what is between nothing is told.
        let answering = proposals.map(|proposals| Answering::new(proposals, at < 2));
        let came = fill(&Filling {
            model: answering.as_ref().map(|answering| answering as &dyn Model),
            summary: self.summary.as_ref(),
        });
        let noted = answering.map(Answering::noted);
        (came, noted.unwrap_or_default())
    }

    /// What is not certain of what was followed.
    fn doubts(&self, survey: &Survey, base: &Policy) -> Vec<Doubt> {
        let mut doubts = Vec::new();
        let mut doubt = |about: OfAudit, decisive: bool| {
            doubts.push(Doubt {
                about: About::Audit(about),
                decisive,
            });
        };
        if let Some(why) = survey.cut.clone() {
            doubt(OfAudit::AuditCutShort { why }, true);
        }
        if self.read.findings == 0 {
            doubt(OfAudit::NoFindings, true);
        }
        if let Noticed {
            times: records @ 1..,
            first,
        } = self.unreadable
        {
            doubt(OfAudit::Unreadable { records, first }, true);
        }
        if let Noticed {
            times: findings @ 1..,
            first,
        } = self.not_decided
        {
            doubt(OfAudit::NotDecided { findings, first }, true);
        }
        let ReadAudit {
            runs,
            without_model,
            of_neither,
            ..
        } = self.read;
        let base = base.digest.to_string();
        let runs = runs - self.read.policies.get(&base).copied().unwrap_or_default();
        for (count, about) in [
            (
                survey.not_ended,
                OfAudit::NotEnded {
                    runs: survey.not_ended,
                },
            ),
            (runs, OfAudit::OtherPolicy { runs }),
            (
                without_model,
                OfAudit::WithoutModel {
                    runs: without_model,
                },
            ),
            (
                of_neither,
                OfAudit::OfNeither {
                    findings: of_neither,
                },
            ),
        ] {
            if count > 0 {
                doubt(about, false);
            }
        }
        doubts
    }
}

/// In which way a policy follows a finding: what decides what comes of it.
#[derive(PartialEq)]
struct Way<'p> {
    chain: Chain<'p>,
    was_promoted: bool,
    finding: Finding,
}

/// What became of the proposals, slot by slot.
fn of_proposals(routing: &Routing) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let Routing { proposals, why, .. } = routing;
    for (side, counts, why) in [
        ("base", &proposals.base, &why.base),
        ("head", &proposals.head, &why.head),
    ] {
        for (slot, fates) in counts {
            for (carrying, proposals) in fates {
                let (slot, proposals) = (slot.clone(), *proposals);
                let why = || why.get(&slot).cloned().unwrap_or_default();
                let (about, decisive) = match carrying {
                    Carrying::AsRecorded | Carrying::Refused | Carrying::Failed => continue,
                    Carrying::Carried => {
                        let differs = why();
                        (
                            OfAudit::Carried {
                                slot,
                                side,
                                proposals,
                                differs,
                            },
                            false,
                        )
                    }
                    Carrying::NotAsked => (
                        OfAudit::NotAsked {
                            slot,
                            side,
                            proposals,
                        },
                        false,
                    ),
                    Carrying::NotRepaired => (
                        OfAudit::NotRepaired {
                            slot,
                            side,
                            proposals,
                        },
                        true,
                    ),
                    Carrying::Gone => {
                        let why = why();
                        (
                            OfAudit::ProposalsGone {
                                slot,
                                side,
                                proposals,
                                why,
                            },
                            true,
                        )
                    }
                };
                doubts.push(Doubt {
                    about: About::Audit(about),
                    decisive,
                });
            }
        }
    }
    doubts
}

/// The rules that find something else than they did, and those that are new.
fn of_rules(base: &Policy, head: &Policy, names: &HashMap<Uuid, Uuid>) -> Vec<Doubt> {
    let (old, new) = (base.detector.reporting(), head.detector.reporting());
    let mut doubts = Vec::new();
    for (id, rule) in head.rules.iter().filter(|(id, _)| new.contains(id)) {
        let rule = rule.label().to_owned();
        let was = [Some(id), names.get(id)];
        let was = was.into_iter().flatten().find(|id| old.contains(id));
        let about = match was {
            None => OfAudit::NewRule { rule },
            Some(was) if base.detector.logic_digest(*was) == head.detector.logic_digest(*id) => {
                continue;
            }
            Some(_) => OfAudit::FindsOther { rule },
        };
        doubts.push(Doubt {
            about: About::Audit(about),
            decisive: true,
        });
    }
    doubts
}
