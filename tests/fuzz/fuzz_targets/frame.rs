//! The frame decoder of the due protocol.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| due_protocol::fuzz::frame(data));
