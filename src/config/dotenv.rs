//! `.env`: a line `NAME=value` each, as shells and other tools read it, without any expansion.

use crate::diag::{FileId, Span};

/// One assignment.
pub(super) struct Entry<'t> {
    pub(super) name: &'t str,
    /// What is assigned; an error where quotes are not closed.
    pub(super) value: Result<String, ()>,
    start: usize,
    end: usize,
}

impl Entry<'_> {
    /// The place of the assignment.
    pub(super) fn span(&self, file: FileId) -> Span {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span {
            file,
            start: offset(self.start),
            end: offset(self.end),
        }
    }
}

/// The assignments of a text; lines that are none are somebody else's.
pub(super) fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        entries.extend(entry(line, at));
        at += line.len();
    }
    entries
}

fn entry(line: &str, at: usize) -> Option<Entry<'_>> {
    let trimmed = line.trim();
    let start = at + line.len() - line.trim_start().len();
    let assignment = trimmed.strip_prefix("export ").unwrap_or(trimmed);
    let (name, value) = assignment.split_once('=')?;
    let name = name.trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    Some(Entry {
        name,
        value: value_of(value.trim()),
        start,
        end: start + trimmed.len(),
    })
}

/// In single quotes everything stands for itself, in double quotes `\` escapes, and without
/// quotes ` #` begins a comment.
fn value_of(text: &str) -> Result<String, ()> {
    if let Some(rest) = text.strip_prefix('\'') {
        return rest
            .split_once('\'')
            .map(|(value, _)| value.to_owned())
            .ok_or(());
    }
    if let Some(rest) = text.strip_prefix('"') {
        return double_quoted(rest).ok_or(());
    }
    if text.starts_with('#') {
        return Ok(String::new());
    }
    let value = text.split_once(" #").map_or(text, |(value, _)| value);
    Ok(value.trim_end().to_owned())
}

fn double_quoted(text: &str) -> Option<String> {
    let mut value = String::new();
    let mut letters = text.chars();
    loop {
        match letters.next()? {
            '"' => return Some(value),
            '\\' => match letters.next()? {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            letter => value.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_read_as_shells_do() {
        let cases = [
            ("A=b", Some(("A", Ok("b")))),
            ("export A=b c \r", Some(("A", Ok("b c")))),
            ("A = b # why", Some(("A", Ok("b")))),
            ("A=b#c", Some(("A", Ok("b#c")))),
            ("A=# nothing", Some(("A", Ok("")))),
            ("A='b # \"c\"' # d", Some(("A", Ok("b # \"c\"")))),
            (r#"A="b \"c\" $D""#, Some(("A", Ok("b \"c\" $D")))),
            ("A=\"b", Some(("A", Err(())))),
            ("A='b", Some(("A", Err(())))),
            ("# A=b", None),
            ("A B=c", None),
            ("word", None),
            ("=b", None),
            ("", None),
        ];
        for (line, expected) in cases {
            let found = entries(line).pop().map(|entry| (entry.name, entry.value));
            let expected = expected.map(|(name, value)| (name, value.map(str::to_owned)));
            assert_eq!(found, expected, "{line}");
        }
    }
}
