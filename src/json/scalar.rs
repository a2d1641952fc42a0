//! A value as its bytes stand in a record.

use std::borrow::Cow;

use serde_json::Number;

/// A value of a record that is no array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scalar<'r> {
    kind: Kind,
    /// The text of a string between its quotes, or that of the literal.
    raw: &'r [u8],
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A string, as JSON writes it.
    Text,
    Number,
    True,
    False,
    Null,
    /// An object, whose inside is not read.
    Object,
}

impl<'r> Scalar<'r> {
    /// The value with this text, which was checked; of an object its first byte is enough.
    #[inline]
    pub(super) fn new(text: &'r [u8]) -> Self {
        let (kind, raw) = match text {
            [b'"', raw @ .., b'"'] => (Kind::Text, raw),
            b"null" => (Kind::Null, text),
            b"true" => (Kind::True, text),
            b"false" => (Kind::False, text),
            [b'{', ..] => (Kind::Object, text),
            _ => (Kind::Number, text),
        };
        Self { kind, raw }
    }

    /// The bytes of the value in the record, without quotes. Two values of one
    /// [`Self::tag`] and the same bytes are the same value.
    #[must_use]
    pub fn raw(&self) -> &'r [u8] {
        self.raw
    }

    /// Tells values apart whose bytes are alike: `"1"` and `1`.
    #[must_use]
    pub fn tag(&self) -> u8 {
        self.kind as u8
    }

    /// Whether it is JSON null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.kind == Kind::Null
    }

    /// Whether it is a string.
    #[must_use]
    pub fn is_str(&self) -> bool {
        self.kind == Kind::Text
    }

    /// The text of a string; `None` for what is none.
    #[must_use]
    pub fn as_str(&self) -> Option<Cow<'r, str>> {
        self.is_str().then(|| unescaped(self.raw))
    }

    /// Whether it is a string, and this one.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        let plain = || self.raw == text.as_bytes() && !text.contains('\\');
        self.is_str() && (plain() || (self.raw.contains(&b'\\') && unescaped(self.raw) == text))
    }

    /// A number as the parser reads it; `None` for what is none.
    #[must_use]
    pub fn as_number(&self) -> Option<Number> {
        if self.kind == Kind::Number {
            serde_json::from_slice(self.raw).ok()
        } else {
            None
        }
    }

    /// The text of a scalar: that of a string, `true` or `false`, a number in its
    /// shortest form; `None` for null and for an object.
    #[must_use]
    pub fn shown(&self) -> Option<Cow<'r, str>> {
        match self.kind {
            Kind::Text => self.as_str(),
            Kind::True => Some(Cow::Borrowed("true")),
            Kind::False => Some(Cow::Borrowed("false")),
            Kind::Number if is_short_integer(self.raw) => Some(Cow::Borrowed(
                std::str::from_utf8(self.raw).unwrap_or_default(),
            )),
            Kind::Number => self
                .as_number()
                .map(|number| Cow::Owned(number.to_string())),
            Kind::Null | Kind::Object => None,
        }
    }
}

/// Whether a number is its own shortest form for sure: a few digits.
fn is_short_integer(raw: &[u8]) -> bool {
    raw.len() < 19 && raw.iter().all(u8::is_ascii_digit)
}

/// The text of a string whose escapes were checked. Half of a surrogate pair,
/// which JSON can write and no text can hold, becomes U+FFFD.
pub(super) fn unescaped(raw: &[u8]) -> Cow<'_, str> {
    // The walk has checked that the record is UTF-8.
    let text = std::str::from_utf8(raw).unwrap_or_default();
    if memchr::memchr(b'\\', raw).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        out.push_str(before);
        let mut chars = escape.chars();
        let plain = match chars.next() {
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let (decoded, length) = unicode(escape);
                rest = escape.get(length..).unwrap_or_default();
                out.push(decoded);
                continue;
            }
            Some(same) => same,
            None => break,
        };
        out.push(plain);
        rest = chars.as_str();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The character that `uXXXX`, or `uXXXX\uXXXX`, stands for, and how long that is.
fn unicode(escape: &str) -> (char, usize) {
    let unit = |at: usize| {
        let digits = escape.get(at..at + 4)?;
        u32::from_str_radix(digits, 16).ok()
    };
    let first = unit(1).unwrap_or(0xFFFD);
    let second = || unit(7).filter(|_| escape.get(5..7) == Some("\\u"));
    match (first, second()) {
        (0xD800..=0xDBFF, Some(low @ 0xDC00..=0xDFFF)) => {
            let code = 0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00);
            (
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
                11,
            )
        }
        _ => (
            char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER),
            5,
        ),
    }
}
