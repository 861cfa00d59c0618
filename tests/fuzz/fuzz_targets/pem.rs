//! Texts of keys.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| due_crypto::fuzz::pem(data));
