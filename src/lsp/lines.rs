//! Places as editors count them: lines and columns from 0, columns in bytes or in units of UTF-16.

use std::ops::Range;

use serde_json::{Value, json};

/// What a column counts, as it was agreed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Bytes.
    Utf8,
    /// Units of 16 bits, which every editor knows.
    #[default]
    Utf16,
}

impl Encoding {
    /// Its name in the protocol.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Utf16 => "utf-16",
        }
    }

    fn width(self, letter: char) -> usize {
        match self {
            Self::Utf8 => letter.len_utf8(),
            Self::Utf16 => letter.len_utf16(),
        }
    }
}

/// A text with the places where its lines begin.
#[derive(Debug)]
pub(super) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
    encoding: Encoding,
}

impl<'t> Lines<'t> {
    /// Lines end in `\n`, `\r\n` or `\r`.
    pub(super) fn of(text: &'t str, encoding: Encoding) -> Self {
        let mut starts = vec![0];
        let mut before = None;
        for (at, byte) in text.bytes().enumerate() {
            if before == Some(b'\r') && byte != b'\n' {
                starts.push(at);
            }
            if byte == b'\n' {
                starts.push(at + 1);
            }
            before = Some(byte);
        }
        if before == Some(b'\r') {
            starts.push(text.len());
        }
        Self {
            text,
            starts,
            encoding,
        }
    }

    /// The byte at a position; one past the end of its line is the end of the line, and one past the
    /// last line the end of the text.
    pub(super) fn offset(&self, position: &Value) -> usize {
        let count = |key: &str| position.get(key).and_then(Value::as_u64).unwrap_or(0);
        let line = usize::try_from(count("line")).unwrap_or(usize::MAX);
        let column = usize::try_from(count("character")).unwrap_or(usize::MAX);
        let Some(start) = self.starts.get(line) else {
            return self.text.len();
        };
        let rest = self.text.get(*start..).unwrap_or_default();
        let (mut at, mut counted) = (*start, 0);
        for letter in rest.chars() {
            if counted >= column || matches!(letter, '\n' | '\r') {
                break;
            }
            counted += self.encoding.width(letter);
            if counted > column {
                break; // inside of a letter is before it
            }
            at += letter.len_utf8();
        }
        at
    }

    /// The position of a byte.
    pub(super) fn position(&self, offset: usize) -> Value {
        let offset = (0..=offset.min(self.text.len()))
            .rev()
            .find(|at| self.text.is_char_boundary(*at))
            .unwrap_or(0);
        let line = self.starts.partition_point(|start| *start <= offset).max(1) - 1;
        let start = self.starts.get(line).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or_default();
        let column: usize = before
            .chars()
            .map(|letter| self.encoding.width(letter))
            .sum();
        json!({"line": line, "character": column})
    }

    /// The range of some bytes.
    pub(super) fn range(&self, bytes: Range<usize>) -> Value {
        json!({"start": self.position(bytes.start), "end": self.position(bytes.end.max(bytes.start))})
    }

    /// The bytes of a range.
    pub(super) fn bytes(&self, range: &Value) -> Range<usize> {
        let at = |key: &str| self.offset(range.get(key).unwrap_or(&Value::Null));
        let start = at("start");
        start..at("end").max(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_editors() {
        let text = "a\u{e9}\u{1f600}b\r\n\rx\ny";
        for (encoding, line, column, offset) in [
            (Encoding::Utf16, 0, 2, 3),
            (Encoding::Utf16, 0, 3, 3), // inside of a letter
            (Encoding::Utf16, 0, 4, 7),
            (Encoding::Utf8, 0, 7, 7),
            (Encoding::Utf16, 0, 99, 8),
            (Encoding::Utf16, 1, 0, 10),
            (Encoding::Utf16, 1, 5, 10),
            (Encoding::Utf16, 2, 1, 12),
            (Encoding::Utf8, 3, 0, 13),
            (Encoding::Utf8, 77, 3, 14),
        ] {
            let lines = Lines::of(text, encoding);
            let position = json!({"line": line, "character": column});
            assert_eq!(lines.offset(&position), offset, "{position}");
            let back = lines.position(offset);
            assert_eq!(lines.offset(&back), offset, "{position} {back}");
        }
        let lines = Lines::of(text, Encoding::Utf16);
        assert_eq!(lines.position(5), json!({"line": 0, "character": 2}));
        assert_eq!(lines.position(99), json!({"line": 3, "character": 1}));
        assert_eq!(
            lines.bytes(&json!({"start": {"line": 9}, "end": {}})),
            14..14
        );
        assert_eq!(lines.offset(&json!({"line": -1, "character": "x"})), 0);
    }

    proptest::proptest! {
        /// Every byte at which a letter begins has a position, and the position leads back to it.
        #[test]
        fn a_place_and_back(text in "[a\u{e9}\u{1f600}\n\r]{0,20}", wide: bool) {
            let encoding = if wide { Encoding::Utf16 } else { Encoding::Utf8 };
            let lines = Lines::of(&text, encoding);
            for (offset, letter) in text.char_indices() {
                // Between the two letters of a line's end is before them.
                if letter != '\n' || !text[..offset].ends_with('\r') {
                    proptest::prop_assert_eq!(lines.offset(&lines.position(offset)), offset);
                }
            }
        }
    }
}
