//! Everything outside the program in one value, handed to the code that needs it.
//!
//! Today that is the clock alone. A test hands in a fixed one.

use crate::event::Time;

/// The outside.
#[derive(Clone, Copy, Debug)]
pub struct World {
    /// What time it is.
    pub now: fn() -> Time,
}

impl World {
    /// The real outside.
    #[must_use]
    pub fn live() -> Self {
        Self {
            now: || Time(chrono::Utc::now().timestamp_nanos_opt().unwrap_or(i64::MAX)),
        }
    }
}
