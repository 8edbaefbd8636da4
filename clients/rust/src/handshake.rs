//! The opening handshake, RFC 6455, 4.1, as bytes.

use std::time::Duration;

use sealcast_wire::ws;

use crate::Error;

/// The longest response head that is read, in bytes.
pub const MAX_RESPONSE: usize = 16 * 1024;

/// A fresh `Sec-WebSocket-Key`.
#[must_use]
pub fn key() -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(rand::random::<[u8; 16]>())
}

/// The request that asks for the upgrade. `path` may have a query. Everything
/// is written as it is given, so nothing may contain line breaks.
#[must_use]
pub fn request(
    host: &str,
    path: &str,
    key: &str,
    subprotocol: Option<&str>,
    headers: &[(&str, &str)],
) -> Vec<u8> {
    let mut text = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
    );
    let subprotocol = subprotocol.map(|name| ("Sec-WebSocket-Protocol", name));
    for (name, value) in headers.iter().copied().chain(subprotocol) {
        text.extend([name, ": ", value, "\r\n"]);
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// The server's answer, as it comes in.
#[derive(Debug)]
pub struct Response {
    accept: String,
    offered: Option<String>,
    head: Vec<u8>,
}

/// The connection is upgraded.
#[derive(Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The subprotocol that the server selected: the one offered, or none.
    pub subprotocol: Option<String>,
    /// The first bytes of frames, where some came with the response.
    pub leftover: Vec<u8>,
}

impl Response {
    /// Expects the answer to a [`request`] with this key and subprotocol.
    #[must_use]
    pub fn new(key: &str, offered: Option<&str>) -> Response {
        Response {
            accept: ws::accept_key(key),
            offered: offered.map(str::to_owned),
            head: Vec::new(),
        }
    }

    /// Takes the next bytes; gives `None` until the head is complete.
    ///
    /// # Errors
    /// [`Error::Refused`] for any status but 101, [`Error::Protocol`] for a
    /// response that is not the answer to the request, or is longer than
    /// [`MAX_RESPONSE`].
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<Accepted>, Error> {
        let searched = self.head.len().saturating_sub(3);
        let room = MAX_RESPONSE - self.head.len().min(MAX_RESPONSE);
        let (within, beyond) = bytes.split_at(bytes.len().min(room));
        self.head.extend_from_slice(within);
        let unsearched = self.head.get(searched..).unwrap_or_default();
        let Some(at) = unsearched.windows(4).position(|four| four == b"\r\n\r\n") else {
            return if self.head.len() < MAX_RESPONSE {
                Ok(None)
            } else {
                Err(Error::Protocol("the response to the upgrade is too long"))
            };
        };
        let mut leftover = self.head.split_off(searched + at + 4);
        leftover.extend_from_slice(beyond);
        let head = std::mem::take(&mut self.head);
        let head = str::from_utf8(&head)
            .map_err(|_| Error::Protocol("the response to the upgrade is not text"))?;
        Ok(Some(Accepted { subprotocol: self.check(head)?, leftover }))
    }

    /// Checks a complete head; gives the subprotocol selected.
    fn check(&self, head: &str) -> Result<Option<String>, Error> {
        let (status, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        match status.strip_prefix("HTTP/1.1 ").and_then(|it| it.get(..3)).map(str::parse) {
            Some(Ok(101)) => {}
            Some(Ok(status)) => {
                let seconds = single_header(headers, "retry-after").ok().flatten();
                let seconds = seconds.and_then(|seconds| seconds.parse().ok());
                let retry_after = seconds.map(Duration::from_secs);
                return Err(Error::Refused { status, retry_after });
            }
            _ => return Err(Error::Protocol("the response to the upgrade is not HTTP/1.1")),
        }
        let header = |name| single_header(headers, name);
        if !header("upgrade")?.is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
            || !header("connection")?.is_some_and(|value| has_token(value, "upgrade"))
        {
            return Err(Error::Protocol("the response is not an upgrade to WebSocket"));
        }
        if header("sec-websocket-accept")? != Some(&self.accept) {
            return Err(Error::Protocol("the response answers another key"));
        }
        if header("sec-websocket-extensions")?.is_some() {
            return Err(Error::Protocol("the response selects an extension that was not offered"));
        }
        match header("sec-websocket-protocol")? {
            Some(selected) if self.offered.as_deref() != Some(selected) => {
                Err(Error::Protocol("the response selects a subprotocol that was not offered"))
            }
            selected => Ok(selected.map(str::to_owned)),
        }
    }
}

/// The value of a header that may come once only.
fn single_header<'a>(headers: &'a str, name: &str) -> Result<Option<&'a str>, Error> {
    let mut values = headers
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim());
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Error::Protocol("the response has a header twice")),
        (value, None) => Ok(value),
    }
}

fn has_token(list: &str, token: &str) -> bool {
    list.split(',').any(|item| item.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {

    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const GOOD: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        Sec-WebSocket-Protocol: centrifuge-protobuf\r\n\r\n";

    fn answer(head: &str) -> Result<Option<Accepted>, Error> {
        Response::new(KEY, Some("centrifuge-protobuf")).feed(head.as_bytes())
    }

    #[test]
    fn keys_are_keys() {
        assert!(ws::is_key(&key()));
        assert_ne!(key(), key());
    }

    #[test]
    fn the_request_has_what_the_rfc_asks_for() {
        let request = request("h:1", "/c?x=1", KEY, Some("p"), &[("Origin", "https://a.example")]);
        let expected = "GET /c?x=1 HTTP/1.1\r\nHost: h:1\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://a.example\r\n\
            Sec-WebSocket-Protocol: p\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&request), expected);
    }

    #[test]
    fn a_response_may_come_in_any_pieces_and_with_frames_behind_it() {
        let bytes = [GOOD.as_bytes(), b"\x81\x00"].concat();
        for size in 1..=bytes.len() {
            let mut response = Response::new(KEY, Some("centrifuge-protobuf"));
            let mut pieces = bytes.chunks(size);
            let accepted = pieces.find_map(|piece| response.feed(piece).expect("good"));
            let accepted = accepted.expect("complete");
            assert_eq!(accepted.subprotocol.as_deref(), Some("centrifuge-protobuf"));
            let later: Vec<u8> = pieces.flatten().copied().collect();
            assert_eq!([accepted.leftover, later].concat(), b"\x81\x00", "pieces of {size}");
        }
    }

    #[test]
    fn another_status_is_a_refusal() {
        let date = "Sun, 22 Nov 2026 10:00:00 GMT";
        for (head, expected, wait) in [
            ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 403, None),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\nbusy", 503, None),
            ("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n\r\n", 429, Some(7)),
            (&format!("HTTP/1.1 429 Too Many Requests\r\nRetry-After: {date}\r\n\r\n"), 429, None),
            ("HTTP/1.1 503 Busy\r\nretry-after: -1\r\n\r\n", 503, None),
            ("HTTP/1.1 200 OK\r\n\r\n", 200, None),
        ] {
            let Err(Error::Refused { status, retry_after }) = answer(head) else {
                panic!("{head}");
            };
            assert_eq!((status, retry_after), (expected, wait.map(Duration::from_secs)), "{head}");
        }
    }

    #[test]
    fn what_does_not_answer_the_request_is_refused() {
        for (from, to) in [
            ("s3pPLMBi", "s3pPLMBj"),
            ("Sec-WebSocket-Accept", "X-Accept"),
            ("upgrade: WebSocket", "upgrade: h2c"),
            ("keep-alive, Upgrade", "keep-alive"),
            ("centrifuge-protobuf", "centrifuge-json"),
            ("HTTP/1.1 101", "HTTP/1.0 101"),
            ("HTTP/1.1 101", "HTTP/1.1 abc"),
            ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
            ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: centrifuge-protobuf\r\n\r\n"),
        ] {
            let head = GOOD.replacen(from, to, 1);
            assert!(matches!(answer(&head), Err(Error::Protocol(_))), "{from} -> {to}");
        }
        let unasked = Response::new(KEY, None).feed(GOOD.as_bytes());
        assert!(matches!(unasked, Err(Error::Protocol(_))));
    }

    #[test]
    fn an_endless_head_is_given_up() {
        let mut response = Response::new(KEY, None);
        let mut fed = 0;
        let error = loop {
            match response.feed(&[b'x'; 1000]) {
                Ok(None) => fed += 1000,
                other => break other,
            }
        };
        assert!(matches!(error, Err(Error::Protocol(_))));
        assert!(fed <= MAX_RESPONSE && response.head.len() <= MAX_RESPONSE);
    }
}
