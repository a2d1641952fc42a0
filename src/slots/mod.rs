//! Typed holes that a prompt declares, and where the value of each field came from.
//!
//! A slot is filled from its declared default unless a model is asked. What a
//! model may say is bounded by `may` and the rule's floor; where a value came
//! from stands beside it in every record.

mod consulted;
mod context;
mod decode;
mod enforced;
mod fallback;
mod fill;
mod formula;
mod parts;
mod prompt;
mod strict;
mod template;

pub use self::consulted::Consulted;
pub use self::context::{context_fields, select_all};
pub use self::decode::{ASK, May, SLOTS, SlotSettings, decode_slots};
pub use self::fallback::{Fallback, NoFallback};
pub use self::fill::{Asked, Call, Fate, fill};
pub use self::formula::Formula;
pub use self::parts::{LONGEST_NAME, LONGEST_TEXT, MOST_STEPS, text};
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
    /// The paired finding of the policy that this one is compared with.
    Carried,
    /// The rule's floor, which a model's answer was under.
    Floored,
    /// The default, because a model's answer was refused.
    Refused,
    /// A script of the policy.
    Script,
}

impl Provenance {
    /// Its name in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Model => "model",
            Self::Recorded => "recorded",
            Self::Carried => "carried",
            Self::Floored => "floored",
            Self::Refused => "refused",
            Self::Script => "script",
        }
    }
}
