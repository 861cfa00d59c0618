//! What due's configuration says about RSA.

use due_core::{Error, Kind, Result};

/// How a block or a digest is padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// The newer one: OAEP for blocks, PSS (salt as long as the hash) for signatures.
    Strong,
    /// PKCS#1 v1.5, due's `NORMAL`. Needs the feature `rsa-pkcs1v15` and [`DueRsa::allow_pkcs1v15`].
    Pkcs1v15,
}

/// The hash of due's key `hash`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// For OAEP only: a signature over it can be forged.
    Sha1,
    /// due's default.
    Sha256,
    /// For both.
    Sha384,
    /// For both.
    Sha512,
}

/// The settings of due's encryptor and signer; start from [`DueRsa::new`].
#[derive(Clone, Debug)]
pub struct DueRsa {
    pub(super) padding: Padding,
    pub(super) hash: Hash,
    pub(super) label: Vec<u8>,
    pub(super) block_size: usize,
    pub(super) blocks_max: usize,
    allowed: bool,
}

impl DueRsa {
    /// This padding with SHA-256, no label, blocks as long as they can be, at most 64 blocks in a message.
    pub fn new(padding: Padding) -> Self {
        Self { padding, hash: Hash::Sha256, label: Vec::new(), block_size: 0, blocks_max: 64, allowed: false }
    }

    /// due's `hash`.
    #[must_use]
    pub fn hash(mut self, hash: Hash) -> Self {
        self.hash = hash;
        self
    }

    /// due's `label` of OAEP.
    #[must_use]
    pub fn label(mut self, label: impl Into<Vec<u8>>) -> Self {
        self.label = label.into();
        self
    }

    /// due's `blockSize`, in bytes of text; 0 is as long as they can be.
    #[must_use]
    pub fn block_size(mut self, bytes: usize) -> Self {
        self.block_size = bytes;
        self
    }

    /// The most blocks of one message. Each costs the receiver about 0.3 ms with 2048 bits.
    #[must_use]
    pub fn blocks_max(mut self, blocks: usize) -> Self {
        self.blocks_max = blocks;
        self
    }

    /// Lets PKCS#1 v1.5 be used. A wrong block of it decrypts to random bytes instead of an error, because an error would
    /// let a stranger decrypt with some thousand questions.
    #[cfg(feature = "rsa-pkcs1v15")]
    #[must_use]
    pub fn allow_pkcs1v15(mut self) -> Self {
        self.allowed = true;
        self
    }

    /// `Unsupported` for PKCS#1 v1.5 that nobody allowed.
    pub(super) fn checked(self) -> Result<Self> {
        if self.padding == Padding::Strong || self.allowed {
            return Ok(self);
        }
        let text =
            "PKCS#1 v1.5 is off: build with the feature rsa-pkcs1v15 and call allow_pkcs1v15, or use OAEP and PSS";
        Err(Error::new(Kind::Unsupported, text))
    }
}
