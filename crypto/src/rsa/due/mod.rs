//! The RSA of due (Go): text in blocks, each encrypted by RSA itself, and bare signatures.
//!
//! For fleets that speak it, and nothing else: every block costs the receiver a private operation (a text of 5,000 bytes
//! is 27 of them), blocks can be left out or exchanged unnoticed, and nothing names the key.

mod encryptor;
#[cfg(feature = "rsa-pkcs1v15")]
mod pkcs1;
mod settings;
mod signer;

pub use encryptor::DueRsaEncryptor;
pub use settings::{DueRsa, Hash, Padding};
pub use signer::DueRsaSigner;
