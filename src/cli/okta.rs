//! The tenant, for commands that ask it: its client, its System Log as a source, and what a person
//! is told meanwhile.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::audit::Audit;
use crate::cli::Common;
use crate::cli::events::ReadingArgs;
use crate::cli::live::{AHEAD, Came, Source};
use crate::cli::output::{UsageError, bad, talk, warn};
use crate::config::{Config, OktaSettings};
use crate::diag::{counted, grouped, noun};
use crate::event::{Nanos, Time};
use crate::okta::client::{Client, Clock, Failure, Refused, Registry, Tally, TooMany, Waits};
use crate::okta::client::{Operation, token_operation};
use crate::okta::system_log::{self, Begin, Progress, SystemLog, Text};
use crate::record::{News, RequestGate};
use crate::source::{Chunk, Input, Reader, Remote, SourceError};

/// A shorter wait is not told.
const WORTH_TELLING: Duration = Duration::from_secs(5);

/// How the clock of a client is looked at whether it is told to stop.
const SLICE: Duration = Duration::from_millis(50);

/// The state of a live System Log in the data folder, where no other file is named.
const STATE: &str = "system-log.state";

/// The file in which the state of a live System Log is kept.
pub(super) fn state_file(common: &Common) -> PathBuf {
    common.data.join(STATE)
}

/// The tenant that is configured.
///
/// # Errors
///
/// When none is, or nobody who asks.
pub(super) fn configured(config: &Config) -> Result<OktaSettings> {
    let settings = config.okta().map_err(|none| UsageError(none.to_string()))?;
    Ok(settings.clone())
}

/// A client of the tenant that may ask for these operations and for tokens, and that records each
/// request.
///
/// # Errors
///
/// When the credentials cannot be used.
pub(super) fn client(
    settings: &OktaSettings,
    mut operations: Vec<Operation>,
    audit: Option<Arc<Audit>>,
    stop: &Arc<AtomicBool>,
) -> Result<Client> {
    operations.push(token_operation());
    let gate = RequestGate::new(Registry::new(operations), audit, Box::new(tell));
    let clock = Stoppable(Arc::clone(stop));
    let client = Client::new(settings.client.clone(), Arc::new(gate), Arc::new(clock));
    client.map_err(|error| UsageError(error.to_string()).into())
}

/// The clock of this machine, which wakes whoever sleeps when the program is told to stop.
struct Stoppable(Arc<AtomicBool>);

impl Clock for Stoppable {
    fn now(&self) -> Time {
        crate::okta::client::Live.now()
    }

    fn sleep(&self, pause: Duration) {
        let mut left = pause;
        while !left.is_zero() && !self.0.load(Ordering::Relaxed) {
            let slice = left.min(SLICE);
            thread::sleep(slice);
            left -= slice;
        }
    }

    fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

fn tell(news: &News<'_>) {
    match news {
        News::Waits(Waits::Share { bucket, wait }) if *wait >= WORTH_TELLING => talk(&format!(
            "waiting {} s: our share of the rate limit of `{bucket}` is used up",
            wait.as_secs()
        )),
        News::Waits(Waits::Retry { failure, wait, .. }) if *wait >= WORTH_TELLING => {
            warn(&format!("{failure}; asked again in {} s", wait.as_secs()))
        }
        News::Waits(_) => {}
        News::TooMany(TooMany {
            refused,
            count,
            of,
            window,
        }) => {
            let what = match refused {
                Refused::Unauthorized => "with 401, as if the credentials were wrong",
                Refused::RateLimited => {
                    "with 429, since a rate limit was met; a smaller `share` below [okta] of rulectl.toml asks for less"
                }
            };
            let minutes = window.0 / (60 * Nanos::SECOND.0);
            warn(&format!(
                "{count} of {of} requests of the last {minutes} minutes were answered {what}"
            ));
        }
    }
}

/// From when to when a System Log is read: to now, where no end is said.
///
/// # Errors
///
/// When it is not said from when, or, where there is no end, one is said.
pub(super) fn range(reading: &ReadingArgs, follow: bool, now: Time) -> Result<(Time, Time)> {
    if follow && reading.says_until() {
        let message = "`--okta --follow` has no end, so that `--until` has no meaning";
        bail!(UsageError(message.to_owned()));
    }
    if follow && !reading.says_when() {
        return Ok((now, now));
    }
    let (since, until) = reading.range(|| Ok(now))?;
    let Some(since) = since else {
        let message = "`--okta` needs to know from when: `--hours 24`, or `--since 2026-03-02`; with `--follow` it may go on from now";
        bail!(UsageError(message.to_owned()));
    };
    Ok((since, until.unwrap_or(now)))
}

/// The System Log from one time to another, as an input that is read once, and how far it is read.
pub(super) fn bounded(
    client: &Arc<Client>,
    settings: &OktaSettings,
    (since, until): (Time, Time),
) -> Result<(Input, SoFar)> {
    let begin = Begin::Between(since, until);
    let log = SystemLog::new(Arc::clone(client), &begin, settings.page)?;
    let so_far = SoFar::default();
    let told = so_far.clone();
    let text = Text::new(log, Box::new(move |progress| told.set(progress)));
    let name = SystemLog::name(client);
    Ok((Input::Remote(Remote::new(name, Box::new(text))), so_far))
}

/// How far a log is read.
#[derive(Clone, Default)]
pub(super) struct SoFar(Arc<Mutex<Progress>>);

impl SoFar {
    fn set(&self, progress: Progress) {
        *self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = progress;
    }

    /// So far.
    pub(super) fn now(&self) -> Progress {
        *self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// How far a log was read, for a person.
pub(super) fn far(progress: Progress) -> String {
    let pages = counted(progress.pages, "page");
    let events = counted(progress.events, "event");
    match progress.newest {
        Some(newest) => format!("{pages}, {events}, up to {newest}"),
        None => format!("{pages}, {events}"),
    }
}

/// What was asked of a tenant in all, for a person.
pub(super) fn asked(tally: &Tally) -> String {
    let mut said = format!("{} to Okta", counted(tally.requests, "request"));
    let refused = [
        (tally.retries, "asked again"),
        (tally.rate_limited, "answered 429"),
        (tally.unauthorized, "answered 401"),
        (tally.broken, "without a whole answer"),
    ];
    for (count, what) in refused.into_iter().filter(|(count, _)| *count > 0) {
        said.push_str(&format!(", {} {what}", grouped(count)));
    }
    if tally.waited_ms >= 1000 {
        let seconds = tally.waited_ms / 1000;
        said.push_str(&format!(", {seconds} {} waited", noun(seconds, "second")));
    }
    said
}

/// The System Log without end, from where its state says, else from a time on.
pub(super) struct Polling {
    pub(super) client: Arc<Client>,
    pub(super) settings: OktaSettings,
    pub(super) since: Time,
    /// Whether the time was said, so that it is told where it does not count.
    pub(super) is_said: bool,
    pub(super) stop: Arc<AtomicBool>,
}

impl Source for Polling {
    fn name(&self) -> String {
        SystemLog::name(&self.client)
    }

    fn begin(self: Box<Self>, position: Option<&str>) -> Result<(Receiver<Came>, Option<String>)> {
        let begin = match position {
            Some(link) => {
                let is_said = if self.is_said {
                    "; `--since` and `--hours` are for the first start"
                } else {
                    ""
                };
                talk(&format!(
                    "goes on behind the last page that was decided{is_said}"
                ));
                Begin::Behind(link.to_owned())
            }
            None => {
                talk(&format!("begins with events of {}", self.since));
                Begin::Since(self.since)
            }
        };
        let log = match SystemLog::new(Arc::clone(&self.client), &begin, self.settings.page) {
            Ok(log) => log,
            Err(error) => bail!(
                "the state is of another tenant, or is damaged: {error}; move the state away to begin anew"
            ),
        };
        let (send, receive) = sync_channel(AHEAD);
        let position = log.position();
        thread::spawn(move || self.poll(log, &send));
        Ok((receive, position))
    }
}

impl Polling {
    /// Asks for page after page until nobody listens.
    fn poll(&self, mut log: SystemLog, send: &SyncSender<Came>) {
        let clock = Stoppable(Arc::clone(&self.stop));
        let (mut progress, mut is_behind) = (Progress::default(), true);
        let mut failed: u32 = 0;
        while !self.stop.load(Ordering::Relaxed) {
            match log.page() {
                // A log without end has a page behind each.
                Ok(None) => return,
                Ok(Some(page)) => {
                    if failed > 0 {
                        talk("Okta answers again");
                    }
                    failed = 0;
                    progress.add(&page);
                    let is_full = page.is_full;
                    if send.send(came(self.name(), page)).is_err() {
                        return;
                    }
                    if !is_full && is_behind {
                        let seconds = self.settings.poll.as_secs();
                        let far = far(progress);
                        talk(&format!("caught up: {far}; asking every {seconds} s"));
                    }
                    is_behind = is_full;
                    if !is_full {
                        clock.sleep(self.settings.poll);
                    }
                }
                // A link that is refused is not followed, and the page is asked for again.
                Err(failure)
                    if failure.is_transient() || (progress.pages > 0 && may_pass(&failure)) =>
                {
                    failed += 1;
                    is_behind = true;
                    let asked = failure.retry_after().unwrap_or_default();
                    let pause = self.settings.client.longest_pause.max(asked);
                    if failed == 1 && !self.stop.load(Ordering::Relaxed) {
                        bad(&format!(
                            "{failure}; asking every {} s until it answers: nothing is lost meanwhile",
                            pause.as_secs()
                        ));
                    }
                    clock.sleep(pause);
                }
                Err(failure) => {
                    let _gone = send.send(Came::Failed(self.failed(failure)));
                    return;
                }
            }
        }
    }

    fn failed(&self, failure: Failure) -> SourceError {
        SourceError::Read {
            input: self.name(),
            source: io::Error::other(failure),
        }
    }
}

/// What a proxy or a portal answers for a while, where Okta answered before.
fn may_pass(failure: &Failure) -> bool {
    matches!(failure, Failure::Link(_) | Failure::Redirected { .. })
}

/// A page as chunks of records.
fn came(name: String, page: system_log::Page) -> Came {
    let bytes = page.text.into();
    let memory = Input::Memory { name, bytes };
    let read: Result<Vec<Chunk>, SourceError> = Reader::new(vec![memory]).collect();
    match read {
        Ok(chunks) => Came::Page {
            chunks,
            position: page.position,
            asked: page.asked,
            is_full: page.is_full,
        },
        Err(error) => Came::Failed(error),
    }
}
