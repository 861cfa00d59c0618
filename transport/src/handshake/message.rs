//! The two messages that are not tags.
//!
//! Numbers are big-endian, texts have a `u32` length before them. The tags cover the bytes as they were received, so
//! nothing here is ever encoded a second time.

use due_core::{Incarnation, InstanceId, Owner, transport::Dialer};

use super::{Hail, Refusal};

/// Longest message before the proof, in bytes.
pub(crate) const LONGEST: usize = 1024;
/// Longest instance id in bytes, so that a greeting always fits [`LONGEST`].
pub(crate) const MAX_ID: usize = 255;
/// Longest namespace in bytes.
pub(crate) const MAX_NAMESPACE: usize = 128;

const MAGIC: &[u8; 8] = b"due-link";
const VERSION: u8 = 1;
/// No feature is optional yet.
const FEATURES: u32 = 0;

/// The greeting of the dialer.
pub(super) struct Hello<'a> {
    pub(super) namespace: &'a str,
    pub(super) hail: Hail,
}

impl Hello<'_> {
    pub(super) fn encode(namespace: &str, hail: &Hail, random: &[u8; 32]) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[VERSION, VERSION]);
        out.extend_from_slice(&FEATURES.to_be_bytes());
        put_text(&mut out, namespace);
        // The key in use: dialers use their first one.
        out.push(0);
        put_owner(&mut out, &hail.from.owner);
        put_owner(&mut out, &hail.to);
        out.extend_from_slice(&hail.from.shard.to_be_bytes());
        out.extend_from_slice(&hail.nonce.to_be_bytes());
        out.push(u8::from(hail.resume));
        out.extend_from_slice(random);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Hello<'_>, Refusal> {
        let mut r = Reader::new(bytes)?;
        if r.array::<8>()? != *MAGIC {
            return Err(Refusal::Malformed);
        }
        let [first, last] = r.array()?;
        if !(first..=last).contains(&VERSION) {
            return Err(Refusal::Version);
        }
        let _features: [u8; 4] = r.array()?;
        let namespace = r.text(MAX_NAMESPACE)?;
        let [_key] = r.array()?;
        let (from, to) = (r.owner()?, r.owner()?);
        let shard = u16::from_be_bytes(r.array()?);
        let nonce = u128::from_be_bytes(r.array()?);
        let resume = match r.array()? {
            [0] => false,
            [1] => true,
            _ => return Err(Refusal::Malformed),
        };
        let _random: [u8; 32] = r.array()?;
        r.end()?;
        Ok(Hello { namespace, hail: Hail { from: Dialer { owner: from, shard }, to, nonce, resume } })
    }
}

/// The answer of the acceptor.
pub(super) struct Challenge {
    pub(super) own: Owner,
}

impl Challenge {
    pub(super) fn encode(own: &Owner, random: &[u8; 32]) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.push(VERSION);
        out.extend_from_slice(&FEATURES.to_be_bytes());
        put_owner(&mut out, own);
        out.extend_from_slice(random);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut r = Reader::new(bytes)?;
        if r.array()? != [VERSION] {
            return Err(Refusal::Version);
        }
        let _features: [u8; 4] = r.array()?;
        let own = r.owner()?;
        let _random: [u8; 32] = r.array()?;
        r.end()?;
        Ok(Self { own })
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_owner(out: &mut Vec<u8>, owner: &Owner) {
    put_text(out, &owner.id.0);
    out.extend_from_slice(&owner.incarnation.0.to_be_bytes());
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, Refusal> {
        if bytes.len() > LONGEST {
            return Err(Refusal::Malformed);
        }
        Ok(Self(bytes))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Refusal::Malformed)?;
        self.0 = rest;
        Ok(*head)
    }

    fn text(&mut self, longest: usize) -> Result<&'a str, Refusal> {
        let len = u32::from_be_bytes(self.array()?) as usize;
        if len > longest {
            return Err(Refusal::Malformed);
        }
        let (text, rest) = self.0.split_at_checked(len).ok_or(Refusal::Malformed)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| Refusal::Malformed)
    }

    fn owner(&mut self) -> Result<Owner, Refusal> {
        let id = InstanceId::from(self.text(MAX_ID)?);
        Ok(Owner { id, incarnation: Incarnation(u64::from_be_bytes(self.array()?)) })
    }

    fn end(&self) -> Result<(), Refusal> {
        if self.0.is_empty() { Ok(()) } else { Err(Refusal::Malformed) }
    }
}
