//! What is asked, and what was answered.

use super::limits::RateLimit;
use super::link::Next;
use super::origin::Origin;
use super::registry::{Keeps, Operation, encoded};
use crate::event::Time;

/// What is to be asked.
#[derive(Clone, Debug)]
pub struct Call {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) bucket: String,
    pub(super) scope: String,
    pub(super) keeps: Keeps,
    pub(super) expects: Expects,
    pub(super) is_open: bool,
}

/// What a body has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expects {
    /// A JSON array.
    Array,
    /// A JSON object.
    Object,
    /// One of the two.
    Either,
}

impl Call {
    /// An operation with these values of its path and of its query; nothing where a value cannot
    /// stand in a path.
    #[must_use]
    pub fn new(
        operation: &Operation,
        path: &[(&str, &str)],
        query: &[(&str, &str)],
        expects: Expects,
    ) -> Option<Self> {
        let pair = |(name, value): &(&str, &str)| format!("{}={}", encoded(name), encoded(value));
        let pairs: Vec<String> = query.iter().map(pair).collect();
        Some(Self {
            method: operation.method,
            path: operation.path(path)?,
            query: pairs.join("&"),
            bucket: operation.bucket.clone(),
            scope: operation.scope.clone(),
            keeps: operation.keeps,
            expects,
            is_open: false,
        })
    }

    /// The same operation, for the page that an answer to it named.
    #[must_use]
    pub fn next(&self, next: &Next) -> Self {
        Self {
            path: next.path().to_owned(),
            query: next.query().to_owned(),
            ..self.clone()
        }
    }

    /// The same without credentials.
    #[must_use]
    pub fn open(self) -> Self {
        Self {
            is_open: true,
            ..self
        }
    }

    /// The path, encoded.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// This as a link, for [`Next::parse`].
    #[must_use]
    pub fn to_link(&self, origin: &Origin) -> String {
        origin.url(&self.path, &self.query).to_string()
    }

    /// The query, encoded.
    #[must_use]
    pub fn query(&self) -> &str {
        &self.query
    }

    pub(super) fn called(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// An answer that is what was expected.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its body: JSON of the kind that the call expects.
    pub body: Vec<u8>,
    /// The next page, where it names one.
    pub next: Option<Next>,
    /// What Okta's clock said, to the second.
    pub date: Option<Time>,
    /// What ours said when the request was sent.
    pub sent: Time,
    /// What ours said when the answer was there.
    pub came: Time,
    /// The rate limit as it is after this.
    pub rate_limit: Option<RateLimit>,
}
