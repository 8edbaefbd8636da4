//! Requests that do not come to an end.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::support::PATIENCE;
use crate::support::http::{parse, read_to_end};
use crate::support::node::{API_KEY, TestNode};

async fn node() -> TestNode {
    TestNode::with(json!({ "limits": { "header_timeout": "400ms" } })).await
}

#[tokio::test]
async fn an_unfinished_header_is_not_waited_for() {
    let node = node().await;
    for begun in ["", "G", "GET /connection/websocket HTTP/1.1\r\nHost: it\r\nUpg"] {
        let mut stream = TcpStream::connect(node.public).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let (bytes, waited) = read_to_end(&mut stream).await;
        let status = parse(&bytes).map_or(0, |answer| answer.status);
        assert!(matches!(status, 0 | 400 | 408), "{begun:?}: {status}");
        assert!(waited < Duration::from_secs(3), "{begun:?}: {waited:?}");
    }
}

#[tokio::test]
async fn a_trickle_of_header_bytes_does_not_help() {
    let node = node().await;
    let mut stream = TcpStream::connect(node.public).await.unwrap();
    let began = Instant::now();
    let mut header = b"GET /health HTTP/1.1\r\nHost: it\r\nX: ".to_vec();
    header.extend([b'x'; 1_000]);
    let mut sent = 0;
    for byte in header {
        if stream.write_all(&[byte]).await.is_err() {
            break;
        }
        sent += 1;
        sleep(Duration::from_millis(20)).await;
    }
    assert!(sent < 500, "{sent} bytes in {:?}", began.elapsed());
}

#[tokio::test]
async fn an_idle_connection_between_requests_ends_too() {
    let node = node().await;
    let mut stream = TcpStream::connect(node.public).await.unwrap();
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: it\r\n\r\n").await.unwrap();
    let (bytes, waited) = read_to_end(&mut stream).await;
    assert_eq!(parse(&bytes).unwrap().status, 200);
    assert!(waited < Duration::from_secs(3), "{waited:?}");
}

/// A body may take ten seconds.
#[tokio::test]
async fn a_trickle_of_body_bytes_is_answered_with_408() {
    let node = TestNode::start().await;
    let mut stream = TcpStream::connect(node.public).await.unwrap();
    let head = format!(
        "POST /api/publish HTTP/1.1\r\nHost: it\r\nX-API-Key: {API_KEY}\r\nContent-Length: 1000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let trickle = tokio::spawn(async move {
        while writing.write_all(b" ").await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
    });
    let mut bytes = Vec::new();
    let read = async {
        while parse(&bytes).is_none() {
            assert!(tokio::io::AsyncReadExt::read_buf(&mut reading, &mut bytes).await.unwrap() > 0);
        }
    };
    timeout(PATIENCE + Duration::from_secs(5), read).await.expect("an answer after ten seconds");
    assert_eq!(parse(&bytes).unwrap().status, 408);
    trickle.abort();
}
