//! P-256 in our own form.
#![cfg(feature = "ecc")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod common;

use common::{damaged, key, opened, refused, sealed, signed, unverified};
use due_core::{Encryptor, Kind, Signer};
use due_crypto::ecc::{EccEncryptor, EccSigner, PublicKey, SecretKey, key_id, private_key, public_key};

/// The order of the curve's group.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

fn private(name: &str) -> SecretKey {
    private_key(&key(name)).unwrap()
}

fn public(name: &str) -> PublicKey {
    public_key(&key(name)).unwrap()
}

fn to(name: &str) -> EccEncryptor {
    EccEncryptor::new().for_peer(public(name)).unwrap()
}

fn from(names: &[&str]) -> EccEncryptor {
    names.iter().fold(EccEncryptor::new(), |e, name| e.with_private(private(name)).unwrap())
}

#[test]
fn any_length_comes_back() {
    let (client, server) = (to("ec-pub"), from(&["ec"]));
    for len in [0, 1, 255, 70_000] {
        let plain: Vec<u8> = (0..len).map(|n| n as u8).collect();
        let sealed = sealed(&client, &plain, b"route 7");
        assert_eq!(sealed.len(), len + 91);
        assert_eq!(opened(&server, &sealed, b"route 7").unwrap(), plain);
    }
}

#[test]
fn the_same_text_is_sealed_differently_each_time() {
    let client = to("ec-pub");
    assert_ne!(sealed(&client, b"x", b""), sealed(&client, b"x", b""));
}

#[test] // proves B055
fn whatever_is_wrong_has_one_error() {
    let (client, server) = (to("ec-pub"), from(&["ec"]));
    let good = sealed(&client, b"hello", b"route 7");
    damaged(&good).iter().for_each(|bytes| refused(&server, bytes, b"route 7"));
    refused(&server, &good, b"route 8");
    refused(&server, &good, b"");
    refused(&from(&["ec-next"]), &good, b"route 7");
}

#[test] // proves B048, B049, B050
fn a_point_that_is_none_has_the_same_error() {
    let server = from(&["ec"]);
    let head = &sealed(&to("ec-pub"), b"hello", b"")[..10];
    let off_the_curve = [&[4][..], &[1; 64]].concat();
    let infinity = [0; 65].to_vec();
    let compressed = [&[2][..], &public("ec-pub").to_sec1_bytes()[1..33]].concat();
    for point in [off_the_curve, infinity, compressed, vec![4; 64], Vec::new()] {
        refused(&server, &[head, &point, &[0; 40]].concat(), b"");
    }
}

#[test]
fn a_key_can_be_changed_without_losing_a_message() {
    let old = sealed(&to("ec-pub"), b"old", b"");
    let new = sealed(&to("ec-next-pub"), b"new", b"");
    let both = from(&["ec-next", "ec"]);
    assert_eq!(both.current(), Some(key_id(&public("ec-next-pub")).unwrap()));
    assert_eq!(opened(&both, &old, b"").unwrap(), b"old");
    assert_eq!(opened(&both, &new, b"").unwrap(), b"new");
    refused(&from(&["ec-next"]), &old, b"");
}

#[test]
fn a_missing_half_is_unsupported_and_says_what_to_add() {
    let error = to("ec-pub").decrypt(b"", b"", &mut Vec::new()).unwrap_err();
    assert_eq!((error.kind(), error.text().contains("with_private")), (Kind::Unsupported, true));
    let error = from(&["ec"]).encrypt(b"", b"", &mut Vec::new()).unwrap_err();
    assert_eq!((error.kind(), error.text().contains("for_peer")), (Kind::Unsupported, true));
    let error = EccSigner::new().sign(b"", &mut Vec::new()).unwrap_err();
    assert_eq!((error.kind(), error.text().contains("with_private")), (Kind::Unsupported, true));
    let error = EccSigner::new().verify(b"", b"").unwrap_err();
    assert_eq!((error.kind(), error.text().contains("trust")), (Kind::Unsupported, true));
}

#[test]
fn a_signature_holds_for_its_message_and_key_only() {
    let ours = EccSigner::new().with_private(private("ec")).unwrap();
    let theirs = EccSigner::new().trust(public("ec-pub")).unwrap();
    let signature = signed(&ours, b"hello");
    theirs.verify(b"hello", &signature).unwrap();
    unverified(&theirs, b"hellp", &signature);
    damaged(&signature).iter().for_each(|bytes| unverified(&theirs, b"hello", bytes));
    unverified(&EccSigner::new().trust(public("ec-next-pub")).unwrap(), b"hello", &signature);
}

#[test] // proves B065
fn numbers_out_of_range_are_no_signature() {
    let ours = EccSigner::new().with_private(private("ec")).unwrap();
    let theirs = EccSigner::new().trust(public("ec-pub")).unwrap();
    let good = signed(&ours, b"hello");
    let (head, r, s) = (&good[..10], &good[10..42], &good[42..]);
    for (r, s) in [(&[0; 32][..], s), (r, &[0; 32][..]), (&ORDER[..], s), (r, &ORDER[..]), (&[0xff; 32][..], s)] {
        unverified(&theirs, b"hello", &[head, r, s].concat());
    }
    unverified(&theirs, b"hello", &[head, &vec![1; 1 << 20]].concat());
}

#[test] // proves invariant 13
fn debug_shows_ids_and_no_key() {
    let encryptor = from(&["ec"]).for_peer(public("ec-pub")).unwrap();
    let signer = EccSigner::new().with_private(private("ec")).unwrap();
    let shown = format!("{encryptor:?} {signer:?}");
    assert!(shown.contains(&encryptor.current().unwrap().to_string()), "{shown}");
    assert!(shown.len() < 200, "{shown}");
}
