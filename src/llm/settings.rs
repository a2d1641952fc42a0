//! How an endpoint is asked.

use std::time::Duration;

use crate::redact::Secret;
use crate::visible::visible;

/// How an endpoint is asked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where `/chat/completions` hangs, such as `http://127.0.0.1:1234/v1`.
    pub base_url: String,
    /// The model, as the endpoint names it.
    pub model: String,
    /// What proves who asks; local servers need none.
    pub key: Option<Secret>,
    /// How freely the model chooses its words, 0.0 to 2.0; `None` leaves it to the endpoint.
    pub temperature: Option<f64>,
    /// No call takes longer, whatever a prompt allows.
    pub timeout: Duration,
    /// A connection is made within this time.
    pub connect_timeout: Duration,
    /// A call is tried again so often, on status 429 and 5xx.
    pub retries: u32,
    /// The pause before the first retry; each further one is twice as long, up to 8 seconds.
    pub pause: Duration,
    /// So many calls at once.
    pub concurrency: usize,
    /// What a run may spend.
    pub budget: Budget,
    /// An answer has at most so many bytes.
    pub max_reply_bytes: usize,
    /// The proxy to go through. The environment's `HTTP_PROXY` and its like are not looked at.
    pub proxy: Option<String>,
    /// For how long an endpoint is left alone that failed several times in a row.
    pub rest: Duration,
}

/// Host and port of an address that says nothing else but where something is.
pub(super) fn host(text: &str) -> Option<String> {
    let url = reqwest::Url::parse(text).ok()?;
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !is_plain || !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let host = visible(url.host_str()?);
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host,
    })
}

/// What a run may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// So many requests, retries included.
    pub calls: u64,
    /// So many tokens, asked and said.
    pub tokens: u64,
}

impl Settings {
    /// Whether this is the address of an endpoint: `http` or `https` and a host, without user,
    /// query and fragment.
    #[must_use]
    pub fn is_base_url(text: &str) -> bool {
        host(text).is_some()
    }

    /// Whether this is the address of a proxy. One with user and password is not: they would be
    /// secrets in a place where none are kept.
    #[must_use]
    pub fn is_proxy(text: &str) -> bool {
        host(text).is_some() && reqwest::Proxy::all(text).is_ok()
    }

    /// These for an endpoint and a model, everything else as it is without configuration.
    #[must_use]
    pub fn new(base_url: &str, model: &str) -> Self {
        Self {
            base_url: base_url.to_owned(),
            model: model.to_owned(),
            key: None,
            temperature: Some(0.0),
            timeout: Duration::from_secs(120),
            connect_timeout: Duration::from_secs(5),
            retries: 2,
            pause: Duration::from_millis(500),
            concurrency: 4,
            budget: Budget {
                calls: 10_000,
                tokens: 10_000_000,
            },
            max_reply_bytes: 1 << 20,
            proxy: None,
            rest: Duration::from_secs(30),
        }
    }
}

/// Settings that no endpoint can be asked with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not an address.
    #[error(
        "the base URL is not one of `http://` or `https://` with a host, without user, query and fragment"
    )]
    BaseUrl,
    /// Not a proxy.
    #[error("the proxy is not a URL such as `http://proxy.example.com:3128`")]
    Proxy,
    /// A key that no header can hold.
    #[error("the key holds a character that cannot be sent, such as a line break")]
    Key,
    /// The system does not give what a client needs.
    #[error("no HTTP client can be made: {0}")]
    Client(String),
}
