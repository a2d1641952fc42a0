//! A saved state.

use std::sync::LazyLock;

use rulectl::detect::{Detector, Lists, Match, Windows, decode_rule};
use rulectl::diag::Problems;
use rulectl::document::parse_yaml_documents;
use rulectl::event::{Digest, Time};
use rulectl::okta::{Mapping, Records};

/// Rules of many types: each has something of its own to restore.
const RULES: &str = include_str!("state.yml");

static DETECTOR: LazyLock<Detector> = LazyLock::new(|| {
    let mut problems = Problems::default();
    let file = problems.add_file("rules.yml", RULES);
    let lists = Lists::default();
    let rules: Vec<_> = parse_yaml_documents(file, RULES, &mut problems)
        .iter()
        .enumerate()
        .filter_map(|(at, node)| decode_rule(node, "rules.yml", at, &lists, &mut problems))
        .collect();
    assert!(!problems.has_errors());
    Detector::compile(&rules, &Default::default(), &mut problems)
});

/// The state after so many events, for seeds.
pub fn made_up_state(events: i64) -> Vec<u8> {
    let detector = &*DETECTOR;
    let mut records = Records::new(Mapping::Okta, detector.wanted());
    let mut scratch = detector.scratch();
    let mut matches: Vec<Match> = Vec::new();
    for at in 0..events {
        let time = Time(at * 97 * 1_000_000_000);
        let (letter, who) = (
            ["a", "a", "b"][at as usize % 3],
            ["ann", "bob"][at as usize / 3 % 2],
        );
        let record = format!(
            r#"{{"uuid":"{at}","published":"{time}","eventType":"e","letter":"{letter}","who":"{who}","what":"w{}","n":{at}}}"#,
            at % 5
        );
        let read = records.read(record.as_bytes(), &mut |event, _| {
            detector.scan(&mut scratch, event, &mut matches);
        });
        assert_eq!(read, Ok(()), "{record}");
    }
    matches.sort_by(Match::compare);
    let mut windows = Windows::new(detector);
    for found in matches {
        windows.advance(detector, found);
    }
    windows.save(detector)
}

/// The magic bytes, the version and the digest.
const FRAME: usize = 8 + 1 + 32;

/// Bytes as a state: they are refused, or windows that go on and can be saved again, to the
/// same state. What stands behind the frame is tried under the digest that it has, too.
pub fn state(bytes: &[u8]) {
    tried(bytes);
    if let (Some(head), Some(body)) = (bytes.get(..FRAME - 32), bytes.get(FRAME..)) {
        tried(&[head, Digest::of(body).as_bytes(), body].concat());
    }
}

fn tried(bytes: &[u8]) {
    let detector = &*DETECTOR;
    let Ok((mut windows, _)) = Windows::restore(detector, bytes) else {
        return;
    };
    let saved = windows.save(detector);
    let again = Windows::restore(detector, &saved).map(|(windows, _)| windows.save(detector));
    assert_eq!(
        again.as_deref(),
        Ok(saved.as_slice()),
        "saved again, it is another"
    );
    windows.pass(detector, Time(0));
    windows.pass(detector, Time(1_000_000_000_000));
    let end = windows.finish(detector, Some(Time(i64::MAX)), |finding| {
        assert!(serde_json::to_string(&finding).is_ok());
        Ok::<(), ()>(())
    });
    assert!(end.is_ok());
}
