//! The outside service that fills slots: any endpoint that speaks OpenAI's chat completions.
//!
//! [`Model`] is the seam: the live one is [`Endpoint`], and a recording is
//! another. A reply is untrusted text; who asks checks it.

mod budget;
mod endpoint;
mod failure;
mod health;
mod settings;
mod transport;
mod wire;

pub use self::endpoint::Endpoint;
pub use self::failure::{Failure, Waiting};
pub use self::settings::{Budget, Settings, SettingsError};

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Digest;

/// What a model is asked. Plain data, so that a recording can know it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Which slot asks, such as `risk`.
    pub slot: String,
    /// The prompt that it is made from: a recording knows it by this.
    pub prompt: Digest,
    /// The values that the prompt shows, likewise.
    pub context: Value,
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// The JSON Schema of the reply.
    pub schema: Value,
    /// The reply has at most so many tokens.
    pub max_tokens: u32,
    /// The call takes at most so long, retries included.
    pub timeout: Duration,
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Whose.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// Whose turn a [`Message`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The prompt's author.
    System,
    /// What is asked.
    User,
    /// What the model said before.
    Assistant,
}

impl Role {
    /// The word of the protocol.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// What a model said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The text, as it came.
    pub text: String,
    /// Why it ends.
    pub finish: Finish,
    /// The model, as the endpoint names it.
    pub model: String,
    /// What it cost, as the endpoint counts.
    pub usage: Usage,
}

/// Why a [`Reply`] ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// The model was done, or the endpoint does not say.
    Stop,
    /// The limit of tokens was reached: the text may end anywhere.
    Length,
    /// Another reason of the endpoint, such as `content_filter`.
    Other(String),
}

/// The tokens of a call; 0 where the endpoint does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Of what was asked.
    pub prompt_tokens: u64,
    /// Of what was said.
    pub completion_tokens: u64,
}

/// What a record may say of a model: nothing secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Host and port of the endpoint.
    pub host: String,
    /// The model, as it is configured.
    pub model: String,
    /// The temperature that is asked for; `None` leaves it to the endpoint.
    pub temperature: Option<f64>,
    /// Whether its answers are those of a recording.
    pub recorded: bool,
}

/// Whom slots ask.
pub trait Model: Send + Sync {
    /// Asks, and waits for at most [`Request::timeout`].
    ///
    /// # Errors
    ///
    /// When there is no reply, with the reason in a sentence.
    fn ask(&self, request: &Request) -> Result<Reply, Failure>;

    /// What a record may say of it.
    fn about(&self) -> About;

    /// A slot is about to be filled: whether it is asked for that. A slot that it is not asked for
    /// takes its default.
    fn is_asked_for(&self, _slot: &str) -> bool {
        true
    }

    /// How many may ask at once; more wait for their turn.
    fn concurrency(&self) -> usize {
        1
    }
}
