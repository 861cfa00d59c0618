//! How two servers prove to each other that they belong to one cluster, without a socket.
//!
//! ```text
//! 1  D -> A   H = magic, versions, features, namespace, key, from, to, shard, link nonce, resume, random
//! 2  A -> D   C = version, features, own, random
//! 3  D -> A   tag of the dialer's key over "due-link-1 D", H, C, binding
//! 4  A -> D   tag of the acceptor's key over "due-link-1 A", H, C, tag 3, binding
//! ```
//!
//! The dialer proves first, so a stranger at the port gets nothing to guess against. Two keys and two random numbers
//! stop reflection and replay, `to` and `own` stop a relay to another instance. The binding ties the proof to a TLS
//! channel; it is empty without one. It proves membership, not identity: whoever holds the secret may claim any id.
//!
//! Each message is one call here; how its length travels is the business of the transport. Before the proof no message
//! is longer than [`LONGEST`], and any [`Refusal`] is answered by silence and the end of the connection.

mod keys;
mod message;
#[cfg(test)]
mod tests;

use std::fmt;

use due_core::{Owner, transport::Dialer};

use self::{
    keys::Side,
    message::{Challenge, Hello},
};

pub(crate) use keys::{Keys, TAG};

pub(crate) use message::{LONGEST, MAX_ID, MAX_NAMESPACE};

/// Who dials whom, and for which link session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hail {
    /// The dialing instance and its shard.
    pub(crate) from: Dialer,
    /// Whom it wants to reach.
    pub(crate) to: Owner,
    /// Tells the link sessions between the two apart; random, chosen by the dialer once a session.
    pub(crate) nonce: u128,
    /// The session exists already: this is a new connection of it.
    pub(crate) resume: bool,
}

/// Why a side ends the handshake. The other side learns nothing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Bytes that are no message of this handshake.
    Malformed,
    /// No common version.
    Version,
    /// A member of another cluster.
    Namespace,
    /// Meant for another instance.
    NotMe,
    /// It comes from the very instance that it reaches.
    Oneself,
    /// Another instance, or another life of it, listens there.
    Elsewhere(Owner),
    /// The tag was made with another secret, or for another handshake.
    Proof,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the bytes are no handshake of a link"),
            Self::Version => f.write_str("no common version of the handshake"),
            Self::Namespace => f.write_str("another namespace"),
            Self::NotMe => f.write_str("meant for another instance"),
            Self::Oneself => f.write_str("an instance that dials itself"),
            Self::Elsewhere(found) => write!(f, "{found} listens there"),
            Self::Proof => f.write_str("the proof is wrong: compare `secret` on both sides"),
        }
    }
}

const DIALER: &[u8] = b"due-link-1 D";
const ACCEPTOR: &[u8] = b"due-link-1 A";

/// The dialer, waiting for message 2.
pub(crate) struct Dialing {
    hello: Vec<u8>,
    to: Owner,
}

impl Dialing {
    /// Starts; the bytes are message 1. `random` is fresh for each handshake.
    pub(crate) fn begin(keys: &Keys, hail: &Hail, random: &[u8; 32]) -> (Self, Vec<u8>) {
        let hello = Hello::encode(keys.namespace(), hail, random);
        (Self { hello: hello.clone(), to: hail.to.clone() }, hello)
    }

    /// Takes message 2; gives message 3.
    pub(crate) fn prove(self, keys: &Keys, challenge: &[u8], binding: &[u8]) -> Result<(Proved, [u8; TAG]), Refusal> {
        let own = Challenge::decode(challenge)?.own;
        if own != self.to {
            return Err(Refusal::Elsewhere(own));
        }
        let tag = keys.tag(0, Side::Dialer, &[DIALER, &self.hello, challenge, binding]);
        let expected = keys.expected(&[ACCEPTOR, &self.hello, challenge, &tag, binding]);
        Ok((Proved { expected }, tag))
    }
}

/// The dialer, waiting for message 4.
pub(crate) struct Proved {
    expected: [u8; TAG],
}

impl Proved {
    /// Takes message 4: the acceptor is a member too.
    pub(crate) fn finish(self, tag: &[u8]) -> Result<(), Refusal> {
        if keys::same(&self.expected, tag) { Ok(()) } else { Err(Refusal::Proof) }
    }
}

/// The acceptor, waiting for message 3.
pub(crate) struct Answering {
    hello: Vec<u8>,
    challenge: Vec<u8>,
    hail: Hail,
    own: Owner,
}

impl Answering {
    /// Takes message 1; gives message 2. Whom the dialer wants is judged after its proof, so that an honest one learns
    /// from message 2 who lives here now.
    pub(crate) fn begin(keys: &Keys, own: &Owner, hello: &[u8], random: &[u8; 32]) -> Result<(Self, Vec<u8>), Refusal> {
        let Hello { namespace, hail } = Hello::decode(hello)?;
        if namespace != keys.namespace() {
            return Err(Refusal::Namespace);
        }
        if hail.from.owner == *own {
            return Err(Refusal::Oneself);
        }
        let challenge = Challenge::encode(own, random);
        let answer = Self { hello: hello.to_vec(), challenge: challenge.clone(), hail, own: own.clone() };
        Ok((answer, challenge))
    }

    /// Takes message 3: the dialer is a member. Gives what it wants, and message 4.
    pub(crate) fn finish(self, keys: &Keys, tag: &[u8], binding: &[u8]) -> Result<(Hail, [u8; TAG]), Refusal> {
        let tag: &[u8; TAG] = tag.try_into().map_err(|_| Refusal::Malformed)?;
        let parts = [DIALER, &self.hello, &self.challenge, binding];
        let key = keys.which(tag, Side::Dialer, &parts).ok_or(Refusal::Proof)?;
        if self.hail.to != self.own {
            return Err(Refusal::NotMe);
        }
        let parts = [ACCEPTOR, &self.hello, &self.challenge, tag, binding];
        Ok((self.hail, keys.tag(key, Side::Acceptor, &parts)))
    }
}
