//! A question with all that came of it, as it is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ask::answer::Answer;
use crate::ask::decide::Decided;
use crate::ask::evaluate::Limits;
use crate::ask::plan::{CheckMade, Plan, Refused, Wanted};
use crate::ask::request::request;
use crate::event::{Digest, Nanos, Time};
use crate::slots::Consulted;
use crate::tools::{Catalogue, Operator, Term};

/// A question and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Its id: `q-` and the beginning of a digest of the question, its time and the policy.
    pub id: String,
    /// As it was asked.
    pub question: String,
    /// When.
    pub asked_at: Time,
    /// The moment as of which it is answered, where it is about an earlier answer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub as_of: Option<Time>,
    /// The policy whose tools were used.
    pub policy: Digest,
    /// Who said what is wanted: `form`, `model`, or `hand`.
    pub by: String,
    /// Who was asked what is wanted, where a model was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub consulted: Option<Consulted>,
    /// What the model answered, as far as that was accepted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub said: Option<Value>,
    /// The words that nothing accounts for, of a choice that is told all the same.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unaccounted: Option<Vec<String>>,
    /// What it could cost.
    #[serde(default)]
    pub limits: Limits,
    /// The form of questions that it has, where it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub form: Option<String>,
    /// What is wanted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wanted: Option<Wanted>,
    /// What the answer does not say, by the registry.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub notes: Option<String>,
    /// The checks in their order, up to the first that does not hold.
    pub checks: Vec<CheckMade>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<Refused>,
    /// Tools and recipes that are near, where none is certain.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub candidates: Vec<String>,
    /// What was not sent, or not yet.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub not_sent: Vec<String>,
    /// The tenant that was asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tenant: Option<String>,
    /// What the process that asked could not give up.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub not_enforced: Vec<String>,
    /// What is answered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub answer: Option<Answer>,
}

impl Record {
    /// A question that was just asked, at a moment that no other was.
    #[must_use]
    pub fn new(question: &str, moment: Time, policy: Digest) -> Self {
        // Okta's times are of milliseconds; those of questions are of seconds.
        let asked_at = Time(moment.0 - moment.0.rem_euclid(Nanos::SECOND.0));
        let of = json!([question, moment.0, policy]).to_string();
        let digest = Digest::of(of.as_bytes()).to_string();
        Self {
            id: format!("q-{}", digest.get(..12).unwrap_or_default()),
            question: question.to_owned(),
            asked_at,
            as_of: None,
            policy,
            by: String::new(),
            consulted: None,
            said: None,
            unaccounted: None,
            limits: Limits::default(),
            form: None,
            wanted: None,
            notes: None,
            checks: Vec::new(),
            refused: None,
            candidates: Vec::new(),
            not_sent: Vec::new(),
            tenant: None,
            not_enforced: Vec::new(),
            answer: None,
        }
    }

    /// The same with what was decided. `prompt` is that of the model that was asked.
    #[must_use]
    pub fn decided(mut self, decided: &Decided, prompt: Option<Digest>) -> Self {
        decided.by.clone_into(&mut self.by);
        self.form.clone_from(&decided.form);
        self.wanted.clone_from(&decided.wanted);
        self.checks.clone_from(&decided.checks);
        self.refused = decided.outcome.as_ref().err().cloned();
        self.candidates.clone_from(&decided.candidates);
        self.unaccounted.clone_from(&decided.unaccounted);
        if let (Some(asked), Some(prompt)) = (&decided.asked, prompt) {
            self.consulted = Some(Consulted::of(prompt, asked));
            self.said.clone_from(&asked.accepted);
        }
        self
    }
}

/// The requests of a plan, as far as they are known before anything is asked.
#[must_use]
pub fn planned(plan: &Plan, catalogue: &Catalogue, now: Time) -> Vec<String> {
    let mut requests = Vec::new();
    for step in &plan.steps {
        let Operator::Call {
            tool, with, each, ..
        } = &step.operator
        else {
            continue;
        };
        let Some(tool) = catalogue.tool(tool) else {
            continue;
        };
        let mut values: BTreeMap<String, Value> = BTreeMap::new();
        let mut is_known = true;
        for (name, term) in with {
            match known(term, plan, now) {
                Some(value) => values.extend(value.map(|value| (name.clone(), value))),
                None => is_known = false,
            }
        }
        for param in &tool.params {
            let default = param
                .default_at(now)
                .filter(|_| !values.contains_key(&param.name));
            values.extend(default.map(|default| (param.name.clone(), default)));
        }
        requests.push(match (is_known, each) {
            (true, _) => request(tool, &values).shown(tool),
            (false, Some(each)) => format!("GET {} for each row of {each}", tool.path),
            (false, None) => format!("GET {} with what came before", tool.path),
        });
    }
    requests
}

/// What a term stands for, where no answer is needed for that; nothing inside for a parameter that
/// is not given.
#[expect(
    clippy::option_option,
    reason = "not known, not given, and given are three things"
)]
fn known(term: &Term, plan: &Plan, now: Time) -> Option<Option<Value>> {
    match term {
        Term::Literal(value) => Some(Some(value.clone())),
        Term::Param(name) => Some(plan.params.get(name).cloned()),
        Term::Field { .. } => None,
        Term::Ago { amount, unit } => {
            let amount = known(amount, plan, now)??.as_i64()?;
            let amount = (0..=100_000).contains(&amount).then_some(amount)?;
            let then = crate::ask::evaluate::ago(now, amount, *unit);
            Some(Some(then.to_string().into()))
        }
    }
}
