//! One JSON value and nothing around it: how a reply is read.
//!
//! Nothing is salvaged out of a text. Whatever two readers could take for two
//! different things (a key twice, text before or after, a character that is not
//! seen) is refused, since an ambiguity is a way around a bound.

use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Number, Value};

use crate::event::clip;
use crate::visible::{is_deceptive, visible};

/// The longest reply, in bytes.
pub const LONGEST: usize = 64 << 10;
/// The deepest nesting of a reply.
pub const DEEPEST: usize = 16;
/// The most values in a reply.
const MOST_VALUES: usize = 4_096;

/// The only value of a text.
///
/// # Errors
///
/// When the text is anything else than one JSON value, or past a limit: why, in words that show
/// nothing deceptive.
pub fn parse(text: &str) -> Result<Value, String> {
    if text.len() > LONGEST {
        return Err(format!(
            "the reply has {} bytes, and at most {LONGEST} are read",
            text.len()
        ));
    }
    if text.trim_ascii().is_empty() {
        return Err("the reply is empty".to_owned());
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut left = MOST_VALUES;
    let seed = Strict {
        depth: 0,
        left: &mut left,
    };
    let read = seed.deserialize(&mut reader);
    read.and_then(|value| reader.end().map(|()| value))
        .map_err(|error| said(&error))
}

fn said(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Data => visible(&error.to_string()),
        Category::Eof => format!("the reply ends in the middle of a value: {error}"),
        Category::Syntax | Category::Io => {
            format!("the reply is not one JSON value with nothing around it: {error}")
        }
    }
}

/// Reads a value at some depth.
struct Strict<'l> {
    depth: usize,
    /// How many more values may come.
    left: &'l mut usize,
}

impl Strict<'_> {
    fn below<E: Error>(&mut self) -> Result<Strict<'_>, E> {
        if self.depth == DEEPEST {
            return Err(E::custom(format_args!(
                "the reply is nested deeper than {DEEPEST} levels"
            )));
        }
        Ok(Strict {
            depth: self.depth + 1,
            left: self.left,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        *self.left = self.left.checked_sub(1).ok_or_else(|| {
            D::Error::custom(format_args!("the reply has more than {MOST_VALUES} values"))
        })?;
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number is not finite"))?;
        Ok(number.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        seen(text)?;
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.below()?)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            seen(&key)?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!(
                    "the key `{}` is there twice",
                    clip(&key)
                )));
            }
            let value = entries.next_value_seed(self.below()?)?;
            map.insert(key, value);
        }
        Ok(map.into())
    }
}

/// Ends of lines and tabs are what models write; every other character that is not seen is not.
fn seen<E: Error>(text: &str) -> Result<(), E> {
    let hidden = |c: &char| is_deceptive(*c) && !matches!(c, '\n' | '\r' | '\t');
    text.chars().find(hidden).map_or(Ok(()), |c| {
        Err(E::custom(format_args!(
            "a text of the reply holds U+{:04X}, which is not seen",
            u32::from(c)
        )))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_is_read_as_it_is() {
        let cases = [
            ("{}", "{}"),
            (
                " \n{\"a\": [1, -2, 0.5, true, null]}\t",
                "{\"a\":[1,-2,0.5,true,null]}",
            ),
            (r#"{"a":"\u00e9\ud83d\ude42\n"}"#, "{\"a\":\"é🙂\\n\"}"),
            (
                "{\"a\":{\"b\":1},\"b\":{\"b\":1}}",
                "{\"a\":{\"b\":1},\"b\":{\"b\":1}}",
            ),
            ("1e2", "100.0"),
        ];
        for (text, expected) in cases {
            assert_eq!(
                parse(text).map(|value| value.to_string()),
                Ok(expected.to_owned())
            );
        }
    }

    #[test]
    fn nothing_else_is() {
        let deep = format!("{}1{}", "[".repeat(DEEPEST + 1), "]".repeat(DEEPEST + 1));
        let bottomless = "[".repeat(60_000);
        let huge = format!("\"{}\"", "x".repeat(LONGEST));
        let many = format!("[{}1]", "1,".repeat(MOST_VALUES));
        #[rustfmt::skip]
        let cases = [
            ("", "the reply is empty"),
            (" \r\n\t", "the reply is empty"),
            ("Sure! {\"a\":1}", "not one JSON value"),
            ("{\"a\":1} I hope this helps.", "trailing characters"),
            ("```json\n{\"a\":1}\n```", "not one JSON value"),
            ("{\"a\":1}{\"a\":2}", "trailing characters"),
            ("{\"a\":1}\n{\"a\":2}", "trailing characters"),
            ("{\"a\":1},", "trailing characters"),
            ("\u{feff}{\"a\":1}", "not one JSON value"),
            ("{\"a\":1}\0", "trailing characters"),
            ("{\"a\":1\u{a0}}", "not one JSON value"),
            ("{\"a\":1,\"a\":2}", "the key `a` is there twice"),
            ("{\"a\":1,\"\\u0061\":2}", "the key `a` is there twice"),
            ("{\"x\":[{\"a\":1,\"a\":1}]}", "the key `a` is there twice"),
            ("{\"a\":NaN}", "not one JSON value"),
            ("{\"a\":Infinity}", "not one JSON value"),
            ("{\"a\":-Infinity}", "not one JSON value"),
            ("{\"a\":1e999}", "number out of range"),
            ("{\"a\":-1e999}", "number out of range"),
            ("{\"a\":01}", "not one JSON value"),
            ("{\"a\":+1}", "not one JSON value"),
            ("{\"a\":.5}", "not one JSON value"),
            ("{\"a\":0x10}", "not one JSON value"),
            ("{'a':1}", "not one JSON value"),
            ("{a:1}", "not one JSON value"),
            ("{\"a\":1,}", "not one JSON value"),
            ("{\"a\":1 /* x */}", "not one JSON value"),
            ("{\"a\":\"\\x41\"}", "not one JSON value"),
            ("{\"a\":\"\\ud800\"}", "not one JSON value"),
            ("{\"a\":\"\\udc00\"}", "not one JSON value"),
            ("{\"a\":\"\\ud800\\u0041\"}", "not one JSON value"),
            ("{\"a\":\"line\nend\"}", "not one JSON value"),
            ("{\"a\":\"\\u202e\"}", "U+202E"),
            ("{\"a\":\"x\u{202e}y\"}", "U+202E"),
            ("{\"sever\u{200b}ity\":1}", "U+200B"),
            ("{\"a\":\"\\u001b[2J\"}", "U+001B"),
            ("{\"a\":\"\u{e0041}\"}", "U+E0041"),
            ("{\"a\":1", "ends in the middle"),
            ("{\"a\":\"x", "ends in the middle"),
            ("{\"a", "ends in the middle"),
            (&deep, "nested deeper than 16"),
            (&bottomless, "nested deeper than 16"),
            (&huge, "bytes, and at most"),
            (&many, "more than 4096 values"),
        ];
        for (text, expected) in cases {
            let refused = parse(text).expect_err(text);
            assert!(refused.contains(expected), "{text}: {refused}");
            assert!(!refused.chars().any(is_deceptive), "{refused}");
        }
    }
}
