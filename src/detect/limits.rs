//! How much is kept of the past. What is over is let go, the oldest first, and counted.

use crate::detect::groups::Groups;
use crate::event::Time;

/// So many bytes of windows, histories and open findings are kept at the most.
/// What is over a limit is let go until three quarters of it are left, so that
/// it is not looked for at each event.
///
/// Bytes are those of what is kept and a constant each for the room that it
/// takes. An event that several windows and findings share is weighed in each:
/// the sum is an upper bound, which needs no look at who else has an event.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of one group.
    pub group: usize,
    /// Of all groups of a rule.
    pub rule: usize,
    /// Of all rules.
    pub all: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            group: 256 * MIB,
            rule: 1_024 * MIB,
            all: 2_048 * MIB,
        }
    }
}

const MIB: usize = 1 << 20;

/// What an event takes beside its own bytes: its counts of who shares it, its
/// place in a window, what an account notes of it, and what the allocator adds.
pub(super) const EVENT: usize = 64;

/// What a value in a table takes beside its own bytes.
pub(super) const VALUE: usize = 96;

/// What a number in an ordered table takes.
pub(super) const NUMBER: usize = 32;

/// What is left of a limit when it was reached.
pub(super) fn left_of(limit: usize) -> usize {
    limit - limit / 4
}

/// The groups to let go, by rule and number, so that so much is left: those
/// whose newest event is the oldest.
pub(super) fn oldest(all: &[(usize, &Groups)], left: usize) -> Vec<(usize, u32)> {
    let of_rule = |(at, groups): &(usize, &Groups)| -> Vec<(Option<Time>, usize, u32, usize)> {
        let at = *at;
        let weights = groups.weights();
        weights
            .map(|(newest, number, weight)| (newest, at, number, weight))
            .collect()
    };
    let mut weighed: Vec<_> = all.iter().flat_map(of_rule).collect();
    weighed.sort_unstable();
    let mut over = weighed
        .iter()
        .map(|(_, _, _, weight)| weight)
        .sum::<usize>();
    let gone = weighed.iter().take_while(|(_, _, _, weight)| {
        let is_over = over > left;
        over = over.saturating_sub(*weight);
        is_over
    });
    gone.map(|(_, at, number, _)| (*at, *number)).collect()
}
