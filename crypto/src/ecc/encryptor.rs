//! HPKE, one message at a time.

use due_core::{Encryptor, Error, Kind, Result, crypto::undecryptable};
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, aead::AesGcm256, kdf::HkdfSha256, kem::DhP256HkdfSha256,
    single_shot_open, single_shot_seal,
};
use p256::{PublicKey, SecretKey};
use zeroize::Zeroizing;

use super::keys;
use crate::{
    KeyId,
    envelope::{self, HEAD, Suite},
    key::Ring,
};

type PeerKey = <DhP256HkdfSha256 as Kem>::PublicKey;
type OurKey = <DhP256HkdfSha256 as Kem>::PrivateKey;
type Encapped = <DhP256HkdfSha256 as Kem>::EncappedKey;

/// Separates these messages from others under the same keys.
const INFO: &[u8] = b"due-crypto 1";

/// Bytes of an encapsulated key: an uncompressed point.
const ENCAPPED: usize = 65;

/// Encrypts for one peer, decrypts with any of our private keys.
#[derive(Debug, Default)]
pub struct EccEncryptor {
    peer: Ring<PeerKey>,
    ours: Ring<OurKey>,
}

impl EccEncryptor {
    /// Without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Encrypts for the holder of this key; an error if there is a peer already.
    pub fn for_peer(mut self, key: PublicKey) -> Result<Self> {
        if !self.peer.is_empty() {
            return Err(Error::config("an encryptor has one peer; make another one for another peer"));
        }
        let point = key.to_sec1_bytes();
        let peer =
            PeerKey::from_bytes(&point).map_err(|_| Error::config("this public key is no point of the curve"))?;
        self.peer.add(keys::key_id(&key)?, peer)?;
        Ok(self)
    }

    /// Decrypts with this key too; the first one is the current one. An error if it was added before, or if there are 16.
    pub fn with_private(mut self, key: SecretKey) -> Result<Self> {
        let scalar = Zeroizing::new(key.to_bytes());
        let ours =
            OurKey::from_bytes(&scalar).map_err(|_| Error::config("this private key is no scalar of the curve"))?;
        self.ours.add(keys::key_id(&key.public_key())?, ours)?;
        Ok(self)
    }

    /// The id of our current key: the one to publish.
    pub fn current(&self) -> Option<KeyId> {
        self.ours.current().map(|(id, _)| id)
    }

    fn open(&self, sealed: &[u8], bound: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (id, rest) = envelope::split(Suite::Hpke, sealed)?;
        let ours = self.ours.find(id)?;
        let message = rest.split_at_checked(ENCAPPED)?;
        opened(ours, message, INFO, &[sealed.get(..HEAD)?, bound].concat())
    }
}

/// The text of an encapsulated key and what was encrypted with it.
fn opened(ours: &OurKey, message: (&[u8], &[u8]), info: &[u8], bound: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let encapped = Encapped::from_bytes(message.0).ok()?;
    single_shot_open::<AesGcm256, HkdfSha256, DhP256HkdfSha256>(&OpModeR::Base, ours, &encapped, info, message.1, bound)
        .ok()
        .map(Zeroizing::new)
}

impl Encryptor for EccEncryptor {
    fn name(&self) -> &'static str {
        "ecc"
    }

    fn encrypt(&self, plain: &[u8], bound: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let Some((id, peer)) = self.peer.current() else {
            return Err(Error::new(Kind::Unsupported, "no public key of a peer: add it with for_peer"));
        };
        let head = envelope::head(Suite::Hpke, id);
        let (encapped, text) = single_shot_seal::<AesGcm256, HkdfSha256, DhP256HkdfSha256>(
            &OpModeS::Base,
            peer,
            INFO,
            plain,
            &[&head, bound].concat(),
        )
        .map_err(|_| Error::new(Kind::TooLarge, "more bytes than one key may encrypt"))?;
        out.extend(head);
        out.extend(encapped.to_bytes());
        out.extend(text);
        Ok(())
    }

    fn decrypt(&self, sealed: &[u8], bound: &[u8], out: &mut Vec<u8>) -> Result<()> {
        if self.ours.is_empty() {
            return Err(Error::new(Kind::Unsupported, "no private key: add it with with_private"));
        }
        out.extend(self.open(sealed, bound).ok_or_else(undecryptable)?.iter());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let pair = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(pair).collect()
    }

    /// RFC 9180, the test vectors it names (`test-vectors.json` of cfrg/draft-irtf-cfrg-hpke at 5f503c5): mode 0, kem 16,
    /// kdf 1, aead 2, its first encryption. Project Wycheproof has none of HPKE.
    #[test]
    fn the_vector_of_rfc_9180_is_opened() {
        let ours =
            OurKey::from_bytes(&bytes("317f915db7bc629c48fe765587897e01e282d3e8445f79f27f65d031a88082b2")).unwrap();
        let encapped = bytes(
            "04c06b4f6bebc7bb495cb797ab753f911aff80aefb86fd8b6fcc35525f3ab5f03e\
             0b21bd31a86c6048af3cb2d98e0d3bf01da5cc4c39ff5370d331a4f1f7d5a4e0",
        );
        let text = bytes("58c61a45059d0c5704560e9d88b564a8b63f1364b8d1fcb3c4c6ddc1d291742465e902cd216f8908da49f8f96f");
        let open = |text: &[u8], info: &[u8], bound: &[u8]| opened(&ours, (&encapped, text), info, bound);
        let plain = open(&text, b"Ode on a Grecian Urn", b"Count-0").unwrap();
        assert_eq!(&plain[..], b"Beauty is truth, truth beauty");
        assert!(open(&text, b"Ode on a Grecian Urn", b"Count-1").is_none());
        assert!(open(&text, INFO, b"Count-0").is_none());
        assert!(open(&text[1..], b"Ode on a Grecian Urn", b"Count-0").is_none());
    }
}
