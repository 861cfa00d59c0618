//! Keys for tests, and what every encryptor and signer does.
#![allow(dead_code, reason = "not every test uses all")]

use due_core::{Encryptor, Kind, Signer};

/// The text of a key in `tests/keys`.
pub(crate) fn key(name: &str) -> String {
    let path = format!("{}/tests/keys/{name}.pem", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

pub(crate) fn sealed(by: &dyn Encryptor, plain: &[u8], bound: &[u8]) -> Vec<u8> {
    let mut out = b"before".to_vec();
    by.encrypt(plain, bound, &mut out).unwrap();
    assert!(out.starts_with(b"before"), "encrypt appends");
    out.split_off(6)
}

pub(crate) fn opened(by: &dyn Encryptor, sealed: &[u8], bound: &[u8]) -> due_core::Result<Vec<u8>> {
    let mut out = b"before".to_vec();
    let done = by.decrypt(sealed, bound, &mut out);
    assert!(out.starts_with(b"before") && (done.is_ok() || out.len() == 6), "nothing stays after an error");
    done.map(|()| out.split_off(6))
}

pub(crate) fn signed(by: &dyn Signer, message: &[u8]) -> Vec<u8> {
    let mut out = b"before".to_vec();
    by.sign(message, &mut out).unwrap();
    assert!(out.starts_with(b"before"), "sign appends");
    out.split_off(6)
}

/// The error is the one that every wrong ciphertext gets.
#[track_caller]
pub(crate) fn refused(by: &dyn Encryptor, sealed: &[u8], bound: &[u8]) {
    let error = opened(by, sealed, bound).expect_err("this was decrypted");
    assert_eq!(format!("{error:?}"), format!("{:?}", due_core::crypto::undecryptable()));
    assert_eq!(error.kind(), Kind::Malformed);
}

/// The error is the one that every wrong signature gets.
#[track_caller]
pub(crate) fn unverified(by: &dyn Signer, message: &[u8], signature: &[u8]) {
    let error = by.verify(message, signature).expect_err("this was verified");
    assert_eq!(format!("{error:?}"), format!("{:?}", due_core::crypto::unverified()));
}

/// Positions to damage: all of the first bytes and the last ones, some between.
pub(crate) fn places(len: usize) -> impl Iterator<Item = usize> {
    (0..len).filter(move |at| *at < 16 || *at + 18 > len || at % 37 == 0)
}

/// Flipped bits, cut ends and added bytes.
pub(crate) fn damaged(bytes: &[u8]) -> Vec<Vec<u8>> {
    let flipped = places(bytes.len()).map(|at| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        bytes
    });
    let cut = places(bytes.len()).map(|len| bytes[..len].to_vec());
    flipped.chain(cut).chain([[bytes, b"x"].concat(), Vec::new()]).collect()
}
