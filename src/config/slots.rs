//! Who fills slots: said by an option or in `rulectl.toml`, and nowhere else, so that an
//! environment in which a model is configured never turns it on.

use std::path::{Path, PathBuf};

use crate::diag::Problems;
use crate::document::Table;

/// Who fills slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nobody: each takes its default.
    #[default]
    Default,
    /// A model.
    Live,
    /// A model, and what is asked and answered is recorded.
    Record,
    /// A recording, and nothing is sent anywhere.
    Replay,
}

/// The modes by their names.
pub const MODES: [(&str, Mode); 4] = [
    ("default", Mode::Default),
    ("live", Mode::Live),
    ("record", Mode::Record),
    ("replay", Mode::Replay),
];

/// What is said of slots, where something is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotsGiven {
    /// Who fills them.
    pub mode: Option<Mode>,
    /// The file that is recorded to or replayed.
    pub recording: Option<PathBuf>,
}

/// Takes `[slots]` out of `rulectl.toml`.
pub(super) fn take(root: &mut Table<'_>, folder: &Path, problems: &mut Problems) -> SlotsGiven {
    let Some(mut table) = root.get("slots").and_then(|node| node.table(problems)) else {
        return SlotsGiven::default();
    };
    let mode = table.get("mode");
    let recording = table.get("recording").and_then(|node| node.text(problems));
    let given = SlotsGiven {
        mode: mode.and_then(|node| node.one_of(&MODES, problems)),
        recording: recording.map(|path| folder.join(path)),
    };
    table.finish(problems);
    given
}
