//! The parts of a reply, read whatever the schema of its prompt let through.

use serde_json::Value;

/// The most steps that a proposed plan or route may have.
pub const MOST_STEPS: usize = 64;
/// The longest name of a step, an agent or a phase, in characters.
pub const LONGEST_NAME: usize = 128;
/// The longest text that is kept of a model, in characters.
pub const LONGEST_TEXT: usize = 1_000;

/// A text that need not be there; notes in `wrong` what is none, or longer than `most` characters.
pub fn text(
    value: &Value,
    key: &str,
    place: &str,
    most: usize,
    wrong: &mut Vec<String>,
) -> Option<String> {
    let found = value.get(key)?;
    let text = found.as_str().filter(|text| text.chars().count() <= most);
    if text.is_none() {
        wrong.push(format!(
            "{place}/{key}: expected a text of at most {most} characters"
        ));
    }
    text.map(str::to_owned)
}
