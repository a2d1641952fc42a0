//! The changed files, line by line.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::lab::diff::Side;
use crate::lab::diff::things::texts;

/// How the text of a file differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TextDiff {
    /// The file, relative to the policy folder.
    pub file: String,
    /// The difference, in the unified format, with three lines around each part.
    pub diff: String,
}

/// Every file whose text differs.
#[must_use]
pub fn text_diffs(base: &Side, head: &Side) -> Vec<TextDiff> {
    let (base, head) = (texts(base), texts(head));
    let paths: BTreeSet<&str> = base.keys().chain(head.keys()).copied().collect();
    let differing = paths.into_iter().filter_map(|path| {
        let text = |side: &std::collections::BTreeMap<&str, &str>| {
            side.get(path).map(|text| (*text).to_owned())
        };
        let (before, after) = (text(&base), text(&head));
        if before == after {
            return None;
        }
        let name = |text: &Option<String>| text.as_ref().map_or("/dev/null", |_| path).to_owned();
        let (old, new) = (name(&before), name(&after));
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        let diff = similar::TextDiff::from_lines(before.as_str(), after.as_str());
        Some(TextDiff {
            file: path.to_owned(),
            diff: diff
                .unified_diff()
                .context_radius(3)
                .header(&old, &new)
                .to_string(),
        })
    });
    differing.collect()
}
