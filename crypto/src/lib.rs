//! Encryption and signatures for due: rsa, ecc.
//!
//! Both are implementations of [`due_core::Encryptor`] and [`due_core::Signer`]: pure computations with keys that are
//! zeroized and never shown. No socket, no clock; randomness is the operating system's, because a generator that a
//! caller may choose is how keys get lost.
//!
//! | feature | module | encrypts with | signs with |
//! |---|---|---|---|
//! | `rsa` | [`rsa`] | RSA-OAEP-SHA256 around an AES-256-GCM key | RSA-PSS-SHA256 |
//! | `ecc` | [`ecc`] | HPKE (RFC 9180) base mode on P-256 with AES-256-GCM | ECDSA P-256 with SHA-256 |
//! | `rsa-pkcs1v15` | [`rsa`] | PKCS#1 v1.5 of old fleets, which a program must allow at run time too | the same |
//!
//! Each module also has the forms of due (Go), for fleets that speak them: they carry no key id and bind nothing to a
//! message, so nobody gets them who does not name their types.
//!
//! # What is sent
//!
//! Every ciphertext begins with `version u8 = 1 | suite u8 | key id, 8 bytes`; the key id is the begin of the SHA-256 of
//! the public key in PKIX DER, so both sides compute it and nobody configures it.
//!
//! | suite | after the head | more bytes than the text |
//! |---|---|---|
//! | 1, rsa | wrapped key (the length of the modulus) \| nonce, 12 \| text \| tag, 16 | 294 with 2048 bits |
//! | 2, ecc | encapsulated key, 65 \| text \| tag, 16 | 91 |
//! | 3, rsa signature | PSS signature (the length of the modulus) | |
//! | 4, ecc signature | r, 32 \| s, 32 | |
//!
//! # Keys change
//!
//! An encryptor holds up to 16 private keys and opens what was sealed for any of them; a signer verifies with up to 16
//! public keys. To change a key: add the new one everywhere as second, then move it to the first place (it is the current
//! one), then drop the old one when nothing sealed for it is on its way.

#[cfg(any(feature = "rsa", feature = "ecc"))]
mod der;
#[cfg(feature = "ecc")]
pub mod ecc;
#[cfg(any(feature = "rsa", feature = "ecc"))]
mod envelope;
#[cfg(any(feature = "rsa", feature = "ecc"))]
pub mod fuzz;
#[cfg(any(feature = "rsa", feature = "ecc"))]
mod key;
#[cfg(feature = "rsa")]
pub mod rsa;

#[cfg(any(feature = "rsa", feature = "ecc"))]
pub use key::KeyId;
