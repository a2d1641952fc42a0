//! A failed case: expected against received.

use std::fmt::Write;

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::lab::{CaseResult, Mismatch, Suite};
use crate::render::style::{Styles, styled};
use crate::visible::visible;

/// What a failed case expected and what came out.
#[must_use]
pub fn failed_case(suite: &Suite, result: &CaseResult) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} {}: {}",
        styled(Styles::BAD, "FAILED"),
        visible(&suite.name),
        visible(&result.name)
    );
    let _ = writeln!(out, "  {}", styled(Styles::QUIET, &suite.file));
    for mismatch in &result.mismatches {
        one(&mut out, mismatch);
    }
    let _ = writeln!(
        out,
        "  again: rulectl test {}\n",
        quoted(&format!("{}: {}", suite.name, result.name))
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
            styled(style, &format!("{sign} {}", change.value().trim_end()))
        );
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

fn quoted(text: &str) -> String {
    format!("'{}'", visible(text).replace('\'', r"'\''"))
}
