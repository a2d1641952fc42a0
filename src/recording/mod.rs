//! What a model answered, kept in a file, so that it can be said again without the model.
//!
//! ```text
//! --slots record:  slots ─▶ RecordingModel ─▶ the live model      ─▶ Recording ─▶ file
//! --slots replay:  slots ─▶ ReplayingModel ─▶ Recording, from the file
//! ```
//!
//! A reply is known by the [`Key`] of its request. Nothing of how the endpoint is reached is kept:
//! no address, no key, no header.

mod file;
mod key;
mod recorder;
mod replayer;

pub use self::file::{Of, Recording, RecordingError};
pub use self::key::{Key, Known, Part, nearest, told};
pub use self::recorder::RecordingModel;
pub use self::replayer::{Missing, ReplayingModel};
