//! What a change of the policy may do before it is merged: the `[gate]` table of `routing.toml`.
//!
//! Nothing that runs reads it: `rulectl diff` holds the difference of two policies against it.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde::{Serialize, Serializer};

use crate::detect::{Rule, SEVERITIES, Severity};
use crate::diag::{Problems, Span};
use crate::document::{Node, Table, codes::BAD_VALUE};

/// The codes of problems in `[gate]`.
pub mod codes {
    /// A budget for a rule that there is not.
    pub const UNKNOWN_RULE: &str = "RL0350";
    /// A waiver that says too little: without a reason, or without what it is for.
    pub const VAGUE_WAIVER: &str = "RL0351";
}

/// The checked `[gate]` table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gate {
    /// What must not be passed, in the order of the clauses.
    pub limits: Vec<Limit>,
    /// What is passed over for a reason and for a time.
    pub waivers: Vec<Waiver>,
}

/// What a limit is about, in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Clause {
    /// Guardrails that hold less.
    WeakenedGuardrails,
    /// Guardrails of which nobody can tell from the files.
    UndecidedGuardrails,
    /// Commands that write, where none wrote that.
    NewWriteScopes,
    /// Findings that are gone.
    LostFindings,
    /// Incidents that are gone.
    LostIncidents,
    /// Findings of a day that were not there before.
    NewFindingsPerDay,
    /// All findings of a rule on a day.
    FindingsPerDay,
}

impl Clause {
    /// Its key in `[gate]`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WeakenedGuardrails => "weakened_guardrails",
            Self::UndecidedGuardrails => "undecided_guardrails",
            Self::NewWriteScopes => "new_write_scopes",
            Self::LostFindings => "lost_findings",
            Self::LostIncidents => "lost_incidents",
            Self::NewFindingsPerDay => "new_findings_per_day",
            Self::FindingsPerDay => "findings_per_day",
        }
    }
}

/// Every clause by its key.
pub const CLAUSES: [(&str, Clause); 7] = [
    ("weakened_guardrails", Clause::WeakenedGuardrails),
    ("undecided_guardrails", Clause::UndecidedGuardrails),
    ("new_write_scopes", Clause::NewWriteScopes),
    ("lost_findings", Clause::LostFindings),
    ("lost_incidents", Clause::LostIncidents),
    ("new_findings_per_day", Clause::NewFindingsPerDay),
    ("findings_per_day", Clause::FindingsPerDay),
];

/// A clause of the gate with how far it lets a change go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What it is about.
    pub clause: Clause,
    /// The rule whose budget it is, by its name, else its id or title.
    pub rule: Option<String>,
    /// How far.
    pub bound: Bound,
    /// Where it is written.
    pub span: Span,
}

/// How far a clause lets a change go. Of two of one clause the lesser is the stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// None at all.
    Deny,
    /// So many.
    Most(u64),
    /// None of this severity or above.
    Below(Severity),
}

impl Serialize for Bound {
    /// As it is written in `[gate]`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Deny => serializer.serialize_str("deny"),
            Self::Most(most) => serializer.serialize_u64(*most),
            Self::Below(severity) => severity.serialize(serializer),
        }
    }
}

/// What a clause passes over, for a reason and for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiver {
    /// The clause.
    pub clause: Clause,
    /// What is passed over: a guardrail, a command or a rule; nothing for all findings of a day.
    pub of: Option<String>,
    /// Why.
    pub reason: String,
    /// The last day on which it holds, in UTC.
    pub until: NaiveDate,
    /// Where it is written.
    pub span: Span,
}

/// Takes `gate` out of the root table, which need not be there.
pub fn decode_gate(root: &mut Table<'_>, problems: &mut Problems) -> Option<Gate> {
    let Some(node) = root.get("gate") else {
        return Some(Gate::default());
    };
    let mut table = node.table(problems)?;
    let mut gate = Gate::default();
    for (key, clause) in CLAUSES {
        // Only rules have a budget for all of their findings.
        if clause != Clause::FindingsPerDay {
            gate.limit(&mut table, (key, clause), None, problems);
        }
    }
    if let Some(rules) = table.get("rules").and_then(|node| node.table(problems)) {
        for (key, node) in rules.entries() {
            if let Some(budget) = node.table(problems) {
                gate.budget(&key.text, budget, problems);
            }
        }
    }
    let waivers = table.get("waivers").and_then(|node| node.list(problems));
    for node in waivers.unwrap_or_default() {
        if let Some(table) = node.table(problems) {
            gate.waivers.extend(waiver(table, node, problems));
        }
    }
    table.finish(problems);
    Some(gate)
}

impl Gate {
    /// The budget of one rule.
    fn budget(&mut self, rule: &str, mut table: Table<'_>, problems: &mut Problems) {
        let clauses = [Clause::NewFindingsPerDay, Clause::FindingsPerDay];
        for clause in clauses {
            self.limit(&mut table, (clause.as_str(), clause), Some(rule), problems);
        }
        table.finish(problems);
    }

    fn limit<'n>(
        &mut self,
        table: &mut Table<'n>,
        (key, clause): (&'n str, Clause),
        rule: Option<&str>,
        problems: &mut Problems,
    ) {
        let Some(node) = table.get(key) else { return };
        if let Some(Some(bound)) = bound(clause, node, problems) {
            self.limits.push(Limit {
                clause,
                rule: rule.map(str::to_owned),
                bound,
                span: table.place_of(key).unwrap_or(node.span),
            });
        }
    }

    /// Reports budgets of rules that there are not.
    pub fn report_unknown(&self, rules: &[Rule], problems: &mut Problems) {
        let mut reported = BTreeSet::new();
        for limit in &self.limits {
            let Some(name) = &limit.rule else { continue };
            if rules.iter().any(|rule| is_called(rule, name)) || !reported.insert(name) {
                continue;
            }
            let known = rules.iter().map(Rule::label);
            problems
                .error(
                    codes::UNKNOWN_RULE,
                    limit.span,
                    format!("a budget for `{name}`, and there is no such rule"),
                )
                .did_you_mean(name, known);
        }
    }
}

/// Whether a rule has this name, id or title.
#[must_use]
pub fn is_called(rule: &Rule, name: &str) -> bool {
    rule.label() == name || rule.title == name || rule.id.to_string() == name
}

/// How far a clause lets a change go; nothing where it says that everything is allowed.
fn bound(clause: Clause, node: &Node, problems: &mut Problems) -> Option<Option<Bound>> {
    const WORDS: [(&str, Option<Bound>); 2] = [("deny", Some(Bound::Deny)), ("allow", None)];
    match clause {
        Clause::WeakenedGuardrails | Clause::UndecidedGuardrails | Clause::NewWriteScopes => {
            node.one_of(&WORDS, problems)
        }
        Clause::LostFindings | Clause::LostIncidents => {
            let severity = node.one_of(&SEVERITIES, problems)?;
            Some(Some(Bound::Below(severity)))
        }
        Clause::NewFindingsPerDay | Clause::FindingsPerDay => {
            Some(Some(Bound::Most(node.count(problems)?)))
        }
    }
}

fn waiver(mut table: Table<'_>, node: &Node, problems: &mut Problems) -> Option<Waiver> {
    let clause = table.require("clause", problems);
    let clause = clause.and_then(|node| node.one_of(&CLAUSES, problems));
    let of = table.get("of").and_then(|node| node.text(problems));
    let reason = table.require("reason", problems);
    let reason = reason.and_then(|node| reasonable(node, problems));
    let until = table.require("until", problems);
    let until = until.and_then(|node| day(node, problems));
    let is_named = table.place_of("of").is_some();
    table.finish(problems);
    let clause = clause?;
    if clause != Clause::NewFindingsPerDay && !is_named {
        let message = format!(
            "a waiver of `{}` without `of` would pass over all that it finds",
            clause.as_str()
        );
        problems
            .error(codes::VAGUE_WAIVER, node.span, message)
            .help("write what is meant, as `rulectl diff` names it: `of = \"route.incident.require\"`, or the name of a rule");
        return None;
    }
    Some(Waiver {
        clause,
        of: of.map(str::to_owned),
        reason: reason?.to_owned(),
        until: until?,
        span: node.span,
    })
}

/// A reason that says something.
fn reasonable<'n>(node: &'n Node, problems: &mut Problems) -> Option<&'n str> {
    let reason = node.text(problems)?.trim();
    if reason.is_empty() {
        problems
            .error(codes::VAGUE_WAIVER, node.span, "a waiver without a reason")
            .help("say why, and who agreed: it is shown with every verdict");
        return None;
    }
    Some(reason)
}

fn day(node: &Node, problems: &mut Problems) -> Option<NaiveDate> {
    let text = node.text(problems)?;
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    if day.is_none() {
        problems
            .error(BAD_VALUE, node.span, format!("`{text}` is no day"))
            .help("write year, month and day, such as 2027-03-31: the last day on which it holds, in UTC");
    }
    day
}
