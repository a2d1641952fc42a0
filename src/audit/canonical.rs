//! Canonical JSON (RFC 8785): one text for each value, so that a digest of it means something.
//!
//! Keys are sorted by their UTF-16 units, nothing stands between tokens, what need not be escaped
//! is not, and numbers are written as ECMAScript writes doubles. The reader takes nothing else: a
//! text that is JSON but not canonical was not written here.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

/// Arrays and objects may stand in each other so deep.
pub const MAX_DEPTH: usize = 64;

/// Integers beyond this, either way, are not all doubles.
const MAX_INTEGER: u64 = 1 << 53;

/// Why a value has no canonical text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    /// An integer that a double cannot hold.
    #[error("the integer {0} is beyond 2^53, where readers lose digits; write it as a text")]
    Integer(String),
    /// Too many levels.
    #[error("it has more than {MAX_DEPTH} levels")]
    Deep,
}

/// Where a text stops being canonical, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct Fault {
    /// How many bytes stand before it.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// The canonical text of a value.
///
/// # Errors
///
/// When it has an integer beyond 2^53 or too many levels.
pub fn canonical(value: &Value) -> Result<String, Unwritable> {
    let mut text = String::new();
    write(value, MAX_DEPTH, &mut text)?;
    Ok(text)
}

/// The value of a canonical text.
///
/// # Errors
///
/// When it is not the text that [`canonical`] gives for some value.
pub fn parse(text: &str) -> Result<Value, Fault> {
    let mut reader = Reader::new(text);
    let value = reader.value::<true>(MAX_DEPTH)?;
    reader.end()?;
    Ok(value)
}

fn write(value: &Value, depth: usize, out: &mut String) -> Result<(), Unwritable> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(number, out)?,
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            let depth = depth.checked_sub(1).ok_or(Unwritable::Deep)?;
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item, depth, out)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            let depth = depth.checked_sub(1).ok_or(Unwritable::Deep)?;
            write_members(members, depth, out)?;
        }
    }
    Ok(())
}

fn write_members(
    members: &Map<String, Value>,
    depth: usize,
    out: &mut String,
) -> Result<(), Unwritable> {
    let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
    sorted.sort_by(|(one, _), (other, _)| compare(one, other));
    out.push('{');
    for (at, (key, value)) in sorted.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_text(key, out);
        out.push(':');
        write(value, depth, out)?;
    }
    out.push('}');
    Ok(())
}

/// The order of keys: by UTF-16 units.
fn compare(one: &str, other: &str) -> Ordering {
    if one.is_ascii() && other.is_ascii() {
        return one.cmp(other);
    }
    one.encode_utf16().cmp(other.encode_utf16())
}

/// A text in quotes.
pub(super) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    text.chars().for_each(|c| write_char(c, out));
    out.push('"');
}

/// A character of a text, escaped where it must be.
fn write_char(c: char, out: &mut String) {
    match short_escape(c) {
        Some(letter) => out.extend(['\\', letter]),
        None if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        None => out.push(c),
    }
}

/// The letter behind the backslash of characters that have one.
fn short_escape(c: char) -> Option<char> {
    Some(match c {
        '"' => '"',
        '\\' => '\\',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{c}' => 'f',
        '\r' => 'r',
        _ => return None,
    })
}

fn write_number(number: &Number, out: &mut String) -> Result<(), Unwritable> {
    let magnitude = number
        .as_u64()
        .or_else(|| number.as_i64().map(i64::unsigned_abs));
    match magnitude {
        Some(magnitude) if magnitude > MAX_INTEGER => {
            return Err(Unwritable::Integer(number.to_string()));
        }
        Some(_) => out.push_str(&number.to_string()),
        None => write_double(number.as_f64().unwrap_or_default(), out),
    }
    Ok(())
}

/// A finite double as ECMAScript's `Number::toString` has it.
fn write_double(double: f64, out: &mut String) {
    if double == 0.0 {
        out.push('0'); // also for minus zero
        return;
    }
    if double < 0.0 {
        out.push('-');
    }
    // The shortest digits that read back as this double: `d.ddde±x`.
    let shortest = format!("{:e}", double.abs());
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let digits = mantissa.replace('.', "");
    let exponent: i32 = exponent.parse().unwrap_or_default();
    lay_out(&digits, exponent + 1, out);
}

/// Digits with the point behind the first `point` of them, which may be beyond either end.
fn lay_out(digits: &str, point: i32, out: &mut String) {
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or_default());
    let length = i32::try_from(digits.len()).unwrap_or_default();
    let split = |at: i32| digits.split_at(usize::try_from(at).unwrap_or_default());
    match point {
        1..=21 if length <= point => {
            out.push_str(digits);
            out.push_str(&zeros(point - length));
        }
        1..=21 => {
            let (whole, rest) = split(point);
            out.extend([whole, ".", rest]);
        }
        -5..=0 => out.extend(["0.", &zeros(-point), digits]),
        _ => {
            let (first, rest) = split(1);
            let dot = if rest.is_empty() { "" } else { "." };
            let exponent = point - 1;
            let sign = if exponent < 0 { '-' } else { '+' };
            out.extend([first, dot, rest, "e"]);
            out.push(sign);
            out.push_str(&exponent.abs().to_string());
        }
    }
}

/// Reads canonical JSON token by token.
pub(super) struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// How many bytes were read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Goes over a word that must stand here.
    pub(super) fn expect(&mut self, word: &str, what: &'static str) -> Result<(), Fault> {
        if !self.take(word) {
            return Err(self.fault(what));
        }
        Ok(())
    }

    /// Goes over a word if it stands here.
    pub(super) fn take(&mut self, word: &str) -> bool {
        let stands = self.rest().starts_with(word.as_bytes());
        if stands {
            self.at += word.len();
        }
        stands
    }

    /// The text up to the next quote, which stands behind it; no escapes.
    pub(super) fn plain(&mut self, what: &'static str) -> Result<&'t str, Fault> {
        let length = memchr::memchr2(b'"', b'\\', self.rest()).ok_or(self.fault(what))?;
        let plain = self.text.get(self.at..self.at + length);
        self.at += length;
        plain.ok_or(self.fault(what))
    }

    /// That nothing follows.
    pub(super) fn end(&self) -> Result<(), Fault> {
        match self.rest() {
            [] => Ok(()),
            _ => Err(self.fault("expected the end")),
        }
    }

    /// Reads a value; without `KEEP` it is checked alone, and null stands for it.
    pub(super) fn value<const KEEP: bool>(&mut self, depth: usize) -> Result<Value, Fault> {
        match self.rest().first() {
            Some(b'{') => self.object::<KEEP>(depth),
            Some(b'[') => self.array::<KEEP>(depth),
            Some(b'"') => {
                let text = self.quoted()?;
                Ok(if KEEP {
                    Value::String(text.into_owned())
                } else {
                    Value::Null
                })
            }
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => Err(self.fault("expected a value")),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Fault> {
        self.expect(word, "expected a value").map(|()| value)
    }

    fn object<const KEEP: bool>(&mut self, depth: usize) -> Result<Value, Fault> {
        let depth = depth.checked_sub(1).ok_or(self.fault("too many levels"))?;
        let mut members = Map::new();
        let mut last: Option<Cow<'t, str>> = None;
        self.at += 1;
        if self.take("}") {
            return Ok(Value::Object(members));
        }
        loop {
            let key_at = self.at;
            let key = self.quoted()?;
            let in_order = last.is_none_or(|last| compare(&last, &key) == Ordering::Less);
            if !in_order {
                return Err(Fault {
                    at: key_at,
                    what: "keys are not in their order",
                });
            }
            self.expect(":", "expected `:`")?;
            let value = self.value::<KEEP>(depth)?;
            if KEEP {
                members.insert(key.clone().into_owned(), value);
            }
            last = Some(key);
            if !self.take(",") {
                self.expect("}", "expected `,` or `}`")?;
                return Ok(Value::Object(members));
            }
        }
    }

    fn array<const KEEP: bool>(&mut self, depth: usize) -> Result<Value, Fault> {
        let depth = depth.checked_sub(1).ok_or(self.fault("too many levels"))?;
        let mut items = Vec::new();
        self.at += 1;
        if self.take("]") {
            return Ok(Value::Array(items));
        }
        loop {
            let item = self.value::<KEEP>(depth)?;
            if KEEP {
                items.push(item);
            }
            if !self.take(",") {
                self.expect("]", "expected `,` or `]`")?;
                return Ok(Value::Array(items));
            }
        }
    }

    /// A text in quotes, with no escape that is not needed.
    fn quoted(&mut self) -> Result<Cow<'t, str>, Fault> {
        self.expect("\"", "expected a text")?;
        let mut text = Cow::Borrowed(self.solid()?);
        while !self.take("\"") {
            let escaped = self.escape()?;
            let owned = text.to_mut();
            owned.push(escaped);
            owned.push_str(self.solid()?);
        }
        Ok(text)
    }

    /// The characters up to the next quote or backslash.
    fn solid(&mut self) -> Result<&'t str, Fault> {
        let rest = self.rest();
        let length = rest
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | ..0x20));
        match length.and_then(|length| Some((length, *rest.get(length)?))) {
            Some((length, b'"' | b'\\')) => {
                let solid = self.text.get(self.at..self.at + length);
                self.at += length;
                solid.ok_or(self.fault("a text that is cut"))
            }
            Some((length, _)) => {
                self.at += length;
                Err(self.fault("a control that is not escaped"))
            }
            None => Err(self.fault("a text without an end")),
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let fault = self.fault("an escape that is not canonical");
        let escaped = match self.rest() {
            [b'\\', b'u', digits @ ..] => {
                let digits = digits.get(..4).and_then(|it| std::str::from_utf8(it).ok());
                let unit = digits.and_then(|it| u32::from_str_radix(it, 16).ok());
                unit.and_then(char::from_u32)
            }
            [b'\\', letter, ..] => match letter {
                b'b' => Some('\u{8}'),
                b't' => Some('\t'),
                b'n' => Some('\n'),
                b'f' => Some('\u{c}'),
                b'r' => Some('\r'),
                b'"' | b'\\' => Some(char::from(*letter)),
                _ => None,
            },
            _ => None,
        };
        let escaped = escaped.ok_or(fault)?;
        // An escape that need not be is written otherwise.
        let mut written = String::new();
        write_char(escaped, &mut written);
        if !self.take(&written) {
            return Err(fault);
        }
        Ok(escaped)
    }

    /// A number as it would be written.
    pub(super) fn number(&mut self) -> Result<Number, Fault> {
        let fault = self.fault("a number that is not canonical");
        let rest = self.rest();
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e');
        let length = rest.iter().position(|byte| !is_part(byte));
        let end = self.at + length.unwrap_or(rest.len());
        let token = self.text.get(self.at..end).ok_or(fault)?;
        let number = read_number(token).ok_or(fault)?;
        self.at = end;
        Ok(number)
    }

    fn rest(&self) -> &'t [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    pub(super) fn fault(&self, what: &'static str) -> Fault {
        Fault { at: self.at, what }
    }
}

fn read_number(token: &str) -> Option<Number> {
    if let Ok(integer) = token.parse::<i64>()
        && integer.unsigned_abs() <= MAX_INTEGER
    {
        let digits = token.strip_prefix('-').unwrap_or(token);
        let is_shortest = !digits.starts_with(['0', '+']) || token == "0";
        return is_shortest.then(|| integer.into());
    }
    let double: f64 = token.parse().ok()?;
    let mut written = String::new();
    if double.is_finite() {
        write_double(double, &mut written);
    }
    (written == token).then(|| Number::from_f64(double))?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(value: &Value, expected: &str) {
        assert_eq!(canonical(value).as_deref(), Ok(expected));
        let read = parse(expected).expect("what was written");
        assert_eq!(canonical(&read).as_deref(), Ok(expected));
    }

    #[test]
    fn values_have_one_text() {
        check(&json!(null), "null");
        check(&json!([true, false, [], {}]), "[true,false,[],{}]");
        check(
            &json!({"b": 1, "a": {"d": 2, "c": 3}}),
            r#"{"a":{"c":3,"d":2},"b":1}"#,
        );
        // The order of RFC 8785, 3.2.3: by UTF-16, so that the pair of U+1F600 is before U+FB33.
        check(
            &json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7}),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}",
        );
        check(
            &json!("\u{8}\t\n\u{c}\r\"\\/\u{1f}\u{0}\u{7f}é\u{2028}"),
            "\"\\b\\t\\n\\f\\r\\\"\\\\/\\u001f\\u0000\u{7f}é\u{2028}\"",
        );
    }

    #[test]
    fn numbers_are_those_of_ecmascript() {
        // From RFC 8785, appendix B, and the ends of each way of writing.
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (5e-324, "5e-324"),
            (-5e-324, "-5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (-f64::MAX, "-1.7976931348623157e+308"),
            (9_007_199_254_740_994.0, "9007199254740994"),
            (295_147_905_179_352_830_000.0, "295147905179352830000"),
            (9.999_999_999_999_997e22, "9.999999999999997e+22"),
            (1e23, "1e+23"),
            (1.000_000_000_000_000_1e23, "1.0000000000000001e+23"),
            (999_999_999_999_999_700_000.0, "999999999999999700000"),
            (999_999_999_999_999_900_000.0, "999999999999999900000"),
            (1e21, "1e+21"),
            (9.999_999_999_999_997e-7, "9.999999999999997e-7"),
            (0.000_001, "0.000001"),
            (333_333_333.333_333_3, "333333333.3333333"),
            (4.35, "4.35"),
            (0.002, "0.002"),
            (-1.5, "-1.5"),
            (100.0, "100"),
        ];
        for (double, expected) in cases {
            check(&json!(double), expected);
        }
        check(&json!(1_u64 << 53), "9007199254740992");
        check(&json!(-(1_i64 << 53)), "-9007199254740992");
    }

    #[test]
    fn what_has_no_text_is_refused() {
        for integer in [json!((1_u64 << 53) + 1), json!(u64::MAX), json!(i64::MIN)] {
            let refused = canonical(&json!({"a": [integer]}));
            assert_eq!(refused, Err(Unwritable::Integer(integer.to_string())));
        }
        let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
        assert!(canonical(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(canonical(&nested(MAX_DEPTH + 1)), Err(Unwritable::Deep));
        let text = format!("{}1{}", "[".repeat(65), "]".repeat(65));
        assert_eq!(
            parse(&text).map_err(|fault| fault.what),
            Err("too many levels")
        );
    }

    #[test]
    fn what_is_json_but_not_canonical_is_refused() {
        let texts = [
            "",
            " 1",
            "1 ",
            "1.0",
            "01",
            "-0",
            "+1",
            "1e5",
            "1E+21",
            "1e21",
            "0.10",
            ".5",
            "-",
            "1e999",
            "9007199254740993",
            r#"{"b":1,"a":2}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a": 1}"#,
            "[1, 2]",
            "[1,]",
            r#""\/""#,
            r#""\u0041""#,
            r#""\u001F""#,
            r#""\u000a""#,
            r#""\ud83d\ude00""#,
            "\"\u{1}\"",
            "\"",
            r#""\u+01f""#,
            r#"{"a":1,}"#,
            "nul",
            "tru",
            "{",
            "[",
            "NaN",
            r#"{1:2}"#,
            r#""\u0022""#,
            r#""\"#,
        ];
        for text in texts {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    /// Values as they come in records: every integer that a double holds, and any double.
    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-(1_i64 << 53)..=1 << 53).prop_map(Value::from),
            any::<f64>().prop_map(|it| Number::from_f64(it).map_or(Value::Null, Value::Number)),
            "[\u{0}-\u{ff}\u{2028}\u{fb33}\u{1f600}]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(
                    "[\u{0}-\u{7f}é\u{fb33}\u{1f600}]{0,4}",
                    inner,
                    0..6
                )
                .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// With each number as a double: `1.0` is written, and read, as `1`.
    fn in_doubles(value: &Value) -> Value {
        match value {
            Value::Number(number) => json!(number.as_f64().map(|it| it + 0.0)),
            Value::Array(items) => items.iter().map(in_doubles).collect(),
            Value::Object(map) => {
                let members = map
                    .iter()
                    .map(|(key, value)| (key.clone(), in_doubles(value)));
                Value::Object(members.collect())
            }
            other => other.clone(),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in values()) {
            let text = canonical(&value).expect("a canonical text");
            let read = parse(&text).expect("what was written");
            prop_assert_eq!(in_doubles(&read), in_doubles(&value));
            prop_assert_eq!(canonical(&read).expect("again"), text.clone());
            // Any parser reads it; this one may be off by the last bit of a double.
            prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
            let mut reader = Reader::new(&text);
            prop_assert!(reader.value::<false>(MAX_DEPTH).is_ok() && reader.end().is_ok());
        }

        #[test]
        fn what_is_read_is_what_is_written(text in "[\\[\\]{}:,\"\\\\u0a1e.+ -]{0,12}") {
            if let Ok(value) = parse(&text) {
                prop_assert_eq!(canonical(&value).expect("canonical"), text);
            }
        }
    }
}
