//! One request answered, from its first byte to how its answer is delivered. Nothing here knows a
//! socket.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;

use super::access::{self, Access};
use super::directory::Directory;
use super::errors::Failure;
use super::faults::{self, Delivery, FaultKind, Faults, Struck};
use super::journal::Journal;
use super::limits::{Limits, Standing};
use super::log::Log;
use super::logs;
use super::seed::Seed;
use super::wire::{Answer, Ask};

/// The tenant behind the socket.
pub struct Core {
    /// The seed.
    pub seed: Seed,
    /// `http://127.0.0.1:PORT`.
    pub origin: String,
    /// How many requests are answered at the same time.
    pub concurrency: usize,
    /// Who may ask.
    pub access: Access,
    /// What it holds.
    pub directory: Directory,
    /// The System Log.
    pub log: Log,
    /// Rate limits.
    pub limits: Limits,
    /// Faults.
    pub faults: Faults,
    /// What was asked.
    pub journal: Journal,
}

impl Core {
    /// Answers a request while so many others are being answered.
    pub fn answer(&mut self, mut ask: Ask, others: usize) -> Delivery {
        ask.number = self.journal.count();
        let drawn = self.faults.drawn(self.seed, &ask);
        let standing = is_api(&ask).then(|| self.limits.count(&ask.path, ask.now));
        let (names, delivery) = self.delivery(&ask, &drawn, standing, others);
        self.journal.note(&self.origin, &ask, &names, &delivery);
        delivery
    }

    fn delivery(
        &mut self,
        ask: &Ask,
        drawn: &[FaultKind],
        standing: Option<Standing>,
        others: usize,
    ) -> (Vec<&'static str>, Delivery) {
        let origin = self.origin.clone();
        let struck = Struck {
            seed: self.seed,
            origin: &origin,
            ask,
            standing,
        };
        let mut names = Vec::new();
        let answer = match self.faults.instead(drawn, &struck) {
            Some((name, Delivery::Whole(answer))) => {
                names.push(name);
                answer
            }
            Some((name, delivery)) => return (vec![name], delivery),
            None => {
                let mut answer = self.routed(ask, drawn, standing, others);
                names.extend(self.faults.breaking(drawn, &struck, &mut answer));
                names.extend(effects(drawn, &answer));
                answer
            }
        };
        let (skewed, answer) = self.finished(ask, drawn, standing, answer);
        names.extend(skewed.then_some("clock-skew"));
        let (cut, answer) = compressed(ask, drawn, answer);
        names.extend(cut.then_some("truncated-gzip"));
        let (name, delivery) = faults::delivered(drawn, answer);
        names.extend(name);
        (names, delivery)
    }

    fn routed(
        &mut self,
        ask: &Ask,
        drawn: &[FaultKind],
        standing: Option<Standing>,
        others: usize,
    ) -> Answer {
        let answered = match ask.path.as_str() {
            "/.well-known/okta-organization" => self.well_known(ask),
            "/oauth2/v1/token" if ask.method == "POST" => Ok(self.access.grant(ask, drawn)),
            _ if is_api(ask) => self.api(ask, drawn, standing, others),
            _ => Err(Failure::missing(&ask.path, "Path")),
        };
        let answer = answered.unwrap_or_else(|failure| failure.answer(self.seed, ask));
        match self.access.told_nonce(ask, drawn) {
            Some(nonce) if answer.header("dpop-nonce").is_none() => {
                answer.with("dpop-nonce", &nonce)
            }
            _ => answer,
        }
    }

    fn well_known(&self, ask: &Ask) -> Result<Answer, Failure> {
        match ask.method.as_str() {
            "GET" => Ok(Answer::json(200, self.directory.organization())),
            _ => Err(Failure::method()),
        }
    }

    fn api(
        &mut self,
        ask: &Ask,
        drawn: &[FaultKind],
        standing: Option<Standing>,
        others: usize,
    ) -> Result<Answer, Failure> {
        if others >= self.concurrency {
            let reset = ask.now.div_euclid(super::time::SECOND) + 60;
            return Err(Failure::too_many()
                .with("x-rate-limit-limit", "0")
                .with("x-rate-limit-remaining", "0")
                .with("x-rate-limit-reset", &reset.to_string()));
        }
        if standing.is_some_and(|standing| !standing.within) {
            return Err(Failure::too_many());
        }
        let caller = self.access.caller(ask, drawn)?;
        let path = self.directory.canonical(ask, &caller);
        if access::needed(&path).is_none() && ask.method == "GET" {
            return Err(Failure::missing(&ask.path, "Path"));
        }
        match ask.method.as_str() {
            "GET" => {}
            // the tenant changes nothing by a request, whoever asks
            "POST" | "PUT" | "DELETE" | "PATCH" => return Err(Failure::forbidden()),
            _ => return Err(Failure::method()),
        }
        if drawn.contains(&FaultKind::RevokedScope) {
            return Err(access::insufficient(&path));
        }
        access::permitted(&caller, &path)?;
        match path.as_str() {
            "/api/v1/logs" => logs::answer(&mut self.log, self.seed, &self.origin, ask),
            _ => self.directory.answer(self.seed, ask, &path),
        }
    }

    /// The headers that every answer has; whether its date is skewed.
    fn finished(
        &self,
        ask: &Ask,
        drawn: &[FaultKind],
        standing: Option<Standing>,
        mut answer: Answer,
    ) -> (bool, Answer) {
        let (skewed, date) = faults::told_date(drawn, ask.now);
        answer.set("date", &date);
        // what stands before Okta knows nothing of its headers
        if answer.status > 500 && answer.header("content-type") == Some("text/html") {
            answer.set("server", "nginx");
            return (skewed, answer);
        }
        let number = ask.number.to_string();
        let id = self.seed.letters("", &["request", &number], 24);
        answer.set("x-okta-request-id", &id);
        let told = answer.header("x-rate-limit-limit").is_some();
        if let Some(standing) = standing.filter(|_| !told) {
            answer.set("x-rate-limit-limit", &standing.limit.to_string());
            answer.set("x-rate-limit-remaining", &standing.remaining.to_string());
            answer.set("x-rate-limit-reset", &standing.reset.to_string());
        }
        (skewed, answer)
    }
}

fn is_api(ask: &Ask) -> bool {
    ask.path.starts_with("/api/")
}

/// The faults whose effect is an answer that was refused.
fn effects(drawn: &[FaultKind], answer: &Answer) -> Vec<&'static str> {
    let struck = drawn.iter().filter(|kind| match kind {
        FaultKind::ExpiredToken(_) => answer.status == 401,
        FaultKind::RevokedScope => answer.status == 403,
        FaultKind::NonceRotation(_) => {
            answer.header("dpop-nonce").is_some() && answer.status >= 400
        }
        _ => false,
    });
    struck.map(|kind| kind.name()).collect()
}

/// Compresses a body for who takes that; whether a fault then cut it.
fn compressed(ask: &Ask, drawn: &[FaultKind], mut answer: Answer) -> (bool, Answer) {
    let accepted = ask.header("accept-encoding").unwrap_or_default();
    let takes = accepted.split(',').any(|coding| {
        coding
            .split(';')
            .next()
            .is_some_and(|name| name.trim() == "gzip")
    });
    if !takes || answer.body.is_empty() {
        return (false, answer);
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(&answer.body);
    let Ok(body) = written.and_then(|()| encoder.finish()) else {
        return (false, answer);
    };
    answer.body = body;
    answer.set("content-encoding", "gzip");
    let cut = drawn.contains(&FaultKind::TruncatedGzip);
    if cut {
        answer.body.truncate(answer.body.len() / 2);
    }
    (cut, answer)
}
