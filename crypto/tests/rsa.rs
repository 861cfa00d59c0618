//! RSA in our own form.
#![cfg(feature = "rsa")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod common;

use common::{damaged, key, opened, refused, sealed, signed, unverified};
use due_core::{Encryptor, Kind, Signer};
use due_crypto::rsa::{RsaEncryptor, RsaPrivateKey, RsaSigner, key_id, private_key, public_key};

fn private(name: &str) -> RsaPrivateKey {
    private_key(&key(name)).unwrap()
}

fn to(name: &str) -> RsaEncryptor {
    RsaEncryptor::new().for_peer(public_key(&key(name)).unwrap()).unwrap()
}

fn from(names: &[&str]) -> RsaEncryptor {
    names.iter().fold(RsaEncryptor::new(), |e, name| e.with_private(private(name)).unwrap())
}

#[test]
fn any_length_comes_back() {
    let (client, server) = (to("rsa-pub"), from(&["rsa"]));
    for len in [0, 1, 190, 191, 256, 70_000] {
        let plain: Vec<u8> = (0..len).map(|n| n as u8).collect();
        let sealed = sealed(&client, &plain, b"route 7");
        assert_eq!(sealed.len(), len + 294);
        assert_eq!(opened(&server, &sealed, b"route 7").unwrap(), plain);
    }
}

#[test]
fn the_same_text_is_sealed_differently_each_time() {
    let client = to("rsa-pub");
    assert_ne!(sealed(&client, b"x", b""), sealed(&client, b"x", b""));
}

#[test] // proves B055, B061
fn whatever_is_wrong_has_one_error() {
    let (client, server) = (to("rsa-pub"), from(&["rsa"]));
    let good = sealed(&client, b"hello", b"route 7");
    damaged(&good).iter().for_each(|bytes| refused(&server, bytes, b"route 7"));
    refused(&server, &good, b"route 8");
    refused(&server, &good, b"");
    refused(&from(&["rsa-next"]), &good, b"route 7");
}

#[test]
fn a_key_can_be_changed_without_losing_a_message() {
    let old = sealed(&to("rsa-pub"), b"old", b"");
    let new = sealed(&to("rsa-next-pub"), b"new", b"");
    let both = from(&["rsa-next", "rsa"]);
    assert_eq!(both.current(), Some(key_id(&public_key(&key("rsa-next-pub")).unwrap()).unwrap()));
    assert_eq!(opened(&both, &old, b"").unwrap(), b"old");
    assert_eq!(opened(&both, &new, b"").unwrap(), b"new");
    refused(&from(&["rsa-next"]), &old, b"");
}

#[test]
fn a_missing_half_is_unsupported_and_says_what_to_add() {
    let error = to("rsa-pub").decrypt(b"", b"", &mut Vec::new()).unwrap_err();
    assert_eq!((error.kind(), error.text().contains("with_private")), (Kind::Unsupported, true));
    let error = from(&["rsa"]).encrypt(b"", b"", &mut Vec::new()).unwrap_err();
    assert_eq!((error.kind(), error.text().contains("for_peer")), (Kind::Unsupported, true));
    let error = RsaSigner::new().sign(b"", &mut Vec::new()).unwrap_err();
    assert_eq!((error.kind(), error.text().contains("with_private")), (Kind::Unsupported, true));
    let error = RsaSigner::new().verify(b"", b"").unwrap_err();
    assert_eq!((error.kind(), error.text().contains("trust")), (Kind::Unsupported, true));
}

#[test]
fn a_signature_holds_for_its_message_and_key_only() {
    let ours = RsaSigner::new().with_private(private("rsa")).unwrap();
    let theirs = RsaSigner::new().trust(public_key(&key("rsa-pub")).unwrap()).unwrap();
    let signature = signed(&ours, b"hello");
    theirs.verify(b"hello", &signature).unwrap();
    unverified(&theirs, b"hellp", &signature);
    damaged(&signature).iter().for_each(|bytes| unverified(&theirs, b"hello", bytes));
    let other = RsaSigner::new().trust(public_key(&key("rsa-next-pub")).unwrap()).unwrap();
    unverified(&other, b"hello", &signature);
    let both = other.trust(public_key(&key("rsa-pub")).unwrap()).unwrap();
    both.verify(b"hello", &signature).unwrap();
}

#[test] // proves invariant 13
fn debug_shows_ids_and_no_key() {
    let encryptor = from(&["rsa"]).for_peer(public_key(&key("rsa-pub")).unwrap()).unwrap();
    let signer = RsaSigner::new().with_private(private("rsa")).unwrap();
    let shown = format!("{encryptor:?} {signer:?}");
    assert!(shown.contains(&encryptor.current().unwrap().to_string()), "{shown}");
    assert!(shown.len() < 200, "{shown}");
}

#[test]
fn a_key_is_added_once() {
    let error = from(&["rsa"]).with_private(private("rsa-pkcs1")).unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(to("rsa-pub").for_peer(public_key(&key("rsa-next-pub")).unwrap()).is_err());
}
