//! Taking keys out of a mapping, so that what is left over is a typo.

use crate::diag::{Problems, Span};
use crate::document::{Key, Kind, Node, codes};

/// A mapping being decoded: keys are asked for by name, and [`Table::finish`]
/// reports those that nobody asked for.
pub struct Table<'n> {
    span: Span,
    entries: &'n [(Key, Node)],
    asked: Vec<&'n str>,
}

impl<'n> Table<'n> {
    pub(super) fn new(span: Span, entries: &'n [(Key, Node)]) -> Self {
        Self {
            span,
            entries,
            // A rule asks for some two dozen keys.
            asked: Vec::with_capacity(24),
        }
    }

    /// The place of the mapping.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }

    /// Every key with its value, in the order written.
    #[must_use]
    pub fn entries(&self) -> &'n [(Key, Node)] {
        self.entries
    }

    /// The value of a key, if it is there; an explicit null counts as absent.
    pub fn get(&mut self, key: &'n str) -> Option<&'n Node> {
        self.get_even_null(key)
            .filter(|node| node.kind != Kind::Null)
    }

    /// The value of a key, if it is there, null included.
    pub fn get_even_null(&mut self, key: &'n str) -> Option<&'n Node> {
        self.asked.push(key);
        self.entries
            .iter()
            .find(|(k, _)| k.text == key)
            .map(|(_, node)| node)
    }

    /// The value of a key; reports its absence at the mapping.
    pub fn require(&mut self, key: &'n str, problems: &mut Problems) -> Option<&'n Node> {
        let found = self.get(key);
        if found.is_none() {
            let at = self.place_of(key).unwrap_or(Span {
                end: self.span.start,
                ..self.span
            });
            problems.error(
                codes::MISSING_KEY,
                at,
                format!("the key `{key}` is missing"),
            );
        }
        found
    }

    /// The place of a key.
    #[must_use]
    pub fn place_of(&self, key: &str) -> Option<Span> {
        self.entries
            .iter()
            .find(|(k, _)| k.text == key)
            .map(|(k, _)| k.span)
    }

    /// Reports every key that nobody asked for as an error.
    pub fn finish(self, problems: &mut Problems) {
        for key in self.unknown() {
            problems
                .error(
                    codes::UNKNOWN_KEY,
                    key.span,
                    format!("unknown key `{}`", key.text),
                )
                .did_you_mean(&key.text, self.asked.iter().copied());
        }
    }

    /// Reports every key that nobody asked for as a warning, for formats that allow custom ones.
    pub fn finish_with_warnings(self, problems: &mut Problems) {
        for key in self.unknown() {
            let message = format!(
                "`{}` is not an attribute of this format and has no effect",
                key.text
            );
            let near = crate::diag::nearest(&key.text, self.asked.iter().copied());
            let warning = problems.warn(codes::UNKNOWN_KEY, key.span, message);
            if let Some(near) = near {
                warning.help(format!("did you mean `{near}`?"));
            }
        }
    }

    fn unknown(&self) -> impl Iterator<Item = &'n Key> {
        let asked = &self.asked;
        self.entries
            .iter()
            .map(|(key, _)| key)
            .filter(move |key| !asked.contains(&key.text.as_str()))
    }
}
