//! How a message travels to the server that is measured: in due's frames over a stream or in WebSocket messages, or in
//! the packets of pomelo.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::{
    Fallible,
    frame::{BadSize, Width, cut},
};

/// The route of every echoed frame.
pub(crate) const ROUTE: u32 = 1;
/// Limit for each answer while a connection is opened.
const GREET_LIMIT: Duration = Duration::from_secs(5);
/// What an upgrade to WebSocket answers at most.
const HEAD_LIMIT: usize = 4096;
/// Whatever a client masks its WebSocket messages with.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What clients and servers of a run speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Dialect {
    /// due's default frames: two bytes of route and of seq.
    #[default]
    Due,
    /// due's frames with four bytes of each, as its published benchmark has them.
    Wide,
    /// due's default frames, one in each binary WebSocket message.
    Ws,
    /// nano's and pitaya's packets: a request by name, answered by number.
    Pomelo(&'static str),
}

/// What stands at the front of what was read.
pub(crate) enum Piece<'a> {
    /// Nothing whole.
    Part,
    /// So many bytes that are no reply.
    Other(usize),
    /// A reply.
    Reply(Reply<'a>),
}

/// An answer of the server, or a push.
pub(crate) struct Reply<'a> {
    /// Bytes on the wire.
    pub(crate) len: usize,
    /// 0 where the dialect names no route in replies.
    pub(crate) route: u32,
    /// The number of the request, as far as the dialect carries it.
    pub(crate) seq: u64,
    pub(crate) body: &'a [u8],
}

impl Dialect {
    /// Says what comes before the first frame, and waits for what the server says to it.
    pub(crate) fn greet(self, stream: &mut TcpStream) -> Fallible<()> {
        stream.set_read_timeout(Some(GREET_LIMIT))?;
        match self {
            Self::Due | Self::Wide => Ok(()),
            Self::Ws => upgrade(stream),
            Self::Pomelo(_) => shake_hands(stream),
        }
    }

    /// Appends request `number` on the echo route.
    pub(crate) fn put(self, number: u64, body: &[u8], out: &mut Vec<u8>) {
        self.put_on(ROUTE, number, body, out);
    }

    /// Appends a request on a route of due's; pomelo has one route only.
    pub(crate) fn put_on(self, route: u32, number: u64, body: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Due => Width::Two.put(route, number as u32, body, out),
            Self::Wide => Width::Four.put(route, number as u32, body, out),
            Self::Ws => {
                let start = put_ws_head(Width::Two.head() + body.len(), out);
                Width::Two.put(route, number as u32, body, out);
                mask(out.get_mut(start..).unwrap_or_default());
            }
            Self::Pomelo(name) => put_request(name, number + 1, body, out),
        }
    }

    /// The number that the reply to request `number` carries.
    pub(crate) fn seq(self, number: u64) -> u64 {
        match self {
            Self::Due | Self::Ws => number & 0xffff,
            Self::Wide => number & 0xffff_ffff,
            Self::Pomelo(_) => number + 1,
        }
    }

    /// What stands at the front of `bytes`.
    pub(crate) fn cut(self, bytes: &[u8]) -> Fallible<Piece<'_>> {
        match self {
            Self::Due => frame(bytes, Width::Two),
            Self::Wide => frame(bytes, Width::Four),
            Self::Ws => ws_message(bytes),
            Self::Pomelo(_) => packet(bytes),
        }
    }
}

fn frame(bytes: &[u8], width: Width) -> Fallible<Piece<'_>> {
    let found = cut(bytes, width).map_err(|BadSize(size)| format!("a reply of size {size}"))?;
    Ok(found.map_or(Piece::Part, |frame| {
        let (len, route, seq) = (frame.len(width), frame.route, frame.seq.into());
        // A heartbeat is no reply.
        if frame.header & 0x80 == 0 {
            Piece::Reply(Reply { len, route, seq, body: frame.body })
        } else {
            Piece::Other(len)
        }
    }))
}

// WebSocket.

fn upgrade(stream: &mut TcpStream) -> Fallible<()> {
    let host = stream.peer_addr()?;
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )?;
    let (mut head, mut scratch) = (Vec::new(), [0; 1024]);
    // The server is silent after the head until it is asked something.
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_LIMIT {
        match stream.read(&mut scratch)? {
            0 => return Err("the server closed the connection before it was upgraded".into()),
            n => head.extend_from_slice(scratch.get(..n).unwrap_or_default()),
        }
    }
    if head.starts_with(b"HTTP/1.1 101 ") {
        return Ok(());
    }
    Err(format!("the server does not upgrade to WebSocket: {}", String::from_utf8_lossy(&head)).into())
}

/// Appends the head of a masked binary message; where its payload begins.
fn put_ws_head(len: usize, out: &mut Vec<u8>) -> usize {
    out.push(0x82);
    match len {
        0..=125 => out.push(0x80 | len as u8),
        126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.len()
}

fn mask(payload: &mut [u8]) {
    let wide = u64::from_ne_bytes([MASK[0], MASK[1], MASK[2], MASK[3], MASK[0], MASK[1], MASK[2], MASK[3]]);
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        if let Ok(eight) = <[u8; 8]>::try_from(&*chunk) {
            chunk.copy_from_slice(&(u64::from_ne_bytes(eight) ^ wide).to_ne_bytes());
        }
    }
    chunks.into_remainder().iter_mut().zip(MASK).for_each(|(byte, key)| *byte ^= key);
}

/// A message of the server: not masked, whole, one frame of due's in it.
fn ws_message(bytes: &[u8]) -> Fallible<Piece<'_>> {
    let Some((&[first, second], rest)) = bytes.split_first_chunk::<2>() else { return Ok(Piece::Part) };
    let (len, rest) = match (second, rest) {
        (0..=125, _) => (usize::from(second), rest),
        (126, [a, b, rest @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), rest),
        (127, [a, b, c, d, e, f, g, h, rest @ ..]) => {
            (usize::try_from(u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]))?, rest)
        }
        (126 | 127, _) => return Ok(Piece::Part),
        _ => return Err("a masked message of the server".into()),
    };
    let Some(payload) = rest.get(..len) else { return Ok(Piece::Part) };
    let taken = bytes.len() - rest.len() + len;
    if first != 0x82 {
        return Ok(Piece::Other(taken));
    }
    match frame(payload, Width::Two)? {
        Piece::Reply(reply) if reply.len == len => Ok(Piece::Reply(Reply { len: taken, ..reply })),
        Piece::Other(_) => Ok(Piece::Other(taken)),
        _ => Err(format!("a message of {len} bytes that is not one frame").into()),
    }
}

// Pomelo: `type 1 | length 3 | body`; in data `flag 1 | number varint | body` comes back.

const HANDSHAKE: u8 = 1;
const ACK: u8 = 2;
const DATA: u8 = 4;
const RESPONSE: u8 = 4;

fn shake_hands(stream: &mut TcpStream) -> Fallible<()> {
    let hello = br#"{"sys":{"platform":"linux","libVersion":"0.3.5-release","clientBuildNumber":"20","clientVersion":"2.1"},"user":{}}"#;
    let mut out = Vec::new();
    put_packet(HANDSHAKE, hello.len(), &mut out);
    out.extend_from_slice(hello);
    stream.write_all(&out)?;
    let mut head = [0; 4];
    stream.read_exact(&mut head)?;
    let [kind, a, b, c] = head;
    let len = u32::from_be_bytes([0, a, b, c]) as usize;
    if kind != HANDSHAKE || len > 64 * 1024 {
        return Err(format!("no handshake: {head:?}").into());
    }
    stream.read_exact(&mut vec![0; len])?;
    Ok(stream.write_all(&[ACK, 0, 0, 0])?)
}

fn put_packet(kind: u8, len: usize, out: &mut Vec<u8>) {
    let [_, a, b, c] = (len as u32).to_be_bytes();
    out.extend_from_slice(&[kind, a, b, c]);
}

fn put_request(name: &str, number: u64, body: &[u8], out: &mut Vec<u8>) {
    let varint = (64 - number.leading_zeros()).div_ceil(7).max(1) as usize;
    put_packet(DATA, 1 + varint + 1 + name.len() + body.len(), out);
    out.push(0);
    let mut rest = number;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out.push(name.len() as u8);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(body);
}

fn packet(bytes: &[u8]) -> Fallible<Piece<'_>> {
    let Some((&[kind, a, b, c], rest)) = bytes.split_first_chunk::<4>() else { return Ok(Piece::Part) };
    let Some(payload) = rest.get(..u32::from_be_bytes([0, a, b, c]) as usize) else { return Ok(Piece::Part) };
    let len = payload.len() + 4;
    if kind != DATA {
        return Ok(Piece::Other(len));
    }
    let Some((&flag, mut body)) = payload.split_first() else { return Err("an empty packet".into()) };
    if flag & 0x0e != RESPONSE {
        return Ok(Piece::Other(len));
    }
    if flag & 0x30 != 0 {
        return Err(format!("an error or compressed response: {}", String::from_utf8_lossy(body)).into());
    }
    let mut seq = 0;
    for shift in (0..64).step_by(7) {
        let Some((&byte, rest)) = body.split_first() else { return Err("a response without a number".into()) };
        seq |= u64::from(byte & 0x7f) << shift;
        body = rest;
        if byte < 0x80 {
            break;
        }
    }
    Ok(Piece::Reply(Reply { len, route: 0, seq, body }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server would write for `number`, whole and in every part.
    fn check(dialect: Dialect, wire: &[u8], number: u64, body: &[u8]) {
        for n in 0..wire.len() {
            assert!(matches!(dialect.cut(&wire[..n]), Ok(Piece::Part)), "{dialect:?}: {n} bytes");
        }
        let Ok(Piece::Reply(reply)) = dialect.cut(wire) else { panic!("{dialect:?}: no reply") };
        assert_eq!((reply.len, reply.seq, reply.body), (wire.len(), dialect.seq(number), body), "{dialect:?}");
    }

    #[test]
    fn replies_are_read_in_every_dialect() {
        for (dialect, width) in [(Dialect::Due, Width::Two), (Dialect::Wide, Width::Four)] {
            let mut wire = Vec::new();
            width.put(ROUTE, 70_000, b"hello", &mut wire);
            check(dialect, &wire, 70_000, b"hello");
        }
        let mut frame = vec![];
        Width::Two.put(ROUTE, 7, &[9; 300], &mut frame);
        let wire = [&[0x82, 126, 1, 53], &frame[..]].concat();
        check(Dialect::Ws, &wire, 7, &[9; 300]);
        check(Dialect::Pomelo("a.b"), &[4, 0, 0, 5, 4, 0xac, 0x02, b'{', b'}'], 299, b"{}");
    }

    #[test]
    fn a_masked_message_unmasks_to_its_frame() {
        let (mut wire, mut frame) = (Vec::new(), Vec::new());
        Dialect::Ws.put(3, b"some bytes to mask", &mut wire);
        Width::Two.put(ROUTE, 3, b"some bytes to mask", &mut frame);
        assert_eq!(wire[..2], [0x82, 0x80 | frame.len() as u8]);
        let mut payload = wire.split_off(6);
        mask(&mut payload);
        assert_eq!(payload, frame);
    }

    #[test]
    // The golden bytes of nano's and pitaya's clients.
    fn a_request_of_pomelo_has_its_golden_bytes() {
        let mut out = Vec::new();
        Dialect::Pomelo("room.join").put(0, b"{}", &mut out);
        assert_eq!(out, b"\x04\x00\x00\x0e\x00\x01\x09room.join{}");
        out.clear();
        Dialect::Pomelo("a.b").put(299, b"", &mut out);
        assert_eq!(out, b"\x04\x00\x00\x07\x00\xac\x02\x03a.b");
    }

    #[test]
    fn what_is_no_reply_is_passed_over() {
        assert!(matches!(Dialect::Due.cut(&[0, 0, 0, 1, 0x80, 0]), Ok(Piece::Other(5))));
        assert!(matches!(Dialect::Pomelo("a").cut(&[3, 0, 0, 0, 4]), Ok(Piece::Other(4))));
        assert!(matches!(Dialect::Ws.cut(&[0x89, 0, 0x82]), Ok(Piece::Other(2))));
        assert!(Dialect::Ws.cut(&[0x82, 1, 0]).is_err());
    }
}
