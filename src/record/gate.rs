//! What every request to Okta passes: the registry at the last moment, and the audit before and after.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};

use crate::audit::{Audit, Intent};
use crate::event::Digest;
use crate::okta::client::{Body, Came, Gate, Registry, Sent, TooMany, Waits};
use crate::record::kinds;

/// What a person is told.
pub type Told = Box<dyn Fn(&News<'_>) + Send + Sync>;

/// What there is to be told of requests.
#[derive(Clone, Copy, Debug)]
pub enum News<'n> {
    /// The next request waits.
    Waits(&'n Waits<'n>),
    /// Too many requests are refused.
    TooMany(&'n TooMany),
}

/// The gate of a run: its registry, its audit, and whoever tells a person.
pub struct RequestGate {
    registry: Registry,
    /// Where to; nowhere where nothing is to be recorded.
    audit: Option<Arc<Audit>>,
    told: Told,
    /// The intents of requests that are under way.
    open: Mutex<HashMap<u64, Intent>>,
}

impl RequestGate {
    /// A gate that lets these operations pass.
    #[must_use]
    pub fn new(registry: Registry, audit: Option<Arc<Audit>>, told: Told) -> Self {
        Self {
            registry,
            audit,
            told,
            open: Mutex::default(),
        }
    }
}

impl Gate for RequestGate {
    fn permits(&self, method: &str, path: &str) -> bool {
        self.registry.permits(method, path)
    }

    fn intend(&self, sent: &Sent<'_>) -> io::Result<u64> {
        let Some(audit) = &self.audit else {
            return Ok(0);
        };
        let intent = audit.intend(kinds::REQUEST, json!(sent));
        let intent = intent.map_err(io::Error::other)?;
        let number = intent.seq();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(number, intent);
        Ok(number)
    }

    fn conclude(&self, intent: u64, came: &Came<'_>) -> io::Result<()> {
        let Some(audit) = &self.audit else {
            return Ok(());
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(intent) = open.remove(&intent) else {
            return Ok(());
        };
        drop(open);
        let outcome = match came {
            Came::Nothing(failure) => Err(json!({"reason": failure.to_string()})),
            Came::Answer {
                status,
                body,
                request_id,
            } => {
                let mut outcome = Map::from_iter([("status".to_owned(), json!(status))]);
                let mut say = |key: &str, value| outcome.insert(key.to_owned(), value);
                if let Some(id) = request_id {
                    say("request_id", json!(id));
                }
                match body {
                    Body::Whole(body) => {
                        let kept = audit.keep(body).map_err(io::Error::other)?;
                        say("body", json!(kept));
                    }
                    Body::Digest(body) => {
                        say("bytes", json!(body.len()));
                        say("sha256", json!(Digest::of(body)));
                    }
                    Body::Secret => {}
                }
                Ok(Value::Object(outcome))
            }
        };
        audit.conclude(intent, outcome).map_err(io::Error::other)?;
        Ok(())
    }

    fn waits(&self, waits: &Waits<'_>) {
        (self.told)(&News::Waits(waits));
    }

    fn warns(&self, warning: &TooMany) {
        (self.told)(&News::TooMany(warning));
    }
}
