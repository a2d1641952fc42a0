//! What happened: one log record, its time, its identity, and reading it by path.
//!
//! The engine knows JSON and nothing of Okta: a reader (see [`crate::okta`])
//! fills in where the time and the provider's own id stand in a record.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr2;
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::json::{Fields, Slot};

/// One log record: the bytes that came in, and what was read from them.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The record as it came in.
    pub raw: &'a [u8],
    /// Whether it came without white space outside strings.
    pub compact: bool,
    /// The wanted fields; after a field mapping, those of the mapped record.
    pub fields: Fields<'a>,
    /// Event time; `None` where the record has no readable one.
    pub time: Option<Time>,
    /// Where the provider's id of the event stands.
    pub id: Slot,
}

impl Event<'_> {
    /// The identity of the event: see [`Digest::of_record`].
    #[must_use]
    pub fn digest(&self) -> Digest {
        if self.compact {
            Digest::of(self.raw)
        } else {
            Digest::of_record(self.raw)
        }
    }

    /// The provider's id of the event (Okta's `uuid`), which may be missing or shared.
    #[must_use]
    pub fn uuid(&self) -> Option<String> {
        let uuid = self.fields.own(self.id)?.as_str()?;
        (!uuid.is_empty()).then(|| clip(&uuid).into_owned())
    }
}

/// Nanoseconds since 1970-01-01T00:00:00Z: event time, never the clock's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Time(pub i64);

impl Time {
    /// The moment of an RFC 3339 text; `None` for anything else or a year that
    /// nanoseconds in 64 bits cannot hold (before 1677 or after 2262).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let moment = chrono::DateTime::parse_from_rfc3339(text).ok()?;
        moment.timestamp_nanos_opt().map(Self)
    }

    /// This moment moved by `by`, stopping at the ends of the range.
    #[must_use]
    pub fn plus(self, by: Nanos) -> Self {
        Self(self.0.saturating_add(by.0))
    }

    /// This moment moved back by `by`, stopping at the ends of the range.
    #[must_use]
    pub fn minus(self, by: Nanos) -> Self {
        Self(self.0.saturating_sub(by.0))
    }

    /// The day on which this moment is, in UTC.
    #[must_use]
    pub fn day(self) -> chrono::NaiveDate {
        chrono::DateTime::from_timestamp_nanos(self.0).date_naive()
    }

    /// The time from `earlier` to this moment.
    #[must_use]
    pub fn since(self, earlier: Self) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Time {
    /// RFC 3339 in UTC, with the shortest of 0, 3, 6 or 9 digits that loses nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = chrono::DateTime::from_timestamp_nanos(self.0);
        f.write_str(&moment.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or_else(|| format!("`{text}` is not an RFC 3339 time"))
    }
}

/// A length of time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub i64);

impl Nanos {
    /// One second.
    pub const SECOND: Self = Self(1_000_000_000);
    /// One day.
    pub const DAY: Self = Self(86_400 * Self::SECOND.0);

    /// A Sigma time span: a whole number and one of `s m h d w M y`. Months and
    /// years are the mean ones of the Gregorian calendar, as pySigma has them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let unit = text.chars().next_back()?;
        let number: i64 = text.strip_suffix(unit)?.parse().ok().filter(|n| *n >= 0)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 7 * 86_400,
            'M' => 2_629_746,
            'y' => 31_556_952,
            _ => return None,
        };
        let nanos = number.checked_mul(seconds)?.checked_mul(Self::SECOND.0)?;
        Some(Self(nanos))
    }

    /// The length in seconds.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a lateness needs no nanoseconds of a century"
    )]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The length in hours.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a speed needs no nanoseconds of a century"
    )]
    pub fn hours(self) -> f64 {
        self.0 as f64 / 3.6e12
    }
}

impl fmt::Display for Nanos {
    /// The two largest units that are not zero: `6m`, `1h 1m`, `2d 3h`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / Self::SECOND.0;
        if self.0 > 0 && seconds == 0 {
            return f.write_str("<1s");
        }
        let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
        let mut rest = seconds;
        let mut parts = Vec::new();
        for (size, unit) in units {
            if rest >= size {
                parts.push(format!("{}{unit}", rest / size));
            }
            rest %= size;
        }
        parts.truncate(2);
        if parts.is_empty() {
            parts.push("0s".to_owned());
        }
        f.write_str(&parts.join(" "))
    }
}

/// A SHA-256 digest, shown and stored as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of everything that can be read.
    ///
    /// # Errors
    ///
    /// When reading fails.
    pub fn of_reader(reader: &mut impl std::io::Read) -> std::io::Result<Self> {
        let mut hash = Sha256::new();
        let mut block = vec![0; 64 << 10];
        loop {
            match reader.read(&mut block)? {
                0 => return Ok(Self(hash.finalize().into())),
                read => hash.update(block.get(..read).unwrap_or_default()),
            }
        }
    }

    /// The digest of bytes as they are.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest whose bytes these are.
    #[must_use]
    pub const fn of_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The identity of a JSON record: the digest of its text with the white
    /// space outside strings removed, so that a pretty-printed copy is the same event.
    #[must_use]
    pub fn of_record(raw: &[u8]) -> Self {
        let mut hash = Sha256::new();
        for part in solid_parts(raw) {
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// The parts of a JSON text between the white space outside its strings, each as
/// long as it can be.
pub fn solid_parts(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.iter().position(|byte| !is_blank(*byte))?;
        let solid = rest.get(start..)?;
        let (part, left) = solid.split_at(solid_length(solid));
        rest = left;
        Some(part)
    })
}

/// Up to where there is no white space but in strings.
fn solid_length(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let Some(ahead) = rest
            .iter()
            .position(|byte| *byte == b'"' || is_blank(*byte))
        else {
            return text.len();
        };
        at += ahead;
        if rest.get(ahead) != Some(&b'"') {
            return at;
        }
        at += 1 + string_length(rest.get(ahead + 1..).unwrap_or_default());
    }
}

/// How long the rest of a string is, its quote included.
fn string_length(rest: &[u8]) -> usize {
    let mut at = 0;
    while let Some(ahead) = memchr2(b'"', b'\\', rest.get(at..).unwrap_or_default()) {
        at += ahead + 1;
        if rest.get(at - 1) == Some(&b'"') {
            return at;
        }
        at += 1; // whatever is escaped
    }
    rest.len()
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every line of output has one at least: all digits at once.
        let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        f.write_str(std::str::from_utf8(&digits).unwrap_or_default())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bad = || format!("`{text}` is not a SHA-256 digest of 64 hexadecimal digits");
        let mut bytes = [0_u8; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(bad());
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

/// A field named by a dotted path, such as `actor.alternateId`.
///
/// Names match exactly. Dots walk objects; an array on the way stands for any
/// of its elements.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath {
    text: String,
}

impl FieldPath {
    /// The path that `text` spells.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
        }
    }

    /// The path as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The keys on the way.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.text.split('.')
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `text` in lower case, character by character, without regard to language or position.
#[must_use]
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        text.chars().flat_map(char::to_lowercase).collect()
    }
}

/// Keeps at most 512 bytes of a value that is stored or shown; a longer one
/// ends in its own digest, so that two long values stay two values.
#[must_use]
pub fn clip(text: &str) -> Cow<'_, str> {
    const KEPT: usize = 440;
    if text.len() <= 512 {
        return text.into();
    }
    let end = (0..=KEPT)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    let (kept, _) = text.split_at(end);
    format!("{kept}…[sha256 {}]", Digest::of(text.as_bytes())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_outside_strings_does_not_change_the_identity() {
        let pretty = b"{ \"a\" :\t[1, 2],\r\n \"b c\": \"x \\\" y \\\\\" }";
        let tight = b"{\"a\":[1,2],\"b c\":\"x \\\" y \\\\\"}";
        let other = b"{\"a\":[1,2],\"bc\":\"x \\\" y \\\\\"}";
        assert_eq!(Digest::of_record(pretty), Digest::of(tight));
        assert_ne!(Digest::of_record(other), Digest::of(tight));
    }

    proptest::proptest! {
        #[test]
        fn all_but_white_space_outside_strings_is_solid(text in "[\" \\\\\n\tab:]{0,40}") {
            let (mut in_string, mut escaped) = (false, false);
            let is_solid = |byte: &u8| -> bool {
                let solid = in_string || !is_blank(*byte);
                in_string ^= *byte == b'"' && !escaped;
                escaped = in_string && !escaped && *byte == b'\\';
                solid
            };
            let expected: Vec<u8> = text.bytes().filter(is_solid).collect();
            let parts: Vec<&[u8]> = solid_parts(text.as_bytes()).collect();
            proptest::prop_assert!(parts.iter().all(|part| !part.is_empty()));
            proptest::prop_assert_eq!(parts.concat(), expected);
        }
    }

    #[test]
    fn a_digest_reads_back_what_it_writes() {
        let digest = Digest::of(b"x");
        assert_eq!(Digest::try_from(digest.to_string()), Ok(digest));
        for bad in ["", "zz", &"é".repeat(32), &"g".repeat(64)] {
            assert!(Digest::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_read_and_show() {
        let cases = [
            ("10m", "10m"),
            ("90s", "1m 30s"),
            ("0s", "0s"),
            ("25h", "1d 1h"),
            ("1w", "7d"),
            ("1M", "30d 10h"),
            ("1y", "365d 5h"),
        ];
        for (written, shown) in cases {
            assert_eq!(
                Nanos::parse(written).map(|n| n.to_string()).as_deref(),
                Some(shown),
                "{written}"
            );
        }
        for bad in ["", "m", "10", "-5m", "1.5h", "10 m", "10é", "99999999999y"] {
            assert_eq!(Nanos::parse(bad), None, "{bad}");
        }
    }
}
