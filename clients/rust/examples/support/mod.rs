//! What an application's own backend would do: give tokens. Here it is the
//! development server, which gives one to whoever asks.

use sealcast_client::TokenError;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Where `sealcast serve --dev` listens.
const SERVER: &str = "127.0.0.1:8000";

/// The address for clients.
pub(crate) fn url() -> String {
    format!("ws://{}/connection/websocket", server())
}

/// A connection token of `user`.
pub(crate) async fn token(user: String) -> Result<String, TokenError> {
    let body = serde_json::json!({ "user": user }).to_string();
    let request = format!(
        "POST /dev/token HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        server(),
        body.len()
    );
    let mut stream = TcpStream::connect(server()).await.map_err(TokenError::other)?;
    stream.write_all(request.as_bytes()).await.map_err(TokenError::other)?;
    let mut response = Vec::new();
    stream.take(16 * 1024).read_to_end(&mut response).await.map_err(TokenError::other)?;
    let response = String::from_utf8_lossy(&response);
    match response.split_ascii_whitespace().nth(1) {
        Some("200") => {}
        Some("400" | "401" | "403") => return Err(TokenError::Unauthorized),
        other => return Err(TokenError::Other(format!("status {other:?}"))),
    }
    let body = response.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let body: serde_json::Value = serde_json::from_str(body).map_err(TokenError::other)?;
    let token = body.get("token").and_then(serde_json::Value::as_str);
    token.map(str::to_owned).ok_or_else(|| TokenError::other("an answer without a token"))
}

/// `SEALCAST` in the environment names another server, as host and port.
fn server() -> String {
    std::env::var("SEALCAST").unwrap_or_else(|_| SERVER.into())
}
