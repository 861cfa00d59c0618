//! P-256: HPKE in base mode, and ECDSA with SHA-256.
//!
//! Keys are the types of the `p256` crate. HPKE is RFC 9180 with DHKEM(P-256, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM,
//! base mode; its `info` is `due-crypto 1`, its associated data the head followed by what the caller binds.
//!
//! ```no_run
//! use due_core::Signer as _;
//! use due_crypto::ecc::{EccSigner, private_key, public_key};
//!
//! # fn main() -> due_core::Result<()> {
//! let ours = EccSigner::new().with_private(private_key("server.pem")?)?;
//! let theirs = EccSigner::new().trust(public_key("server.pub.pem")?)?;
//! let mut signature = Vec::new();
//! ours.sign(b"room 7 is open", &mut signature)?;
//! theirs.verify(b"room 7 is open", &signature)?;
//! # Ok(())
//! # }
//! ```

mod decimal;
mod due;
mod encryptor;
mod keys;
mod signer;

pub use p256::{PublicKey, SecretKey};

pub use due::{DueEccEncryptor, DueEccSigner};
pub use encryptor::EccEncryptor;
pub use keys::{generate, key_id, private_key, private_pem, public_key, public_pem};
pub use signer::EccSigner;
