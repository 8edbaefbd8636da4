//! Decimal numbers in text.

use std::cmp::Ordering;

/// How `a` compares with `b` as numbers, to the last digit; `None` if one of
/// them is no number.
pub(super) fn compare(a: &str, b: &str) -> Option<Ordering> {
    let (a, b) = (Decimal::read(a)?, Decimal::read(b)?);
    Some(match (a.negative, b.negative) {
        (false, false) => a.size().cmp(&b.size()),
        (true, true) => b.size().cmp(&a.size()),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    })
}

/// A number's digits, without zeros that do not count. Zero is not negative.
struct Decimal<'a> {
    negative: bool,
    integer: &'a [u8],
    fraction: &'a [u8],
}

impl<'a> Decimal<'a> {
    /// Reads an optional sign, and digits with at most one point.
    fn read(text: &'a str) -> Option<Decimal<'a>> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (integer, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = || integer.bytes().chain(fraction.bytes());
        if digits().next().is_none() || !digits().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let integer = integer.trim_start_matches('0').as_bytes();
        let fraction = fraction.trim_end_matches('0').as_bytes();
        let negative = text.starts_with('-') && !(integer.is_empty() && fraction.is_empty());
        Some(Decimal { negative, integer, fraction })
    }

    /// What orders numbers of the same sign.
    fn size(&self) -> (usize, &[u8], &[u8]) {
        (self.integer.len(), self.integer, self.fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_order() {
        let ascending = [
            "-100000000000000000000000000000",
            "-10.01",
            "-10",
            "-9.99",
            "-0.5",
            "-0.10",
            "-0.000000000000000000000000000001",
            "0",
            "0.000000000000000000000000000001",
            "0.1",
            "0.15",
            "0.2",
            "1",
            "1.05",
            "1.5",
            "2",
            "10",
            "9007199254740992.1",
            "9007199254740992.2",
            "100000000000000000000000000000",
        ];
        for (at, a) in ascending.iter().enumerate() {
            for (other, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a, b), Some(at.cmp(&other)), "{a} and {b}");
            }
        }
    }

    #[test]
    fn one_number_has_many_forms() {
        for (a, b) in [
            ("1", "+1"),
            ("1", "1.0"),
            ("1", "1."),
            ("1", "0001.000"),
            ("0.5", ".50"),
            ("0", "-0"),
            ("-0.0", "+00."),
            ("-7", "-07.0"),
        ] {
            assert_eq!(compare(a, b), Some(Ordering::Equal), "{a} and {b}");
        }
    }

    #[test]
    fn what_is_no_number() {
        for text in [
            "", " ", "-", "+", ".", "-.", "+-1", "--1", " 1", "1 ", "1,5", "1.2.3", "1e3", "0x1",
            "inf", "NaN", "1_000", "١", "1-",
        ] {
            assert_eq!(compare(text, "1"), None, "{text:?}");
            assert_eq!(compare("1", text), None, "{text:?}");
        }
    }
}
