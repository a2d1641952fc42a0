//! Okta's times, as they are written in real exports.

use chrono::NaiveDateTime;

use crate::event::Time;

/// The moment that a `published` text names: RFC 3339 with any fraction (cut at
/// nanoseconds), or without `T` or without a zone, which is then UTC. `None`
/// for everything else, such as `redacted`.
#[must_use]
pub fn parse_time(text: &str) -> Option<Time> {
    let text = text.trim();
    Time::parse(text).or_else(|| without_zone(text))
}

fn without_zone(text: &str) -> Option<Time> {
    let text = text.strip_suffix('Z').unwrap_or(text).replacen(' ', "T", 1);
    let moment = NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    moment.and_utc().timestamp_nanos_opt().map(Time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_form_is_read_or_refused() {
        let cases = [
            ("2026-03-02T10:00:00.123Z", Some("2026-03-02T10:00:00.123Z")),
            ("2026-03-02T10:00:00Z", Some("2026-03-02T10:00:00Z")),
            (
                "2026-03-02T12:00:00.5+02:00",
                Some("2026-03-02T10:00:00.500Z"),
            ),
            ("2022-06-22 18:18:29.015", Some("2022-06-22T18:18:29.015Z")),
            ("2022-06-22 18:18:29.015Z", Some("2022-06-22T18:18:29.015Z")),
            ("2022-06-22T18:18:29", Some("2022-06-22T18:18:29Z")),
            (
                "2026-03-02T10:00:00.1234Z",
                Some("2026-03-02T10:00:00.123400Z"),
            ),
            (
                "2026-03-02T10:00:00.123456789Z",
                Some("2026-03-02T10:00:00.123456789Z"),
            ),
            ("redacted", None),
            ("", None),
            ("1772445600", None),
            ("9999-01-01T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
        ];
        for (text, expected) in cases {
            assert_eq!(
                parse_time(text).map(|t| t.to_string()).as_deref(),
                expected,
                "{text}"
            );
        }
    }
}
