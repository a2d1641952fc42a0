//! What a check found, for the machines of a pipeline: SARIF, and commands of a workflow.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::diag::{Diagnostic, LineColumn, Problems, Severity, Span};
use crate::event::Digest;
use crate::render::codes::code_pages;
use crate::render::report::sarif::{self, Rule};
use crate::render::report::tested::{data, property};
use crate::visible::visible;

/// The problems as SARIF. The files are those of the policy folder, which stands at `root` in its
/// repository: empty, or with a `/` at its end.
#[must_use]
pub fn problems_as_sarif(problems: &Problems, root: &str) -> Value {
    let found = problems.sorted();
    let suppressed = problems.suppressed();
    let of_suppressed = suppressed.iter().map(|one| &one.problem);
    let all = found.iter().copied().chain(of_suppressed);
    let codes: BTreeSet<&str> = all.map(|problem| problem.code).collect();
    let pages: Vec<_> = code_pages()
        .filter(|page| codes.contains(page.code.as_str()))
        .collect();
    let rules: Vec<Rule<'_>> = pages
        .iter()
        .map(|page| Rule {
            id: &page.code,
            level: if page.kind == "warning" {
                "warning"
            } else {
                "error"
            },
            means: &page.means,
            help: &page.fix,
        })
        .collect();
    let told = |problem: &Diagnostic| {
        let index = rules.iter().position(|rule| rule.id == problem.code);
        result(problems, problem, index, root)
    };
    let mut results: Vec<Value> = found.into_iter().map(told).collect();
    for one in suppressed {
        let mut result = told(&one.problem);
        if let Value::Object(result) = &mut result {
            let reason = visible(&one.reason);
            let suppressions = json!([{"kind": "inSource", "justification": reason}]);
            result.insert("suppressions".to_owned(), suppressions);
        }
        results.push(result);
    }
    sarif::document("rulectl check", &rules, &[], &results)
}

fn result(problems: &Problems, problem: &Diagnostic, index: Option<usize>, root: &str) -> Value {
    let file = problems.file_name(problem.span.file);
    let about = json!([problem.code, file, problem.message]).to_string();
    json!({
        "ruleId": problem.code,
        "ruleIndex": index,
        "level": level(problem),
        "message": {"text": told(problem)},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": sarif::uri(&format!("{root}{file}")), "uriBaseId": "%SRCROOT%"},
            "region": region(problems, problem),
        }}],
        "partialFingerprints": {"rulectlCheck/v1": Digest::of(about.as_bytes()).to_string()},
    })
}

/// Lines and columns count from one; where a problem ends before it begins, only its beginning is said.
fn region(problems: &Problems, problem: &Diagnostic) -> Value {
    let (start, end) = places(problems, problem);
    let mut region = json!({"startLine": start.line, "startColumn": start.column});
    if let (Some(end), Value::Object(region)) = (end, &mut region) {
        region.insert("endLine".to_owned(), json!(end.line));
        region.insert("endColumn".to_owned(), json!(end.column));
    }
    region
}

fn places(problems: &Problems, problem: &Diagnostic) -> (LineColumn, Option<LineColumn>) {
    let span = problem.span;
    let end = Span {
        start: span.end,
        ..span
    };
    let end = (span.end > span.start).then(|| problems.line_column(end));
    (problems.line_column(span), end)
}

fn level(problem: &Diagnostic) -> &'static str {
    match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// The message, and what to do.
fn told(problem: &Diagnostic) -> String {
    let help = problem.help().map(|help| format!("; {}", visible(&help)));
    format!("{}{}", visible(&problem.message), help.unwrap_or_default())
}

/// A command of a workflow for each problem, which shows it beside its line.
#[must_use]
pub fn problems_as_commands(problems: &Problems, root: &str) -> String {
    let mut commands = String::new();
    for problem in problems.sorted() {
        let file = visible(problems.file_name(problem.span.file));
        let (start, end) = places(problems, problem);
        let mut at = format!("line={},col={}", start.line, start.column);
        if let Some(end) = end {
            at.push_str(&format!(",endLine={},endColumn={}", end.line, end.column));
        }
        commands.push_str(&format!(
            "::{} file={},{at},title={}::{}\n",
            level(problem),
            property(&format!("{root}{file}")),
            problem.code,
            data(&told(problem))
        ));
    }
    commands
}
