//! Ids of keys.

use std::fmt;

use sha2::{Digest, Sha256};

/// Names a key pair: the first eight bytes of the SHA-256 of its public key in PKIX DER. Not a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; KeyId::LEN]);

impl KeyId {
    /// Bytes of an id.
    pub const LEN: usize = 8;

    /// The id of the pair with this public key.
    pub(crate) fn of(pkix_der: &[u8]) -> Self {
        let digest = Sha256::digest(pkix_der);
        let mut id = [0; Self::LEN];
        id.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
        Self(id)
    }

    /// An id that was sent or stored.
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// As it is sent.
    pub fn bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
