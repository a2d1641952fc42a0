//! The condition of a detection.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use rulectl::detect::{Detector, Lists, Match, decode_rule};
use rulectl::diag::Problems;
use rulectl::document::parse_yaml;
use rulectl::okta::{Mapping, Records};
use rulectl::render::problems_as_text;

/// The searches that a condition may name; each asks for the field of its name.
const SEARCHES: [&str; 5] = ["a", "b", "sel_1", "sel_2", "filter_x"];

/// An event for each way in which some of the searches hold.
static EVENTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let holding = |bits: u32| {
        let fields = SEARCHES.iter().enumerate();
        let fields = fields.map(|(at, name)| format!("\"{name}\":{}", bits >> at & 1));
        fields.collect::<Vec<_>>().join(",")
    };
    (0..1 << SEARCHES.len())
        .map(|bits| format!("{{\"eventType\":\"e\",{}}}", holding(bits)))
        .collect()
});

/// What is put before a condition in brackets, and whether that holds where the condition does.
type Longer = (&'static str, fn(bool) -> bool);

/// A text as a condition is read or reported, and where it is read, it means the same as when
/// it is denied twice.
pub fn condition(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Some(satisfied) = satisfied_by(text) else {
        return;
    };
    let cases: [Longer; 4] = [
        ("not (", |held| !held),
        ("a and not a or (", |held| held),
        ("(b or not b) and (", |held| held),
        ("(a and not a) and not (", |_| false),
    ];
    for (before, expected) in cases {
        let longer = format!("{before}{text}\n)");
        // Nesting has a limit.
        if let Some(found) = satisfied_by(&longer) {
            let expected: Vec<bool> = satisfied.iter().map(|held| expected(*held)).collect();
            assert_eq!(found, expected, "{longer}");
        }
    }
}

/// For each event whether the condition holds; `None` where it was reported as wrong.
fn satisfied_by(condition: &str) -> Option<Vec<bool>> {
    let searches = SEARCHES.map(|name| format!("  {name}: {{{name}: 1}}\n"));
    let text = format!(
        "title: t\nlogsource: {{product: okta}}\ndetection:\n{}  condition: {}\n",
        searches.concat(),
        serde_json::Value::from(condition)
    );
    let mut problems = Problems::default();
    let file = problems.add_file("rule.yml", &text);
    let rule = parse_yaml(file, &text, &mut problems)
        .and_then(|node| decode_rule(&node, "rule.yml", 0, &Lists::default(), &mut problems));
    let shown = problems_as_text(&problems, false);
    let Some(rule) = rule else {
        assert!(problems.has_errors(), "not read, and nothing said: {text}");
        return None;
    };
    assert!(!problems.has_errors(), "read, and yet: {shown}");
    let detector = Detector::compile(&[rule], &BTreeSet::new(), &mut problems);
    let mut records = Records::new(Mapping::Okta, detector.wanted());
    let mut scratch = detector.scratch();
    let mut holds = |event: &String| {
        let mut matches: Vec<Match> = Vec::new();
        let read = records.read(event.as_bytes(), &mut |event, _| {
            detector.scan(&mut scratch, event, &mut matches);
        });
        assert_eq!(read, Ok(()), "{event}");
        !matches.is_empty()
    };
    Some(EVENTS.iter().map(&mut holds).collect())
}
