//! An Okta tenant on loopback: the parts of Okta that the engine uses, with the System Log's real
//! semantics, its rate limits, its tokens, and a switch for everything that can go wrong. It is
//! deterministic: the same seed, the same clock and the same requests give the same bytes. It
//! holds nothing real, and no request changes it.
//!
//! - [`scenario`]: what it holds, as a file says it.
//! - [`access`]: who asks; [`limits`]: how often.
//! - [`log`] and [`logs`]: the System Log; [`directory`]: everything else.
//! - [`faults`]: what goes wrong; [`journal`]: what was asked.
//! - [`core`]: one request from its first byte to its delivery; [`serve`]: the socket.

#![forbid(unsafe_code)]

mod access;
mod core;
mod cursor;
mod directory;
mod errors;
pub mod faults;
mod filter;
mod journal;
mod limits;
mod log;
mod logs;
pub mod scenario;
mod seed;
mod serve;
pub mod time;
mod wire;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use serde_json::Value;
use tokio::sync::oneshot;

use self::core::Core;
use access::Access;
use directory::Directory;
use journal::Journal;
use limits::Limits;
use log::Log;
use seed::Seed;

pub use faults::Fault;
pub use journal::Seen;
pub use scenario::Scenario;
pub use time::Clock;

/// How a tenant is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens: an address of loopback; port 0 is any.
    pub listen: SocketAddr,
    /// What ids, draws and tokens are made of.
    pub seed: u64,
    /// The clock.
    pub clock: Clock,
    /// Where each request is written, one JSON line each.
    pub request_log: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            seed: 1,
            clock: Clock::Real,
            request_log: None,
        }
    }
}

/// Why a tenant did not start.
#[derive(Debug, thiserror::Error)]
pub enum TenantError {
    /// It would be reachable from elsewhere.
    #[error("`{0}` is no address of loopback")]
    NotLoopback(SocketAddr),
    /// The address cannot be listened on.
    #[error("`{0}` cannot be listened on: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The request log cannot be written.
    #[error("`{0}` cannot be written: {1}")]
    RequestLog(String, std::io::Error),
    /// The scenario cannot be had.
    #[error(transparent)]
    Scenario(#[from] scenario::ScenarioError),
    /// A fault that the scenario names is none.
    #[error(transparent)]
    Fault(#[from] faults::BadFault),
    /// The machine gives no thread.
    #[error("no thread can be started: {0}")]
    Thread(std::io::Error),
}

/// A tenant that serves, until it is dropped.
pub struct Tenant {
    address: SocketAddr,
    clock: Clock,
    core: Arc<Mutex<Core>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts a tenant in threads of its own.
///
/// # Errors
///
/// Where the address is not of loopback or is taken, where the scenario cannot be had, and where
/// the request log cannot be written.
pub fn start(scenario: Scenario, options: Options) -> Result<Tenant, TenantError> {
    if !options.listen.ip().is_loopback() {
        return Err(TenantError::NotLoopback(options.listen));
    }
    let listen = |error| TenantError::Listen(options.listen, error);
    let listener = std::net::TcpListener::bind(options.listen).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let core = core(&scenario, &options, address)?;
    let core = Arc::new(Mutex::new(core));
    let shared = serve::Shared {
        core: Arc::clone(&core),
        clock: options.clock.clone(),
        busy: Arc::new(AtomicUsize::new(0)),
    };
    let (stop, stopped) = oneshot::channel();
    let thread = thread(listener, shared, stopped).map_err(TenantError::Thread)?;
    Ok(Tenant {
        address,
        clock: options.clock,
        core,
        stop: Some(stop),
        thread: Some(thread),
    })
}

impl Tenant {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`, what a client is configured with.
    #[must_use]
    pub fn origin(&self) -> String {
        origin(self.address)
    }

    /// An API token that is valid now, where the scenario has one.
    #[must_use]
    pub fn token(&self) -> Option<String> {
        let now = self.clock.now();
        self.core().access.first_token(now).map(str::to_owned)
    }

    /// Persists events now, in that order.
    pub fn persist(&self, events: Vec<Value>) {
        let now = self.clock.now();
        self.core().log.persist(&events, now);
    }

    /// Switches a fault on, in the place of one of the same name.
    pub fn set_fault(&self, fault: Fault) {
        self.core().faults.set(fault);
    }

    /// Switches all faults off.
    pub fn clear_faults(&self) {
        self.core().faults.clear();
    }

    /// The requests so far, in the order in which they came; the newest 100,000 of them.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        self.core().journal.seen().cloned().collect()
    }

    /// How many events are persisted now, those counted twice that are told twice.
    #[must_use]
    pub fn log_persisted(&self) -> usize {
        let now = self.clock.now();
        self.core().log.told_at(now)
    }

    /// How many events are older than 90 days, so that no request is told them.
    #[must_use]
    pub fn log_expired(&self) -> usize {
        let now = self.clock.now();
        self.core().log.expired_at(now)
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // a panic of the thread was told on stderr, and nobody waits for it here
            drop(thread.join());
        }
    }
}

fn origin(address: SocketAddr) -> String {
    format!("http://{address}")
}

fn core(scenario: &Scenario, options: &Options, address: SocketAddr) -> Result<Core, TenantError> {
    let seed = Seed(options.seed);
    let now = options.clock.now();
    let origin = origin(address);
    let events = scenario.events(options.seed, now)?;
    let rates = &scenario.rate_limits;
    let mut faults = faults::Faults::default();
    for fault in &scenario.faults {
        faults.set(fault.parse()?);
    }
    let file = options.request_log.as_ref().map(|path| {
        let bad = |error| TenantError::RequestLog(path.display().to_string(), error);
        File::create(path).map_err(bad)
    });
    Ok(Core {
        seed,
        concurrency: rates.concurrency,
        access: Access::new(scenario, seed, &origin, now)?,
        directory: Directory::new(scenario, seed, &origin, now)?,
        log: Log::new(events, &scenario.log, seed, now),
        limits: Limits::new(rates.window, rates.buckets.clone()),
        faults,
        journal: Journal::new(file.transpose()?),
        origin,
    })
}

/// Serves until it is told to stop; connections that are open then are dropped.
fn thread(
    listener: std::net::TcpListener,
    shared: serve::Shared,
    stopped: oneshot::Receiver<()>,
) -> std::io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("tenant")
        .enable_io()
        .enable_time()
        .build()?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    std::thread::Builder::new()
        .name("tenant".to_owned())
        .spawn(move || {
            let service = serve::router(shared);
            drop(runtime.spawn(axum::serve(listener, service).into_future()));
            // the other end is dropped with the tenant
            drop(runtime.block_on(stopped));
            runtime.shutdown_background();
        })
}
