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

mod access;
mod address;
mod call;
mod clock;
mod credentials;
mod exchange;
mod failure;
mod gate;
mod limits;
mod link;
mod origin;
mod reading;
mod registry;
mod tally;

pub use self::access::token_operation;
pub use self::address::{Reach, is_public};
pub use self::call::{Answer, Call, Expects};
pub use self::clock::{Clock, Live};
pub use self::credentials::{Credentials, ServiceApp};
pub use self::failure::{Failure, OktaError, Refusal};
pub use self::gate::{Body, Came, Gate, Sent, Waits};
pub use self::limits::{RateLimit, date};
pub use self::link::{LinkError, Next};
pub use self::origin::{Origin, OriginError};
pub use self::registry::{Keeps, Operation, Registry};
pub use self::tally::{Refused, Tally, TooMany};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use http::{HeaderName, HeaderValue};
use uuid::Uuid;

use crate::event::Nanos;

use self::access::App;
use self::credentials::Access;
use self::exchange::{Received, Sending, Wire};
use self::limits::Buckets;
use self::tally::Recent;

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

/// Okta's API.
pub struct Client {
    settings: Settings,
    wire: Wire,
    gate: Arc<dyn Gate>,
    clock: Arc<dyn Clock>,
    app: Option<App>,
    known: Mutex<Known>,
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
            Some(Credentials::ServiceApp(app)) => Some(App::new(app)?),
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
        self.share(&call.bucket, Duration::ZERO)?;
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
            waited += self.share(bucket, waited)?;
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
                // A time that is over already does not say that asking at once is right.
                Failure::Refused(refusal) => refusal
                    .retry_after
                    .map_or(pause, |asked| (asked + self.settings.pause).max(pause)),
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
            if self.clock.is_stopped() {
                return Err(counted(failure, number));
            }
            self.known().tally.retries += 1;
            number += 1;
        }
    }

    /// Waits until the next request of a bucket is within our share; says how long. What was
    /// `waited` for the same answer counts.
    fn share(&self, bucket: &str, waited: Duration) -> Result<Duration, Failure> {
        let now = self.clock.now();
        let wait = self.known().buckets.wait(bucket, self.settings.share, now);
        if wait.is_zero() {
            return Ok(wait);
        }
        let waiting = |wait| {
            let bucket = bucket.to_owned();
            Err(Failure::Waiting { bucket, wait })
        };
        if waited + wait > self.settings.max_wait {
            return waiting(wait);
        }
        self.gate.waits(&Waits::Share { bucket, wait });
        self.pause(wait);
        if self.clock.is_stopped() {
            return waiting(wait);
        }
        Ok(wait)
    }

    /// Waits, and counts how long that was: less, where the program is told to stop.
    fn pause(&self, wait: Duration) {
        let before = self.clock.now();
        self.clock.sleep(wait);
        let slept = self.clock.now().since(before).0.max(0);
        self.known().tally.waited_ms += u64::try_from(slept / 1_000_000).unwrap_or(0);
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
            next: self.next(call, &received)?,
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
        let origin = self.settings.origin.to_string();
        let url = self.settings.origin.url(&call.path, &call.query);
        // What is sent is what was asked for, and not what a parser of URLs made of it.
        if url.path() != call.path || !self.gate.permits(call.method, url.path()) {
            return Err(Failure::NotPermitted {
                method: call.method.to_owned(),
                path: failure::shown(&call.path),
            });
        }
        let intent = self.gate.intend(&Sent {
            method: call.method,
            origin: &origin,
            path: &call.path,
            query: &call.query,
            attempt,
        });
        let intent = intent.map_err(|error| Failure::NotRecorded {
            request: call.called(),
            reason: crate::visible::reason(&error),
        })?;
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
                status: received.status,
                body: match call.keeps {
                    _ if self.repeats(&received.body) => Body::Secret,
                    Keeps::Body => Body::Whole(&received.body),
                    Keeps::Digest => Body::Digest(&received.body),
                    Keeps::Nothing => Body::Secret,
                },
                request_id: text(&received.headers, "x-okta-request-id")
                    .filter(|id| !self.is_told_in(id)),
            },
            Err(failure) => Came::Nothing(failure),
        };
        let concluded = self.gate.conclude(intent, &came);
        concluded.map_err(|error| Failure::OutcomeNotRecorded {
            request: call.called(),
            reason: crate::visible::reason(&error),
        })?;
        self.note(&call.bucket, outcome.as_ref().ok());
        let received = outcome?;
        if call.keeps != Keeps::Nothing && self.repeats(&received.body) {
            return Err(Failure::Broken {
                host: self.settings.origin.host(),
                request: call.called(),
                reason: "it repeats the credentials that it was sent".to_owned(),
            });
        }
        Ok(received)
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

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text<'r>(headers: &'r http::HeaderMap, name: &str) -> Option<&'r str> {
    headers.get(name)?.to_str().ok()
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
