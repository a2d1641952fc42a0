//! The bytes of an input.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::event(bytes));
