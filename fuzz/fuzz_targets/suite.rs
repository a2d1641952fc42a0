//! The bytes of a suite.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::suite(bytes));
