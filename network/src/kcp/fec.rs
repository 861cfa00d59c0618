//! The forward error correction that some clients wrap around their datagrams.
//!
//! A data packet has 8 bytes before the segments: `seqid u32 | f1 00 | size u16`, where the size counts itself. The
//! second byte pair can never be a command and a fragment number, so a bare datagram is told apart with certainty.
//! Parity packets (`f2 00`) are ignored: what was lost is sent again.

const DATA: [u8; 2] = [0xf1, 0];
const PARITY: [u8; 2] = [0xf2, 0];

/// Bytes before the segments of a data packet.
pub(crate) const HEAD: usize = 8;

/// The segments inside a datagram, whether it is wrapped or not; `None` for parity and for what is cut.
pub(crate) fn payload(datagram: &[u8]) -> Option<&[u8]> {
    let kind = datagram.get(4..6)?;
    if kind == PARITY {
        return None;
    }
    if kind != DATA {
        return Some(datagram);
    }
    let (head, rest) = datagram.split_first_chunk::<HEAD>()?;
    let [.., low, high] = *head;
    let size = usize::from(u16::from_le_bytes([low, high]));
    rest.get(..size.checked_sub(2)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_packet_is_unwrapped_and_parity_ignored() {
        let wrapped = [9, 0, 0, 0, 0xf1, 0, 5, 0, b'a', b'b', b'c', b'x'];
        assert_eq!(payload(&wrapped), Some(&b"abc"[..]));
        let parity = [9, 0, 0, 0, 0xf2, 0, 5, 0, b'a', b'b', b'c'];
        assert_eq!(payload(&parity), None);
    }

    #[test]
    fn a_bare_datagram_stays() {
        let bare = [1, 2, 3, 4, 81, 0, 1, 2, 3];
        assert_eq!(payload(&bare), Some(&bare[..]));
    }

    #[test]
    fn a_cut_or_lying_wrapper_is_dropped() {
        for wrong in
            [&[][..], &[1; 5], &[9, 0, 0, 0, 0xf1, 0], &[9, 0, 0, 0, 0xf1, 0, 1, 0, 7], &[9, 0, 0, 0, 0xf1, 0, 9, 0, 7]]
        {
            assert_eq!(payload(wrong), None, "{wrong:?}");
        }
    }
}
