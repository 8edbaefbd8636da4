//! HTTP/1.1 as bytes: requests as a test writes them, answers as they come.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{PATIENCE, evidence};

/// An answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// 0 if the connection was closed without an answer.
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: status {}, {:?}", self.status, self.text()))
    }
}

/// Sends `request` over a new connection and reads the answer: its head, and as
/// much body as `Content-Length` says.
pub(crate) async fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    evidence::requested(request.as_ref());
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that has refused already may have closed.
    let _ = stream.write_all(request.as_ref()).await;
    if request.as_ref().starts_with(b"HEAD ") {
        return head(&mut stream).await;
    }
    read(&mut stream).await
}

/// The answer to HEAD, whose length is that of a body which does not come.
async fn head(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") && read_more(stream, &mut bytes).await > 0 {}
    let status = bytes.get(9..12).and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
    Answer { status: status.unwrap_or(0), ..Answer::default() }
}

/// Reads one answer.
pub(crate) async fn read(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    loop {
        if let Some(answer) = parse(&bytes) {
            evidence::answered(&answer);
            return answer;
        }
        if read_more(stream, &mut bytes).await == 0 {
            return Answer::default();
        }
    }
}

/// Reads until the server closes; gives what it sent before, and how long it took.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> (Vec<u8>, Duration) {
    let began = tokio::time::Instant::now();
    let mut bytes = Vec::new();
    while read_more(stream, &mut bytes).await > 0 {}
    (bytes, began.elapsed())
}

/// 0 at the end, also if the connection was reset.
async fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> usize {
    match timeout(PATIENCE, stream.read_buf(bytes)).await {
        Ok(read) => read.unwrap_or(0),
        Err(_) => panic!("nothing comes; so far {:?}", String::from_utf8_lossy(bytes)),
    }
}

/// A whole answer, if the bytes are one.
pub(crate) fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut answer = Answer { status, headers, body: Vec::new() };
    let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
    answer.body = bytes.get(end + 4..end + 4 + length)?.to_vec();
    Some(answer)
}
