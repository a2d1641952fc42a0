//! How the events of a log went through the steps of a rule, and which came nearest.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use super::told::{EventTold, FoundTold, NearTold, PlaceTold, StepTold, clause};
use crate::detect::{Clause, Explainer, Step, Verdict, Walked};
use crate::diag::{Problems, Span};
use crate::event::{Digest, Event, Time};
use crate::okta::tree;

/// How events went through the steps of a rule.
#[derive(Default)]
pub(super) struct Funnel {
    /// How many satisfy every step.
    pub(super) matched: u64,
    steps: Vec<Counted>,
    /// The nearest of those that do not, by what they miss.
    nearest: BTreeMap<Rank, Near>,
}

/// What came of one step.
#[derive(Clone, Default)]
struct Counted {
    /// How many satisfy it, wherever else they stop.
    passed: u64,
    /// How many got as far as this.
    reached: u64,
    /// How many got no further.
    stopped: u64,
    /// What was found where they stopped, with how many.
    found: BTreeMap<String, u64>,
    /// Which fields are spelled like one that is absent where they stopped, with how many.
    near: BTreeMap<String, u64>,
    /// Whether that is so much that it is not kept.
    found_many: bool,
}

/// How far events are from a match: how many clauses they miss, how many they have, and which they miss.
type Rank = (usize, Reverse<usize>, Vec<Span>);

struct Near {
    events: u64,
    /// The earliest of them.
    first: (Option<Time>, Digest),
    example: Example,
}

/// An event with what a rule makes of it.
#[derive(Clone)]
pub(super) struct Example {
    input: String,
    line: u64,
    uuid: Option<String>,
    time: Option<Time>,
    tree: Clause,
    raw: Option<Value>,
    alike: u64,
}

/// So many ways of missing a rule are told.
const MOST_NEAR: usize = 3;

/// So many distinct values are counted where events stop; where there are more, none is told, so
/// that it does not matter which came first.
const MOST_FOUND: usize = 1_000;

/// So many of them are told.
const FOUND_TOLD: usize = 3;

impl Funnel {
    /// Takes in an event.
    pub(super) fn takes(
        &mut self,
        walked: Walked,
        nears: bool,
        event: &Event<'_>,
        example: impl FnOnce() -> Option<Example>,
    ) {
        let Walked {
            passed,
            found,
            absent,
            missed,
            held,
        } = walked;
        self.steps.resize(passed.len(), Counted::default());
        let stopped = passed.iter().position(|passed| !passed);
        for (at, (step, passed)) in self.steps.iter_mut().zip(&passed).enumerate() {
            step.passed += u64::from(*passed);
            step.reached += u64::from(stopped.is_none_or(|stopped| at <= stopped));
        }
        let Some(stopped) = stopped else {
            self.matched += 1;
            return;
        };
        if let Some(step) = self.steps.get_mut(stopped) {
            step.stopped += 1;
            step.count(found.map_or_else(String::new, |found| found.to_string()), 1);
            if let Some(near) = absent.and_then(|field| near_field(&field, event)) {
                step.count_near(near, 1);
            }
        }
        // One that satisfies nothing that is asked for has nothing to do with the rule.
        if !nears || held == 0 {
            return;
        }
        let rank = (missed.len(), Reverse(held), missed);
        if let Some(near) = self.nearest.get_mut(&rank) {
            near.events += 1;
            let (time, digest) = near.first;
            // Most are later, and their digests of no account.
            let is_first = event.time < time || (event.time == time && event.digest() < digest);
            if is_first && let Some(example) = example() {
                (near.first, near.example) = ((event.time, event.digest()), example);
            }
            return;
        }
        let last = self.nearest.last_key_value().map(|(last, _)| last);
        let is_full = self.nearest.len() >= MOST_NEAR;
        if is_full && last.is_some_and(|last| *last < rank) {
            return;
        }
        if let Some(example) = example() {
            let near = Near {
                events: 1,
                first: (event.time, event.digest()),
                example,
            };
            self.nearest.insert(rank, near);
            self.cut();
        }
    }

    /// Takes in what was seen behind it.
    pub(super) fn merge(&mut self, more: Self) {
        self.matched += more.matched;
        self.steps
            .resize(self.steps.len().max(more.steps.len()), Counted::default());
        for (step, more) in self.steps.iter_mut().zip(more.steps) {
            step.passed += more.passed;
            step.reached += more.reached;
            step.stopped += more.stopped;
            for (found, events) in more.found {
                step.count(found, events);
            }
            for (near, events) in more.near {
                step.count_near(near, events);
            }
            step.found_many |= more.found_many;
            if step.found_many {
                step.found.clear();
            }
        }
        for (rank, near) in more.nearest {
            match self.nearest.get_mut(&rank) {
                None => {
                    self.nearest.insert(rank, near);
                }
                Some(known) => {
                    let events = known.events + near.events;
                    if near.first < known.first {
                        *known = near;
                    }
                    known.events = events;
                }
            }
        }
        self.cut();
    }

    fn cut(&mut self) {
        while self.nearest.len() > MOST_NEAR {
            self.nearest.pop_last();
        }
    }

    /// The nearest events, one of each kind.
    pub(super) fn nearest(&self) -> Vec<Example> {
        let alike = |near: &Near| Example {
            alike: near.events - 1,
            ..near.example.clone()
        };
        self.nearest.values().map(alike).collect()
    }

    /// What came of each step.
    pub(super) fn told(&self, steps: &[Step], texts: &Problems) -> Vec<StepTold> {
        let none = Counted::default();
        let numbered = steps.iter().enumerate();
        numbered
            .map(|(at, step)| {
                let counted = self.steps.get(at).unwrap_or(&none);
                StepTold {
                    clause: step.shown.clone(),
                    search: step.search.clone(),
                    place: PlaceTold::of(step.span, texts),
                    reached: counted.reached,
                    stopped: counted.stopped,
                    passed: counted.passed,
                    found: counted.most(),
                    near: counted.nearest(),
                    found_many: counted.found_many,
                }
            })
            .collect()
    }
}

impl Counted {
    fn count(&mut self, found: String, events: u64) {
        if !found.is_empty() && !self.found_many {
            *self.found.entry(found).or_default() += events;
            self.found_many = self.found.len() > MOST_FOUND;
        }
        if self.found_many {
            self.found.clear();
        }
    }

    /// Of very many the first in their order are kept, whichever came first.
    fn count_near(&mut self, near: String, events: u64) {
        *self.near.entry(near).or_default() += events;
        if self.near.len() > MOST_FOUND {
            self.near.pop_last();
        }
    }

    /// The fields that are there most often in the place of one that is absent.
    fn nearest(&self) -> Vec<NearTold> {
        let mut near: Vec<(&String, &u64)> = self.near.iter().collect();
        near.sort_by_key(|(field, events)| (Reverse(**events), *field));
        let near = near.into_iter().take(FOUND_TOLD);
        near.map(|(field, events)| NearTold {
            field: field.clone(),
            events: *events,
        })
        .collect()
    }

    /// What was found most often.
    fn most(&self) -> Vec<FoundTold> {
        let mut found: Vec<(&String, &u64)> = self.found.iter().collect();
        found.sort_by_key(|(value, events)| (Reverse(**events), *value));
        let found = found.into_iter().take(FOUND_TOLD);
        found
            .map(|(value, events)| FoundTold {
                value: serde_json::from_str(value).unwrap_or_default(),
                events: *events,
            })
            .collect()
    }
}

/// The field of an event that is spelled like one that it does not have.
fn near_field(field: &str, event: &Event<'_>) -> Option<String> {
    let all = std::str::from_utf8(event.raw).ok().and_then(tree)?;
    let mut verdict = Verdict::Absent(None);
    verdict.look_around(field, &all);
    match verdict {
        // A field that is there and empty has no value either.
        Verdict::Absent(near) => near.filter(|near| near != field),
        _ => None,
    }
}

impl Example {
    /// What a rule makes of an event; `None` where the rule is no detection.
    pub(super) fn of(
        explainer: &Explainer,
        rule: Uuid,
        event: &Event<'_>,
        (input, line): (String, u64),
    ) -> Option<Self> {
        let text = std::str::from_utf8(event.raw).ok();
        Some(Self {
            input,
            line,
            uuid: event.uuid(),
            time: event.time,
            tree: explainer.tree(rule, event)?,
            raw: text.and_then(tree),
            alike: 0,
        })
    }

    pub(super) fn told(&self, texts: &Problems) -> EventTold {
        EventTold {
            input: self.input.clone(),
            line: self.line,
            uuid: self.uuid.clone(),
            time: self.time,
            matches: self.tree.holds,
            alike: self.alike,
            tree: clause(&self.tree, self.raw.as_ref(), texts),
        }
    }
}
