//! A saved state.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::state(bytes));
