//! The client frames that travel here: due's default shape, `size 4 | header 1 | route 2 | seq 2 | body`, big endian.
//!
//! This is written apart from the framework's codec on purpose: the reference must not get slower or faster with it.

/// Bytes before the body.
pub(crate) const HEAD: usize = 9;
/// Longest body that is taken, in bytes.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// A frame in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) header: u8,
    pub(crate) route: u16,
    pub(crate) seq: u16,
    pub(crate) body: &'a [u8],
}

impl Frame<'_> {
    /// Bytes on the wire.
    pub(crate) fn len(&self) -> usize {
        HEAD + self.body.len()
    }

    /// Appends the frame to `out`.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&((HEAD - 4 + self.body.len()) as u32).to_be_bytes());
        head[4] = self.header;
        head[5..7].copy_from_slice(&self.route.to_be_bytes());
        head[7..].copy_from_slice(&self.seq.to_be_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(self.body);
    }
}

/// The size field is out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadSize(pub(crate) usize);

/// The frame at the front of `bytes`; `None` while it is incomplete.
pub(crate) fn cut(bytes: &[u8]) -> Result<Option<Frame<'_>>, BadSize> {
    let Some((size, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let size = u32::from_be_bytes(*size) as usize;
    if !(HEAD - 4..=HEAD - 4 + MAX_BODY).contains(&size) {
        return Err(BadSize(size));
    }
    let Some(frame) = rest.get(..size) else { return Ok(None) };
    let Some((&[header, r0, r1, s0, s1], body)) = frame.split_first_chunk::<5>() else { return Ok(None) };
    Ok(Some(Frame { header, route: u16::from_be_bytes([r0, r1]), seq: u16::from_be_bytes([s0, s1]), body }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    // conformance 1
    fn the_golden_frame_comes_out_as_it_went_in() {
        let golden = [0, 0, 0, 7, 0, 0, 1, 0, 7, 0x68, 0x69];
        let frame = Frame { header: 0, route: 1, seq: 7, body: b"hi" };
        assert_eq!(cut(&golden), Ok(Some(frame)));
        assert_eq!(frame.len(), golden.len());
        let mut out = Vec::new();
        frame.put(&mut out);
        assert_eq!(out, golden);
    }

    #[test]
    fn every_shorter_prefix_waits_for_more() {
        let mut out = Vec::new();
        Frame { header: 0, route: 1, seq: 2, body: &[5; 20] }.put(&mut out);
        for n in 0..out.len() {
            assert_eq!(cut(&out[..n]), Ok(None), "{n} bytes");
        }
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        assert_eq!(cut(&[0, 0, 0, 4]), Err(BadSize(4)));
        assert_eq!(cut(&[0xff; 4]), Err(BadSize(0xffff_ffff)));
    }
}
