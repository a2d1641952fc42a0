//! One request and its answer, under our own rules: no redirect, no proxy that nobody declared, no address that is not
//! reached, an answer of bounded size before and after decompression, and an end in time.

use std::io::Read as _;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::Url;
use tokio::runtime::Runtime;

use super::Settings;
use super::address::{Reach, Resolver};
use super::failure::Failure;
use crate::net::reason;

/// A connection that was idle for longer is not used again.
const IDLE: Duration = Duration::from_secs(30);

/// The way to a tenant.
pub(super) struct Wire {
    http: reqwest::Client,
    runtime: Option<Runtime>,
    host: String,
    /// A request and its answer take no longer.
    timeout: Duration,
    /// A body has at most so many bytes, compressed or not.
    most: usize,
}

/// What is sent.
pub(super) struct Sending {
    pub(super) method: &'static str,
    pub(super) url: Url,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// A form, of the one request that has a body.
    pub(super) form: Option<String>,
    /// What it is called in messages, such as `GET /api/v1/logs`.
    pub(super) called: String,
}

/// What came.
pub(super) struct Received {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Wire {
    pub(super) fn new(settings: &Settings) -> Result<Self, String> {
        let origin = &settings.origin;
        // Where a proxy is declared, it alone is connected to, wherever it is; it resolves the name
        // of the tenant.
        let reach = match &settings.proxy {
            Some(_) => Reach::Private,
            None => settings.reach,
        };
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("rulectl/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Resolver(reach))
            .connect_timeout(settings.connect_timeout)
            .pool_idle_timeout(IDLE);
        if let Some(proxy) = &settings.proxy {
            let proxy = reqwest::Proxy::all(proxy).map_err(|error| reason(&error))?;
            http = http.proxy(proxy);
        }
        if origin.to_string().starts_with("http://") {
            // No certificate is looked at, so that the system need not have any.
            http = http.tls_certs_only([]);
        } else {
            http = http.https_only(true);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("okta")
            .enable_all()
            .build()
            .map_err(|error| crate::visible::reason(&error))?;
        Ok(Self {
            http: http.build().map_err(|error| reason(&error))?,
            runtime: Some(runtime),
            host: origin.host(),
            timeout: settings.timeout,
            most: settings.max_body,
        })
    }

    /// Sends a request and waits for its whole answer.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub(super) fn exchange(&self, sending: Sending) -> Result<Received, Failure> {
        let called = sending.called.clone();
        let Some(runtime) = &self.runtime else {
            return Err(self.broken(&called, "the client is closed"));
        };
        let timed = async { tokio::time::timeout(self.timeout, self.send(sending)).await };
        match runtime.block_on(timed) {
            Ok(received) => received,
            Err(_) => Err(Failure::TimedOut {
                host: self.host.clone(),
                request: called,
                after: self.timeout,
            }),
        }
    }

    async fn send(&self, sending: Sending) -> Result<Received, Failure> {
        let Sending {
            method,
            url,
            headers,
            form,
            called,
        } = sending;
        let method = if method == "POST" {
            Method::POST
        } else {
            Method::GET
        };
        let mut request = self.http.request(method, url);
        request = request
            .header(ACCEPT, "application/json")
            .header(ACCEPT_ENCODING, "gzip");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(form) = form {
            request = request
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form);
        }
        let sent = request.send().await;
        let mut response = sent.map_err(|error| self.not_answered(&called, &error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        loop {
            let chunk = response.chunk().await;
            let ended = |_| self.broken(&called, "the connection ended before the answer did");
            let Some(chunk) = chunk.map_err(ended)? else {
                break;
            };
            if body.len() + chunk.len() > self.most {
                return Err(self.too_large(&called));
            }
            body.extend_from_slice(&chunk);
        }
        let body = self.decompressed(&headers, body, &called)?;
        Ok(Received {
            status,
            headers,
            body,
        })
    }

    fn decompressed(
        &self,
        headers: &HeaderMap,
        body: Vec<u8>,
        called: &str,
    ) -> Result<Vec<u8>, Failure> {
        let encoding = headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
        match encoding {
            None | Some(b"identity" | b"") => return Ok(body),
            Some(b"gzip" | b"x-gzip") => {}
            Some(_) => {
                return Err(self.broken(called, "it is compressed in a way that was not asked for"));
            }
        }
        let mut text = Vec::new();
        let most = u64::try_from(self.most).unwrap_or(u64::MAX);
        let read = MultiGzDecoder::new(body.as_slice())
            .take(most.saturating_add(1))
            .read_to_end(&mut text);
        match read {
            Ok(_) if text.len() > self.most => Err(self.too_large(called)),
            Ok(_) => Ok(text),
            Err(_) => Err(self.broken(called, "its gzip data is cut off or damaged")),
        }
    }

    fn not_answered(&self, called: &str, error: &reqwest::Error) -> Failure {
        let reason = reason(error);
        if error.is_connect() {
            let host = self.host.clone();
            return Failure::Unreachable { host, reason };
        }
        self.broken(called, &reason)
    }

    fn broken(&self, called: &str, reason: &str) -> Failure {
        Failure::Broken {
            host: self.host.clone(),
            request: called.to_owned(),
            reason: reason.to_owned(),
        }
    }

    fn too_large(&self, called: &str) -> Failure {
        Failure::TooLarge {
            host: self.host.clone(),
            request: called.to_owned(),
            limit: self.most,
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Nobody waits for what still runs.
            runtime.shutdown_background();
        }
    }
}
