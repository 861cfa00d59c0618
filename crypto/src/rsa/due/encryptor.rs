//! Blocks of RSA, one after the other.

use std::fmt;

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512, OaepAlgorithm,
    OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
};
use due_core::{Encryptor, Error, Kind, Result, crypto::undecryptable};
use rsa::{RsaPrivateKey, RsaPublicKey};
use zeroize::{Zeroize, Zeroizing};

use super::{DueRsa, Hash, Padding};
use crate::rsa::keys;

/// due's encryptor. It encrypts with the peer's public key and decrypts with our private one; an empty text is an empty
/// message.
pub struct DueRsaEncryptor {
    settings: DueRsa,
    peer: Option<Peer>,
    ours: Option<Ours>,
}

enum Peer {
    Oaep(OaepPublicEncryptingKey),
    #[cfg(feature = "rsa-pkcs1v15")]
    Pkcs1(super::pkcs1::Peer),
}

enum Ours {
    Oaep(OaepPrivateDecryptingKey),
    #[cfg(feature = "rsa-pkcs1v15")]
    Pkcs1(super::pkcs1::Ours),
}

impl DueRsaEncryptor {
    /// Without keys; `Unsupported` if the settings ask for PKCS#1 v1.5 and nobody allowed it.
    pub fn new(settings: DueRsa) -> Result<Self> {
        Ok(Self { settings: settings.checked()?, peer: None, ours: None })
    }

    /// Encrypts for the holder of this key; an error if due's `blockSize` is too long for it.
    pub fn for_peer(mut self, key: RsaPublicKey) -> Result<Self> {
        let encrypting = keys::Public::new(&key)?.encrypting()?;
        let peer = match self.settings.padding {
            Padding::Strong => Peer::Oaep(OaepPublicEncryptingKey::new(encrypting).map_err(|_| fault())?),
            #[cfg(feature = "rsa-pkcs1v15")]
            Padding::Pkcs1v15 => Peer::Pkcs1(super::pkcs1::Peer::new(encrypting)?),
            #[cfg(not(feature = "rsa-pkcs1v15"))]
            Padding::Pkcs1v15 => return Err(fault()),
        };
        let longest = self.longest(&peer);
        if self.settings.block_size > longest {
            let text =
                format!("block_size {} is more than the {longest} bytes this key can take", self.settings.block_size);
            return Err(Error::config(text));
        }
        self.peer = Some(peer);
        Ok(self)
    }

    /// Decrypts with this key.
    pub fn with_private(mut self, key: RsaPrivateKey) -> Result<Self> {
        let decrypting = keys::decrypting(&key)?;
        self.ours = Some(match self.settings.padding {
            Padding::Strong => Ours::Oaep(OaepPrivateDecryptingKey::new(decrypting).map_err(|_| fault())?),
            #[cfg(feature = "rsa-pkcs1v15")]
            Padding::Pkcs1v15 => Ours::Pkcs1(super::pkcs1::Ours::new(decrypting, &key)?),
            #[cfg(not(feature = "rsa-pkcs1v15"))]
            Padding::Pkcs1v15 => return Err(fault()),
        });
        Ok(self)
    }

    /// Bytes of text that a block can hold.
    fn longest(&self, peer: &Peer) -> usize {
        match peer {
            Peer::Oaep(key) => key.max_plaintext_size(oaep(self.settings.hash)),
            #[cfg(feature = "rsa-pkcs1v15")]
            Peer::Pkcs1(peer) => peer.longest(),
        }
    }

    fn block_size(&self, peer: &Peer) -> usize {
        match self.settings.block_size {
            0 => self.longest(peer),
            bytes => bytes,
        }
    }

    fn encrypt_block(&self, peer: &Peer, text: &[u8], out: &mut Vec<u8>) -> Result<()> {
        match peer {
            Peer::Oaep(key) => {
                let mut room = vec![0; key.ciphertext_size()];
                let label = Some(&*self.settings.label);
                out.extend(&*key.encrypt(oaep(self.settings.hash), text, &mut room, label).map_err(|_| fault())?);
                Ok(())
            }
            #[cfg(feature = "rsa-pkcs1v15")]
            Peer::Pkcs1(peer) => peer.encrypt(text, out),
        }
    }

    fn decrypt_blocks(&self, ours: &Ours, sealed: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let size = match ours {
            Ours::Oaep(key) => key.key_size_bytes(),
            #[cfg(feature = "rsa-pkcs1v15")]
            Ours::Pkcs1(ours) => ours.size(),
        };
        if !sealed.len().is_multiple_of(size) || sealed.len() / size > self.settings.blocks_max {
            return None;
        }
        let mut room = Zeroizing::new(vec![0; size]);
        for block in sealed.chunks(size) {
            match ours {
                Ours::Oaep(key) => {
                    let label = Some(&*self.settings.label);
                    out.extend(&*key.decrypt(oaep(self.settings.hash), block, &mut room, label).ok()?);
                }
                #[cfg(feature = "rsa-pkcs1v15")]
                Ours::Pkcs1(ours) => ours.decrypt(block, &mut room, out),
            }
        }
        Some(())
    }
}

impl Encryptor for DueRsaEncryptor {
    fn name(&self) -> &'static str {
        "rsa"
    }

    fn binds(&self) -> bool {
        false
    }

    fn encrypt(&self, plain: &[u8], bound: &[u8], out: &mut Vec<u8>) -> Result<()> {
        unbound(bound)?;
        let Some(peer) = &self.peer else {
            return Err(Error::new(Kind::Unsupported, "no public key of a peer: add it with for_peer"));
        };
        let (size, start) = (self.block_size(peer), out.len());
        if plain.len().div_ceil(size) > self.settings.blocks_max {
            let text = format!("{} bytes are more than {} blocks", plain.len(), self.settings.blocks_max);
            return Err(Error::new(Kind::TooLarge, text).context("blocks_max", self.settings.blocks_max));
        }
        let done = plain.chunks(size).try_for_each(|text| self.encrypt_block(peer, text, out));
        done.inspect_err(|_| out.truncate(start))
    }

    fn decrypt(&self, sealed: &[u8], bound: &[u8], out: &mut Vec<u8>) -> Result<()> {
        unbound(bound)?;
        let Some(ours) = &self.ours else {
            return Err(Error::new(Kind::Unsupported, "no private key: add it with with_private"));
        };
        let start = out.len();
        self.decrypt_blocks(ours, sealed, out).ok_or_else(|| {
            out.get_mut(start..).unwrap_or_default().zeroize();
            out.truncate(start);
            undecryptable()
        })
    }
}

impl fmt::Debug for DueRsaEncryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DueRsaEncryptor").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn oaep(hash: Hash) -> &'static OaepAlgorithm {
    match hash {
        Hash::Sha1 => &OAEP_SHA1_MGF1SHA1,
        Hash::Sha256 => &OAEP_SHA256_MGF1SHA256,
        Hash::Sha384 => &OAEP_SHA384_MGF1SHA384,
        Hash::Sha512 => &OAEP_SHA512_MGF1SHA512,
    }
}

fn unbound(bound: &[u8]) -> Result<()> {
    if bound.is_empty() {
        return Ok(());
    }
    Err(Error::new(Kind::Unsupported, "due's RSA cannot bind bytes to a message: pass none, or use RsaEncryptor"))
}

pub(super) fn fault() -> Error {
    Error::new(Kind::Internal, "the crypto library refused a key or a block that it has taken before")
}
