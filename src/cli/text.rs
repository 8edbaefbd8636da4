//! Text from elsewhere as it may be shown: it cannot end a line, colour a terminal
//! or turn the reading order (T-44).

use std::fmt::Write as _;
use std::time::Duration;

/// Longest value that is shown whole, characters.
const LONGEST: usize = 400;

/// The text with every control character escaped.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        push(&mut out, character);
    }
    out
}

/// Appends a JSON string of the text, cut where it is too long to be of use.
pub(super) fn put_quoted(out: &mut String, text: &str) {
    out.push('"');
    for (at, character) in text.chars().enumerate() {
        if at == LONGEST {
            out.push('…');
            break;
        }
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        push(out, character);
    }
    out.push('"');
}

/// The time since 1970 as RFC 3339 has it, in UTC.
pub(super) fn date(unix: Duration) -> String {
    let seconds = unix.as_secs();
    let (day, of_day) = (seconds / 86_400, seconds % 86_400);
    // Days since 1 March of the year 0: the odd day of a leap year is its last.
    let days = day + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day_of_month:02}T{:02}:{:02}:{:02}.{:03}Z",
        of_day / 3_600,
        of_day / 60 % 60,
        of_day % 60,
        unix.subsec_millis()
    )
}

/// A length of time such as `90s`, `15m`, `2h`, `1d` or `500ms`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|character: char| character.is_ascii_digit());
    let number = text.strip_suffix(unit).and_then(|digits| digits.parse::<u64>().ok());
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => 0,
    };
    number
        .and_then(|number| number.checked_mul(millis))
        .filter(|millis| *millis > 0)
        .map(Duration::from_millis)
        .ok_or_else(|| "not a length of time such as 90s, 15m, 2h or 500ms".to_owned())
}

fn push(out: &mut String, character: char) {
    let steers = matches!(
        character,
        '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' | '\u{feff}'
    );
    match character {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        character if character.is_control() || steers => {
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        }
        character => out.push(character),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_a_terminal_and_it_is_json() {
        let nasty = "a\u{1b}[31m\r\n\"\\\u{9b}1m\u{7f}\u{202e}\u{2028}\0é";
        let mut quoted = String::new();
        put_quoted(&mut quoted, nasty);
        assert_eq!(serde_json::from_str::<String>(&quoted).expect("JSON"), nasty);
        for text in [quoted, printable(nasty)] {
            assert!(!text.chars().any(char::is_control), "{text:?}");
            assert!(!text.contains(['\u{202e}', '\u{2028}']), "{text:?}");
            assert!(text.ends_with('é') || text.ends_with("é\""));
        }
        let mut long = String::new();
        put_quoted(&mut long, &"x".repeat(10_000));
        assert_eq!(long.chars().count(), LONGEST + 3);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_827_696, "2000-02-29T12:34:56.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (1_709_251_200, "2024-03-01T00:00:00.000Z"),
            (1_800_000_000, "2027-01-15T08:00:00.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(date(Duration::from_secs(seconds)), expected);
        }
        assert!(date(Duration::from_millis(7)).ends_with(":00.007Z"));
    }

    #[test]
    fn lengths_of_time_have_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7_200)));
        for wrong in ["", "10", "s", "0s", "-1s", "1.5s", "1w", "99999999999999999999s", "1 s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
