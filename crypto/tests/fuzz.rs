//! The fuzz entries over kept and drawn inputs.
#![cfg(all(feature = "ecc", feature = "rsa"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod common;

use common::key;
use due_crypto::fuzz;
use proptest::prelude::*;

const KEYS: [&str; 8] = ["rsa", "rsa-pkcs1", "rsa-pub", "rsa-pub-pkcs1", "ec", "ec-sec1", "ec-pub", "certificate"];

#[test]
fn damaged_keys_never_panic() {
    for name in KEYS {
        let text = key(name);
        let text = text.strip_prefix("-----BEGIN ").unwrap().as_bytes();
        for at in (0..text.len()).step_by(41) {
            fuzz::pem(&text[..at]);
            let mut damaged = text.to_vec();
            damaged[at] = damaged[at].wrapping_add(1);
            fuzz::pem(&damaged);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn drawn_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..600)) {
        fuzz::pem(&data);
        fuzz::der(&data);
        fuzz::envelope(&data);
        fuzz::signature(&data);
    }
}
