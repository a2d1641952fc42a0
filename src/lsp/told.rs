//! Problems as an editor shows them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::diag::{Diagnostic, Problems, Severity};
use crate::lsp::lines::{Encoding, Lines};
use crate::visible::visible;

/// How problems are told.
pub(super) struct Told<'s> {
    pub(super) encoding: Encoding,
    /// The folder or site of the documentation, where there is one.
    pub(super) docs: Option<&'s str>,
}

/// The problems of each file, by its name.
pub(super) fn told(problems: &Problems, how: &Told<'_>) -> BTreeMap<String, Vec<Value>> {
    let mut of_files: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for of_file in problems
        .sorted()
        .chunk_by(|one, other| one.span.file == other.span.file)
    {
        let Some(first) = of_file.first() else {
            continue;
        };
        let lines = Lines::of(problems.text(first.span.file), how.encoding);
        let told = of_file.iter().map(|problem| one(problem, &lines, how));
        let name = problems.file_name(first.span.file).to_owned();
        of_files.entry(name).or_default().extend(told);
    }
    of_files
}

fn one(problem: &Diagnostic, lines: &Lines<'_>, how: &Told<'_>) -> Value {
    let mut message = visible(&problem.message);
    if let Some(help) = problem.help() {
        message.push_str(&format!("\nhelp: {}", visible(&help)));
    }
    let severity = match problem.severity {
        Severity::Error => 1,
        Severity::Warning => 2,
    };
    let mut told = json!({
        "range": lines.range(problem.span.start as usize..problem.span.end as usize),
        "severity": severity,
        "code": problem.code,
        "source": "rulectl",
        "message": message,
    });
    if let (Value::Object(told), Some(docs)) = (&mut told, how.docs) {
        let docs = docs.trim_end_matches('/');
        let page = json!({"href": format!("{docs}/diagnostics.md")});
        told.insert("codeDescription".to_owned(), page);
    }
    told
}
