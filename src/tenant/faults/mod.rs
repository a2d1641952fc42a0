//! Faults: everything that goes wrong between a tenant and who asks it, each behind a switch.
//!
//! Whether a fault strikes a request is drawn from the seed, the fault's name and the number of
//! the request, so that a run can be had again.

mod broken;
mod hostile;
mod instead;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

pub use hostile::{Hostile, KINDS};

use super::limits::Standing;
use super::scenario::Span;
use super::seed::Seed;
use super::time::{self, SECOND};
use super::wire::{Answer, Ask};

/// A fault, and the share of the requests that it strikes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// From 0 to 1.
    pub share: f64,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// 429 with a reset in two seconds.
    RateLimitStorm,
    /// 429 without a word on when to come back.
    RateLimitWithoutReset,
    /// 429 for too many requests at the same time.
    ConcurrencyLimit,
    /// 500 of Okta's, then a proxy's 502, 503 and 504, in turn.
    ServerError,
    /// The connection ends within the body that was promised.
    ResetMidBody,
    /// A compressed body that ends in its middle.
    TruncatedGzip,
    /// JSON that is cut, or a page of HTML with 200, in turn.
    MalformedJson,
    /// A body of more than 64 MiB.
    HugeJson,
    /// A next link that must not be followed; all kinds in turn where none is given.
    HostileNext(Option<Hostile>),
    /// A redirect that must not be followed; all kinds in turn where none is given.
    HostileRedirect(Option<Hostile>),
    /// Values of other types, nulls, keys unknown and missing, an object for the array, in turn.
    ShapeDrift,
    /// A body that comes byte by byte, with that many milliseconds between two.
    SlowBody(u32),
    /// The connection is taken, and nothing is said.
    NoAnswer,
    /// A token is refused after that many requests.
    ExpiredToken(u32),
    /// A scope is no longer granted.
    RevokedScope,
    /// Each nonce is good for that many requests.
    NonceRotation(u32),
    /// The header `Date` is off by that many seconds.
    ClockSkew(i64),
    /// The next link comes twice.
    DuplicateLink,
    /// All links come in one header.
    CommaLinks,
    /// JSON that calls itself HTML.
    WrongContentType,
}

impl FaultKind {
    /// The name that a flag and a scenario use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RateLimitStorm => "rate-limit-storm",
            Self::RateLimitWithoutReset => "rate-limit-without-reset",
            Self::ConcurrencyLimit => "concurrency-limit",
            Self::ServerError => "server-error",
            Self::ResetMidBody => "reset-mid-body",
            Self::TruncatedGzip => "truncated-gzip",
            Self::MalformedJson => "malformed-json",
            Self::HugeJson => "huge-json",
            Self::HostileNext(_) => "hostile-next",
            Self::HostileRedirect(_) => "hostile-redirect",
            Self::ShapeDrift => "shape-drift",
            Self::SlowBody(_) => "slow-body",
            Self::NoAnswer => "no-answer",
            Self::ExpiredToken(_) => "expired-token",
            Self::RevokedScope => "revoked-scope",
            Self::NonceRotation(_) => "nonce-rotation",
            Self::ClockSkew(_) => "clock-skew",
            Self::DuplicateLink => "duplicate-link",
            Self::CommaLinks => "comma-links",
            Self::WrongContentType => "wrong-content-type",
        }
    }
}

/// Every fault by its name, each with the detail that it has where none is given.
pub const ALL: [FaultKind; 20] = [
    FaultKind::RateLimitStorm,
    FaultKind::RateLimitWithoutReset,
    FaultKind::ConcurrencyLimit,
    FaultKind::ServerError,
    FaultKind::ResetMidBody,
    FaultKind::TruncatedGzip,
    FaultKind::MalformedJson,
    FaultKind::HugeJson,
    FaultKind::HostileNext(None),
    FaultKind::HostileRedirect(None),
    FaultKind::ShapeDrift,
    FaultKind::SlowBody(20),
    FaultKind::NoAnswer,
    FaultKind::ExpiredToken(10),
    FaultKind::RevokedScope,
    FaultKind::NonceRotation(5),
    FaultKind::ClockSkew(600),
    FaultKind::DuplicateLink,
    FaultKind::CommaLinks,
    FaultKind::WrongContentType,
];

/// Why a text names no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFault {
    /// There is no fault of that name.
    #[error("there is no fault `{0}`; there are {names}", names = names())]
    Name(String),
    /// What follows the name is neither a share nor a detail of the fault.
    #[error("`{0}` does not fit `{1}`: {2}")]
    Detail(String, &'static str, &'static str),
}

fn names() -> String {
    ALL.map(FaultKind::name).join(", ")
}

impl FromStr for Fault {
    type Err = BadFault;

    /// Reads `NAME`, `NAME=SHARE`, `NAME=DETAIL` or `NAME=DETAIL:SHARE`.
    fn from_str(text: &str) -> Result<Self, BadFault> {
        let (name, rest) = text
            .split_once('=')
            .map_or((text, None), |(name, rest)| (name, Some(rest)));
        let known = ALL.into_iter().find(|kind| kind.name() == name);
        let kind = known.ok_or_else(|| BadFault::Name(name.to_owned()))?;
        let Some(rest) = rest else {
            return Ok(Self { kind, share: 1.0 });
        };
        let bad = |why| BadFault::Detail(rest.to_owned(), kind.name(), why);
        let (detail, share) = match rest.rsplit_once(':') {
            Some((detail, share)) => (Some(detail), Some(share)),
            None => (Some(rest), None),
        };
        let detailed = detail.and_then(|detail| kind.detailed(detail));
        let (kind, share) = match (detailed, share) {
            (Some(kind), share) => (kind, share.unwrap_or("1")),
            (None, None) => (kind, rest),
            (None, Some(_)) => return Err(bad(kind.expected())),
        };
        let share = share
            .parse::<f64>()
            .ok()
            .filter(|share| (0.0..=1.0).contains(share));
        let share = share.ok_or_else(|| bad(kind.expected()))?;
        Ok(Self { kind, share })
    }
}

impl FaultKind {
    /// The same with a detail, where it has one of that form.
    fn detailed(self, detail: &str) -> Option<Self> {
        Some(match self {
            Self::HostileNext(_) => Self::HostileNext(Some(Hostile::named(detail)?)),
            Self::HostileRedirect(_) => Self::HostileRedirect(Some(Hostile::named(detail)?)),
            Self::SlowBody(_) => {
                let millis = Span::read(detail)?.0.checked_div(SECOND / 1000)?;
                Self::SlowBody(u32::try_from(millis).ok()?)
            }
            Self::ExpiredToken(_) => Self::ExpiredToken(detail.parse().ok()?),
            Self::NonceRotation(_) => Self::NonceRotation(detail.parse().ok()?),
            Self::ClockSkew(_) => Self::ClockSkew(detail.parse().ok()?),
            _ => return None,
        })
    }

    const fn expected(self) -> &'static str {
        match self {
            Self::HostileNext(_) | Self::HostileRedirect(_) => {
                "expected a kind of link, such as `other-host`, or a share from 0 to 1"
            }
            Self::SlowBody(_) => "expected a pause, such as `20ms`, or a share from 0 to 1",
            Self::ExpiredToken(_) | Self::NonceRotation(_) => "expected a number of requests",
            Self::ClockSkew(_) => "expected seconds",
            _ => "expected a share from 0 to 1",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.kind.name())?;
        match self.kind {
            FaultKind::HostileNext(Some(kind)) | FaultKind::HostileRedirect(Some(kind)) => {
                write!(out, "={}:", kind.name())?;
            }
            FaultKind::SlowBody(millis) => write!(out, "={millis}ms:")?,
            FaultKind::ExpiredToken(count) | FaultKind::NonceRotation(count) => {
                write!(out, "={count}:")?;
            }
            FaultKind::ClockSkew(seconds) => write!(out, "={seconds}:")?,
            _ => write!(out, "=")?,
        }
        write!(out, "{}", self.share)
    }
}

/// How an answer reaches who asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Delivery {
    /// As it is.
    Whole(Answer),
    /// With its full length promised, and the connection ended after that many bytes.
    Cut(Answer, usize),
    /// Byte by byte, with that many milliseconds between two.
    Drip(Answer, u32),
    /// With that many bytes of filler in the place of `{filler}` in its body.
    Flood(Answer, u64),
    /// Not at all.
    Silent,
}

impl Delivery {
    /// The status that is told, or 0 where nothing is.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Whole(answer)
            | Self::Cut(answer, _)
            | Self::Drip(answer, _)
            | Self::Flood(answer, _) => answer.status,
            Self::Silent => 0,
        }
    }

    /// The answer, where there is one.
    #[must_use]
    pub const fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Whole(answer)
            | Self::Cut(answer, _)
            | Self::Drip(answer, _)
            | Self::Flood(answer, _) => Some(answer),
            Self::Silent => None,
        }
    }
}

/// What a fault may use of the request that it strikes.
pub struct Struck<'a> {
    /// The seed.
    pub seed: Seed,
    /// The origin of the tenant.
    pub origin: &'a str,
    /// The request.
    pub ask: &'a Ask,
    /// The state of its bucket, where it has one.
    pub standing: Option<Standing>,
}

/// The faults that are on.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    on: Vec<Fault>,
    /// How often each struck.
    struck: BTreeMap<&'static str, u64>,
}

impl Faults {
    /// Switches a fault on, in the place of one of the same name.
    pub fn set(&mut self, fault: Fault) {
        self.on.retain(|held| held.kind.name() != fault.kind.name());
        self.on.push(fault);
    }

    /// Switches all off.
    pub fn clear(&mut self) {
        self.on.clear();
    }

    /// The faults that strike a request.
    #[must_use]
    pub fn drawn(&self, seed: Seed, ask: &Ask) -> Vec<FaultKind> {
        let number = ask.number.to_string();
        let drawn = self
            .on
            .iter()
            .filter(|fault| seed.share(&["fault", fault.kind.name(), &number]) < fault.share);
        drawn.map(|fault| fault.kind).collect()
    }

    /// What is answered in the place of an answer, if a fault says so.
    pub fn instead(
        &mut self,
        drawn: &[FaultKind],
        struck: &Struck<'_>,
    ) -> Option<(&'static str, Delivery)> {
        drawn.iter().find_map(|kind| {
            let turn = self.turn(*kind);
            let delivery = instead::delivery(*kind, turn, struck)?;
            self.count(*kind);
            Some((kind.name(), delivery))
        })
    }

    /// Breaks an answer; the names of the faults that did.
    pub fn breaking(
        &mut self,
        drawn: &[FaultKind],
        struck: &Struck<'_>,
        answer: &mut Answer,
    ) -> Vec<&'static str> {
        let mut names = Vec::new();
        for kind in drawn {
            if broken::breaks(*kind, self.turn(*kind), struck, answer) {
                self.count(*kind);
                names.push(kind.name());
            }
        }
        names
    }

    fn turn(&self, kind: FaultKind) -> u64 {
        self.struck.get(kind.name()).copied().unwrap_or(0)
    }

    fn count(&mut self, kind: FaultKind) {
        *self.struck.entry(kind.name()).or_insert(0) += 1;
    }
}

/// How a finished answer is delivered; the name of the fault that decided it.
#[must_use]
pub fn delivered(drawn: &[FaultKind], answer: Answer) -> (Option<&'static str>, Delivery) {
    for kind in drawn {
        let delivery = match kind {
            FaultKind::ResetMidBody => Delivery::Cut(answer.clone(), answer.body.len() / 2),
            FaultKind::SlowBody(pause) => Delivery::Drip(answer.clone(), *pause),
            FaultKind::HugeJson if answer.status == 200 => flood(&answer),
            _ => continue,
        };
        return (Some(kind.name()), delivery);
    }
    (None, Delivery::Whole(answer))
}

/// More than 64 MiB of JSON that is well-formed.
fn flood(answer: &Answer) -> Delivery {
    let mut answer = answer.clone();
    answer.remove("content-encoding");
    answer.body =
        br#"[{"uuid":"00000000-0000-4000-8000-000000000000","filler":"{filler}"}]"#.to_vec();
    Delivery::Flood(answer, 65 << 20)
}

/// What the clock says to who looks at the header `Date`.
#[must_use]
pub fn told_date(drawn: &[FaultKind], now: i64) -> (bool, String) {
    let skew = drawn.iter().find_map(|kind| match kind {
        FaultKind::ClockSkew(seconds) => Some(seconds.saturating_mul(SECOND)),
        _ => None,
    });
    let date = time::http_date(now.saturating_add(skew.unwrap_or(0)));
    (skew.is_some(), date)
}
