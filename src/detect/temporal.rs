//! `temporal` and `temporal_ordered`: events of several rules near each other.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::detect::Rules;
use crate::detect::bounds::{Bounds, decode_count};
use crate::detect::compile::Scope;
use crate::detect::condition::{self, Words};
use crate::detect::correlation::{
    Account, Asked, Condition, Reached, Written, codes, enter_anew, save_rules,
};
use crate::detect::groups::Window;
use crate::detect::seen::Member;
use crate::detect::state::{Restoring, Saving};
use crate::diag::Problems;
use crate::document::Kind as Shape;
use crate::event::{Nanos, Time};

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
    /// All of them, each by an event of its own that is not before that of the one before.
    Ordered,
}

impl Meeting {
    /// Whether there can be such a window; the event at hand satisfies one rule at least.
    fn can_be(&self, rules: usize) -> bool {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "at most 64")]
            Self::SoMany(bounds) => (1..=rules).any(|met| bounds.hold(met as f64)),
            Self::Expression(expression) => expression.can_hold_with_any(rules),
            Self::Ordered => true,
        }
    }
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
            let bounds = decode_count(node, problems)?;
            let shown = format!("{bounds} of {}", names.join(", "));
            (Meeting::SoMany(bounds), shown)
        }
    };
    if let (Some(node), false) = (written.condition(), asked.can_be(names.len())) {
        problems
            .warn(
                codes::NEVER,
                node.span,
                "no window satisfies this condition, whichever of the rules are met",
            )
            .help(match names.len() {
                1 => "its rule is met at each event".to_owned(),
                rules => format!(
                    "from 1 to {rules} rules are met, and a rule and its `not` never both hold"
                ),
            });
    }
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
            Meeting::Ordered => Box::new(Chain::of(self.rules)),
            Meeting::SoMany(_) | Meeting::Expression(_) => Box::new(Met {
                times: vec![0; self.rules],
                events: VecDeque::new(),
                asked: self,
            }),
        })
    }

    fn so_far(&self, reached: &Reached, _: &Window) -> String {
        let (met, asked) = (reached.number, self.reason(0.0, None));
        match self.asked {
            Meeting::Ordered => {
                format!("the first {met} in this order, where {asked} is asked")
            }
            _ => format!(
                "{met} of {} rules are met, where {asked} is asked",
                self.rules
            ),
        }
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

    #[expect(clippy::cast_precision_loss, reason = "at most 64")]
    fn reached(&self) -> Reached {
        let met = self.times.iter().filter(|times| **times > 0).count() as f64;
        let mut is_met = |at: usize| self.times.get(at).is_some_and(|times| *times > 0);
        match &self.asked.asked {
            Meeting::SoMany(bounds) => Reached::within(met, bounds),
            Meeting::Expression(expression) => Reached {
                number: met,
                lacks: expression.distance(true, &mut is_met) as f64,
            },
            Meeting::Ordered => Reached::default(),
        }
    }

    fn save(&self, saving: &mut Saving<'_>) {
        save_rules(&self.events, saving);
    }

    fn restore(&mut self, saved: &mut Restoring<'_>, members: &VecDeque<Member>) -> Option<()> {
        enter_anew(self, saved, members)
    }
}

/// Rows of events that satisfy the rules in their order, each by an event of its own. A row
/// begins at an instant, and events of one instant stand in it in any order.
struct Chain {
    /// For each rule, when the latest row begins that satisfies the rules up to it.
    starts: Vec<Option<Time>>,
    /// The same without the events of the newest instant.
    before: Vec<Option<Time>>,
    newest: Option<Time>,
    /// Which rules the events of the newest instant satisfy, as far as rows can use them: none
    /// of them where an event of the instant went.
    instant: Vec<Rules>,
    /// The instant of which an event went last.
    gone: Option<Time>,
}

impl Chain {
    fn of(rules: usize) -> Self {
        Self {
            starts: vec![None; rules],
            before: vec![None; rules],
            newest: None,
            instant: Vec::new(),
            gone: None,
        }
    }

    /// Whether another event of the newest instant may make a row that there is not yet. A
    /// row takes no more of them than there are rules. Where one went, each row that ends at
    /// the instant begins there or before, and is not whole.
    fn can_use(&self, rules: Rules) -> bool {
        if self.newest == self.gone {
            return false;
        }
        let whole = self.starts.last().copied().flatten();
        let is_scarce = |at: &usize| {
            let others = self.instant.iter().filter(|known| is_met(**known, *at));
            is_met(rules, *at) && others.count() < self.starts.len()
        };
        whole != self.newest && (0..self.starts.len()).any(|at| is_scarce(&at))
    }

    /// How many events of the newest instant rows can use at the most, where these are in the window.
    fn most_of(&self, members: &VecDeque<Member>) -> usize {
        if self.newest == self.gone {
            return 0;
        }
        let newest = members.iter().rev();
        let newest = newest.take_while(|member| Some(member.time) == self.newest);
        // For each rule as many as there are rules.
        newest.take(self.starts.len().pow(2)).count()
    }

    /// Finds the rows that end at the newest instant. The fewer of the rules are met there,
    /// the earlier a row begins; so for each rule those before it are tried from the first on.
    fn extend(&mut self) {
        let mut meeting = Meetings::of(&self.instant);
        let mut from = 0;
        for at in 0..self.starts.len() {
            while from <= at && !meeting.meets(at) {
                meeting.leave(from);
                from += 1;
            }
            let begun = match from.checked_sub(1) {
                None => self.newest,
                Some(last) if last < at => self.before.get(last).copied().flatten(),
                Some(_) => None, // no event of the instant satisfies the rule
            };
            if let (Some(start), Some(before)) = (self.starts.get_mut(at), self.before.get(at)) {
                *start = begun.max(*before);
            }
        }
    }
}

/// Which event of an instant stands for which rule.
struct Meetings<'e> {
    events: &'e [Rules],
    rules: Vec<Option<usize>>,
}

impl<'e> Meetings<'e> {
    fn of(events: &'e [Rules]) -> Self {
        let rules = vec![None; events.len()];
        Self { events, rules }
    }

    /// Finds an event for one more rule; those that stand for others may change places.
    fn meets(&mut self, rule: usize) -> bool {
        if !self.events.iter().any(|event| is_met(*event, rule)) {
            return false;
        }
        let mut tried = vec![false; self.events.len()];
        self.place(rule, &mut tried)
    }

    fn place(&mut self, rule: usize, tried: &mut [bool]) -> bool {
        for (at, event) in self.events.iter().enumerate() {
            let Some(tried_it) = tried.get_mut(at) else {
                continue;
            };
            if !is_met(*event, rule) || std::mem::replace(tried_it, true) {
                continue;
            }
            let other = self.rules.get(at).copied().flatten();
            if other.is_none_or(|other| self.place(other, tried)) {
                if let Some(place) = self.rules.get_mut(at) {
                    *place = Some(rule);
                }
                return true;
            }
        }
        false
    }

    /// No event needs to stand for a rule any more.
    fn leave(&mut self, rule: usize) {
        let places = self.rules.iter_mut();
        places
            .filter(|place| **place == Some(rule))
            .for_each(|place| *place = None);
    }
}

impl Account for Chain {
    fn enter(&mut self, member: &Member, rules: Rules) {
        if self.newest != Some(member.time) {
            self.newest = Some(member.time);
            self.before.clone_from(&self.starts);
            self.instant.clear();
        }
        if self.can_use(rules) {
            self.instant.push(rules);
            self.extend();
        }
    }

    fn leave(&mut self, member: &Member) {
        self.gone = Some(member.time);
        if self.newest == self.gone {
            self.instant.clear();
        }
    }

    /// A row is whole where nothing of the instant went at which it begins.
    fn hit(&self) -> Option<f64> {
        let start = self.starts.last().copied().flatten();
        (start.is_some() && start > self.gone).then_some(MET)
    }

    #[expect(clippy::cast_precision_loss, reason = "at most 64")]
    fn reached(&self) -> Reached {
        let is_row = |start: &&Option<Time>| start.is_some() && **start > self.gone;
        let met = self.starts.iter().take_while(is_row).count();
        Reached {
            number: met as f64,
            lacks: (self.starts.len() - met) as f64,
        }
    }

    fn weight(&self) -> usize {
        size_of::<Rules>() * self.instant.len()
    }

    fn save(&self, saving: &mut Saving<'_>) {
        for start in self.starts.iter().chain(&self.before) {
            saving.option(start.as_ref(), |saving, start| saving.time(*start));
        }
        save_rules(&self.instant, saving);
        saving.option(self.gone.as_ref(), |saving, gone| saving.time(*gone));
    }

    fn restore(&mut self, saved: &mut Restoring<'_>, members: &VecDeque<Member>) -> Option<()> {
        self.newest = members.back().map(|newest| newest.time);
        for start in self.starts.iter_mut().chain(&mut self.before) {
            *start = saved.option(Restoring::time)?;
        }
        self.instant = saved.each(Restoring::number)?;
        self.gone = saved.option(Restoring::time)?;
        let mut starts = self.starts.iter().chain(&self.before);
        let is_past = starts.all(|start| *start <= self.newest);
        let went_before = self.gone <= members.front().map(|oldest| oldest.time);
        (is_past && went_before && self.instant.len() <= self.most_of(members)).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Detector;
    use crate::detect::capture::Captured;
    use crate::detect::seen::Seen;
    use crate::event::Digest;

    fn members(times: &[i64]) -> VecDeque<Member> {
        let member = |time: &i64| Member {
            time: Time(*time),
            seen: Seen::new(Digest::of(b"x"), None, &Captured::default()),
        };
        times.iter().map(member).collect()
    }

    /// Rows of two rules over a window, of which a limit let so many events go.
    fn chain(times: &[i64], gone: usize) -> Chain {
        let (mut chain, members) = (Chain::of(2), members(times));
        for member in &members {
            chain.enter(member, 1);
        }
        for member in members.iter().take(gone) {
            chain.leave(member);
        }
        chain
    }

    fn can_be_restored(chain: &Chain, times: &[i64]) -> bool {
        let detector = Detector::compile(&[], &Default::default(), &mut Problems::default());
        let mut saving = Saving::new(&detector);
        chain.save(&mut saving);
        let saved = saving.finish();
        let mut restoring = Restoring::new(&detector, &saved).expect("a state");
        let restored = Chain::of(2).restore(&mut restoring, &members(times));
        restored.is_some() && restoring.end() == Ok(())
    }

    #[test]
    fn rows_are_restored_over_their_window() {
        let times = [1, 2, 2, 2];
        for gone in 0..times.len() {
            assert!(
                can_be_restored(&chain(&times, gone), &times[gone..]),
                "{gone}"
            );
        }
    }

    /// What no window leaves is not taken from a state, whoever wrote it.
    #[test]
    fn rows_that_make_no_sense_are_refused() {
        type Forged = fn(&mut Chain);
        let times = [1, 2, 2];
        // What is forged, and how many of the events went.
        #[rustfmt::skip]
        let cases: [(&str, usize, Forged); 6] = [
            ("more than the instant has", 0, |chain| chain.instant = vec![1; 3]),
            ("some of an instant that went in part", 2, |chain| chain.instant.push(1)),
            ("a row that begins later", 0, |chain| chain.starts[0] = Some(Time(3))),
            ("one before the instant", 0, |chain| chain.before[1] = Some(Time(3))),
            ("a later one went", 0, |chain| chain.gone = Some(Time(2))),
            ("one went that is to come", 2, |chain| chain.gone = Some(Time(3))),
        ];
        for (what, gone, forge) in cases {
            let mut chain = chain(&times, gone);
            assert!(can_be_restored(&chain, &times[gone..]), "{what}");
            forge(&mut chain);
            assert!(!can_be_restored(&chain, &times[gone..]), "{what}");
        }
        // However many came at an instant, rows use no more than this.
        let times = [1; 9];
        for (noted, is_sense) in [(4, true), (5, false)] {
            let mut chain = chain(&times, 0);
            chain.instant = vec![1; noted];
            assert_eq!(can_be_restored(&chain, &times), is_sense, "{noted}");
        }
    }
}
