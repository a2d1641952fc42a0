//! A database of addresses.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::mmdb(bytes));
