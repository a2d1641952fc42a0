//! Writing matches as lines of JSON.

use std::io;

use divan::Bencher;
use divan::counter::ItemsCount;
use rulectl::pipeline::DetectSink;
use rulectl::render::Lines;

use crate::matching::matches;
use crate::{events, rules};

#[divan::bench]
fn matches_as_lines(bencher: Bencher<'_, '_>) {
    let detector = rules::detector(rules::generated(1_000).path());
    let matches = matches(&detector, &events::lines(10_000));
    assert!(!matches.is_empty());
    bencher.counter(ItemsCount::new(matches.len())).bench(|| {
        let mut lines = Lines::new(&detector, io::sink(), None::<io::Sink>);
        for found in &matches {
            let rule = detector.heading(found).expect("matches are reported");
            lines
                .found(rule, found)
                .expect("nothing keeps it from being written");
        }
    });
}
