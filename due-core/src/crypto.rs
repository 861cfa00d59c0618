//! Encryption and signatures: two contracts without a backend here, because both are pure computations.
//!
//! An implementation holds keys and nothing else. It zeroizes them when it is dropped, shows none of them in `Debug`
//! (ids of keys are public and may be shown), and is used from many threads at once through `&self`.
//!
//! A failure tells a stranger nothing: whatever is wrong with a ciphertext, the error is [`undecryptable`], and whatever
//! is wrong with a signature, it is [`unverified`].

use std::fmt;

use crate::{Error, Kind, Result, RouteId};

/// Encrypts for the holder of a private key, and decrypts what was encrypted for us.
///
/// One value may be able to do both or only one of them: without a peer's public key `encrypt` is
/// [`Kind::Unsupported`], without a private key `decrypt` is.
pub trait Encryptor: fmt::Debug + Send + Sync + 'static {
    /// The name of the scheme: `rsa`, `ecc`.
    fn name(&self) -> &'static str;

    /// Can it bind bytes to a message? If not, `bound` must be empty.
    fn binds(&self) -> bool {
        true
    }

    /// Appends `plain`, encrypted and authenticated, to `out`. The same input never gives the same bytes twice.
    ///
    /// `bound` is authenticated and not part of the result: the peer must decrypt with the same bytes. Put there what
    /// must not be exchanged between messages, like a route or a number. A scheme that cannot bind refuses anything but
    /// an empty slice with [`Kind::Unsupported`]. After an error `out` is as it was.
    fn encrypt(&self, plain: &[u8], bound: &[u8], out: &mut Vec<u8>) -> Result<()>;

    /// Appends what `encrypt` was given to `out`.
    ///
    /// Whatever is wrong with `sealed` (length, version, key id, padding, tag, other `bound`), the error is
    /// [`undecryptable`] and nothing else. Never allocates more than a small multiple of `sealed`. After an error `out` is
    /// as it was. That a message was seen before is not noticed here.
    fn decrypt(&self, sealed: &[u8], bound: &[u8], out: &mut Vec<u8>) -> Result<()>;
}

/// Signs with our private key, and verifies the signatures of others.
///
/// Without a private key `sign` is [`Kind::Unsupported`], without any public key `verify` is.
pub trait Signer: fmt::Debug + Send + Sync + 'static {
    /// The name of the scheme: `rsa`, `ecc`.
    fn name(&self) -> &'static str;

    /// Appends a signature of `message` to `out`. After an error `out` is as it was.
    fn sign(&self, message: &[u8], out: &mut Vec<u8>) -> Result<()>;

    /// Is this a signature of `message` by a key we trust? Whatever is wrong with it, the error is [`unverified`].
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()>;
}

/// Appends the body of a message of a client or for one, encrypted: what nodes and clients of one server agree on.
///
/// The route is bound to it, by its number in four bytes, most significant first, where the scheme can bind. An empty body
/// stays empty: that an answer has none is no secret, and due (Go) does the same.
pub fn seal_body(by: &dyn Encryptor, route: RouteId, plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
    if plain.is_empty() {
        return Ok(());
    }
    by.encrypt(plain, &bound_to(by, route), out)
}

/// Appends what [`seal_body`] was given. The error is [`undecryptable`] for every body that is not empty and was not
/// encrypted for us and this route.
pub fn open_body(by: &dyn Encryptor, route: RouteId, sealed: &[u8], out: &mut Vec<u8>) -> Result<()> {
    if sealed.is_empty() {
        return Ok(());
    }
    by.decrypt(sealed, &bound_to(by, route), out)
}

fn bound_to(by: &dyn Encryptor, route: RouteId) -> Vec<u8> {
    if by.binds() { route.0.to_be_bytes().to_vec() } else { Vec::new() }
}

/// Refuses an encryptor that can only encrypt or only decrypt, for a part that does both. The error says which half is
/// missing.
pub fn check_both(by: &dyn Encryptor) -> Result<()> {
    by.encrypt(b"?", &bound_to(by, RouteId(0)), &mut Vec::new())
        .map_err(|e| Error::config("this encryptor cannot encrypt").because(e))?;
    match by.decrypt(b"?", &bound_to(by, RouteId(0)), &mut Vec::new()) {
        Err(e) if e.kind() == Kind::Unsupported => Err(Error::config("this encryptor cannot decrypt").because(e)),
        _ => Ok(()),
    }
}

/// The error of every ciphertext that cannot be decrypted.
pub fn undecryptable() -> Error {
    Error::new(Kind::Malformed, "these bytes cannot be decrypted")
}

/// The error of every signature that does not hold.
pub fn unverified() -> Error {
    Error::new(Kind::Forbidden, "the signature does not hold")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_contracts_can_be_trait_objects() {
        fn object<T: ?Sized + Send + Sync>() {}
        object::<dyn Encryptor>();
        object::<dyn Signer>();
    }

    /// Turns bytes around behind what is bound to them.
    #[derive(Debug)]
    struct Turned {
        binds: bool,
        halves: [bool; 2],
    }

    impl Encryptor for Turned {
        fn name(&self) -> &'static str {
            "turned"
        }

        fn binds(&self) -> bool {
            self.binds
        }

        fn encrypt(&self, plain: &[u8], bound: &[u8], out: &mut Vec<u8>) -> Result<()> {
            if !self.halves[0] {
                return Err(Error::new(Kind::Unsupported, "no public key"));
            }
            out.extend(bound);
            out.extend(plain.iter().rev());
            Ok(())
        }

        fn decrypt(&self, sealed: &[u8], bound: &[u8], out: &mut Vec<u8>) -> Result<()> {
            if !self.halves[1] {
                return Err(Error::new(Kind::Unsupported, "no private key"));
            }
            out.extend(sealed.strip_prefix(bound).ok_or_else(undecryptable)?.iter().rev());
            Ok(())
        }
    }

    fn check(binds: bool, sealed: &[u8]) {
        let by = Turned { binds, halves: [true, true] };
        let (mut out, mut plain) = (vec![9], vec![8]);
        seal_body(&by, RouteId(258), b"abc", &mut out).unwrap();
        assert_eq!(out, [&[9], sealed].concat());
        open_body(&by, RouteId(258), sealed, &mut plain).unwrap();
        assert_eq!(plain, b"\x08abc");
    }

    #[test]
    fn a_body_is_bound_to_its_route_where_the_scheme_can() {
        check(true, b"\0\0\x01\x02cba");
        check(false, b"cba");
        let by = Turned { binds: true, halves: [true, true] };
        let moved = open_body(&by, RouteId(259), b"\0\0\x01\x02cba", &mut Vec::new());
        assert_eq!(moved.unwrap_err().to_string(), undecryptable().to_string());
    }

    #[test]
    fn an_empty_body_stays_empty() {
        let by = Turned { binds: true, halves: [false, false] };
        let mut out = Vec::new();
        seal_body(&by, RouteId(1), b"", &mut out).unwrap();
        open_body(&by, RouteId(1), b"", &mut out).unwrap();
        assert!(out.is_empty());
    }

    #[test]
    fn a_missing_half_is_found_before_the_first_message() {
        let check = |halves| check_both(&Turned { binds: true, halves });
        assert!(check([true, true]).is_ok());
        for (halves, word) in [([false, true], "cannot encrypt"), ([true, false], "cannot decrypt")] {
            let error = check(halves).unwrap_err();
            assert_eq!((error.kind(), error.text().contains(word)), (Kind::Config, true));
        }
    }

    #[test]
    fn the_uniform_errors_never_invite_a_retry() {
        for error in [undecryptable(), unverified()] {
            assert_eq!(error.retry(), crate::Retry::Never);
            assert!(std::error::Error::source(&error).is_none(), "a cause would tell them apart");
        }
    }
}
