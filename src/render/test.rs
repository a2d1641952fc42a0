//! A failed case: expected against received.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::diag::counted;
use crate::lab::{CaseResult, Coverage, Mismatch, Suite};
use crate::render::explained::explained;
use crate::render::style::{Styles, styled};
use crate::visible::{is_deceptive, visible};

/// The policy folder of commands that name none.
pub const DEFAULT_POLICY: &str = ".";

/// What a failed case expected and what came out, and the command that runs it again over the
/// policy folder.
#[must_use]
pub fn failed_case(policy: &Path, suite: &Suite, result: &CaseResult) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} {}: {}",
        styled(Styles::BAD, "FAILED"),
        visible(&suite.name),
        visible(&result.name)
    );
    let _ = writeln!(out, "  {}", styled(Styles::QUIET, &visible(&suite.file)));
    for mismatch in &result.mismatches {
        one(&mut out, mismatch);
    }
    for explanation in &result.explained {
        why(&mut out, &explained(explanation));
    }
    let _ = writeln!(out, "  again: {}\n", again(policy, suite, result));
    out
}

/// The command that runs a case alone, as a shell reads it.
fn again(policy: &Path, suite: &Suite, result: &CaseResult) -> String {
    let mut command = "rulectl test".to_owned();
    if policy != Path::new(DEFAULT_POLICY) {
        let word = shell_word(policy.as_os_str().as_encoded_bytes());
        let begins_so = policy.as_os_str().as_encoded_bytes().starts_with(b"-");
        let between = if begins_so { '=' } else { ' ' };
        let _ = write!(command, " --policy{between}{word}");
    }
    let name = format!("{}: {}", suite.name, result.name);
    if name.starts_with('-') {
        command.push_str(" --");
    }
    format!("{command} {}", shell_word(name.as_bytes()))
}

/// So many lines of an explanation are shown; JSON has it whole.
const LINES: usize = 40;

/// Why a rule found what it did, below what was expected of it.
fn why(out: &mut String, explained: &str) {
    let mut lines = explained.lines();
    for line in lines.by_ref().take(LINES) {
        let _ = writeln!(out, "  | {line}");
    }
    let more = lines.count() as u64;
    if more > 0 {
        let _ = writeln!(
            out,
            "  | and {}; `--format json` has them",
            counted(more, "line more")
        );
    }
}

/// What the cases reach of a policy, and first what they do not.
#[must_use]
pub fn covered(coverage: &Coverage) -> String {
    let mut out = String::new();
    for item in coverage.items.iter().filter(|item| !item.reached) {
        let place = item.place.as_deref().map(|place| format!("  {place}"));
        let _ = writeln!(
            out,
            "never: {} {} {}{}",
            item.kind,
            visible(&item.name),
            item.wanted,
            styled(Styles::QUIET, &visible(&place.unwrap_or_default()))
        );
    }
    let (reached, all) = (coverage.reached(), coverage.items.len());
    let _ = writeln!(
        out,
        "coverage: {reached} of {all}, {:.1} %",
        coverage.percent()
    );
    out
}

fn one(out: &mut String, mismatch: &Mismatch) {
    let _ = writeln!(out, "  {}", visible(&mismatch.to_string()));
    match mismatch {
        Mismatch::Count { received, .. } => {
            received.iter().for_each(|record| brief(out, record));
        }
        Mismatch::Missing {
            expected,
            nearest: None,
            ..
        } => lines(out, expected, "  - "),
        Mismatch::Missing {
            expected,
            nearest: Some(nearest),
            ..
        } => changes(out, expected, nearest),
        Mismatch::Unexpected { received, .. } => brief(out, received),
        Mismatch::Broken(_) => {}
    }
}

/// The fields of a record that tell most.
fn brief(out: &mut String, record: &Value) {
    const TELLING: [&str; 9] = [
        "rule",
        "title",
        "description",
        "count",
        "hits",
        "severity",
        "group",
        "steps",
        "command",
    ];
    for key in TELLING {
        if let Some(value) = record.get(key) {
            let _ = writeln!(out, "    + {key}: {}", visible(&value.to_string()));
        }
    }
}

fn lines(out: &mut String, value: &Value, prefix: &str) {
    for line in pretty(value).lines() {
        let _ = writeln!(out, "  {prefix}{}", visible(line));
    }
}

fn changes(out: &mut String, expected: &Value, received: &Value) {
    let (expected, received) = (pretty(expected), pretty(received));
    for change in TextDiff::from_lines(&expected, &received).iter_all_changes() {
        let (sign, style) = match change.tag() {
            ChangeTag::Delete => ("-", Styles::BAD),
            ChangeTag::Insert => ("+", Styles::GOOD),
            ChangeTag::Equal => (" ", Styles::QUIET),
        };
        let _ = writeln!(
            out,
            "    {}",
            styled(
                style,
                &format!("{sign} {}", visible(change.value().trim_end()))
            )
        );
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// A word that a shell reads as these bytes, with nothing deceptive in it: as it is, in quotes, or
/// with escapes, which bash, zsh, ksh and BusyBox know.
fn shell_word(bytes: &[u8]) -> String {
    let text = std::str::from_utf8(bytes).ok();
    let text = text.filter(|text| !text.chars().any(is_deceptive));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    match text {
        Some(text) if !text.is_empty() && text.chars().all(is_plain) => text.to_owned(),
        Some(text) => format!("'{}'", text.replace('\'', r"'\''")),
        None => format!("$'{}'", escaped(bytes)),
    }
}

fn escaped(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\'' | '\\' => out.extend(['\\', c]),
                _ if is_deceptive(c) => escape(&mut out, c.encode_utf8(&mut [0; 4]).as_bytes()),
                _ => out.push(c),
            }
        }
        escape(&mut out, chunk.invalid());
    }
    out
}

fn escape(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(out, "\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_what_a_shell_reads() {
        for (bytes, expected) in [
            (&b"policy/a-1"[..], "policy/a-1"),
            (b"", "''"),
            (b"a b", "'a b'"),
            (b"it's $(x)", r"'it'\''s $(x)'"),
            ("grün".as_bytes(), "'grün'"),
            (b"a\x1b[31m'\\\n0", r"$'a\x1b[31m\'\\\x0a0'"),
            ("a\u{202e}b".as_bytes(), r"$'a\xe2\x80\xaeb'"),
            (b"a\xffb", r"$'a\xffb'"),
        ] {
            assert_eq!(shell_word(bytes), expected);
        }
    }
}
