//! One record, as it stands on its line.
//!
//! The keys of a line are sorted, so that its layout is fixed, and its hash is that of the line
//! without the key `hash`.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::audit::canonical::{Fault, MAX_DEPTH, Reader, parse, write_text};
use crate::event::{Digest, Time};

/// The longest line, and as much is written at a time.
pub const BATCH: usize = 4 << 20;

/// What a line takes beside its body, at the most.
pub(super) const FRAME: usize = 512;

/// What stands where there is no record before.
pub const NOTHING: [u8; 32] = [0; 32];

/// A record of the log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// What it says.
    pub body: Value,
    /// The digest of everything else in it.
    pub hash: Digest,
    /// What kind of thing it says.
    pub kind: String,
    /// Microseconds of a clock that never steps back, since the writer opened the log.
    pub mono: u64,
    /// The hash of the record before.
    pub prev: Digest,
    /// The run (process) that wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Uuid>,
    /// Its number in the log, from 0.
    pub seq: u64,
    /// When it was written, by the clock on the wall.
    pub time: Time,
}

/// A kind is a short word of small letters, digits, dots, dashes and underscores.
pub fn is_kind(kind: &str) -> bool {
    let is_part = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    (1..=64).contains(&kind.len()) && kind.bytes().all(is_part)
}

/// What a new record has beside its body.
pub(super) struct Head<'h> {
    pub(super) kind: &'h str,
    pub(super) mono: u64,
    pub(super) prev: Digest,
    pub(super) run: Option<Uuid>,
    pub(super) seq: u64,
    pub(super) time: Time,
}

/// Adds the line of a record whose body is in canonical form, and gives its hash.
pub(super) fn write_line(head: &Head, body: &str, out: &mut Vec<u8>) -> Digest {
    let mut rest = String::from("\"kind\":");
    write_text(head.kind, &mut rest);
    rest.push_str(&format!(
        ",\"mono\":{},\"prev\":\"{}\"",
        head.mono, head.prev
    ));
    if let Some(run) = head.run {
        rest.push_str(&format!(",\"run\":\"{run}\""));
    }
    rest.push_str(&format!(
        ",\"seq\":{},\"time\":\"{}\"}}",
        head.seq, head.time
    ));
    let hash = digest_of(["{\"body\":", body, ",", &rest]);
    for part in [
        "{\"body\":",
        body,
        ",\"hash\":\"",
        &hash.to_string(),
        "\",",
        &rest,
        "\n",
    ] {
        out.extend_from_slice(part.as_bytes());
    }
    hash
}

fn digest_of<const N: usize>(parts: [&str; N]) -> Digest {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    Digest::of_bytes(hash.finalize().into())
}

/// A line that has the form of a record: each part of it is canonical, its hash is not looked at.
pub struct Line<'l> {
    /// The text of its body.
    pub body: &'l str,
    /// The hash that it claims.
    pub hash: Digest,
    /// See [`Record::kind`].
    pub kind: &'l str,
    /// See [`Record::mono`].
    pub mono: u64,
    /// See [`Record::prev`].
    pub prev: Digest,
    /// See [`Record::run`].
    pub run: Option<Uuid>,
    /// See [`Record::seq`].
    pub seq: u64,
    /// See [`Record::time`].
    pub time: Time,
    /// What stands before and behind the key `hash`.
    hashed: [&'l str; 2],
}

impl<'l> Line<'l> {
    /// Reads a line without its line break.
    ///
    /// # Errors
    ///
    /// Where it is not a record in canonical form.
    pub fn read(line: &'l [u8]) -> Result<Self, Fault> {
        let text = simdutf8::compat::from_utf8(line).map_err(|error| Fault {
            at: error.valid_up_to(),
            what: "bytes that are not UTF-8",
        })?;
        let mut reader = Reader::new(text);
        reader.expect("{\"body\":", "expected a record")?;
        let from = reader.at();
        reader.value::<false>(MAX_DEPTH)?;
        let body = text.get(from..reader.at()).unwrap_or_default();
        reader.expect(",", "expected `,`")?;
        let before = text.get(..reader.at()).unwrap_or_default();
        let hash = digest(&mut reader, "\"hash\":\"")?;
        reader.expect(",", "expected `,`")?;
        let behind = text.get(reader.at()..).unwrap_or_default();
        let line = Self {
            body,
            hash,
            kind: kind(&mut reader)?,
            mono: number(&mut reader, ",\"mono\":")?,
            prev: digest(&mut reader, ",\"prev\":\"")?,
            run: run(&mut reader)?,
            seq: number(&mut reader, ",\"seq\":")?,
            time: time(&mut reader)?,
            hashed: [before, behind],
        };
        reader.expect("}", "expected `}`")?;
        reader.end()?;
        Ok(line)
    }

    /// The hash that it should have.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest_of(self.hashed)
    }

    /// The record, with its body as a value.
    #[must_use]
    pub fn record(&self) -> Record {
        Record {
            body: self.value(),
            hash: self.hash,
            kind: self.kind.to_owned(),
            mono: self.mono,
            prev: self.prev,
            run: self.run,
            seq: self.seq,
            time: self.time,
        }
    }

    /// The body as a value.
    #[must_use]
    pub fn value(&self) -> Value {
        parse(self.body).unwrap_or_default() // it was read as canonical
    }
}

fn kind<'l>(reader: &mut Reader<'l>) -> Result<&'l str, Fault> {
    reader.expect("\"kind\":\"", "expected the key `kind`")?;
    let fault = reader.fault("a kind that is none");
    let kind = reader.plain(fault.what)?;
    reader.expect("\"", fault.what)?;
    is_kind(kind).then_some(kind).ok_or(fault)
}

fn number(reader: &mut Reader, key: &str) -> Result<u64, Fault> {
    reader.expect(key, "expected another key")?;
    let fault = reader.fault("expected a whole number");
    reader.number()?.as_u64().ok_or(fault)
}

fn digest(reader: &mut Reader, key: &str) -> Result<Digest, Fault> {
    reader.expect(key, "expected another key")?;
    let fault = reader.fault("expected a SHA-256 digest in small letters");
    let digits = reader.plain(fault.what)?;
    reader.expect("\"", fault.what)?;
    read_digest(digits).ok_or(fault)
}

/// The digest that exactly these 64 digits are.
pub(super) fn read_digest(digits: &str) -> Option<Digest> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
        let [high, low] = pair else { return None };
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Some(Digest::of_bytes(bytes))
}

fn run(reader: &mut Reader) -> Result<Option<Uuid>, Fault> {
    if !reader.take(",\"run\":\"") {
        return Ok(None);
    }
    let fault = reader.fault("expected the id of a run");
    let text = reader.plain(fault.what)?;
    reader.expect("\"", fault.what)?;
    let run = Uuid::try_parse(text).map_err(|_| fault)?;
    let is_written_so = *text == *run.as_hyphenated().encode_lower(&mut Uuid::encode_buffer());
    is_written_so.then_some(Some(run)).ok_or(fault)
}

fn time(reader: &mut Reader) -> Result<Time, Fault> {
    reader.expect(",\"time\":\"", "expected the key `time`")?;
    let fault = reader.fault("expected a time");
    let text = reader.plain(fault.what)?;
    reader.expect("\"", fault.what)?;
    let time = Time::parse(text).ok_or(fault)?;
    (time.to_string() == text).then_some(time).ok_or(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(run: Option<Uuid>) -> Vec<u8> {
        let head = Head {
            kind: "finding",
            mono: 12,
            prev: Digest::of(b"before"),
            run,
            seq: 7,
            time: Time::parse("2026-11-22T08:00:00.123456789Z").expect("a time"),
        };
        let mut line = Vec::new();
        write_line(&head, r#"{"a":"é","hash":"x"}"#, &mut line);
        assert_eq!(line.pop(), Some(b'\n'));
        line
    }

    #[test]
    fn a_line_reads_back_and_its_hash_is_that_of_the_rest() {
        for run in [None, Some(Uuid::nil())] {
            let line = line(run);
            let read = Line::read(&line).expect("a record");
            assert_eq!(read.hash, read.digest());
            let record = read.record();
            assert_eq!((record.seq, record.mono, record.run), (7, 12, run));
            assert_eq!(record.body, serde_json::json!({"a": "é", "hash": "x"}));
            // As anyone can check: without the key `hash`, in canonical form.
            let mut value: Value = serde_json::from_slice(&line).expect("JSON");
            value.as_object_mut().expect("an object").remove("hash");
            let text = crate::audit::canonical::canonical(&value).expect("canonical");
            assert_eq!(Digest::of(text.as_bytes()), record.hash);
            let whole = serde_json::to_value(&record).expect("JSON");
            let text = crate::audit::canonical::canonical(&whole).expect("canonical");
            assert_eq!(text.as_bytes(), line, "as it is serialized");
        }
    }

    #[test]
    fn any_other_byte_is_another_hash_or_no_record() {
        let line = line(Some(Uuid::nil()));
        for at in 0..line.len() {
            for byte in 0..=255 {
                let mut changed = line.clone();
                changed[at] = byte;
                if byte != line[at] {
                    let stands = Line::read(&changed).is_ok_and(|read| read.hash == read.digest());
                    assert!(!stands, "byte {at} as {byte}");
                }
            }
        }
    }
}
