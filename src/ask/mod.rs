//! A question about the tenant → calls → rows, each value of which has a place in an answer of Okta's.
//!
//! ```text
//! question ─▶ Plan ─▶ checked ─▶ executed, call by call ─▶ rows with sources ─▶ verified ─▶ told
//! ```
//!
//! A plan is a call of a tool, or the steps of a recipe or of a model: always data. What is told is
//! a projection of the bytes that were received: nothing is written by a model, and a second, slower
//! evaluation of the plan over the same bytes ([`verify`]) has to agree in every cell first.

mod accounted;
mod answer;
mod decide;
mod evaluate;
mod follow;
mod grounding;
mod matching;
mod operators;
mod plan;
mod proposal;
mod rank;
mod record;
mod request;
mod set;
mod settings;
mod verify;

pub use self::accounted::{Accounted, accounted};
pub use self::answer::{Answer, CallRecord, Cell, End, PageRecord, Place, Row, Source, Verdict};
pub use self::decide::{ACCOUNTED, Decided, Deciding};
pub use self::evaluate::{Asking, Fetch, Fetched, Limits, Unanswered, execute};
pub use self::follow::{Before, behind};
pub use self::grounding::{Ground, ground};
pub use self::matching::{After, Matched, Matching, match_question};
pub use self::plan::{CODES, CheckMade, Plan, Refused, Wanted, check, plan_of};
pub use self::proposal::{REFUSALS, Said, Slice, read};
pub use self::rank::{Ranked, rank};
pub use self::record::{Record, planned};
pub use self::request::{Request, request};
pub use self::settings::{AskSettings, Unaccounted, decode_ask};
pub use self::verify::verify;
