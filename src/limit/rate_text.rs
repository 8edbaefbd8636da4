//! Rates as they are written: `10/s`, `100/m burst 20`, `60/10s`, `none`.

use std::time::Duration;

use super::duration;
use super::rate::{BadRate, Rate};

const NONE: &str = "none";

impl Rate {
    /// Reads a rate. Without a burst all of a period's count may come at once.
    ///
    /// # Errors
    /// What is wrong with the numbers; `None` if the text is no rate at all.
    pub fn parse(text: &str) -> Result<Rate, Option<BadRate>> {
        if text == NONE {
            return Ok(Rate::NONE);
        }
        let mut words = text.split(' ');
        let (count, period) = words.next().and_then(|rate| rate.split_once('/')).ok_or(None)?;
        let count = number(count).ok_or(None)?;
        let burst = match (words.next(), words.next(), words.next()) {
            (None, ..) => count,
            (Some("burst"), Some(burst), None) => number(burst).ok_or(None)?,
            _ => return Err(None),
        };
        Rate::new(count, length(period).ok_or(None)?, burst).map_err(Some)
    }
}

/// As [`Rate::parse`] reads it.
impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_none() {
            return f.write_str(NONE);
        }
        let period = duration::format(self.period());
        let period = match period.as_str() {
            "1s" => "s",
            "1m" => "m",
            "1h" => "h",
            period => period,
        };
        let (count, burst) = (self.count(), self.burst());
        if count == burst {
            write!(f, "{count}/{period}")
        } else {
            write!(f, "{count}/{period} burst {burst}")
        }
    }
}

/// A number that is too large stays too large.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u32::MAX))
}

/// A duration, or its unit alone.
fn length(text: &str) -> Option<Duration> {
    match text {
        "s" => Some(Duration::from_secs(1)),
        "m" => Some(Duration::from_secs(60)),
        "h" => Some(Duration::from_secs(3_600)),
        text => duration::parse(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Profile;

    #[test]
    fn what_is_written_can_be_read() {
        for text in
            ["10/s burst 20", "100/m burst 20", "60/10s", "1/h", "5/1m30s", "1/300ms", "none"]
        {
            assert_eq!(Rate::parse(text).map(|rate| rate.to_string()), Ok(text.to_owned()));
        }
        for profile in Profile::ALL {
            let rate = profile.limits().user_messages;
            assert_eq!(Rate::parse(&rate.to_string()), Ok(rate));
        }
        assert_eq!(Rate::parse("100/60s burst 20"), Ok(Profile::Standard.limits().user_messages));
    }

    #[test]
    fn nothing_else_is_a_rate() {
        for text in [
            "",
            "10",
            "10/",
            "/s",
            "-1/s",
            "+1/s",
            "1.5/s",
            "10/x",
            "10 /s",
            "10/s 20",
            "10/s burst",
            "10/s burst -1",
            "10/s  burst 20",
            "10/s burst 20 ",
            "10/s burst 20 x",
            "None",
            "off",
        ] {
            assert_eq!(Rate::parse(text), Err(None), "{text:?}");
        }
        for (text, bad) in [
            ("0/s", BadRate::Zero),
            ("10/0s", BadRate::Period),
            ("10/25h", BadRate::Period),
            ("10/s burst 0", BadRate::Burst),
            ("10/s burst 16777217", BadRate::Burst),
            ("16777217/s", BadRate::Count),
            ("99999999999999999999/s", BadRate::Count),
        ] {
            assert_eq!(Rate::parse(text), Err(Some(bad)), "{text:?}");
        }
    }
}
