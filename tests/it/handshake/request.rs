//! A handshake under construction.

/// The key of RFC 6455's example.
pub(super) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

#[derive(Clone)]
pub(super) struct Request {
    line: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    /// A handshake that is granted: of a program, so without an Origin.
    pub(super) fn good() -> Request {
        let headers = [
            ("Host", "it"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", KEY),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        Request {
            line: "GET /connection/websocket HTTP/1.1".into(),
            headers: headers.to_vec(),
            body: Vec::new(),
        }
    }

    pub(super) fn to(path: &str) -> Request {
        Request::good().line(&format!("GET {path} HTTP/1.1"))
    }

    pub(super) fn line(mut self, line: &str) -> Request {
        self.line = line.into();
        self
    }

    /// Changes the first header of this name.
    pub(super) fn set(mut self, name: &str, value: &str) -> Request {
        let header = self.headers.iter_mut().find(|(known, _)| known == name);
        header.expect("a header of the good handshake").1 = value.into();
        self
    }

    pub(super) fn add(self, name: &str, value: &str) -> Request {
        self.add_bytes(name, value.as_bytes())
    }

    pub(super) fn add_bytes(mut self, name: &str, value: &[u8]) -> Request {
        self.headers.push((name.into(), value.to_vec()));
        self
    }

    pub(super) fn without(mut self, name: &str) -> Request {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    pub(super) fn body(mut self, body: &str) -> Request {
        self.body = body.into();
        self
    }

    /// Adds headers until there are so many.
    pub(super) fn headers(mut self, count: usize) -> Request {
        while self.headers.len() < count {
            let name = format!("X-{}", self.headers.len());
            self = self.add(&name, "x");
        }
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{}\r\n", self.line).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}
