//! Faults that answer in the place of the tenant.

use super::{Delivery, FaultKind, Hostile, Struck};
use crate::tenant::errors::Failure;
use crate::tenant::time::SECOND;
use crate::tenant::wire::Answer;

/// What a fault delivers in the place of an answer; `turn` is how often it struck before.
pub fn delivery(kind: FaultKind, turn: u64, struck: &Struck<'_>) -> Option<Delivery> {
    let seconds = struck.ask.now.div_euclid(SECOND);
    let too_many = || Failure::too_many().answer(struck.seed, struck.ask);
    let limit = struck.standing.map_or(600, |standing| standing.limit);
    let answer = match kind {
        FaultKind::RateLimitStorm => rated(too_many(), limit, Some(seconds + 2)),
        FaultKind::RateLimitWithoutReset => rated(too_many(), limit, None),
        FaultKind::ConcurrencyLimit => rated(too_many(), 0, Some(seconds + 60)),
        FaultKind::ServerError => server_error(turn, struck),
        FaultKind::HostileRedirect(kind) => redirect(kind, turn, struck),
        FaultKind::NoAnswer => return Some(Delivery::Silent),
        _ => return None,
    };
    Some(Delivery::Whole(answer))
}

/// A 429 with Okta's headers, or with all but the reset.
fn rated(answer: Answer, limit: u32, reset: Option<i64>) -> Answer {
    let answer = answer
        .with("x-rate-limit-limit", &limit.to_string())
        .with("x-rate-limit-remaining", "0");
    match reset {
        Some(reset) => answer.with("x-rate-limit-reset", &reset.to_string()),
        None => answer,
    }
}

fn redirect(kind: Option<Hostile>, turn: u64, struck: &Struck<'_>) -> Answer {
    let kind = kind.unwrap_or_else(|| Hostile::in_turn(turn));
    let ask = struck.ask;
    let address = kind.address(struck.origin, &ask.path, &ask.query, turn);
    let status = if turn.is_multiple_of(2) { 302 } else { 307 };
    Answer::bytes(status, "text/html", Vec::new()).with("location", &address)
}

/// Okta's own, then what proxies say in its place.
fn server_error(turn: u64, struck: &Struck<'_>) -> Answer {
    match turn % 4 {
        0 => Failure::internal().answer(struck.seed, struck.ask),
        1 => page(502, "502 Bad Gateway"),
        2 => page(503, "503 Service Temporarily Unavailable"),
        _ => page(504, "504 Gateway Time-out"),
    }
}

fn page(status: u16, title: &str) -> Answer {
    let body = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
         <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    );
    Answer::bytes(status, "text/html", body.into_bytes())
}
