//! Rate limits: what Okta's headers say of a bucket, and how long to wait because of it.
//!
//! `X-Rate-Limit-Limit` is how many requests a bucket takes in its window, `-Remaining` how many
//! are left, and `-Reset` when the window ends, in UTC epoch seconds of Okta's clock. A limit of
//! concurrent requests has a limit and a remainder of 0, and its reset is advisory (Okta, "Rate
//! limits", "Best practices").

use std::collections::HashMap;
use std::time::Duration;

use http::HeaderMap;

use crate::event::{Nanos, Time};

/// No window is longer than this, whatever a header says.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// What the headers of an answer say of its bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// So many requests in a window.
    pub limit: u64,
    /// So many are left.
    pub remaining: u64,
    /// So long after the answer the window ends.
    pub resets_in: Duration,
}

impl RateLimit {
    /// What the headers of an answer say that came at `now`; nothing where one of the three is
    /// missing or is no number.
    #[must_use]
    pub fn of(headers: &HeaderMap, now: Time) -> Option<Self> {
        let number =
            |name: &str| -> Option<u64> { headers.get(name)?.to_str().ok()?.trim().parse().ok() };
        let reset = number("x-rate-limit-reset")?;
        // Both by Okta's clock, where it says what that is: ours may be wrong.
        let now = date(headers).unwrap_or(now);
        let at = i64::try_from(reset).ok()?.checked_mul(Nanos::SECOND.0)?;
        let left = u64::try_from(at.saturating_sub(now.0)).unwrap_or(0);
        Some(Self {
            limit: number("x-rate-limit-limit")?,
            remaining: number("x-rate-limit-remaining")?,
            resets_in: Duration::from_nanos(left).min(LONGEST),
        })
    }

    /// Whether it is of concurrent requests.
    #[must_use]
    pub fn is_of_concurrency(&self) -> bool {
        self.limit == 0 && self.remaining == 0
    }
}

/// What an answer's `Date` says, to the second.
#[must_use]
pub fn date(headers: &HeaderMap) -> Option<Time> {
    let text = headers.get(http::header::DATE)?.to_str().ok()?;
    let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    date.timestamp_nanos_opt().map(Time)
}

/// The buckets that were heard of.
#[derive(Debug, Default)]
pub(super) struct Buckets(HashMap<String, Bucket>);

#[derive(Debug)]
struct Bucket {
    last: RateLimit,
    heard: Time,
}

impl Buckets {
    /// An answer of this bucket came.
    pub(super) fn note(&mut self, bucket: &str, last: RateLimit, now: Time) {
        if !last.is_of_concurrency() {
            let heard = Bucket { last, heard: now };
            self.0.insert(bucket.to_owned(), heard);
        }
    }

    /// How long to wait before the next request of this bucket, so that we use no more than our
    /// share of it, 0.0 to 1.0, and leave the rest to others. The request takes one.
    pub(super) fn wait(&mut self, bucket: &str, share: f64, now: Time) -> Duration {
        let Some(known) = self.0.get_mut(bucket) else {
            return Duration::ZERO;
        };
        let gone = u64::try_from(now.since(known.heard).0).unwrap_or(0);
        let left = known
            .last
            .resets_in
            .saturating_sub(Duration::from_nanos(gone));
        if left.is_zero() || known.last.remaining > kept_free(known.last.limit, share) {
            return Duration::ZERO;
        }
        left
    }
}

/// How many requests of a limit are left to others: at least one is ours in each window.
fn kept_free(limit: u64, share: f64) -> u64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a limit, which is far below 2^53"
    )]
    let ours = (limit as f64 * share).floor() as u64;
    limit.saturating_sub(ours.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    const S: i64 = Nanos::SECOND.0;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            (name, HeaderValue::from_str(value).expect("a value"))
        };
        pairs.iter().map(pair).collect()
    }

    fn limit(limit: &str, remaining: &str, reset: &str) -> Vec<(&'static str, String)> {
        vec![
            ("x-rate-limit-limit", limit.to_owned()),
            ("x-rate-limit-remaining", remaining.to_owned()),
            ("x-rate-limit-reset", reset.to_owned()),
        ]
    }

    #[test]
    fn a_limit_is_what_three_headers_say() {
        let cases = [
            (limit("120", "7", "1030"), None, Some((120, 7, 30))),
            // By Okta's clock, which is ten seconds ahead of ours.
            (
                limit("120", "7", "1030"),
                Some("Thu, 01 Jan 1970 00:16:50 GMT"),
                Some((120, 7, 20)),
            ),
            (limit("120", "7", "990"), None, Some((120, 7, 0))),
            (limit("0", "0", "1030"), None, Some((0, 0, 30))),
            (limit("120", "7", "99999999999"), None, None),
            (limit("120", "7", "9999999"), None, Some((120, 7, 900))),
            (limit("120", "-1", "1030"), None, None),
            (limit("120", "7", "soon"), None, None),
            (limit("many", "7", "1030"), None, None),
        ];
        for (given, date, expected) in cases {
            let mut pairs: Vec<(&str, &str)> =
                given.iter().map(|(n, v)| (*n, v.as_str())).collect();
            pairs.extend(date.map(|date| ("date", date)));
            let found = RateLimit::of(&headers(&pairs), Time(1000 * S));
            let found = found.map(|f| (f.limit, f.remaining, f.resets_in.as_secs()));
            assert_eq!(found, expected, "{pairs:?}");
        }
        assert_eq!(RateLimit::of(&HeaderMap::new(), Time(0)), None);
    }

    #[test]
    fn we_wait_for_the_reset_where_our_share_is_used() {
        let heard = |limit, remaining| {
            let mut buckets = Buckets::default();
            let last = RateLimit {
                limit,
                remaining,
                resets_in: Duration::from_secs(40),
            };
            buckets.note("logs", last, Time(0));
            buckets
        };
        let cases = [
            (120, 119, 0.5, 10, 0),
            (120, 61, 0.5, 10, 0),
            (120, 60, 0.5, 10, 30),
            (120, 0, 0.5, 10, 30),
            (120, 0, 0.5, 41, 0),
            (120, 1, 1.0, 10, 0),
            (120, 0, 1.0, 10, 30),
            // However small our share is, one request a window is ours.
            (1, 1, 0.1, 10, 0),
            (1, 0, 0.1, 10, 30),
            // A limit of concurrency says nothing of a window.
            (0, 0, 0.5, 10, 0),
        ];
        for (limit, remaining, share, now, expected) in cases {
            let wait = heard(limit, remaining).wait("logs", share, Time(now * S));
            assert_eq!(
                wait.as_secs(),
                expected,
                "{limit} {remaining} {share} {now}"
            );
        }
        assert_eq!(heard(1, 0).wait("users", 0.5, Time(0)), Duration::ZERO);
    }
}
