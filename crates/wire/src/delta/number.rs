//! The numbers of a patch: base 64 with the most significant digit first.

/// How many digits `put` writes.
pub(super) fn digits(value: usize) -> usize {
    let bits = usize::BITS - value.leading_zeros();
    bits.div_ceil(BITS).max(1) as usize
}

/// Appends `value`; 0 is one digit.
pub(super) fn put(out: &mut Vec<u8>, value: usize) {
    for digit in (0..digits(value)).rev() {
        let digit = value >> (digit as u32 * BITS) & (DIGITS.len() - 1);
        out.extend(DIGITS.get(digit));
    }
}

/// Takes a number of at least one digit off the front of `rest`; `None` if
/// there is none, or one too large.
pub(super) fn take(rest: &mut &[u8]) -> Option<usize> {
    let mut value = None::<usize>;
    while let Some((digit, left)) = rest.split_first().and_then(|(&byte, left)| {
        let digit = value_of(byte)?;
        Some((digit, left))
    }) {
        let above = value.unwrap_or(0).checked_mul(DIGITS.len())?;
        value = Some(above | usize::from(digit));
        *rest = left;
    }
    value
}

/// The sum of `bytes` as big-endian words of 32 bits, the last one filled up
/// with zeros.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut last = [0; 4];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    let sum = |sum: u32, word: &[u8; 4]| sum.wrapping_add(u32::from_be_bytes(*word));
    words.iter().chain([&last]).fold(0, sum)
}

fn value_of(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'Z' => Some(digit - b'A' + 10),
        b'_' => Some(36),
        b'a'..=b'z' => Some(digit - b'a' + 37),
        b'~' => Some(63),
        _ => None,
    }
}

const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";
const BITS: u32 = DIGITS.len().ilog2();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_they_need() {
        for (value, text) in [
            (0, "0"),
            (9, "9"),
            (10, "A"),
            (36, "_"),
            (37, "a"),
            (63, "~"),
            (64, "10"),
            (4095, "~~"),
            (4096, "100"),
            (u32::MAX as usize, "3~~~~~"),
        ] {
            let mut out = Vec::new();
            put(&mut out, value);
            assert_eq!((out.as_slice(), digits(value)), (text.as_bytes(), text.len()));
            let mut rest = &*[text.as_bytes(), b",7"].concat();
            assert_eq!((take(&mut rest), rest), (Some(value), &b",7"[..]));
        }
        for text in ["", ",", " 1", "\u{b0}", "~~~~~~~~~~~~~"] {
            assert_eq!(take(&mut text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_digits_are_in_the_order_of_their_values() {
        for (value, &digit) in DIGITS.iter().enumerate() {
            assert_eq!(value_of(digit).map(usize::from), Some(value));
        }
        assert_eq!((0..=u8::MAX).filter_map(value_of).count(), DIGITS.len());
    }

    #[test]
    fn the_last_word_of_a_checksum_may_be_short() {
        assert_eq!(checksum(b""), 0);
        assert_eq!(checksum(&[1]), 0x0100_0000);
        assert_eq!(checksum(&[1, 2, 3]), 0x0102_0300);
        assert_eq!(checksum(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 2, 1]), 0x0100_0001);
    }
}
