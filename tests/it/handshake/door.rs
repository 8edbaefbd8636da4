//! What follows an answer on the same socket.

use sealcast_wire::ws::{self, Opcode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::request::Request;
use crate::support::http::{parse, read_to_end};
use crate::support::node::TestNode;
use crate::support::{PATIENCE, token};

#[tokio::test]
async fn a_frame_in_the_packet_of_the_handshake_is_heard() {
    let node = TestNode::start().await;
    let connect = format!(r#"{{"id":1,"connect":{{"token":"{}"}}}}"#, token::of("ada"));
    for split in [None, Some(3), Some(40)] {
        let mut bytes = Request::good().bytes();
        let head = bytes.len();
        ws::put_masked_frame(&mut bytes, Opcode::Text, [9, 8, 7, 6], connect.as_bytes());
        let end = split.map_or(bytes.len(), |more| head + more);
        let mut stream = TcpStream::connect(node.public).await.unwrap();
        stream.write_all(&bytes[..end]).await.unwrap();
        let answer = read_until(&mut stream, b"\r\n\r\n").await;
        stream.write_all(&bytes[end..]).await.unwrap();
        let rest = read_until(&mut stream, b"\"connect\":").await;
        let all = [answer, rest].concat();
        assert!(all.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&all));
    }
}

/// T-31: nothing that stands behind a refused handshake is taken for a request.
#[tokio::test]
async fn a_refused_handshake_ends_the_connection() {
    let node = TestNode::start().await;
    let behind = b"GET /health/live HTTP/1.1\r\nHost: it\r\n\r\n";
    for (name, request, status) in [
        ("no key", Request::good().without("Sec-WebSocket-Key"), 400),
        ("version 777", Request::good().set("Sec-WebSocket-Version", "777"), 426),
        ("h2c", Request::good().set("Upgrade", "h2c"), 400),
        ("an origin", Request::good().add("Origin", "https://evil.example"), 403),
        ("a body", Request::good().add("Content-Length", "3").body("abc"), 400),
    ] {
        let mut stream = TcpStream::connect(node.public).await.unwrap();
        stream.write_all(&[&request.bytes(), &behind[..]].concat()).await.unwrap();
        let (bytes, waited) = read_to_end(&mut stream).await;
        let answer = parse(&bytes).unwrap();
        assert_eq!(answer.status, status, "{name}");
        let answers = String::from_utf8_lossy(&bytes).matches("HTTP/1.1 ").count();
        assert_eq!(answers, 1, "{name}: {}", String::from_utf8_lossy(&bytes));
        assert!(waited.as_secs() < 3, "{name}: closed after {waited:?}, when its timer ran out");
    }
}

async fn read_until(stream: &mut TcpStream, wanted: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !bytes.windows(wanted.len()).any(|some| some == wanted) {
        let read = timeout(PATIENCE, stream.read_buf(&mut bytes)).await;
        let text = String::from_utf8_lossy(&bytes);
        assert!(matches!(read, Ok(Ok(1..))), "{read:?} after {text}");
    }
    bytes
}
