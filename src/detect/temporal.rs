//! `temporal` and `temporal_ordered`: events of several rules near each other.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::detect::Rules;
use crate::detect::bounds::{Bounds, Kind, decode_bounds};
use crate::detect::compile::Scope;
use crate::detect::condition::{self, Words};
use crate::detect::correlation::{Account, Asked, Condition, Written, codes};
use crate::detect::seen::Member;
use crate::detect::state::{Restoring, Saving};
use crate::diag::Problems;
use crate::document::Kind as Shape;
use crate::event::Nanos;

/// Which rules must be met in a window. The rules are known by position.
#[derive(Clone, Debug)]
struct Temporal {
    asked: Meeting,
    rules: usize,
    /// What is asked, in the words of a reason.
    shown: String,
    timespan: Nanos,
}

#[derive(Clone, Debug)]
enum Meeting {
    /// So many of the rules, each by some event.
    SoMany(Bounds),
    /// Those that the expression says.
    Expression(condition::Condition),
    /// All of them, each by an event after that of the one before.
    Ordered,
}

/// A rule of the window is a bit.
const MOST_RULES: usize = Rules::BITS as usize;

/// Reads `condition`, which may be left out (every rule), be bounds on the
/// number of rules (`{gte: 2}`), or an expression (`a and (b or not c)`).
pub(super) fn decode_temporal(
    written: &mut Written<'_>,
    problems: &mut Problems,
) -> Option<Arc<dyn Asked>> {
    written.refuse_selection("temporal", problems)?;
    report_too_many(written, problems)?;
    let names: Vec<&str> = written.names().collect();
    let all = || {
        let every = (0..names.len()).map(condition::Condition::Search).collect();
        Meeting::Expression(condition::Condition::All(every))
    };
    let (asked, shown) = match written.condition() {
        None => (all(), format!("all of {}", names.join(", "))),
        Some(node) if matches!(node.kind, Shape::Text(_)) => {
            let text = node.text(problems)?;
            let words = Words::RULES;
            let parsed = condition::parse_expression(text, &names, words, node.span, problems)?;
            (Meeting::Expression(parsed), text.to_owned())
        }
        Some(node) => {
            let mut table = node.table(problems)?;
            let bounds = decode_bounds(node, &mut table, Kind::Count, &[], problems);
            table.finish(problems);
            let bounds = bounds?;
            let shown = format!("{bounds} of {}", names.join(", "));
            (Meeting::SoMany(bounds), shown)
        }
    };
    Some(Arc::new(Temporal {
        asked,
        rules: names.len(),
        shown,
        timespan: written.timespan,
    }))
}

/// There is no condition: the order of `rules` is all of it.
pub(super) fn decode_temporal_ordered(
    written: &mut Written<'_>,
    problems: &mut Problems,
) -> Option<Arc<dyn Asked>> {
    let few = report_too_many(written, problems);
    let named = written.refuse_selection("temporal_ordered", problems);
    let bare = written.refuse_condition("temporal_ordered", problems);
    few.and(named).and(bare)?;
    let names: Vec<&str> = written.names().collect();
    Some(Arc::new(Temporal {
        asked: Meeting::Ordered,
        rules: names.len(),
        shown: names.join(", then "),
        timespan: written.timespan,
    }))
}

fn report_too_many(written: &Written<'_>, problems: &mut Problems) -> Option<()> {
    let Some((_, span)) = written.rules.get(MOST_RULES) else {
        return Some(());
    };
    let message = format!("a correlation of this type names at most {MOST_RULES} rules");
    problems.error(codes::CONDITION, *span, message);
    None
}

impl Asked for Temporal {
    fn compile(&self, _: &mut Scope<'_>) -> Arc<dyn Condition> {
        Arc::new(self.clone())
    }
}

impl Condition for Temporal {
    fn account(self: Arc<Self>) -> Option<Box<dyn Account>> {
        Some(match self.asked {
            Meeting::Ordered => Box::new(Chain {
                starts: vec![None; self.rules],
                entered: 0,
                left: 0,
            }),
            Meeting::SoMany(_) | Meeting::Expression(_) => Box::new(Met {
                times: vec![0; self.rules],
                events: VecDeque::new(),
                asked: self,
            }),
        })
    }

    fn reason(&self, _: f64, _: Option<&(Member, Member)>) -> String {
        format!("{} within {}", self.shown, self.timespan)
    }
}

/// There is no number to a meeting.
const MET: f64 = 1.0;

fn is_met(rules: Rules, at: usize) -> bool {
    (rules >> at) & 1 == 1
}

/// How many events of the window satisfy each rule.
struct Met {
    times: Vec<u32>,
    /// Which rules each event of the window satisfies.
    events: VecDeque<Rules>,
    asked: Arc<Temporal>,
}

impl Account for Met {
    fn enter(&mut self, _: &Member, rules: Rules) {
        for (at, times) in self.times.iter_mut().enumerate() {
            *times += u32::from(is_met(rules, at));
        }
        self.events.push_back(rules);
    }

    fn leave(&mut self, _: &Member) {
        let rules = self.events.pop_front().unwrap_or_default();
        for (at, times) in self.times.iter_mut().enumerate() {
            *times -= u32::from(is_met(rules, at));
        }
    }

    fn hit(&self) -> Option<f64> {
        let mut met = |at: usize| self.times.get(at).is_some_and(|times| *times > 0);
        let holds = match &self.asked.asked {
            Meeting::SoMany(bounds) => {
                let count = (0..self.times.len()).filter(|at| met(*at)).count();
                #[expect(clippy::cast_precision_loss, reason = "at most 64")]
                bounds.hold(count as f64)
            }
            Meeting::Expression(expression) => expression.holds(&mut met),
            Meeting::Ordered => false,
        };
        holds.then_some(MET)
    }

    fn save(&self, saving: &mut Saving<'_>) {
        saving.each(self.events.iter(), |saving, rules| saving.number(*rules));
    }

    fn restore(&mut self, saved: &mut Restoring<'_>, members: &VecDeque<Member>) -> Option<()> {
        let events: Vec<Rules> = saved.each(Restoring::number)?;
        for (member, rules) in members.iter().zip(&events) {
            self.enter(member, *rules);
        }
        (events.len() == members.len()).then_some(())
    }
}

/// For each rule, where the latest row of events begins that satisfies the
/// rules up to it in their order, each by an event of its own.
struct Chain {
    starts: Vec<Option<u64>>,
    entered: u64,
    left: u64,
}

impl Account for Chain {
    fn enter(&mut self, _: &Member, rules: Rules) {
        // From the last rule to the first: an event is not after itself.
        for at in (0..self.starts.len()).rev().filter(|at| is_met(rules, *at)) {
            let start = match at.checked_sub(1) {
                None => Some(self.entered),
                Some(before) => self.starts.get(before).copied().flatten(),
            };
            if let Some(slot) = self.starts.get_mut(at) {
                *slot = start.max(*slot);
            }
        }
        self.entered += 1;
    }

    fn leave(&mut self, _: &Member) {
        self.left += 1;
    }

    fn hit(&self) -> Option<f64> {
        let start = self.starts.last().copied().flatten();
        start.is_some_and(|start| start >= self.left).then_some(MET)
    }

    /// Rows that began with an event that left are none.
    fn save(&self, saving: &mut Saving<'_>) {
        for start in &self.starts {
            let begun = start.and_then(|start| start.checked_sub(self.left));
            saving.option(begun, Saving::number);
        }
    }

    fn restore(&mut self, saved: &mut Restoring<'_>, members: &VecDeque<Member>) -> Option<()> {
        self.entered = members.len() as u64;
        for start in &mut self.starts {
            *start = saved.option(Restoring::number)?;
        }
        let is_there = |start: &u64| *start < self.entered;
        self.starts.iter().flatten().all(is_there).then_some(())
    }
}
