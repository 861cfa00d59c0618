//! The head of everything encrypted or signed here: version, suite, key id.

use crate::KeyId;

/// The one version there is.
const VERSION: u8 = 1;

/// Bytes of the head.
pub(crate) const HEAD: usize = 2 + KeyId::LEN;

/// What follows the head.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Suite {
    #[cfg(feature = "rsa")]
    RsaOaep = 1,
    #[cfg(feature = "ecc")]
    Hpke = 2,
    #[cfg(feature = "rsa")]
    RsaPss = 3,
    #[cfg(feature = "ecc")]
    Ecdsa = 4,
}

/// The head of a message of this suite to or from this key.
pub(crate) fn head(suite: Suite, key: KeyId) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    let bytes = [VERSION, suite as u8].into_iter().chain(*key.bytes());
    head.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    head
}

/// The key id and what follows the head; `None` if the head is not of this suite.
pub(crate) fn split(suite: Suite, bytes: &[u8]) -> Option<(KeyId, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
    let [VERSION, found, id @ ..] = *head else { return None };
    (found == suite as u8).then_some((KeyId::from_bytes(id), rest))
}
