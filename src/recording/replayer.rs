//! A model that says again what is recorded, and nothing else.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::llm::{About, Failure, Model, Reply, Request};
use crate::recording::key::{Known, Part, nearest, told};
use crate::recording::{Key, Of, Recording};

/// Answers from a recording. There is nothing in it that could reach an endpoint.
pub struct ReplayingModel {
    recording: Recording,
    /// In what the configured model differs from the recorded one.
    model_differs: Vec<Part>,
    concurrency: usize,
    /// The recorded requests, for those that are none of them.
    known: OnceLock<Vec<Known>>,
    /// How many requests had no reply, by slot and reason.
    missing: Mutex<BTreeMap<(String, String), u64>>,
}

/// Requests of one slot that are not recorded, for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The slot.
    pub slot: String,
    /// What differs from what is recorded.
    pub why: String,
    /// How many.
    pub requests: u64,
}

impl ReplayingModel {
    /// Answers from a recording, to requests for a model where one is configured.
    #[must_use]
    pub fn new(recording: Recording, asked: Option<&Of>, concurrency: usize) -> Self {
        Self {
            model_differs: asked.map_or_else(Vec::new, |asked| differs(recording.of(), asked)),
            recording,
            concurrency,
            known: OnceLock::new(),
            missing: Mutex::default(),
        }
    }

    /// What was asked and is not recorded, in the order of slots and reasons.
    pub fn missing(&self) -> Vec<Missing> {
        let missing = self.missing.lock();
        let missing = missing.unwrap_or_else(PoisonError::into_inner);
        let missing = missing.iter();
        missing
            .map(|((slot, why), requests)| Missing {
                slot: slot.clone(),
                why: why.clone(),
                requests: *requests,
            })
            .collect()
    }

    fn not_recorded(&self, key: &Key) -> Failure {
        let known = self.known.get_or_init(|| {
            let keys = self.recording.iter().map(|(key, _)| key.clone());
            keys.map(Known::new).collect()
        });
        let mut parts = self.model_differs.clone();
        if self.recording.get(key).is_none() {
            parts.extend(nearest(key, known));
        }
        let why = told(&parts);
        let missing = self.missing.lock();
        let mut missing = missing.unwrap_or_else(PoisonError::into_inner);
        *missing.entry((key.slot.clone(), why.clone())).or_default() += 1;
        Failure::NotRecorded(why)
    }
}

fn differs(recorded: &Of, now: &Of) -> Vec<Part> {
    let mut parts = Vec::new();
    if recorded.model != now.model {
        parts.push(Part::Model {
            recorded: recorded.model.clone(),
            now: now.model.clone(),
        });
    }
    if recorded.temperature != now.temperature {
        parts.push(Part::Temperature {
            recorded: recorded.temperature,
            now: now.temperature,
        });
    }
    parts
}

impl Model for ReplayingModel {
    fn ask(&self, request: &Request) -> Result<Reply, Failure> {
        let key = Key::of(request);
        let reply = self.recording.get(&key);
        let reply = reply.filter(|_| self.model_differs.is_empty());
        reply.cloned().ok_or_else(|| self.not_recorded(&key))
    }

    fn about(&self) -> About {
        About {
            host: String::new(),
            model: self.recording.of().model.clone(),
            temperature: self.recording.of().temperature,
            recorded: true,
        }
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }
}
