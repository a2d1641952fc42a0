//! Splitting a text into records. Nothing is parsed here.

use std::sync::Arc;

use divan::Bencher;
use divan::counter::BytesCount;
use rulectl::source::{Input, Reader};

use crate::events;

const EVENTS: usize = 4_000;

/// An event a line.
#[divan::bench]
fn lines(bencher: Bencher<'_, '_>) {
    measure(bencher, events::text(&events::lines(EVENTS)));
}

/// A JSON array, whose elements are found by their brackets.
#[divan::bench]
fn array(bencher: Bencher<'_, '_>) {
    let elements = events::lines(EVENTS).join(",\n");
    measure(bencher, format!("[{elements}]\n").into_bytes());
}

fn measure(bencher: Bencher<'_, '_>, text: Vec<u8>) {
    let bytes: Arc<[u8]> = text.into();
    let input = || Input::Memory {
        name: "events".to_owned(),
        bytes: Arc::clone(&bytes),
    };
    bencher.counter(BytesCount::of_slice(&bytes)).bench(|| {
        let chunks = Reader::new(vec![input()]);
        let records = chunks.map(|chunk| chunk.expect("memory is read").records().count());
        assert_eq!(records.sum::<usize>(), EVENTS);
    });
}
