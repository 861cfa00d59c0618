//! A walk over a body before anything is built from it.
//!
//! A header of five bytes can claim four billion elements, and a reader that makes room for them pays before it finds
//! that they are not there. After this walk every length is known to be true, so room made is never more than one
//! element for each byte.

use std::fmt;

/// Open lists and maps a body may have at one place.
const DEPTH_MAX: usize = 64;

/// Why a body is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Short,
    Long,
    Deep,
    Ext,
    Reserved,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("it ends within a value"),
            Self::Long => f.write_str("bytes follow the value"),
            Self::Deep => write!(f, "more than {DEPTH_MAX} lists and maps inside each other"),
            Self::Ext => f.write_str("ext types are not accepted"),
            Self::Reserved => f.write_str("the marker 0xc1 means nothing"),
        }
    }
}

/// What a marker announces.
enum Next {
    /// So many bytes, which are one value with the marker.
    Bytes(u64),
    /// So many values.
    Values(u64),
}

/// Checks that `bytes` are exactly one value, in time linear to their number and without allocation.
pub(super) fn walk(mut bytes: &[u8]) -> Result<(), Wrong> {
    let mut open = Open { left: [0; DEPTH_MAX], depth: 0 };
    loop {
        match next(&mut bytes)? {
            Next::Bytes(len) => drop(take(&mut bytes, len)?),
            Next::Values(0) => {}
            Next::Values(count) => {
                if count > bytes.len() as u64 {
                    return Err(Wrong::Short);
                }
                open.push(count)?;
                continue;
            }
        }
        if open.pop_full() {
            return if bytes.is_empty() { Ok(()) } else { Err(Wrong::Long) };
        }
    }
}

/// Values still to come in each open list and map.
struct Open {
    left: [u64; DEPTH_MAX],
    depth: usize,
}

impl Open {
    fn push(&mut self, count: u64) -> Result<(), Wrong> {
        *self.left.get_mut(self.depth).ok_or(Wrong::Deep)? = count;
        self.depth += 1;
        Ok(())
    }

    /// Counts one value as read and closes what is complete with it; true when nothing is open any more.
    fn pop_full(&mut self) -> bool {
        while let Some(left) = self.depth.checked_sub(1).and_then(|top| self.left.get_mut(top)) {
            *left -= 1;
            if *left > 0 {
                return false;
            }
            self.depth -= 1;
        }
        true
    }
}

/// Takes a marker and its length bytes.
fn next(bytes: &mut &[u8]) -> Result<Next, Wrong> {
    let marker = number(bytes, 1)?;
    Ok(match marker {
        0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => Next::Bytes(0),
        0x80..=0x8f => Next::Values(2 * (marker & 0x0f)),
        0x90..=0x9f => Next::Values(marker & 0x0f),
        0xa0..=0xbf => Next::Bytes(marker & 0x1f),
        0xc4 | 0xd9 => Next::Bytes(number(bytes, 1)?),
        0xc5 | 0xda => Next::Bytes(number(bytes, 2)?),
        0xc6 | 0xdb => Next::Bytes(number(bytes, 4)?),
        0xcc | 0xd0 => Next::Bytes(1),
        0xcd | 0xd1 => Next::Bytes(2),
        0xca | 0xce | 0xd2 => Next::Bytes(4),
        0xcb | 0xcf | 0xd3 => Next::Bytes(8),
        0xdc => Next::Values(number(bytes, 2)?),
        0xdd => Next::Values(number(bytes, 4)?),
        0xde => Next::Values(2 * number(bytes, 2)?),
        0xdf => Next::Values(2 * number(bytes, 4)?),
        0xc7..=0xc9 | 0xd4..=0xd8 => return Err(Wrong::Ext),
        _ => return Err(Wrong::Reserved),
    })
}

/// A big-endian number of `width` bytes.
fn number(bytes: &mut &[u8], width: u64) -> Result<u64, Wrong> {
    Ok(take(bytes, width)?.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)))
}

fn take<'a>(bytes: &mut &'a [u8], len: u64) -> Result<&'a [u8], Wrong> {
    let len = usize::try_from(len).map_err(|_| Wrong::Short)?;
    let (taken, rest) = bytes.split_at_checked(len).ok_or(Wrong::Short)?;
    *bytes = rest;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::{Wrong, walk};

    #[track_caller]
    fn check(bytes: &[u8], expected: Result<(), Wrong>) {
        assert_eq!(walk(bytes), expected, "{bytes:02x?}");
    }

    #[test]
    fn every_marker_with_all_its_bytes_is_one_value() {
        for marker in 0..=0xffu8 {
            let mut body = vec![marker];
            body.extend([0; 9]);
            // The shortest prefix that is a whole value; zero lengths keep every value short.
            let whole = (1..=body.len()).find(|n| walk(&body[..*n]).is_ok());
            let expected = match marker {
                0xc1 | 0xc7..=0xc9 | 0xd4..=0xd8 => None,
                0x80..=0x8f => Some(1 + 2 * usize::from(marker & 0x0f)).filter(|n| *n <= body.len()),
                0x90..=0x9f => Some(1 + usize::from(marker & 0x0f)).filter(|n| *n <= body.len()),
                0xa0..=0xbf => Some(1 + usize::from(marker & 0x1f)).filter(|n| *n <= body.len()),
                0xcc | 0xd0 | 0xc4 | 0xd9 => Some(2),
                0xcd | 0xd1 | 0xc5 | 0xda | 0xdc | 0xde => Some(3),
                0xca | 0xce | 0xd2 | 0xc6 | 0xdb | 0xdd | 0xdf => Some(5),
                0xcb | 0xcf | 0xd3 => Some(9),
                _ => Some(1),
            };
            assert_eq!(whole, expected, "{marker:02x}");
        }
    }

    #[test]
    fn the_end_must_be_the_end_of_the_value() {
        check(b"", Err(Wrong::Short));
        check(&[0x92, 1], Err(Wrong::Short));
        check(&[0x92, 0x91, 1, 0x81, 2], Err(Wrong::Short));
        check(&[0x92, 0x91, 1, 0x81, 2, 3], Ok(()));
        check(&[1, 1], Err(Wrong::Long));
        check(&[0x90, 0x90], Err(Wrong::Long));
    }

    #[test]
    fn sixty_four_levels_and_no_more() {
        let nested = |depth| [vec![0x91; depth], vec![0xc0]].concat();
        check(&nested(64), Ok(()));
        check(&nested(65), Err(Wrong::Deep));
        // An empty list opens nothing.
        check(&[vec![0x91; 64], vec![0x90]].concat(), Ok(()));
    }
}
