//! Sigma texts: wildcards, escapes, and comparison without regard to case.

use crate::event::fold;

/// A Sigma text to match against a value: `*` is any run of characters, `?` is
/// one, and a backslash before `*`, `?` or `\` takes its meaning away
/// (Sigma specification 2.1, "Special values in rules").
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    cased: bool,
    anchor: Anchor,
    shape: Shape,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Shape {
    /// A text without wildcards, folded unless cased: the common case.
    Plain(String),
    /// The parts of a text with wildcards, the anchor's own among them.
    Wild(Vec<Part>),
}

/// What a Sigma text is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The character itself.
    Char(char),
    /// A byte of an encoding that is not a character by itself; see `modifiers`.
    Byte(u8),
    /// Any of the [`DASHES`].
    Dash,
    /// `?`.
    AnyOne,
    /// `*`.
    AnyRun,
}

/// What may begin an option on a command line: hyphen, slash, en dash, em dash, horizontal bar.
pub const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];

/// Where in the value the text must stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Anchor {
    /// The value is the text.
    Whole,
    /// `startswith`.
    Start,
    /// `endswith`.
    End,
    /// `contains`.
    Anywhere,
}

impl Anchor {
    /// Whether `text` stands there in `value`, letter by letter.
    #[must_use]
    pub fn fits(self, text: &str, value: &str) -> bool {
        match self {
            Self::Whole => value == text,
            Self::Start => value.starts_with(text),
            Self::End => value.ends_with(text),
            Self::Anywhere => value.contains(text),
        }
    }
}

impl Pattern {
    /// The pattern that `text` writes.
    #[must_use]
    pub fn new(text: &str, anchor: Anchor, cased: bool) -> Self {
        Self::of(parse(text), anchor, cased)
    }

    /// The pattern of a text that has no wildcards and no escapes.
    #[must_use]
    pub fn literal(text: &str, anchor: Anchor, cased: bool) -> Self {
        let text = if cased { text.to_owned() } else { fold(text) };
        Self {
            cased,
            anchor,
            shape: Shape::Plain(text),
        }
    }

    /// The pattern of these parts.
    #[must_use]
    pub fn of(parts: Vec<Part>, anchor: Anchor, cased: bool) -> Self {
        let parts = if cased { parts } else { folded(&parts) };
        // A run at an end says no more than an anchor does.
        let inner = parts.as_slice();
        let (inner, starts) = match inner {
            [Part::AnyRun, rest @ ..] => (rest, false),
            all => (all, matches!(anchor, Anchor::Whole | Anchor::Start)),
        };
        let (inner, ends) = match inner {
            [rest @ .., Part::AnyRun] => (rest, false),
            all => (all, matches!(anchor, Anchor::Whole | Anchor::End)),
        };
        let anchor = match (starts, ends) {
            (true, true) => Anchor::Whole,
            (true, false) => Anchor::Start,
            (false, true) => Anchor::End,
            (false, false) => Anchor::Anywhere,
        };
        let char = |part: &Part| {
            if let Part::Char(c) = part {
                Some(*c)
            } else {
                None
            }
        };
        let plain: Option<String> = inner.iter().map(char).collect();
        let shape = plain.map_or_else(|| Shape::Wild(runs(inner, starts, ends)), Shape::Plain);
        Self {
            cased,
            anchor,
            shape,
        }
    }

    /// Whether the value matches.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        self.fits(value, &fold(value))
    }

    /// Whether the value matches, which is given as it is and folded.
    #[must_use]
    pub fn fits(&self, value: &str, folded: &str) -> bool {
        let value = if self.cased { value } else { folded };
        match (&self.shape, self.anchor) {
            (Shape::Wild(parts), _) => matches_wild(parts, value),
            (Shape::Plain(text), anchor) => anchor.fits(text, value),
        }
    }

    /// Whether case matters.
    #[must_use]
    pub fn is_cased(&self) -> bool {
        self.cased
    }

    /// The same without regard to case.
    #[must_use]
    pub fn uncased(&self) -> Self {
        match &self.shape {
            Shape::Plain(text) => Self::literal(text, self.anchor, false),
            // Its runs say where it is anchored.
            Shape::Wild(parts) => Self::of(parts.clone(), Anchor::Whole, false),
        }
    }

    /// What it is made of, the anchor left out where there are no wildcards.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        match &self.shape {
            Shape::Plain(text) => text.chars().map(Part::Char).collect(),
            Shape::Wild(parts) => parts.clone(),
        }
    }

    /// The pattern as a text, where it has no wildcards.
    #[must_use]
    pub fn as_plain(&self) -> Option<Plain<'_>> {
        let Shape::Plain(text) = &self.shape else {
            return None;
        };
        Some(Plain {
            text,
            anchor: self.anchor,
            cased: self.cased,
        })
    }
}

/// A pattern without wildcards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain<'p> {
    /// The text, folded unless cased.
    pub text: &'p str,
    /// Where in the value it stands.
    pub anchor: Anchor,
    /// Whether case matters.
    pub cased: bool,
}

/// What `text` writes, wildcards and escapes read.
#[must_use]
pub fn parse(text: &str) -> Vec<Part> {
    let mut parts = Vec::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let part = match c {
            '\\' => match chars.next_if(|next| matches!(next, '*' | '?' | '\\')) {
                Some(escaped) => Part::Char(escaped),
                None => Part::Char('\\'),
            },
            '*' => Part::AnyRun,
            '?' => Part::AnyOne,
            other => Part::Char(other),
        };
        parts.push(part);
    }
    parts
}

/// The parts with a run at each end that is not anchored, and no run behind another.
fn runs(inner: &[Part], starts: bool, ends: bool) -> Vec<Part> {
    let run = |anchored: bool| (!anchored).then_some(Part::AnyRun);
    let mut parts: Vec<Part> = run(starts)
        .into_iter()
        .chain(inner.iter().copied())
        .chain(run(ends))
        .collect();
    parts.dedup_by(|a, b| *a == Part::AnyRun && *b == Part::AnyRun);
    parts
}

/// The parts in lower case: one character may become several.
fn folded(parts: &[Part]) -> Vec<Part> {
    let mut folded = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Part::Char(c) => folded.extend(c.to_lowercase().map(Part::Char)),
            other => folded.push(*other),
        }
    }
    folded
}

/// Greedy matching with one point to come back to: the last `*`. Time is at most
/// pattern × value, whatever the number of wildcards.
fn matches_wild(parts: &[Part], value: &str) -> bool {
    let mut rest = value;
    let mut at = 0;
    let mut retry: Option<(usize, &str)> = None;
    loop {
        let mut ahead = rest.chars();
        let next = ahead.next();
        let step = match (parts.get(at), next) {
            (None, None) => return true,
            (Some(Part::AnyRun), _) => {
                retry = Some((at + 1, rest));
                at += 1;
                continue;
            }
            (Some(Part::AnyOne), Some(_)) => true,
            (Some(Part::Char(wanted)), Some(found)) => *wanted == found,
            (Some(Part::Dash), Some(found)) => DASHES.contains(&found),
            _ => false,
        };
        if step {
            at += 1;
            rest = ahead.as_str();
            continue;
        }
        let Some((after_run, from)) = retry else {
            return false;
        };
        let mut skipped = from.chars();
        if skipped.next().is_none() {
            return false;
        }
        at = after_run;
        rest = skipped.as_str();
        retry = Some((after_run, rest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_match_as_the_specification_says() {
        use Anchor::{Anywhere, End, Start, Whole};
        let cases = [
            ("admin", Whole, false, "ADMIN", true),
            ("admin", Whole, true, "ADMIN", false),
            ("admin", Whole, false, "admins", false),
            ("ad*n", Whole, false, "ADmiN", true),
            ("*", Whole, false, "", true),
            ("?", Whole, false, "", false),
            ("?", Whole, false, "é", true),
            ("a?c", Whole, false, "abc", true),
            ("a*b*c", Whole, false, "axxbyybzzc", true),
            ("a*b*c", Whole, false, "axxbyybzz", false),
            (r"a\*c", Whole, false, "a*c", true),
            (r"a\*c", Whole, false, "abc", false),
            (r"a\\*c", Whole, false, r"a\xc", true),
            (r"C:\temp", Whole, false, r"c:\TEMP", true),
            (r"C:\\temp", Whole, false, r"c:\temp", true),
            ("dmi", Anywhere, false, "Admin", true),
            ("Adm", Start, true, "Admin", true),
            ("min", End, false, "ADMIN", true),
            ("min", End, false, "adminx", false),
            ("ÄÖ", Whole, false, "äö", true),
            ("Σ", End, false, "ΑΣ", true),
            ("", Whole, false, "", true),
            ("", Anywhere, false, "x", true),
        ];
        for (text, anchor, cased, value, expected) in cases {
            assert_eq!(
                Pattern::new(text, anchor, cased).matches(value),
                expected,
                "{text} {anchor:?} {value}"
            );
        }
    }

    #[test]
    fn a_text_without_wildcards_is_the_pattern_of_its_characters() {
        for text in ["", "admin", "ADMIN", "ÄÖΣ", "İx"] {
            for cased in [false, true] {
                let literal = Pattern::literal(text, Anchor::Start, cased);
                assert_eq!(literal, Pattern::new(text, Anchor::Start, cased), "{text}");
            }
        }
    }

    proptest::proptest! {
        /// The regex crate, given the same pattern, is the second opinion.
        #[test]
        fn wildcards_agree_with_a_regex(text in "[ab*?]{0,8}", value in "[abA]{0,10}") {
            let source: String = text.chars().map(|c| match c { '*' => ".*".into(), '?' => ".".into(), c => c.to_string() }).collect();
            let regex = regex::Regex::new(&format!("(?is)^{source}$")).expect("letters and dots");
            proptest::prop_assert_eq!(Pattern::new(&text, Anchor::Whole, false).matches(&value), regex.is_match(&value));
        }
    }
}
