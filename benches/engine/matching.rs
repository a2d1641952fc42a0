//! From a record to its matches, by how many rules there are. With no rule at
//! all what is left is reading; the difference to it is matching.

use std::path::Path;

use divan::Bencher;
use divan::counter::ItemsCount;
use rulectl::detect::{Detector, Match};
use rulectl::okta::{Mapping, Records};

use crate::{events, rules};

const EVENTS: usize = 2_000;

/// Generated rules.
#[divan::bench(args = [0, 100, 1_000])]
fn generated_rules(bencher: Bencher<'_, '_>, count: usize) {
    measure(bencher, rules::generated(count).path());
}

/// Five scripts, each asked of every event that passes a line: all, those of one type, none.
#[divan::bench(args = ["*", "user.session.start", "never"])]
fn scripts_behind_a_line(bencher: Bencher<'_, '_>, event_type: &str) {
    measure(bencher, rules::scripted(5, event_type).path());
}

/// The Okta rules of SigmaHQ.
#[divan::bench]
fn real_rules(bencher: Bencher<'_, '_>) {
    measure(bencher, &rules::project("fixtures/sigma/okta"));
}

fn measure(bencher: Bencher<'_, '_>, rules: &Path) {
    let detector = rules::detector(rules);
    let lines = events::lines(EVENTS);
    bencher
        .counter(ItemsCount::new(EVENTS))
        .bench(|| matches(&detector, &lines));
}

/// The matches of all events.
pub fn matches(detector: &Detector, lines: &[String]) -> Vec<Match> {
    let mut records = Records::new(Mapping::Auto, detector.wanted());
    let mut scratch = detector.scratch();
    let mut matches = Vec::new();
    for line in lines {
        let read = records.read(line.as_bytes(), &mut |event, _| {
            detector.scan(&mut scratch, event, &mut matches);
        });
        assert_eq!(read, Ok(()));
    }
    matches
}
