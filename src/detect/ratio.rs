//! `ratio`: how many events of one rule come on those of another.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::detect::Rules;
use crate::detect::bounds::{Bounds, Kind, decode_bounds};
use crate::detect::compile::Scope;
use crate::detect::correlation::{
    Account, Asked, Condition, Reached, Written, codes, enter_anew, save_rules,
};
use crate::detect::groups::Window;
use crate::detect::seen::Member;
use crate::detect::state::{Restoring, Saving};
use crate::diag::Problems;
use crate::document::Node;
use crate::event::Nanos;

/// Bounds that the ratio must keep.
#[derive(Clone, Debug)]
struct Ratio {
    bounds: Bounds,
    /// How many events there must be to compare with.
    at_least: u64,
    counted: String,
    compared: String,
    timespan: Nanos,
}

/// Reads `condition: {gt: 0.5, at-least: 20}`; what is compared with what is said by
/// the order of `rules`.
pub(super) fn decode_ratio(
    written: &mut Written<'_>,
    problems: &mut Problems,
) -> Option<Arc<dyn Asked>> {
    let node = written.needed(problems)?;
    let mut table = node.table(problems)?;
    let at_least = match table.get("at-least") {
        Some(node) => decode_at_least(node, problems),
        None => Some(1),
    };
    let bounds = decode_bounds(node, &mut table, Kind::Number, &["at-least"], problems);
    table.finish(problems);
    let help = "write `rules: [a, b]`: the number of events of `a` by that of `b`";
    let (counted, compared) = written.first_and_others("ratio", help, problems)?;
    written.refuse_twice(problems)?;
    Some(Arc::new(Ratio {
        bounds: bounds?,
        at_least: at_least?,
        counted,
        compared,
        timespan: written.timespan,
    }))
}

fn decode_at_least(node: &Node, problems: &mut Problems) -> Option<u64> {
    let least = node.count(problems)?;
    if least == 0 {
        let message = "there is no ratio to no event";
        problems
            .error(codes::CONDITION, node.span, message)
            .help("write 1 or more, or leave `at-least` out");
        return None;
    }
    Some(least)
}

impl Asked for Ratio {
    fn compile(&self, _: &mut Scope<'_>) -> Arc<dyn Condition> {
        Arc::new(self.clone())
    }
}

impl Condition for Ratio {
    fn account(self: Arc<Self>) -> Option<Box<dyn Account>> {
        Some(Box::new(Counts {
            asked: self,
            events: VecDeque::new(),
            counted: 0,
            compared: 0,
        }))
    }

    fn so_far(&self, reached: &Reached, _: &Window) -> String {
        let (asked, least) = (self.reason(reached.number, None), self.at_least);
        format!("{asked} of {least} of {} at least", self.compared)
    }

    fn reason(&self, ratio: f64, _: Option<&(Member, Member)>) -> String {
        let (counted, compared, within) = (&self.counted, &self.compared, self.timespan);
        let bounds = &self.bounds;
        format!(
            "{ratio:.3} events of {counted} on each of {compared} within {within}, where {bounds} is asked"
        )
    }
}

/// The rule that is counted is the first.
const COUNTED: Rules = 1;

/// How many events of the window satisfy the first rule, and how many some other.
struct Counts {
    asked: Arc<Ratio>,
    /// Which rules each event of the window satisfies.
    events: VecDeque<Rules>,
    counted: u64,
    compared: u64,
}

impl Account for Counts {
    fn enter(&mut self, _: &Member, rules: Rules) {
        self.counted += u64::from(rules & COUNTED != 0);
        self.compared += u64::from(rules & !COUNTED != 0);
        self.events.push_back(rules);
    }

    fn leave(&mut self, _: &Member) {
        let rules = self.events.pop_front().unwrap_or_default();
        self.counted -= u64::from(rules & COUNTED != 0);
        self.compared -= u64::from(rules & !COUNTED != 0);
    }

    #[expect(clippy::cast_precision_loss, reason = "no window holds 2^53 events")]
    fn hit(&self) -> Option<f64> {
        if self.compared < self.asked.at_least {
            return None;
        }
        let ratio = self.counted as f64 / self.compared as f64;
        self.asked.bounds.hold(ratio).then_some(ratio)
    }

    #[expect(clippy::cast_precision_loss, reason = "no window holds 2^53 events")]
    fn reached(&self) -> Reached {
        let ratio = self.counted as f64 / self.compared.max(1) as f64;
        let reached = Reached::within(ratio, &self.asked.bounds);
        let missing = self.asked.at_least.saturating_sub(self.compared);
        Reached {
            lacks: reached.lacks + missing as f64,
            ..reached
        }
    }

    fn save(&self, saving: &mut Saving<'_>) {
        save_rules(&self.events, saving);
    }

    fn restore(&mut self, saved: &mut Restoring<'_>, members: &VecDeque<Member>) -> Option<()> {
        enter_anew(self, saved, members)
    }
}
