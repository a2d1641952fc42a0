//! Dotted paths, and a record to read them from.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::path(bytes));
