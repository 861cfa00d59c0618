//! P-256 keys from PEM, and their ids.

use due_core::{Error, Kind, Result};
use p256::{
    PublicKey, SecretKey,
    elliptic_curve::Generate,
    pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, LineEnding},
};
use zeroize::Zeroizing;

use crate::{
    der::{Algorithm, Shape},
    key::{KeyId, Pem, Wanted},
};

const CURVE: Algorithm = Algorithm::Ec("P-256");
const WANTED: &str = "EC on P-256";

/// Loads a private key: PEM (PKCS#8 or SEC1) as text, or the path of a file with it, which must not be open to everybody.
/// An error says what was found instead.
pub fn private_key(source: &str) -> Result<SecretKey> {
    let pem = Pem::load(source, Wanted::Private(WANTED))?;
    let parsed = match pem.shape() {
        Shape::Pkcs8(CURVE) => SecretKey::from_pkcs8_der(pem.der()).ok(),
        Shape::Sec1 => SecretKey::from_sec1_der(pem.der()).ok(),
        _ => return Err(pem.unfit()),
    };
    parsed.ok_or_else(|| pem.unusable("it is on another curve or its numbers are damaged"))
}

/// Loads a public key: PEM (PKIX) as text, or the path of a file with it. An error says what was found instead.
pub fn public_key(source: &str) -> Result<PublicKey> {
    let pem = Pem::load(source, Wanted::Public(WANTED))?;
    if pem.shape() != Shape::Pkix(CURVE) {
        return Err(pem.unfit());
    }
    PublicKey::from_public_key_der(pem.der()).map_err(|_| pem.unusable("its point is not on the curve"))
}

/// Makes a private key of random bytes of the system.
pub fn generate() -> Result<SecretKey> {
    SecretKey::try_generate().map_err(|_| Error::new(Kind::Internal, "the system gives no random bytes"))
}

/// The private key as PEM (PKCS#8), zeroized when dropped.
pub fn private_pem(key: &SecretKey) -> Result<Zeroizing<String>> {
    key.to_pkcs8_pem(LineEnding::LF).map_err(|_| Error::config("this private key cannot be written as PEM"))
}

/// The public key as PEM (PKIX).
pub fn public_pem(key: &PublicKey) -> Result<String> {
    key.to_public_key_pem(LineEnding::LF).map_err(|_| Error::config("this public key cannot be written as PEM"))
}

/// The id of the pair with this public key: what messages for it and signatures of it carry.
pub fn key_id(key: &PublicKey) -> Result<KeyId> {
    let der = key.to_public_key_der().map_err(|_| Error::config("this public key cannot be written as DER"))?;
    Ok(KeyId::of(der.as_bytes()))
}
