//! JSON bodies.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| due_codec::fuzz::json(data));
