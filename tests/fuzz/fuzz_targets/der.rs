//! Keys in DER.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| due_crypto::fuzz::der(data));
