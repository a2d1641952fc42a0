//! The socket: requests become `Ask`s, and deliveries become bytes.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use http_body::Frame;
use tokio::time::{Sleep, sleep};

use super::core::Core;
use super::faults::Delivery;
use super::time::Clock;
use super::wire::{Answer, Ask};

/// The largest body of a request, in bytes.
const LARGEST: usize = 1 << 20;
/// How many bytes of filler go out at once.
const FLOOD: usize = 1 << 16;
/// How long the bytes before a cut have to leave.
const BEFORE_CUT: Duration = Duration::from_millis(50);

/// What every request shares.
#[derive(Clone)]
pub struct Shared {
    /// The tenant.
    pub core: Arc<Mutex<Core>>,
    /// The clock.
    pub clock: Clock,
    /// Requests that are being answered.
    pub busy: Arc<AtomicUsize>,
}

/// The service that answers every path.
pub fn router(shared: Shared) -> Router {
    Router::new().fallback(take).with_state(shared)
}

async fn take(State(shared): State<Shared>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST).await else {
        return refused(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let headers = head.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    let ask = Ask {
        number: 0,
        now: shared.clock.now(),
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: body.to_vec(),
    };
    let busy = Busy::enter(&shared.busy);
    let delivery = {
        let mut core = shared.core.lock().unwrap_or_else(PoisonError::into_inner);
        core.answer(ask, busy.others)
    };
    respond(delivery, busy).await
}

async fn respond(delivery: Delivery, busy: Busy) -> Response {
    let (answer, script) = match delivery {
        Delivery::Silent => {
            // held for as long as the other side holds on
            std::future::pending::<()>().await;
            return refused(StatusCode::GATEWAY_TIMEOUT);
        }
        Delivery::Whole(answer) => (answer, Script::Whole),
        Delivery::Cut(answer, after) => (answer, Script::Cut(after)),
        Delivery::Drip(answer, pause) => {
            (answer, Script::Drip(Duration::from_millis(pause.into())))
        }
        Delivery::Flood(answer, filler) => (answer, Script::Flood(filler)),
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &answer.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            response.headers_mut().append(name, value);
        }
    }
    if !matches!(script, Script::Flood(_)) {
        response
            .headers_mut()
            .insert("content-length", HeaderValue::from(answer.body.len()));
    }
    *response.body_mut() = Body::new(Scripted::new(answer, script, busy));
    response
}

fn refused(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A request that is being answered, until it is not.
struct Busy {
    count: Arc<AtomicUsize>,
    others: usize,
}

impl Busy {
    fn enter(count: &Arc<AtomicUsize>) -> Self {
        Self {
            others: count.fetch_add(1, Ordering::SeqCst),
            count: Arc::clone(count),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How a body is sent.
enum Script {
    Whole,
    Cut(usize),
    Drip(Duration),
    Flood(u64),
}

/// A body that is sent by a script.
struct Scripted {
    rest: Bytes,
    script: Script,
    /// Until when nothing is sent.
    pause: Option<Pin<Box<Sleep>>>,
    _busy: Busy,
}

impl Scripted {
    fn new(answer: Answer, script: Script, busy: Busy) -> Self {
        Self {
            rest: Bytes::from(answer.body),
            script,
            pause: None,
            _busy: busy,
        }
    }

    /// What is sent next, and how long nothing is sent after it.
    fn next(&mut self) -> Option<(Result<Bytes, std::io::Error>, Option<Duration>)> {
        match &mut self.script {
            Script::Cut(0) => Some((Err(std::io::ErrorKind::ConnectionReset.into()), None)),
            Script::Cut(after) => {
                let piece = self.rest.split_to((*after).min(self.rest.len()));
                self.script = Script::Cut(0);
                Some((Ok(piece), Some(BEFORE_CUT)))
            }
            _ if self.rest.is_empty() => None,
            Script::Whole => Some((Ok(self.rest.split_off(0)), None)),
            Script::Drip(pause) => {
                let pause = *pause;
                Some((Ok(self.rest.split_to(1)), Some(pause)))
            }
            Script::Flood(filler) => {
                let place = find(&self.rest, b"{filler}");
                match (place, *filler) {
                    (Some(0), 0) => {
                        self.rest = self.rest.slice(b"{filler}".len()..);
                        Some((Ok(Bytes::new()), None))
                    }
                    (Some(0), left) => {
                        let size = FLOOD.min(usize::try_from(left).unwrap_or(FLOOD));
                        *filler = left.saturating_sub(size as u64);
                        Some((Ok(Bytes::from(vec![b'x'; size])), None))
                    }
                    (Some(place), _) => Some((Ok(self.rest.split_to(place)), None)),
                    (None, _) => Some((Ok(self.rest.split_off(0)), None)),
                }
            }
        }
    }
}

impl http_body::Body for Scripted {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if let Some(pause) = &mut self.pause {
            if pause.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.pause = None;
        }
        let Some((piece, pause)) = self.next() else {
            return Poll::Ready(None);
        };
        self.pause = pause.map(|pause| Box::pin(sleep(pause)));
        Poll::Ready(Some(piece.map(Frame::data)))
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
