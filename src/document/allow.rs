//! `# rulectl:allow RL0124 until 2027-01-01: why`, a comment that suppresses a warning of its line
//! or, where it stands alone, of the line below it.

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::NaiveDate;

use crate::diag::{Allowance, FileId, PAGE, Problems, Span, codes};
use crate::document::{Kind, Node, parse_toml, parse_yaml_documents};

/// What such a comment begins with.
const WORD: &str = "rulectl:allow";

/// What may stand in the place of each part.
const FORM: &str = "write it like `rulectl:allow RL0124 until 2027-01-01: why`";

/// Notes the suppressions of a file; reports those that cannot be read.
pub fn read_allowances(file: FileId, text: &str, problems: &mut Problems) {
    for allowance in allowances(file, text, problems) {
        problems.allow(allowance);
    }
}

fn allowances(file: FileId, text: &str, problems: &mut Problems) -> Vec<Allowance> {
    if !text.contains(WORD) {
        return Vec::new();
    }
    let mut read = Vec::new();
    let name = problems.file_name(file).to_owned();
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let found = match ending {
        "md" => comments(front_matter(text), "#"),
        "rhai" => kept(comments(text, "//"), Comment::is_outside_quotes),
        "txt" | "csv" => kept(comments(text, "#"), Comment::stands_alone),
        _ => {
            let texts = texts(file, ending, text);
            kept(comments(text, "#"), |comment| is_outside(comment, &texts))
        }
    };
    let below = lines_below(&found);
    for comment in found {
        let span = span(file, &comment.place);
        let said = text.get(comment.place.clone()).unwrap_or_default();
        let about = said.split_once(WORD).map_or("", |(_, about)| about);
        let last = below.get(&comment.line).copied();
        match Said::read(about) {
            Ok(said) => read.push(Allowance {
                code: said.code.to_owned(),
                span,
                lines: (comment.line, last.unwrap_or(comment.line)),
                until: said.until,
                reason: said.reason.to_owned(),
            }),
            Err(message) => problems.error(codes::MALFORMED, span, message).help(FORM),
        }
    }
    read
}

fn kept<'t>(
    mut comments: Vec<Comment<'t>>,
    is_meant: impl Fn(&Comment<'t>) -> bool,
) -> Vec<Comment<'t>> {
    comments.retain(is_meant);
    comments
}

/// Whether a comment is none of the texts of its file, which are told by where they begin and end.
fn is_outside(comment: &Comment<'_>, texts: &BTreeMap<usize, usize>) -> bool {
    let last = texts.range(..=comment.place.start).next_back();
    last.is_none_or(|(_, end)| *end <= comment.place.start)
}

/// What a comment says.
struct Said<'t> {
    code: &'t str,
    until: NaiveDate,
    reason: &'t str,
}

impl<'t> Said<'t> {
    fn read(text: &'t str) -> Result<Self, String> {
        let (head, reason) = text.split_once(':').unwrap_or((text, ""));
        let mut words = head.split_whitespace();
        let code = words.next().unwrap_or_default();
        check_code(code)?;
        let (until, day) = (words.next(), words.next().unwrap_or_default());
        if until != Some("until") || words.next().is_some() {
            return Err("a suppression says until when it holds".to_owned());
        }
        let until = NaiveDate::parse_from_str(day, "%Y-%m-%d").ok();
        let until = until.filter(|_| day.len() == "2027-01-01".len());
        let until = until.ok_or_else(|| format!("`{day}` is no day"))?;
        let reason = reason.trim();
        if reason.is_empty() {
            return Err("a suppression without a reason".to_owned());
        }
        Ok(Self {
            code,
            until,
            reason,
        })
    }
}

/// That there are warnings with a code.
fn check_code(code: &str) -> Result<(), String> {
    let kind = kind(code).ok_or_else(|| match code {
        "" => "a suppression without a code".to_owned(),
        code => format!("there is no code `{code}`"),
    })?;
    if !kind.contains("warning") {
        return Err(format!(
            "`{code}` is an error, and only warnings are suppressed"
        ));
    }
    if [codes::EXPIRED, codes::IDLE].contains(&code) {
        return Err(format!(
            "`{code}` is about suppressions, and is not suppressed"
        ));
    }
    Ok(())
}

/// `error` or `warning`, as the page of codes has it, or both.
fn kind(code: &str) -> Option<&'static str> {
    let is_word = code.starts_with("RL") && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let rows = || PAGE.lines().filter_map(|line| line.strip_prefix("| "));
    let mut cells = is_word.then(rows)?.filter_map(|row| row.strip_prefix(code));
    cells.next()?.strip_prefix(" | ")?.split(" | ").next()
}

/// A comment that begins with the word.
struct Comment<'t> {
    /// From its beginning to the end of its line.
    place: Range<usize>,
    /// Its line, from 1.
    line: usize,
    /// What stands before it on its line.
    before: &'t str,
}

impl Comment<'_> {
    fn stands_alone(&self) -> bool {
        let blank = |letter: char| letter.is_whitespace() || letter == '\u{feff}';
        self.before.chars().all(blank)
    }

    /// Whether no text that is closed on its line holds it.
    fn is_outside_quotes(&self) -> bool {
        let is_even = |quote: &char| self.before.matches(*quote).count().is_multiple_of(2);
        ['"', '`'].iter().all(is_even)
    }
}

/// The comments of a text that begin with the word.
fn comments<'t>(text: &'t str, opening: &str) -> Vec<Comment<'t>> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, line) in text.split_inclusive('\n').enumerate() {
        let before = line.find(WORD).and_then(|at| line.get(..at));
        let before = before.and_then(|before| before.trim_end().strip_suffix(opening));
        let is_apart = |before: &&str| !before.ends_with(|c: char| !c.is_whitespace());
        if let Some(before) = before.filter(|before| before == &"\u{feff}" || is_apart(before)) {
            found.push(Comment {
                place: start + before.len()..start + line.trim_end().len(),
                line: at + 1,
                before,
            });
        }
        start += line.len();
    }
    found
}

/// For each comment that stands alone the line that it is for: the first one below it that is no
/// such comment.
fn lines_below(comments: &[Comment<'_>]) -> BTreeMap<usize, usize> {
    let mut below = BTreeMap::new();
    let alone = comments.iter().filter(|comment| comment.stands_alone());
    // From the last to the first: one above another is for what that one is for.
    for line in alone.rev().map(|comment| comment.line) {
        let next = below.get(&(line + 1)).copied().unwrap_or(line + 1);
        below.insert(line, next);
    }
    below
}

/// Where the keys and values of a file are written: the end of each by its beginning.
fn texts(file: FileId, ending: &str, text: &str) -> BTreeMap<usize, usize> {
    // What is wrong with the file is reported where it is read.
    let mut unheard = Problems::default();
    let trees = match ending {
        "toml" => parse_toml(file, text, &mut unheard).into_iter().collect(),
        _ => parse_yaml_documents(file, text, &mut unheard),
    };
    let mut found = BTreeMap::new();
    let mut add = |span: Span| {
        let end = found.entry(span.start as usize).or_insert(0);
        *end = (*end).max(span.end as usize);
    };
    let mut todo: Vec<&Node> = trees.iter().collect();
    while let Some(node) = todo.pop() {
        match &node.kind {
            Kind::List(items) => todo.extend(items),
            Kind::Map(entries) => {
                entries.iter().for_each(|(key, _)| add(key.span));
                todo.extend(entries.iter().map(|(_, value)| value));
            }
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) => add(node.span),
        }
    }
    found
}

/// The front matter of a prompt: below it, `#` begins a heading.
fn front_matter(text: &str) -> &str {
    let end = text.match_indices("\n---").next().map_or(0, |(at, _)| at);
    text.get(..end).unwrap_or_default()
}

fn span(file: FileId, comment: &Range<usize>) -> Span {
    let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span {
        file,
        start: offset(comment.start),
        end: offset(comment.end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines and codes of the suppressions of a file, and the messages about those that are none.
    fn read(name: &str, text: &str) -> (Vec<(usize, usize, String)>, Vec<String>) {
        let mut problems = Problems::default();
        let file = problems.add_file(name, text);
        let found = allowances(file, text, &mut problems).into_iter();
        let found = found.map(|one| (one.lines.0, one.lines.1, one.code));
        let told = problems.sorted().into_iter();
        (
            found.collect(),
            told.map(|problem| problem.message.clone()).collect(),
        )
    }

    const ALLOW: &str = "rulectl:allow RL0124 until 2027-01-01: known";

    #[test]
    fn a_comment_is_for_its_line_or_for_the_one_below() {
        let code = "RL0124".to_owned();
        for (name, text, expected) in [
            ("a.yml", format!("a: 1 # {ALLOW}\nb: 2\n"), vec![(1, 1)]),
            (
                "a.yml",
                format!("# {ALLOW}\n  #{ALLOW}\r\nb: 2\n"),
                vec![(1, 3), (2, 3)],
            ),
            ("a.yml", format!("a: 'x # {ALLOW}'\n"), vec![]),
            (
                "a.yml",
                format!("a: |\n  # {ALLOW}\nb: >-\n  x\n  # {ALLOW}\n"),
                vec![],
            ),
            ("a.yml", format!("\u{feff}# {ALLOW}\na: 1\n"), vec![(1, 2)]),
            (
                "a.yml",
                format!("a: x#{ALLOW}\n# see # {ALLOW}\n"),
                vec![(2, 2)],
            ),
            (
                "a.toml",
                format!("a = \"\"\"\n# {ALLOW}\n\"\"\"\nb = 1 # {ALLOW}\n"),
                vec![(4, 4)],
            ),
            (
                "a.rhai",
                format!("// {ALLOW}\nfn a() {{ \"// {ALLOW}\" }}\n"),
                vec![(1, 2)],
            ),
            (
                "a.md",
                format!("---\n# {ALLOW}\nslot: risk\n---\n# {ALLOW}\n"),
                vec![(2, 3)],
            ),
            ("a.txt", format!("# {ALLOW}\nx # {ALLOW}\n"), vec![(1, 2)]),
        ] {
            let expected = expected
                .into_iter()
                .map(|(first, last)| (first, last, code.clone()));
            assert_eq!(
                read(name, &text),
                (expected.collect(), Vec::new()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_or_suppressed_is_said() {
        for (said, expected) in [
            ("", "a suppression without a code"),
            ("RL9999 until 2027-01-01: x", "there is no code `RL9999`"),
            ("RL until 2027-01-01: x", "there is no code `RL`"),
            (
                "RL0104 until 2027-01-01: x",
                "`RL0104` is an error, and only warnings are suppressed",
            ),
            (
                "RL0022 until 2027-01-01: x",
                "`RL0022` is about suppressions, and is not suppressed",
            ),
            ("RL0124: x", "a suppression says until when it holds"),
            ("RL0124 until 2027-02-29: x", "`2027-02-29` is no day"),
            ("RL0124 until 2027-1-1: x", "`2027-1-1` is no day"),
            ("RL0124 until 2027-01-01", "a suppression without a reason"),
            (
                "RL0124 until 2027-01-01: ",
                "a suppression without a reason",
            ),
            (
                "RL0124, RL0125 until 2027-01-01: x",
                "there is no code `RL0124,`",
            ),
        ] {
            let text = format!("# rulectl:allow {said}\n");
            assert_eq!(
                read("a.yml", &text),
                (Vec::new(), vec![expected.to_owned()]),
                "{text}"
            );
        }
    }
}
