//! The clock that a tenant is handed, and how its times are written.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, SecondsFormat, TimeZone as _, Utc};

/// Nanoseconds in a second.
pub const SECOND: i64 = 1_000_000_000;
/// Nanoseconds in a day.
pub const DAY: i64 = 86_400 * SECOND;

/// Where the time comes from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's.
    #[default]
    Real,
    /// The holder's: nanoseconds since 1970 in UTC, which may go either way.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// Nanoseconds since 1970 in UTC.
    #[must_use]
    pub fn now(&self) -> i64 {
        match self {
            Self::Real => Utc::now().timestamp_nanos_opt().unwrap_or(i64::MAX),
            Self::Manual(nanos) => nanos.load(Ordering::SeqCst),
        }
    }
}

/// `2026-03-02T10:00:00.123Z`, as Okta writes its times.
#[must_use]
pub fn written(nanos: i64) -> String {
    moment(nanos).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// `Mon, 02 Mar 2026 10:00:00 GMT`, the form of the header `Date`.
#[must_use]
pub fn http_date(nanos: i64) -> String {
    moment(nanos)
        .format("%a, %d %b %Y %H:%M:%S GMT")
        .to_string()
}

/// Nanoseconds since 1970 of an ISO 8601 time with a zone, of one without (which is UTC), or of a
/// day. `None` for everything else, and for times that nanoseconds do not reach.
#[must_use]
pub fn read(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return time.timestamp_nanos_opt();
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z"] {
        if let Ok(time) = DateTime::parse_from_str(text, format) {
            return time.timestamp_nanos_opt();
        }
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"] {
        if let Ok(time) = chrono::NaiveDateTime::parse_from_str(text, format) {
            return time.and_utc().timestamp_nanos_opt();
        }
    }
    let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_nanos_opt()
}

fn moment(nanos: i64) -> DateTime<Utc> {
    Utc.timestamp_nanos(nanos)
}
