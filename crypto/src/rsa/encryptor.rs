//! Our own form: one wrapped AES-256-GCM key, and any length behind it.

use aws_lc_rs::{
    rand,
    rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey},
};
use due_core::{Encryptor, Error, Kind, Result, crypto::undecryptable};
use rsa::{RsaPrivateKey, RsaPublicKey};
use zeroize::{Zeroize, Zeroizing};

use super::{aead, keys};
use crate::{
    KeyId,
    envelope::{self, HEAD, Suite},
    key::Ring,
};

/// Encrypts for one peer, decrypts with any of our private keys.
#[derive(Debug, Default)]
pub struct RsaEncryptor {
    peer: Ring<OaepPublicEncryptingKey>,
    ours: Ring<OaepPrivateDecryptingKey>,
}

impl RsaEncryptor {
    /// Without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Encrypts for the holder of this key; an error if there is a peer already or the key has other than 2048 to 4096
    /// bits.
    pub fn for_peer(mut self, key: RsaPublicKey) -> Result<Self> {
        if !self.peer.is_empty() {
            return Err(Error::config("an encryptor has one peer; make another one for another peer"));
        }
        let key = keys::Public::new(&key)?;
        let encrypting = OaepPublicEncryptingKey::new(key.encrypting()?).map_err(|_| fault())?;
        self.peer.add(key.id, encrypting)?;
        Ok(self)
    }

    /// Decrypts with this key too; the first one is the current one. An error if it was added before, if there are 16, or
    /// if it has other than 2048 to 4096 bits.
    pub fn with_private(mut self, key: RsaPrivateKey) -> Result<Self> {
        let id = keys::Public::new(key.as_ref())?.id;
        let decrypting = OaepPrivateDecryptingKey::new(keys::decrypting(&key)?).map_err(|_| fault())?;
        self.ours.add(id, decrypting)?;
        Ok(self)
    }

    /// The id of our current key: the one to publish.
    pub fn current(&self) -> Option<KeyId> {
        self.ours.current().map(|(id, _)| id)
    }

    fn append(&self, plain: &[u8], bound: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let Some((id, peer)) = self.peer.current() else {
            return Err(Error::new(Kind::Unsupported, "no public key of a peer: add it with for_peer"));
        };
        let (key, nonce) = (random::<{ aead::KEY }>()?, random::<{ aead::NONCE }>()?);
        let start = out.len();
        out.extend(envelope::head(Suite::RsaOaep, id));
        let mut wrapped = vec![0; peer.ciphertext_size()];
        out.extend(&*peer.encrypt(&OAEP_SHA256_MGF1SHA256, &*key, &mut wrapped, None).map_err(|_| fault())?);
        let bound = [out.get(start..).unwrap_or_default(), bound].concat();
        out.extend(*nonce);
        let text = out.len();
        out.extend(plain);
        let tag = aead::seal(&key, *nonce, &bound, out.get_mut(text..).unwrap_or_default());
        out.extend(tag.ok_or_else(|| Error::new(Kind::TooLarge, "more bytes than one key may encrypt"))?.as_ref());
        Ok(())
    }

    fn open(&self, sealed: &[u8], bound: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let (id, rest) = envelope::split(Suite::RsaOaep, sealed)?;
        let ours = self.ours.find(id)?;
        let (wrapped, rest) = rest.split_at_checked(ours.key_size_bytes())?;
        let (nonce, text) = rest.split_first_chunk::<{ aead::NONCE }>()?;
        text.len().checked_sub(aead::TAG)?;
        // A wrong padding goes on with a random key and fails at the tag: one way for all failures.
        let key = unwrap(ours, wrapped).or_else(|| random().ok())?;
        let bound = [sealed.get(..HEAD + wrapped.len())?, bound].concat();
        let start = out.len();
        out.extend(text);
        let len = aead::open(&key, *nonce, &bound, out.get_mut(start..)?)?;
        out.truncate(start + len);
        Some(())
    }
}

impl Encryptor for RsaEncryptor {
    fn name(&self) -> &'static str {
        "rsa"
    }

    fn encrypt(&self, plain: &[u8], bound: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        self.append(plain, bound, out).inspect_err(|_| cut(out, start))
    }

    fn decrypt(&self, sealed: &[u8], bound: &[u8], out: &mut Vec<u8>) -> Result<()> {
        if self.ours.is_empty() {
            return Err(Error::new(Kind::Unsupported, "no private key: add it with with_private"));
        }
        let start = out.len();
        self.open(sealed, bound, out).ok_or_else(|| {
            cut(out, start);
            undecryptable()
        })
    }
}

/// Takes back what was appended, so that nothing of a text stays in the buffer.
fn cut(out: &mut Vec<u8>, start: usize) {
    out.get_mut(start..).unwrap_or_default().zeroize();
    out.truncate(start);
}

fn unwrap(ours: &OaepPrivateDecryptingKey, wrapped: &[u8]) -> Option<Zeroizing<[u8; aead::KEY]>> {
    let mut room = Zeroizing::new(vec![0; ours.min_output_size()]);
    let key = ours.decrypt(&OAEP_SHA256_MGF1SHA256, wrapped, &mut room, None).ok()?;
    Some(Zeroizing::new(<[u8; aead::KEY]>::try_from(&*key).ok()?))
}

/// Bytes from the operating system.
fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    rand::fill(&mut *bytes).map_err(|_| Error::new(Kind::Internal, "the system gives no random bytes"))?;
    Ok(bytes)
}

fn fault() -> Error {
    Error::new(Kind::Internal, "the crypto library refused a key or a block that it has taken before")
}
