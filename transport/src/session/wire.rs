//! The bytes of a link.
//!
//! ```text
//! length u32 | kind u8 | presence u8 | fields that are not zero | body
//! ```
//!
//! Fields are variable-length integers (lane and corr as slot and generation), so a usual head takes 6 to 12 bytes. A
//! body above [`PART`] goes in several units. The length counts what follows it and is bounded by [`LONGEST`], so no
//! unit ever needs more room than the read buffer has.

use due_core::transport::{FrameKind, Head, Trace};

/// Most bytes of a body in one unit.
pub(crate) const PART: usize = 64 * 1024;
/// Most bytes of a unit behind its length.
pub(crate) const LONGEST: usize = PART + 96;

const FLAGS: u8 = 1;
const ROUTE: u8 = 1 << 1;
const SEQ: u8 = 1 << 2;
const LANE: u8 = 1 << 3;
const CORR: u8 = 1 << 4;
const TTL: u8 = 1 << 5;
const TRACE: u8 = 1 << 6;
const SPLIT: u8 = 1 << 7;

const HELLO: u8 = 0x40;
const PING: u8 = 0x41;
const ACK: u8 = 0x42;
const MORE: u8 = 0x43;
const BYE: u8 = 0x44;

const KINDS: [FrameKind; 13] = [
    FrameKind::Open,
    FrameKind::Message,
    FrameKind::Bound,
    FrameKind::Unbound,
    FrameKind::Close,
    FrameKind::Reply,
    FrameKind::Error,
    FrameKind::Credit,
    FrameKind::Order,
    FrameKind::Answer,
    FrameKind::Cancel,
    FrameKind::Ping,
    FrameKind::Barrier,
];

/// What goes over a link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unit<'a> {
    /// A frame, or the first part of one.
    Frame { head: Head, stamp: u64, total: Option<u32>, body: &'a [u8] },
    /// Another part of the frame that was begun.
    More(&'a [u8]),
    /// The first unit of every connection.
    Hello(Hello),
    /// A heartbeat.
    Ping(Ping),
    /// So many units were handed to the user.
    Ack(u64),
    /// The link session is over.
    Bye,
}

/// What each side says first on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    /// Units received in this link session: the other side goes on behind them.
    pub(crate) received: u64,
    /// Bytes that the sender of this keeps under way at most.
    pub(crate) window: u64,
    /// Largest body that it takes.
    pub(crate) max_frame: u64,
}

/// A heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ping {
    /// Its number; rises by one.
    pub(crate) number: u64,
    /// The highest number seen from the other side.
    pub(crate) seen: u64,
    /// Units received, as in [`Unit::Ack`].
    pub(crate) received: u64,
    /// The sender's link clock in milliseconds.
    pub(crate) clock: u64,
    /// Wants an answer at once.
    pub(crate) urgent: bool,
}

/// Bytes that are no unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) &'static str);

/// Appends a frame, or its first part if its body has `total` bytes, without the `len` bytes of its body, which the
/// caller puts behind it. `stamp` is the link clock of the sender.
pub(crate) fn put_frame(out: &mut Vec<u8>, head: &Head, stamp: u64, total: Option<u32>, len: usize) {
    let from = put_head(out, head, stamp, total);
    close(out, from, len);
}

fn put_head(out: &mut Vec<u8>, head: &Head, stamp: u64, total: Option<u32>) -> usize {
    let from = out.len();
    let bit = |there: bool, bit: u8| if there { bit } else { 0 };
    let presence = bit(head.flags != 0, FLAGS)
        | bit(head.route != 0, ROUTE)
        | bit(head.seq != 0, SEQ)
        | bit(head.lane != 0, LANE)
        | bit(head.corr != 0, CORR)
        | bit(head.ttl_ms != 0, TTL)
        | bit(head.trace != Trace::default(), TRACE)
        | bit(total.is_some(), SPLIT);
    out.extend_from_slice(&[0, 0, 0, 0, head.kind as u8, presence]);
    if presence & FLAGS != 0 {
        out.push(head.flags);
    }
    if presence & ROUTE != 0 {
        put(out, zigzag(head.route));
    }
    if presence & SEQ != 0 {
        put(out, zigzag(head.seq));
    }
    if presence & LANE != 0 {
        put_pair(out, head.lane);
    }
    if presence & CORR != 0 {
        put_pair(out, head.corr);
    }
    if presence & TTL != 0 {
        put(out, head.ttl_ms.into());
        put(out, stamp);
    }
    if presence & TRACE != 0 {
        out.extend_from_slice(&head.trace.id.to_be_bytes());
        out.extend_from_slice(&head.trace.span.to_be_bytes());
    }
    if let Some(total) = total {
        put(out, total.into());
    }
    from
}

/// Appends the head of a further part of `len` bytes, which follow elsewhere.
pub(crate) fn put_more(out: &mut Vec<u8>, len: usize) {
    let from = open(out, MORE, 0);
    close(out, from, len);
}

/// Appends a hello.
pub(crate) fn put_hello(out: &mut Vec<u8>, hello: &Hello) {
    let from = open(out, HELLO, 0);
    [hello.received, hello.window, hello.max_frame].into_iter().for_each(|n| put(out, n));
    close(out, from, 0);
}

/// Appends a heartbeat.
pub(crate) fn put_ping(out: &mut Vec<u8>, ping: &Ping) {
    let from = open(out, PING, u8::from(ping.urgent));
    [ping.number, ping.seen, ping.received, ping.clock].into_iter().for_each(|n| put(out, n));
    close(out, from, 0);
}

/// Appends a count of received units.
pub(crate) fn put_ack(out: &mut Vec<u8>, received: u64) {
    let from = open(out, ACK, 0);
    put(out, received);
    close(out, from, 0);
}

/// Appends the end of the link session.
pub(crate) fn put_bye(out: &mut Vec<u8>) {
    let from = open(out, BYE, 0);
    close(out, from, 0);
}

fn open(out: &mut Vec<u8>, kind: u8, presence: u8) -> usize {
    let from = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, kind, presence]);
    from
}

/// Writes the length of the unit that begins at `from` and has `more` bytes elsewhere.
fn close(out: &mut [u8], from: usize, more: usize) {
    let len = (out.len() - from - 4 + more) as u32;
    if let Some(place) = out.get_mut(from..).and_then(<[u8]>::first_chunk_mut) {
        *place = len.to_be_bytes();
    }
}

/// The unit at the front of `bytes` and its length with everything; `None` while it is incomplete.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Unit<'_>, usize)>, Broken> {
    let Some((unit, len)) = split(bytes)? else { return Ok(None) };
    Ok(Some((decode(unit)?, len)))
}

/// Is the unit at the front of `bytes` one that the link keeps for itself? `None` while it is incomplete.
pub(crate) fn peek(bytes: &[u8]) -> Result<Option<(bool, usize)>, Broken> {
    let Some((unit, len)) = split(bytes)? else { return Ok(None) };
    let own = unit.first().is_some_and(|kind| matches!(*kind, HELLO | PING | ACK | BYE));
    Ok(Some((own, len)))
}

/// Is this whole unit the end of the link session?
pub(crate) fn is_bye(unit: &[u8]) -> bool {
    unit.get(4) == Some(&BYE)
}

fn split(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, Broken> {
    let Some((length, rest)) = bytes.split_first_chunk() else { return Ok(None) };
    let len = u32::from_be_bytes(*length) as usize;
    if !(2..=LONGEST).contains(&len) {
        return Err(Broken("a length out of bounds"));
    }
    Ok(rest.get(..len).map(|unit| (unit, len + 4)))
}

fn decode(unit: &[u8]) -> Result<Unit<'_>, Broken> {
    let mut r = Reader(unit);
    let [kind, presence] = r.array()?;
    if let Some(kind) = KINDS.get(usize::from(kind)) {
        return frame(*kind, presence, r);
    }
    let unit = match kind {
        MORE => return Ok(Unit::More(r.body()?)),
        HELLO => Unit::Hello(Hello { received: r.int()?, window: r.int()?, max_frame: r.int()? }),
        PING => Unit::Ping(Ping {
            number: r.int()?,
            seen: r.int()?,
            received: r.int()?,
            clock: r.int()?,
            urgent: presence & 1 != 0,
        }),
        ACK => Unit::Ack(r.int()?),
        BYE => Unit::Bye,
        _ => return Err(Broken("an unknown kind")),
    };
    if r.0.is_empty() { Ok(unit) } else { Err(Broken("bytes behind a unit")) }
}

fn frame(kind: FrameKind, presence: u8, mut r: Reader<'_>) -> Result<Unit<'_>, Broken> {
    let mut head = Head { kind, ..Head::default() };
    let mut stamp = 0;
    if presence & FLAGS != 0 {
        [head.flags] = r.array()?;
    }
    if presence & ROUTE != 0 {
        head.route = unzigzag(r.small()?);
    }
    if presence & SEQ != 0 {
        head.seq = unzigzag(r.small()?);
    }
    if presence & LANE != 0 {
        head.lane = r.pair()?;
    }
    if presence & CORR != 0 {
        head.corr = r.pair()?;
    }
    if presence & TTL != 0 {
        head.ttl_ms = r.small()?;
        stamp = r.int()?;
    }
    if presence & TRACE != 0 {
        head.trace = Trace { id: u128::from_be_bytes(r.array()?), span: u64::from_be_bytes(r.array()?) };
    }
    let total = if presence & SPLIT != 0 { Some(r.small()?) } else { None };
    Ok(Unit::Frame { head, stamp, total, body: r.body()? })
}

fn zigzag(n: i32) -> u64 {
    u64::from(((n << 1) ^ (n >> 31)) as u32)
}

fn unzigzag(n: u32) -> i32 {
    (n >> 1) as i32 ^ -((n & 1) as i32)
}

fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Slot and generation are both small, side by side they are not.
fn put_pair(out: &mut Vec<u8>, pair: u64) {
    put(out, u64::from(pair as u32));
    put(out, pair >> 32);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Broken("a unit that is too short"))?;
        self.0 = rest;
        Ok(*head)
    }

    fn int(&mut self) -> Result<u64, Broken> {
        let mut n = 0;
        for (at, byte) in self.0.iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7f);
            if at == 9 && bits > 1 {
                break;
            }
            n |= bits << (7 * at);
            if byte & 0x80 == 0 {
                self.0 = self.0.get(at + 1..).unwrap_or_default();
                return Ok(n);
            }
        }
        Err(Broken("a number without end"))
    }

    fn small(&mut self) -> Result<u32, Broken> {
        u32::try_from(self.int()?).map_err(|_| Broken("a number out of range"))
    }

    fn pair(&mut self) -> Result<u64, Broken> {
        let slot = self.small()?;
        Ok(u64::from(self.small()?) << 32 | u64::from(slot))
    }

    fn body(self) -> Result<&'a [u8], Broken> {
        if self.0.len() > PART { Err(Broken("a part that is too long")) } else { Ok(self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_whole(out: &mut Vec<u8>, head: &Head, stamp: u64, total: Option<u32>, body: &[u8]) {
        put_frame(out, head, stamp, total, body.len());
        out.extend_from_slice(body);
    }

    /// Encodes and reads back, also byte by byte.
    fn check(encode: impl Fn(&mut Vec<u8>), want: Unit<'_>) -> usize {
        let mut bytes = vec![0xee; 3];
        encode(&mut bytes);
        let bytes = &bytes[3..];
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]), Ok(None), "{want:?} cut at {cut}");
        }
        assert_eq!(parse(bytes), Ok(Some((want, bytes.len()))));
        bytes.len()
    }

    #[test]
    fn every_unit_reads_back() {
        for n in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let hello = Hello { received: n, window: n / 2, max_frame: n / 3 };
            check(|out| put_hello(out, &hello), Unit::Hello(hello));
            let ping = Ping { number: n, seen: n / 2, received: n / 3, clock: n / 5, urgent: n % 2 == 0 };
            check(|out| put_ping(out, &ping), Unit::Ping(ping));
            check(|out| put_ack(out, n), Unit::Ack(n));
        }
        check(put_bye, Unit::Bye);
        let more = |out: &mut Vec<u8>| {
            put_more(out, 3);
            out.extend_from_slice(b"abc");
        };
        check(more, Unit::More(b"abc"));
    }

    #[test]
    fn every_head_reads_back_and_zero_fields_cost_nothing() {
        let full = Head {
            kind: FrameKind::Answer,
            flags: 255,
            route: i32::MIN,
            seq: i32::MAX,
            lane: u64::MAX,
            corr: u64::MAX - 1,
            ttl_ms: u32::MAX,
            trace: Trace { id: u128::MAX, span: 1 },
        };
        for kind in KINDS {
            for total in [None, Some(u32::MAX)] {
                let head = Head { kind, ..full };
                let len = check(
                    |out| put_whole(out, &head, u64::MAX, total, b"body"),
                    Unit::Frame { head, stamp: u64::MAX, total, body: b"body" },
                );
                assert!(len <= 4 + LONGEST - PART + 4, "{len}");
            }
            let bare = Head { kind, ..Head::default() };
            let unit = Unit::Frame { head: bare, stamp: 0, total: None, body: b"" };
            assert_eq!(check(|out| put_frame(out, &bare, 9, None, 0), unit), 6);
        }
        let usual = Head { kind: FrameKind::Message, route: 12, seq: 40, lane: 3 << 32 | 200, ..Head::default() };
        let unit = Unit::Frame { head: usual, stamp: 0, total: None, body: b"" };
        assert_eq!(check(|out| put_frame(out, &usual, 0, None, 0), unit), 11);
    }

    /// The bytes of one frame, written out.
    #[test]
    fn golden_bytes() {
        let head =
            Head { kind: FrameKind::Message, flags: 1, route: -2, seq: 300, lane: 7 << 32 | 5, ..Head::default() };
        let mut bytes = Vec::new();
        put_whole(&mut bytes, &head, 0, None, b"hi");
        assert_eq!(bytes, [0, 0, 0, 10, 1, 0b1111, 1, 3, 0xd8, 4, 5, 7, b'h', b'i']);
    }

    #[test]
    fn what_is_no_unit_is_broken() {
        let unit = |rest: &[u8]| [&(rest.len() as u32).to_be_bytes()[..], rest].concat();
        let long = (LONGEST as u32 + 1).to_be_bytes();
        for bytes in [
            vec![0, 0, 0, 0],
            vec![0, 0, 0, 1],
            vec![255; 4],
            long.to_vec(),
            unit(&[KINDS.len() as u8, 0]),
            unit(&[0x45, 0]),
            unit(&[ACK, 0]),
            unit(&[ACK, 0, 1, 2]),
            unit(&[BYE, 0, 1]),
            unit(&[PING, 0, 1, 2, 3]),
            unit(&[1, ROUTE, 0xff, 0xff, 0xff, 0xff, 0x7f]),
            unit(&[ACK, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]),
            unit(&[ACK, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]),
            unit(&[1, TRACE, 1, 2, 3]),
            unit(&[&[MORE, 0][..], &vec![0; PART + 1]].concat()),
        ] {
            assert!(parse(&bytes).is_err(), "{bytes:?}");
        }
    }
}
