//! The bytes of `tools.yaml`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::tools(bytes));
