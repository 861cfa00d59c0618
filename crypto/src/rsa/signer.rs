//! PSS with SHA-256 and a salt of 32 bytes, behind a head that names the key.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256, RsaKeyPair, UnparsedPublicKey},
};
use due_core::{Error, Kind, Result, Signer, crypto::unverified};
use rsa::{RsaPrivateKey, RsaPublicKey};

use super::keys;
use crate::{
    KeyId,
    envelope::{self, Suite},
    key::Ring,
};

/// Signs with the current private key, verifies with any key it trusts.
#[derive(Debug, Default)]
pub struct RsaSigner {
    ours: Ring<RsaKeyPair>,
    trusted: Ring<Vec<u8>>,
}

impl RsaSigner {
    /// Without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Signs with this key; an error if there is one already or it has other than 2048 to 4096 bits. It is not trusted by
    /// that: add its public half where signatures are verified.
    pub fn with_private(mut self, key: RsaPrivateKey) -> Result<Self> {
        if !self.ours.is_empty() {
            return Err(Error::config("a signer signs with one private key; make another one for another key"));
        }
        let id = keys::Public::new(key.as_ref())?.id;
        self.ours.add(id, keys::signing(&key)?)?;
        Ok(self)
    }

    /// Trusts signatures of this key; an error if it was added before, if there are 16, or if it has other than 2048 to
    /// 4096 bits.
    pub fn trust(mut self, key: RsaPublicKey) -> Result<Self> {
        let key = keys::Public::new(&key)?;
        self.trusted.add(key.id, key.verifying()?)?;
        Ok(self)
    }

    /// The id of the key that signs.
    pub fn current(&self) -> Option<KeyId> {
        self.ours.current().map(|(id, _)| id)
    }
}

impl Signer for RsaSigner {
    fn name(&self) -> &'static str {
        "rsa"
    }

    fn sign(&self, message: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let Some((id, key)) = self.ours.current() else {
            return Err(Error::new(Kind::Unsupported, "no private key: add it with with_private"));
        };
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| Error::new(Kind::Internal, "the crypto library did not sign"))?;
        out.extend(envelope::head(Suite::RsaPss, id));
        out.extend(signature);
        Ok(())
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()> {
        if self.trusted.is_empty() {
            return Err(Error::new(Kind::Unsupported, "no public key: add it with trust"));
        }
        let (id, signature) = envelope::split(Suite::RsaPss, signature).ok_or_else(unverified)?;
        let key = self.trusted.find(id).ok_or_else(unverified)?;
        UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key).verify(message, signature).map_err(|_| unverified())
    }
}
