//! The Origin rule: exact match of scheme, host and port after WHATWG
//! parsing. A browser sends the header by itself; a page elsewhere cannot take
//! it away.

use url::Url;

/// The origins whose pages may connect. Empty: no browser may.
#[derive(Clone, Debug, Default)]
pub struct Origins(Vec<OriginRule>);

/// One entry of the list: an origin, with `*` for the port allowed on loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginRule {
    scheme: String,
    host: String,
    port: Option<u16>,
}

/// Why an entry of the list is refused at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadOrigin {
    /// Not `scheme://host` or `scheme://host:port`.
    Syntax,
    /// `*` somewhere but for the port of a loopback host.
    Wildcard,
}

impl OriginRule {
    /// Reads `scheme://host[:port]`; the port may be `*` on a loopback host.
    ///
    /// # Errors
    /// Says what is wrong with the entry.
    pub fn parse(entry: &str) -> Result<OriginRule, BadOrigin> {
        if let Some(base) = entry.strip_suffix(":*") {
            let (scheme, host, _) = parts(base).ok_or(BadOrigin::Syntax)?;
            let loopback = matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]");
            return if loopback {
                Ok(OriginRule { scheme, host, port: None })
            } else {
                Err(BadOrigin::Wildcard)
            };
        }
        if entry.contains('*') {
            return Err(BadOrigin::Wildcard);
        }
        let (scheme, host, port) = parts(entry).ok_or(BadOrigin::Syntax)?;
        Ok(OriginRule { scheme, host, port: Some(port) })
    }
}

impl Origins {
    /// The list.
    #[must_use]
    pub fn new(rules: Vec<OriginRule>) -> Origins {
        Origins(rules)
    }

    /// Whether a page of this origin may connect. `null`, several values and
    /// anything that is not exactly an origin may not.
    #[must_use]
    pub fn allow(&self, origin: &str) -> bool {
        let Some((scheme, host, port)) = parts(origin) else { return false };
        self.0.iter().any(|rule| {
            rule.scheme == scheme
                && rule.host == host
                && rule.port.is_none_or(|wanted| wanted == port)
        })
    }
}

/// Scheme, host and port of a text that is an origin and nothing else: no
/// path, query, fragment, user or surrounding space.
fn parts(origin: &str) -> Option<(String, String, u16)> {
    if origin.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return None;
    }
    let (_, rest) = origin.split_once("://")?;
    if rest.contains(['/', '?', '#', '@', '\\']) {
        return None;
    }
    let url = Url::parse(origin).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let host = url.host_str()?.to_owned();
    let port = url.port_or_known_default()?;
    Some((url.scheme().to_owned(), host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(entries: &[&str]) -> Origins {
        Origins::new(entries.iter().map(|entry| OriginRule::parse(entry).expect("valid")).collect())
    }

    #[test]
    fn exactly_the_listed_origin_passes() {
        let list = origins(&["https://good.example", "http://localhost:*"]);
        for allowed in [
            "https://good.example",
            "https://good.example:443",
            "https://GOOD.example",
            "HTTPS://good.example",
            "http://localhost:1",
            "http://localhost",
        ] {
            assert!(list.allow(allowed), "{allowed}");
        }
        for refused in [
            "",
            "null",
            "https://good.example.evil.com",
            "https://evil-good.example",
            "https://good.example:8443",
            "http://good.example",
            "https://good.example@evil.com",
            "https://evil.com@good.example",
            "https://good.example/",
            "https://good.example?",
            "https://good.example, https://good.example",
            "https://good.example https://evil.com",
            "https://localhost:1",
            "http://localhost.evil.com:1",
            "good.example",
            "file://good.example",
        ] {
            assert!(!list.allow(refused), "{refused}");
        }
    }

    #[test]
    fn the_empty_list_lets_no_browser_in() {
        assert!(!Origins::default().allow("http://localhost:8000"));
    }

    #[test]
    fn wildcards_are_for_loopback_ports_only() {
        assert_eq!(OriginRule::parse("*"), Err(BadOrigin::Wildcard));
        assert_eq!(OriginRule::parse("https://*.example"), Err(BadOrigin::Wildcard));
        assert_eq!(OriginRule::parse("https://good.example:*"), Err(BadOrigin::Wildcard));
        assert_eq!(OriginRule::parse("good.example"), Err(BadOrigin::Syntax));
        assert!(OriginRule::parse("http://127.0.0.1:*").is_ok());
    }
}
