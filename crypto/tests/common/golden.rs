//! Golden messages and signatures: made once by Go's libraries and by this crate, read by both ever since.
//! `tests/tests/crypto_interop.rs` writes the file anew when it is asked to, and lets Go read it. Who includes this has
//! `pkcs1v15`, the settings of that padding if the feature is on.

use due_core::{Encryptor, Signer};
use due_crypto::{
    ecc::{self, DueEccEncryptor, DueEccSigner, EccEncryptor},
    rsa::{self, DueRsa, DueRsaEncryptor, DueRsaSigner, Padding::Strong, RsaEncryptor},
};

/// One message or signature.
pub(crate) struct Golden {
    pub(crate) form: &'static str,
    /// `go` or `due`.
    pub(crate) maker: &'static str,
    pub(crate) text: Vec<u8>,
    pub(crate) bytes: Vec<u8>,
}

/// The file: a line is form, maker, text and bytes, the last two in hex (`-` for none).
pub(crate) fn all() -> Vec<Golden> {
    let line = |line: &'static str| {
        let mut words = line.split(' ');
        let mut next = || words.next().unwrap();
        Golden { form: next(), maker: next(), text: unhex(next()), bytes: unhex(next()) }
    };
    include_str!("../golden.txt").lines().filter(|line| !line.starts_with('#')).map(line).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let text = text.trim_start_matches('-');
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

const RSA: &str = include_str!("../keys/rsa.pem");
const ECC: &str = include_str!("../keys/ec.pem");

/// What both ends of a form do, and the bytes that are bound; `None` if it is no form of encryption, or is compiled out.
pub(crate) fn encryptor(form: &str) -> Option<(Box<dyn Encryptor>, &'static [u8])> {
    let (rsa, ecc) = (rsa::private_key(RSA).unwrap(), ecc::private_key(ECC).unwrap());
    let due = |settings| {
        let both = DueRsaEncryptor::new(settings).unwrap().for_peer(rsa.to_public_key()).unwrap();
        Box::new(both.with_private(rsa.clone()).unwrap())
    };
    Some(match form {
        "hybrid" => {
            let both = RsaEncryptor::new().for_peer(rsa.to_public_key()).unwrap();
            (Box::new(both.with_private(rsa.clone()).unwrap()), b"route 7")
        }
        "hpke" => {
            let both = EccEncryptor::new().for_peer(ecc.public_key()).unwrap();
            (Box::new(both.with_private(ecc).unwrap()), b"route 7")
        }
        "oaep" => (due(DueRsa::new(Strong).label("room")), b""),
        "v15" => (due(super::pkcs1v15()?), b""),
        "ecies" => {
            let both = DueEccEncryptor::new().shared("one", "two").for_peer(ecc.public_key());
            (Box::new(both.with_private(ecc)), b"")
        }
        _ => return None,
    })
}

/// The same for signatures.
pub(crate) fn signer(form: &str) -> Option<Box<dyn Signer>> {
    let (rsa, ecc) = (rsa::private_key(RSA).unwrap(), ecc::private_key(ECC).unwrap());
    let due = |settings| {
        let both = DueRsaSigner::new(settings).unwrap().trust(rsa.to_public_key()).unwrap();
        Box::new(both.with_private(rsa.clone()).unwrap())
    };
    Some(match form {
        "pss" => due(DueRsa::new(Strong)),
        "v15-signature" => due(super::pkcs1v15()?),
        "ecdsa" => Box::new(DueEccSigner::new().trust(ecc.public_key()).with_private(ecc)),
        _ => return None,
    })
}
