//! What tests found, for the machines of a pipeline: JUnit, SARIF, and commands of a workflow.

use std::path::Path;

use serde_json::{Value, json};

use crate::event::Digest;
use crate::lab::diff::Place;
use crate::lab::{CaseResult, Suite};
use crate::render::failed_case;
use crate::render::report::junit::{self, Case, Outcome};
use crate::render::report::sarif::{self, Rule, location};
use crate::visible::visible;

/// A case and what came of it.
pub(super) type Tested<'t> = (&'t Suite, CaseResult);

/// Cases as JUnit's XML: a suite is one there too.
#[must_use]
pub fn tested_junit(policy: &Path, results: &[Tested<'_>]) -> String {
    let suites: Vec<(&str, Vec<Case>)> = results
        .chunk_by(|(one, _), (other, _)| std::ptr::eq(*one, *other))
        .filter_map(|of| {
            Some((
                of.first()?.0.name.as_str(),
                of.iter().map(|tested| case(policy, tested)).collect(),
            ))
        })
        .collect();
    junit::document("rulectl test", "rulectl.test", &suites)
}

fn case(policy: &Path, (suite, result): &Tested<'_>) -> Case {
    let outcome = if result.passed() {
        Outcome::Passed
    } else {
        Outcome::Failed {
            kind: "mismatch",
            message: headline(result),
            text: told(policy, suite, result),
        }
    };
    Case {
        name: result.name.clone(),
        place: Some(place(suite, result)),
        outcome,
    }
}

fn place(suite: &Suite, result: &CaseResult) -> Place {
    Place {
        file: suite.file.clone(),
        line: result.line,
    }
}

/// What a failed case says, in plain text.
pub(super) fn told(policy: &Path, suite: &Suite, result: &CaseResult) -> String {
    anstream::adapter::strip_str(&failed_case(policy, suite, result)).to_string()
}

fn headline(result: &CaseResult) -> String {
    let more = result.mismatches.len().saturating_sub(1);
    let first = result.mismatches.first().map(ToString::to_string);
    let more = (more > 0).then(|| format!(", and {more} more"));
    format!("{}{}", first.unwrap_or_default(), more.unwrap_or_default())
}

const FAILED: Rule = Rule {
    id: "failed-case",
    level: "error",
    means: "The policy does not make of the events what this case expects",
    help: "Run the case again with the command of the message, and mend the rule, or the case where it expects the wrong thing.",
};

/// The cases that failed, as SARIF. The suites stand in the policy folder, which stands at `root`
/// in its repository: empty, or with a `/` at its end.
#[must_use]
pub fn tested_sarif(policy: &Path, results: &[Tested<'_>], root: &str) -> Value {
    let failed = results.iter().filter(|(_, result)| !result.passed());
    let results: Vec<Value> = failed
        .map(|(suite, result)| {
            let about = json!([suite.file, result.name]).to_string();
            json!({
                "ruleId": FAILED.id,
                "ruleIndex": 0,
                "level": FAILED.level,
                "message": {"text": visible_lines(&told(policy, suite, result))},
                "locations": [location(root, &place(suite, result))],
                "partialFingerprints": {"rulectlTest/v1": Digest::of(about.as_bytes()).to_string()},
            })
        })
        .collect();
    sarif::document("rulectl test", &[FAILED], &[], &results)
}

fn visible_lines(text: &str) -> String {
    let lines: Vec<String> = text.trim_end().lines().map(visible).collect();
    lines.join("\n")
}

/// A command of a workflow for each case that failed, which shows it beside its line.
#[must_use]
pub fn tested_annotations(policy: &Path, results: &[Tested<'_>], root: &str) -> String {
    let failed = results.iter().filter(|(_, result)| !result.passed());
    failed
        .map(|(suite, result)| {
            let name = format!("{}: {}", suite.name, result.name);
            format!(
                "::error file={},line={},title={}::{}\n",
                property(&visible(&format!("{root}{}", suite.file))),
                result.line,
                property(&visible(&name)),
                data(&visible_lines(&told(policy, suite, result)))
            )
        })
        .collect()
}

/// A text that a command of a workflow carries: nothing in it ends the command.
pub(super) fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A text that stands among the properties of a command.
pub(super) fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_no_command() {
        assert_eq!(data("50%\r\n::error::x"), "50%25%0D%0A::error::x");
        assert_eq!(property("a:b,c"), "a%3Ab%2Cc");
    }
}
