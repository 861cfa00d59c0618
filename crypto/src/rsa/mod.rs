//! RSA: OAEP-SHA256 around an AES-256-GCM key, and PSS-SHA256.
//!
//! Keys are the types of the `rsa` crate, 2048 to 4096 bits; the work is done by aws-lc-rs, whose private operations take
//! the same time whatever they find.
//!
//! ```no_run
//! use due_core::Encryptor as _;
//! use due_crypto::rsa::{RsaEncryptor, private_key, public_key};
//!
//! # fn main() -> due_core::Result<()> {
//! let server = RsaEncryptor::new().with_private(private_key("server.pem")?)?;
//! let client = RsaEncryptor::new().for_peer(public_key("server.pub.pem")?)?;
//! let (mut sealed, mut plain) = (Vec::new(), Vec::new());
//! client.encrypt(b"move 3 4", b"route 7", &mut sealed)?;
//! server.decrypt(&sealed, b"route 7", &mut plain)?;
//! # Ok(())
//! # }
//! ```

mod aead;
mod due;
mod encryptor;
mod keys;
mod signer;

pub use ::rsa::{RsaPrivateKey, RsaPublicKey};

pub use due::{DueRsa, DueRsaEncryptor, DueRsaSigner, Hash, Padding};
pub use encryptor::RsaEncryptor;
pub use keys::{key_id, private_key, public_key};
pub use signer::RsaSigner;
