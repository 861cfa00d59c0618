//! Keys in PEM: what is taken, and what is said about what is not.
#![cfg(all(feature = "ecc", feature = "rsa"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod common;

use common::key;
use due_core::Kind;
use due_crypto::{ecc, rsa};

#[track_caller]
fn says<T>(result: due_core::Result<T>, words: &[&str]) {
    let Err(error) = result else { panic!("taken, want an error with {words:?}") };
    let text = error.to_string();
    assert_eq!(error.kind(), Kind::Config);
    assert!(words.iter().all(|word| text.contains(word)), "{text} lacks one of {words:?}");
}

#[test]
fn every_form_of_a_key_is_the_same_key() {
    assert_eq!(rsa::private_key(&key("rsa")).unwrap(), rsa::private_key(&key("rsa-pkcs1")).unwrap());
    assert_eq!(rsa::public_key(&key("rsa-pub")).unwrap(), rsa::public_key(&key("rsa-pub-pkcs1")).unwrap());
    assert_eq!(ecc::private_key(&key("ec")).unwrap(), ecc::private_key(&key("ec-sec1")).unwrap());
    assert_eq!(ecc::private_key(&key("ec")).unwrap().public_key(), ecc::public_key(&key("ec-pub")).unwrap());
}

#[test]
fn labels_of_due_are_taken_whatever_is_inside() {
    let pkix = key("rsa-pub").replace("PUBLIC KEY", "RSA PUBLIC KEY");
    assert!(rsa::public_key(&pkix).is_ok());
    let pkcs8 = key("rsa").replace("PRIVATE KEY", "RSA PRIVATE KEY");
    assert!(rsa::private_key(&pkcs8).is_ok());
    assert!(ecc::public_key(&key("ec-pub").replace("PUBLIC KEY", "ECDSA PUBLIC KEY")).is_ok());
    assert!(ecc::private_key(&key("ec-sec1").replace("EC PRIVATE KEY", "ECDSA PRIVATE KEY")).is_ok());
}

#[test] // proves B064
fn a_key_of_another_kind_is_named() {
    says(rsa::private_key(&key("ec")), &["want a private key for RSA", "EC on P-256 (PKCS#8)", "key from=text"]);
    says(rsa::private_key(&key("ec-sec1")), &["EC (SEC1)"]);
    says(rsa::public_key(&key("ec-pub")), &["a public key for EC on P-256"]);
    says(rsa::public_key(&key("rsa")), &["want a public key", "a private key for RSA"]);
    says(ecc::private_key(&key("rsa")), &["want a private key for EC on P-256", "for RSA (PKCS#8)"]);
    says(ecc::private_key(&key("rsa-pkcs1")), &["RSA (PKCS#1)"]);
    says(ecc::private_key(&key("ec-p384")), &["EC on P-384"]);
    says(ecc::private_key(&key("ed25519")), &["Ed25519"]);
    says(ecc::private_key(&key("ec-encrypted")), &["password", "openssl pkey"]);
    says(ecc::public_key(&key("certificate")), &["certificate"]);
    says(ecc::public_key(&key("rsa-pub-pkcs1")), &["a public key for RSA (PKCS#1)"]);
}

#[test] // proves B063
fn a_short_rsa_key_is_refused() {
    says(rsa::private_key(&key("rsa-1024")), &["1024 bits", "2048"]);
    says(rsa::public_key(&key("rsa-1024-pub")), &["1024 bits", "2048"]);
    use ::due_crypto::rsa::{RsaEncryptor, RsaPrivateKey};
    // A key that did not come through the loader is measured too.
    let text = key("rsa-1024");
    let short = <RsaPrivateKey as ::rsa::pkcs8::DecodePrivateKey>::from_pkcs8_pem(&text).unwrap();
    says(RsaEncryptor::new().for_peer(short.to_public_key()), &["1024 bits"]);
    says(RsaEncryptor::new().with_private(short), &["1024 bits"]);
}

#[test]
fn damaged_numbers_are_refused() {
    let text = key("ec-pub");
    // The last bytes are of the point: another one is off the curve.
    let at = text.find("-----END").unwrap() - 8;
    let damaged = format!("{}{}{}", &text[..at], if &text[at..=at] == "A" { "B" } else { "A" }, &text[at + 1..]);
    says(ecc::public_key(&damaged), &["not on the curve"]);
}

#[test]
fn a_key_that_is_made_is_read_again() {
    let made = ecc::generate().unwrap();
    assert_ne!(made, ecc::generate().unwrap());
    assert_eq!(ecc::private_key(&ecc::private_pem(&made).unwrap()).unwrap(), made);
    assert_eq!(ecc::public_key(&ecc::public_pem(&made.public_key()).unwrap()).unwrap(), made.public_key());
    let kept = ecc::private_key(&key("ec")).unwrap();
    assert_eq!(*ecc::private_pem(&kept).unwrap(), key("ec"));
}

#[test]
fn a_file_is_read_and_named() {
    let folder = std::env::temp_dir().join(format!("due-crypto-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("ec.pem");
    std::fs::write(&path, key("ec")).unwrap();
    let name = path.to_str().unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        says(ecc::private_key(name), &["mode 644", "chmod 600", name]);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    }
    assert_eq!(ecc::private_key(name).unwrap(), ecc::private_key(&key("ec")).unwrap());
    says(rsa::private_key(name), &["for RSA", name]);
    std::fs::write(&path, vec![b'x'; 70_000]).unwrap();
    says(ecc::public_key(name), &["more than 65536 bytes", name]);
    std::fs::remove_dir_all(&folder).unwrap();
    says(ecc::private_key(name), &["cannot read", name]);
}
