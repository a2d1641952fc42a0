//! TOML to [`Node`]s.

use serde_json::Number;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diag::{FileId, Problems, Span};
use crate::document::{Key, Kind, Node, codes};

/// Deeper nesting than this is refused: our formats need five levels.
const MAX_DEPTH: usize = 32;

/// The root table of a TOML file. Every syntax error is reported; after one there is no tree.
pub fn parse_toml(file: FileId, text: &str, problems: &mut Problems) -> Option<Node> {
    let (root, errors) = DeTable::parse_recoverable(text);
    for (span, message) in worth_reporting(file, text, &errors) {
        problems.error(
            codes::SYNTAX,
            span,
            format!("not well-formed TOML: {message}"),
        );
    }
    if !errors.is_empty() {
        return None;
    }
    let span = place(file, &root.span());
    table(file, root.get_ref(), span, 0, problems)
}

/// A parser that goes on after an error reports much that follows from it: the
/// first problem of a line is told, and no more lines than a person mends at once.
fn worth_reporting(file: FileId, text: &str, errors: &[toml::de::Error]) -> Vec<(Span, String)> {
    const TOLD: usize = 3;
    let mut told = Vec::new();
    let mut lines = Vec::new();
    for error in errors {
        let range = error.span().unwrap_or_default();
        let before = text.get(..range.start).unwrap_or(text);
        let line = before.matches('\n').count();
        if told.len() < TOLD && !lines.contains(&line) {
            lines.push(line);
            let message = match error.message() {
                deep if deep.contains("recursion") => "nested deeper than is read".to_owned(),
                message => message.to_lowercase(),
            };
            told.push((place(file, &range), message));
        }
    }
    told
}

fn table(
    file: FileId,
    table: &DeTable<'_>,
    span: Span,
    depth: usize,
    problems: &mut Problems,
) -> Option<Node> {
    let mut entries = Vec::new();
    for (key, inner) in table {
        let key = Key {
            span: place(file, &key.span()),
            text: key.get_ref().to_string(),
        };
        entries.push((key, value(file, inner, depth + 1, problems)?));
    }
    // The tables of a file come sorted by name; a person wrote them in another order.
    entries.sort_by_key(|(key, _)| key.span.start);
    Some(Node {
        span,
        kind: Kind::Map(entries),
    })
}

fn value(
    file: FileId,
    value: &Spanned<DeValue<'_>>,
    depth: usize,
    problems: &mut Problems,
) -> Option<Node> {
    let span = place(file, &value.span());
    if depth > MAX_DEPTH {
        problems.error(
            codes::SYNTAX,
            span,
            format!("nested deeper than {MAX_DEPTH} levels"),
        );
        return None;
    }
    let kind = match value.get_ref() {
        DeValue::String(text) => Kind::Text(text.to_string()),
        DeValue::Boolean(value) => Kind::Bool(*value),
        DeValue::Datetime(moment) => Kind::Text(moment.to_string()),
        DeValue::Integer(number) => {
            let digits = number.as_str();
            let parsed = i64::from_str_radix(digits, number.radix())
                .ok()
                .map(Number::from);
            Kind::Number(parsed.or_else(|| out_of_range(span, digits, problems))?)
        }
        DeValue::Float(number) => {
            let parsed = number.as_str().parse().ok().and_then(Number::from_f64);
            Kind::Number(parsed.or_else(|| out_of_range(span, number.as_str(), problems))?)
        }
        DeValue::Array(items) => {
            let items: Option<Vec<_>> = items
                .iter()
                .map(|item| self::value(file, item, depth + 1, problems))
                .collect();
            Kind::List(items?)
        }
        DeValue::Table(inner) => return table(file, inner, span, depth, problems),
    };
    Some(Node { span, kind })
}

fn out_of_range(span: Span, digits: &str, problems: &mut Problems) -> Option<Number> {
    problems.error(
        codes::BAD_VALUE,
        span,
        format!("`{digits}` is not a number that fits in 64 bits"),
    );
    None
}

fn place(file: FileId, range: &std::ops::Range<usize>) -> Span {
    let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span {
        file,
        start: offset(range.start),
        end: offset(range.end),
    }
}
