//! A file, a place and its text, in an editor.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::editor(bytes));
