//! The audit for a person, and for spreadsheets.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::audit::canonical::canonical;
use crate::audit::{Doomed, Finding, Record, Recovery, Report};
use crate::diag::{counted, grouped};
use crate::render::style::{Styles, field, raw_field, styled, time};
use crate::visible::{json, visible};

/// What became of verifying.
#[must_use]
pub fn verified(folder: &Path, report: &Report) -> String {
    let folder = visible(&folder.display().to_string());
    let (style, word) = if report.verified {
        (Styles::GOOD, "verified")
    } else {
        (Styles::BAD, "does not verify")
    };
    let mut out = format!("{style}{word}{style:#}: the audit in `{folder}`\n");
    if let Some(log) = report.log {
        raw_field(&mut out, "log", &log.to_string());
    }
    let records = counted(report.records, "record");
    let segments = counted(report.segments, "segment");
    let bytes = counted(report.bytes, "byte");
    raw_field(
        &mut out,
        "read",
        &format!("{records} in {segments}, {bytes}"),
    );
    if let Some((seq, hash)) = report.end {
        raw_field(&mut out, "end", &format!("{seq}:{hash}"));
    }
    let checkpoints = counted(report.checkpoints, "checkpoint");
    let signed = grouped(report.signed);
    raw_field(
        &mut out,
        "sealed",
        &format!("{checkpoints}, {signed} signed by the key"),
    );
    remarks(&mut out, report);
    for finding in &report.findings {
        out.push_str(&found(finding));
    }
    if report.more > 0 {
        let _ = writeln!(out, "  and {} more", grouped(report.more));
    }
    if !report.unproved.is_empty() {
        out.push_str("not proved:\n");
        for unproved in &report.unproved {
            let _ = writeln!(out, "  {unproved}");
        }
    }
    out
}

/// What was removed or lost, as the log itself says.
fn remarks(out: &mut String, report: &Report) {
    let bodies = format!("{} whole", counted_bodies(report.bodies));
    raw_field(out, "bodies", &bodies);
    for pruned in &report.pruned {
        let text = format!(
            "{} on {} (record {}): {}",
            counted_bodies(pruned.bodies),
            time(Some(pruned.time)),
            pruned.seq,
            pruned.reason
        );
        field(out, "pruned", &text);
    }
    for torn in &report.torn {
        let bytes = counted(torn.bytes, "byte");
        let text = format!(
            "{bytes} that a crash left, kept in {} (record {})",
            torn.file, torn.seq
        );
        field(out, "torn", &text);
    }
    if report.unknown > 0 {
        let intents = counted(report.unknown, "intent");
        raw_field(
            out,
            "unknown",
            &format!("{intents} whose outcome is not known"),
        );
    }
}

fn counted_bodies(bodies: u64) -> String {
    match bodies {
        1 => "1 body".to_owned(),
        bodies => format!("{} bodies", grouped(bodies)),
    }
}

fn found(finding: &Finding) -> String {
    let mut place = finding.file.clone().unwrap_or_default();
    if let Some(line) = finding.line {
        let _ = write!(place, ":{line}");
    }
    if let Some(seq) = finding.seq {
        let _ = write!(place, " (record {seq})");
    }
    let dash = if place.is_empty() { "" } else { ": " };
    format!(
        "  {}{dash}{}\n",
        styled(Styles::HEADING, &place),
        visible(&finding.what)
    )
}

/// What opening an audit set right, a line each.
#[must_use]
pub fn recovered(recovery: &Recovery) -> Vec<String> {
    let torn = recovery.torn.iter().map(|torn| {
        let bytes = counted(torn.bytes, "byte");
        format!(
            "a crash left {bytes} at the end of the audit's {} that are no record; they are in its {}",
            torn.segment, torn.file
        )
    });
    let unknown = recovery.unknown.iter().map(|unknown| {
        format!(
            "it is not known what became of record {} of the audit, `{}`: the program ended before it could say",
            unknown.intent, unknown.kind
        )
    });
    torn.chain(unknown).collect()
}

/// A record on one line.
#[must_use]
pub fn recorded(record: &Record) -> String {
    let body = json(&record.body).unwrap_or_default();
    let (time, kind) = (
        time(Some(record.time)),
        styled(Styles::HEADING, &record.kind),
    );
    format!("{:>7}  {time}  {kind}  {body}\n", record.seq)
}

/// What a prune removed, or would.
#[must_use]
pub fn pruned(doomed: &Doomed, is_dry: bool) -> String {
    let would = if is_dry { "would remove" } else { "removed" };
    let mut out = format!("{would} {}", counted_bodies(doomed.named.len() as u64));
    if !doomed.orphans.is_empty() {
        let files = counted(doomed.orphans.len() as u64, "file");
        let _ = write!(out, " and {files} that no record names");
    }
    let _ = writeln!(out, ", {} on disk", counted(doomed.bytes(), "byte"));
    for digest in doomed.named.iter().filter_map(|stored| stored.digest) {
        let _ = writeln!(out, "  {digest}");
    }
    out
}

/// The names of the columns of [`as_csv`].
pub const CSV_HEADER: &str = "seq,time,run,kind,ids,body\r\n";

/// A record as a row of a table.
#[must_use]
pub fn as_csv(record: &Record) -> String {
    let mut ids = Vec::new();
    collect_ids(&record.body, &mut ids);
    let cells = [
        record.seq.to_string(),
        record.time.to_string(),
        record.run.map(|run| run.to_string()).unwrap_or_default(),
        record.kind.clone(),
        ids.join(" "),
        canonical(&record.body).unwrap_or_default(),
    ];
    cells.map(|cell| csv_cell(&cell)).join(",") + "\r\n"
}

/// The texts under `id` and keys that end in `_id`, each once.
fn collect_ids<'v>(value: &'v Value, ids: &mut Vec<&'v str>) {
    const MOST: usize = 20;
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_ids(item, ids)),
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(id) if key == "id" || key.ends_with("_id") => {
                        if ids.len() < MOST && !ids.contains(&id.as_str()) {
                            ids.push(id);
                        }
                    }
                    inner => collect_ids(inner, ids),
                }
            }
        }
        _ => {}
    }
}

/// A cell by RFC 4180; one that a spreadsheet would take for a formula has a `'` before it.
pub(super) fn csv_cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let text = if is_formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains(['"', ',', '\r', '\n', '\'']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::audit::record::NOTHING;
    use crate::event::{Digest, Time};

    fn record(body: Value) -> Record {
        Record {
            body,
            hash: Digest::of_bytes(NOTHING),
            kind: "finding".to_owned(),
            mono: 0,
            prev: Digest::of_bytes(NOTHING),
            run: None,
            seq: 7,
            time: Time(0),
        }
    }

    #[test]
    fn a_row_is_quoted_and_starts_no_formula() {
        let cases = [
            ("plain", "plain"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@x", "\"'@x\""),
            ("\tx", "\"'\tx\""),
        ];
        for (text, expected) in cases {
            assert_eq!(csv_cell(text), expected);
        }
        let body = json!({"id": "=cmd|' /C calc'!A0", "more": [{"finding_id": "f", "ids": "no", "id": "f"}]});
        let row = as_csv(&record(body));
        let begin = "7,1970-01-01T00:00:00Z,,finding,\"'=cmd|' /C calc'!A0 f\",";
        assert!(row.starts_with(begin), "{row}");
        assert!(row.ends_with("}\"\r\n"));
    }

    #[test]
    fn a_line_shows_nothing_raw() {
        let line = recorded(&record(json!({"\u{1b}[2J": "\u{202e}x\ny"})));
        assert_eq!(line.matches('\n').count(), 1);
        let line = line.replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
        assert!(
            !line.trim_end().chars().any(crate::visible::is_deceptive),
            "{line:?}"
        );
    }
}
