//! Calls of the server API.

use std::net::SocketAddr;

use serde_json::Value;

use super::http::{Answer, ask};
use super::node::{API_KEY, TestNode};

impl TestNode {
    /// Calls a method with the right key.
    pub(crate) async fn api(&self, method: &str, body: &Value) -> Answer {
        call(self.public, method, &[("X-API-Key", API_KEY)], body.to_string().as_bytes()).await
    }
}

/// Calls a method with these headers and this body.
pub(crate) async fn call(
    address: SocketAddr,
    method: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut request = format!(
        "POST /api/{method} HTTP/1.1\r\nHost: it\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    ask(address, [request.as_bytes(), body].concat()).await
}
