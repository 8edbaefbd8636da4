//! Where and how to connect.

use std::fmt;
use std::time::Duration;

use sealcast_wire::Encoding;

use crate::Error;

/// How to connect. `Debug` shows neither the token, nor values of headers, nor
/// the address's query.
#[derive(Clone)]
pub struct Options {
    /// The endpoint, as `ws://host:port/connection/websocket`. Without a port, 80.
    pub url: String,
    /// How commands and replies are written.
    pub encoding: Encoding,
    /// The connection token, for [`crate::Session::connect`].
    pub token: Option<String>,
    /// The `Origin` header, as browsers send it.
    pub origin: Option<String>,
    /// Further headers of the upgrade request.
    pub headers: Vec<(String, String)>,
    /// How long to wait for the upgrade, and for each reply.
    pub timeout: Duration,
    /// How many events are kept that [`crate::Session::next_event`] has not taken.
    pub event_buffer: usize,
    /// The largest message that is accepted from the server, in bytes.
    pub message_limit: usize,
    /// Whether the protocol's pings are answered. Only tests have a reason not to.
    pub answer_pings: bool,
}

impl Options {
    /// The defaults, for this address: JSON, no token, no origin, 5 seconds,
    /// 1024 events, 4 MiB.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Options {
        Options {
            url: url.into(),
            encoding: Encoding::Json,
            token: None,
            origin: None,
            headers: Vec::new(),
            timeout: Duration::from_secs(5),
            event_buffer: 1024,
            message_limit: 4 << 20,
            answer_pings: true,
        }
    }

    pub(crate) fn address(&self) -> Result<Address<'_>, Error> {
        Address::parse(&self.url)
    }

    /// The headers of the upgrade request, none of which can end its line.
    pub(crate) fn checked_headers(&self) -> Result<Vec<(&str, &str)>, Error> {
        let origin = self.origin.as_deref().map(|origin| ("Origin", origin));
        let further = self.headers.iter().map(|(name, value)| (&**name, &**value));
        let headers: Vec<_> = origin.into_iter().chain(further).collect();
        if headers.iter().any(|(name, value)| [name, value].iter().any(|it| has_control(it))) {
            return Err(Error::invalid("a header with a control character"));
        }
        Ok(headers)
    }
}

impl Default for Options {
    /// For a local server on its usual port.
    fn default() -> Options {
        Options::new("ws://127.0.0.1:8000/connection/websocket")
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| &**name).collect();
        f.debug_struct("Options")
            .field("url", &self.url.split('?').next().unwrap_or_default())
            .field("encoding", &self.encoding)
            .field("token", &self.token.as_ref().map(|_| "[redacted]"))
            .field("origin", &self.origin)
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .field("event_buffer", &self.event_buffer)
            .field("message_limit", &self.message_limit)
            .field("answer_pings", &self.answer_pings)
            .finish()
    }
}

/// The parts of a `ws://` or `wss://` address.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Address<'a> {
    /// Whether TLS is asked for.
    pub(crate) secure: bool,
    /// As the `Host` header has it.
    pub(crate) authority: &'a str,
    /// Without the brackets of an IPv6 address.
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    /// With the query; begins with `/`.
    pub(crate) path: String,
}

impl<'a> Address<'a> {
    fn parse(url: &'a str) -> Result<Address<'a>, Error> {
        Address::parts(url).ok_or(Error::invalid("not an address of the form ws://host:port/path"))
    }

    fn parts(url: &'a str) -> Option<Address<'a>> {
        let (secure, rest) = match url.strip_prefix("wss://") {
            Some(rest) => (true, rest),
            None => (false, url.strip_prefix("ws://")?),
        };
        if has_control(rest) || rest.contains([' ', '#', '@']) {
            return None;
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => bracketed.split_once(']')?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok()?,
            None if port.is_empty() => {
                if secure {
                    443
                } else {
                    80
                }
            }
            None => return None,
        };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        (!host.is_empty()).then_some(Address { secure, authority, host, port, path })
    }
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let parts = |url| {
            let address = Address::parts(url)?;
            Some((address.authority, address.host, address.port, address.path))
        };
        let expect = |authority, host, port, path: &str| Some((authority, host, port, path.into()));
        assert_eq!(parts("ws://a.example"), expect("a.example", "a.example", 80, "/"));
        assert_eq!(parts("ws://a:8000/c?d=/e"), expect("a:8000", "a", 8000, "/c?d=/e"));
        assert_eq!(parts("ws://a?format=protobuf"), expect("a", "a", 80, "/?format=protobuf"));
        assert_eq!(parts("ws://[::1]:9/x"), expect("[::1]:9", "::1", 9, "/x"));
        assert_eq!(parts("wss://a"), expect("a", "a", 443, "/"));
        assert_eq!(parts("wss://a:8443/x"), expect("a:8443", "a", 8443, "/x"));
        for bad in [
            "",
            "http://a",
            "ws://",
            "ws://:80",
            "ws://a:x",
            "ws://a:70000",
            "ws://[::1",
            "ws://[::1]x",
            "ws://a/\r\nX: y",
            "ws://a/b c",
            "ws://user:secret@a/",
        ] {
            assert_eq!(parts(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn headers_cannot_smuggle_lines() {
        let mut options = Options { origin: Some("https://a".into()), ..Options::default() };
        options.headers.push(("Cookie".into(), "a=b".into()));
        let headers = options.checked_headers().expect("good");
        assert_eq!(headers, [("Origin", "https://a"), ("Cookie", "a=b")]);
        options.origin = Some("https://a\r\nX: y".into());
        assert!(options.checked_headers().is_err());
    }

    #[test]
    fn debug_keeps_secrets() {
        let mut options = Options::new("ws://a/b?token=hidden-query");
        options.token = Some("hidden-token".into());
        options.headers.push(("Cookie".into(), "hidden-cookie".into()));
        let debug = format!("{options:?}");
        assert!(!debug.contains("hidden"), "{debug}");
    }
}
