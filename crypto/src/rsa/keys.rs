//! RSA keys: from PEM, and into the forms aws-lc-rs takes.

use aws_lc_rs::{
    rsa::{PrivateDecryptingKey, PublicEncryptingKey},
    signature::RsaKeyPair,
};
use due_core::{Error, Result};
use rsa::{
    RsaPrivateKey, RsaPublicKey,
    pkcs1::{DecodeRsaPrivateKey, DecodeRsaPublicKey, EncodeRsaPublicKey},
    pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, SecretDocument},
    traits::PublicKeyParts,
};

use crate::{
    der::{Algorithm, Shape},
    key::{KeyId, Pem, Wanted},
};

/// Bits of a modulus: below it is weak, above it one message is a burden.
const BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// Loads a private key: PEM (PKCS#8 or PKCS#1) as text, or the path of a file with it, which must not be open to
/// everybody. An error says what was found instead.
pub fn private_key(source: &str) -> Result<RsaPrivateKey> {
    let pem = Pem::load(source, Wanted::Private("RSA"))?;
    let parsed = match pem.shape() {
        Shape::Pkcs8(Algorithm::Rsa) => RsaPrivateKey::from_pkcs8_der(pem.der()).ok(),
        Shape::Pkcs1Private => RsaPrivateKey::from_pkcs1_der(pem.der()).ok(),
        _ => return Err(pem.unfit()),
    };
    let key = parsed.ok_or_else(|| pem.unusable("its numbers are damaged"))?;
    checked_size(key.size(), key.n().bits()).map_err(|why| pem.unusable(&why))?;
    Ok(key)
}

/// Loads a public key: PEM (PKIX or PKCS#1) as text, or the path of a file with it. An error says what was found instead.
pub fn public_key(source: &str) -> Result<RsaPublicKey> {
    let pem = Pem::load(source, Wanted::Public("RSA"))?;
    let parsed = match pem.shape() {
        Shape::Pkix(Algorithm::Rsa) => RsaPublicKey::from_public_key_der(pem.der()).ok(),
        Shape::Pkcs1Public => RsaPublicKey::from_pkcs1_der(pem.der()).ok(),
        _ => return Err(pem.unfit()),
    };
    let key = parsed.ok_or_else(|| pem.unusable("its numbers are damaged or too long"))?;
    checked_size(key.size(), key.n().bits()).map_err(|why| pem.unusable(&why))?;
    Ok(key)
}

/// The id of the pair with this public key: what messages for it and signatures of it carry.
pub fn key_id(key: &RsaPublicKey) -> Result<KeyId> {
    Ok(Public::new(key)?.id)
}

fn checked_size(bytes: usize, bits: usize) -> Result<(), String> {
    if BITS.contains(&bits) && bits == bytes * 8 {
        return Ok(());
    }
    Err(format!("its modulus has {bits} bits; want {} to {}, in whole bytes", BITS.start(), BITS.end()))
}

/// The public half of a key, ready to be used and named.
pub(super) struct Public {
    pub(super) id: KeyId,
    pkix: Vec<u8>,
    pkcs1: Vec<u8>,
}

impl Public {
    pub(super) fn new(key: &RsaPublicKey) -> Result<Self> {
        checked_size(key.size(), key.n().bits()).map_err(Error::config)?;
        let pkix = key.to_public_key_der().map_err(|_| unusable("public"))?.into_vec();
        let pkcs1 = key.to_pkcs1_der().map_err(|_| unusable("public"))?.into_vec();
        Ok(Self { id: KeyId::of(&pkix), pkix, pkcs1 })
    }

    /// For encryption.
    pub(super) fn encrypting(&self) -> Result<PublicEncryptingKey> {
        PublicEncryptingKey::from_der(&self.pkix).map_err(|_| unusable("public"))
    }

    /// For verification: PKCS#1 DER that aws-lc-rs has accepted once.
    pub(super) fn verifying(self) -> Result<Vec<u8>> {
        self.encrypting()?;
        Ok(self.pkcs1)
    }
}

/// The private half, for decryption.
pub(super) fn decrypting(key: &RsaPrivateKey) -> Result<PrivateDecryptingKey> {
    PrivateDecryptingKey::from_pkcs8(document(key)?.as_bytes()).map_err(|_| unusable("private"))
}

/// The private half, for signatures.
pub(super) fn signing(key: &RsaPrivateKey) -> Result<RsaKeyPair> {
    RsaKeyPair::from_pkcs8(document(key)?.as_bytes()).map_err(|_| unusable("private"))
}

/// PKCS#8, zeroized when dropped.
fn document(key: &RsaPrivateKey) -> Result<SecretDocument> {
    checked_size(key.size(), key.n().bits()).map_err(Error::config)?;
    key.to_pkcs8_der().map_err(|_| unusable("private"))
}

fn unusable(half: &str) -> Error {
    Error::config(format!("the numbers of this {half} RSA key do not make a key; make a new pair"))
}
