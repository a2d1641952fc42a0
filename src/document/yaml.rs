//! YAML to [`Node`]s.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_yaml::budget::BudgetBreach;
use serde_yaml::{Error, Spanned};

use crate::diag::{FileId, Problems, Span};
use crate::document::{Key, Kind, Node, codes, plain};

/// The documents of a YAML file, separated by `---`; empty ones are left out.
///
/// Reports the first syntax error, duplicate key or exceeded limit, and then
/// gives no documents.
pub fn parse_yaml_documents(file: FileId, text: &str, problems: &mut Problems) -> Vec<Node> {
    let (mark, text) = match text.strip_prefix('\u{feff}') {
        Some(rest) => (3, rest),
        None => (0, text),
    };
    let base = Base { file, mark };
    if let Some(document) = plain::read(base, text) {
        return vec![document];
    }
    full(base, text, problems)
}

/// The same, whatever the text holds.
fn full(base: Base, text: &str, problems: &mut Problems) -> Vec<Node> {
    match serde_yaml::from_multiple_with_options::<Spanned<Raw>>(text, options()) {
        Ok(documents) => documents
            .into_iter()
            .map(|document| node(base, document))
            .filter(|document| document.kind != Kind::Null)
            .collect(),
        Err(error) => {
            report(base, text, &error, problems);
            Vec::new()
        }
    }
}

/// The only document of a YAML file; reports none or several.
pub fn parse_yaml(file: FileId, text: &str, problems: &mut Problems) -> Option<Node> {
    let errors_before = problems.counts().0;
    let mut documents = parse_yaml_documents(file, text, problems);
    if documents.len() > 1 {
        let second = documents.get(1).map_or(
            Span {
                file,
                start: 0,
                end: 0,
            },
            |d| d.span,
        );
        problems.error(
            codes::SYNTAX,
            second,
            "expected one document, found another after `---`",
        );
    }
    if documents.is_empty() && problems.counts().0 == errors_before {
        problems.file_error(codes::SYNTAX, file, "the file is empty");
    }
    (documents.len() == 1).then(|| documents.remove(0))
}

/// Limits and the reading of untyped scalars: `no`, `yes`, `on`, `010` and `1_000` are
/// texts, as they are for Sigma's authors; node, depth and alias budgets bound a hostile file.
fn options() -> serde_yaml::Options {
    serde_yaml::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
        budget: serde_yaml::budget! { max_nodes: 50_000, max_depth: 32, max_aliases: 64 }
    }
}

/// A YAML value before its places become spans.
enum Raw {
    Scalar(Kind),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Kind::Null))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Kind::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Scalar(Kind::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Kind::Number(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Kind::Number(value.into())))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Raw, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number must be finite"))?;
        Ok(Raw::Scalar(Kind::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Scalar(Kind::Text(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

/// What places are counted from: a byte order mark is not part of the text that is parsed.
#[derive(Clone, Copy)]
pub(super) struct Base {
    file: FileId,
    mark: u32,
}

impl Base {
    /// So many bytes of the text that is parsed.
    pub(super) fn span(self, at: usize, length: usize) -> Span {
        let offset = |by: usize| u32::try_from(by).unwrap_or(u32::MAX);
        let start = offset(at).saturating_add(self.mark);
        Span {
            file: self.file,
            start,
            end: start.saturating_add(offset(length)),
        }
    }
}

/// What a plain scalar means; the parser is asked only where its looks do not tell.
pub(super) fn resolve(scalar: &str) -> Option<Kind> {
    if is_text(scalar) {
        return Some(Kind::Text(scalar.to_owned()));
    }
    match serde_yaml::from_str_with_options::<Raw>(scalar, options()).ok()? {
        Raw::Scalar(kind) => Some(kind),
        Raw::List(_) | Raw::Map(_) => None,
    }
}

/// Whether a plain scalar is a text by its looks. `false`: that is not said.
pub(super) fn is_text(scalar: &str) -> bool {
    const WORDS: [&str; 3] = ["null", "true", "false"];
    let letter = scalar.starts_with(|c: char| c.is_ascii_alphabetic());
    let word = WORDS.iter().any(|word| scalar.eq_ignore_ascii_case(word));
    (letter && !word) || is_no_number(scalar)
}

/// Whether something that begins with a digit cannot be a number: a date, an address, a phrase.
fn is_no_number(scalar: &str) -> bool {
    let strange = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '_'));
    let dashed = scalar
        .as_bytes()
        .windows(2)
        .any(|pair| matches!(pair, [b'0'..=b'9', b'-']));
    scalar.starts_with(|c: char| c.is_ascii_digit()) && (dashed || scalar.contains(strange))
}

fn node(base: Base, raw: Spanned<Raw>) -> Node {
    let span = place(base, &raw.defined);
    let kind = match raw.value {
        Raw::Scalar(kind) => kind,
        Raw::List(items) => Kind::List(items.into_iter().map(|item| node(base, item)).collect()),
        Raw::Map(entries) => Kind::Map(
            entries
                .into_iter()
                .map(|(key, value)| {
                    (
                        Key {
                            span: place(base, &key.defined),
                            text: key.value,
                        },
                        node(base, value),
                    )
                })
                .collect(),
        ),
    };
    Node { span, kind }
}

fn place(base: Base, location: &serde_yaml::Location) -> Span {
    let span = location.span();
    let offset = |at: Option<u64>| u32::try_from(at.unwrap_or(0)).unwrap_or(u32::MAX);
    let start = offset(span.byte_offset()).saturating_add(base.mark);
    Span {
        file: base.file,
        start,
        end: start.saturating_add(offset(span.byte_len())),
    }
}

fn report(base: Base, text: &str, error: &Error, problems: &mut Problems) {
    let error = error.without_snippet();
    let start = error
        .location()
        .map_or(0, |at| offset_of(text, at.line(), at.column()));
    let start = start.saturating_add(base.mark);
    let span = Span {
        file: base.file,
        start,
        end: start,
    };
    let (message, help) = explain(error);
    let diagnostic = problems.error(codes::SYNTAX, span, message);
    if let Some(help) = help {
        diagnostic.help(help);
    }
}

/// The parser's error in our own words: its texts name its Rust interface.
fn explain(error: &Error) -> (String, Option<&'static str>) {
    const LIMITS: &str = "a policy file has at most 50,000 values, 32 levels and 64 aliases";
    let past = |what: &str| (format!("the file has {what}"), Some(LIMITS));
    match error.without_snippet() {
        Error::AliasError { error, .. } => explain(error),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("?");
            (
                format!("the key `{key}` is written twice in one mapping"),
                Some("remove one of the two"),
            )
        }
        Error::Budget { breach, .. } => match breach {
            BudgetBreach::Depth { .. } => past("values nested deeper than 32 levels"),
            BudgetBreach::Aliases { .. } => past("more than 64 aliases"),
            _ => past("more values than are read, aliases written out"),
        },
        Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => past("aliases that expand to too much"),
        Error::UnknownAnchor { .. } => (
            "the alias names an anchor that is not defined".to_owned(),
            Some("a text that begins with `*` stands in quotes"),
        ),
        Error::NullIntoString { .. } => ("a key is a text, found nothing".to_owned(), None),
        Error::Unexpected { expected, .. } if expected.contains("string") => (
            "a key is a text, found a list or a mapping".to_owned(),
            None,
        ),
        Error::Unexpected { expected, .. } => (format!("expected {expected}"), None),
        Error::NonFiniteFloat { value, .. } => (format!("`{value}` is not a finite number"), None),
        other => {
            let text = first_line_without_place(&other.to_string());
            if text.contains("recursion limit") {
                return past("values nested deeper than 32 levels");
            }
            (text, None)
        }
    }
}

/// The parser appends `at line L, column C` and sometimes advice about its options.
fn first_line_without_place(text: &str) -> String {
    let line = text.lines().next().unwrap_or("not well-formed YAML");
    let line = line
        .rsplit_once(" at line ")
        .map_or(line, |(message, _)| message);
    // The parser's grammar calls a plain value a scalar, and quotes unlike us.
    let line = line
        .replace("scalar", "text")
        .replace('\'', "`")
        .replace("multiline", "many-line");
    format!("not well-formed YAML: {line}")
}

/// Lines and columns count from 1, columns in characters.
fn offset_of(text: &str, line: u64, column: u64) -> u32 {
    let line_index = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
    let column_index = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
    let line_start: usize = text
        .split_inclusive('\n')
        .take(line_index)
        .map(str::len)
        .sum();
    let rest = text.get(line_start..).unwrap_or_default();
    let in_line: usize = rest
        .chars()
        .take_while(|c| *c != '\n')
        .take(column_index)
        .map(char::len_utf8)
        .sum();
    u32::try_from(line_start + in_line).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
