//! Typed holes that a prompt declares, and where the value of each field came from.
//!
//! A slot is filled from its declared default unless a model is asked. What a
//! model may say is bounded by `may` and the rule's floor; where a value came
//! from stands beside it in every record.

mod context;
mod decode;
mod enforced;
mod fill;
mod prompt;
mod strict;
mod template;

pub use self::decode::{May, SlotSettings, decode_slots};
pub use self::fill::{Asked, Call, fill};
pub use self::prompt::{Limits, Prompt, codes, decode_prompt, split};
pub use self::template::NotRendered;

use serde::{Deserialize, Serialize};

/// Where the value of a field came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provenance {
    /// The rule file or its level.
    Default,
    /// A model, inside its bounds.
    Model,
    /// A recording of a model's answer.
    Recorded,
    /// An earlier revision of the same record.
    Carried,
    /// The rule's floor, which a model's answer was under.
    Floored,
    /// The default, because a model's answer was refused.
    Refused,
}
