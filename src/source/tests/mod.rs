//! What is found in a text, whatever the chunk size and the compression.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail that way"
)]

mod inputs;
mod lines;
mod properties;
mod structure;

use std::io::Write;

use super::{Input, Limits, Reader};

/// The record limit of these tests.
const LIMIT: usize = 1024;

/// Everything that a reader gave: records as `line: text`, rejects as `line! reason: text`, errors
/// as they are shown, each kind in its order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    records: Vec<String>,
    rejects: Vec<String>,
    errors: Vec<String>,
    /// Bytes in records and rejects.
    kept: u64,
    /// Bytes in all chunks.
    bytes: u64,
}

/// Checks that a text gives these records and rejects, in the notation of [`Found`] with `⏎` for
/// the ends of lines.
#[track_caller]
fn check(text: impl AsRef<[u8]>, records: &[&str], rejects: &[&str]) {
    let found = same_whichever_way(text.as_ref());
    assert_eq!(
        (found.records, found.rejects),
        (owned(records), owned(rejects))
    );
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// Reads a text in chunks of several sizes, plain and compressed, and checks that it makes no
/// difference.
#[track_caller]
fn same_whichever_way(text: &[u8]) -> Found {
    let limits = |chunk| Limits {
        chunk,
        record: LIMIT,
    };
    let whole = read(text, limits(1 << 20));
    assert_eq!(whole.bytes, text.len() as u64);
    for chunk in [1, 16, 64] {
        assert_eq!(read(text, limits(chunk)), whole, "chunks of {chunk} bytes");
    }
    for chunk in [16, 1 << 20] {
        assert_eq!(read(&gzip(text), limits(chunk)), whole, "gzip");
        assert_eq!(read(&zstd(text), limits(chunk)), whole, "zstd");
    }
    whole
}

fn read(bytes: &[u8], limits: Limits) -> Found {
    let input = Input::Memory {
        name: "test".to_owned(),
        bytes: bytes.into(),
    };
    found(Reader::with_limits(vec![input], limits))
}

fn found(reader: Reader) -> Found {
    let mut found = Found::default();
    for chunk in reader {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => {
                found.errors.push(error.to_string());
                continue;
            }
        };
        found.bytes += chunk.bytes();
        for record in chunk.records() {
            found.kept += record.bytes.len() as u64;
            found
                .records
                .push(format!("{}: {}", record.place.line, shown(record.bytes)));
        }
        for reject in chunk.rejects() {
            found.kept += reject.length;
            let (line, reason) = (reject.place.line, &reject.reason);
            found
                .rejects
                .push(format!("{line}! {reason}: {}", shown(&reject.bytes)));
        }
    }
    found
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\n', "⏎")
}

/// The text in two gzip members, cut in the middle.
fn gzip(text: &[u8]) -> Vec<u8> {
    let (first, second) = text.split_at(text.len() / 2);
    [first, second].map(gzip_member).concat()
}

fn gzip_member(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// The text in a skippable frame and two others.
fn zstd(text: &[u8]) -> Vec<u8> {
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 7, 7];
    let (first, second) = text.split_at(text.len() / 2);
    let frame = |text| zstd::encode_all(text, 1).unwrap();
    [skippable.to_vec(), frame(first), frame(second)].concat()
}
