//! Requests over HTTP/2 that open no stream: each has the status that it has over
//! HTTP/1.1, and its connection is as good as before.

use hyper::http::request::Builder;
use serde_json::json;
use tokio::time::timeout;

use super::reader::TRANSPORTS;
use super::streaming;
use super::wire::Http2;
use crate::handshake::{self, Asking};
use crate::stream::reader::connect;
use crate::support::node::ORIGIN;
use crate::support::{PATIENCE, eventually, token};

#[tokio::test]
async fn every_bad_request_has_its_status() {
    let node = streaming(json!({})).await;
    let http2 = Http2::open(&node).await;
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(65_536));
    let of = |kind, path: &str| http2.post(path).header("content-type", kind);
    let mut rows: Vec<(String, Builder, Option<&str>, u16)> = Vec::new();
    let mut row = |what: &str, path: &str, request: Builder, body, status| {
        rows.push((format!("{what} at {path}"), request, body, status));
    };
    let paths: Vec<String> = TRANSPORTS.iter().map(|name| format!("/connection/{name}")).collect();
    for path in paths.iter().map(String::as_str).chain(["/emulation"]) {
        row("another content type", path, of("text/plain", path), Some("{}"), 415);
        let packed = http2.json(path).header("content-encoding", "gzip");
        row("a packed body", path, packed, Some("{}"), 415);
        row("a large body", path, http2.json(path), Some(&large), 413);
        for method in ["PUT", "DELETE", "HEAD"] {
            row(method, path, http2.json(path).method(method), None, 405);
        }
        row("a tunnel", path, http2.websocket(path), None, 405);
    }
    for path in ["/connection/http_stream", "/connection/uni_http_stream", "/emulation"] {
        row("GET", path, http2.json(path).method("GET"), None, 405);
    }
    for path in ["/connection/sse", "/connection/uni_sse"] {
        let request = http2.json(&format!("{path}?cf_connect=%7B%7D")).method("GET");
        row("a GET with a body that was not announced", path, request, Some("{}"), 400);
        row("Protobuf", path, of("application/octet-stream", path), Some(""), 415);
    }
    for path in ["/connection/uni_sse", "/connection/uni_http_stream"] {
        row("no object", path, http2.json(path), Some("[]"), 400);
    }
    row("nothing", "/emulation", http2.json("/emulation"), Some("{}"), 404);
    row("no request", "/emulation", http2.json("/emulation"), Some("{"), 400);
    for (what, request, body, status) in rows {
        assert_eq!(http2.ask(request, body).await.status, status, "{what}");
    }
    assert_eq!(node.number("sealcast_connections"), 0.0);
    assert_eq!(node.number("sealcast_connections_waiting"), 0.0);
    // An empty body that was not announced is none.
    let request = http2.json("/connection/uni_sse").method("GET");
    let mut stream = http2.stream(request, Some("")).await;
    assert_eq!(stream.next("uni_sse").await["disconnect"]["code"], 3501);
    stream.ended().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_whole_opens_nothing() {
    let node = streaming(json!({ "limits": { "body_timeout": "300ms" } })).await;
    let http2 = Http2::open(&node).await;
    let connect = connect(&token::of("ada"));
    for path in ["/connection/http_stream", "/connection/sse", "/emulation"] {
        // Of which the rest never comes.
        let (answer, mut said) = http2.begin(http2.json(path)).await;
        said.send_data(connect[..9].to_owned().into(), false).unwrap();
        let answer = timeout(PATIENCE, answer).await.expect("it hangs").unwrap();
        assert_eq!(answer.status(), 408, "{path}");
        // That is taken back, and one that is shorter than it was said to be.
        let (answer, mut said) = http2.begin(http2.json(path)).await;
        said.send_data(connect[..9].to_owned().into(), false).unwrap();
        said.send_reset(h2::Reason::CANCEL);
        assert!(timeout(PATIENCE, answer).await.expect("it hangs").is_err(), "{path}");
        let announced = http2.json(path).header("content-length", connect.len());
        let (answer, mut said) = http2.begin(announced).await;
        said.send_data(connect[..9].to_owned().into(), true).unwrap();
        let answer = timeout(PATIENCE, answer).await.expect("it hangs");
        let refused = answer.expect_err("a malformed request");
        assert_eq!(refused.reason(), Some(h2::Reason::PROTOCOL_ERROR), "{path}");
    }
    assert_eq!(node.number("sealcast_connections"), 0.0);
    eventually("nobody waits", || node.number("sealcast_connections_waiting") == 0.0).await;
    assert_eq!(http2.get("/health").await.status, 200);
}

/// T-01 and T-50 over HTTP/2: the same rows as for a WebSocket.
#[tokio::test]
async fn the_origin_decides() {
    let node = streaming(json!({})).await;
    let http2 = Http2::open(&node).await;
    let paths: Vec<String> = TRANSPORTS.iter().map(|name| format!("/connection/{name}")).collect();
    for path in paths.iter().map(String::as_str).chain(["/emulation", "/connection/ticket"]) {
        for Asking { name, headers, granted } in handshake::origins() {
            let mut request = http2.json(path);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let status = http2.ask(request, Some("[]")).await.status;
            assert_eq!(status != 403, granted, "{path}: {name}: {status}");
        }
        let preflight = |origin: &str| {
            let request = http2.json(path).method("OPTIONS").header("origin", origin);
            request.header("access-control-request-method", "POST")
        };
        assert_eq!(http2.ask(preflight(ORIGIN), None).await.status, 204, "{path}");
        assert_eq!(http2.ask(preflight("https://evil.example"), None).await.status, 403, "{path}");
    }
    for (origin, told) in [(Some(ORIGIN), Some(ORIGIN)), (None, None)] {
        let request = http2.json("/connection/http_stream");
        let request =
            origin.into_iter().fold(request, |request, origin| request.header("origin", origin));
        let stream = http2.stream(request, Some(&connect(&token::of("ada")))).await;
        let header = stream.head.headers().get("access-control-allow-origin");
        assert_eq!(header.map(|value| value.to_str().unwrap()), told);
    }
}

/// S4-50: those over HTTP/2 share the places of all streams, and of their address.
#[tokio::test]
async fn one_stream_too_many_is_refused() {
    for limits in [json!({ "sse_connections": 2 }), json!({ "ip_connections": 2 })] {
        let node = streaming(json!({ "limits": limits })).await;
        let http2 = Http2::open(&node).await;
        let first = http2.subscribed("uni_sse", "ada", "room").await;
        let _second = http2.subscribed("http_stream", "bob", "room").await;
        let request = http2.json("/connection/uni_http_stream");
        let answer = http2.ask(request, Some("{}")).await;
        assert_eq!((answer.status, answer.retry_after.is_some()), (503, true), "{answer:?}");
        first.cancel();
        eventually("a place is free", || node.number("sealcast_connections") == 1.0).await;
        http2.subscribed("uni_sse", "eve", "room").await;
    }
}

#[tokio::test]
async fn a_connection_has_so_many_streams_and_no_more() {
    let node = streaming(json!({})).await;
    let http2 = Http2::open(&node).await;
    let mut open = Vec::new();
    for n in 0..100 {
        open.push(http2.subscribed("uni_sse", &format!("user{n}"), "room").await);
    }
    // What is said, too, has to come by another.
    let waits = http2.ask(http2.json("/emulation"), Some("{}"));
    assert!(timeout(std::time::Duration::from_millis(100), waits).await.is_err());
    let another = Http2::open(&node).await;
    let said = json!({ "channel": "room", "data": 1 });
    assert_eq!(another.get("/health").await.status, 200);
    assert_eq!(node.api("publish", &said).await.status, 200);
    for stream in &mut open {
        assert_eq!(stream.next("uni_sse").await["pub"]["data"], 1);
    }
    open.swap_remove(50).cancel();
    assert_eq!(http2.ask(http2.json("/emulation"), Some("{}")).await.status, 404);
}
