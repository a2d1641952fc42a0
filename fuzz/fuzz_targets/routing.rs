//! The bytes of `routing.toml`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::routing(bytes));
