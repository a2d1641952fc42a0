//! A detection as a row of steps that an event takes one after the other: what it asks of every
//! event that matches, in the order in which it is written.

use std::cmp::Reverse;

use serde_json::Value;
use uuid::Uuid;

use super::Explainer;
use super::taken::{Line, Search, Taken};
use super::told::value;
use crate::detect::condition::Condition;
use crate::diag::Span;
use crate::event::Event;
use crate::json::Fields;

/// One of the things that each event that matches has to satisfy.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// It as a person reads it.
    pub shown: String,
    /// The search that it is a line of.
    pub search: Option<String>,
    /// Where it is written.
    pub span: Span,
}

/// How an event went through the steps of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Walked {
    /// For each step whether the event satisfies it.
    pub passed: Vec<bool>,
    /// At the first step that it does not satisfy the value that was found, if one field is asked.
    pub found: Option<Value>,
    /// The field that is asked there, where nothing was found in it.
    pub absent: Option<String>,
    /// The fewest clauses that would have to be otherwise for it to match, by where they are written.
    pub missed: Vec<Span>,
    /// How many clauses that ask for something hold beside these.
    pub held: usize,
}

/// How far an event is from what is wanted of it.
#[derive(Clone, Default)]
pub(super) struct Distance {
    pub(super) missed: Vec<Span>,
    pub(super) held: usize,
}

impl Distance {
    /// What has to be so for all of these.
    fn all(each: impl Iterator<Item = Self>) -> Self {
        each.fold(Self::default(), |mut sum, one| {
            sum.missed.extend(one.missed);
            sum.held += one.held;
            sum
        })
    }

    /// The nearest of these: one of them is enough.
    fn any(each: impl Iterator<Item = Self>) -> Self {
        let nearest = each.min_by_key(|one| (one.missed.len(), Reverse(one.held)));
        nearest.unwrap_or_default()
    }
}

/// What a step asks.
enum Asks<'t> {
    Line(&'t str, &'t Line),
    Part(&'t Condition),
    Filter(&'t str, &'t Taken),
}

impl Explainer {
    /// The steps of a rule; nothing of one that is no detection, or does not run.
    #[must_use]
    pub fn steps(&self, rule: Uuid) -> Vec<Step> {
        let Some(explained) = self.rules.get(&rule) else {
            return Vec::new();
        };
        let script = explained.script.iter().map(|(_, name, span)| Step {
            shown: format!("script: {name}"),
            search: None,
            span: *span,
        });
        explained.taken.steps().chain(script).collect()
    }

    /// How an event goes through the [steps](Self::steps) of a rule.
    #[must_use]
    pub fn walk(&self, rule: Uuid, event: &Event<'_>) -> Option<Walked> {
        let explained = self.rules.get(&rule)?;
        let asks = explained.taken.asks();
        let mut passed = explained.taken.passed(&event.fields);
        let stopped = passed.iter().position(|passed| !passed);
        let line = stopped.and_then(|at| match asks.get(at)? {
            Asks::Line(_, line) => line.slot.is_some().then_some(line),
            _ => None,
        });
        let found = line.and_then(|line| line.found(&event.fields).next());
        let found = found.map(value);
        let field = line.and_then(|line| line.predicate.field.as_ref());
        let absent = field.filter(|_| found.is_none());
        let absent = absent.map(|field| field.as_str().to_owned());
        let mut distance = explained.taken.distance(&event.fields);
        if let Some((script, _, span)) = &explained.script {
            let holds = stopped.is_none().then(|| script.answer(event));
            let holds = matches!(holds.flatten(), Some(Ok(true)));
            distance
                .missed
                .extend((stopped.is_none() && !holds).then_some(*span));
            passed.push(holds);
        }
        Some(Walked {
            passed,
            found,
            absent,
            missed: distance.missed,
            held: distance.held,
        })
    }
}

impl Taken {
    /// What each event that matches has to satisfy.
    pub(super) fn steps(&self) -> impl Iterator<Item = Step> {
        self.asks().into_iter().map(|asks| self.step(&asks))
    }

    /// For each step whether an event satisfies it.
    pub(super) fn passed(&self, fields: &Fields<'_>) -> Vec<bool> {
        let passes = |asks: Asks<'_>| match asks {
            Asks::Line(_, line) => line.holds(fields),
            Asks::Part(part) => self.condition_holds(part, fields),
            Asks::Filter(_, filter) => filter.holds(fields),
        };
        self.asks().into_iter().map(passes).collect()
    }

    fn asks(&self) -> Vec<Asks<'_>> {
        let mut asks = Vec::new();
        self.collect(&self.condition, &mut asks);
        let filters = self.filters.iter();
        asks.extend(filters.map(|(title, filter)| Asks::Filter(title, filter)));
        asks
    }

    fn collect<'t>(&'t self, condition: &'t Condition, asks: &mut Vec<Asks<'t>>) {
        match condition {
            Condition::All(parts) => parts.iter().for_each(|part| self.collect(part, asks)),
            Condition::Any(parts) if parts.len() == 1 => {
                parts.iter().for_each(|part| self.collect(part, asks));
            }
            Condition::Search(at) => match self.searches.get(*at) {
                Some(search) if search.alternatives.len() == 1 => {
                    let lines = search.alternatives.iter().flatten();
                    asks.extend(lines.map(|line| Asks::Line(&search.name, line)));
                }
                _ => asks.push(Asks::Part(condition)),
            },
            Condition::Any(_) | Condition::Not(_) => asks.push(Asks::Part(condition)),
        }
    }

    fn step(&self, asks: &Asks<'_>) -> Step {
        match asks {
            Asks::Line(search, line) => Step {
                shown: line.predicate.shown.clone(),
                search: Some((*search).to_owned()),
                span: line.predicate.span,
            },
            Asks::Part(part) => Step {
                shown: self.words(part),
                search: None,
                span: self.place,
            },
            Asks::Filter(title, filter) => Step {
                shown: format!("filter: {title}"),
                search: None,
                span: filter.place,
            },
        }
    }

    /// How far an event is from satisfying the condition and every filter.
    pub(super) fn distance(&self, fields: &Fields<'_>) -> Distance {
        let filters = self.filters.iter();
        let filters = filters.map(|(_, filter)| filter.distance(fields));
        let own = self.distance_of(&self.condition, true, fields);
        Distance::all(std::iter::once(own).chain(filters))
    }

    /// How far an event is from a part of the condition being so, or not being so.
    fn distance_of(&self, condition: &Condition, wanted: bool, fields: &Fields<'_>) -> Distance {
        let each = |parts: &[Condition], all: bool| {
            let parts = parts.iter();
            let parts = parts.map(|part| self.distance_of(part, wanted, fields));
            if all == wanted {
                Distance::all(parts)
            } else {
                Distance::any(parts)
            }
        };
        match condition {
            Condition::Search(at) => {
                let search = self.searches.get(*at);
                search.map_or_else(Distance::default, |search| search.distance(wanted, fields))
            }
            Condition::All(parts) => each(parts, true),
            Condition::Any(parts) => each(parts, false),
            Condition::Not(inner) => self.distance_of(inner, !wanted, fields),
        }
    }

    /// A part of the condition in the words of conditions.
    fn words(&self, condition: &Condition) -> String {
        let joined = |parts: &[Condition], word: &str| {
            let parts: Vec<String> = parts.iter().map(|part| self.words(part)).collect();
            format!("({})", parts.join(word))
        };
        match condition {
            Condition::Search(at) => {
                let search = self.searches.get(*at);
                search.map_or_else(String::new, |search| search.name.clone())
            }
            Condition::All(parts) => joined(parts, " and "),
            Condition::Any(parts) => joined(parts, " or "),
            Condition::Not(inner) => format!("not {}", self.words(inner)),
        }
    }
}

impl Search {
    fn distance(&self, wanted: bool, fields: &Fields<'_>) -> Distance {
        let alternatives = self.alternatives.iter().map(|lines| {
            let lines = lines.iter().map(|line| line.distance(wanted, fields));
            if wanted {
                Distance::all(lines)
            } else {
                Distance::any(lines)
            }
        });
        if wanted {
            Distance::any(alternatives)
        } else {
            Distance::all(alternatives)
        }
    }
}

impl Line {
    fn distance(&self, wanted: bool, fields: &Fields<'_>) -> Distance {
        let is_so = self.holds(fields) == wanted;
        Distance {
            missed: (!is_so)
                .then_some(self.predicate.span)
                .into_iter()
                .collect(),
            held: usize::from(is_so && wanted && !self.predicate.negated),
        }
    }
}
