//! A path, and a text to look into.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::inside(bytes));
