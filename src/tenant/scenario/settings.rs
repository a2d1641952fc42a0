//! How a tenant behaves: who may ask, how often, and how its log is told.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

use crate::tenant::time::{self, SECOND};

/// The generation of an organization.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Identity Engine; `pipeline` says `idx`.
    #[default]
    Identity,
    /// Classic Engine; `pipeline` says `v1`.
    Classic,
}

/// An API token.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What is sent; where it is not given, it is made from the seed.
    pub value: Option<String>,
    /// Its name.
    pub name: String,
    /// The login of the user that it acts for.
    pub user: Option<String>,
    /// When it was made.
    pub created: Option<Moment>,
    /// When it ends.
    pub expires: Option<Moment>,
}

/// A service application.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Its id, which is also issuer and subject of its assertions.
    pub client_id: String,
    /// Its public key as a JWK.
    pub jwk: Option<Value>,
    /// Its public key in PEM.
    pub pem: Option<String>,
    /// The scopes that it was granted.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Whether its tokens are bound to a key.
    #[serde(default)]
    pub dpop: bool,
}

/// Rate limits.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateSettings {
    /// How long a window is, in seconds.
    pub window: u32,
    /// How many requests are answered at the same time.
    pub concurrency: usize,
    /// Requests in a window, by bucket: `/api/v1/logs`, `/api/v1/users`, `/api/v1/users/{id}`,
    /// `/api/v1/apps`, `/api/v1/groups`, and `/` for all others.
    pub buckets: BTreeMap<String, u32>,
}

impl Default for RateSettings {
    fn default() -> Self {
        Self {
            window: 60,
            concurrency: 35,
            buckets: BTreeMap::new(),
        }
    }
}

/// The System Log.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// Files of events, one JSON object a line.
    pub files: Vec<PathBuf>,
    /// Whether the day of plain events that is built in comes first.
    pub built_in: bool,
    /// The share of events that are told twice.
    pub duplicates: f64,
    /// Events that are persisted somewhat later than they were published.
    pub late: Option<LateSettings>,
    /// Events that are persisted later than any bound.
    pub later: Option<LaterSettings>,
    /// Whether all times are moved, so that the newest event is now (or, where events are told as
    /// time goes on, the oldest).
    pub shift_to_now: bool,
    /// When events are told.
    pub release: Release,
}

/// Events that are late by up to `most`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LateSettings {
    /// Their share.
    pub share: f64,
    /// The longest delay.
    pub most: Span,
}

/// Events that are late by exactly `by`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaterSettings {
    /// Their share.
    pub share: f64,
    /// The delay.
    pub by: Span,
}

/// When events are told.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Release {
    /// All from the beginning, in the order of their persistence.
    #[default]
    All,
    /// Each when the clock reaches its persistence.
    AsTimeGoesOn,
}

/// A length of time in nanoseconds, written `90s`, `5m`, `2h`, `3d` or `20ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span(pub i64);

impl Span {
    /// Reads a length of time.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let at = text.find(|letter: char| !letter.is_ascii_digit())?;
        let (number, unit) = text.split_at_checked(at)?;
        let unit = match unit {
            "ms" => SECOND / 1000,
            "s" => SECOND,
            "m" => 60 * SECOND,
            "h" => 3600 * SECOND,
            "d" => time::DAY,
            _ => return None,
        };
        number.parse::<i64>().ok()?.checked_mul(unit).map(Self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::read(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is no length of time such as `90s` or `2h`"
            ))
        })
    }
}

/// A moment, written as an ISO 8601 time or, from when the tenant started, as `-30d` or `+2h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nanoseconds since 1970.
    At(i64),
    /// Nanoseconds from the start.
    FromStart(i64),
}

impl Moment {
    /// So many days before the start.
    #[must_use]
    pub const fn days_ago(days: i64) -> Self {
        Self::FromStart(-days * time::DAY)
    }

    /// Nanoseconds since 1970, for a tenant that started then.
    #[must_use]
    pub fn nanos(self, start: i64) -> i64 {
        match self {
            Self::At(nanos) => nanos,
            Self::FromStart(nanos) => start.saturating_add(nanos),
        }
    }

    fn read(text: &str) -> Option<Self> {
        if text == "now" {
            return Some(Self::FromStart(0));
        }
        if let Some(span) = text.strip_prefix('-').and_then(Span::read) {
            return Some(Self::FromStart(-span.0));
        }
        if let Some(span) = text.strip_prefix('+').and_then(Span::read) {
            return Some(Self::FromStart(span.0));
        }
        time::read(text).map(Self::At)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::read(&text)
            .ok_or_else(|| D::Error::custom(format!("`{text}` is no time, nor one such as `-30d`")))
    }
}
