//! The forms of due (Go); `tests/tests/crypto_interop.rs` plays them against Go itself.
#![cfg(all(feature = "ecc", feature = "rsa"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod common;

use common::{damaged, key, opened, refused, sealed, signed, unverified};
use due_core::{Encryptor, Kind, Signer};
use due_crypto::{
    ecc::{self, DueEccEncryptor, DueEccSigner},
    rsa::{self, DueRsa, DueRsaEncryptor, DueRsaSigner, Hash, Padding},
};

fn rsa_pair(settings: &DueRsa) -> DueRsaEncryptor {
    let both = DueRsaEncryptor::new(settings.clone()).unwrap();
    let both = both.for_peer(rsa::public_key(&key("rsa-pub")).unwrap()).unwrap();
    both.with_private(rsa::private_key(&key("rsa")).unwrap()).unwrap()
}

fn ecc_pair() -> DueEccEncryptor {
    let ours = ecc::private_key(&key("ec")).unwrap();
    DueEccEncryptor::new().for_peer(ours.public_key()).with_private(ours)
}

/// The text comes back, in this many blocks of 256 bytes.
fn check_blocks(settings: &DueRsa, len: usize, blocks: usize) {
    let both = rsa_pair(settings);
    let plain: Vec<u8> = (0..len).map(|n| n as u8).collect();
    let sealed = sealed(&both, &plain, b"");
    assert_eq!(sealed.len(), blocks * 256, "{settings:?}");
    assert_eq!(opened(&both, &sealed, b"").unwrap(), plain, "{settings:?}");
}

#[test]
fn a_text_is_cut_into_blocks() {
    let oaep = DueRsa::new(Padding::Strong);
    for (len, blocks) in [(0, 0), (1, 1), (190, 1), (191, 2), (5000, 27)] {
        check_blocks(&oaep, len, blocks);
    }
    check_blocks(&oaep.clone().block_size(100), 250, 3);
    check_blocks(&oaep.clone().hash(Hash::Sha1), 214, 1);
    check_blocks(&oaep.clone().hash(Hash::Sha512).label("room"), 127, 2);
}

#[test] // proves B061
fn blocks_that_are_none_have_one_error() {
    let both = rsa_pair(&DueRsa::new(Padding::Strong).blocks_max(2));
    let good = sealed(&both, &[7; 200], b"");
    for bytes in damaged(&good).iter().filter(|bytes| !bytes.is_empty() && bytes.len() != 256) {
        refused(&both, bytes, b"");
    }
    refused(&both, &good[..255], b"");
    refused(&both, &[&good[..], &good[..256]].concat(), b"");
    let error = both.encrypt(&[7; 381], b"", &mut Vec::new()).unwrap_err();
    assert_eq!((error.kind(), error.to_string().contains("blocks_max=2")), (Kind::TooLarge, true));
}

#[test]
fn a_block_size_that_cannot_be_is_refused_at_the_start() {
    let encryptor = DueRsaEncryptor::new(DueRsa::new(Padding::Strong).block_size(191)).unwrap();
    let error = encryptor.for_peer(rsa::public_key(&key("rsa-pub")).unwrap()).unwrap_err();
    assert!(error.to_string().contains("block_size 191") && error.to_string().contains("190"), "{error}");
}

#[test] // proves B062
fn pkcs1_v15_that_nobody_allowed_is_unsupported() {
    for error in [
        DueRsaEncryptor::new(DueRsa::new(Padding::Pkcs1v15)).unwrap_err(),
        DueRsaSigner::new(DueRsa::new(Padding::Pkcs1v15)).unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.to_string().contains("rsa-pkcs1v15") && error.to_string().contains("allow_pkcs1v15"), "{error}");
    }
}

#[cfg(feature = "rsa-pkcs1v15")]
#[test]
fn a_wrong_block_of_pkcs1_v15_gives_invented_bytes() {
    let settings = DueRsa::new(Padding::Pkcs1v15).allow_pkcs1v15();
    check_blocks(&settings, 245, 1);
    check_blocks(&settings, 246, 2);
    let both = rsa_pair(&settings);
    let good = sealed(&both, b"hello", b"");
    let wrong: Vec<Vec<u8>> = damaged(&good).into_iter().filter(|bytes| bytes.len() == 256).collect();
    assert!(wrong.len() > 20);
    let invented: Vec<Vec<u8>> = wrong.iter().map(|bytes| opened(&both, bytes, b"").unwrap()).collect();
    let lengths: std::collections::BTreeSet<_> = invented.iter().map(Vec::len).collect();
    assert!(lengths.len() > 10 && lengths.iter().all(|len| *len <= 245), "{lengths:?}");
    assert_eq!(opened(&both, &wrong[0], b"").unwrap(), invented[0], "the same block, the same bytes");
    refused(&both, &good[1..], b"");
}

#[test]
fn signatures_over_sha1_are_unsupported() {
    let error = DueRsaSigner::new(DueRsa::new(Padding::Strong).hash(Hash::Sha1)).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
}

#[test]
fn a_bare_rsa_signature_holds_for_its_message_only() {
    for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
        let both = DueRsaSigner::new(DueRsa::new(Padding::Strong).hash(hash)).unwrap();
        let both = both.with_private(rsa::private_key(&key("rsa")).unwrap()).unwrap();
        let both = both.trust(rsa::public_key(&key("rsa-pub")).unwrap()).unwrap();
        let signature = signed(&both, b"hello");
        assert_eq!(signature.len(), 256);
        both.verify(b"hello", &signature).unwrap();
        unverified(&both, b"hellp", &signature);
        damaged(&signature).iter().for_each(|bytes| unverified(&both, b"hello", bytes));
    }
}

#[test]
fn ecies_comes_back_and_costs_113_bytes() {
    let both = ecc_pair();
    let message = sealed(&both, b"hello", b"");
    assert_eq!(message.len(), 5 + 113);
    assert_eq!(opened(&both, &message, b"").unwrap(), b"hello");
    assert_eq!(sealed(&both, b"", b""), b"", "as due has it");
    assert_eq!(opened(&both, b"", b"").unwrap(), b"");
    let shared = ecc_pair().shared("a", "b");
    assert_eq!(opened(&shared, &sealed(&shared, b"hello", b""), b"").unwrap(), b"hello");
    refused(&shared, &message, b"");
}

#[test] // proves B048, B049, B055
fn ecies_that_is_damaged_has_one_error() {
    let both = ecc_pair();
    let good = sealed(&both, b"hello", b"");
    damaged(&good).iter().filter(|bytes| !bytes.is_empty()).for_each(|bytes| refused(&both, bytes, b""));
    refused(&both, &[&[0; 65][..], &good[65..]].concat(), b"");
}

#[test]
fn nothing_can_be_bound_to_these_forms() {
    for encryptor in [&rsa_pair(&DueRsa::new(Padding::Strong)) as &dyn Encryptor, &ecc_pair()] {
        assert_eq!(encryptor.encrypt(b"x", b"y", &mut Vec::new()).unwrap_err().kind(), Kind::Unsupported);
        assert_eq!(encryptor.decrypt(b"x", b"y", &mut Vec::new()).unwrap_err().kind(), Kind::Unsupported);
    }
}

#[test] // proves B065
fn a_text_signature_is_two_decimal_numbers() {
    let ours = ecc::private_key(&key("ec")).unwrap();
    let both = DueEccSigner::new().trust(ours.public_key()).with_private(ours.clone());
    let signature = signed(&both, b"hello");
    let text = std::str::from_utf8(&signature).unwrap();
    let (r, s) = text.split_once(' ').unwrap();
    both.verify(b"hello", &signature).unwrap();
    let order = "115792089210356248762697446949407573529996955224135760342422259061068512044369";
    let long = "1".repeat(1 << 20);
    for (r, s) in [("0", s), (r, "0"), (order, s), (r, order), (&long, s), (r, ""), ("", s), (&format!("0{r}"), s)] {
        unverified(&both, b"hello", format!("{r} {s}").as_bytes());
    }
    for other in [format!("{r},{s}"), format!("{r}  {s}"), format!("{r} {s} "), format!("+{r} {s}"), String::new()] {
        unverified(&both, b"hello", other.as_bytes());
    }
    let dashed = DueEccSigner::new().delimiter("-").unwrap().trust(ours.public_key());
    dashed.verify(b"hello", format!("{r}-{s}").as_bytes()).unwrap();
    assert!(DueEccSigner::new().delimiter("").is_err() && DueEccSigner::new().delimiter("a1").is_err());
}
