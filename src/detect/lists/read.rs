//! A file of `rules/lists/` as a list, every value with its place.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::OnceLock;

use super::{Cell, List, ListKind, codes};
use crate::detect::modifiers::network_of;
use crate::diag::{FileId, Problems, Span, counted};
use crate::event::fold;

/// A list has at most so many rows.
const MOST_ROWS: usize = 250_000;
const MOST_COLUMNS: usize = 64;
/// A value is no longer: what is compared with it takes time in proportion.
const LONGEST_VALUE: usize = 4_096;
/// So many problems of one list are reported one by one.
const REPORTED: usize = 20;

const KINDS: [(&str, ListKind); 3] = [
    ("texts", ListKind::Texts),
    ("networks", ListKind::Networks),
    ("asn", ListKind::AsNumbers),
];

/// Reads a list; what is wrong with it is reported, and the rest is read all the same.
pub(super) fn read(is_csv: bool, file: FileId, text: &str, problems: &mut Problems) -> List {
    let mut reading = Reading {
        file,
        text,
        at: 0,
        problems,
        reported: 0,
        late_kind: None,
        list: List {
            file,
            kind: ListKind::Texts,
            columns: Vec::new(),
            cells: Vec::new(),
            indexes: Vec::new(),
        },
    };
    reading.head();
    if is_csv {
        reading.table();
    } else {
        reading.lines();
    }
    reading.finish()
}

struct Reading<'r> {
    file: FileId,
    text: &'r str,
    /// How much was read.
    at: usize,
    problems: &'r mut Problems,
    reported: usize,
    /// The first comment among the values that says of what kind they are.
    late_kind: Option<Span>,
    list: List,
}

/// A value as it is written.
struct Written<'r> {
    text: Cow<'r, str>,
    start: usize,
    end: usize,
}

impl<'r> Reading<'r> {
    /// Passes the comments before the first value, one of which may say of what kind the
    /// values are: `# kind: networks`.
    fn head(&mut self) {
        if self.text.starts_with('\u{feff}') {
            self.at = '\u{feff}'.len_utf8();
        }
        while let Some(comment) = self.comment() {
            let Some(kind) = kind_of(&comment.text) else {
                continue;
            };
            let named = |(name, _): &&(&str, ListKind)| name.eq_ignore_ascii_case(kind);
            match KINDS.iter().find(named) {
                Some((_, kind)) => self.list.kind = *kind,
                None => {
                    let message = format!("there is no kind of list `{kind}`");
                    let span = self.span(comment.start, comment.end);
                    let error = self.problems.error(codes::LIST, span, message);
                    error.did_you_mean(kind, KINDS.iter().map(|(name, _)| *name));
                }
            }
        }
    }

    /// Passes a comment or empty line among the values, if one stands here.
    fn is_comment(&mut self) -> bool {
        let Some(comment) = self.comment() else {
            return false;
        };
        if kind_of(&comment.text).is_some() {
            let span = self.span(comment.start, comment.end);
            self.late_kind.get_or_insert(span);
        }
        true
    }

    /// The comment or empty line that stands here; it is passed.
    fn comment(&mut self) -> Option<Written<'r>> {
        let line = self.line()?;
        let trimmed = line.trim();
        let comment = match trimmed.strip_prefix('#') {
            Some(comment) => comment.trim(),
            None if trimmed.is_empty() => "",
            None => return None,
        };
        let start = self.at + line.find(trimmed).unwrap_or_default();
        self.at += line.len();
        Some(Written {
            text: comment.into(),
            start,
            end: start + trimmed.len(),
        })
    }

    /// The line that stands here, its end included.
    fn line(&self) -> Option<&'r str> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        rest.split_inclusive('\n').next()
    }

    /// One value a line.
    fn lines(&mut self) {
        self.list.indexes = vec![OnceLock::new()];
        while let Some(line) = self.line() {
            if self.is_comment() {
                continue;
            }
            let value = line.trim();
            let start = self.at + line.find(value).unwrap_or_default();
            self.at += line.len();
            let value = Written {
                text: value.into(),
                start,
                end: start + value.len(),
            };
            if !self.row(vec![value]) {
                return;
            }
        }
    }

    /// Columns under a header.
    fn table(&mut self) {
        let Some(header) = self.record() else {
            return;
        };
        self.header(&header);
        let width = header.len();
        while self.line().is_some() {
            if self.is_comment() {
                continue;
            }
            let (start, reported) = (self.at, self.reported);
            let Some(record) = self.record() else {
                return;
            };
            if self.reported > reported {
                continue;
            }
            if record.len() != width {
                let message = format!(
                    "this row has {}, and the header has {width}",
                    counted(record.len() as u64, "value")
                );
                let end = record.last().map_or(start, |last| last.end);
                let help = "write a value with a comma in it in quotes: `\"a, b\"`";
                self.report(start, end, message, help);
                continue;
            }
            if !self.row(record) {
                return;
            }
        }
    }

    fn header(&mut self, header: &[Written<'_>]) {
        self.list.indexes = header.iter().map(|_| OnceLock::new()).collect();
        if header.len() > MOST_COLUMNS {
            let end = header.last().map_or(0, |last| last.end);
            let message = format!("a list has at most {MOST_COLUMNS} columns");
            self.report(
                header.first().map_or(0, |first| first.start),
                end,
                message,
                "",
            );
        }
        for name in header {
            let is_known = self.list.columns.iter().any(|known| *known == name.text);
            if name.text.is_empty() || is_known {
                let message = if is_known {
                    format!("there are two columns `{}`", name.text)
                } else {
                    "this column has no name".to_owned()
                };
                let help = "the first row names the columns, each in its own way";
                self.report(name.start, name.end, message, help);
            }
            if header.len() == 1 && name.text.contains([';', '\t']) {
                let message = "the columns are parted by something else than commas".to_owned();
                self.report(name.start, name.end, message, "save the file with commas");
            }
            self.list.columns.push(name.text.to_string());
        }
    }

    /// Takes a row; false where there are too many.
    fn row(&mut self, row: Vec<Written<'_>>) -> bool {
        let width = self.list.width();
        if let Some(first) = row
            .first()
            .filter(|_| self.list.cells.len() / width == MOST_ROWS)
        {
            let message = format!("a list has at most {MOST_ROWS} rows");
            let help = "split it: a rule may name several lists";
            self.report(first.start, first.end, message, help);
            return false;
        }
        for (at, value) in row.into_iter().enumerate() {
            if value.text.chars().nth(LONGEST_VALUE).is_some() {
                let message = format!("this value is longer than {LONGEST_VALUE} characters");
                self.report(value.start, value.end, message, "");
            }
            let text = if at == 0 {
                // A row without its first value is none: what is wrong was said.
                let Some(text) = self.of_kind(value.text.as_ref(), value.start, value.end) else {
                    return true;
                };
                text
            } else {
                value.text.into()
            };
            self.list.cells.push(Cell {
                text,
                start: place(value.start),
                end: place(value.end),
            });
        }
        true
    }

    /// A value in the spelling of the list's kind; reports one that is of another.
    fn of_kind(&mut self, text: &str, start: usize, end: usize) -> Option<Box<str>> {
        let (found, expected, help) = match self.list.kind {
            ListKind::Texts => return Some(text.into()),
            ListKind::Networks => (
                network_of(text).map(|_| text.into()),
                "an IP network",
                "write it like `10.0.0.0/8` or `2001:db8::/32`",
            ),
            ListKind::AsNumbers => (
                as_number(text).map(|number| number.to_string().into()),
                "the number of an autonomous system",
                "write it like `AS64500` or `64500`",
            ),
        };
        if found.is_none() {
            self.report(start, end, format!("`{text}` is not {expected}"), help);
        }
        found
    }

    /// The values of the record that stands here, which is passed; `None` at the end.
    fn record(&mut self) -> Option<Vec<Written<'r>>> {
        self.line()?;
        let mut record = Vec::new();
        loop {
            let value = self.value();
            record.push(value);
            match self.text.as_bytes().get(self.at) {
                Some(b',') => self.at += 1,
                end => {
                    self.at += usize::from(end.is_some());
                    return Some(record);
                }
            }
        }
    }

    /// Reads a value up to the comma or line end behind it.
    fn value(&mut self) -> Written<'r> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let start = self.at + blanks;
        if rest.get(blanks..).is_some_and(|rest| rest.starts_with('"')) {
            self.at = start;
            return self.quoted();
        }
        let length = rest.find([',', '\n']).unwrap_or(rest.len());
        self.at += length;
        let text = rest.get(blanks..length).unwrap_or_default().trim_end();
        Written {
            text: text.into(),
            start,
            end: start + text.len(),
        }
    }

    /// Reads a value in quotes, in which two quotes are one.
    fn quoted(&mut self) -> Written<'r> {
        let start = self.at;
        let rest = self.text.get(start + 1..).unwrap_or_default();
        let mut length = 0;
        loop {
            match rest.get(length..).and_then(|rest| rest.find('"')) {
                None => {
                    self.at = self.text.len();
                    let help = "write a quote behind the value; one inside is written twice";
                    self.report(
                        start,
                        start + 1,
                        "this quote is not closed".to_owned(),
                        help,
                    );
                    length = rest.len();
                    break;
                }
                Some(quote) => {
                    length += quote;
                    if rest
                        .get(length + 1..)
                        .is_none_or(|rest| !rest.starts_with('"'))
                    {
                        break;
                    }
                    length += 2;
                }
            }
        }
        let raw = rest.get(..length).unwrap_or_default();
        let end = (start + length + 2).min(self.text.len());
        self.behind_quote(end);
        Written {
            text: if raw.contains('"') {
                raw.replace("\"\"", "\"").into()
            } else {
                raw.into()
            },
            start,
            end,
        }
    }

    /// Passes what stands between the quote that closes a value and the comma or line end.
    fn behind_quote(&mut self, end: usize) {
        let rest = self.text.get(end..).unwrap_or_default();
        let length = rest.find([',', '\n']).unwrap_or(rest.len());
        let behind = rest.get(..length).unwrap_or_default().trim();
        if !behind.is_empty() {
            let help = "a quote inside of a value in quotes is written twice";
            let message = format!("`{behind}` stands behind the closing quote");
            self.report(end, end + length, message, help);
        }
        self.at = end + length;
    }

    fn report(&mut self, start: usize, end: usize, message: String, help: &str) {
        self.reported += 1;
        if self.reported > REPORTED {
            return;
        }
        let span = self.span(start, end);
        let error = self.problems.error(codes::LIST, span, message);
        if !help.is_empty() {
            error.help(help);
        }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span {
            file: self.file,
            start: place(start),
            end: place(end),
        }
    }

    /// Says what is odd about the list as a whole.
    fn finish(self) -> List {
        let (start, end) = (self.span(0, 0), self.span(self.text.len(), self.text.len()));
        if let Some(more @ 1..) = self.reported.checked_sub(REPORTED) {
            let message = format!("the list has {}", counted(more as u64, "more problem"));
            self.problems.error(codes::LIST, end, message);
        }
        if self.list.cells.is_empty() && self.reported == 0 {
            let message = "the list has no values, so that nothing is in it";
            self.problems.warn(codes::ODD_LIST, start, message);
        }
        if let Some(span) = self.late_kind {
            let message = "what kind the values are is said here, where it does not count";
            let warning = self.problems.warn(codes::ODD_LIST, span, message);
            warning.help("move this line to the beginning of the list, above a table's header");
        }
        if let Some((first, more)) = twice(&self.list) {
            let message = match more {
                0 => format!("`{}` stands twice", first.text),
                _ => format!(
                    "`{}` stands twice, and so do {}",
                    first.text,
                    counted(more as u64, "more value")
                ),
            };
            let span = self.span(first.start as usize, first.end as usize);
            let warning = self.problems.warn(codes::ODD_LIST, span, message);
            warning.help("the first row of a value is the one that is looked up");
        }
        self.list
    }
}

/// What a comment says that the values are, `networks` of `kind: networks`.
fn kind_of(comment: &str) -> Option<&str> {
    let (key, kind) = comment.split_once(':')?;
    key.trim_end()
        .eq_ignore_ascii_case("kind")
        .then_some(kind.trim())
}

/// The number of an autonomous system, written with or without `AS`.
fn as_number(text: &str) -> Option<u32> {
    let prefix = text
        .get(..2)
        .filter(|prefix| prefix.eq_ignore_ascii_case("as"));
    let digits = prefix.map_or(text, |_| text.get(2..).unwrap_or_default());
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// The first value of the first column that stood there before, and how many more do.
fn twice(list: &List) -> Option<(&Cell, usize)> {
    let mut known = HashSet::new();
    let cells = list.cells.iter().step_by(list.width());
    let mut again = cells.filter(|cell| !known.insert(fold(&cell.text)));
    let first = again.next()?;
    Some((first, again.count()))
}

/// A file of the policy has less bytes than that.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
