//! Encoding: from frames to bytes. Everything is appended to the caller's buffer; after an error nothing was.

use std::{error::Error as StdError, fmt};

use due_core::{
    error::{Error, Kind},
    net::Framing,
};

use super::dialect::{Dialect, HeartbeatTime, Order, fits};

/// What stands before a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Head {
    /// The route's number.
    pub route: i32,
    /// A request's number, echoed by its answer; 0 for a push. Left out where the listener has none.
    pub seq: i32,
}

/// What a listener's format cannot carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// The route's number does not fit its width.
    Route {
        /// The number.
        route: i32,
        /// The width in bytes.
        bytes: u8,
    },
    /// The sequence number does not fit its width.
    Seq {
        /// The number.
        seq: i32,
        /// The width in bytes.
        bytes: u8,
    },
    /// The body is over the limit.
    Body {
        /// Its length in bytes.
        len: usize,
        /// The limit.
        max: usize,
    },
}

impl Dialect {
    /// Is the route's number one that this listener can carry? The error names both.
    #[inline]
    pub fn check_route(&self, route: i32) -> Result<(), EncodeError> {
        match self.fits(route) {
            true => Ok(()),
            false => Err(EncodeError::Route { route, bytes: self.settings().route_bytes }),
        }
    }

    /// Bytes of a data frame with a body of `body_len` bytes.
    #[inline]
    pub fn data_len(&self, body_len: usize, framing: Framing) -> usize {
        self.framed(framing, self.head_len() + body_len)
    }

    /// Everything of a data frame but its body of `body_len` bytes.
    #[inline]
    pub fn data_head(&self, head: Head, body_len: usize, framing: Framing) -> Result<HeadBytes, EncodeError> {
        let set = self.settings();
        self.check_route(head.route)?;
        if !fits(head.seq, set.seq_bytes) {
            return Err(EncodeError::Seq { seq: head.seq, bytes: set.seq_bytes });
        }
        if body_len > set.max_body {
            return Err(EncodeError::Body { len: body_len, max: set.max_body });
        }
        let mut bytes = HeadBytes::default();
        if self.sized(framing) {
            // Bounded by `max_size`, far below 2^32.
            bytes.put(set.order.bytes((self.head_len() + body_len) as u32));
        }
        bytes.put([0]);
        bytes.put_int(set.order, head.route, set.route_bytes);
        bytes.put_int(set.order, head.seq, set.seq_bytes);
        Ok(bytes)
    }

    /// Appends everything of a data frame but its body, which the caller sends right after: copied, shared, or as it is.
    #[inline]
    pub fn put_data_head(
        &self,
        head: Head,
        body_len: usize,
        framing: Framing,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        out.extend_from_slice(self.data_head(head, body_len, framing)?.as_slice());
        Ok(())
    }

    /// Appends a whole data frame.
    #[inline]
    pub fn put_data(&self, head: Head, body: &[u8], framing: Framing, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.put_data_head(head, body.len(), framing, out)?;
        out.extend_from_slice(body);
        Ok(())
    }

    /// Makes an answer of a copy of the request's head and a body behind it: it needs another size, and no flags.
    #[inline]
    pub fn answer_data(&self, frame: &mut [u8], framing: Framing) -> Result<(), EncodeError> {
        let (len, max) = (frame.len().saturating_sub(self.data_len(0, framing)), self.settings().max_body);
        if len > max {
            return Err(EncodeError::Body { len, max });
        }
        let inner = frame.len().saturating_sub(4) as u32;
        let header = match (self.sized(framing), frame.first_chunk_mut::<4>()) {
            (true, Some(size)) => {
                *size = self.order().bytes(inner);
                4
            }
            _ => 0,
        };
        if let Some(header) = frame.get_mut(header) {
            *header = 0;
        }
        Ok(())
    }

    /// Appends a server's heartbeat. `unix_nanos` is its time in nanoseconds since 1970, sent in the unit that is set.
    pub fn put_heartbeat(&self, unix_nanos: u64, framing: Framing, out: &mut Vec<u8>) {
        let time = match self.settings().heartbeat_time {
            HeartbeatTime::Off => return self.put_plain_heartbeat(framing, out),
            HeartbeatTime::Ms => unix_nanos / 1_000_000,
            HeartbeatTime::Ns => unix_nanos,
        };
        self.put_size(9, framing, out);
        out.push(0x80);
        self.order().put_u64(time, out);
    }

    /// Appends a heartbeat without time: a client's, or any where the time is off.
    pub fn put_plain_heartbeat(&self, framing: Framing, out: &mut Vec<u8>) {
        self.put_size(1, framing, out);
        out.push(0x80);
    }

    /// The server's time in a heartbeat's body, in nanoseconds since 1970; `None` if it carries none.
    pub fn server_time(&self, heartbeat: &[u8]) -> Option<u64> {
        let time = self.order().u64(heartbeat.try_into().ok()?);
        match self.settings().heartbeat_time {
            HeartbeatTime::Off => None,
            HeartbeatTime::Ms => Some(time.saturating_mul(1_000_000)),
            HeartbeatTime::Ns => Some(time),
        }
    }

    /// Appends the start of an extension frame whose body of `body_len` bytes follows.
    pub(super) fn put_extension_head(
        &self,
        code: u8,
        body_len: usize,
        framing: Framing,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let max = self.max_size() - 1;
        if body_len > max {
            return Err(EncodeError::Body { len: body_len, max });
        }
        self.put_size(1 + body_len, framing, out);
        out.push(code);
        Ok(())
    }

    /// Appends the size of a frame that is `len` bytes without it, where frames carry one.
    #[inline]
    fn put_size(&self, len: usize, framing: Framing, out: &mut Vec<u8>) {
        if self.sized(framing) {
            // Bounded by `max_size`, far below 2^32.
            self.order().put_u32(len as u32, out);
        }
    }

    #[inline]
    fn framed(&self, framing: Framing, len: usize) -> usize {
        if self.sized(framing) { 4 + len } else { len }
    }
}

/// What stands before the body of a data frame: at most 13 bytes, put together at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadBytes {
    bytes: [u8; 16],
    len: usize,
}

impl HeadBytes {
    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    #[inline]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + N) {
            room.copy_from_slice(&bytes);
            self.len += N;
        }
    }

    /// The low `width` bytes of a number that is known to fit.
    #[inline]
    fn put_int(&mut self, order: Order, n: i32, width: u8) {
        match (width, order) {
            (0, _) => {}
            (1, _) => self.put([n as u8]),
            (2, Order::Big) => self.put((n as i16).to_be_bytes()),
            (2, Order::Little) => self.put((n as i16).to_le_bytes()),
            _ => self.put(order.bytes(n.cast_unsigned())),
        }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::Route { route, bytes } => {
                write!(f, "route {route} does not fit route-bytes = {bytes}, which holds {}", Range(*bytes))
            }
            EncodeError::Seq { seq, bytes } => {
                write!(f, "seq {seq} does not fit seq-bytes = {bytes}, which holds {}", Range(*bytes))
            }
            EncodeError::Body { len, max } => write!(f, "a body of {len} bytes is over the limit of {max}"),
        }
    }
}

impl StdError for EncodeError {}

impl From<EncodeError> for Error {
    fn from(e: EncodeError) -> Self {
        let kind = match e {
            EncodeError::Route { .. } | EncodeError::Seq { .. } => Kind::BadRequest,
            EncodeError::Body { .. } => Kind::TooLarge,
        };
        Error::new(kind, e.to_string())
    }
}

/// What a signed number of so many bytes holds.
struct Range(u8);

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("-128 to 127"),
            2 => f.write_str("-32768 to 32767"),
            _ => f.write_str("every 32-bit number"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    #[test]
    fn a_route_too_wide_names_itself_and_the_width() {
        let e = Dialect::default().check_route(70_000).unwrap_err();
        assert_eq!(e.to_string(), "route 70000 does not fit route-bytes = 2, which holds -32768 to 32767");
    }

    #[test]
    fn an_error_appends_nothing() {
        let mut out = vec![1];
        let d = Dialect::default();
        for (head, len) in
            [(Head { route: 40_000, seq: 0 }, 0), (Head { route: 0, seq: 40_000 }, 0), (Head::default(), 65_537)]
        {
            assert!(d.put_data_head(head, len, Framing::Stream, &mut out).is_err());
        }
        assert!(d.put_extension_head(1, d.max_size(), Framing::Stream, &mut out).is_err());
        assert_eq!(out, [1]);
    }

    #[test]
    fn an_answer_made_of_its_request_is_the_answer_encoded() {
        let sizeless = Settings { ws_size: false, seq_bytes: 0, ..Settings::default() };
        for dialect in [Dialect::default(), Dialect::readme(), Dialect::new(sizeless).unwrap()] {
            for framing in [Framing::Stream, Framing::Messages] {
                let head = Head { route: 300, seq: if dialect.settings().seq_bytes == 0 { 0 } else { 7 } };
                let (mut request, mut want) = (Vec::new(), Vec::new());
                dialect.put_data(head, b"the request", framing, &mut request).unwrap();
                dialect.put_data(head, b"answer", framing, &mut want).unwrap();
                let from = dialect.data_len(0, framing);
                // An old client may set bits of the header that are not looked at.
                request[if dialect.sized(framing) { 4 } else { 0 }] = 0x41;
                let mut frame = [&request[..from], b"answer"].concat();
                dialect.answer_data(&mut frame, framing).unwrap();
                assert_eq!(frame, want);
                let mut long = [&request[..from], &[0; 64 * 1024 + 1]].concat();
                assert!(matches!(dialect.answer_data(&mut long, framing), Err(EncodeError::Body { .. })));
            }
        }
    }

    #[test]
    fn without_a_seq_field_every_seq_is_dropped() {
        let d = Dialect::new(Settings { route_bytes: 1, seq_bytes: 0, ..Settings::default() }).unwrap();
        let mut out = Vec::new();
        d.put_data(Head { route: 5, seq: i32::MAX }, b"x", Framing::Stream, &mut out).unwrap();
        assert_eq!(out, b"\0\0\0\x03\0\x05x");
    }

    #[test]
    fn server_time_reads_back_in_nanoseconds() {
        let nanos = 1_700_000_000_123_456_789;
        for (heartbeat_time, want) in [
            (HeartbeatTime::Off, None),
            (HeartbeatTime::Ms, Some(1_700_000_000_123_000_000)),
            (HeartbeatTime::Ns, Some(nanos)),
        ] {
            let d = Dialect::new(Settings { heartbeat_time, ..Settings::default() }).unwrap();
            let mut out = Vec::new();
            d.put_heartbeat(nanos, Framing::Stream, &mut out);
            assert_eq!(d.server_time(&out[5..]), want, "{heartbeat_time:?}");
        }
    }
}
