//! Okta's API, asked with manners: one way for every request.
//!
//! ```text
//! Call ─▶ wait for our share of the rate limit ─▶ credentials ─▶ registry ─▶ intent recorded ─▶ socket
//!      ◀─ Answer, or Failure ◀─ again, after a pause ◀─ headers read ◀─ answer recorded ◀──────────┘
//! ```
//!
//! What is sent is data before it is an effect: an [`Operation`] of the [`Registry`] with encoded
//! values, or the [`Next`] page that an answer named and that leads to the same place. Whoever calls
//! hands in a [`Gate`], which permits each request at the last moment and records it before and
//! after, and a [`Clock`].

mod address;
mod clock;
mod credentials;
mod exchange;
mod failure;
mod limits;
mod link;
mod origin;
mod registry;
mod tally;

pub use self::address::{Reach, is_public};
pub use self::clock::{Clock, Live};
pub use self::credentials::{Credentials, ServiceApp};
pub use self::failure::{Failure, OktaError, Refusal};
pub use self::limits::{RateLimit, date};
pub use self::link::{LinkError, Next};
pub use self::origin::{Origin, OriginError};
pub use self::registry::{Operation, Registry};
pub use self::tally::{Refused, Tally, TooMany};

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use serde::Serialize;
use serde::de::IgnoredAny;
use uuid::Uuid;

use crate::event::{Nanos, Time};
use crate::redact::Secret;

use self::credentials::{Access, Prover, Signer};
use self::exchange::{Received, Sending, Wire};
use self::limits::Buckets;
use self::registry::encoded;
use self::tally::Recent;

/// Where access tokens are had.
const TOKEN_PATH: &str = "/oauth2/v1/token";

/// The operation that gives access tokens.
#[must_use]
pub fn token_operation() -> Operation {
    Operation {
        method: "POST",
        template: TOKEN_PATH.to_owned(),
        bucket: "oauth2".to_owned(),
        scope: String::new(),
    }
}

/// How a tenant is asked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it is.
    pub origin: Origin,
    /// Which addresses are reached.
    pub reach: Reach,
    /// Who asks; nobody, where only what needs no credentials is asked.
    pub credentials: Option<Credentials>,
    /// The part of each rate limit that is used here, above 0.0 and up to 1.0.
    pub share: f64,
    /// The proxy to go through. The environment's `HTTPS_PROXY` and its like are not looked at.
    pub proxy: Option<String>,
    /// A connection is made within this time.
    pub connect_timeout: Duration,
    /// A request and its answer take no longer. Okta gives up on a query after 30 seconds.
    pub timeout: Duration,
    /// A request is sent again so often where that may help, not counting rate limits.
    pub retries: u32,
    /// The pause before the first retry; each further one is twice as long, up to [`Self::longest_pause`].
    pub pause: Duration,
    /// The longest pause before a retry that Okta does not ask for.
    pub longest_pause: Duration,
    /// What the jitter of pauses is drawn from; random, so that clients that were refused together do
    /// not come again together.
    pub jitter: u64,
    /// For one answer, rate limits and retries are waited for this long in all and no longer.
    pub max_wait: Duration,
    /// A body has at most so many bytes, compressed or not.
    pub max_body: usize,
    /// A share of 401 or 429 above this, 0.0 to 1.0, is warned of.
    pub warn_share: f64,
    /// In a window of so much time.
    pub warn_window: Nanos,
}

impl Settings {
    /// These for a tenant, everything else as it is without configuration.
    #[must_use]
    pub fn new(origin: Origin, reach: Reach, credentials: Option<Credentials>) -> Self {
        Self {
            origin,
            reach,
            credentials,
            share: 0.5,
            proxy: None,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(60),
            retries: 5,
            pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
            jitter: Uuid::new_v4().as_u64_pair().1,
            max_wait: Duration::from_secs(300),
            max_body: 32 << 20,
            warn_share: 0.1,
            warn_window: Nanos(600 * Nanos::SECOND.0),
        }
    }
}

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
        /// The path that was asked, encoded.
        path: &'s str,
        /// Its status.
        status: u16,
        /// Its body, decompressed; nothing where that is secret.
        body: Option<&'s [u8]>,
        /// By what Okta finds the request, `x-okta-request-id`.
        request_id: Option<&'s str>,
    },
    /// None, or not a whole one.
    Nothing(&'s Failure),
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

/// What is to be asked.
#[derive(Clone, Debug)]
pub struct Call {
    method: &'static str,
    path: String,
    query: String,
    bucket: String,
    scope: String,
    expects: Expects,
    is_open: bool,
}

/// What a body has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expects {
    /// A JSON array.
    Array,
    /// A JSON object.
    Object,
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

    fn called(&self) -> String {
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

/// Okta's API.
pub struct Client {
    settings: Settings,
    wire: Wire,
    gate: Arc<dyn Gate>,
    clock: Arc<dyn Clock>,
    app: Option<App>,
    known: Mutex<Known>,
}

/// The keys of a service app.
struct App {
    signer: Signer,
    prover: Prover,
    client_id: String,
    scopes: String,
}

/// What was heard so far.
struct Known {
    buckets: Buckets,
    tally: Tally,
    recent: Recent,
    access: Option<Access>,
    nonce: Option<String>,
}

/// A client cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The credentials cannot be used.
    #[error(transparent)]
    Credentials(#[from] Failure),
    /// The system does not give what a client needs.
    #[error("no HTTP client can be made: {0}")]
    System(String),
}

impl Client {
    /// A client with these settings. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When a key cannot sign, or the system gives no client.
    pub fn new(
        settings: Settings,
        gate: Arc<dyn Gate>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ClientError> {
        let wire = Wire::new(&settings).map_err(ClientError::System)?;
        let app = match &settings.credentials {
            Some(Credentials::ServiceApp(app)) => Some(App {
                signer: Signer::new(app)?,
                prover: Prover::new()?,
                client_id: app.client_id.clone(),
                scopes: app.scopes.join(" "),
            }),
            Some(Credentials::Token(_)) | None => None,
        };
        let recent = Recent::new(settings.warn_window, settings.warn_share);
        Ok(Self {
            wire,
            gate,
            clock,
            app,
            known: Mutex::new(Known {
                buckets: Buckets::default(),
                tally: Tally::default(),
                recent,
                access: None,
                nonce: None,
            }),
            settings,
        })
    }

    /// Where the tenant is.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.settings.origin
    }

    /// What came of requests so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.known().tally.clone()
    }

    /// The scopes that were granted, where a service app asks; gets a token where there is none.
    ///
    /// # Errors
    ///
    /// When there is no token to be had.
    pub fn granted(&self) -> Result<Option<Vec<String>>, Failure> {
        let Some(app) = &self.app else {
            return Ok(None);
        };
        self.persist("oauth2", &mut |attempt| self.access(app, attempt))
            .map(|access| Some(access.scopes))
    }

    /// Asks, waits where Okta wants that, and asks again where that may help.
    ///
    /// # Errors
    ///
    /// When there is no answer of the kind that is expected.
    pub fn get(&self, call: &Call) -> Result<Answer, Failure> {
        self.persist(&call.bucket, &mut |attempt| self.attempt(call, attempt))
    }

    /// The same once, without a retry.
    ///
    /// # Errors
    ///
    /// As [`Client::get`].
    pub fn get_once(&self, call: &Call) -> Result<Answer, Failure> {
        self.share(&call.bucket)?;
        self.attempt(call, 1)
    }

    fn persist<T>(
        &self,
        bucket: &str,
        attempt: &mut dyn FnMut(u32) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let growing = ExponentialBuilder::default()
            .with_jitter()
            // Without a seed of our own it is the same in every process.
            .with_jitter_seed(self.settings.jitter.wrapping_add(self.tally().requests))
            .with_min_delay(self.settings.pause)
            .with_max_delay(self.settings.longest_pause)
            .without_max_times();
        let (mut failed, mut limited) = (growing.build(), growing.build());
        let (mut retries, mut waited, mut number) = (0, Duration::ZERO, 1);
        loop {
            self.share(bucket)?;
            let failure = match attempt(number) {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            // A rate limit says that asking again later is right, however often it says so; there
            // the time that is waited has an end.
            let is_limited = failure.status() == Some(429);
            let pause = if is_limited {
                limited.next()
            } else if failure.is_transient() && retries < self.settings.retries {
                retries += 1;
                failed.next()
            } else {
                None
            };
            let Some(pause) = pause else {
                return Err(counted(failure, number));
            };
            let wait = match &failure {
                Failure::Refused(refusal) => refusal
                    .retry_after
                    .map_or(pause, |asked| asked + self.settings.pause),
                _ => pause,
            };
            waited += wait;
            if waited > self.settings.max_wait {
                return Err(counted(failure, number));
            }
            self.gate.waits(&Waits::Retry {
                failure: &failure,
                retry: number,
                wait,
            });
            self.pause(wait);
            self.known().tally.retries += 1;
            number += 1;
        }
    }

    /// Waits until the next request of a bucket is within our share.
    fn share(&self, bucket: &str) -> Result<(), Failure> {
        let now = self.clock.now();
        let wait = self.known().buckets.wait(bucket, self.settings.share, now);
        if wait.is_zero() {
            return Ok(());
        }
        if wait > self.settings.max_wait {
            let bucket = bucket.to_owned();
            return Err(Failure::Waiting { bucket, wait });
        }
        self.gate.waits(&Waits::Share { bucket, wait });
        self.pause(wait);
        Ok(())
    }

    fn pause(&self, wait: Duration) {
        self.known().tally.waited_ms += u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.clock.sleep(wait);
    }

    /// Asks once; with an access token that is refused, once more with a new one.
    fn attempt(&self, call: &Call, attempt: u32) -> Result<Answer, Failure> {
        match self.ask(call, attempt) {
            Err(Failure::Refused(refusal))
                if refusal.status == 401 && self.app.is_some() && !call.is_open =>
            {
                self.known().access = None;
                self.ask(call, attempt)
            }
            other => other,
        }
    }

    fn ask(&self, call: &Call, attempt: u32) -> Result<Answer, Failure> {
        let headers = if call.is_open {
            Vec::new()
        } else {
            self.authorization(call.method, &call.path, attempt)?
        };
        let sent = self.clock.now();
        let received = self.send(call, headers, None, attempt)?;
        let came = self.clock.now();
        let rate_limit = RateLimit::of(&received.headers, came);
        match received.status {
            200..=299 => {}
            300..=399 => return Err(self.redirected(call, &received)),
            _ => return Err(self.refused(call, &received, rate_limit).into()),
        }
        self.expected(call, &received)?;
        Ok(Answer {
            next: Next::of(&received.headers, &self.settings.origin, &call.path)?,
            date: date(&received.headers),
            sent,
            came,
            rate_limit,
            body: received.body,
        })
    }

    /// The one way to the socket.
    fn send(
        &self,
        call: &Call,
        headers: Vec<(HeaderName, HeaderValue)>,
        form: Option<String>,
        attempt: u32,
    ) -> Result<Received, Failure> {
        let is_secret = form.is_some();
        let origin = self.settings.origin.to_string();
        let url = self.settings.origin.url(&call.path, &call.query);
        // What is sent is what was asked for, and not what a parser of URLs made of it.
        if url.path() != call.path || !self.gate.permits(call.method, url.path()) {
            return Err(Failure::NotPermitted {
                method: call.method.to_owned(),
                path: failure::shown(&call.path),
            });
        }
        let not_recorded = |error: io::Error| Failure::NotRecorded {
            request: call.called(),
            reason: crate::visible::reason(&error),
        };
        let intent = self.gate.intend(&Sent {
            method: call.method,
            origin: &origin,
            path: &call.path,
            query: &call.query,
            attempt,
        });
        let intent = intent.map_err(not_recorded)?;
        self.known().tally.requests += 1;
        let outcome = self.wire.exchange(Sending {
            method: call.method,
            url,
            headers,
            form,
            called: call.called(),
        });
        let came = match &outcome {
            Ok(received) => Came::Answer {
                path: &call.path,
                status: received.status,
                body: Some(received.body.as_slice()).filter(|_| !is_secret),
                request_id: text(&received.headers, "x-okta-request-id"),
            },
            Err(failure) => Came::Nothing(failure),
        };
        self.gate.conclude(intent, &came).map_err(not_recorded)?;
        self.note(&call.bucket, outcome.as_ref().ok());
        outcome
    }

    /// What an answer says beside its body.
    fn note(&self, bucket: &str, received: Option<&Received>) {
        let now = self.clock.now();
        let mut known = self.known();
        let Some(received) = received else {
            known.tally.broken += 1;
            return;
        };
        known.tally.bytes += received.body.len() as u64;
        known.tally.unauthorized += u64::from(received.status == 401);
        known.tally.rate_limited += u64::from(received.status == 429);
        if let Some(limit) = RateLimit::of(&received.headers, now) {
            known.buckets.note(bucket, limit, now);
        }
        if let Some(nonce) = text(&received.headers, "dpop-nonce") {
            known.nonce = Some(nonce.to_owned());
        }
        let warning = known.recent.note(received.status, now);
        drop(known);
        if let Some(warning) = warning {
            self.gate.warns(&warning);
        }
    }

    fn authorization(
        &self,
        method: &str,
        path: &str,
        attempt: u32,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, Failure> {
        match (&self.settings.credentials, &self.app) {
            (Some(Credentials::Token(token)), _) => {
                Ok(vec![secret(AUTHORIZATION, "SSWS ", token)?])
            }
            (Some(Credentials::ServiceApp(_)), Some(app)) => {
                let access = self.access(app, attempt)?;
                if !access.is_dpop {
                    return Ok(vec![secret(AUTHORIZATION, "Bearer ", &access.token)?]);
                }
                let url = self.settings.origin.url(path, "");
                let about = (method, url.as_str());
                let (now, nonce) = (self.clock.now(), self.known().nonce.clone());
                let proof = app
                    .prover
                    .proof(about, Some(&access.token), nonce.as_deref(), now)?;
                Ok(vec![
                    secret(AUTHORIZATION, "DPoP ", &access.token)?,
                    secret(HeaderName::from_static("dpop"), "", &Secret::new(proof))?,
                ])
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The access token, renewed before it ends.
    fn access(&self, app: &App, attempt: u32) -> Result<Access, Failure> {
        let now = self.clock.now();
        let held = self.known().access.clone();
        if let Some(access) = held.filter(|access| now < access.renew_at) {
            return Ok(access);
        }
        let access = match self.request_token(app, attempt) {
            // The server wants its nonce in the proof, and has just said it.
            Err(Failure::Refused(refusal)) if refusal.wants_nonce() => {
                self.request_token(app, attempt)?
            }
            other => other?,
        };
        self.known().access = Some(access.clone());
        Ok(access)
    }

    fn request_token(&self, app: &App, attempt: u32) -> Result<Access, Failure> {
        let operation = token_operation();
        let call = Call {
            method: operation.method,
            path: operation.template,
            query: String::new(),
            bucket: operation.bucket,
            scope: String::new(),
            expects: Expects::Object,
            is_open: true,
        };
        let url = self.settings.origin.url(TOKEN_PATH, "");
        let (now, nonce) = (self.clock.now(), self.known().nonce.clone());
        let about = (operation.method, url.as_str());
        let proof = app.prover.proof(about, None, nonce.as_deref(), now)?;
        let assertion = app.signer.assertion(&app.client_id, url.as_str(), now)?;
        let form = format!(
            "grant_type=client_credentials&scope={}&client_assertion_type={}&client_assertion={}",
            encoded(&app.scopes),
            encoded("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            encoded(&assertion),
        );
        let proof = secret(HeaderName::from_static("dpop"), "", &Secret::new(proof))?;
        let received = self.send(&call, vec![proof], Some(form), attempt)?;
        match received.status {
            200..=299 => Access::of(&received.body, self.clock.now()).ok_or_else(|| {
                let found = "something that grants no token";
                // What it says may be a token all the same.
                self.unexpected(&call, found, "an access token", "")
            }),
            300..=399 => Err(self.redirected(&call, &received)),
            _ => {
                let limit = RateLimit::of(&received.headers, self.clock.now());
                Err(self.refused(&call, &received, limit).into())
            }
        }
    }

    fn refused(&self, call: &Call, received: &Received, limit: Option<RateLimit>) -> Refusal {
        let is_limited = received.status == 429;
        let of_concurrency = limit.is_some_and(|limit| limit.is_of_concurrency());
        let reset = limit.filter(|_| is_limited && !of_concurrency);
        let error = OktaError::of(&received.body).filter(|error| {
            let shown = error.to_string();
            // A server that repeats what it was sent must not have it shown.
            !self.secrets().iter().any(|secret| secret.stands_in(&shown))
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

    /// What no message may show.
    fn secrets(&self) -> Vec<Secret> {
        let mut secrets = Vec::new();
        match &self.settings.credentials {
            Some(Credentials::Token(token)) => secrets.push(token.clone()),
            Some(Credentials::ServiceApp(app)) => secrets.push(app.key.clone()),
            None => {}
        }
        secrets.extend(
            self.known()
                .access
                .iter()
                .map(|access| access.token.clone()),
        );
        secrets
    }

    fn redirected(&self, call: &Call, received: &Received) -> Failure {
        let to = text(&received.headers, "location").unwrap_or_default();
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
    fn expected(&self, call: &Call, received: &Received) -> Result<(), Failure> {
        let body = received.body.trim_ascii();
        let expected = match call.expects {
            Expects::Array => "a JSON array",
            Expects::Object => "a JSON object",
        };
        let found = match (call.expects, body.first()) {
            (_, None) => "an empty body",
            (Expects::Array, Some(b'[')) | (Expects::Object, Some(b'{')) => {
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
        let is_secret = self.secrets().iter().any(|secret| secret.stands_in(&text));
        let shown = match is_json || is_secret {
            true => String::new(),
            false => failure::shown(&text),
        };
        Err(self.unexpected(call, found, expected, &shown))
    }

    fn unexpected(&self, call: &Call, found: &str, expected: &'static str, shown: &str) -> Failure {
        Failure::Unexpected {
            host: self.settings.origin.host(),
            request: call.called(),
            found: found.to_owned(),
            expected,
            shown: shown.to_owned(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A header that is never shown.
fn secret(
    name: HeaderName,
    scheme: &str,
    value: &Secret,
) -> Result<(HeaderName, HeaderValue), Failure> {
    let text = format!("{scheme}{}", value.expose());
    let refused = "it holds a character that cannot be sent, such as a line break";
    let mut value = HeaderValue::from_str(&text).map_err(|_| Failure::Key(refused.to_owned()))?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn text<'r>(headers: &'r http::HeaderMap, name: &str) -> Option<&'r str> {
    headers.get(name)?.to_str().ok()
}

/// `Retry-After` in seconds, as proxies say it.
fn retry_after(received: &Received) -> Option<Duration> {
    let seconds: u64 = text(&received.headers, "retry-after")?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds.min(3600)))
}

/// A failure with how often it was heard.
fn counted(failure: Failure, attempts: u32) -> Failure {
    match failure {
        Failure::Refused(mut refusal) => {
            refusal.attempts = attempts;
            Failure::Refused(refusal)
        }
        other => other,
    }
}
