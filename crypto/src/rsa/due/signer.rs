//! Bare signatures.

use std::fmt;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PKCS1_SHA256,
        RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
        RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
        UnparsedPublicKey, VerificationAlgorithm,
    },
};
use due_core::{Error, Kind, Result, Signer, crypto::unverified};
use rsa::{RsaPrivateKey, RsaPublicKey};

use super::{DueRsa, Hash, Padding};
use crate::rsa::keys;

/// due's signer: the signature alone, as long as the modulus.
pub struct DueRsaSigner {
    settings: DueRsa,
    signs: &'static dyn RsaEncoding,
    verifies: &'static dyn VerificationAlgorithm,
    ours: Option<RsaKeyPair>,
    peer: Option<Vec<u8>>,
}

impl DueRsaSigner {
    /// Without keys; `Unsupported` for PKCS#1 v1.5 that nobody allowed, and for SHA-1.
    pub fn new(settings: DueRsa) -> Result<Self> {
        let settings = settings.checked()?;
        let (signs, verifies) = algorithms(settings.padding, settings.hash)?;
        Ok(Self { settings, signs, verifies, ours: None, peer: None })
    }

    /// Signs with this key.
    pub fn with_private(mut self, key: RsaPrivateKey) -> Result<Self> {
        self.ours = Some(keys::signing(&key)?);
        Ok(self)
    }

    /// Trusts this key.
    pub fn trust(mut self, key: RsaPublicKey) -> Result<Self> {
        self.peer = Some(keys::Public::new(&key)?.verifying()?);
        Ok(self)
    }
}

impl Signer for DueRsaSigner {
    fn name(&self) -> &'static str {
        "rsa"
    }

    fn sign(&self, message: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let Some(key) = &self.ours else {
            return Err(Error::new(Kind::Unsupported, "no private key: add it with with_private"));
        };
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(self.signs, &SystemRandom::new(), message, &mut signature).map_err(|_| super::encryptor::fault())?;
        out.extend(signature);
        Ok(())
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()> {
        let Some(key) = &self.peer else {
            return Err(Error::new(Kind::Unsupported, "no public key: add it with trust"));
        };
        UnparsedPublicKey::new(self.verifies, key).verify(message, signature).map_err(|_| unverified())
    }
}

impl fmt::Debug for DueRsaSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DueRsaSigner").field("settings", &self.settings).finish_non_exhaustive()
    }
}

type Algorithms = (&'static dyn RsaEncoding, &'static dyn VerificationAlgorithm);

fn algorithms(padding: Padding, hash: Hash) -> Result<Algorithms> {
    Ok(match (padding, hash) {
        (Padding::Strong, Hash::Sha256) => (&RSA_PSS_SHA256, &RSA_PSS_2048_8192_SHA256),
        (Padding::Strong, Hash::Sha384) => (&RSA_PSS_SHA384, &RSA_PSS_2048_8192_SHA384),
        (Padding::Strong, Hash::Sha512) => (&RSA_PSS_SHA512, &RSA_PSS_2048_8192_SHA512),
        (Padding::Pkcs1v15, Hash::Sha256) => (&RSA_PKCS1_SHA256, &RSA_PKCS1_2048_8192_SHA256),
        (Padding::Pkcs1v15, Hash::Sha384) => (&RSA_PKCS1_SHA384, &RSA_PKCS1_2048_8192_SHA384),
        (Padding::Pkcs1v15, Hash::Sha512) => (&RSA_PKCS1_SHA512, &RSA_PKCS1_2048_8192_SHA512),
        (_, Hash::Sha1) => {
            return Err(Error::new(Kind::Unsupported, "signatures over SHA-1 can be forged: use Sha256"));
        }
    })
}
