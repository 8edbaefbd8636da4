//! What names a namespace admits.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};
use sealcast_wire::Channel;

/// The most memory that a compiled expression takes, bytes, and also its cache.
const MAX_SIZE: usize = 1 << 20;

/// A regular expression over the part of a channel's name behind its namespace.
/// Matching takes a time that grows with the name's length only.
#[derive(Clone)]
pub struct ChannelRegex(Regex);

/// Why a text is not an expression that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRegex {
    /// It has a form that is not known.
    #[error("not a regular expression of the RE2 kind; there is no look-around and no \\p")]
    Syntax,
    /// It would take too much memory.
    #[error("a regular expression that is too large")]
    TooLarge,
}

impl ChannelRegex {
    /// Reads an expression. Names are ASCII, and so are its classes.
    ///
    /// # Errors
    /// Says why it cannot be used.
    pub fn parse(pattern: &str) -> Result<ChannelRegex, BadRegex> {
        RegexBuilder::new(pattern)
            .unicode(false)
            .size_limit(MAX_SIZE)
            .dfa_size_limit(MAX_SIZE)
            .build()
            .map(ChannelRegex)
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => BadRegex::TooLarge,
                _ => BadRegex::Syntax,
            })
    }

    pub(super) fn admits(&self, channel: &Channel) -> bool {
        let name = channel.as_str();
        let name = name.strip_prefix('$').unwrap_or(name);
        let behind = name.split_once(':').map_or(name, |(_, behind)| behind);
        self.0.is_match(behind.as_bytes())
    }
}

impl PartialEq for ChannelRegex {
    fn eq(&self, other: &ChannelRegex) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for ChannelRegex {}

impl fmt::Debug for ChannelRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_behind_the_namespace_decides() {
        let regex = ChannelRegex::parse(r"^[a-z]+-\d{1,3}$").expect("an expression");
        for (name, admitted) in [
            ("room:ab-12", true),
            ("$room:ab-12", true),
            ("ab-12", true),
            ("$ab-12", true),
            ("room:ab-1234", false),
            ("room:x:ab-12", false),
            ("room:", false),
            ("room:AB-1", false),
        ] {
            let channel = Channel::parse(name).expect("a name");
            assert_eq!(regex.admits(&channel), admitted, "{name}");
        }
    }

    #[test]
    fn what_could_take_too_much_is_refused() {
        for (pattern, bad) in [
            ("(", BadRegex::Syntax),
            (r"(?=a)", BadRegex::Syntax),
            (r"(a)\1", BadRegex::Syntax),
            (r"\p{Greek}", BadRegex::Syntax),
            (r"(((a{1,100}){1,100}){1,100}){1,100}", BadRegex::TooLarge),
        ] {
            assert_eq!(ChannelRegex::parse(pattern).map(|_| ()), Err(bad), "{pattern}");
        }
    }
}
