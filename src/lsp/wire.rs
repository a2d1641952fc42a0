//! Messages on a stream: a header that says how long the body is, and the body, which is JSON.

use std::io::{self, BufRead, Read, Write};

use serde_json::Value;

use crate::visible::json;

/// A longer message is passed over: a list of a policy may have 16 MiB, escaped.
const LONGEST: u64 = 64 << 20;
/// A header that is longer than this is none.
const LONGEST_HEADER: u64 = 8 << 10;

/// What comes from an editor.
#[derive(Debug, PartialEq)]
pub(super) enum Incoming {
    /// A message.
    Message(Value),
    /// A body that is no JSON, and why.
    NotJson(String),
    /// A message that is too long, which was passed over.
    TooLong(u64),
    /// What is no header: where the next message begins is not known.
    NoHeader,
    /// Nothing more comes.
    End,
}

/// The next message. Nothing is reserved by a length that is claimed.
pub(super) fn receive(input: &mut impl BufRead) -> io::Result<Incoming> {
    let length = match header(input)? {
        Header::Length(length) => length,
        Header::Malformed => return Ok(Incoming::NoHeader),
        Header::End => return Ok(Incoming::End),
    };
    if length > LONGEST {
        let passed = io::copy(&mut input.by_ref().take(length), &mut io::sink())?;
        return Ok(if passed < length {
            Incoming::End
        } else {
            Incoming::TooLong(length)
        });
    }
    let mut body = Vec::new();
    input.by_ref().take(length).read_to_end(&mut body)?;
    if (body.len() as u64) < length {
        return Ok(Incoming::End);
    }
    Ok(match serde_json::from_slice(&body) {
        Ok(message) => Incoming::Message(message),
        Err(error) => Incoming::NotJson(error.to_string()),
    })
}

enum Header {
    Length(u64),
    Malformed,
    End,
}

fn header(input: &mut impl BufRead) -> io::Result<Header> {
    let mut left = input.by_ref().take(LONGEST_HEADER);
    let mut length = None;
    let mut is_first = true;
    loop {
        let mut line = Vec::new();
        left.read_until(b'\n', &mut line)?;
        if line.is_empty() && is_first && left.limit() == LONGEST_HEADER {
            return Ok(Header::End);
        }
        is_first = false;
        let Some(line) = line.strip_suffix(b"\r\n") else {
            return Ok(Header::Malformed);
        };
        if line.is_empty() {
            return Ok(length.map_or(Header::Malformed, Header::Length));
        }
        let line = String::from_utf8_lossy(line);
        let Some((name, value)) = line.split_once(':') else {
            return Ok(Header::Malformed);
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok();
        }
    }
}

/// Writes a message.
pub(super) fn send(output: &mut impl Write, message: &Value) -> io::Result<()> {
    let body = json(message).map_err(io::Error::other)?;
    write!(output, "Content-Length: {}\r\n\r\n{body}", body.len())?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(text: &str) -> Vec<Incoming> {
        let mut input = text.as_bytes();
        let mut all = Vec::new();
        loop {
            let next = receive(&mut input).unwrap();
            let is_last = matches!(next, Incoming::End | Incoming::NoHeader);
            all.push(next);
            if is_last {
                return all;
            }
        }
    }

    #[test]
    fn messages_are_told_apart_by_their_lengths() {
        let text = "Content-Length: 2\r\n\r\n{}content-length: 4\r\nContent-Type: x\r\n\r\n[1]]Content-Length: 1\r\n\r\n7";
        let all = received(text);
        assert!(
            matches!(&all[..], [Incoming::Message(one), Incoming::NotJson(_), Incoming::Message(two), Incoming::End]
            if one.is_object() && two == 7)
        );
    }

    #[test]
    fn what_is_no_message_ends_or_is_passed_over() {
        for (text, last) in [
            ("", Incoming::End),
            ("Content-Length: 9\r\n\r\n{}", Incoming::End),
            (
                "Content-Length: 99999999999999999999\r\n\r\n{}",
                Incoming::NoHeader,
            ),
            (
                "Content-Length: 18446744073709551615\r\n\r\n{}",
                Incoming::End,
            ),
            ("Content-Length: -1\r\n\r\n{}", Incoming::NoHeader),
            ("{}\n", Incoming::NoHeader),
            ("\r\n", Incoming::NoHeader),
            (&"x".repeat(100_000), Incoming::NoHeader),
        ] {
            assert_eq!(received(text), [last], "{}", text.len());
        }
        let long = LONGEST + 1;
        let text = format!(
            "Content-Length: {long}\r\n\r\n{}Content-Length: 1\r\n\r\n1",
            " ".repeat(long as usize)
        );
        assert_eq!(
            received(&text),
            [
                Incoming::TooLong(long),
                Incoming::Message(Value::from(1)),
                Incoming::End
            ]
        );
    }
}
