//! What a request is known by, and in what two of them differ.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::event::Digest;
use crate::llm::{Request, Role};
use crate::visible::visible;

/// What a request is known by. How long it may take is no part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The slot.
    pub slot: String,
    /// The prompt, as its file.
    pub prompt: Digest,
    /// The values that the prompt shows: JSON with sorted keys and no blanks.
    pub context: String,
    /// The schema of the reply, likewise.
    pub schema: Digest,
    /// How long the reply may be.
    pub max_tokens: u32,
    /// Of a repair: the reply that it repairs, and what is said of it.
    pub repair: Option<Digest>,
}

impl Key {
    /// The key of a request.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        Self {
            slot: request.slot.clone(),
            prompt: request.prompt,
            context: request.context.to_string(),
            schema: Digest::of(request.schema.to_string().as_bytes()),
            max_tokens: request.max_tokens,
            repair: repair(request),
        }
    }
}

/// The digest of the turns from the model's first reply on.
fn repair(request: &Request) -> Option<Digest> {
    let mut turns = request.messages.iter();
    let first = turns.position(|turn| turn.role == Role::Assistant)?;
    let turns = request.messages.get(first..).unwrap_or_default();
    let spoken = turns
        .iter()
        .map(|turn| (turn.role.as_str(), turn.content.as_str()));
    // Pairs of texts, which have JSON.
    let spoken = serde_json::to_vec(&spoken.collect::<Vec<_>>()).unwrap_or_default();
    Some(Digest::of(&spoken))
}

/// A recorded key, with what is needed to say how another differs.
#[derive(Clone, Debug)]
pub struct Known {
    key: Key,
    /// The fields of its context, as prompts name them.
    fields: BTreeMap<String, Digest>,
}

impl Known {
    /// Of a key.
    #[must_use]
    pub fn new(key: Key) -> Self {
        let context: Value = serde_json::from_str(&key.context).unwrap_or_default();
        let mut fields = BTreeMap::new();
        for (name, value) in context.as_object().into_iter().flatten() {
            match value.as_object() {
                Some(inner) => fields.extend(inner.iter().map(|(last, value)| {
                    let digest = Digest::of(value.to_string().as_bytes());
                    (format!("{name}.{last}"), digest)
                })),
                None => {
                    let digest = Digest::of(value.to_string().as_bytes());
                    fields.insert(name.clone(), digest);
                }
            }
        }
        Self { key, fields }
    }

    /// In what a request differs from this one.
    fn parts(&self, now: &Self) -> Vec<Part> {
        let (recorded, asked) = (&self.key, &now.key);
        let mut parts = Vec::new();
        if recorded.prompt != asked.prompt {
            parts.push(Part::Prompt {
                recorded: recorded.prompt,
                now: asked.prompt,
            });
        }
        if recorded.context != asked.context {
            parts.push(Part::Context(self.fields_that_differ(now)));
        }
        if recorded.schema != asked.schema {
            parts.push(Part::Schema);
        }
        if recorded.max_tokens != asked.max_tokens {
            parts.push(Part::MaxTokens {
                recorded: recorded.max_tokens,
                now: asked.max_tokens,
            });
        }
        if recorded.repair != asked.repair {
            parts.push(Part::Repair {
                is_recorded: recorded.repair.is_some(),
                is_asked: asked.repair.is_some(),
            });
        }
        parts
    }

    fn fields_that_differ(&self, now: &Self) -> Vec<String> {
        let names: BTreeSet<&String> = self.fields.keys().chain(now.fields.keys()).collect();
        let differ = |name: &&&String| self.fields.get(**name) != now.fields.get(**name);
        names
            .iter()
            .filter(differ)
            .map(|name| (*name).clone())
            .collect()
    }
}

/// A part of a key that differs.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Nothing is recorded for the slot.
    Slot(String),
    /// The model is another.
    Model {
        /// Whose replies are recorded.
        recorded: String,
        /// Whose are asked for.
        now: String,
    },
    /// It is to choose its words more or less freely.
    Temperature {
        /// How, as it was recorded.
        recorded: Option<f64>,
        /// How, now.
        now: Option<f64>,
    },
    /// The prompt is another.
    Prompt {
        /// What it was.
        recorded: Digest,
        /// What it is.
        now: Digest,
    },
    /// These fields of the context have other values.
    Context(Vec<String>),
    /// The schema of the reply is another.
    Schema,
    /// The limit of the reply is another.
    MaxTokens {
        /// What it was.
        recorded: u32,
        /// What it is.
        now: u32,
    },
    /// What the program adds to the prompt, or how it writes values, is another.
    Words,
    /// It repairs another reply, or only one of the two repairs any.
    Repair {
        /// Whether the recorded one does.
        is_recorded: bool,
        /// Whether this one does.
        is_asked: bool,
    },
}

/// So many fields of a context are named.
const NAMED: usize = 8;

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Slot(slot) => write!(f, "the slot: none is recorded for `{}`", visible(slot)),
            Self::Model { recorded, now } => {
                let (recorded, now) = (visible(recorded), visible(now));
                write!(f, "the model (it was `{recorded}`, and is `{now}`)")
            }
            Self::Temperature { recorded, now } => {
                let (recorded, now) = (temperature(*recorded), temperature(*now));
                write!(f, "the temperature (it was {recorded}, and is {now})")
            }
            Self::Prompt { recorded, now } => {
                let (recorded, now) = (digits(recorded), digits(now));
                write!(f, "the prompt (it was {recorded}, and is {now})")
            }
            Self::Context(fields) => {
                let named = fields.iter().take(NAMED);
                let named: Vec<String> = named.map(|name| format!("`{}`", visible(name))).collect();
                write!(f, "the context: {}", named.join(", "))?;
                match fields.len().saturating_sub(NAMED) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
            Self::Schema => f.write_str("the schema of the reply"),
            Self::MaxTokens { recorded, now } => {
                write!(f, "`max_tokens` (it was {recorded}, and is {now})")
            }
            Self::Words => f.write_str("the words that the program adds to the prompt"),
            Self::Repair {
                is_recorded: true,
                is_asked: true,
            } => f.write_str("the repair: another reply is to be repaired, or for other reasons"),
            Self::Repair { is_asked: true, .. } => {
                f.write_str("the repair: only the first request is recorded")
            }
            Self::Repair { .. } => f.write_str("the repair: only one is recorded"),
        }
    }
}

/// A temperature in the words of the configuration.
pub(super) fn temperature(value: Option<f64>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| format!("{value:?}"))
}

fn digits(digest: &Digest) -> String {
    digest.to_string().chars().take(12).collect()
}

/// In what a request differs from the nearest one that is recorded: one with the same context, or
/// else with the fewest fields that differ; of several, the first.
#[must_use]
pub fn nearest<'k>(now: &Key, recorded: impl IntoIterator<Item = &'k Known>) -> Vec<Part> {
    let now = Known::new(now.clone());
    let distance = |known: &&Known| {
        let fields = known.fields_that_differ(&now).len();
        let repairs = known.key.repair.is_some() != now.key.repair.is_some();
        (fields, repairs, known.parts(&now).len())
    };
    let same_slot = recorded
        .into_iter()
        .filter(|known| known.key.slot == now.key.slot);
    let nearest = same_slot.min_by_key(distance);
    nearest.map_or_else(
        || vec![Part::Slot(now.key.slot.clone())],
        |known| known.parts(&now),
    )
}

/// The parts in a sentence, for somebody who wonders why there is no reply.
#[must_use]
pub fn told(parts: &[Part]) -> String {
    let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
    format!(
        "no reply is recorded for this request; the nearest that is recorded differs in {}",
        parts.join("; in ")
    )
}
