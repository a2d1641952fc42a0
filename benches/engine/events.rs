//! The events that are measured: the demo day, again and again, each copy with
//! people, addresses, ids and digests of its own, 40 copies a day. `benches/generate.py` does the
//! same for files of any size.

use std::fs;

use regex::{Captures, Regex};

use crate::rules::project;

/// What differs from copy to copy: the day, people, addresses, ids and digests.
const VARIES: &str = r#"(?x)
    (?<day>2026-03-02T)
  | (?<domain>@example\.com)
  | (?<address>(?:192\.0\.2|198\.51\.100|203\.0\.113)\.\d+)
  | (?<person>"(?:00u|0ua|guo|pfd)[A-Za-z0-9]{4})
  | (?<letters>"(?:requestId|authnRequestId|rootSessionId|externalSessionId|WEB","id)":"[A-Za-z0-9]{8})
  | (?<digits>"(?:uuid|dtHash|deviceFingerprint)":"[0-9a-f]{8})"#;

/// At least so many events, about 2.6 KB each, as lines.
pub fn lines(count: usize) -> Vec<String> {
    let day = fs::read_to_string(project("fixtures/logs/demo-day.ndjson")).expect("the demo day");
    let varies = Regex::new(VARIES).expect("an expression");
    let copies = (0_usize..).flat_map(|copy| {
        let varied = varies.replace_all(&day, |token: &Captures<'_>| vary(copy, token));
        varied.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    copies.take(count).collect()
}

/// The same events with blanks between their tokens, as many tools write JSON.
pub fn with_blanks(lines: &[String]) -> Vec<String> {
    let blank = Regex::new(r#"("[:,]|[0-9el\]}],)(["\[{])"#).expect("an expression");
    let spaced = lines.iter().map(|line| blank.replace_all(line, "$1 $2"));
    spaced.map(|line| line.into_owned()).collect()
}

/// All of them as one text.
pub fn text(lines: &[String]) -> Vec<u8> {
    let lines = lines.iter().flat_map(|line| [line.as_str(), "\n"]);
    lines.collect::<String>().into_bytes()
}

/// So many teams there are; each has its own people, who work on each of its days.
const TEAMS: usize = 40;

/// What stands in a copy for what varies.
fn vary(copy: usize, token: &Captures<'_>) -> String {
    let text = token.get(0).map_or("", |token| token.as_str());
    let before = |digits: usize| text.get(..text.len() - digits).unwrap_or_default();
    let team = copy % TEAMS;
    let is = |name| token.name(name).is_some();
    if is("day") {
        let day = copy / TEAMS;
        format!("2026-{:02}-{:02}T", 3 + day / 28 % 10, 1 + day % 28)
    } else if is("domain") {
        format!("@team{team}.example.com")
    } else if is("address") {
        let host = text.rsplit('.').next().unwrap_or_default();
        format!("198.18.{team}.{host}")
    } else if is("person") {
        format!("{}{team:04}", before(4))
    } else {
        format!("{}{copy:08x}", before(8))
    }
}
