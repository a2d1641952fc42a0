//! A file and its text, which is laid out.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::layout(bytes));
