//! PKCS#1 v1.5 blocks, with implicit rejection.
//!
//! An error for a wrong padding is an oracle (Bleichenbacher): some thousand questions decrypt a message. So there is
//! none: a wrong block gives bytes that depend on the block and on a secret of the key, the same ones each time, of a
//! length anything may have.

use aws_lc_rs::rsa::{Pkcs1PrivateDecryptingKey, Pkcs1PublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey};
use due_core::Result;
use rsa::{RsaPrivateKey, pkcs8::EncodePrivateKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::encryptor::fault;

pub(super) struct Peer(Pkcs1PublicEncryptingKey);

impl Peer {
    pub(super) fn new(key: PublicEncryptingKey) -> Result<Self> {
        Ok(Self(Pkcs1PublicEncryptingKey::new(key).map_err(|_| fault())?))
    }

    pub(super) fn longest(&self) -> usize {
        self.0.max_plaintext_size()
    }

    pub(super) fn encrypt(&self, text: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let mut room = vec![0; self.0.ciphertext_size()];
        out.extend(&*self.0.encrypt(text, &mut room).map_err(|_| fault())?);
        Ok(())
    }
}

pub(super) struct Ours {
    key: Pkcs1PrivateDecryptingKey,
    secret: Zeroizing<[u8; 32]>,
}

impl Ours {
    pub(super) fn new(key: PrivateDecryptingKey, source: &RsaPrivateKey) -> Result<Self> {
        let document = source.to_pkcs8_der().map_err(|_| fault())?;
        let digest = Sha256::new().chain_update(b"due-crypto implicit rejection").chain_update(document.as_bytes());
        let secret = Zeroizing::new(digest.finalize().into());
        Ok(Self { key: Pkcs1PrivateDecryptingKey::new(key).map_err(|_| fault())?, secret })
    }

    pub(super) fn size(&self) -> usize {
        self.key.key_size_bytes()
    }

    /// Appends the text of a block, or invented bytes. Both are worked out each time, so that the choice is all that
    /// differs.
    pub(super) fn decrypt(&self, block: &[u8], room: &mut [u8], out: &mut Vec<u8>) {
        let invented = self.invented(block);
        let text = self.key.decrypt(block, room);
        out.extend(text.as_deref().unwrap_or(&invented));
    }

    fn invented(&self, block: &[u8]) -> Zeroizing<Vec<u8>> {
        let seed = Sha256::new().chain_update(&self.secret[..]).chain_update(block).finalize();
        let longest = self.size() - 11;
        let drawn = seed.iter().fold(0usize, |n, b| (n * 256 + usize::from(*b)) % (longest + 1));
        let pieces =
            (0..longest.div_ceil(32)).map(|n| Sha256::new().chain_update(seed).chain_update([n as u8]).finalize());
        let mut bytes: Zeroizing<Vec<u8>> = Zeroizing::new(pieces.flatten().collect());
        bytes.truncate(drawn);
        bytes
    }
}
