//! A small byte format for link bodies: big-endian numbers, texts with a length before them.

use due_core::{Epoch, Error, Incarnation, InstanceId, Kind, Owner, Result, Uid};

/// Appends values.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    /// With room for so many bytes.
    pub(crate) fn sized(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(crate) fn u8(mut self, n: u8) -> Self {
        self.0.push(n);
        self
    }

    pub(crate) fn u32(mut self, n: u32) -> Self {
        self.0.extend_from_slice(&n.to_be_bytes());
        self
    }

    pub(crate) fn u64(mut self, n: u64) -> Self {
        self.0.extend_from_slice(&n.to_be_bytes());
        self
    }

    pub(crate) fn u128(mut self, n: u128) -> Self {
        self.0.extend_from_slice(&n.to_be_bytes());
        self
    }

    /// A text; bytes beyond `u32::MAX` cannot occur in a bounded message.
    pub(crate) fn text(self, text: &str) -> Self {
        let mut w = self.u32(text.len() as u32);
        w.0.extend_from_slice(text.as_bytes());
        w
    }

    pub(crate) fn uid(self, uid: &Uid) -> Self {
        match uid {
            Uid::Int(n) => self.u8(0).u64(*n as u64),
            Uid::Str(s) => self.u8(1).text(s),
        }
    }

    pub(crate) fn epoch(self, epoch: Epoch) -> Self {
        self.u64(epoch.0)
    }

    pub(crate) fn owner(self, owner: &Owner) -> Self {
        self.text(&owner.id.0).u64(owner.incarnation.0)
    }

    pub(crate) fn list<T>(self, items: &[T], put: impl Fn(Self, &T) -> Self) -> Self {
        items.iter().fold(self.u32(items.len() as u32), put)
    }

    pub(crate) fn rest(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// Takes values off the front; too few bytes or a bad tag is `Malformed`.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

fn malformed() -> Error {
    Error::new(Kind::Malformed, "a link body cannot be read")
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| malformed())
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn u128(&mut self) -> Result<u128> {
        Ok(u128::from_be_bytes(self.array()?))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str> {
        let len = self.u32()? as usize;
        std::str::from_utf8(self.take(len)?).map_err(|_| malformed())
    }

    pub(crate) fn uid(&mut self) -> Result<Uid> {
        match self.u8()? {
            0 => Ok(Uid::Int(self.u64()? as i64)),
            1 => Ok(Uid::from(self.text()?)),
            _ => Err(malformed()),
        }
    }

    pub(crate) fn epoch(&mut self) -> Result<Epoch> {
        Ok(Epoch(self.u64()?))
    }

    pub(crate) fn owner(&mut self) -> Result<Owner> {
        Ok(Owner { id: InstanceId::from(self.text()?), incarnation: Incarnation(self.u64()?) })
    }

    /// A list whose items take one byte at least, so its length is bounded by the bytes that are there.
    pub(crate) fn list<T>(&mut self, take: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let n = self.u32()? as usize;
        if n > self.0.len() {
            return Err(malformed());
        }
        (0..n).map(|_| take(self)).collect()
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}
