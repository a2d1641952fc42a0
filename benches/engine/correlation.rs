//! From matches in the order of time to findings.

use divan::Bencher;
use divan::counter::ItemsCount;
use rulectl::detect::{Match, Windows};

use crate::matching::matches;
use crate::rules;

const MATCHES: usize = 100_000;

/// Every account fails eight times in eight seconds, and again after an hour.
#[divan::bench]
fn bursts(bencher: Bencher<'_, '_>) {
    measure(bencher, 1_000, |number| number / 8 % 500);
}

/// Every account fails once, all within ten minutes.
#[divan::bench]
fn groups_of_one(bencher: Bencher<'_, '_>) {
    measure(bencher, 5, |number| number);
}

/// Correlates failed sign-ins, so many milliseconds apart, of the accounts that
/// `account` numbers.
fn measure(bencher: Bencher<'_, '_>, apart: usize, account: impl Fn(usize) -> usize) {
    let detector = rules::detector(&rules::project("benches/burst.yml"));
    let lines: Vec<String> = (0..MATCHES)
        .map(|number| failed_sign_in(number, number * apart, account(number)))
        .collect();
    let mut matches = matches(&detector, &lines);
    matches.sort_by(Match::compare);
    assert_eq!(matches.len(), MATCHES);
    bencher
        .counter(ItemsCount::new(MATCHES))
        .with_inputs(|| matches.clone())
        .bench_values(|matches| {
            let mut windows = Windows::new(&detector);
            let mut findings = 0;
            for found in matches {
                findings += windows.advance(&detector, found).len();
            }
            let end = windows.finish(&detector, None, |_| {
                findings += 1;
                Ok::<(), ()>(())
            });
            assert!(end.is_ok());
            findings
        });
}

fn failed_sign_in(number: usize, milliseconds: usize, account: usize) -> String {
    let (seconds, fraction) = (milliseconds / 1_000, milliseconds % 1_000);
    let (minutes, second) = (seconds / 60, seconds % 60);
    let (hours, minute) = (minutes / 60, minutes % 60);
    let (day, hour) = (hours / 24 + 1, hours % 24);
    format!(
        r#"{{"uuid":"{number:08x}-8d7c-11f1-8c53-06d7b1b1a1a1","published":"2026-03-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z","eventType":"user.session.start","outcome":{{"result":"FAILURE"}},"actor":{{"alternateId":"user{account}@example.com"}}}}"#
    )
}
