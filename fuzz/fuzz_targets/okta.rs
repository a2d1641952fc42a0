//! The headers and the body of an answer of Okta's.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::okta(bytes));
