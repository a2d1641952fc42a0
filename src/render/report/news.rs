//! What of a diff comes first: what its gate says, what is lost, which guardrails hold less, and
//! whether that is certain.

use crate::diag::counted;
use crate::lab::diff::effect::{Kind, Lost, Signed};
use crate::lab::diff::{Changes, Effect, Moved, Outcome, Verdict};
use crate::render::effect::signed;
use crate::render::report::Diffed;
use crate::render::report::naming::Naming;

/// How good the news is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// Something is lost, or a guardrail holds less.
    Bad,
    /// Nobody can tell.
    Unsure,
    /// Neither.
    Good,
}

impl Tone {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::Unsure => "unsure",
            Self::Good => "good",
        }
    }
}

/// The news, the most important first.
pub(super) struct News {
    pub(super) tone: Tone,
    /// What stands out.
    pub(super) news: String,
    /// What became of the findings.
    pub(super) findings: String,
    /// Why it is inconclusive, where it is.
    pub(super) doubts: Vec<String>,
}

impl News {
    pub(super) fn of(diffed: &Diffed<'_>, naming: &Naming) -> Self {
        let Diffed {
            changes, effect, ..
        } = diffed;
        let doubts = effect.map(|effect| decisive(effect, naming));
        let doubts = doubts.unwrap_or_default();
        let weaker = moved(changes, Moved::Weaker);
        let undecided = moved(changes, Moved::Undecided);
        let lost = effect.map_or(0, |effect| effect.lost.len());
        Self {
            tone: match diffed.gate {
                Some(gate) if has(gate, Outcome::Failed) => Tone::Bad,
                None if weaker + lost > 0 => Tone::Bad,
                _ if !doubts.is_empty() => Tone::Unsure,
                Some(gate) if !gate.passed => Tone::Unsure,
                None if undecided > 0 => Tone::Unsure,
                _ => Tone::Good,
            },
            news: news(diffed),
            findings: effect.map_or_else(|| "No logs were replayed".to_owned(), findings),
            doubts,
        }
    }
}

fn news(diffed: &Diffed<'_>) -> String {
    if diffed.changes.same {
        return "No difference: both are the same policy, byte for byte".to_owned();
    }
    let gate = diffed.gate.map(gate).unwrap_or_default();
    let lost = diffed.effect.map(lost).unwrap_or_default();
    let guardrails = guardrails(diffed.changes);
    let news: Vec<String> = [gate, lost, guardrails]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect();
    if news.is_empty() {
        return match diffed.effect {
            Some(_) => "Nothing of severity high or above is lost, and no guardrail moved",
            None => "No guardrail moved",
        }
        .to_owned();
    }
    news.join(". ")
}

/// Whether a clause of a gate came out so.
fn has(gate: &Verdict, outcome: Outcome) -> bool {
    gate.clauses.iter().any(|judged| judged.outcome == outcome)
}

/// `Gate: not passed, 2 failed, 1 waived`.
pub(super) fn gate(gate: &Verdict) -> String {
    let passed = if gate.passed { "passed" } else { "not passed" };
    let outcomes = [Outcome::Failed, Outcome::NotJudged, Outcome::Waived];
    let counts = outcomes.into_iter().filter_map(|outcome| {
        let clauses = gate.clauses.iter();
        let count = clauses.filter(|judged| judged.outcome == outcome).count();
        (count > 0).then(|| format!(", {count} {}", outcome.as_str()))
    });
    format!("Gate: {passed}{}", counts.collect::<String>())
}

/// `Lost of severity high or above: 1 finding, 3 incidents`.
fn lost(effect: &Effect) -> String {
    let of = |kind: Kind| {
        let is_of = |lost: &&Lost| lost.kind == kind;
        match effect.lost.iter().filter(is_of).count() {
            0 => None,
            count => Some(counted(count as u64, kind.as_str())),
        }
    };
    let kinds = [Kind::Finding, Kind::Incident, Kind::Step, Kind::Command];
    let kinds: Vec<String> = kinds.into_iter().filter_map(of).collect();
    let more = match effect.lost_left_out {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match kinds.is_empty() {
        true => String::new(),
        false => format!("Lost of severity high or above: {}{more}", kinds.join(", ")),
    }
}

/// `guardrails: 3 weaker, 1 undecided`; nothing where none moved.
pub(super) fn guardrails(changes: &Changes) -> String {
    let of = |way: Moved| match moved(changes, way) {
        0 => None,
        count => Some(format!("{count} {}", way.as_str())),
    };
    let ways = [Moved::Weaker, Moved::Undecided, Moved::Stronger];
    let ways: Vec<String> = ways.into_iter().filter_map(of).collect();
    match ways.is_empty() {
        true => String::new(),
        false => format!("Guardrails: {}", ways.join(", ")),
    }
}

pub(super) fn moved(changes: &Changes, way: Moved) -> usize {
    let guardrails = changes.guardrails.iter();
    guardrails
        .filter(|guardrail| guardrail.moved == way)
        .count()
}

fn findings(effect: &Effect) -> String {
    let counts = &effect.findings.counts;
    let signs = Signed {
        added: counts.added,
        removed: counts.removed,
        changed: counts.changed,
    };
    format!(
        "Findings {} → {} ({}) in {}",
        counts.base,
        counts.head,
        signed(&signs),
        counted(effect.read.events, "event")
    )
}

fn decisive(effect: &Effect, naming: &Naming) -> Vec<String> {
    let doubts = effect.doubts.iter().filter(|doubt| doubt.decisive);
    doubts.map(|doubt| naming.doubt(doubt)).collect()
}
