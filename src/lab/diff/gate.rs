//! The difference of two policies held against their gates.
//!
//! Of a clause that both sides have, the stricter one holds: a change cannot loosen the gate that
//! judges it. Waivers are those of the head, so that they stand in what is reviewed.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde::Serialize;
use uuid::Uuid;

use crate::detect::{Rule, Severity};
use crate::diag::counted;
use crate::gate::{Bound, Clause, Limit, Waiver, is_called};
use crate::lab::diff::changes::Changes;
use crate::lab::diff::effect::{Effect, Kind as Record};
use crate::lab::diff::guardrails::{Guardrail, Moved};
use crate::lab::diff::things::{Place, Places};
use crate::lab::diff::{Side, effect};

/// What the gates of both sides say of a change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Whether every clause was judged and no breach of one stands.
    pub passed: bool,
    /// Every clause, in the order of [`Clause`].
    pub clauses: Vec<Judged>,
    /// Waivers that nothing needs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub idle_waivers: Vec<Waived>,
}

/// A clause of the gate, and whether the change keeps to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// The clause.
    pub clause: Clause,
    /// The rule whose budget it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// How far it lets a change go.
    pub bound: Bound,
    /// Where it is written, and on which side.
    #[serde(flatten)]
    pub place: Place,
    /// `head` or `base`.
    pub side: &'static str,
    /// What is said of it.
    pub outcome: Outcome,
    /// What it does not let through.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub breaches: Vec<Breach>,
}

/// What is said of a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A breach stands.
    Failed,
    /// No logs were replayed, so that nobody knows.
    NotJudged,
    /// There are breaches, and a waiver for each.
    Waived,
    /// There is no breach.
    Passed,
}

impl Outcome {
    /// What a person reads.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::NotJudged => "not judged",
            Self::Waived => "waived",
            Self::Passed => "passed",
        }
    }
}

/// Something that a clause does not let through.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Breach {
    /// What a waiver names: a guardrail, a command or a rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The rules that this is; nothing where it is no rule.
    #[serde(skip)]
    pub rules: BTreeSet<Uuid>,
    /// In words.
    pub what: String,
    /// The line that makes it, where one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Place>,
    /// What lets it through all the same, or did until it expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiver: Option<Waived>,
}

impl Breach {
    /// Whether nothing lets it through.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.waiver.as_ref().is_none_or(|waiver| waiver.expired)
    }
}

/// A waiver as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waived {
    /// The clause.
    pub clause: Clause,
    /// What is passed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Why.
    pub reason: String,
    /// The last day on which it holds.
    pub until: NaiveDate,
    /// Whether that is over.
    pub expired: bool,
    /// Where it is written.
    #[serde(flatten)]
    pub place: Place,
}

/// Holds a change against the gates; nothing where no side has one.
///
/// `today`, in UTC, decides which waivers are over.
#[must_use]
pub fn judge(
    [base, head]: [&Side; 2],
    changes: &Changes,
    effect: Option<&Effect>,
    today: NaiveDate,
) -> Option<Verdict> {
    let limits = stricter(base, head);
    if limits.is_empty() {
        return None;
    }
    let judging = Judging {
        sides: [base, head],
        changes,
        effect,
        writes_are_judged: limits
            .keys()
            .any(|(clause, _)| *clause == Clause::NewWriteScopes),
    };
    let places = Places::of(head);
    let mut waivers: Vec<(&Waiver, Waived, bool)> = (head.policy.gate.waivers.iter())
        .map(|waiver| {
            (
                waiver,
                told(waiver, places.place(waiver.span), today),
                false,
            )
        })
        .collect();
    let clauses: Vec<Judged> = limits
        .into_values()
        .map(|(side, limit)| judging.judged(side, limit, &mut waivers))
        .collect();
    let holds = |judged: &Judged| matches!(judged.outcome, Outcome::Passed | Outcome::Waived);
    let idle = waivers.into_iter().filter(|(_, _, is_used)| !is_used);
    Some(Verdict {
        passed: clauses.iter().all(holds),
        idle_waivers: idle.map(|(_, told, _)| told).collect(),
        clauses,
    })
}

/// By clause and rule, the stricter of the limits of both sides, and the side that it is of.
type Limits<'s> = BTreeMap<(Clause, Option<&'s str>), (usize, &'s Limit)>;

fn stricter<'s>(base: &'s Side, head: &'s Side) -> Limits<'s> {
    let mut limits = Limits::new();
    for (side, policy) in [(1, &head.policy), (0, &base.policy)] {
        for limit in &policy.gate.limits {
            let key = (limit.clause, limit.rule.as_deref());
            let kept = limits.entry(key).or_insert((side, limit));
            if limit.bound < kept.1.bound {
                *kept = (side, limit);
            }
        }
    }
    limits
}

fn told(waiver: &Waiver, place: Place, today: NaiveDate) -> Waived {
    Waived {
        clause: waiver.clause,
        of: waiver.of.clone(),
        reason: waiver.reason.clone(),
        until: waiver.until,
        expired: waiver.until < today,
        place,
    }
}

/// What clauses are held against.
struct Judging<'j> {
    sides: [&'j Side; 2],
    changes: &'j Changes,
    effect: Option<&'j Effect>,
    /// Whether commands that write have a clause of their own.
    writes_are_judged: bool,
}

impl Judging<'_> {
    fn judged(
        &self,
        side: usize,
        limit: &Limit,
        waivers: &mut [(&Waiver, Waived, bool)],
    ) -> Judged {
        let found = self.breaches(limit);
        let mut breaches = Vec::new();
        for mut breach in found.clone().unwrap_or_default() {
            for (waiver, told, is_used) in waivers.iter_mut() {
                let is_for_it = waiver.clause == limit.clause && self.is_of(waiver, &breach);
                // One that still holds goes before one that is over.
                if is_for_it && breach.stands() {
                    breach.waiver = Some(told.clone());
                    *is_used = true;
                }
            }
            breaches.push(breach);
        }
        let outcome = match &found {
            None => Outcome::NotJudged,
            Some(_) if breaches.iter().any(Breach::stands) => Outcome::Failed,
            Some(found) if !found.is_empty() => Outcome::Waived,
            Some(_) => Outcome::Passed,
        };
        let [base, head] = self.sides;
        let (side, name) = if side == 0 {
            (base, "base")
        } else {
            (head, "head")
        };
        Judged {
            clause: limit.clause,
            rule: limit.rule.clone(),
            bound: limit.bound,
            place: Places::of(side).place(limit.span),
            side: name,
            outcome,
            breaches,
        }
    }

    /// Whether a waiver names what a breach is of. Rules have several names.
    fn is_of(&self, waiver: &Waiver, breach: &Breach) -> bool {
        match &waiver.of {
            Some(wanted) if !breach.rules.is_empty() => breach.rules.is_subset(&self.meant(wanted)),
            of => *of == breach.of,
        }
    }

    /// The rule that a name means: by its name or id, else by a title that no other rule has.
    /// Titles are free: a rule does not get what another was given by taking its name for a title.
    fn meant(&self, name: &str) -> BTreeSet<Uuid> {
        let named = self.ids(|rule| rule.is_called(name));
        if !named.is_empty() {
            return named;
        }
        let titled = self.ids(|rule| rule.title == name);
        let is_one = self.sides.iter().all(|side| {
            let mut rules = side.policy.rules.values();
            rules.by_ref().find(|rule| rule.title == name);
            rules.all(|rule| rule.title != name)
        });
        if is_one { titled } else { BTreeSet::new() }
    }

    fn ids(&self, wanted: impl Fn(&Rule) -> bool) -> BTreeSet<Uuid> {
        let sides = self.sides.iter();
        let rules = sides.flat_map(|side| side.policy.rules.values());
        let rules = rules.filter(|rule| wanted(rule));
        rules.map(|rule| rule.id).collect()
    }

    /// What a clause does not let through; nothing where nobody knows.
    fn breaches(&self, limit: &Limit) -> Option<Vec<Breach>> {
        let moved = |wanted: Moved| {
            let guardrails = self.changes.guardrails.iter();
            let guardrails = guardrails.filter(move |guardrail| guardrail.moved == wanted);
            guardrails.filter(|guardrail| !(self.writes_are_judged && is_write(guardrail)))
        };
        match (limit.clause, limit.bound) {
            (Clause::WeakenedGuardrails, _) => {
                Some(moved(Moved::Weaker).map(of_guardrail).collect())
            }
            (Clause::UndecidedGuardrails, _) => {
                Some(moved(Moved::Undecided).map(of_guardrail).collect())
            }
            (Clause::NewWriteScopes, _) => {
                let guardrails = self.changes.guardrails.iter();
                let writes = guardrails
                    .filter(|guardrail| guardrail.moved == Moved::Weaker && is_write(guardrail));
                Some(writes.map(of_guardrail).collect())
            }
            (Clause::LostFindings, Bound::Below(least)) => self.lost(Record::Finding, least),
            (Clause::LostIncidents, Bound::Below(least)) => self.lost(Record::Incident, least),
            (Clause::NewFindingsPerDay, Bound::Most(most)) => self.new_findings(limit, most),
            (Clause::FindingsPerDay, Bound::Most(most)) => self.findings(limit, most),
            _ => Some(Vec::new()),
        }
    }

    /// What is gone of a kind and of a severity or above, rule by rule.
    fn lost(&self, kind: Record, least: Severity) -> Option<Vec<Breach>> {
        let gone = &self.effect?.tally.gone;
        let mut by_rule: BTreeMap<(String, Uuid), (u64, Option<Place>)> = BTreeMap::new();
        for ((of, rule, severity), gone) in gone {
            if *of == kind && *severity >= least {
                let (count, at) = by_rule.entry((self.label(*rule), *rule)).or_default();
                *count += gone.count;
                let first = gone.clause.as_ref();
                *at = at.take().or_else(|| first.map(place_of));
            }
        }
        let breaches = by_rule.into_iter().map(|((rule, id), (count, at))| {
            let is_gone = if count == 1 { "is gone" } else { "are gone" };
            Breach {
                what: format!(
                    "{} of `{rule}` of severity {} or above {is_gone}",
                    counted(count, kind.as_str()),
                    least.as_str()
                ),
                of: Some(rule),
                rules: BTreeSet::from([id]),
                at,
                waiver: None,
            }
        });
        Some(breaches.collect())
    }

    /// Days with more findings that were not there before than are allowed.
    fn new_findings(&self, limit: &Limit, most: u64) -> Option<Vec<Breach>> {
        let counted = self.counted(limit);
        let mut days: BTreeMap<&str, u64> = BTreeMap::new();
        for ((rule, day), count) in &self.effect?.tally.added {
            if counted.as_ref().is_none_or(|rules| rules.contains(rule)) {
                *days.entry(day).or_default() += count;
            }
        }
        Some(self.over(days, limit, most, "new finding"))
    }

    /// Days with more findings of a rule than it may have, where the change made them more.
    fn findings(&self, limit: &Limit, most: u64) -> Option<Vec<Breach>> {
        let counted = self.counted(limit);
        let mut days: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
        for ((rule, day), [base, head]) in &self.effect?.tally.findings {
            if counted.as_ref().is_none_or(|rules| rules.contains(rule)) {
                let both = days.entry(day).or_default();
                let [all_base, all_head] = *both;
                *both = [all_base + base, all_head + head];
            }
        }
        let more = days.into_iter().filter(|(_, [base, head])| head > base);
        let more = more.map(|(day, [_, head])| (day, head)).collect();
        Some(self.over(more, limit, most, "finding"))
    }

    /// The rules that a limit is about; nothing where it is about all.
    fn counted(&self, limit: &Limit) -> Option<BTreeSet<Uuid>> {
        let name = limit.rule.as_deref()?;
        Some(self.ids(|rule| is_called(rule, name)))
    }

    /// The days that have more than they may, as one breach.
    fn over(&self, days: BTreeMap<&str, u64>, limit: &Limit, most: u64, what: &str) -> Vec<Breach> {
        let over = days.into_iter().filter(|(_, count)| *count > most);
        let over: Vec<(&str, u64)> = over.collect();
        // The first of several days with as many.
        let worst = over.iter().rev().max_by_key(|(_, count)| *count);
        let name = limit.rule.as_deref();
        let breach = worst.map(|(day, count)| Breach {
            of: limit.rule.clone(),
            rules: name.map(|name| self.meant(name)).unwrap_or_default(),
            what: format!(
                "{} on {day}, {} with more than {most}",
                counted(*count, what),
                counted(over.len() as u64, "day")
            ),
            at: None,
            waiver: None,
        });
        breach.into_iter().collect()
    }

    fn label(&self, id: Uuid) -> String {
        let mut rules = self
            .sides
            .iter()
            .rev()
            .filter_map(|side| side.policy.rules.get(&id));
        rules
            .next()
            .map_or_else(|| id.to_string(), |rule| rule.label().to_owned())
    }
}

fn is_write(guardrail: &Guardrail) -> bool {
    guardrail.clause.starts_with("commands.")
}

fn of_guardrail(guardrail: &Guardrail) -> Breach {
    Breach {
        of: Some(guardrail.clause.clone()),
        rules: BTreeSet::new(),
        what: guardrail.what.clone(),
        at: guardrail.head.clone().or_else(|| guardrail.base.clone()),
        waiver: None,
    }
}

fn place_of(clause: &effect::Clause) -> Place {
    Place {
        file: clause.file.clone(),
        line: clause.line,
    }
}
