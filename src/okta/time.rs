//! Okta's times, as they are written in real exports.

use chrono::{NaiveDate, NaiveDateTime};

use crate::event::Time;

/// The moment that a `published` text names: RFC 3339 with any fraction (cut at
/// nanoseconds), or without `T` or without a zone, which is then UTC. `None`
/// for everything else, such as `redacted`.
#[must_use]
pub fn parse_time(text: &str) -> Option<Time> {
    let text = text.trim();
    in_utc(text)
        .or_else(|| Time::parse(text))
        .or_else(|| without_zone(text))
}

/// The form that Okta itself writes, `2026-03-02T10:00:00.123Z`: every event has one.
fn in_utc(text: &str) -> Option<Time> {
    let bytes: &[u8; 24] = text.as_bytes().try_into().ok()?;
    let [
        y1,
        y2,
        y3,
        y4,
        b'-',
        o1,
        o2,
        b'-',
        d1,
        d2,
        b'T',
        h1,
        h2,
        b':',
        m1,
        m2,
        b':',
        s1,
        s2,
        b'.',
        f1,
        f2,
        f3,
        b'Z',
    ] = *bytes
    else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_u32, |number, digit| {
            digit
                .is_ascii_digit()
                .then(|| 10 * number + u32::from(digit - b'0'))
        })
    };
    let year = i32::try_from(number(&[y1, y2, y3, y4])?).ok()?;
    let day = NaiveDate::from_ymd_opt(year, number(&[o1, o2])?, number(&[d1, d2])?)?;
    let (hour, minute) = (number(&[h1, h2])?, number(&[m1, m2])?);
    let moment = day.and_hms_milli_opt(hour, minute, number(&[s1, s2])?, number(&[f1, f2, f3])?)?;
    moment.and_utc().timestamp_nanos_opt().map(Time)
}

fn without_zone(text: &str) -> Option<Time> {
    let text = text.strip_suffix('Z').unwrap_or(text).replacen(' ', "T", 1);
    let moment = NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    moment.and_utc().timestamp_nanos_opt().map(Time)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// What Okta writes is read as by the general parser.
        #[test]
        fn the_common_form_is_read_as_all_others(text in "(1[67]|2[0-4])[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]\\.[0-9]{3}Z") {
            let general = Time::parse(&text).or_else(|| without_zone(&text));
            proptest::prop_assert_eq!(parse_time(&text), general);
        }
    }

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
