//! A segment of an audit.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::audit(bytes));
