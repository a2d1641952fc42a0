//! Why there is no answer to work with, for the person who has to do something about it.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::link::LinkError;
use crate::visible::visible;

/// Of a text of Okta's, so much is shown.
const SHOWN: usize = 400;

/// Why a request has no answer to work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message shows its fields")]
pub enum Failure {
    /// It is no operation of the registry.
    #[error("{method} {path} is no operation of the registry, and was not sent")]
    NotPermitted { method: String, path: String },
    /// That it is about to be sent could not be recorded.
    #[error("{request} was not sent, since the audit cannot be written: {reason}")]
    NotRecorded { request: String, reason: String },
    /// What came of it could not be recorded.
    #[error(
        "{request} was sent, and its answer is dropped, since the audit cannot be written: {reason}"
    )]
    OutcomeNotRecorded { request: String, reason: String },
    /// There is no connection.
    #[error("no connection to {host}: {reason}")]
    Unreachable { host: String, reason: String },
    /// There was no whole answer in time.
    #[error("{host} did not answer {request} within {} s", .after.as_secs())]
    TimedOut {
        host: String,
        request: String,
        after: Duration,
    },
    /// The answer broke off, or is damaged.
    #[error("the answer of {host} to {request} broke off: {reason}")]
    Broken {
        host: String,
        request: String,
        reason: String,
    },
    /// The answer is larger than allowed.
    #[error(
        "the answer of {host} to {request} is larger than {} MiB and was not read; `max_body_mib` below [okta] of rulectl.toml is the limit", .limit >> 20
    )]
    TooLarge {
        host: String,
        request: String,
        limit: usize,
    },
    /// The answer is not what this operation answers.
    #[error("{host} answered {request} with {found} where {expected} was expected{}", quoted(.shown))]
    Unexpected {
        host: String,
        request: String,
        found: String,
        expected: &'static str,
        shown: String,
    },
    /// It was to be asked elsewhere.
    #[error("{host} answered {request} with a redirect ({status}) to `{to}`, which is not followed{}", hint(.same_host))]
    Redirected {
        host: String,
        request: String,
        status: u16,
        to: String,
        /// Whether it leads to the same host, so that the address that is configured may be at fault.
        same_host: bool,
    },
    /// Okta refused, or failed.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// The link to the next page leads elsewhere.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Pages go round in circles, or hold nothing without end.
    #[error("{request}: {reason}; reading stops here")]
    Endless { request: String, reason: String },
    /// A token cannot stand in a header.
    #[error("the token cannot be sent: {0}")]
    Token(&'static str),
    /// The key of a service app does not sign.
    #[error("the private key cannot sign: {0}")]
    Key(String),
    /// A rate limit would have to be waited for longer than allowed.
    #[error("the rate limit of `{bucket}` would be waited for {} s, longer than `max_wait` below [okta] of rulectl.toml", .wait.as_secs())]
    Waiting { bucket: String, wait: Duration },
}

/// Okta's answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was asked, such as `GET /api/v1/logs`.
    pub request: String,
    /// The status of the answer.
    pub status: u16,
    /// What Okta says of it, where the answer says something.
    pub error: Option<OktaError>,
    /// The scope that the operation asks for.
    pub scope: String,
    /// How often it was heard.
    pub attempts: u32,
    /// How long to wait before it is asked again, where Okta says so.
    pub(super) retry_after: Option<Duration>,
    /// Whether it is for too many requests at once.
    pub(super) is_of_concurrency: bool,
}

/// Okta's error object (<https://developer.okta.com/docs/reference/error-codes/>), or the one of
/// OAuth 2.0 (RFC 6749, 5.2), made visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OktaError {
    /// Such as `E0000011` or `invalid_client`.
    pub code: String,
    /// What it says.
    pub summary: String,
    /// By what Okta's support finds it.
    pub id: Option<String>,
    /// What it says of causes.
    pub causes: Vec<String>,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl Failure {
    /// Whether asking again may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Broken { .. }
            | Self::Unexpected { .. }
            | Self::Waiting { .. } => true,
            Self::Refused(refusal) => matches!(refusal.status, 408 | 429 | 500..=599),
            _ => false,
        }
    }

    /// How long to wait before it is asked again, where Okta says so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            Self::Waiting { wait, .. } => Some(*wait),
            _ => None,
        }
    }

    /// The status of the answer, where Okta refused.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            Self::Redirected { status, .. } => Some(*status),
            _ => None,
        }
    }
}

fn quoted(shown: &str) -> String {
    match shown {
        "" => String::new(),
        shown => format!(": `{shown}`"),
    }
}

fn hint(same_host: &bool) -> &'static str {
    if *same_host {
        "; is OKTA_ORG_URL the address of the org itself?"
    } else {
        ""
    }
}

impl OktaError {
    /// The error that a body holds, if it holds one.
    #[must_use]
    pub fn of(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Written {
            error_code: Option<String>,
            error_summary: Option<String>,
            error_id: Option<String>,
            #[serde(default)]
            error_causes: Vec<Cause>,
            error: Option<String>,
            #[serde(rename = "error_description")]
            description: Option<String>,
        }
        #[derive(Deserialize)]
        struct Cause {
            #[serde(rename = "errorSummary")]
            summary: Option<String>,
        }
        let written: Written = serde_json::from_slice(body).ok()?;
        let causes = written.error_causes.into_iter();
        Some(Self {
            code: shown(&written.error_code.or(written.error)?),
            summary: shown(
                &written
                    .error_summary
                    .or(written.description)
                    .unwrap_or_default(),
            ),
            id: written.error_id.map(|id| shown(&id)),
            causes: causes
                .take(5)
                .filter_map(|cause| cause.summary)
                .map(|text| shown(&text))
                .collect(),
        })
    }
}

/// The beginning of a text from outside, made visible.
pub(super) fn shown(text: &str) -> String {
    let mut shown = visible(&text.chars().take(SHOWN).collect::<String>());
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Okta answered {} to {}", self.status, self.request)?;
        if let Some(error) = &self.error {
            write!(f, ": {error}")?;
        }
        if self.attempts > 1 {
            write!(f, ", {} times in a row", self.attempts)?;
        }
        match self.help() {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl Refusal {
    /// Whether a proof lacks the nonce of the server (RFC 9449, 8).
    pub(super) fn wants_nonce(&self) -> bool {
        self.error
            .as_ref()
            .is_some_and(|error| error.code == "use_dpop_nonce")
    }

    /// What to do about it.
    fn help(&self) -> Option<String> {
        let code = self.error.as_ref().map_or("", |error| error.code.as_str());
        Some(match (self.status, code) {
            (_, "invalid_client") => "is OKTA_CLIENT_ID the client ID of the service app, and OKTA_PRIVATE_KEY_FILE the key whose public half is registered there?".to_owned(),
            (_, "invalid_scope" | "access_denied") => "grant the scopes to the service app under `Okta API Scopes`, and give it an admin role".to_owned(),
            (401, _) => "the token is wrong, has expired or was revoked: API tokens end after 30 days without use; `rulectl doctor` tells more".to_owned(),
            (403, _) if !self.scope.is_empty() => format!("a service app needs the scope `{}` granted and an admin role that may read this; an API token needs an admin who may", self.scope),
            (429, _) if self.is_of_concurrency => "too many requests of the org run at once; others use the API too".to_owned(),
            (429, _) => "the rate limit is used up, perhaps by others; `share` below [okta] of rulectl.toml is how much of it is used here".to_owned(),
            _ => return None,
        })
    }
}

impl fmt::Display for OktaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.summary)?;
        for cause in &self.causes {
            write!(f, "; {cause}")?;
        }
        match &self.id {
            Some(id) => write!(f, " (errorId {id})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_shown_in_full_and_harmless() {
        let cases = [
            (
                r#"{"errorCode":"E0000011","errorSummary":"Invalid token provided","errorLink":"E0000011","errorId":"oaeZm1","errorCauses":[]}"#,
                "E0000011 Invalid token provided (errorId oaeZm1)",
            ),
            (
                r#"{"errorCode":"E0000053","errorSummary":"Invalid filter","errorCauses":[{"errorSummary":"published"},{"errorSummary":"is \u001b[31mred"}]}"#,
                "E0000053 Invalid filter; published; is \\u{1b}[31mred",
            ),
            (
                r#"{"error":"invalid_client","error_description":"No such client"}"#,
                "invalid_client No such client",
            ),
        ];
        for (body, expected) in cases {
            let error = OktaError::of(body.as_bytes()).expect(body);
            assert_eq!(error.to_string(), expected);
        }
        for body in ["", "{}", "<html>", "[]", r#"{"errorCode":5}"#] {
            assert_eq!(OktaError::of(body.as_bytes()), None, "{body}");
        }
    }
}
