//! Names that were checked once and cannot be made unchecked.

use std::fmt;
use std::sync::Arc;

/// The longest channel and user name, in bytes.
pub const MAX_NAME: usize = 255;

/// A channel name: 1 to 255 bytes of printable ASCII without space, quotes,
/// backslash, backtick and angle brackets. The whole name is the identity;
/// its namespace is the text before the first `:` (after one leading `$`).
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel(Arc<str>);

/// Why a text is not a channel or user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadName {
    /// No characters at all.
    Empty,
    /// More than [`MAX_NAME`] bytes.
    TooLong,
    /// A character that names may not have.
    Character,
}

impl Channel {
    /// Checks `name`.
    ///
    /// # Errors
    /// Says which rule the name breaks.
    pub fn parse(name: &str) -> Result<Channel, BadName> {
        check_length(name)?;
        if name.bytes().all(is_channel_byte) {
            Ok(Channel(name.into()))
        } else {
            Err(BadName::Character)
        }
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The namespace's name: the text before the first `:`, without a leading
    /// `$`; `None` for a channel without namespace.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        let name = self.0.strip_prefix('$').unwrap_or(&self.0);
        name.split_once(':').map(|(namespace, _)| namespace)
    }

    /// Whether subscribing needs a subscription token (prefix `$`).
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.0.starts_with('$')
    }

    /// The users named after the last `#`, separated by commas, where there is one.
    pub fn users(&self) -> Option<impl Iterator<Item = &str>> {
        self.0.rsplit_once('#').map(|(_, users)| users.split(','))
    }
}

const fn is_channel_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\' | b'`' | b'<' | b'>')
}

/// Of users and tenants, whose names are an application's own.
fn check_printable(name: &str) -> Result<(), BadName> {
    check_length(name)?;
    if name.chars().any(char::is_control) { Err(BadName::Character) } else { Ok(()) }
}

fn check_length(name: &str) -> Result<(), BadName> {
    match name.len() {
        0 => Err(BadName::Empty),
        length if length > MAX_NAME => Err(BadName::TooLong),
        _ => Ok(()),
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Channel {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A user id as tokens name it: up to 255 bytes without control characters.
/// The empty id is the anonymous user. Cheap to clone. A user id is personal
/// data: `Debug` does not print it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct User(Arc<str>);

impl User {
    /// Checks `id`; the empty id gives the anonymous user.
    ///
    /// # Errors
    /// Says which rule the id breaks.
    pub fn parse(id: &str) -> Result<User, BadName> {
        if !id.is_empty() {
            check_printable(id)?;
        }
        Ok(User(id.into()))
    }

    /// The user without a name.
    #[must_use]
    pub fn anonymous() -> User {
        User("".into())
    }

    /// Whether this is the user without a name.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.0.is_empty()
    }

    /// The id as the token gave it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_anonymous() { "User(anonymous)" } else { "User([redacted])" })
    }
}

/// A tenant of the application as tokens name it: 1 to 255 bytes without control
/// characters. Cheap to clone. It may be the name of a customer: `Debug` does not
/// print it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(Arc<str>);

impl Tenant {
    /// Checks `name`.
    ///
    /// # Errors
    /// Says which rule the name breaks.
    pub fn parse(name: &str) -> Result<Tenant, BadName> {
        check_printable(name)?;
        Ok(Tenant(name.into()))
    }

    /// The name as the token gave it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tenant([redacted])")
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn channel_names_are_checked_and_taken_apart() {
        let plain = Channel::parse("room").expect("valid");
        assert_eq!(plain.namespace(), None);
        assert!(!plain.is_private());
        let spaced = Channel::parse("$chat:room:1").expect("valid");
        assert_eq!(spaced.namespace(), Some("chat"));
        assert!(spaced.is_private());
        let users: Vec<_> = Channel::parse("dialog#42,43")
            .expect("valid")
            .users()
            .into_iter()
            .flatten()
            .map(str::to_owned)
            .collect();
        assert_eq!(users, ["42", "43"]);
    }

    #[test]
    fn bad_names_are_refused() {
        assert_eq!(Channel::parse(""), Err(BadName::Empty));
        assert_eq!(Channel::parse(&"a".repeat(256)), Err(BadName::TooLong));
        assert!(Channel::parse(&"a".repeat(255)).is_ok());
        for name in ["a b", "a\n", "ü", "a\"b", "a\\b", "<a>", "`", "'", "\u{202e}"] {
            assert_eq!(Channel::parse(name), Err(BadName::Character), "{name:?}");
        }
        assert_eq!(User::parse("a\r\nb"), Err(BadName::Character));
        assert!(User::parse("zoë 42").is_ok());
        assert!(!format!("{:?}", User::parse("zoë").expect("valid")).contains("zoë"));
        assert_eq!(User::parse(&"a".repeat(256)), Err(BadName::TooLong));
        assert!(User::parse("").is_ok_and(|user| user.is_anonymous()));
        for (name, why) in [
            ("", BadName::Empty),
            ("a\u{7f}", BadName::Character),
            (&"a".repeat(256), BadName::TooLong),
        ] {
            assert_eq!(Tenant::parse(name), Err(why), "{name:?}");
        }
        let tenant = Tenant::parse("Zoë & Söhne").expect("valid");
        assert!(tenant.as_str() == "Zoë & Söhne" && !format!("{tenant:?}").contains("Zo"));
        assert!(Tenant::parse(&"a".repeat(255)).is_ok());
    }
}
