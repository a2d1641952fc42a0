//! A script, read and run.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::script(bytes));
