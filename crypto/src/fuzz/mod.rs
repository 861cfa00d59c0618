//! Entry points for fuzzers. Not an interface: they may change at any time.

#[cfg(all(feature = "ecc", feature = "rsa"))]
mod both;

use base64::{Engine, engine::general_purpose::STANDARD};

#[cfg(all(feature = "ecc", feature = "rsa"))]
pub use both::{envelope, signature};

/// Reads `data` as the text of keys of every kind.
pub fn pem(data: &[u8]) {
    // Without a first line it would be the path of a file.
    keys(&format!("-----BEGIN {}", String::from_utf8_lossy(data)));
}

/// Reads `data` as the DER of keys of every kind.
pub fn der(data: &[u8]) {
    keys(&format!("-----BEGIN KEY-----\n{}\n-----END KEY-----\n", STANDARD.encode(data)));
}

fn keys(text: &str) {
    #[cfg(feature = "rsa")]
    let _ = (crate::rsa::private_key(text), crate::rsa::public_key(text));
    #[cfg(feature = "ecc")]
    let _ = (crate::ecc::private_key(text), crate::ecc::public_key(text));
}
