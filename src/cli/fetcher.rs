//! The process that asks the tenant for a question: it has the credentials and the network, and
//! nothing else; this one has the audit and the answer, and opens no socket.
//!
//! They speak in lines of JSON. Each request passes both: the child holds it against the registry
//! at the last moment before the socket, and this side holds it against its own and records the
//! intent before it lets the child go on.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ask::{Fetch, Fetched, Request, Unanswered};
use crate::cli::Exit;
use crate::config::OktaSettings;
use crate::okta::client::{
    Body, Call, Came, Client, Credentials, Failure, Gate, Keeps, Live, Next, Operation, Origin,
    Reach, Registry, Sent, ServiceApp, Settings, Waits, token_operation,
};
use crate::redact::{Secret, Secrets};
use crate::sandbox::{self, Given};
use crate::tools::{Catalogue, Pages, Tool};

/// What the child is told first. It stands in a pipe and nowhere else.
#[derive(Serialize, Deserialize)]
struct Setup {
    origin: String,
    is_private: bool,
    token: Option<String>,
    app: Option<App>,
    share: f64,
    proxy: Option<String>,
    connect_timeout: Duration,
    timeout: Duration,
    retries: u32,
    max_wait: Duration,
    max_body: usize,
    /// Path, bucket and scope of each operation that it may ask for.
    operations: Vec<(String, String, String)>,
    max_seconds: u64,
}

#[derive(Serialize, Deserialize)]
struct App {
    client_id: String,
    key: String,
    key_id: Option<String>,
    scopes: Vec<String>,
}

/// What this side says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    /// Ask for a page.
    Get {
        path: String,
        bucket: String,
        scope: String,
        values: Vec<(String, String)>,
        query: Vec<(String, String)>,
        next: Option<String>,
        next_in_body: bool,
    },
    /// The intent is recorded.
    Go(u64),
    /// It is not, or may not be.
    Stop(String),
}

/// What the child says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    /// What it gave up.
    Ready(Vec<Given>),
    /// It is about to send.
    Intend {
        method: String,
        origin: String,
        path: String,
        query: String,
        attempt: u32,
    },
    /// What came of it.
    Conclude {
        intent: u64,
        status: Option<u16>,
        request_id: Option<String>,
        body: Option<String>,
        failed: Option<String>,
    },
    /// It waits.
    Waits(String),
    /// A page is there, the body of the request that was concluded last.
    Page { next: Option<String> },
    /// There is none.
    NotFound(String),
    /// It would have to be waited for too long.
    Cut(String),
    /// There is none for another reason.
    Failed(String),
}

/// The other process.
pub(super) struct Fetcher {
    child: Child,
    to: ChildStdin,
    from: Receiver<io::Result<String>>,
    gate: Arc<dyn Gate>,
    deadline: Instant,
    secrets: Secrets,
    /// The body that was concluded last.
    body: Option<Vec<u8>>,
    /// What the child gave up.
    pub(super) given: Vec<Given>,
    /// Whoever is told of waits.
    told: fn(&str),
}

impl Fetcher {
    /// Starts the child for a tenant. `gate` is this side's.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or does not begin.
    pub(super) fn start(
        settings: &OktaSettings,
        catalogue: &Catalogue,
        gate: Arc<dyn Gate>,
        max: Duration,
        secrets: Secrets,
        told: fn(&str),
    ) -> Result<Self> {
        let program = std::env::current_exe().context("the program does not find itself")?;
        let mut command = Command::new(program);
        command
            .arg("__fetch")
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        for kept in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        let mut child = command
            .spawn()
            .context("the process that asks the tenant cannot be started")?;
        let to = child.stdin.take().context("it has no input")?;
        let out = child.stdout.take().context("it has no output")?;
        let (send, from) = sync_channel(4);
        thread::spawn(move || {
            for line in BufReader::new(out).lines() {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let mut fetcher = Self {
            child,
            to,
            from,
            gate,
            deadline: Instant::now() + max,
            secrets,
            body: None,
            given: Vec::new(),
            told,
        };
        fetcher.write(&setup(&settings.client, catalogue, max))?;
        match fetcher.read() {
            Ok(Told::Ready(given)) => fetcher.given = given,
            Ok(Told::Failed(why)) => anyhow::bail!(crate::cli::output::UsageError(why)),
            Ok(_) | Err(_) => anyhow::bail!("the process that asks the tenant does not begin"),
        }
        Ok(fetcher)
    }

    fn write(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value).map_err(io::Error::other)?;
        line.push(b'\n');
        self.to.write_all(&line)?;
        self.to.flush()
    }

    /// What the child says next.
    fn read(&mut self) -> Result<Told, Unanswered> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.from.recv_timeout(left) {
            Ok(Ok(line)) => serde_json::from_str(&line).map_err(|_| {
                Unanswered::Failed(
                    "the process that asks the tenant said something else".to_owned(),
                )
            }),
            Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => Err(Unanswered::Failed(
                "the process that asks the tenant ended".to_owned(),
            )),
            Err(RecvTimeoutError::Timeout) => {
                // What is late is not waited for.
                let _ = self.child.kill();
                Err(Unanswered::Cut(
                    "the time for the question is over".to_owned(),
                ))
            }
        }
    }

    fn ask(&mut self, said: &Said) -> Result<Fetched, Unanswered> {
        let gone = |_| Unanswered::Failed("the process that asks the tenant ended".to_owned());
        self.body = None;
        self.write(said).map_err(gone)?;
        loop {
            match self.read()? {
                Told::Intend {
                    method,
                    origin,
                    path,
                    query,
                    attempt,
                } => {
                    let answer = self.intend(&method, &origin, &path, &query, attempt);
                    self.write(&answer).map_err(gone)?;
                }
                Told::Conclude {
                    intent,
                    status,
                    request_id,
                    body,
                    failed,
                } => {
                    let answer = self.conclude(intent, status, request_id.as_deref(), body, failed);
                    self.write(&answer).map_err(gone)?;
                }
                Told::Waits(what) => (self.told)(&what),
                Told::Page { next } => {
                    let Some(body) = self.body.take() else {
                        return Err(Unanswered::Failed("a page came without a body".to_owned()));
                    };
                    return Ok(Fetched { body, next });
                }
                Told::NotFound(said) => return Err(Unanswered::NotFound(said)),
                Told::Cut(why) => return Err(Unanswered::Cut(why)),
                Told::Failed(why) => return Err(Unanswered::Failed(why)),
                Told::Ready(_) => {}
            }
        }
    }

    fn intend(&self, method: &str, origin: &str, path: &str, query: &str, attempt: u32) -> Said {
        if !self.gate.permits(method, path) {
            return Said::Stop("it is no operation of the registry".to_owned());
        }
        let intent = self.gate.intend(&Sent {
            method,
            origin,
            path,
            query,
            attempt,
        });
        match intent {
            Ok(number) => Said::Go(number),
            Err(error) => Said::Stop(crate::visible::reason(&error)),
        }
    }

    fn conclude(
        &mut self,
        intent: u64,
        status: Option<u16>,
        request_id: Option<&str>,
        body: Option<String>,
        failed: Option<String>,
    ) -> Said {
        let body = body.map(|body| masked(body.into_bytes(), &self.secrets));
        let failure = Failure::Broken {
            host: String::new(),
            request: String::new(),
            reason: failed.unwrap_or_default(),
        };
        let came = match status {
            None => Came::Nothing(&failure),
            Some(status) => Came::Answer {
                status,
                request_id,
                body: body.as_deref().map_or(Body::Secret, Body::Whole),
            },
        };
        let concluded = self.gate.conclude(intent, &came);
        self.body = body;
        match concluded {
            Ok(()) => Said::Go(intent),
            Err(error) => Said::Stop(crate::visible::reason(&error)),
        }
    }
}

impl Fetch for Fetcher {
    fn fetch(
        &mut self,
        tool: &Tool,
        request: &Request,
        next: Option<&str>,
    ) -> Result<Fetched, Unanswered> {
        self.ask(&Said::Get {
            path: tool.path.clone(),
            bucket: tool.rate_limit.clone(),
            scope: tool
                .scopes
                .first()
                .map(|(scope, _)| scope.clone())
                .unwrap_or_default(),
            values: request.path.clone(),
            query: request.query.clone(),
            next: next.map(str::to_owned),
            next_in_body: tool.pages == Pages::Body,
        })
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        // It has nothing to finish.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A body without what the policy keeps out of every record: fields of events.
fn masked(body: Vec<u8>, secrets: &Secrets) -> Vec<u8> {
    if secrets.is_empty() {
        return body;
    }
    let Ok(Value::Array(mut events)) = serde_json::from_slice(&body) else {
        return body;
    };
    let mut is_changed = false;
    for event in events
        .iter_mut()
        .filter(|event| event.get("eventType").is_some())
    {
        is_changed |= !secrets.mask(event).is_empty();
    }
    match is_changed {
        true => serde_json::to_vec(&events).unwrap_or(body),
        false => body,
    }
}

fn setup(settings: &Settings, catalogue: &Catalogue, max: Duration) -> Setup {
    let (token, app) = match &settings.credentials {
        Some(Credentials::Token(token)) => (Some(token.expose().to_owned()), None),
        Some(Credentials::ServiceApp(app)) => (
            None,
            Some(App {
                client_id: app.client_id.clone(),
                key: app.key.expose().to_owned(),
                key_id: app.key_id.clone(),
                scopes: app.scopes.clone(),
            }),
        ),
        None => (None, None),
    };
    let operations = catalogue.tools.iter().map(|tool| {
        let scope = tool.scopes.first().map(|(scope, _)| scope.clone());
        (
            tool.path.clone(),
            tool.rate_limit.clone(),
            scope.unwrap_or_default(),
        )
    });
    Setup {
        origin: settings.origin.to_string(),
        is_private: settings.reach == Reach::Private,
        token,
        app,
        share: settings.share,
        proxy: settings.proxy.clone(),
        connect_timeout: settings.connect_timeout,
        timeout: settings.timeout.min(max),
        retries: settings.retries,
        max_wait: settings.max_wait.min(max),
        max_body: settings.max_body,
        operations: operations.collect(),
        max_seconds: max.as_secs() + 30,
    }
}

/// The operations of the tools, and that which gives tokens.
pub(super) fn registry(catalogue: &Catalogue) -> Registry {
    let tools = catalogue.tools.iter();
    let operations = tools.map(|tool| Operation::get(&tool.path, &tool.rate_limit, ""));
    Registry::new(operations.chain([token_operation()]).collect())
}

/// The child: asks what it is told to, until nobody tells it any more.
pub(super) fn child() -> Result<Exit> {
    let mut input = BufReader::new(io::stdin());
    let mut line = String::new();
    input.read_line(&mut line)?;
    let setup: Setup = serde_json::from_str(&line).context("no setup came")?;
    let pipe = Arc::new(Pipe(Mutex::new(input)));
    let ports = ports(&setup);
    // Before there is a second thread.
    let given = sandbox::enter(&ports, setup.max_seconds);
    let operations = setup.operations.iter();
    let operations = operations.map(|(path, bucket, scope)| Operation::get(path, bucket, scope));
    let registry = Registry::new(operations.chain([token_operation()]).collect());
    let gate = Remote {
        pipe: Arc::clone(&pipe),
        registry,
    };
    let client = match settings(setup).and_then(|settings| {
        Client::new(settings, Arc::new(gate), Arc::new(Live)).map_err(|error| error.to_string())
    }) {
        Ok(client) => client,
        Err(why) => {
            pipe.tell(&Told::Failed(why))?;
            return Ok(Exit::Usage);
        }
    };
    pipe.tell(&Told::Ready(given))?;
    while let Some(Said::Get {
        path,
        bucket,
        scope,
        values,
        query,
        next,
        next_in_body,
    }) = pipe.hear()?
    {
        let operation = Operation::get(&path, &bucket, &scope).keeping(Keeps::Body);
        let told = page(
            &client,
            &operation,
            &values,
            &query,
            next.as_deref(),
            next_in_body,
        );
        pipe.tell(&told)?;
    }
    Ok(Exit::Done)
}

fn ports(setup: &Setup) -> Vec<u16> {
    let port = |url: &str| {
        let url = reqwest::Url::parse(url).ok()?;
        url.port_or_known_default()
    };
    let asked = setup.proxy.as_deref().unwrap_or(&setup.origin);
    // Names may be asked for over TCP.
    port(asked).into_iter().chain([53]).collect()
}

fn settings(setup: Setup) -> Result<Settings, String> {
    let reach = if setup.is_private {
        Reach::Private
    } else {
        Reach::Public
    };
    let origin = Origin::parse(&setup.origin, reach).map_err(|error| error.to_string())?;
    let credentials = match (setup.token, setup.app) {
        (Some(token), _) => Some(Credentials::Token(Secret::new(token))),
        (None, Some(app)) => Some(Credentials::ServiceApp(ServiceApp {
            client_id: app.client_id,
            key: Secret::new(app.key),
            key_id: app.key_id,
            scopes: app.scopes,
        })),
        (None, None) => None,
    };
    Ok(Settings {
        share: setup.share,
        proxy: setup.proxy,
        connect_timeout: setup.connect_timeout,
        timeout: setup.timeout,
        retries: setup.retries,
        max_wait: setup.max_wait,
        max_body: setup.max_body,
        ..Settings::new(origin, reach, credentials)
    })
}

fn page(
    client: &Client,
    operation: &Operation,
    values: &[(String, String)],
    query: &[(String, String)],
    next: Option<&str>,
    next_in_body: bool,
) -> Told {
    let values: Vec<(&str, &str)> = values
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let query: Vec<(&str, &str)> = query
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let call = Call::new(
        operation,
        &values,
        &query,
        crate::okta::client::Expects::Either,
    );
    let Some(mut call) = call else {
        return Told::Failed("a value cannot stand in a path".to_owned());
    };
    if let Some(next) = next {
        match Next::parse(next, client.origin(), call.path()) {
            Ok(next) => call = call.next(&next),
            Err(error) => return Told::Failed(error.to_string()),
        }
    }
    let answer = match client.get(&call) {
        Ok(answer) => answer,
        Err(failure) => return unanswered(&failure),
    };
    if !next_in_body {
        let next = answer.next.map(|next| next.to_link(client.origin()));
        return Told::Page { next };
    }
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let link = body
        .as_ref()
        .and_then(|body| body.pointer("/_links/next/href"));
    match link
        .and_then(Value::as_str)
        .map(|link| Next::parse(link, client.origin(), call.path()))
    {
        None => Told::Page { next: None },
        Some(Ok(next)) => Told::Page {
            next: Some(next.to_link(client.origin())),
        },
        Some(Err(error)) => Told::Failed(error.to_string()),
    }
}

fn unanswered(failure: &Failure) -> Told {
    match failure {
        Failure::Refused(refusal) if refusal.status == 404 => Told::NotFound(failure.to_string()),
        Failure::Refused(refusal) if refusal.status == 429 => Told::Cut(failure.to_string()),
        Failure::Waiting { .. } | Failure::TimedOut { .. } => Told::Cut(failure.to_string()),
        _ => Told::Failed(failure.to_string()),
    }
}

/// The two ends of the child.
struct Pipe(Mutex<BufReader<io::Stdin>>);

impl Pipe {
    fn tell(&self, told: &Told) -> io::Result<()> {
        let mut line = serde_json::to_vec(told).map_err(io::Error::other)?;
        line.push(b'\n');
        let mut out = io::stdout().lock();
        out.write_all(&line)?;
        out.flush()
    }

    /// What is said next; nothing at the end.
    fn hear(&self) -> io::Result<Option<Said>> {
        let mut line = String::new();
        let mut input = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        serde_json::from_str(&line)
            .map(Some)
            .map_err(io::Error::other)
    }
}

/// The gate of the child: its own registry, and the other side.
struct Remote {
    pipe: Arc<Pipe>,
    registry: Registry,
}

impl Remote {
    fn agreed(&self, told: &Told) -> io::Result<u64> {
        self.pipe.tell(told)?;
        match self.pipe.hear()? {
            Some(Said::Go(number)) => Ok(number),
            Some(Said::Stop(why)) => Err(io::Error::other(why)),
            Some(Said::Get { .. }) | None => Err(io::Error::other("nobody waits for it")),
        }
    }
}

impl Gate for Remote {
    fn permits(&self, method: &str, path: &str) -> bool {
        self.registry.permits(method, path)
    }

    fn intend(&self, sent: &Sent<'_>) -> io::Result<u64> {
        self.agreed(&Told::Intend {
            method: sent.method.to_owned(),
            origin: sent.origin.to_owned(),
            path: sent.path.to_owned(),
            query: sent.query.to_owned(),
            attempt: sent.attempt,
        })
    }

    fn conclude(&self, intent: u64, came: &Came<'_>) -> io::Result<()> {
        let told = match came {
            Came::Nothing(failure) => Told::Conclude {
                intent,
                status: None,
                request_id: None,
                body: None,
                failed: Some(failure.to_string()),
            },
            Came::Answer {
                status,
                body,
                request_id,
            } => {
                let body = match body {
                    Body::Whole(body) => {
                        Some(String::from_utf8(body.to_vec()).map_err(io::Error::other)?)
                    }
                    Body::Digest(_) | Body::Secret => None,
                };
                Told::Conclude {
                    intent,
                    status: Some(*status),
                    request_id: request_id.map(str::to_owned),
                    body,
                    failed: None,
                }
            }
        };
        self.agreed(&told).map(drop)
    }

    fn waits(&self, waits: &Waits<'_>) {
        let told = match waits {
            Waits::Share { bucket, wait } if wait.as_secs() >= 5 => format!(
                "waiting {} s: our share of the rate limit of `{bucket}` is used up",
                wait.as_secs()
            ),
            Waits::Retry { failure, wait, .. } if wait.as_secs() >= 5 => {
                format!("{failure}; asked again in {} s", wait.as_secs())
            }
            _ => return,
        };
        // Nobody is there to be told when the pipe is closed.
        let _ = self.pipe.tell(&Told::Waits(told));
    }
}
