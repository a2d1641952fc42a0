//! What is wrong in a file that a person wrote: code, place, message, help.
//!
//! Checks push into one [`Problems`] and go on, so that one run reports
//! everything. A code is an opaque text here; each stage owns its own range
//! (`docs/diagnostics.md` lists them).

mod allow;
mod fix;

pub use self::allow::{Allowance, Suppressed, codes};
pub use self::fix::{Fix, with_fixes};

use std::borrow::Cow;
use std::sync::Arc;

/// The page that lists every code, with a row for each.
pub const PAGE: &str = include_str!("../docs/diagnostics.md");

/// One of the files that a [`Problems`] knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

/// A stretch of a file, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// Past the last byte.
    pub end: u32,
}

impl Span {
    /// A part of this span: `start` and `end` are bytes from its beginning, kept inside it.
    #[must_use]
    pub fn part(self, start: usize, end: usize) -> Self {
        let offset = |by: usize| {
            self.start
                .saturating_add(u32::try_from(by).unwrap_or(u32::MAX))
                .min(self.end)
        };
        Self {
            file: self.file,
            start: offset(start),
            end: offset(end.max(start)),
        }
    }
}

/// How much a problem matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The policy cannot be activated.
    Error,
    /// Allowed, and probably not meant.
    Warning,
}

/// One problem, as it is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Stable code, such as `RL0102`.
    pub code: &'static str,
    /// What is wrong, in the user's words, without a full stop.
    pub message: String,
    /// Where.
    pub span: Span,
    advice: Option<Advice>,
    fix: Option<Fix>,
}

/// What to do about a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Advice {
    /// This.
    Text(String),
    /// Write the nearest of many known words, which is looked for when the problem is shown.
    Nearest(String, &'static [&'static str]),
}

impl Diagnostic {
    /// The change that puts it right, if one does whatever was meant.
    #[must_use]
    pub fn fix(&self) -> Option<&Fix> {
        self.fix.as_ref()
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<Cow<'_, str>> {
        match self.advice.as_ref()? {
            Advice::Text(text) => Some(Cow::Borrowed(text)),
            Advice::Nearest(word, known) => {
                let near = nearest(word, known.iter().copied())?;
                Some(Cow::Owned(did_you_mean(near)))
            }
        }
    }
}

/// A place in words that a person uses: both counted from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineColumn {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

#[derive(Clone, Debug)]
struct File {
    name: Arc<str>,
    text: Arc<str>,
}

/// The files that were read, every problem found in them, and what reading them has cost.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    files: Vec<File>,
    list: Vec<Diagnostic>,
    errors: usize,
    spent: usize,
    allowances: Vec<Allowance>,
    suppressed: Vec<Suppressed>,
}

impl Problems {
    /// Takes so many bytes out of an allowance that all files share; `false` where less is left.
    pub fn spend(&mut self, bytes: usize, allowance: usize) -> bool {
        let spent = self.spent.saturating_add(bytes);
        let allowed = spent <= allowance;
        if allowed {
            self.spent = spent;
        }
        allowed
    }

    /// Makes a file known, under the name that messages show.
    pub fn add_file(&mut self, name: &str, text: &str) -> FileId {
        self.share_file(name, text.into())
    }

    /// The same for a text that somebody else holds too.
    pub fn share_file(&mut self, name: &str, text: Arc<str>) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(File {
            name: name.into(),
            text,
        });
        id
    }

    /// Reports an error; the answer takes a help text.
    pub fn error(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
    ) -> Help<'_> {
        self.push(Severity::Error, code, span, message.into())
    }

    /// Reports a warning; the answer takes a help text.
    pub fn warn(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> Help<'_> {
        self.push(Severity::Warning, code, span, message.into())
    }

    /// Reports an error about a file as a whole.
    pub fn file_error(
        &mut self,
        code: &'static str,
        file: FileId,
        message: impl Into<String>,
    ) -> Help<'_> {
        self.error(
            code,
            Span {
                file,
                start: 0,
                end: 0,
            },
            message,
        )
    }

    fn push(
        &mut self,
        severity: Severity,
        code: &'static str,
        span: Span,
        message: String,
    ) -> Help<'_> {
        self.errors += usize::from(severity == Severity::Error);
        self.list.push(Diagnostic {
            severity,
            code,
            message: clipped(message),
            span,
            advice: None,
            fix: None,
        });
        Help(self.list.last_mut())
    }

    /// Whether anything forbids activation.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many errors and how many warnings.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.errors, self.list.len() - self.errors)
    }

    /// Every problem, by file name, place and code, each once.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut list: Vec<_> = self.list.iter().collect();
        list.sort_by_key(|problem| self.order(problem));
        list.dedup();
        list
    }

    /// By what problems are put in order.
    fn order<'p>(&'p self, problem: &'p Diagnostic) -> (&'p str, u32, &'static str, &'p str) {
        let Diagnostic {
            span,
            code,
            message,
            ..
        } = problem;
        (self.file_name(span.file), span.start, code, message)
    }

    /// The name of a file, as given.
    #[must_use]
    pub fn file_name(&self, file: FileId) -> &str {
        self.files.get(file.0 as usize).map_or("", |f| &f.name)
    }

    /// The text of a file.
    #[must_use]
    pub fn text(&self, file: FileId) -> &str {
        self.files.get(file.0 as usize).map_or("", |f| &f.text)
    }

    /// The place of a part of a text that is written at `span`, in quotes or over several lines
    /// perhaps: `start` and `end` are bytes of the text as it was read. Where letters are written
    /// in another way, such as with escapes, it is the whole.
    #[must_use]
    pub fn part(&self, span: Span, text: &str, start: usize, end: usize) -> Span {
        self.find_part(span, text, start, end).unwrap_or(span)
    }

    fn find_part(&self, span: Span, text: &str, start: usize, end: usize) -> Option<Span> {
        let source = self.text(span.file);
        let source = source.get(span.start as usize..span.end as usize)?;
        // Blanks and line ends are not read as they are written, letters are.
        let is_letter = |(_, letter): &(usize, char)| !letter.is_whitespace();
        let mut written = source.char_indices().filter(is_letter).peekable();
        let opening = written.next_if(|(_, first)| matches!(first, '\'' | '"'));
        if let Some((_, quote)) = opening.filter(|(_, quote)| source.starts_with(&[*quote; 3][..]))
        {
            // TOML's quotes around several lines.
            while written
                .next_if(|(at, next)| *at < 3 && *next == quote)
                .is_some()
            {}
        }
        let (mut from, mut to) = (None, 0);
        for (at, letter) in text.char_indices().filter(is_letter) {
            let (place, found) = written.next()?;
            if found != letter {
                return None;
            }
            if at < end {
                to = place + letter.len_utf8();
            }
            if at >= start && at < end {
                from.get_or_insert(place);
            }
        }
        Some(span.part(from.unwrap_or(to), to))
    }

    /// Where a span begins, for a person.
    #[must_use]
    pub fn line_column(&self, span: Span) -> LineColumn {
        let text = self.text(span.file);
        let end = (0..=(span.start as usize).min(text.len()))
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        let (before, _) = text.split_at(end);
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        LineColumn { line, column }
    }
}

/// A message quotes what it found, which may be of any length.
fn clipped(message: String) -> String {
    const KEPT: usize = 300;
    match message.char_indices().nth(KEPT) {
        None => message,
        Some((at, _)) => format!("{}…", message.get(..at).unwrap_or_default()),
    }
}

/// A problem just reported, which may still be given advice.
pub struct Help<'a>(Option<&'a mut Diagnostic>);

impl Help<'_> {
    /// Says which change puts it right, if one does whatever was meant.
    #[must_use]
    pub fn fixed_by(mut self, fix: Option<Fix>) -> Self {
        if let Some(diagnostic) = &mut self.0 {
            diagnostic.fix = fix;
        }
        self
    }

    /// Says what to do.
    pub fn help(self, text: impl Into<String>) {
        if let Some(diagnostic) = self.0 {
            diagnostic.advice = Some(Advice::Text(text.into()));
        }
    }

    /// Suggests the nearest of a catalogue to the word found, if any is near.
    pub fn did_you_mean_one_of(self, word: &str, catalogue: &'static [&'static str]) {
        if let Some(diagnostic) = self.0 {
            diagnostic.advice = Some(Advice::Nearest(word.to_owned(), catalogue));
        }
    }

    /// Suggests the nearest of `known` to the word found, if any is near.
    pub fn did_you_mean_only<'k>(self, word: &str, known: impl IntoIterator<Item = &'k str>) {
        if let Some(near) = nearest(word, known) {
            self.help(did_you_mean(near));
        }
    }

    /// Suggests the nearest of `known` to the word found, or else says what to do, and lists them
    /// when they are few.
    pub fn did_you_mean_or<'k>(
        self,
        word: &str,
        known: impl IntoIterator<Item = &'k str>,
        otherwise: &str,
    ) {
        let known: Vec<&str> = known.into_iter().collect();
        match nearest(word, known.iter().copied()) {
            Some(near) => self.help(did_you_mean(near)),
            None if (1..=30).contains(&known.len()) => {
                let listed: Vec<_> = known.iter().map(|k| format!("`{k}`")).collect();
                self.help(format!("{otherwise}; known here: {}", listed.join(", ")));
            }
            None => self.help(otherwise),
        }
    }

    /// Suggests the nearest of `known` to the word found, or else lists them when they are few.
    pub fn did_you_mean<'k>(self, word: &str, known: impl IntoIterator<Item = &'k str>) {
        let known: Vec<&str> = known.into_iter().collect();
        if let Some(near) = nearest(word, known.iter().copied()) {
            self.help(did_you_mean(near));
        } else if !known.is_empty() && known.len() <= 30 {
            let listed: Vec<_> = known.iter().map(|k| format!("`{k}`")).collect();
            self.help(format!("known here: {}", listed.join(", ")));
        }
    }
}

fn did_you_mean(near: &str) -> String {
    format!("did you mean `{near}`?")
}

/// The known word that is most like `word`, if any is near enough to be meant.
#[must_use]
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = Letters::of(word);
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        let allowed = candidate.chars().count().max(3) / 3;
        let allowed = best.map_or(allowed, |(distance, _)| distance.min(allowed));
        if word.least_distance(candidate) > allowed {
            continue;
        }
        let distance = strsim::damerau_levenshtein(&word.folded, &candidate.to_lowercase());
        if distance <= allowed && best.is_none_or(|best| (distance, candidate) < best) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// A word in lower case, and how often it has each letter.
struct Letters {
    folded: String,
    counts: [isize; 32],
}

impl Letters {
    fn of(word: &str) -> Self {
        let folded = word.to_lowercase();
        let mut counts = [0; 32];
        let letters = folded.chars().map(|letter| letter as usize);
        letters.for_each(|letter| add(&mut counts, letter, 1));
        Self { folded, counts }
    }

    /// The edit distance is at least this: an edit brings in one letter and takes out one at most.
    fn least_distance(&self, other: &str) -> usize {
        let mut counts = self.counts;
        if other.is_ascii() {
            let letters = other.bytes().map(|byte| byte.to_ascii_lowercase().into());
            letters.for_each(|letter| add(&mut counts, letter, -1));
        } else {
            let folded = other.to_lowercase();
            let letters = folded.chars().map(|letter| letter as usize);
            letters.for_each(|letter| add(&mut counts, letter, -1));
        }
        let missing: isize = counts.iter().map(|count| (*count).max(0)).sum();
        let added: isize = counts.iter().map(|count| (*count).min(0)).sum();
        missing.unsigned_abs().max(added.unsigned_abs())
    }
}

/// Letters that share a place make the least distance smaller, never larger.
fn add(counts: &mut [isize; 32], letter: usize, times: isize) {
    if let Some(count) = counts.get_mut(letter % 32) {
        *count += times;
    }
}

/// `1 event`, `2 events`, `1,200 matches`.
#[must_use]
pub fn counted(count: u64, one: &str) -> String {
    format!("{} {}", grouped(count), noun(count, one))
}

/// The noun that goes with a number: that of one thing, or of several.
#[must_use]
pub fn noun<N: PartialEq + From<u8>>(count: N, one: &str) -> String {
    match one.strip_suffix('y') {
        _ if count == N::from(1) => one.to_owned(),
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        Some(_) => format!("{one}s"),
        None if one.ends_with("ch") => format!("{one}es"),
        None => format!("{one}s"),
    }
}

/// A number with its thousands apart.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_text_is_found_where_it_is_written() {
        let mut problems = Problems::default();
        let cases = [
            ("sel_a and\n    sel_b", "sel_a and sel_b", "sel_b"),
            ("'sel_a\n  and sel_b'", "sel_a and sel_b", "and"),
            ("\"ä  and b\"", "ä  and b", "ä"),
            ("sel_a and\n\n  sel_b\n", "sel_a and\nsel_b\n", "sel_b"),
            ("'it''s'", "it's", "'it''s'"),
            ("\"a\\tb c\"", "a\tb c", "\"a\\tb c\""),
        ];
        for (written, read, expected) in cases {
            let file = problems.add_file("x.yml", written);
            let end = written.len() as u32;
            let whole = Span {
                file,
                start: 0,
                end,
            };
            let start = read.find(expected).unwrap_or(0);
            let part = problems.part(whole, read, start, start + expected.len());
            let found = &written[part.start as usize..part.end as usize];
            assert_eq!(found, expected, "{written}");
        }
        let file = problems.add_file("x.yml", "'a and'");
        let whole = Span {
            file,
            start: 0,
            end: 7,
        };
        assert_eq!(
            problems.part(whole, "a and", 5, 5).start,
            6,
            "behind the last letter"
        );
    }

    #[test]
    fn a_noun_goes_with_its_number() {
        for (count, one, expected) in [
            (0, "event", "0 events"),
            (1, "event", "1 event"),
            (1, "match", "1 match"),
            (2, "match", "2 matches"),
            (2, "second copy", "2 second copies"),
            (1_234_567, "group", "1,234,567 groups"),
        ] {
            assert_eq!(counted(count, one), expected);
        }
        assert_eq!(
            (noun(1.0, "value"), noun(1.5, "value")),
            ("value".to_owned(), "values".to_owned())
        );
    }

    #[test]
    fn the_nearest_word_is_suggested_only_when_it_is_near() {
        let known = ["condition", "selection", "eventType"];
        let cases = [
            ("conditon", Some("condition")),
            ("eventtype", Some("eventType")),
            ("zzz", None),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }

    #[test]
    fn the_catalogue_is_searched_when_a_problem_is_shown() {
        let mut problems = Problems::default();
        let file = problems.add_file("a.yml", "");
        for word in ["eventtype", "zzz"] {
            let problem = problems.file_error("RL0150", file, word);
            problem.did_you_mean_one_of(word, &["condition", "eventType"]);
        }
        let helps: Vec<_> = problems
            .sorted()
            .into_iter()
            .map(Diagnostic::help)
            .collect();
        assert_eq!(helps, [Some("did you mean `eventType`?".into()), None]);
    }

    proptest::proptest! {
        /// Words that cannot be near are passed over, and that changes nothing.
        #[test]
        fn the_nearest_word_is_that_of_a_plain_search(
            word in "[a-dA-D.é]{0,9}",
            known in proptest::collection::vec("[a-dA-D.é]{0,9}", 0..12),
        ) {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let plain = known
                .iter()
                .map(|candidate| (strsim::damerau_levenshtein(&word.to_lowercase(), &candidate.to_lowercase()), *candidate))
                .filter(|(distance, candidate)| *distance <= candidate.chars().count().max(3) / 3)
                .min();
            proptest::prop_assert_eq!(nearest(&word, known.iter().copied()), plain.map(|(_, near)| near));
        }
    }

    #[test]
    fn places_count_characters_and_never_split_one() {
        let mut problems = Problems::default();
        let file = problems.add_file("a.yml", "é: 1\nüü: 2\n");
        let at = |start| Span {
            file,
            start,
            end: start,
        };
        let cases = [
            (0, (1, 1)),
            (1, (1, 1)),
            (2, (1, 2)),
            (6, (2, 1)),
            (10, (2, 3)),
            (999, (3, 1)),
        ];
        for (start, (line, column)) in cases {
            assert_eq!(
                problems.line_column(at(start)),
                LineColumn { line, column },
                "{start}"
            );
        }
    }
}
