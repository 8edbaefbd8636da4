//! Numbered payloads, and how a server pushes them.

/// Digits of a number; all payloads of a run are equally long.
const DIGITS: usize = 10;
const OPEN: &str = r#"{"n":""#;
const BETWEEN: &str = r#"","pad":""#;
const CLOSE: &str = r#""}"#;

/// The shortest payload, bytes.
pub(super) const SHORTEST: usize = OPEN.len() + DIGITS + BETWEEN.len() + CLOSE.len();

/// A JSON payload of `bytes` bytes, at least [`SHORTEST`], that holds `number`.
pub(super) fn payload(number: u64, bytes: usize) -> String {
    let pad = "x".repeat(bytes.saturating_sub(SHORTEST));
    format!("{OPEN}{number:0DIGITS$}{BETWEEN}{pad}{CLOSE}")
}

/// The number in a payload; `None` if it is none of these.
pub(super) fn number(payload: &[u8]) -> Option<u64> {
    let rest = payload.strip_prefix(OPEN.as_bytes())?;
    let (digits, rest) = rest.split_at_checked(DIGITS)?;
    let ends = rest.starts_with(BETWEEN.as_bytes()) && rest.ends_with(CLOSE.as_bytes());
    if !ends || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The push of a payload, as a server writes it to every subscriber: the same
/// bytes each time, but for the number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Shape {
    /// Learns from one push; `None` if the payload is not in it as it was sent.
    pub(super) fn learn(push: &[u8], payload: &str) -> Option<Shape> {
        let at = push.windows(payload.len()).position(|part| part == payload.as_bytes())?;
        let (before, rest) = push.split_at_checked(at + OPEN.len())?;
        let (_, after) = rest.split_at_checked(DIGITS)?;
        Some(Shape { before: before.to_vec(), after: after.to_vec() })
    }

    /// The number in a push; `None` if it differs from the shape in anything else.
    pub(super) fn number(&self, push: &[u8]) -> Option<u64> {
        let digits = push.strip_prefix(&*self.before)?.strip_suffix(&*self.after)?;
        if digits.len() != DIGITS || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// The push with this number.
    pub(super) fn push(&self, number: u64) -> Vec<u8> {
        [&*self.before, format!("{number:0DIGITS$}").as_bytes(), &*self.after].concat()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn payloads_are_json_of_the_size_asked_for() {
        for bytes in [SHORTEST, 128, 1_024] {
            let payload = payload(42, bytes);
            assert_eq!(payload.len(), bytes);
            let value: serde_json::Value = serde_json::from_str(&payload).unwrap();
            assert_eq!(value["n"], "0000000042");
            assert_eq!(number(payload.as_bytes()), Some(42));
        }
        assert_eq!(number(b"{}"), None);
        assert_eq!(number(payload(1, 64).replace("0001", "000x").as_bytes()), None);
    }

    #[test]
    fn a_shape_tells_numbers_and_whatever_else_is_different() {
        let wrap = |payload: &str| format!(r#"{{"push":{{"pub":{{"data":{payload}}}}}}}"#);
        let push = wrap(&payload(0, 64));
        let shape = Shape::learn(push.as_bytes(), &payload(0, 64)).unwrap();
        let number = |push: &str| shape.number(push.as_bytes());
        assert_eq!(shape.push(0), push.as_bytes());
        assert_eq!(number(&wrap(&payload(77, 64))), Some(77));
        assert_eq!(shape.push(77), wrap(&payload(77, 64)).as_bytes());
        assert_eq!(number(&wrap(&payload(77, 65))), None);
        assert_eq!(number(&push.replace("data", "date")), None);
        assert_eq!(number(&push.replace("0000000000", "00000000+1")), None);
        assert_eq!(number(&push.replace("0000000000", "000000000")), None);
        assert_eq!(Shape::learn(b"{}", &payload(0, 64)), None);
    }
}
