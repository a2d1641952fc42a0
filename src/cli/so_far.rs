//! What goes wrong on live input, told while it does: the first of a kind, and then each time
//! there are ten times as many, so that no input makes it much.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::cli::events::shown;
use crate::diag::{counted, grouped};
use crate::pipeline::Counts;

/// How much of each kind was told.
#[derive(Default)]
pub struct SoFar {
    told: BTreeMap<Kind, u64>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A place in [`KINDS`].
    Count(usize),
    /// A function of a script, and the rule that it failed for.
    Function(Uuid, String),
}

/// One of the numbers that are counted, what one of it is called, and what became of it.
type Row = (fn(&Counts) -> u64, &'static str, &'static str);

#[rustfmt::skip]
const KINDS: [Row; 7] = [
    (|counts| counts.rejected, "record", "left out as no event"),
    (|counts| counts.lower_cased, "event", "with lower-cased field names, which no rule matches"),
    (|counts| counts.without_type, "record", "without an `eventType`, which few rules match"),
    (|counts| counts.late, "event", "too late for windows"),
    (|counts| counts.ahead, "event", "more than five minutes ahead of the clock"),
    (|counts| counts.evicted, "match", "let go, since too many waited for the watermark"),
    (|counts| counts.correlation.evicted, "", "events and values let go before their time, since there were too many"),
];

impl SoFar {
    /// What is to be told now, a line each.
    pub fn lines(&mut self, counts: &Counts) -> Vec<String> {
        let mut lines = Vec::new();
        for (at, (count, one, what)) in KINDS.iter().enumerate() {
            let count = count(counts);
            if self.is_due(Kind::Count(at), count) {
                let count = match *one {
                    "" => grouped(count),
                    one => counted(count, one),
                };
                lines.push(format!("{count} {what} so far"));
            }
        }
        for function in counts.scripts.iter() {
            let kind = Kind::Function(function.rule_id, function.function.clone());
            if self.is_due(kind, function.failures) {
                lines.push(format!("so far {}", shown(function)));
            }
        }
        lines
    }

    /// Whether there are as many digits to it as never before.
    fn is_due(&mut self, kind: Kind, count: u64) -> bool {
        let digits = count.checked_ilog10().map_or(0, |log| u64::from(log) + 1);
        if digits == 0 {
            return false;
        }
        let told = self.told.entry(kind).or_default();
        let is_due = digits > *told;
        *told = digits.max(*told);
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_at_the_first_and_at_each_power_of_ten() {
        let mut so_far = SoFar::default();
        let told: Vec<u64> = (0..=100_000)
            .filter(|late| {
                let counts = Counts {
                    late: *late,
                    rejected: 7,
                    ..Counts::default()
                };
                let lines = so_far.lines(&counts);
                lines.iter().any(|line| line.contains("too late"))
            })
            .collect();
        assert_eq!(told, [1, 10, 100, 1_000, 10_000, 100_000]);
        let jumped = Counts {
            rejected: 4_321,
            ..Counts::default()
        };
        let expected = ["4,321 records left out as no event so far"];
        assert_eq!(so_far.lines(&jumped), expected);
        assert!(so_far.lines(&jumped).is_empty());
    }
}
