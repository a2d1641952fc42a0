//! What a change does to questions: those that were asked, and those of the suites.

use serde::Serialize;
use serde_json::Value;

use crate::ask::{Decided, Deciding, Wanted, planned};
use crate::event::Time;
use crate::lab::diff::Side;
use crate::lab::run::told;

/// A question that was asked, or that a suite asks.
#[derive(Clone, Debug, PartialEq)]
pub struct PastQuestion {
    /// The id under which it is kept; nothing for one of a suite.
    pub id: Option<String>,
    /// As it was asked.
    pub question: String,
    /// What a person or a model said that it asks for; nothing where its form says so.
    pub wanted: Option<Wanted>,
    /// Whether that was a model, whose choice a form has to account for.
    pub by_model: bool,
}

/// What a change does to questions.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Questions {
    /// How many were held against both sides.
    pub asked: usize,
    /// Those with which it is not the same.
    pub changed: Vec<QuestionChange>,
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QuestionChange {
    /// The id under which it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// As it was asked.
    pub question: String,
    /// What it is now.
    pub action: QuestionAction,
    /// What the base makes of it: a call, or a refusal.
    pub base: Value,
    /// What the head makes of it.
    pub head: Value,
}

/// What a question is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum QuestionAction {
    /// It was answered, and is refused.
    Refused,
    /// It was refused, and is answered.
    Answered,
    /// It is answered by something else, or refused for another reason.
    Changed,
}

/// Holds questions against both sides: nothing is sent, and no model is asked.
#[must_use]
pub fn questions(base: &Side, head: &Side, asked: &[PastQuestion]) -> Questions {
    let changed = asked.iter().filter_map(|past| {
        let (base, was) = made(base, past);
        let (head, is) = made(head, past);
        let action = match (base, head) {
            (true, false) => QuestionAction::Refused,
            (false, true) => QuestionAction::Answered,
            _ => QuestionAction::Changed,
        };
        (was != is).then(|| QuestionChange {
            id: past.id.clone(),
            question: past.question.clone(),
            action,
            base: was,
            head: is,
        })
    });
    let mut changed: Vec<QuestionChange> = changed.collect();
    changed.sort_by(|one, other| {
        (one.action, &one.question, &one.id).cmp(&(other.action, &other.question, &other.id))
    });
    Questions {
        asked: asked.len(),
        changed,
    }
}

/// Whether a side answers a question, and by what.
fn made(side: &Side, past: &PastQuestion) -> (bool, Value) {
    let policy = &side.policy;
    let deciding = Deciding {
        catalogue: &policy.tools,
        after: &[],
        only: &[],
        settings: policy.ask,
        granted: None,
        model: None,
    };
    let decided: Decided = match &past.wanted {
        Some(wanted) if past.by_model => deciding.held(&past.question, wanted.clone(), Vec::new()),
        Some(wanted) => deciding.checked(&past.question, wanted.clone()),
        None => deciding.decide(&past.question),
    };
    let mut told = told(&decided);
    let plan = decided.outcome.ok();
    if let (Some(plan), Value::Object(told)) = (&plan, &mut told) {
        // The moment is the same on both sides, and no other matters.
        let requests = planned(plan, &policy.tools, Time(0));
        told.insert("requests".to_owned(), requests.into());
    }
    (plan.is_some(), told)
}
