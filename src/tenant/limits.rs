//! Rate limits: how many requests a bucket takes in a window, and how many at the same time.
//!
//! A window begins with its first request and is not aligned to the minute, as Okta's are.

use std::collections::BTreeMap;

use super::time::SECOND;

/// The buckets and their limits in a window where a scenario says nothing else.
pub const DEFAULTS: [(&str, u32); 6] = [
    ("/api/v1/logs", 120),
    ("/api/v1/users", 600),
    ("/api/v1/users/{id}", 600),
    ("/api/v1/apps", 100),
    ("/api/v1/groups", 500),
    (OTHERS, 600),
];

/// The bucket of everything that has none of its own.
pub const OTHERS: &str = "/";

/// What the headers `X-Rate-Limit-*` tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Requests in a window.
    pub limit: u32,
    /// Requests that are left in it.
    pub remaining: u32,
    /// When it ends, in seconds since 1970.
    pub reset: i64,
    /// Whether the request is within the limit.
    pub within: bool,
}

/// The state of all buckets.
#[derive(Clone, Debug)]
pub struct Limits {
    window: i64,
    limits: BTreeMap<String, u32>,
    /// When a window began, and how many requests it has taken.
    windows: BTreeMap<&'static str, (i64, u32)>,
}

impl Limits {
    /// Limits by bucket in a window of so many seconds; what is not named keeps its default.
    #[must_use]
    pub fn new(window: u32, limits: BTreeMap<String, u32>) -> Self {
        Self {
            window: i64::from(window.max(1)) * SECOND,
            limits,
            windows: BTreeMap::new(),
        }
    }

    /// Counts a request to a path at a moment.
    pub fn count(&mut self, path: &str, now: i64) -> Standing {
        let (bucket, default) = bucket(path);
        let limit = self.limits.get(bucket).copied().unwrap_or(default);
        let held = self.windows.entry(bucket).or_insert((now, 0));
        // a clock that goes back begins a new window, too
        if now.saturating_sub(held.0) >= self.window || now < held.0 {
            *held = (now, 0);
        }
        let within = held.1 < limit;
        held.1 += u32::from(within);
        Standing {
            limit,
            remaining: limit - held.1,
            reset: whole_seconds(held.0.saturating_add(self.window)),
            within,
        }
    }
}

fn whole_seconds(nanos: i64) -> i64 {
    nanos.saturating_add(SECOND - 1).div_euclid(SECOND)
}

/// The bucket of a path and its limit where a scenario has none.
fn bucket(path: &str) -> (&'static str, u32) {
    let mut segments = path.trim_matches('/').split('/').skip(2);
    let name = match (segments.next(), segments.next(), segments.next()) {
        (Some("logs"), None, _) => "/api/v1/logs",
        (Some("users"), None, _) => "/api/v1/users",
        (Some("users"), Some(_), None) => "/api/v1/users/{id}",
        (Some("apps"), ..) => "/api/v1/apps",
        (Some("groups"), ..) => "/api/v1/groups",
        _ => OTHERS,
    };
    let known = DEFAULTS.into_iter().find(|(held, _)| *held == name);
    known.unwrap_or((OTHERS, 600))
}
