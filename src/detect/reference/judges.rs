//! Functions of scripts about windows and findings, and what each means in plain code.

use std::collections::BTreeSet;

use crate::detect::reference::correlation::{Correlation, Occurrence, Satisfying};
use crate::detect::reference::sums::number;

/// A function that looks at a window.
pub struct Judge {
    pub name: &'static str,
    /// Whether it gives a number, or else says yes (1) or no.
    pub is_bounded: bool,
    body: &'static str,
    /// What it says; nothing where it fails.
    pub means: fn(&[&Satisfying]) -> Option<f64>,
}

pub const JUDGES: [Judge; 7] = [
    Judge {
        name: "size",
        is_bounded: true,
        body: "window.count",
        means: |window| Some(window.len() as f64),
    },
    Judge {
        name: "two_and_more",
        is_bounded: false,
        body: "window.events.len() >= 2 && window.count >= 2",
        means: |window| yes(window.len() >= 2),
    },
    Judge {
        name: "kinds",
        is_bounded: true,
        body: "window.distinct_values(\"what\").len()",
        means: |window| {
            let values = window.iter().flat_map(|(event, _)| all(event, "what"));
            let folded: BTreeSet<String> = values.map(|value| value.to_lowercase()).collect();
            Some(folded.len() as f64)
        },
    },
    Judge {
        name: "comes_back",
        is_bounded: false,
        body: "let first = window.events[0].field_values(\"what\");
               for value in window.newest.field_values(\"what\") { if value in first { return true; } }
               false",
        means: |window| {
            let (first, newest) = (all(&window[0].0, "what"), window.last()?);
            yes(all(&newest.0, "what").iter().any(|value| first.contains(value)))
        },
    },
    Judge {
        name: "lasts",
        is_bounded: true,
        body: "seconds_between(window.events[0].time, window.newest.time)",
        means: |window| Some((window.last()?.0.at - window[0].0.at) as f64),
    },
    Judge {
        name: "satisfied",
        is_bounded: true,
        body: "let rules = 0; for event in window.events { rules += event.rules.len(); } rules",
        means: |window| Some(window.iter().map(|(_, rules)| rules.len()).sum::<usize>() as f64),
    },
    Judge {
        name: "total",
        is_bounded: true,
        body: "let total = 0.0; for event in window.events { total += number(event.field(\"num\")); } total",
        means: |window| {
            let only = |(event, _): &&Satisfying| match all(event, "num").as_slice() {
                [text] => number(text),
                _ => None,
            };
            window.iter().try_fold(0.0, |total, event| Some(total + only(event)?))
        },
    },
];

/// The script with all of them, and the function that describes findings.
pub fn script() -> String {
    let judges = JUDGES.iter().map(|judge| {
        let Judge { name, body, .. } = judge;
        format!("fn {name}(window) {{ {body} }}\n")
    });
    judges.collect::<String>()
        + "fn describe(finding) {
               let severity = if finding.hits > 2 { \"critical\" } else if finding.user == () { \"low\" } else { \"medium\" };
               let lasts = seconds_between(finding.first_seen, finding.last_seen);
               let kinds = finding.metadata_values(\"what\").len();
               let user = if finding.user == () { \"nobody\" } else { finding.user };
               #{severity: severity, summary: `${finding.count} of ${finding.level}, ${lasts} s, ${kinds} kinds, ${user}`}
           }\n"
}

/// What that function says of a finding with these events and so many hits.
pub fn described(
    correlation: &Correlation,
    events: &[&Occurrence],
    hits: usize,
) -> (String, String) {
    let users = correlation.user.map(|user| {
        let values = events.iter().flat_map(|event| all(event, user));
        values.collect::<BTreeSet<_>>()
    });
    let users: Vec<String> = users.into_iter().flatten().collect();
    let user = match users.as_slice() {
        [user] => Some(user.as_str()),
        _ => None,
    };
    let severity = match user {
        _ if hits > 2 => "critical",
        Some(_) => "medium",
        None => "low",
    };
    let kinds: BTreeSet<String> = events.iter().flat_map(|event| all(event, "what")).collect();
    let lasts = match (events.first(), events.last()) {
        (Some(first), Some(last)) => last.at - first.at,
        _ => 0,
    };
    let level = if correlation.is_high { "high" } else { "low" };
    let summary = format!(
        "{} of {level}, {lasts}.0 s, {} kinds, {}",
        events.len(),
        kinds.len().min(10),
        user.unwrap_or("nobody"),
    );
    (severity.to_owned(), summary)
}

fn all(event: &Occurrence, field: &str) -> Vec<String> {
    event.values.get(field).cloned().unwrap_or_default()
}

fn yes(said: bool) -> Option<f64> {
    Some(f64::from(u8::from(said)))
}
