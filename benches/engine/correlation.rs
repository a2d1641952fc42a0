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

/// 100,000 accounts over thirty days, each from the same two networks, and one in a
/// hundred from another.
#[divan::bench]
fn first_seen(bencher: Bencher<'_, '_>) {
    const ACCOUNTS: usize = 100_000;
    let apart = 30 * 86_400_000 / (4 * ACCOUNTS);
    measure_with("benches/first_seen.yml", bencher, 4 * ACCOUNTS, |number| {
        let (account, turn) = (number % ACCOUNTS, number / ACCOUNTS);
        let network = if turn == 3 && account % 100 == 0 {
            7
        } else {
            turn % 2
        };
        sign_in(number, number * apart, account, network)
    });
}

/// Each failure of an account waits ten minutes for a success, which comes to half of them.
#[divan::bench]
fn absent(bencher: Bencher<'_, '_>) {
    measure_with("benches/absent.yml", bencher, MATCHES, |number| {
        let account = number / 3 * 2 + number % 3 / 2;
        let result = if number % 3 == 1 {
            "SUCCESS"
        } else {
            "FAILURE"
        };
        failed_sign_in(number, number * 50, account).replace("FAILURE", result)
    });
}

/// Correlates failed sign-ins, so many milliseconds apart, of the accounts that
/// `account` numbers.
fn measure(bencher: Bencher<'_, '_>, apart: usize, account: impl Fn(usize) -> usize) {
    measure_with("benches/burst.yml", bencher, MATCHES, |number| {
        failed_sign_in(number, number * apart, account(number))
    });
}

/// Correlates so many events by the rules of a file.
fn measure_with(
    file: &str,
    bencher: Bencher<'_, '_>,
    events: usize,
    event: impl Fn(usize) -> String,
) {
    let detector = rules::detector(&rules::project(file));
    let lines: Vec<String> = (0..events).map(event).collect();
    let mut matches = matches(&detector, &lines);
    matches.sort_by(Match::compare);
    assert_eq!(matches.len(), events);
    bencher
        .counter(ItemsCount::new(events))
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

fn sign_in(number: usize, milliseconds: usize, account: usize, network: usize) -> String {
    let line = failed_sign_in(number, milliseconds, account).replace("FAILURE", "SUCCESS");
    let client = format!(r#","client":{{"ipAddress":"192.0.{network}.1"}}}}"#);
    format!("{}}}{client}", line.trim_end_matches('}'))
}
