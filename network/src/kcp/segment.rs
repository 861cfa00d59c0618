//! Segments as they stand in a datagram: a head of 24 bytes, little endian, then the data.
//!
//! ```text
//! conv u32 | cmd u8 | frg u8 | wnd u16 | ts u32 | sn u32 | una u32 | len u32 | data
//! ```

/// Bytes of a head.
pub(crate) const HEAD: usize = 24;

/// What a segment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cmd {
    /// Carries data.
    Push,
    /// Confirms the push with the same `sn`, and gives its `ts` back.
    Ack,
    /// Asks for the peer's window.
    Ask,
    /// Tells the own window.
    Tell,
}

impl Cmd {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            81 => Self::Push,
            82 => Self::Ack,
            83 => Self::Ask,
            84 => Self::Tell,
            _ => return None,
        })
    }

    fn byte(self) -> u8 {
        match self {
            Self::Push => 81,
            Self::Ack => 82,
            Self::Ask => 83,
            Self::Tell => 84,
        }
    }
}

/// The head of a segment without its length. The fragment number of a push is dropped on reading and 0 on writing: both
/// sides see a stream, so where a message ends is nothing to this layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The conversation, chosen by the client.
    pub(crate) conv: u32,
    pub(crate) cmd: Cmd,
    /// Free segments in the receive queue of the sender.
    pub(crate) wnd: u16,
    /// Milliseconds on the clock of who sent the push.
    pub(crate) ts: u32,
    /// Number of the push.
    pub(crate) sn: u32,
    /// All pushes below this one have arrived.
    pub(crate) una: u32,
}

impl Head {
    /// Appends the head of a segment with `len` bytes of data.
    pub(crate) fn write(&self, len: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.conv.to_le_bytes());
        out.extend_from_slice(&[self.cmd.byte(), 0]);
        out.extend_from_slice(&self.wnd.to_le_bytes());
        for number in [self.ts, self.sn, self.una, len as u32] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
}

/// One segment of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment<'a> {
    pub(crate) head: Head,
    pub(crate) data: &'a [u8],
}

/// Takes the first segment off `bytes`. `None` if it is cut, has an unknown command or claims more data than there is.
fn split_first(bytes: &[u8]) -> Option<(Segment<'_>, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
    let [c0, c1, c2, c3, cmd, _, w0, w1, t0, t1, t2, t3, s0, s1, s2, s3, u0, u1, u2, u3, l0, l1, l2, l3] = *head;
    let len = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).ok()?;
    let (data, rest) = rest.split_at_checked(len)?;
    let head = Head {
        conv: u32::from_le_bytes([c0, c1, c2, c3]),
        cmd: Cmd::from_byte(cmd)?,
        wnd: u16::from_le_bytes([w0, w1]),
        ts: u32::from_le_bytes([t0, t1, t2, t3]),
        sn: u32::from_le_bytes([s0, s1, s2, s3]),
        una: u32::from_le_bytes([u0, u1, u2, u3]),
    };
    Some((Segment { head, data }, rest))
}

/// A datagram whose segments are all well formed and of one conversation: it is taken whole or not at all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagram<'a> {
    bytes: &'a [u8],
    conv: u32,
    opens: bool,
}

impl<'a> Datagram<'a> {
    /// Reads a datagram without anything around it. Fewer bytes than a head after the last segment are ignored, as
    /// other implementations do.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (first, mut rest) = split_first(bytes)?;
        while rest.len() >= HEAD {
            let (next, after) = split_first(rest)?;
            if next.head.conv != first.head.conv {
                return None;
            }
            rest = after;
        }
        let opens = first.head.cmd == Cmd::Push && first.head.sn == 0 && !first.data.is_empty();
        Some(Self { bytes, conv: first.head.conv, opens })
    }

    /// The conversation of all its segments.
    pub(crate) fn conv(&self) -> u32 {
        self.conv
    }

    /// Does it begin with the first push of a conversation?
    pub(crate) fn opens(&self) -> bool {
        self.opens
    }

    /// Its segments in order.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Segment<'a>> + use<'a> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let (segment, after) = split_first(rest)?;
            rest = after;
            Some(segment)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUSH: [u8; 26] = [4, 3, 2, 1, 81, 0, 0, 1, 7, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 2, 0, 0, 0, b'h', b'i'];

    fn push() -> Head {
        Head { conv: 0x0102_0304, cmd: Cmd::Push, wnd: 256, ts: 7, sn: 5, una: 6 }
    }

    #[test]
    fn golden_bytes_of_each_command() {
        let mut out = Vec::new();
        push().write(2, &mut out);
        out.extend_from_slice(b"hi");
        assert_eq!(out, PUSH);
        for (cmd, byte) in [(Cmd::Push, 81), (Cmd::Ack, 82), (Cmd::Ask, 83), (Cmd::Tell, 84)] {
            let mut out = Vec::new();
            Head { cmd, ..push() }.write(0, &mut out);
            assert_eq!((out.len(), out[4], out[20]), (HEAD, byte, 0));
        }
    }

    #[test]
    fn a_datagram_of_several_segments_reads_back() {
        let mut bytes = PUSH.to_vec();
        Head { cmd: Cmd::Ack, ..push() }.write(0, &mut bytes);
        bytes.extend_from_slice(&[0; HEAD - 1]);
        let datagram = Datagram::parse(&bytes).unwrap();
        assert_eq!((datagram.conv(), datagram.opens()), (0x0102_0304, false));
        let segments: Vec<_> = datagram.segments().collect();
        assert_eq!(segments[0], Segment { head: push(), data: b"hi" });
        assert_eq!(segments[1], Segment { head: Head { cmd: Cmd::Ack, ..push() }, data: b"" });
        assert_eq!(segments.len(), 2);
    }

    #[test]
    fn only_a_first_push_with_data_opens() {
        let mut bytes = PUSH.to_vec();
        bytes[12] = 0;
        assert!(Datagram::parse(&bytes).unwrap().opens());
        bytes[4] = 83;
        assert!(!Datagram::parse(&bytes).unwrap().opens());
    }

    #[test]
    fn what_is_cut_or_foreign_is_no_datagram() {
        // B115
        let mut long = PUSH;
        long[20] = 3;
        assert!(Datagram::parse(&long).is_none());
        let mut huge = PUSH;
        huge[20..24].fill(0xff);
        assert!(Datagram::parse(&huge).is_none());
        for cut in 0..PUSH.len() {
            assert!(Datagram::parse(&PUSH[..cut]).is_none(), "{cut}");
        }
        let mut unknown = PUSH;
        unknown[4] = 85;
        assert!(Datagram::parse(&unknown).is_none());
        let mut mixed = PUSH.to_vec();
        Head { conv: 9, ..push() }.write(0, &mut mixed);
        assert!(Datagram::parse(&mixed).is_none());
        // B116
        let mut fragment = PUSH;
        fragment[5] = 255;
        assert!(Datagram::parse(&fragment).is_some());
    }
}
