//! Entries that need both families.

use due_core::{
    Encryptor, Result, Signer,
    crypto::{undecryptable, unverified},
};

use crate::{
    ecc::{self, DueEccEncryptor, DueEccSigner, EccEncryptor, EccSigner},
    rsa::{self, DueRsa, DueRsaEncryptor, DueRsaSigner, Padding, RsaEncryptor, RsaSigner},
};

/// Pairs that everybody knows.
const RSA: &str = include_str!("../../tests/keys/rsa.pem");
const ECC: [u8; 32] = [7; 32];

/// Reads `data` as a message, bare and behind a good head, and sends it as a text. Panics if a refusal is not the uniform
/// one, or a text does not come back.
pub fn envelope(data: &[u8]) {
    let made = encryptors();
    assert!(made.is_ok(), "the keys are good");
    for (both, head) in made.unwrap_or_default() {
        open(&*both, data);
        open(&*both, &[&head[..], data].concat());
        assert_eq!(returned(&*both, data).ok().as_deref(), Some(data), "{both:?}");
    }
}

/// Reads `data` as a signature, bare and behind a good head. Panics if it holds, or if the refusal is not the uniform one.
pub fn signature(data: &[u8]) {
    let made = signers();
    assert!(made.is_ok(), "the keys are good");
    for (theirs, head) in made.unwrap_or_default() {
        for bytes in [data, &[&head[..], data].concat()] {
            let refused = theirs.verify(b"a message that was never signed", bytes).err().map(|e| e.to_string());
            assert_eq!(refused, Some(unverified().to_string()), "{theirs:?}");
        }
    }
}

/// Encryptors with the heads of messages for them.
type Encryptors = Vec<(Box<dyn Encryptor>, Vec<u8>)>;

fn encryptors() -> Result<Encryptors> {
    let (rsa, ecc) = keys()?;
    let hybrid = RsaEncryptor::new().for_peer(rsa.to_public_key())?.with_private(rsa.clone())?;
    let hpke = EccEncryptor::new().for_peer(ecc.public_key())?.with_private(ecc.clone())?;
    let blocks = DueRsaEncryptor::new(DueRsa::new(Padding::Strong).blocks_max(4096))?;
    let blocks = blocks.for_peer(rsa.to_public_key())?.with_private(rsa.clone())?;
    let ecies = DueEccEncryptor::new().for_peer(ecc.public_key()).with_private(ecc.clone());
    Ok(vec![
        (Box::new(hybrid), head(1, rsa::key_id(rsa.as_ref())?)),
        (Box::new(hpke), head(2, ecc::key_id(&ecc.public_key())?)),
        (Box::new(blocks), Vec::new()),
        (Box::new(ecies), ecc.public_key().to_sec1_bytes().to_vec()),
    ])
}

/// Signers with the heads of signatures that they look at.
type Signers = Vec<(Box<dyn Signer>, Vec<u8>)>;

fn signers() -> Result<Signers> {
    let (rsa, ecc) = keys()?;
    let pss = RsaSigner::new().trust(rsa.to_public_key())?;
    let ecdsa = EccSigner::new().trust(ecc.public_key())?;
    let bare = DueRsaSigner::new(DueRsa::new(Padding::Strong))?.trust(rsa.to_public_key())?;
    let text = DueEccSigner::new().trust(ecc.public_key());
    Ok(vec![
        (Box::new(pss), head(3, rsa::key_id(rsa.as_ref())?)),
        (Box::new(ecdsa), head(4, ecc::key_id(&ecc.public_key())?)),
        (Box::new(bare), Vec::new()),
        (Box::new(text), b"1 ".to_vec()),
    ])
}

fn keys() -> Result<(rsa::RsaPrivateKey, ecc::SecretKey)> {
    let ecc = ecc::SecretKey::from_slice(&ECC).map_err(|_| due_core::Error::config("no scalar"))?;
    Ok((rsa::private_key(RSA)?, ecc))
}

fn head(suite: u8, key: crate::KeyId) -> Vec<u8> {
    [&[1, suite][..], key.bytes()].concat()
}

fn open(by: &dyn Encryptor, data: &[u8]) {
    let mut out = Vec::new();
    match by.decrypt(data, b"", &mut out) {
        // Only the forms of due take nothing for a message, and that of nothing.
        Ok(()) => assert!(data.is_empty() && out.is_empty(), "{by:?}"),
        Err(error) => {
            assert_eq!(error.to_string(), undecryptable().to_string(), "{by:?}");
            assert!(out.is_empty());
        }
    }
}

fn returned(by: &dyn Encryptor, data: &[u8]) -> Result<Vec<u8>> {
    let (bound, mut sealed, mut plain) = (if by.binds() { &b"bound"[..] } else { b"" }, Vec::new(), Vec::new());
    by.encrypt(data, bound, &mut sealed)?;
    by.decrypt(&sealed, bound, &mut plain)?;
    Ok(plain)
}
