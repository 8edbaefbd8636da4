//! Patterns of channel names.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Longest pattern, bytes. Compiling one takes space in proportion, also on the
/// stack for each level of its braces.
const MAX_PATTERN: usize = 1_024;

/// A pattern that whole channel names match: `*`, `?`, `[…]` and `{a,b}` as in file
/// names, where `*` and `?` stand for any character. Case counts.
#[derive(Clone, Debug)]
pub struct ChannelPattern(GlobSet);

/// The text is not a pattern: empty, longer than 1024 bytes, not ASCII as channel
/// names are, nested too deeply, or a bracket or brace stands alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a pattern of channel names, such as news:* or {{chat,game}}:*")]
pub struct BadPattern;

impl ChannelPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// See [`BadPattern`].
    pub fn parse(text: &str) -> Result<ChannelPattern, BadPattern> {
        if text.is_empty() || text.len() > MAX_PATTERN || !text.is_ascii() {
            return Err(BadPattern);
        }
        let glob = GlobBuilder::new(text).build().map_err(|_| BadPattern)?;
        // A set tells what a single pattern panics at: too large, nested too deeply.
        let set = GlobSetBuilder::new().add(glob).build().map_err(|_| BadPattern)?;
        Ok(ChannelPattern(set))
    }

    /// Whether the whole name matches.
    #[must_use]
    pub fn matches(&self, channel: &str) -> bool {
        self.0.is_match(channel)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_names_match() {
        for (pattern, yes, no) in [
            (
                "news:*",
                &["news:", "news:a", "news:a/b.c:*"][..],
                &["news", "xnews:a", "NEWS:a"][..],
            ),
            ("*", &["a", "a:b", "$a", "a/b"], &[]),
            ("r??m", &["room", "r/.m"], &["rm", "rooom"]),
            ("{chat,game}:[0-9]", &["chat:1", "game:9"], &["chat:a", "chat:12", "talk:1"]),
            ("a[!b]c", &["aac", "a:c"], &["abc", "ac"]),
            (r"a\*", &["a*"], &["ab"]),
            ("*.x", &["a.x", "..x", ".x"], &["a.xy"]),
            ("a.b", &["a.b"], &["aab"]),
        ] {
            let parsed = ChannelPattern::parse(pattern).expect(pattern);
            for name in yes {
                assert!(parsed.matches(name), "{pattern} and {name}");
            }
            for name in no {
                assert!(!parsed.matches(name), "{pattern} and {name}");
            }
        }
        let long = "{a,b}".repeat(MAX_PATTERN);
        let deep = format!("{}a{}", "{".repeat(500), "}".repeat(500));
        for bad in ["", "[", "[a", "{a", "a}", "[z-a]", r"a\", "é", "[é-ü]", &long, &deep] {
            assert_eq!(ChannelPattern::parse(bad).map(|_| ()), Err(BadPattern), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r"[\x00-\x7f]{0,64}", odd in r"[\[\]{},!^\\*?a-]{0,1100}") {
            let _ = ChannelPattern::parse(&text).map(|pattern| pattern.matches(&text));
            let _ = ChannelPattern::parse(&odd).map(|pattern| pattern.matches(&odd));
        }
    }
}
