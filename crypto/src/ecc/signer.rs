//! ECDSA with SHA-256, behind a head that names the key.

use due_core::{Error, Kind, Result, Signer, crypto::unverified};
use p256::{
    PublicKey, SecretKey,
    ecdsa::{
        Signature, SigningKey, VerifyingKey,
        signature::{Signer as _, Verifier as _},
    },
};

use super::keys;
use crate::{
    KeyId,
    envelope::{self, Suite},
    key::Ring,
};

/// Signs with the current private key, verifies with any key it trusts. Signatures are deterministic (RFC 6979).
///
/// Whoever has a signature can make a second valid one of it without the key (r and n - s): do not take a signature for
/// the name of a message.
#[derive(Debug, Default)]
pub struct EccSigner {
    ours: Ring<SigningKey>,
    trusted: Ring<VerifyingKey>,
}

impl EccSigner {
    /// Without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Signs with this key; an error if there is one already. It is not trusted by that: add its public half where
    /// signatures are verified.
    pub fn with_private(mut self, key: SecretKey) -> Result<Self> {
        if !self.ours.is_empty() {
            return Err(Error::config("a signer signs with one private key; make another one for another key"));
        }
        self.ours.add(keys::key_id(&key.public_key())?, SigningKey::from(key))?;
        Ok(self)
    }

    /// Trusts signatures of this key; an error if it was added before, or if there are 16.
    pub fn trust(mut self, key: PublicKey) -> Result<Self> {
        self.trusted.add(keys::key_id(&key)?, VerifyingKey::from(key))?;
        Ok(self)
    }

    /// The id of the key that signs.
    pub fn current(&self) -> Option<KeyId> {
        self.ours.current().map(|(id, _)| id)
    }

    fn holds(&self, message: &[u8], signature: &[u8]) -> Option<()> {
        let (id, signature) = envelope::split(Suite::Ecdsa, signature)?;
        // Takes exactly 64 bytes, and numbers from 1 to n - 1 only.
        let signature = Signature::from_slice(signature).ok()?;
        self.trusted.find(id)?.verify(message, &signature).ok()
    }
}

impl Signer for EccSigner {
    fn name(&self) -> &'static str {
        "ecc"
    }

    fn sign(&self, message: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let Some((id, key)) = self.ours.current() else {
            return Err(Error::new(Kind::Unsupported, "no private key: add it with with_private"));
        };
        let signature: Signature =
            key.try_sign(message).map_err(|_| Error::new(Kind::Internal, "the crypto library did not sign"))?;
        out.extend(envelope::head(Suite::Ecdsa, id));
        out.extend(signature.to_bytes());
        Ok(())
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()> {
        if self.trusted.is_empty() {
            return Err(Error::new(Kind::Unsupported, "no public key: add it with trust"));
        }
        self.holds(message, signature).ok_or_else(unverified)
    }
}
