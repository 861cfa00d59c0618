//! Keys of a cluster, made from its secrets, and the tags that prove them.

use std::fmt;

use due_core::{Error, Kind, Result};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// Bytes of a tag.
pub(crate) const TAG: usize = 32;

type Code = Hmac<Sha256>;

/// What proves membership: one pair of keys for each secret. The first one dials, all of them accept, so a secret is
/// changed by three roll-outs: `old,new`, then `new,old`, then `new`.
#[derive(Clone)]
pub(crate) struct Keys {
    pairs: Vec<Pair>,
    namespace: String,
}

#[derive(Clone)]
struct Pair {
    dialer: Code,
    acceptor: Code,
}

/// Who makes a tag; each side has a key of its own, so a tag sent back proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Dialer,
    Acceptor,
}

impl Keys {
    /// Derives the keys. Without a secret the tags prove nothing but the namespace: the caller keeps such links on
    /// loopback.
    pub(crate) fn new(secrets: &[Vec<u8>], namespace: &str) -> Result<Self> {
        let none = [Vec::new()];
        let secrets = if secrets.is_empty() { &none[..] } else { secrets };
        let pairs = secrets.iter().map(|secret| Pair::derive(secret, namespace)).collect::<Result<_>>()?;
        Ok(Self { pairs, namespace: namespace.to_owned() })
    }

    /// The cluster that these keys belong to.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// How many keys there are; at least one.
    pub(super) fn count(&self) -> usize {
        self.pairs.len()
    }

    /// The tag of `side` with key `index` over the parts, each with its length before it.
    pub(super) fn tag(&self, index: usize, side: Side, parts: &[&[u8]]) -> [u8; TAG] {
        let Some(pair) = self.pairs.get(index) else { return [0; TAG] };
        let code = match side {
            Side::Dialer => &pair.dialer,
            Side::Acceptor => &pair.acceptor,
        };
        let mut code = code.clone();
        for part in parts {
            code.update(&(part.len() as u32).to_be_bytes());
            code.update(part);
        }
        code.finalize().into_bytes().into()
    }

    /// The tag that an acceptor owes to a dialer, which uses the first key.
    pub(super) fn expected(&self, parts: &[&[u8]]) -> [u8; TAG] {
        self.tag(0, Side::Acceptor, parts)
    }

    /// Which key made `tag`? Takes equally long whichever it is, and if none is.
    pub(super) fn which(&self, tag: &[u8; TAG], side: Side, parts: &[&[u8]]) -> Option<usize> {
        let (mut found, mut which) = (Choice::from(0), 0u32);
        for index in 0..self.count() {
            let same = self.tag(index, side, parts).ct_eq(tag);
            which.conditional_assign(&(index as u32), same & !found);
            found |= same;
        }
        bool::from(found).then_some(which as usize)
    }
}

/// Compares in a time that depends on the lengths only.
pub(super) fn same(expected: &[u8; TAG], tag: &[u8]) -> bool {
    expected.as_slice().ct_eq(tag).into()
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("namespace", &self.namespace).field("count", &self.count()).finish()
    }
}

impl Pair {
    fn derive(secret: &[u8], namespace: &str) -> Result<Self> {
        let root = Hkdf::<Sha256>::new(Some(b"due-link-1"), secret);
        let key = |label: &[u8]| {
            let mut key = [0; 32];
            let length = (namespace.len() as u32).to_be_bytes();
            root.expand_multi_info(&[label, &length, namespace.as_bytes()], &mut key)
                .map_err(|e| Error::new(Kind::Internal, "a link key cannot be derived").because(e.to_string()))?;
            Code::new_from_slice(&key)
                .map_err(|e| Error::new(Kind::Internal, "a link key has a wrong length").because(e.to_string()))
        };
        Ok(Self { dialer: key(b"dialer")?, acceptor: key(b"acceptor")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> Vec<u8> {
        vec![byte; 32]
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Computed by an independent program from the definition.
    #[test]
    fn tags_are_those_of_the_definition() {
        let keys = Keys::new(&[secret(7)], "games").unwrap();
        assert_eq!(hex(&keys.tag(0, Side::Dialer, &[b"one", b"", b"three"])), GOLDEN_DIALER);
        assert_eq!(hex(&keys.tag(0, Side::Acceptor, &[b"one", b"", b"three"])), GOLDEN_ACCEPTOR);
    }

    const GOLDEN_DIALER: &str = "79036599b686a0284f47f30937724b4ce7f9f2ecc7cba5c65753f6dcebc92f13";
    const GOLDEN_ACCEPTOR: &str = "5515d3141673450e6141edc4890eb3d782ead9dad08a11edf953ebab16287dac";

    #[test]
    fn any_of_the_keys_is_found_and_no_other() {
        let keys = Keys::new(&[secret(1), secret(2), secret(3)], "games").unwrap();
        for byte in 1..=3 {
            let tag = Keys::new(&[secret(byte)], "games").unwrap().tag(0, Side::Dialer, &[b"x"]);
            assert_eq!(keys.which(&tag, Side::Dialer, &[b"x"]), Some(usize::from(byte) - 1));
            assert_eq!(keys.which(&tag, Side::Acceptor, &[b"x"]), None);
            assert_eq!(keys.which(&tag, Side::Dialer, &[b"y"]), None);
        }
        let other = Keys::new(&[secret(1)], "gamez").unwrap().tag(0, Side::Dialer, &[b"x"]);
        assert_eq!(keys.which(&other, Side::Dialer, &[b"x"]), None);
        let stranger = Keys::new(&[secret(4)], "games").unwrap().tag(0, Side::Dialer, &[b"x"]);
        assert_eq!(keys.which(&stranger, Side::Dialer, &[b"x"]), None);
    }

    #[test]
    fn keys_never_print() {
        let shown =
            format!("{:?}", Keys::new(&[b"hunter2-hunter2-hunter2-hunter2-hunter2".to_vec()], "games").unwrap());
        assert_eq!(shown, "Keys { namespace: \"games\", count: 1 }");
    }
}
