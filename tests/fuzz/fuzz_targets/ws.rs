//! Frames and request heads of WebSocket.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| due_network::fuzz::ws(data));
