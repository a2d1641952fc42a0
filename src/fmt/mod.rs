//! The canonical layout of the files of a policy: the keys in the order of `docs/`, comments with
//! what they are about, and no blanks that mean nothing. What a file means stays as it was.

mod blocks;
mod files;
mod lines;
mod order;
mod toml;
mod yaml;

pub use self::files::{Found, find, of_policy};

use crate::diag::{FileId, Problems, Span};
use crate::document::{Kind, Node, parse_toml, parse_yaml_documents};
use crate::fmt::lines::{Lines, byte_order_mark};

/// Why a file has no other layout.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It cannot be read.
    #[error("it cannot be read as it is written")]
    Unread(Problems),
    /// It would mean something else.
    #[error(
        "line {line}: laid out, the document that begins here would mean something else, so that nothing is changed; write its keys on lines of their own, in the order of docs/fmt.md"
    )]
    MeansOtherwise {
        /// The line of the document, from 1.
        line: usize,
    },
}

/// What a file is for, which says in what order its keys stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// `routing.toml`.
    Routing,
    /// `tools.yaml`.
    Tools,
    /// A suite of cases, `NAME.test.yml`.
    Suite,
    /// Any other YAML: rules, which are told by what they hold, and files whose keys stay.
    Yaml,
    /// Any other TOML, whose keys stay.
    Toml,
}

impl FileKind {
    /// What a file is for by its name; `None` where it is neither YAML nor TOML.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        let (stem, ending) = name.rsplit_once('.')?;
        Some(match (stem, ending) {
            ("routing", "toml") => Self::Routing,
            (_, "toml") => Self::Toml,
            ("tools", "yml" | "yaml") => Self::Tools,
            (stem, "yml" | "yaml") if stem.ends_with(".test") => Self::Suite,
            (_, "yml" | "yaml") => Self::Yaml,
            _ => return None,
        })
    }
}

/// A text in its canonical layout, which means the same; `name` is what problems call the file.
pub fn formatted(name: &str, text: &str, kind: FileKind) -> Result<String, Refused> {
    // Whether keys can move is asked of lines as they are written again: what blanks at the end of
    // a line keep from moving today would move tomorrow, when they are gone.
    let trimmed = rewritten(name, text, kind, |lines, _| (0..lines.len()).collect())?;
    let mut laid_out = arranged(name, &trimmed, kind)?;
    // A line that moves may leave a text without lines, which blanks at its end seemed to be of.
    for _ in 0..MOST_ROUNDS {
        let again = arranged(name, &laid_out, kind)?;
        if again == laid_out {
            break;
        }
        laid_out = again;
    }
    Ok(laid_out)
}

/// So often a text is laid out again at most.
const MOST_ROUNDS: usize = 2;

/// A text with its keys in their order.
fn arranged(name: &str, text: &str, kind: FileKind) -> Result<String, Refused> {
    rewritten(name, text, kind, |lines, trees| match (kind, trees) {
        (FileKind::Routing | FileKind::Toml, [root]) => toml::arrange(lines, root, kind),
        (FileKind::Routing | FileKind::Toml, _) => (0..lines.len()).collect(),
        _ => yaml::arrange(lines, trees, kind),
    })
}

/// A text whose lines are written again in the order that `arrange` gives them.
fn rewritten(
    name: &str,
    text: &str,
    kind: FileKind,
    arrange: impl FnOnce(&Lines<'_>, &[Node]) -> Vec<usize>,
) -> Result<String, Refused> {
    let mut problems = Problems::default();
    let file = problems.add_file(name, text);
    let trees = parse(file, text, kind, &mut problems);
    if problems.has_errors() {
        return Err(Refused::Unread(problems));
    }
    let mark = byte_order_mark(text);
    if text.rfind('\u{feff}').is_some_and(|at| at >= mark.len()) {
        // One that stands elsewhere would be another when lines move.
        return Ok(text.to_owned());
    }
    let lines = Lines::new(text, &trees.iter().collect::<Vec<_>>());
    let arranged = arrange(&lines, &trees);
    let laid_out = format!("{mark}{}", written(&lines, &arranged));
    if laid_out == text {
        return Ok(laid_out);
    }
    let mut unheard = Problems::default();
    let again = unheard.add_file(name, &laid_out);
    let now = parse(again, &laid_out, kind, &mut unheard);
    match difference(&trees, &now, kind) {
        None => Ok(laid_out),
        Some(at) => {
            let line = at.map_or(1, |at| problems.line_column(at).line);
            Err(Refused::MeansOtherwise { line })
        }
    }
}

fn parse(file: FileId, text: &str, kind: FileKind, problems: &mut Problems) -> Vec<Node> {
    match kind {
        FileKind::Routing | FileKind::Toml => {
            parse_toml(file, text, problems).into_iter().collect()
        }
        _ => parse_yaml_documents(file, text, problems),
    }
}

/// The first document that means something else, if there is one; of one that is gone or new
/// nobody can say where.
fn difference(was: &[Node], now: &[Node], kind: FileKind) -> Option<Option<Span>> {
    let differs = |(was, now): &(&Node, &Node)| !order::same(was, now, order::of(kind, was));
    let found = was.iter().zip(now).find(differs);
    let first = found.map(|(was, _)| Some(place(was)));
    first.or((was.len() != now.len()).then_some(None))
}

/// Where a document begins.
fn place(node: &Node) -> Span {
    match &node.kind {
        Kind::Map(entries) => entries.first().map_or(node.span, |(key, _)| key.span),
        _ => node.span,
    }
}

/// The lines as a text: without blanks at their ends, one empty line where there are several, none
/// at the beginning or end, and an end for the last line.
fn written(lines: &Lines<'_>, arranged: &[usize]) -> String {
    let mut text = String::new();
    let mut blank: Option<&str> = None;
    for at in arranged {
        let (line, end) = lines.trimmed(*at);
        let end = if end.is_empty() { lines.ending() } else { end };
        if lines.is_blank(*at) {
            blank = Some(blank.unwrap_or(end));
            continue;
        }
        let blank = blank.take().filter(|_| !text.is_empty());
        text.extend([blank.unwrap_or_default(), line, end]);
    }
    if lines.is_open() {
        // With an end of line it would be another text to some parsers.
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
    }
    text
}

#[cfg(test)]
mod tests;
