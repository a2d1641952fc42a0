//! The live model: an OpenAI-compatible endpoint, asked with patience that has an end.

use std::collections::BTreeSet;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_openai::Client;
use backon::{ExponentialBuilder, Retryable as _};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use crate::llm::budget::Purse;
use crate::llm::health::Health;
use crate::llm::transport::{Place, Refused, Transport, unwrapped};
use crate::llm::wire::{self, Completion, Limit, Manner, Structure};
use crate::llm::{About, Failure, Model, Reply, Request, Settings, SettingsError, Waiting};

/// The longest pause before a retry that the endpoint does not ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// An OpenAI-compatible endpoint.
///
/// [`Model::ask`] blocks its caller, never past the timeout of the request: what talks to the
/// endpoint runs on a thread of its own, and is dropped when the time is over.
pub struct Endpoint {
    line: Arc<Line>,
    /// Taken when this is dropped, so that nobody waits for what still runs.
    runtime: Option<Runtime>,
}

impl Endpoint {
    /// The endpoint of these settings. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When nothing can be asked with these settings.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("model")
            .enable_all()
            .build()
            .map_err(|error| SettingsError::Client(crate::visible::reason(&error)))?;
        Ok(Self {
            line: Arc::new(Line::new(settings)?),
            runtime: Some(runtime),
        })
    }

    fn timed_out(&self, after: Duration, progress: &Progress) -> Failure {
        Failure::TimedOut {
            host: self.line.place.host().to_owned(),
            after,
            waiting: progress.now(),
        }
    }
}

impl Model for Endpoint {
    fn ask(&self, request: &Request) -> Result<Reply, Failure> {
        if let Err(times) = self.line.health.may_ask(Instant::now()) {
            return Err(Failure::LeftAlone {
                host: self.line.place.host().to_owned(),
                times,
            });
        }
        let allowed = request.timeout.min(self.line.settings.timeout);
        let progress = Progress::new();
        let call = Call {
            line: Arc::clone(&self.line),
            request: request.clone(),
            until: Instant::now().checked_add(allowed),
            progress: progress.clone(),
        };
        let (sender, receiver) = sync_channel(1);
        let task = self
            .runtime
            .as_ref()
            .map(|rt| rt.spawn(call.answer(sender)));
        let outcome = match receiver.recv_timeout(allowed) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => Err(self.timed_out(allowed, &progress)),
            Err(RecvTimeoutError::Disconnected) => Err(self.line.ended_early()),
        };
        if let Some(task) = task {
            task.abort();
        }
        self.line.note(&outcome);
        outcome
    }

    fn about(&self) -> About {
        About {
            host: self.line.place.host().to_owned(),
            model: self.line.settings.model.clone(),
            temperature: self.line.settings.temperature,
            recorded: false,
        }
    }

    fn concurrency(&self) -> usize {
        self.line.settings.concurrency
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What all calls to one endpoint share.
struct Line {
    settings: Settings,
    place: Place,
    client: Client<Place>,
    turns: Semaphore,
    purse: Purse,
    health: Health,
    known: Mutex<Known>,
}

impl Line {
    fn new(settings: Settings) -> Result<Self, SettingsError> {
        let place = Place::new(&settings)?;
        let transport = Transport::new(&settings, place.host())?;
        let client = Client::build(transport.http(), place.clone()).with_http_service(transport);
        Ok(Self {
            client,
            place,
            turns: Semaphore::new(settings.concurrency.clamp(1, Semaphore::MAX_PERMITS)),
            purse: Purse::new(settings.budget),
            health: Health::new(settings.rest),
            known: Mutex::default(),
            settings,
        })
    }

    fn note(&self, outcome: &Result<Reply, Failure>) {
        match outcome {
            Err(failure) if failure.is_of_the_endpoint() => self.health.failed(Instant::now()),
            Ok(_) | Err(Failure::ContextOverflow { .. }) => self.health.well(),
            Err(_) => {}
        }
    }

    fn ended_early(&self) -> Failure {
        Failure::Broken {
            host: self.place.host().to_owned(),
            reason: "the call ended without an outcome".to_owned(),
        }
    }

    /// How a slot is asked for, as far as the endpoint is known.
    fn manner(&self, slot: &str) -> Manner {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Manner {
            structure: if known.by_instruction.contains(slot) {
                Structure::Instruction
            } else {
                Structure::Schema
            },
            limit: if known.completion_tokens {
                Limit::CompletionTokens
            } else {
                Limit::Tokens
            },
        }
    }

    /// A slot was asked for so, with success.
    fn remember(&self, slot: &str, manner: Manner) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if manner.structure == Structure::Instruction {
            known.by_instruction.insert(slot.to_owned());
        }
        known.completion_tokens |= manner.limit == Limit::CompletionTokens;
    }
}

/// What an endpoint was found not to take.
#[derive(Default)]
struct Known {
    /// Slots whose schema it does not take.
    by_instruction: BTreeSet<String>,
    /// Whether the limit of a reply's tokens has its newer name.
    completion_tokens: bool,
}

/// One question, until it has an outcome or nobody waits for one.
struct Call {
    line: Arc<Line>,
    request: Request,
    until: Option<Instant>,
    progress: Progress,
}

impl Call {
    async fn answer(self, outcome: SyncSender<Result<Reply, Failure>>) {
        let reply = self.converse().await;
        // Whoever asked may have gone.
        let _gone = outcome.send(reply);
    }

    /// Asks, and asks in another manner where the endpoint may have refused because of the first.
    async fn converse(&self) -> Result<Reply, Failure> {
        let _turn = self.turn().await?;
        let slot = &self.request.slot;
        let mut manner = self.line.manner(slot);
        loop {
            let outcome = self.persist(manner).await;
            let instead = outcome.as_ref().err();
            match instead.and_then(|refused| manner.instead(refused)) {
                Some(other) => manner = other,
                None => {
                    if outcome.is_ok() {
                        self.line.remember(slot, manner);
                    }
                    return outcome;
                }
            }
        }
    }

    /// Waits until as few calls run as are allowed at once.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, Failure> {
        if let Ok(turn) = self.line.turns.try_acquire() {
            return Ok(turn);
        }
        self.progress.set(Waiting::Turn);
        let turn = self.line.turns.acquire().await;
        turn.map_err(|_| self.line.ended_early())
    }

    /// Asks, and asks again while that is worth it.
    async fn persist(&self, manner: Manner) -> Result<Reply, Failure> {
        let retries = usize::try_from(self.line.settings.retries).unwrap_or(usize::MAX);
        let pauses = ExponentialBuilder::default()
            .with_jitter()
            // Without a seed of our own it is the same in every process.
            .with_jitter_seed(Uuid::new_v4().as_u64_pair().1)
            .with_min_delay(self.line.settings.pause)
            .with_max_delay(LONGEST_PAUSE.max(self.line.settings.pause))
            .with_max_times(retries);
        let mut attempts = 0_u32;
        let outcome = (|| {
            attempts += 1;
            self.attempt(manner)
        })
        .retry(pauses)
        .when(|refused: &Refused| refused.failure.is_transient().is_some())
        .adjust(|refused: &Refused, pause| self.pause(refused, pause))
        .await;
        outcome.map_err(|refused| counted(refused.failure, attempts))
    }

    /// The pause before a retry, if the time of the call allows it.
    fn pause(&self, refused: &Refused, pause: Option<Duration>) -> Option<Duration> {
        let pause = pause?.max(refused.retry_after.unwrap_or_default());
        let left = self
            .until
            .map(|u| u.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left <= pause) {
            return None;
        }
        if let Some(status) = refused.failure.is_transient() {
            self.progress.set(Waiting::Retry(status));
        }
        Some(pause)
    }

    async fn attempt(&self, manner: Manner) -> Result<Reply, Refused> {
        let line = &self.line;
        let aside = line.purse.set_aside(&self.request)?;
        self.progress.set(Waiting::Reply);
        let settings = &line.settings;
        let body = wire::body(&self.request, &settings.model, settings.temperature, manner);
        let host = line.place.host();
        let completion: Result<Completion, _> = line.client.chat().create_byot(body).await;
        match completion {
            Ok(completion) => {
                let reply = wire::reply(completion, host, settings.key.as_ref())?;
                aside.cost(reply.usage);
                Ok(reply)
            }
            Err(error) => {
                let refused = unwrapped(error, host);
                if refused.failure.costs_nothing() {
                    aside.refused();
                }
                Err(refused)
            }
        }
    }
}

/// A refusal with how often it was heard.
fn counted(failure: Failure, times: u32) -> Failure {
    match failure {
        Failure::Status {
            host, status, said, ..
        } => Failure::Status {
            host,
            status,
            said,
            attempts: times,
        },
        other => other,
    }
}

/// What a call waits for, to be told when its time is over.
#[derive(Clone)]
struct Progress(Arc<Mutex<Waiting>>);

impl Progress {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Waiting::Reply)))
    }

    fn set(&self, waiting: Waiting) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = waiting;
    }

    fn now(&self) -> Waiting {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
