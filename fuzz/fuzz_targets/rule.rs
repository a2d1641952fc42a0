//! The bytes of a rule file.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::rule(bytes));
