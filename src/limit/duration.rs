//! Durations as Centrifugo writes them: `300ms`, `25s`, `1m30s`, `720h`.

use std::time::Duration;

/// Reads a duration; `None` if the text is none.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    if text.is_empty() {
        return None;
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(digits)?;
        let number: u64 = number.parse().ok()?;
        let (unit, after) = ["ms", "s", "m", "h"]
            .into_iter()
            .find_map(|unit| Some((unit, after.strip_prefix(unit)?)))?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            _ => 3_600_000,
        };
        total = total.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
        rest = after;
    }
    Some(total)
}

/// Writes a duration so that [`parse`] reads it, in whole milliseconds.
#[must_use]
pub fn format(duration: Duration) -> String {
    let millis = duration.as_millis();
    let mut text = String::new();
    let mut rest = millis;
    for (unit, size) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        if rest >= size {
            text += &format!("{}{unit}", rest / size);
            rest %= size;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        for text in ["0s", "25s", "1m30s", "300ms", "720h", "1h1m1s1ms"] {
            assert_eq!(parse(text).map(format).as_deref(), Some(text));
        }
    }

    #[test]
    fn go_durations_are_read() {
        assert_eq!(parse("25s"), Some(Duration::from_secs(25)));
        assert_eq!(parse("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(parse("300ms"), Some(Duration::from_millis(300)));
        assert_eq!(parse("720h"), Some(Duration::from_secs(720 * 3_600)));
        for bad in ["", "25", "s", "1.5s", "-1s", "1d", "99999999999999999999s", "1s "] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
