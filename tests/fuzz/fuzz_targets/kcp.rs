//! Datagrams of kcp clients.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| due_network::kcp::fuzz::segment(data));
