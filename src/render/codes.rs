//! `rulectl check --explain`: the page of a code, made of the documentation that is built in.

use serde::Serialize;

use crate::diag::{PAGE, nearest};

/// A broken example of each code, with the message that it gives.
const EXAMPLES: &str = include_str!("../../docs/diagnostics/examples.md");

/// What more there is to say of some codes.
const MORE: &str = include_str!("../../docs/diagnostics/more.md");

/// What the documentation says of a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CodePage {
    /// The code.
    pub code: String,
    /// `error`, `warning`, or both.
    pub kind: String,
    /// What it means.
    pub means: String,
    /// What to do.
    pub fix: String,
    /// What more there is to say: why it matters, and how it is written right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more: Option<String>,
    /// A problem of this code as it is reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
}

/// The page of every code, in their order.
pub fn code_pages() -> impl Iterator<Item = CodePage> {
    PAGE.lines().filter_map(of_row)
}

/// The page of a code, written in capitals or not.
#[must_use]
pub fn code_page(code: &str) -> Option<CodePage> {
    code_pages().find(|page| page.code.eq_ignore_ascii_case(code))
}

/// The pages of the codes of the same hundred, where a word has the form of a code.
pub fn codes_beside(code: &str) -> impl Iterator<Item = CodePage> {
    let form = code.to_ascii_uppercase();
    let digits = form
        .strip_prefix("RL")
        .filter(|digits| digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_digit()));
    let hundred = digits.and_then(|digits| digits.get(..2));
    let hundred = hundred.map(|digits| format!("RL{digits}"));
    code_pages().filter(move |page| {
        let hundred = hundred.as_deref();
        hundred.is_some_and(|hundred| page.code.starts_with(hundred))
    })
}

/// The code that is most like a word, if any is near.
#[must_use]
pub fn nearest_code(word: &str) -> Option<String> {
    let codes: Vec<String> = code_pages().map(|page| page.code).collect();
    nearest(word, codes.iter().map(String::as_str)).map(str::to_owned)
}

/// What is longer is no title.
const TITLE: usize = 80;

impl CodePage {
    /// What it means in a few words: up to the first colon or semicolon.
    #[must_use]
    pub fn title(&self) -> String {
        let means = self.means.split([':', ';']).next().unwrap_or_default();
        match means.char_indices().nth(TITLE) {
            Some((at, _)) => format!("{}…", means.get(..at).unwrap_or_default().trim_end()),
            None => means.to_owned(),
        }
    }

    /// The page for a person.
    #[must_use]
    pub fn as_text(&self) -> String {
        let mut text = format!(
            "{} ({})\n\n{}\n\nWhat to do: {}\n",
            self.code,
            self.kind,
            sentence(&self.means),
            self.fix
        );
        if let Some(more) = &self.more {
            text.push_str(&format!("\n{more}\n"));
        }
        if let Some(example) = &self.example {
            text.push_str(&format!("\nAn example:\n\n{example}\n"));
        }
        text
    }
}

fn of_row(line: &str) -> Option<CodePage> {
    let cells = line.strip_prefix("| RL")?.strip_suffix(" |")?;
    let mut cells = cells.splitn(4, " | ");
    let code = format!("RL{}", cells.next()?);
    let mut cell = || cells.next().map(without_links);
    Some(CodePage {
        kind: cell()?,
        means: cell()?,
        fix: cell()?,
        more: section(MORE, &code).map(|text| without_links(&without_fences(text))),
        example: section(EXAMPLES, &code).map(without_fences),
        code,
    })
}

/// What stands below the heading of a code.
fn section<'t>(text: &'t str, code: &str) -> Option<&'t str> {
    let (_, below) = text.split_once(&format!("\n## {code}\n"))?;
    let end = below.find("\n## ").unwrap_or(below.len());
    Some(below.get(..end).unwrap_or_default().trim())
}

/// The text of Markdown, in which what stands in a block is moved to the right.
fn without_fences(text: &str) -> String {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            inside = !inside;
        } else if inside && !line.is_empty() {
            lines.push(format!("    {line}"));
        } else {
            lines.push(line.to_owned());
        }
    }
    lines.join("\n")
}

/// The text with the places that links lead to, seen from the project.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = next_link(rest) {
        plain.push_str(before);
        plain.push_str(&link.shown());
        rest = link.rest;
    }
    plain + rest
}

/// A link of Markdown, and what stands behind it.
struct Link<'t> {
    text: &'t str,
    target: &'t str,
    rest: &'t str,
}

impl Link<'_> {
    fn shown(&self) -> String {
        let target = self.target.trim_start_matches("../");
        match target.split('#').next() {
            Some(file) if file == self.text => format!("docs/{target}"),
            _ => format!("{} (docs/{target})", self.text),
        }
    }
}

/// The first link of a text, and what stands before it.
fn next_link(text: &str) -> Option<(&str, Link<'_>)> {
    let (start, behind) = text.split_once("](")?;
    let (before, text) = start.rsplit_once('[')?;
    let (target, rest) = behind.split_once(')')?;
    Some((before, Link { text, target, rest }))
}

/// A text that begins a sentence; a name or code in quotes stays as it is.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_become_places_of_the_project() {
        for (markdown, expected) in [
            ("see [a.md](a.md#b), or not", "see docs/a.md#b, or not"),
            (
                "[the form](../a.md)[x](b.md)",
                "the form (docs/a.md)x (docs/b.md)",
            ),
            ("`a[b](c`", "`a[b](c`"),
            ("](", "]("),
        ] {
            assert_eq!(without_links(markdown), expected);
        }
    }

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let text = "# T\n\n## RL1\n\na\n```text\nb\n```\n\n## RL2\n\nc\n";
        assert_eq!(
            section(text, "RL1").map(without_fences).as_deref(),
            Some("a\n    b")
        );
        assert_eq!(section(text, "RL2"), Some("c"));
        assert_eq!(section(text, "RL3"), None);
    }

    #[test]
    fn more_is_said_of_codes_that_there_are_alone() {
        for line in MORE.lines().chain(EXAMPLES.lines()) {
            if let Some(code) = line.strip_prefix("## ") {
                assert!(code_page(code).is_some(), "{code}");
            }
        }
    }
}
