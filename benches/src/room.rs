//! What the fan-out scenarios say: members join rooms, one connection orders a tick, every member gets its pushes.
//!
//! | message | route | body |
//! |---|---|---|
//! | join | 3 | `room 4`; answered with the same body |
//! | tick | 2 | `rooms 4, count 4, size 4, stamp 8, number 4`; not answered |
//! | push | 10 | `stamp 8, number 4, index 4`, filled up to `size` bytes |
//!
//! Route 4 answers with its body after a while in which a thread is blocked.
//!
//! A tick makes the server send `count` pushes to each of rooms `0..rooms`.

/// Orders pushes.
pub(crate) const TICK: u32 = 2;
/// Enters a room.
pub(crate) const JOIN: u32 = 3;
/// Asks for an answer that takes a blocking handler some time.
pub(crate) const BLOCK: u32 = 4;
/// A message to a member.
pub(crate) const PUSH: u32 = 10;
/// Smallest body of a push.
pub(crate) const MIN_SIZE: usize = 16;
const MAX_SIZE: u32 = 32 * 1024;
const MAX_COUNT: u32 = 1024;
/// Most rooms.
pub(crate) const MAX_ROOMS: u32 = 10_000;

/// An order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    pub(crate) rooms: u32,
    pub(crate) count: u32,
    /// Bytes of each body.
    pub(crate) size: u32,
    /// The client's clock, in nanoseconds.
    pub(crate) stamp: u64,
    /// Counts up.
    pub(crate) number: u32,
}

/// What a push tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pushed {
    pub(crate) stamp: u64,
    pub(crate) number: u32,
    pub(crate) index: u32,
}

impl Tick {
    /// Its body.
    pub(crate) fn body(&self) -> Vec<u8> {
        let Self { rooms, count, size, stamp, number } = *self;
        let mut out = [rooms, count, size].map(u32::to_be_bytes).concat();
        out.extend_from_slice(&stamp.to_be_bytes());
        out.extend_from_slice(&number.to_be_bytes());
        out
    }

    /// From a body; `None` when it is another or asks for too much.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let (head, tail) = body.split_first_chunk::<12>()?;
        let (stamp, number) = tail.split_first_chunk::<8>()?;
        let at = |i: usize| Some(u32::from_be_bytes(*head.get(i..)?.first_chunk()?));
        let tick = Self {
            rooms: at(0)?,
            count: at(4)?,
            size: at(8)?,
            stamp: u64::from_be_bytes(*stamp),
            number: u32::from_be_bytes(number.try_into().ok()?),
        };
        let fits = tick.rooms <= MAX_ROOMS && tick.count <= MAX_COUNT && tick.size <= MAX_SIZE;
        (fits && tick.size as usize >= MIN_SIZE).then_some(tick)
    }

    /// The body of push `index`.
    pub(crate) fn push(&self, index: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size as usize);
        out.extend_from_slice(&self.stamp.to_be_bytes());
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&index.to_be_bytes());
        out.resize(self.size as usize, 0);
        out
    }
}

impl Pushed {
    /// From the body of a push.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let (stamp, rest) = body.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let index = rest.first_chunk()?;
        Some(Self {
            stamp: u64::from_be_bytes(*stamp),
            number: u32::from_be_bytes(*number),
            index: u32::from_be_bytes(*index),
        })
    }
}

/// The room that a body names.
pub(crate) fn joined(body: &[u8]) -> Option<u32> {
    let room = u32::from_be_bytes(body.try_into().ok()?);
    (room < MAX_ROOMS).then_some(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_comes_out_as_it_went_in() {
        let tick = Tick { rooms: 2, count: 16, size: 128, stamp: 77, number: 5 };
        assert_eq!(Tick::read(&tick.body()), Some(tick));
        let push = tick.push(3);
        assert_eq!(push.len(), 128);
        assert_eq!(Pushed::read(&push), Some(Pushed { stamp: 77, number: 5, index: 3 }));
    }

    #[test]
    fn orders_that_ask_for_too_much_are_none() {
        let tick = Tick { rooms: 1, count: 1, size: 128, stamp: 0, number: 0 };
        for wrong in [
            Tick { rooms: MAX_ROOMS + 1, ..tick },
            Tick { count: MAX_COUNT + 1, ..tick },
            Tick { size: 15, ..tick },
            Tick { size: MAX_SIZE + 1, ..tick },
        ] {
            assert_eq!(Tick::read(&wrong.body()), None);
        }
        assert_eq!(Tick::read(&tick.body()[1..]), None);
        assert_eq!(joined(&[0, 0, 0, 9]), Some(9));
        assert_eq!(joined(&[0, 1, 0, 0]), None);
    }
}
