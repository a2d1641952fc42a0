//! Problems of policy files, with the source line underlined.

use std::borrow::Cow;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;
use similar::TextDiff;

use crate::diag::{Diagnostic, Problems, Severity};
use crate::lab::Fixed;
use crate::visible::visible;

/// Every problem, as a compiler would show it, and a last line that counts them.
/// Of a file with very many, the first are shown: they are mended in rounds anyway.
#[must_use]
pub fn problems_as_text(problems: &Problems, colour: bool) -> String {
    const SHOWN: usize = 50;
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut text = String::new();
    for of_file in problems
        .sorted()
        .chunk_by(|a, b| a.span.file == b.span.file)
    {
        for diagnostic in of_file.iter().take(SHOWN) {
            text.push_str(&one(problems, diagnostic, &renderer));
            text.push_str("\n\n");
        }
        let (left, first) = (of_file.len().saturating_sub(SHOWN), of_file.first());
        if let Some(first) = first.filter(|_| left > 0) {
            let file = visible(problems.file_name(first.span.file));
            text.push_str(&format!(
                "… and {left} more in {file}; `--format json` has them all\n\n"
            ));
        }
    }
    let (errors, warnings) = problems.counts();
    let counted = |count: usize, word: &str| crate::diag::counted(count as u64, word);
    text.push_str(&format!(
        "{}, {}{}\n",
        counted(errors, "error"),
        counted(warnings, "warning"),
        suppressed_as_text(problems)
    ));
    text
}

/// How many warnings are suppressed, behind other numbers: `, 2 suppressed`.
#[must_use]
pub fn suppressed_as_text(problems: &Problems) -> String {
    match problems.suppressed().len() {
        0 => String::new(),
        count => format!(", {count} suppressed"),
    }
}

/// What a fix changes of a file, as a unified diff.
#[must_use]
pub fn fix_as_text(fixed: &Fixed) -> String {
    let diff = TextDiff::from_lines(fixed.before.as_str(), fixed.after.as_str());
    let mut text = format!("--- {0}\n+++ {0}\n", visible(&fixed.file));
    for hunk in diff.unified_diff().context_radius(2).iter_hunks() {
        text.push_str(&format!("{}\n", hunk.header()));
        for change in hunk.iter_changes() {
            let line = change.value().trim_end_matches(['\n', '\r']);
            text.push_str(&format!("{}{}\n", change.tag(), visible_keeping_tabs(line)));
        }
    }
    text.push('\n');
    text
}

fn one(problems: &Problems, diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = visible(&diagnostic.message);
    let help = diagnostic.help().as_deref().map(visible);
    let file = visible(problems.file_name(diagnostic.span.file));
    let text = problems.text(diagnostic.span.file);
    let title = level.primary_title(title.as_str()).id(diagnostic.code);
    let (start, end) = (diagnostic.span.start as usize, diagnostic.span.end as usize);
    let Some(window) = window(text, start, end) else {
        return without_source(&renderer.render(&[Group::with_title(title)]), &file, help);
    };
    let marks = window.marks.iter().cloned();
    let snippet = Snippet::source(window.text.as_str())
        .line_start(window.line)
        .path(file.as_str())
        .annotations(marks.map(|mark| AnnotationKind::Primary.span(mark)));
    let mut group = title.element(snippet);
    if let Some(help) = &help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let rendered = renderer.render(&[group]);
    // The line is shown with what could deceive made visible, which moves its columns.
    let at = problems.line_column(diagnostic.span);
    let first = window.marks.first().map_or(0, |mark| mark.start);
    let shown = window.text.get(..first).unwrap_or_default();
    let shown = format!("{file}:{}:{}", window.line, shown.chars().count() + 1);
    let real = format!("{file}:{}:{}", at.line, at.column);
    match rendered.split_once('\n') {
        Some((title, rest)) => format!("{title}\n{}", rest.replacen(&shown, &real, 1)),
        None => rendered,
    }
}

/// A problem of a file as a whole, in the shape of the others.
fn without_source(title: &str, file: &str, help: Option<String>) -> String {
    let help = help.map_or_else(String::new, |help| format!("\n  = help: {help}"));
    format!("{title}\n --> {file}{help}")
}

/// The line that a problem begins on and some that it goes on over, safe to show, and where in
/// each of them the problem is.
struct Window {
    text: String,
    line: usize,
    marks: Vec<Range<usize>>,
}

/// A line longer than this is shown from near the problem on.
const WIDTH: usize = 2_000;

/// A problem over more lines than this is shown at the first of them.
const LINES: usize = 4;

fn window(text: &str, start: usize, end: usize) -> Option<Window> {
    let start = floor(text, start.min(text.len()));
    let end = floor(text, end.clamp(start, text.len()));
    let (before, after) = text.split_at(start);
    let line = before.matches('\n').count() + 1;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line_end = after.find('\n').map_or(text.len(), |at| start + at);
    let from = if start - line_start > WIDTH {
        floor(text, start - WIDTH / 2)
    } else {
        line_start
    };
    let to = floor(text, line_end.min(from + 2 * WIDTH)).max(start);
    let (others, end) = (text.get(line_end..end).unwrap_or_default(), end.min(to));
    let shown =
        |from: usize, to: usize| visible_keeping_tabs(text.get(from..to).unwrap_or_default());
    let (lead, marked, tail) = (shown(from, start), shown(start, end), shown(end, to));
    let mark = lead.len()..lead.len() + marked.len();
    let shown = lead + marked.as_str() + tail.as_str();
    let mut window = (!shown.trim().is_empty()).then_some(Window {
        text: shown,
        line,
        marks: vec![mark],
    })?;
    let others = others.trim_end();
    let rest = text.get(line_end + others.len()..).unwrap_or_default();
    let rest = rest.split('\n').next().unwrap_or_default();
    window.go_on(others, rest);
    Some(window)
}

impl Window {
    /// Adds the lines that the problem goes on over, each of which begins with a line end, and
    /// what stands behind it in the last of them. Their indentation is not marked.
    fn go_on(&mut self, lines: &str, rest: &str) {
        let lines: Vec<&str> = lines.split('\n').skip(1).collect();
        if lines.len() >= LINES {
            return;
        }
        for (at, line) in lines.iter().enumerate() {
            let marked = line.trim();
            let blanks = line.len() - line.trim_start().len();
            let lead = visible_keeping_tabs(line.get(..blanks).unwrap_or_default());
            let marked = visible_keeping_tabs(cut(marked));
            self.text.push('\n');
            self.text.push_str(&lead);
            let start = self.text.len();
            self.text.push_str(&marked);
            if start < self.text.len() {
                self.marks.push(start..self.text.len());
            }
            if at + 1 == lines.len() {
                self.text.push_str(&visible_keeping_tabs(cut(rest)));
            }
        }
    }
}

fn cut(line: &str) -> &str {
    line.get(..floor(line, line.len().min(WIDTH)))
        .unwrap_or_default()
}

fn visible_keeping_tabs(text: &str) -> String {
    text.trim_end_matches('\r')
        .split('\t')
        .map(visible)
        .collect::<Vec<_>>()
        .join("    ")
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

#[derive(Serialize)]
struct Shown<'p> {
    severity: &'static str,
    code: &'static str,
    message: &'p str,
    file: &'p str,
    line: usize,
    column: usize,
    help: Option<Cow<'p, str>>,
}

/// The same problems as values for a machine.
#[must_use]
pub fn problems_as_values(problems: &Problems) -> Vec<impl Serialize> {
    let shown = problems.sorted().into_iter().map(|diagnostic| {
        let at = problems.line_column(diagnostic.span);
        Shown {
            severity: if diagnostic.severity == Severity::Error {
                "error"
            } else {
                "warning"
            },
            code: diagnostic.code,
            message: &diagnostic.message,
            file: problems.file_name(diagnostic.span.file),
            line: at.line,
            column: at.column,
            help: diagnostic.help(),
        }
    });
    shown.collect::<Vec<_>>()
}
