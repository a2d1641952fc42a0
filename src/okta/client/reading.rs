//! What an answer is: what was asked for, or why not.

use std::time::Duration;

use serde::de::IgnoredAny;

use super::call::{Call, Expects};
use super::exchange::Received;
use super::failure::{self, Failure, OktaError, Refusal};
use super::limits::RateLimit;
use super::link::{LinkError, Next};
use super::{Client, link, text};

impl Client {
    pub(super) fn refused(
        &self,
        call: &Call,
        received: &Received,
        limit: Option<RateLimit>,
    ) -> Refusal {
        let is_limited = received.status == 429;
        let of_concurrency = limit.is_some_and(|limit| limit.is_of_concurrency());
        let reset = limit.filter(|_| is_limited && !of_concurrency);
        let error = OktaError::of(&received.body).filter(|error| {
            let shown = error.to_string();
            // A server that repeats what it was sent must not have it shown.
            !self.is_told_in(&shown)
        });
        Refusal {
            request: call.called(),
            status: received.status,
            error,
            scope: call.scope.clone(),
            attempts: 1,
            retry_after: reset
                .map(|limit| limit.resets_in)
                .or_else(|| retry_after(received)),
            is_of_concurrency: is_limited && of_concurrency,
        }
    }

    /// Whether a text has a part of what is secret, so that nobody is shown it.
    pub(super) fn is_told_in(&self, text: &str) -> bool {
        let decoded = text.replace("%20", " ");
        let secrets = self.secrets();
        let mut secrets = secrets.iter();
        secrets.any(|secret| secret.stands_in(text) || secret.stands_in(&decoded))
    }

    /// Whether an answer repeats what is secret.
    pub(super) fn repeats(&self, body: &[u8]) -> bool {
        let secrets = self.secrets();
        let mut secrets = secrets.iter();
        secrets.any(|secret| {
            let secret = secret.expose().as_bytes();
            secret.len() >= 8 && memchr::memmem::find(body, secret).is_some()
        })
    }

    /// The next page that an answer names. A link with what is secret in it is not followed: it would
    /// be recorded.
    pub(super) fn next(&self, call: &Call, received: &Received) -> Result<Option<Next>, LinkError> {
        let links = received.headers.get_all(http::header::LINK);
        let mut links = links.iter().filter_map(|link| link.to_str().ok());
        if links.any(|link| self.is_told_in(link)) {
            return Err(LinkError {
                reason: "it repeats the credentials that were sent",
                link: "***".to_owned(),
            });
        }
        Next::of(&received.headers, &self.settings.origin, &call.path)
    }

    pub(super) fn redirected(&self, call: &Call, received: &Received) -> Failure {
        let to = text(&received.headers, "location").unwrap_or_default();
        let to = if self.is_told_in(to) { "***" } else { to };
        let url = reqwest::Url::parse(to).ok();
        let is_same = |url: &reqwest::Url| {
            let host = url.host_str().unwrap_or_default();
            self.settings.origin.host().split(':').next() == Some(host)
        };
        Failure::Redirected {
            host: self.settings.origin.host(),
            request: call.called(),
            status: received.status,
            to: link::shown(to),
            same_host: url.as_ref().is_some_and(is_same),
        }
    }

    /// Whether a body is what this operation answers.
    pub(super) fn expected(&self, call: &Call, received: &Received) -> Result<(), Failure> {
        let body = received.body.trim_ascii();
        let expected = match call.expects {
            Expects::Array => "a JSON array",
            Expects::Object => "a JSON object",
            Expects::Either => "a JSON array or object",
        };
        let found = match (call.expects, body.first()) {
            (_, None) => "an empty body",
            (Expects::Array | Expects::Either, Some(b'['))
            | (Expects::Object | Expects::Either, Some(b'{')) => {
                if serde_json::from_slice::<IgnoredAny>(body).is_ok() {
                    return Ok(());
                }
                "JSON that is cut off or damaged"
            }
            (Expects::Array, Some(b'{')) => "a JSON object",
            (Expects::Object, Some(b'[')) => "a JSON array",
            (_, Some(b'<')) => "a page of HTML",
            _ => "something that is not JSON",
        };
        let text = String::from_utf8_lossy(body.get(..200.min(body.len())).unwrap_or_default());
        // What begins like JSON may hold values of events that are secret.
        let is_json = matches!(body.first(), Some(b'[' | b'{'));
        // What is cut off may be the rest of it.
        let is_secret = self.is_told_in(&text) || self.repeats(body);
        let shown = match is_json || is_secret {
            true => String::new(),
            false => failure::shown(&text),
        };
        Err(self.unexpected(call, found, expected, &shown))
    }

    pub(super) fn unexpected(
        &self,
        call: &Call,
        found: &str,
        expected: &'static str,
        shown: &str,
    ) -> Failure {
        Failure::Unexpected {
            host: self.settings.origin.host(),
            request: call.called(),
            found: found.to_owned(),
            expected,
            shown: shown.to_owned(),
        }
    }
}

/// `Retry-After` in seconds, as proxies say it.
fn retry_after(received: &Received) -> Option<Duration> {
    let seconds: u64 = text(&received.headers, "retry-after")?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds.min(3600)))
}
