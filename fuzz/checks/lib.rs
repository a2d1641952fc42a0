//! What must hold of any input: one function for each thing that strangers write.
//!
//! The fuzz targets call these with made-up bytes, and the tests of the project
//! with the seeds. What does not hold is a panic.

mod audit;
mod condition;
mod editor;
mod event;
mod inside;
mod lists;
mod mmdb;
mod okta;
mod path;
mod plain;
mod policy;
mod reply;
mod rule;
mod script;
mod state;

pub use self::audit::audit;
pub use self::condition::condition;
pub use self::editor::{editor, layout};
pub use self::event::event;
pub use self::inside::inside;
pub use self::lists::lists;
pub use self::mmdb::mmdb;
pub use self::okta::okta;
pub use self::path::path;
pub use self::policy::{prompt, routing, suite, tools};
pub use self::reply::reply;
pub use self::rule::rule;
pub use self::script::script;
pub use self::state::{made_up_state, state};
