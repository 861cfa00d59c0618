//! The settings of a listener's format, checked once.

use due_core::{
    error::{Error, Result},
    net::Framing,
};

/// Byte order of every number on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// Most significant byte first.
    #[default]
    Big,
    /// Least significant byte first.
    Little,
}

/// Does a server's heartbeat carry its time, and in which unit since 1970?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HeartbeatTime {
    /// No time.
    #[default]
    Off,
    /// Milliseconds, as due's README prints it.
    Ms,
    /// Nanoseconds, as due v2 sends it.
    Ns,
}

/// What a listener's format can be set to. The default is that of due v2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// Width of a route in bytes: 1, 2 or 4. Key `route-bytes`.
    pub route_bytes: u8,
    /// Width of a sequence number in bytes: 0 (none), 1, 2 or 4. Key `seq-bytes`.
    pub seq_bytes: u8,
    /// Byte order. Key `order`: `big` or `little`.
    pub order: Order,
    /// Time in the server's heartbeats. Key `heartbeat-time`: `off`, `ms` or `ns`.
    pub heartbeat_time: HeartbeatTime,
    /// Do frames inside ws messages carry their size, as in due v2? The README's form does not. Key `ws-size`.
    pub ws_size: bool,
    /// Largest body in bytes, both ways: 64 bytes to 8 MiB. Key `max-body`.
    pub max_body: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            route_bytes: 2,
            seq_bytes: 2,
            order: Order::Big,
            heartbeat_time: HeartbeatTime::Off,
            ws_size: true,
            max_body: 64 * 1024,
        }
    }
}

/// A listener's format: checked [`Settings`]. Cheap to copy. Two listeners with equal dialects and framing send equal bytes.
///
/// It deserializes from a table or a URL query with the keys `route-bytes seq-bytes order heartbeat-time ws-size
/// max-body`, all optional; unknown keys are refused. [`Dialect::from_url`] reads them from among other keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dialect(Settings);

impl Dialect {
    /// Smallest limit of bodies: every error frame fits.
    pub const MIN_BODY: usize = 64;
    /// Largest limit of bodies. A heartbeat in the wrong byte order reads as a size of 16 MiB and stays apart.
    pub const MAX_BODY: usize = 8 << 20;

    /// Checks the settings. A `Config` error names key, value and what is accepted.
    pub fn new(settings: Settings) -> Result<Self> {
        let Settings { route_bytes, seq_bytes, max_body, .. } = settings;
        if !matches!(route_bytes, 1 | 2 | 4) {
            return Err(refused("route-bytes", route_bytes, "1, 2 or 4"));
        }
        if !matches!(seq_bytes, 0 | 1 | 2 | 4) {
            return Err(refused("seq-bytes", seq_bytes, "0, 1, 2 or 4"));
        }
        if !(Self::MIN_BODY..=Self::MAX_BODY).contains(&max_body) {
            return Err(refused("max-body", max_body, "a size from 64 to 8MiB"));
        }
        Ok(Self(settings))
    }

    /// The form that due's README prints: ws messages without a size, time in ms.
    pub fn readme() -> Self {
        Self(Settings { ws_size: false, heartbeat_time: HeartbeatTime::Ms, ..Settings::default() })
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.0
    }

    /// Byte order.
    #[inline]
    pub(super) fn order(&self) -> Order {
        self.0.order
    }

    /// Bytes of route and seq.
    #[inline]
    pub(super) fn widths(&self) -> (usize, usize) {
        (self.0.route_bytes.into(), self.0.seq_bytes.into())
    }

    /// Bytes of header, route and seq: what a data frame has besides its body and size.
    #[inline]
    pub(super) fn head_len(&self) -> usize {
        let (route, seq) = self.widths();
        1 + route + seq
    }

    /// The largest value of the size field.
    #[inline]
    pub fn max_size(&self) -> usize {
        self.head_len() + self.0.max_body
    }

    /// The longest frame in bytes with its size field: the most that [`Dialect::next`] ever asks for, and what a
    /// network of messages must let through.
    #[inline]
    pub fn max_frame(&self) -> usize {
        4 + self.max_size()
    }

    /// Do frames carry their size on this kind of network?
    #[inline]
    pub fn sized(&self, framing: Framing) -> bool {
        framing == Framing::Stream || self.0.ws_size
    }

    /// Can clients say hello? Answers are told apart by seq, so not without one.
    pub fn accepts_hello(&self) -> bool {
        self.0.seq_bytes > 0
    }

    /// Does a route of this number fit the width of the listener?
    #[inline]
    pub fn fits(&self, route: i32) -> bool {
        fits(route, self.0.route_bytes)
    }
}

impl Order {
    #[inline]
    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Order::Big => u32::from_be_bytes(bytes),
            Order::Little => u32::from_le_bytes(bytes),
        }
    }

    #[inline]
    pub(super) fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Order::Big => u64::from_be_bytes(bytes),
            Order::Little => u64::from_le_bytes(bytes),
        }
    }

    /// A signed number of 1, 2 or 4 bytes; 0 for no bytes.
    #[inline]
    pub(super) fn int(self, bytes: &[u8]) -> i32 {
        match *bytes {
            [a] => i8::from_ne_bytes([a]).into(),
            [a, b] if self == Order::Big => i16::from_be_bytes([a, b]).into(),
            [a, b] => i16::from_le_bytes([a, b]).into(),
            [a, b, c, d] => self.u32([a, b, c, d]).cast_signed(),
            _ => 0,
        }
    }

    #[inline]
    pub(super) fn bytes(self, n: u32) -> [u8; 4] {
        match self {
            Order::Big => n.to_be_bytes(),
            Order::Little => n.to_le_bytes(),
        }
    }

    #[inline]
    pub(super) fn put_u32(self, n: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes(n));
    }

    #[inline]
    pub(super) fn put_u64(self, n: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&match self {
            Order::Big => n.to_be_bytes(),
            Order::Little => n.to_le_bytes(),
        });
    }
}

/// Does `n` fit a signed number of so many bytes?
#[inline]
pub(super) fn fits(n: i32, bytes: u8) -> bool {
    match bytes {
        1 => i8::try_from(n).is_ok(),
        2 => i16::try_from(n).is_ok(),
        _ => true,
    }
}

#[cold]
pub(super) fn refused(key: &str, value: impl std::fmt::Display, accepted: &str) -> Error {
    Error::config(format!("{key} = {value}: write {accepted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_widths_and_bounded_bodies_are_accepted() {
        // conformance 6
        for width in 0..=u8::MAX {
            let route = Dialect::new(Settings { route_bytes: width, ..Settings::default() });
            assert_eq!(route.is_ok(), [1, 2, 4].contains(&width), "{width}");
            let seq = Dialect::new(Settings { seq_bytes: width, ..Settings::default() });
            assert_eq!(seq.is_ok(), [0, 1, 2, 4].contains(&width), "{width}");
        }
        for (max_body, good) in [(63, false), (64, true), (8 << 20, true), ((8 << 20) + 1, false), (usize::MAX, false)]
        {
            assert_eq!(Dialect::new(Settings { max_body, ..Settings::default() }).is_ok(), good, "{max_body}");
        }
    }

    #[test]
    fn a_refusal_names_key_value_and_accepted_form() {
        let e = Dialect::new(Settings { route_bytes: 3, ..Settings::default() }).unwrap_err();
        assert_eq!(e.text(), "route-bytes = 3: write 1, 2 or 4");
    }

    #[test]
    fn numbers_fit_their_signed_width() {
        let dialect = |route_bytes| Dialect::new(Settings { route_bytes, ..Settings::default() }).unwrap();
        for (bytes, n, good) in
            [(1, 127, true), (1, 128, false), (1, -128, true), (1, -129, false), (2, 32767, true), (2, 32768, false)]
        {
            assert_eq!(dialect(bytes).fits(n), good, "{bytes} {n}");
        }
        assert!(dialect(2).fits(-32768) && !dialect(2).fits(-32769));
        assert!(dialect(4).fits(i32::MAX) && dialect(4).fits(i32::MIN));
    }
}
