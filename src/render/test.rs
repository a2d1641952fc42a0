//! A failed case: expected against received.

use std::fmt::Write;

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::diag::counted;
use crate::lab::{CaseResult, Coverage, Mismatch, Suite};
use crate::render::explained::explained;
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
    for explanation in &result.explained {
        why(&mut out, &explained(explanation));
    }
    let _ = writeln!(
        out,
        "  again: rulectl test {}\n",
        quoted(&format!("{}: {}", suite.name, result.name))
    );
    out
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
