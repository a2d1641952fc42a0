//! A segment of an audit.

use std::fs;

use rulectl::audit::canonical::{canonical, parse};
use rulectl::audit::record::Line;
use rulectl::audit::{Against, Audit, Options, Pin, read, verify};

/// Bytes as lines: each is no record, or its body is what its canonical text says, and it is
/// written so again. As a segment: what verifies is read to its end, and the other way round what
/// can be read is told by no finding about its lines; opening it for writing refuses it, or
/// leaves a log that verifies.
pub fn audit(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n') {
        self::line(line);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(value) = parse(text) {
            assert_eq!(canonical(&value).as_deref(), Ok(text));
        }
        let _ = Pin::parse(text);
    }
    segment(bytes);
}

fn line(bytes: &[u8]) {
    let Ok(line) = Line::read(bytes) else {
        return;
    };
    let record = line.record();
    assert_eq!(canonical(&record.body).as_deref(), Ok(line.body));
    let whole = serde_json::to_value(&record).expect("a record is JSON");
    let again = canonical(&whole).expect("it was canonical");
    assert_eq!(again.as_bytes(), bytes);
}

fn segment(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("2026-11-22.jsonl");
    fs::write(&path, bytes).expect("written");
    let verified = || verify(folder.path(), &Against::default(), &mut |_, _| {});
    let report = verified().expect("a log");
    assert_eq!(report.verified, report.findings.is_empty());
    let is_read = read(folder.path())
        .expect("a log")
        .all(|record| record.is_ok());
    assert!(
        is_read || !report.verified,
        "it verifies and cannot be read"
    );
    let Ok((audit, _)) = Audit::open(folder.path(), Options::live(None)) else {
        let now = fs::read(&path).expect("it is there");
        assert_eq!(now, bytes, "what is refused is not touched");
        return;
    };
    audit.close().expect("closed");
    assert!(
        read(folder.path())
            .expect("a log")
            .all(|record| record.is_ok())
    );
}
