//! Numbers of 256 bits as decimal text.

/// Digits of the largest number.
const DIGITS_MAX: usize = 78;

/// Decimal text without leading zeros; "0" for zero.
pub(super) fn write(number: &[u8; 32]) -> String {
    let mut digits = Vec::with_capacity(DIGITS_MAX);
    let mut left = *number;
    while left.iter().any(|b| *b != 0) {
        // Divides by ten, most significant byte first; the remainder is the next digit from the right.
        let rest = left.iter_mut().fold(0u16, |rest, byte| {
            let part = rest << 8 | u16::from(*byte);
            *byte = (part / 10) as u8;
            part % 10
        });
        digits.push(char::from(b'0' + rest as u8));
    }
    if digits.is_empty() {
        digits.push('0');
    }
    digits.iter().rev().collect()
}

/// The number of a text of digits; `None` if it is empty, holds anything else, begins with a needless 0 or does not fit.
pub(super) fn read(text: &str) -> Option<[u8; 32]> {
    let canonical = text == "0" || !text.starts_with('0');
    if text.is_empty() || text.len() > DIGITS_MAX || !canonical {
        return None;
    }
    text.bytes().try_fold([0; 32], |mut number, digit| {
        let digit = digit.checked_sub(b'0').filter(|d| *d < 10)?;
        let carry = number.iter_mut().rev().fold(u16::from(digit), |carry, byte| {
            let part = u16::from(*byte) * 10 + carry;
            *byte = part as u8;
            part >> 8
        });
        (carry == 0).then_some(number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_ends_of_the_range() {
        let largest = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
        assert_eq!(write(&[0xff; 32]), largest);
        assert_eq!(read(largest), Some([0xff; 32]));
        assert_eq!(read("115792089237316195423570985008687907853269984665640564039457584007913129639936"), None);
        assert_eq!((write(&[0; 32]), read("0")), ("0".into(), Some([0; 32])));
    }

    #[test]
    fn other_texts_are_no_number() {
        for text in ["", "01", "+1", "-1", " 1", "1 ", "1a", "0x1", "٣", &"9".repeat(79), &"1".repeat(1 << 20)] {
            assert_eq!(read(text), None, "{:.20}", text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number: [u8; 32]) {
            prop_assert_eq!(read(&write(&number)), Some(number));
        }
    }
}
