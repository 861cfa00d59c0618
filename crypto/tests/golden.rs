//! What Go's libraries made is read here, and so is what an earlier version of this crate made.
#![cfg(all(feature = "ecc", feature = "rsa"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

#[path = "common/golden.rs"]
mod golden;

use std::collections::BTreeSet;

use due_crypto::rsa::DueRsa;

#[cfg(feature = "rsa-pkcs1v15")]
fn pkcs1v15() -> Option<DueRsa> {
    Some(DueRsa::new(due_crypto::rsa::Padding::Pkcs1v15).allow_pkcs1v15())
}

#[cfg(not(feature = "rsa-pkcs1v15"))]
fn pkcs1v15() -> Option<DueRsa> {
    None
}

#[test]
fn golden_messages_are_decrypted_and_golden_signatures_hold() {
    let mut seen = BTreeSet::new();
    for line in golden::all() {
        let name = format!("{} by {}, {} bytes", line.form, line.maker, line.text.len());
        if let Some((both, bound)) = golden::encryptor(line.form) {
            let mut plain = Vec::new();
            both.decrypt(&line.bytes, bound, &mut plain).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(plain, line.text, "{name}");
        } else if let Some(both) = golden::signer(line.form) {
            both.verify(&line.text, &line.bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(both.verify(b"another text", &line.bytes).is_err(), "{name}");
        } else {
            assert!(line.form.starts_with("v15"), "{name} is no form");
            continue;
        }
        seen.insert((line.form, line.maker));
    }
    let forms = if cfg!(feature = "rsa-pkcs1v15") { 8 } else { 6 };
    assert_eq!(seen.len(), 2 * forms, "each form by both makers: {seen:?}");
}
