//! The header of a frame (RFC 6455, section 5.2).

use super::reader::Violation;

/// Longest payload of a control frame.
pub(crate) const MAX_CONTROL: usize = 125;

/// Which end of the connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Reads masked frames, writes plain ones.
    Server,
    /// The reverse.
    Client,
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn from_bits(bits: u8) -> Result<Self, Violation> {
        Ok(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return Err(Violation::Protocol("an unknown opcode")),
        })
    }

    fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    /// Close, ping and pong, which may stand between the fragments of a message.
    pub(crate) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) fin: bool,
    pub(crate) opcode: Opcode,
    /// Zero where the frame is not masked.
    pub(crate) mask: [u8; 4],
    /// Bytes of the payload; not checked against any limit but that of control frames.
    pub(crate) len: u64,
    /// Bytes of the header.
    pub(crate) size: usize,
}

impl Header {
    /// Reads the header at the start of `bytes`, as `side` receives it; `None` if it is not complete. What is wrong is
    /// found with the first byte that shows it.
    pub(crate) fn read(bytes: &[u8], side: Side) -> Result<Option<Self>, Violation> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(Violation::Protocol("a reserved bit, no extension is negotiated"));
        }
        let (fin, opcode) = (first & 0x80 != 0, Opcode::from_bits(first & 0x0f)?);
        if opcode.is_control() && !fin {
            return Err(Violation::Protocol("a fragmented control frame"));
        }
        let Some((&second, rest)) = rest.split_first() else { return Ok(None) };
        let masked = second & 0x80 != 0;
        match side {
            Side::Server if !masked => return Err(Violation::Protocol("an unmasked frame")),
            Side::Client if masked => return Err(Violation::Protocol("a masked frame of a server")),
            _ => {}
        }
        let short = second & 0x7f;
        if opcode.is_control() && usize::from(short) > MAX_CONTROL {
            return Err(Violation::Protocol("a control frame over 125 bytes"));
        }
        let Some((len, rest)) = read_len(short, rest)? else { return Ok(None) };
        let (mask, rest) = match (masked, rest.split_first_chunk()) {
            (false, _) => ([0; 4], rest),
            (true, Some((mask, rest))) => (*mask, rest),
            (true, None) => return Ok(None),
        };
        Ok(Some(Self { fin, opcode, mask, len, size: bytes.len() - rest.len() }))
    }

    /// Appends the header of an unfragmented frame.
    pub(crate) fn write(opcode: Opcode, len: usize, mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
        let flag = if mask.is_some() { 0x80 } else { 0 };
        out.push(0x80 | opcode.bits());
        match len {
            0..=125 => out.push(flag | len as u8),
            126..=0xffff => {
                out.push(flag | 126);
                out.extend_from_slice(&(len as u16).to_be_bytes());
            }
            _ => {
                out.push(flag | 127);
                out.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(mask.as_ref().map_or(&[], |m| m));
    }
}

/// The length after its 7 bits, and what follows it.
fn read_len(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    let (len, least, rest) = match short {
        126 => match rest.split_first_chunk() {
            Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), 126, rest),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk() {
            Some((len, rest)) => (u64::from_be_bytes(*len), 0x1_0000, rest),
            // The top byte is enough to refuse.
            None if rest.first().is_some_and(|b| b & 0x80 != 0) => (u64::MAX, 0, rest),
            None => return Ok(None),
        },
        short => (u64::from(short), 0, rest),
    };
    if len > i64::MAX as u64 {
        return Err(Violation::Protocol("a length with the top bit set"));
    }
    if len < least {
        return Err(Violation::Protocol("a length in more bytes than it needs"));
    }
    Ok(Some((len, rest)))
}

/// Masks or unmasks in place, eight bytes at a time.
pub(crate) fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.into_iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], side: Side) -> Option<Header> {
        let whole = Header::read(bytes, side).unwrap();
        let size = whole.map_or(bytes.len(), |h| h.size);
        for cut in 0..size.min(bytes.len()) {
            assert_eq!(Header::read(&bytes[..cut], side), Ok(None), "{cut} bytes of {bytes:02x?}");
        }
        whole
    }

    #[test]
    fn what_is_written_is_read_at_every_width() {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 30] {
            for (mask, side) in [(None, Side::Client), (Some([1, 2, 3, 4]), Side::Server)] {
                let mut bytes = Vec::new();
                Header::write(Opcode::Binary, len, mask, &mut bytes);
                let header = check(&bytes, side).unwrap();
                assert_eq!((header.fin, header.opcode, header.len), (true, Opcode::Binary, len as u64));
                assert_eq!((header.size, header.mask), (bytes.len(), mask.unwrap_or_default()));
            }
        }
    }

    /// proves B099, B100, B101, B103
    #[test]
    fn a_bad_header_is_refused_with_its_first_wrong_byte() {
        let server: &[&[u8]] = &[
            &[0xc2],               // a reserved bit
            &[0x83],               // a reserved opcode
            &[0x82, 0x05],         // B099: not masked
            &[0x09],               // B100: a fragmented ping
            &[0x89, 0xfe],         // B101: a ping over 125 bytes
            &[0x82, 0xff, 0x80],   // B103: the top bit
            &[0x82, 0xfe, 0, 125], // 16 bits for what fits in 7
            &[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
        ];
        for bytes in server {
            assert!(Header::read(bytes, Side::Server).is_err(), "{bytes:02x?}");
            let before = &bytes[..bytes.len() - 1];
            assert_eq!(Header::read(before, Side::Server), Ok(None), "{before:02x?}");
        }
        assert!(Header::read(&[0x82, 0x85], Side::Client).is_err());
    }

    #[test]
    fn masking_twice_gives_the_bytes_back_at_every_length() {
        for len in 0..40u8 {
            let plain: Vec<u8> = (0..len).collect();
            let mut bytes = plain.clone();
            mask(&mut bytes, [9, 8, 7, 6]);
            let slow: Vec<u8> = plain.iter().enumerate().map(|(i, b)| b ^ [9, 8, 7, 6][i % 4]).collect();
            assert_eq!(bytes, slow);
            mask(&mut bytes, [9, 8, 7, 6]);
            assert_eq!(bytes, plain);
        }
    }
}
