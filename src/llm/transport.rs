//! One HTTP exchange under our own rules: no redirect, no proxy that nobody declared, an answer of
//! bounded size, and every failure in our own words.
//!
//! `async-openai` would read any answer whole, and ask again by itself; it is given this as its
//! transport instead.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_openai::config::Config;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use secrecy::SecretString;

use crate::llm::settings;
use crate::llm::wire;
use crate::llm::{Failure, Settings, SettingsError};
use crate::net::reason;
use crate::redact::Secret;

/// Of an answer that refuses, so many bytes are read for its reason.
const MAX_REFUSAL: usize = 64 << 10;

/// A connection that was idle for longer is not used again: servers close theirs after 5 seconds
/// and more, and a request that meets the closing is lost.
const IDLE: Duration = Duration::from_secs(2);

/// Where an endpoint is and what proves who asks.
#[derive(Clone)]
pub(super) struct Place {
    base: String,
    host: String,
    authorization: Option<HeaderValue>,
    /// The interface of `async-openai` asks for one; the header above is what is sent.
    no_key: SecretString,
}

impl Place {
    pub(super) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let host = settings::host(&settings.base_url).ok_or(SettingsError::BaseUrl)?;
        let authorization = settings.key.as_ref().map(bearer).transpose()?;
        Ok(Self {
            base: settings.base_url.trim_end_matches('/').to_owned(),
            host,
            authorization,
            no_key: SecretString::default(),
        })
    }

    /// Host and port.
    pub(super) fn host(&self) -> &str {
        &self.host
    }
}

fn bearer(key: &Secret) -> Result<HeaderValue, SettingsError> {
    let text = format!("Bearer {}", key.expose());
    let mut value = HeaderValue::from_str(&text).map_err(|_| SettingsError::Key)?;
    value.set_sensitive(true);
    Ok(value)
}

impl Config for Place {
    fn headers(&self) -> HeaderMap {
        let value = self.authorization.clone();
        let entry = value.map(|value| (header::AUTHORIZATION, value));
        entry.into_iter().collect()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    fn api_base(&self) -> &str {
        &self.base
    }

    fn api_key(&self) -> &SecretString {
        &self.no_key
    }
}

/// An exchange that gave no answer to read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{failure}")]
pub(super) struct Refused {
    pub(super) failure: Failure,
    /// When the endpoint wants to be asked again.
    pub(super) retry_after: Option<Duration>,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            retry_after: None,
        }
    }
}

/// Sends a request of `async-openai` and reads the answer, within limits.
#[derive(Clone)]
pub(super) struct Transport {
    http: reqwest::Client,
    host: String,
    key: Option<Secret>,
    max_reply_bytes: usize,
}

impl Transport {
    pub(super) fn new(settings: &Settings, host: &str) -> Result<Self, SettingsError> {
        let mut client = reqwest::Client::builder()
            .user_agent(concat!("rulectl/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(settings.connect_timeout)
            .pool_idle_timeout(IDLE);
        if let Some(proxy) = &settings.proxy {
            settings::host(proxy).ok_or(SettingsError::Proxy)?;
            let proxy = reqwest::Proxy::all(proxy).map_err(|_| SettingsError::Proxy)?;
            client = client.proxy(proxy);
        }
        let is_plain = |url: &str| url.starts_with("http://");
        if is_plain(&settings.base_url) && settings.proxy.as_deref().is_none_or(is_plain) {
            // No certificate is looked at, so that the system need not have any.
            client = client.tls_certs_only([]);
        }
        let http = client
            .build()
            .map_err(|error| SettingsError::Client(reason(&error)))?;
        Ok(Self {
            http,
            host: host.to_owned(),
            key: settings.key.clone(),
            max_reply_bytes: settings.max_reply_bytes,
        })
    }

    /// The client beneath.
    pub(super) fn http(&self) -> reqwest::Client {
        self.http.clone()
    }

    async fn exchange(self, request: HttpRequestFactory) -> Result<reqwest::Response, Refused> {
        let request = request
            .build()
            .await
            .map_err(|_| self.broken("no request could be made"))?;
        let sent = self.http.execute(request).await;
        let mut response = sent.map_err(|error| self.not_answered(&error))?;
        let status = response.status();
        if !status.is_success() {
            let retry_after = wire::retry_after(response.headers(), chrono::Utc::now());
            let (body, _) = self.read(&mut response, MAX_REFUSAL).await?;
            let failure = wire::refusal(&self.host, status.as_u16(), &body, self.key.as_ref());
            return Err(Refused {
                failure,
                retry_after,
            });
        }
        let (body, is_whole) = self.read(&mut response, self.max_reply_bytes).await?;
        if !is_whole {
            return Err(self.too_large());
        }
        if let Some(found) = wire::foreign(response.headers(), &body) {
            return Err(self.not_a_completion(found));
        }
        Ok(answer(status, body))
    }

    /// The body, and whether that is all of it.
    async fn read(
        &self,
        response: &mut reqwest::Response,
        limit: usize,
    ) -> Result<(Vec<u8>, bool), Refused> {
        let mut body = Vec::new();
        loop {
            let chunk = response.chunk().await;
            let chunk = chunk.map_err(|_| self.broken("the connection ended before the answer"))?;
            let Some(chunk) = chunk else {
                return Ok((body, true));
            };
            if body.len() + chunk.len() > limit {
                return Ok((body, false));
            }
            body.extend_from_slice(&chunk);
        }
    }

    fn not_answered(&self, error: &reqwest::Error) -> Refused {
        let host = self.host.clone();
        let reason = reason(error);
        if error.is_connect() {
            Failure::Unreachable { host, reason }.into()
        } else {
            Failure::Broken { host, reason }.into()
        }
    }

    fn broken(&self, reason: &str) -> Refused {
        let failure = Failure::Broken {
            host: self.host.clone(),
            reason: reason.to_owned(),
        };
        failure.into()
    }

    fn too_large(&self) -> Refused {
        let failure = Failure::TooLarge {
            host: self.host.clone(),
            limit: self.max_reply_bytes,
        };
        failure.into()
    }

    fn not_a_completion(&self, found: String) -> Refused {
        let failure = Failure::NotACompletion {
            host: self.host.clone(),
            found,
        };
        failure.into()
    }
}

/// An answer whose body has been read, as `async-openai` takes it.
fn answer(status: StatusCode, body: Vec<u8>) -> reqwest::Response {
    let mut response = http::Response::new(body);
    *response.status_mut() = status;
    response.into()
}

impl tower_service::Service<HttpRequestFactory> for Transport {
    type Response = reqwest::Response;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequestFactory) -> Self::Future {
        let exchange = self.clone().exchange(request);
        Box::pin(async move { exchange.await.map_err(Into::into) })
    }
}

/// What [`Transport`] said, out of the wrapping of `async-openai`.
pub(super) fn unwrapped(error: OpenAIError, host: &str) -> Refused {
    let found = match error {
        OpenAIError::Boxed(error) => match error.downcast::<Refused>() {
            Ok(refused) => return *refused,
            Err(_) => "something else",
        },
        // Neither the error nor what it quotes of the answer is shown.
        OpenAIError::JSONDeserialize(error, _) if error.is_data() => "JSON of another shape",
        OpenAIError::JSONDeserialize(..) => "something that is not JSON",
        _ => "something else",
    };
    let failure = Failure::NotACompletion {
        host: host.to_owned(),
        found: found.to_owned(),
    };
    failure.into()
}
