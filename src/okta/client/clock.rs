//! Time, for whoever asks Okta: handed in, so that a test waits for nothing.

use std::time::Duration;

use crate::event::Time;

/// What time it is, and how to let some go by.
pub trait Clock: Send + Sync {
    /// What time it is.
    fn now(&self) -> Time;
    /// Comes back when so much time went by, or nothing is to be asked any more.
    fn sleep(&self, pause: Duration);
    /// Whether nothing is to be asked any more: what waited is not sent.
    fn is_stopped(&self) -> bool {
        false
    }
}

/// The clock of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Live;

impl Clock for Live {
    fn now(&self) -> Time {
        Time(chrono::Utc::now().timestamp_nanos_opt().unwrap_or(i64::MAX))
    }

    fn sleep(&self, pause: Duration) {
        std::thread::sleep(pause);
    }
}
