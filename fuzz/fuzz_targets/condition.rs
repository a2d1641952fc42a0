//! The text of a condition.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::condition(bytes));
