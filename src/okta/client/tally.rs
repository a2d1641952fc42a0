//! What came of requests, in numbers, and a warning where too many of them are refused.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::event::{Nanos, Time};

/// What came of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many were sent, retries and those for tokens included.
    pub requests: u64,
    /// How many of them were retries.
    pub retries: u64,
    /// How many were answered with 401: the credentials were not accepted.
    pub unauthorized: u64,
    /// How many were answered with 429: a rate limit was met.
    pub rate_limited: u64,
    /// How many had no answer, or not a whole one.
    pub broken: u64,
    /// How long was waited for rate limits, in milliseconds.
    pub waited_ms: u64,
    /// Bytes of bodies, decompressed.
    pub bytes: u64,
}

/// Of which refusals there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// 401.
    Unauthorized,
    /// 429.
    RateLimited,
}

/// More requests of a window were refused than the share that is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// How.
    pub refused: Refused,
    /// So many.
    pub count: usize,
    /// Of so many.
    pub of: usize,
    /// In so much time.
    pub window: Nanos,
}

/// Of fewer requests no share is told.
const FEWEST: usize = 10;

/// No more are remembered.
const MOST: usize = 10_000;

/// The answers of a window of time, the latest last.
#[derive(Debug)]
pub(super) struct Recent {
    window: Nanos,
    share: f64,
    answers: VecDeque<(Time, u16)>,
    /// When each kind was warned of last: once in a window is enough.
    warned: [Option<Time>; 2],
}

impl Recent {
    /// A share of refusals above this, 0.0 to 1.0, in a window of so much time is warned of.
    pub(super) fn new(window: Nanos, share: f64) -> Self {
        Self {
            window,
            share,
            answers: VecDeque::new(),
            warned: [None; 2],
        }
    }

    /// An answer came.
    pub(super) fn note(&mut self, status: u16, now: Time) -> Option<TooMany> {
        self.answers.push_back((now, status));
        let edge = now.minus(self.window);
        while self.answers.len() > MOST || self.answers.front().is_some_and(|(at, _)| *at <= edge) {
            self.answers.pop_front();
        }
        let refused = match status {
            401 => Refused::Unauthorized,
            429 => Refused::RateLimited,
            _ => return None,
        };
        let count = self.answers.iter().filter(|(_, s)| *s == status).count();
        let of = self.answers.len();
        #[expect(clippy::cast_precision_loss, reason = "at most 10,000")]
        let is_more = of >= FEWEST && count as f64 > self.share * of as f64;
        let [unauthorized, rate_limited] = &mut self.warned;
        let warned = match refused {
            Refused::Unauthorized => unauthorized,
            Refused::RateLimited => rate_limited,
        };
        if !is_more || warned.is_some_and(|at| at > edge) {
            return None;
        }
        *warned = Some(now);
        Some(TooMany {
            refused,
            count,
            of,
            window: self.window,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_refusals_are_told_once_a_window() {
        let mut recent = Recent::new(Nanos(600 * Nanos::SECOND.0), 0.1);
        let mut told = Vec::new();
        for second in 0..1300 {
            let status = if second % 5 == 0 { 429 } else { 200 };
            let now = Time(second * Nanos::SECOND.0);
            told.extend(
                recent
                    .note(status, now)
                    .map(|many| (second, many.count, many.of)),
            );
        }
        assert_eq!(told, [(10, 3, 11), (610, 120, 600), (1210, 120, 600)]);
    }

    #[test]
    fn few_requests_or_few_refusals_are_not_told() {
        let mut recent = Recent::new(Nanos(600 * Nanos::SECOND.0), 0.5);
        for second in 0..9 {
            assert_eq!(recent.note(401, Time(second)), None);
        }
        let mut recent = Recent::new(Nanos(600 * Nanos::SECOND.0), 0.5);
        for second in 0..100 {
            let status = if second % 2 == 0 { 200 } else { 429 };
            assert_eq!(recent.note(status, Time(second)), None);
        }
    }
}
