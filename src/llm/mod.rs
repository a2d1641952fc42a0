//! A language model, behind a trait: what it is asked, what it answers, and why it did not.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a model is asked. Plain data: a recording keys by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The slot that is filled: `risk`, `plan` or `route`.
    pub slot: String,
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// The JSON Schema of the reply.
    pub schema: Value,
    /// The most tokens that the reply may have.
    pub max_tokens: u32,
    /// Of the whole call, retries included.
    pub timeout: Duration,
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Whose turn it is.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The program's rules.
    System,
    /// The program.
    User,
    /// The model.
    Assistant,
}

/// What a model answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The text, as it came.
    pub text: String,
    /// Why it ends where it ends.
    pub finish: Finish,
    /// The model that the endpoint says answered.
    pub model: String,
    /// What it cost.
    pub usage: Usage,
}

/// Why a reply ends where it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// The model was done.
    Stop,
    /// The limit of tokens was reached.
    Length,
    /// Whatever else the endpoint says.
    Other(String),
}

/// What a call cost, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Of the prompt.
    pub prompt_tokens: u64,
    /// Of the reply.
    pub completion_tokens: u64,
}

/// Why there is no reply: a sentence for a person, without a secret in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// Nobody answers at the address.
    #[error("the model cannot be reached: {0}")]
    Unreachable(String),
    /// The time of the call ran out.
    #[error("the model did not answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// An HTTP status that is none of success, after the retries.
    #[error("the model's endpoint answered with the status {0}")]
    Status(u16),
    /// The prompt is larger than what the model can read.
    #[error("the prompt is larger than the model's context")]
    ContextOverflow,
    /// An answer that is no chat completion: HTML, endless, too large.
    #[error("the model's endpoint answered with something else than a chat completion: {0}")]
    NotACompletion(String),
    /// The run has spent what it may.
    #[error("the run's budget of {0} is spent")]
    BudgetSpent(String),
}

/// What a record and the header of a recording may say of a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The host of the endpoint, without path, user or key.
    pub host: String,
    /// The model that is asked for.
    pub model: String,
    /// The temperature, where one is set.
    pub temperature: Option<f64>,
}

/// Somebody who answers.
pub trait Model: Send + Sync {
    /// The answer, or why there is none; within the request's timeout.
    ///
    /// # Errors
    ///
    /// When there is no reply.
    fn ask(&self, request: &Request) -> Result<Reply, Failure>;

    /// Who it is.
    fn about(&self) -> About;
}
