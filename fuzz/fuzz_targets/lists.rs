//! A file of `rules/lists/`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::lists(bytes));
