//! Who was asked, for those who read what came of it.

use serde::{Deserialize, Serialize};

use crate::event::{Digest, clip};
use crate::slots::Asked;

/// That a model was asked for something, and what that took. What was said is in the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consulted {
    /// The digest of the prompt file.
    pub prompt: Digest,
    /// The model that answered last, as the endpoint names it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model: Option<String>,
    /// How many calls were made: two where the first reply was to be repaired.
    pub calls: u64,
    /// The tokens of what was asked, as the endpoint counts; 0 where it does not.
    pub prompt_tokens: u64,
    /// Those of what was said.
    pub completion_tokens: u64,
}

impl Consulted {
    /// What came of asking with a prompt.
    #[must_use]
    pub fn of(prompt: Digest, asked: &Asked) -> Self {
        let replies = || {
            asked
                .calls
                .iter()
                .filter_map(|call| call.outcome.as_ref().ok())
        };
        let last = replies().next_back();
        Self {
            prompt,
            model: last.map(|reply| clip(&reply.model).into_owned()),
            calls: asked.calls.len() as u64,
            prompt_tokens: replies().fold(0, |sum: u64, reply| {
                sum.saturating_add(reply.usage.prompt_tokens)
            }),
            completion_tokens: replies().fold(0, |sum: u64, reply| {
                sum.saturating_add(reply.usage.completion_tokens)
            }),
        }
    }
}
