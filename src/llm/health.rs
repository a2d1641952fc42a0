//! An endpoint that fails again and again is left alone for a while, so that a run over many
//! findings does not wait for it at each of them.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many failures in a row are enough.
const ENOUGH: u32 = 3;

/// How an endpoint has done lately.
pub(super) struct Health {
    rest: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failures: u32,
    rests_from: Option<Instant>,
}

impl Health {
    pub(super) fn new(rest: Duration) -> Self {
        Self {
            rest,
            state: Mutex::default(),
        }
    }

    /// Whether it may be asked now; if not, how often it failed. After the rest one call may try.
    pub(super) fn may_ask(&self, now: Instant) -> Result<(), u32> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.rests_from {
            Some(since) if now.saturating_duration_since(since) < self.rest => Err(state.failures),
            Some(_) => {
                state.rests_from = Some(now);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// It answered.
    pub(super) fn well(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// It failed.
    pub(super) fn failed(&self, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures = state.failures.saturating_add(1);
        if state.failures >= ENOUGH {
            state.rests_from = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_in_a_row_earn_a_rest_and_one_call_ends_it() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let health = Health::new(Duration::from_secs(30));
        health.failed(at(0));
        health.failed(at(1));
        health.well();
        for second in 2..5 {
            assert_eq!(health.may_ask(at(second)), Ok(()), "second {second}");
            health.failed(at(second));
        }
        assert_eq!(health.may_ask(at(33)), Err(3));
        assert_eq!(health.may_ask(at(34)), Ok(()), "one may try");
        assert_eq!(health.may_ask(at(35)), Err(3), "the others wait for it");
        health.well();
        assert_eq!(health.may_ask(at(36)), Ok(()));
    }
}
