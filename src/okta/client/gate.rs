//! What every request passes, and what it and its answer are on the way.

use std::io;
use std::time::Duration;

use serde::Serialize;

use super::failure::Failure;
use super::tally::TooMany;

/// What a request has to pass, and who is told of it.
pub trait Gate: Send + Sync {
    /// Whether this may be sent: asked at the last moment before the socket, with the path as it
    /// is sent.
    fn permits(&self, method: &str, path: &str) -> bool;
    /// A request is about to be sent. It is sent only when this is kept; what is given names it in
    /// [`Gate::conclude`].
    ///
    /// # Errors
    ///
    /// When that cannot be kept.
    fn intend(&self, sent: &Sent<'_>) -> io::Result<u64>;
    /// What came of it.
    ///
    /// # Errors
    ///
    /// When that cannot be kept.
    fn conclude(&self, intent: u64, came: &Came<'_>) -> io::Result<()>;
    /// The next request is sent when so much time went by.
    fn waits(&self, _: &Waits<'_>) {}
    /// Too many requests are refused.
    fn warns(&self, _: &TooMany) {}
}

/// A request that is about to be sent, without what is secret in it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sent<'s> {
    /// `GET` or `POST`.
    pub method: &'s str,
    /// Scheme, host and port.
    pub origin: &'s str,
    /// The path, encoded.
    pub path: &'s str,
    /// The query, encoded.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub query: &'s str,
    /// Which attempt this is, from 1.
    pub attempt: u32,
}

/// What came of a request.
#[derive(Clone, Copy, Debug)]
pub enum Came<'s> {
    /// An answer.
    Answer {
        /// Its status.
        status: u16,
        /// Its body, decompressed.
        body: Body<'s>,
        /// By what Okta finds the request, `x-okta-request-id`.
        request_id: Option<&'s str>,
    },
    /// None, or not a whole one.
    Nothing(&'s Failure),
}

/// The body of an answer, by what may be kept of it.
#[derive(Clone, Copy, Debug)]
pub enum Body<'s> {
    /// All of it.
    Whole(&'s [u8]),
    /// Its size and digest.
    Digest(&'s [u8]),
    /// Nothing.
    Secret,
}

/// Why the next request waits.
#[derive(Clone, Copy, Debug)]
pub enum Waits<'s> {
    /// Our share of a rate limit is used up.
    Share {
        /// The bucket.
        bucket: &'s str,
        /// How long.
        wait: Duration,
    },
    /// A request failed, and is sent again.
    Retry {
        /// Why.
        failure: &'s Failure,
        /// Which retry this is, from 1.
        retry: u32,
        /// How long.
        wait: Duration,
    },
}
