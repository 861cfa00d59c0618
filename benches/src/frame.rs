//! due's client frames: `size 4 | header 1 | route 2 or 4 | seq 2 or 4 | body`, big endian.
//!
//! This is written apart from the framework's codec on purpose: the reference must not get slower or faster with it.

/// Longest body that is taken, in bytes.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// Bytes of a route, and of a seq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// due's default.
    Two,
    /// What due's published benchmark has.
    Four,
}

impl Width {
    /// Bytes before the body.
    pub(crate) const fn head(self) -> usize {
        match self {
            Self::Two => 9,
            Self::Four => 13,
        }
    }

    /// Appends a frame.
    pub(crate) fn put(self, route: u32, seq: u32, body: &[u8], out: &mut Vec<u8>) {
        let mut head = [0; 13];
        head[..4].copy_from_slice(&((self.head() - 4 + body.len()) as u32).to_be_bytes());
        match self {
            Self::Two => {
                head[5..7].copy_from_slice(&(route as u16).to_be_bytes());
                head[7..9].copy_from_slice(&(seq as u16).to_be_bytes());
            }
            Self::Four => {
                head[5..9].copy_from_slice(&route.to_be_bytes());
                head[9..].copy_from_slice(&seq.to_be_bytes());
            }
        }
        out.extend_from_slice(head.get(..self.head()).unwrap_or_default());
        out.extend_from_slice(body);
    }
}

/// A frame in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) header: u8,
    pub(crate) route: u32,
    pub(crate) seq: u32,
    pub(crate) body: &'a [u8],
}

impl Frame<'_> {
    /// Bytes on the wire.
    pub(crate) fn len(&self, width: Width) -> usize {
        // A heartbeat may have fewer bytes than the head of a frame.
        if self.header & 0x80 == 0 { width.head() + self.body.len() } else { 5 + self.body.len() }
    }
}

/// The size field is out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadSize(pub(crate) usize);

/// The frame at the front of `bytes`; `None` while it is incomplete. A heartbeat has no route and no seq.
pub(crate) fn cut(bytes: &[u8], width: Width) -> Result<Option<Frame<'_>>, BadSize> {
    let Some((size, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let size = u32::from_be_bytes(*size) as usize;
    if size == 0 || size > width.head() - 4 + MAX_BODY {
        return Err(BadSize(size));
    }
    let Some(&[header, ref rest @ ..]) = rest.get(..size) else { return Ok(None) };
    if header & 0x80 != 0 {
        return Ok(Some(Frame { header, route: 0, seq: 0, body: rest }));
    }
    match (width, rest) {
        (Width::Two, &[r0, r1, s0, s1, ref body @ ..]) => {
            let (route, seq) = (u16::from_be_bytes([r0, r1]).into(), u16::from_be_bytes([s0, s1]).into());
            Ok(Some(Frame { header, route, seq, body }))
        }
        (Width::Four, &[r0, r1, r2, r3, s0, s1, s2, s3, ref body @ ..]) => {
            let (route, seq) = (u32::from_be_bytes([r0, r1, r2, r3]), u32::from_be_bytes([s0, s1, s2, s3]));
            Ok(Some(Frame { header, route, seq, body }))
        }
        _ => Err(BadSize(size)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    // conformance 1
    fn the_golden_frame_comes_out_as_it_went_in() {
        let golden = [0, 0, 0, 7, 0, 0, 1, 0, 7, 0x68, 0x69];
        let frame = Frame { header: 0, route: 1, seq: 7, body: b"hi" };
        assert_eq!(cut(&golden, Width::Two), Ok(Some(frame)));
        assert_eq!(frame.len(Width::Two), golden.len());
        let mut out = Vec::new();
        Width::Two.put(1, 7, b"hi", &mut out);
        assert_eq!(out, golden);
    }

    #[test]
    fn the_wide_frame_of_the_published_benchmark_has_its_golden_bytes() {
        let mut out = Vec::new();
        Width::Four.put(1, 1, br#"{"message":"a"}"#, &mut out);
        assert_eq!(out[..13], [0, 0, 0, 24, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
        let frame = cut(&out, Width::Four).expect("a frame").expect("whole");
        assert_eq!((frame.route, frame.seq, frame.body, frame.len(Width::Four)), (1, 1, &out[13..], out.len()));
    }

    #[test]
    fn every_shorter_prefix_waits_for_more() {
        let mut out = Vec::new();
        Width::Two.put(1, 2, &[5; 20], &mut out);
        for n in 0..out.len() {
            assert_eq!(cut(&out[..n], Width::Two), Ok(None), "{n} bytes");
        }
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        assert_eq!(cut(&[0; 4], Width::Two), Err(BadSize(0)));
        assert_eq!(cut(&[0, 0, 0, 4, 0, 0, 0, 0], Width::Two), Err(BadSize(4)));
        assert_eq!(cut(&[0xff; 4], Width::Two), Err(BadSize(0xffff_ffff)));
    }
}
