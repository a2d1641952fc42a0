//! Why there is no reply, in sentences for a person. No key and no header is ever part of one.

use std::time::Duration;

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No connection.
    #[error("the model at `{host}` cannot be reached: {reason}")]
    Unreachable {
        /// The endpoint.
        host: String,
        /// Why.
        reason: String,
    },
    /// The time of the call was over.
    #[error("the model at `{host}` gave no reply within {after:?}{waiting}")]
    TimedOut {
        /// The endpoint.
        host: String,
        /// The time that there was.
        after: Duration,
        /// What the call waited for then.
        waiting: Waiting,
    },
    /// The connection ended before the reply did, or carried something that is not HTTP.
    #[error("the model at `{host}` broke off: {reason}")]
    Broken {
        /// The endpoint.
        host: String,
        /// Why.
        reason: String,
    },
    /// The endpoint refused, after retries where it is worth trying again.
    #[error("the model at `{host}` answered with status {status}{}{}", times(*.attempts), advice(*.status, .said))]
    Status {
        /// The endpoint.
        host: String,
        /// The HTTP status.
        status: u16,
        /// What it said of the reason, made safe to show; empty when it said nothing.
        said: String,
        /// How often it was asked.
        attempts: u32,
    },
    /// What was asked and the reply do not fit into what the model can read.
    #[error("the request is longer than the context of the model at `{host}`{}", quoted(.said))]
    ContextOverflow {
        /// The endpoint.
        host: String,
        /// What it said, made safe to show; empty when it said nothing.
        said: String,
    },
    /// An answer that is not one chat completion.
    #[error("the model at `{host}` answered with {found} instead of a chat completion")]
    NotACompletion {
        /// The endpoint.
        host: String,
        /// What came.
        found: String,
    },
    /// An answer that goes on past the limit.
    #[error("the answer of the model at `{host}` is longer than {limit} bytes")]
    TooLarge {
        /// The endpoint.
        host: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// An answer that repeats the key, so that nobody may keep it.
    #[error("the answer of the model at `{host}` repeats the key, so that it is not read")]
    RepeatsKey {
        /// The endpoint.
        host: String,
    },
    /// The run may not ask any more.
    #[error("the budget of the run is spent: {limit} {of}")]
    BudgetSpent {
        /// What there was.
        limit: u64,
        /// Of what: `calls` or `tokens`.
        of: &'static str,
    },
    /// The endpoint failed again and again, and is left alone for a while.
    #[error("the model at `{host}` failed {times} times in a row and is left alone for a while")]
    LeftAlone {
        /// The endpoint.
        host: String,
        /// How often it failed.
        times: u32,
    },
    /// A recording is asked, and has no reply: in what the request differs from those that have.
    #[error("{0}")]
    NotRecorded(String),
    /// There was no reply when it was recorded, and this is why.
    #[error("{0}")]
    Recorded(String),
    /// Nobody is asked after all: the slot is filled as without a model.
    #[error("nobody is asked")]
    NobodyAsked,
}

/// What a call waited for when its time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// For other calls to end.
    Turn,
    /// For the reply.
    Reply,
    /// To ask again, after this status.
    Retry(u16),
}

impl std::fmt::Display for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Turn => f.write_str(": as many calls as are allowed at once had not ended"),
            Self::Reply => Ok(()),
            Self::Retry(status) => write!(f, ": it had answered with status {status}"),
        }
    }
}

impl Failure {
    /// Whether it says that the endpoint as a whole is unwell, rather than this one call.
    pub(super) fn is_of_the_endpoint(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::Status { .. }
            | Self::NotACompletion { .. }
            | Self::TooLarge { .. }
            | Self::RepeatsKey { .. } => true,
            Self::TimedOut { waiting, .. } => *waiting != Waiting::Turn,
            Self::ContextOverflow { .. }
            | Self::BudgetSpent { .. }
            | Self::LeftAlone { .. }
            | Self::NotRecorded(_)
            | Self::Recorded(_)
            | Self::NobodyAsked => false,
        }
    }

    /// Whether the endpoint did no work for it.
    pub(super) fn costs_nothing(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Status { .. } | Self::ContextOverflow { .. }
        )
    }

    /// Whether an endpoint that does not know `response_format` could have answered so.
    pub(super) fn may_be_of_the_schema(&self) -> bool {
        matches!(
            self,
            Self::Status {
                status: 400 | 422 | 501,
                ..
            }
        )
    }

    /// Whether an endpoint that does not know `max_tokens` could have answered so: it says what it
    /// knows instead.
    pub(super) fn may_be_of_the_limit(&self) -> bool {
        match self {
            Self::Status { said, .. } => {
                self.may_be_of_the_schema() && said.contains("max_completion_tokens")
            }
            _ => false,
        }
    }

    /// The status, where it is worth asking again.
    pub(super) fn is_transient(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } if *status == 429 || (*status >= 500 && *status != 501) => {
                Some(*status)
            }
            _ => None,
        }
    }
}

fn times(attempts: u32) -> String {
    match attempts {
        0 | 1 => String::new(),
        more => format!(", {more} times"),
    }
}

fn advice(status: u16, said: &str) -> String {
    match status {
        300..=399 => ": redirects are not followed; set the base URL to where it leads".to_owned(),
        401 | 403 => ": it does not accept the key; set `LLM_API_KEY`".to_owned(),
        404 => format!(
            "{}; check the base URL, which mostly ends in `/v1`, and the name of the model",
            quoted(said)
        ),
        _ => quoted(said),
    }
}

fn quoted(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(": “{said}”")
    }
}
