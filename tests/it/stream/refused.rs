//! Requests that open no stream and reach no session: each has its status, and
//! nothing hangs.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::node;
use super::reader::{Emulated, Stream, connect, get, post};
use crate::support::http::{Answer, ask, read, read_to_end};
use crate::support::node::{API_KEY, TestNode};
use crate::support::{eventually, token};

fn with(head: &str, body: &str) -> String {
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Every row: what it is, the request, and the statuses by path of those that
/// differ from the first.
#[tokio::test]
async fn every_bad_request_has_its_status() {
    let node = node(json!({})).await;
    let post_of = |path: &str, kind: &str, more: &str, body: &str| {
        with(&format!("POST {path} HTTP/1.1\r\nHost: it\r\nContent-Type: {kind}\r\n{more}"), body)
    };
    let streams = [
        "/connection/sse",
        "/connection/http_stream",
        "/connection/uni_sse",
        "/connection/uni_http_stream",
    ];
    let json = "application/json";
    let mut rows: Vec<(String, String, u16)> = Vec::new();
    let mut row = |what: &str, path: &str, request: String, status: u16| {
        rows.push((format!("{what} at {path}"), request, status));
    };
    for path in streams.into_iter().chain(["/emulation"]) {
        for kind in ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"] {
            row("another content type", path, post_of(path, kind, "", "{}"), 415);
        }
        for packed in ["gzip", "deflate", "br", "identity"] {
            let header = format!("Content-Encoding: {packed}\r\n");
            row("a packed body", path, post_of(path, json, &header, "{}"), 415);
        }
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(65_536));
        row("a large body", path, post_of(path, json, "", &large), 413);
        let claimed = format!(
            "POST {path} HTTP/1.1\r\nHost: it\r\nContent-Type: {json}\r\nContent-Length: 9999999\r\n\r\n"
        );
        row("a large body that is only announced", path, claimed, 413);
        let chunks = format!(
            "POST {path} HTTP/1.1\r\nHost: it\r\nContent-Type: {json}\r\n\
             Transfer-Encoding: chunked\r\n\r\n11170\r\n{}\r\n0\r\n\r\n",
            " ".repeat(0x11170)
        );
        row("a large body in chunks", path, chunks, 413);
        for method in ["PUT", "DELETE", "PATCH", "HEAD", "TRACE"] {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: it\r\n\r\n");
            row(method, path, request, 405);
        }
        if path != "/emulation" {
            let old = post_of(path, json, "", "{}").replace("HTTP/1.1", "HTTP/1.0");
            row("HTTP/1.0", path, old, 505);
        }
    }
    for path in ["/connection/http_stream", "/connection/uni_http_stream", "/emulation"] {
        row("GET", path, format!("GET {path} HTTP/1.1\r\nHost: it\r\n\r\n"), 405);
    }
    for path in ["/connection/sse", "/connection/uni_sse"] {
        let body = format!("GET {path}?cf_connect={{}} HTTP/1.1\r\nHost: it\r\n");
        row("a GET with a body", path, with(&body, "{}"), 400);
        let twice =
            format!("GET {path}?cf_connect={{}}&cf_connect={{}} HTTP/1.1\r\nHost: it\r\n\r\n");
        row("two connects", path, twice, 400);
        let protobuf = post_of(path, "application/octet-stream", "", "{}");
        row("Protobuf", path, protobuf, 415);
    }
    row(
        "no connect",
        "/connection/sse",
        get("/connection/sse", "", "").replace("cf_connect", "c"),
        400,
    );
    for bad in ["", "[]", "{", "1", "{} {}", "{\"token\":1}", "\u{1}", "{\"subs\":[]}"] {
        for path in ["/connection/uni_sse", "/connection/uni_http_stream"] {
            row(&format!("{bad:?}"), path, post(path, "", bad), 400);
        }
        if !bad.is_empty() {
            row(
                &format!("{bad:?}"),
                "/connection/uni_sse",
                get("/connection/uni_sse", "", bad),
                400,
            );
        }
    }
    for bad in [
        "",
        "null",
        "[]",
        "{",
        "{} {}",
        r#"{"session":1}"#,
        r#"{"session":"s","node":"n","data":{}}"#,
    ] {
        row(&format!("{bad:?}"), "/emulation", post("/emulation", "", bad), 400);
    }
    row("nothing", "/emulation", post("/emulation", "", "{}"), 404);
    for (what, request, status) in rows {
        let answer = ask(node.public, request).await;
        assert_eq!(answer.status, status, "{what}: {answer:?}");
    }
    assert_eq!(node.number("sealcast_connections"), 0.0);
    assert_eq!(node.number("sealcast_connections_waiting"), 0.0);
}

#[tokio::test]
async fn a_body_that_does_not_come_whole_is_waited_for_as_long_as_it_is_said() {
    let node = node(json!({ "limits": { "body_timeout": "1s" } })).await;
    let key = format!("X-API-Key: {API_KEY}\r\n");
    let asking = [
        "/connection/sse",
        "/connection/http_stream",
        "/connection/uni_sse",
        "/connection/ticket",
        "/emulation",
        "/api/publish",
    ]
    .map(|path| {
        let late = post(path, &key, "{").replace("Content-Length: 1", "Content-Length: 9");
        tokio::spawn(ask(node.public, late))
    });
    for answer in asking {
        assert_eq!(answer.await.expect("answered").status, 408);
    }
}

/// R-11.
#[tokio::test]
async fn a_token_in_the_url_is_refused_unless_it_is_asked_for() {
    let strict = node(json!({})).await;
    let token = token::of("ada");
    let alone = json!({ "token": token }).to_string();
    for (path, request) in [
        ("/connection/sse", connect(&token)),
        ("/connection/sse", format!("{{\"id\":2,\"refresh\":{{\"token\":\"{token}\"}}}}")),
        ("/connection/uni_sse", alone.clone()),
    ] {
        let answer = ask(strict.public, get(path, "", &request)).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text().contains("compat.sse_token_in_url"), "{answer:?}");
        assert!(!answer.text().contains(&token));
    }
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let request = get("/connection/uni_websocket", upgrade, &alone);
    assert_eq!(ask(strict.public, request).await.status, 400);
    // Those who can send a header or a body need no URL.
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let empty = r#"{"id":1,"connect":{}}"#;
    for request in [
        get("/connection/sse", &bearer, empty),
        post("/connection/sse", &bearer, empty),
        post("/connection/sse", "", &connect(&token)),
    ] {
        let mut stream = Stream::opened(&strict, &request).await;
        assert!(stream.event().await["connect"].is_object());
    }
    let lenient = node(json!({ "compat": { "sse_token_in_url": true } })).await;
    let mut stream = Stream::opened(&lenient, &get("/connection/uni_sse", "", &alone)).await;
    assert!(stream.event().await["connect"].is_object());
}

#[tokio::test]
async fn what_is_not_enabled_is_not_there() {
    let node = TestNode::start().await;
    for path in ["sse", "http_stream", "uni_sse", "uni_http_stream"]
        .map(|name| format!("/connection/{name}"))
    {
        assert_eq!(ask(node.public, post(&path, "", "{}")).await.status, 404, "{path}");
        let options = format!("OPTIONS {path} HTTP/1.1\r\nHost: it\r\n\r\n");
        assert_eq!(ask(node.public, options).await.status, 404, "{path}");
    }
    assert_eq!(node.get("/connection/uni_websocket").await.status, 404);
    assert_eq!(ask(node.public, post("/emulation", "", "{}")).await.status, 404);
}

/// Of a length that was told, or in chunks. Whoever still listens is answered, and the
/// connection ends, because nobody knows where another request would begin.
#[tokio::test]
async fn a_body_that_is_cut_off_does_nothing_and_is_answered() {
    let node = node(json!({ "client": { "allow_anonymous_connect_without_token": true } })).await;
    let publish = json!({ "channel": "room", "data": 1 }).to_string();
    let batch = json!({ "commands": [{ "publish": { "channel": "room", "data": 1 } }] });
    for (path, body) in [
        ("/connection/sse", connect(&token::of("ada"))),
        ("/connection/http_stream", connect(&token::of("ada"))),
        ("/connection/uni_sse", "{}".to_owned()),
        ("/connection/uni_http_stream", "{}".to_owned()),
        ("/connection/ticket", r#"{"transport":"sse"}"#.to_owned()),
        ("/emulation", r#"{"session":"s","node":"n","data":"{}"}"#.to_owned()),
        ("/api/publish", publish.clone()),
        ("/api/batch", batch.to_string()),
    ] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: it\r\nContent-Type: application/json\r\n\
             X-API-Key: {API_KEY}\r\n"
        );
        for cut in [
            format!("{head}Content-Length: {}\r\n\r\n{body}", body.len() + 1),
            format!("{head}Content-Length: {}\r\n\r\n", body.len()),
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n", body.len()),
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}", body.len() + 1),
        ] {
            let mut socket = TcpStream::connect(node.public).await.unwrap();
            socket.write_all(cut.as_bytes()).await.unwrap();
            socket.shutdown().await.unwrap();
            let (answer, _) = read_to_end(&mut socket).await;
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with("HTTP/1.1 400 "), "{cut}: {answer}");
        }
    }
    eventually("gone", || node.number("sealcast_sockets") == 0.0).await;
    assert_eq!(node.number("sealcast_connections"), 0.0);
    assert_eq!(node.number("sealcast_connections_waiting"), 0.0);
    let history = node.api("history", &json!({ "channel": "room", "limit": 1 })).await.json();
    assert_eq!(history["result"]["offset"].as_u64().unwrap_or(0), 0, "{history}");
}

#[tokio::test]
async fn what_is_no_connect_command_ends_the_stream_with_its_code() {
    let node = node(json!({})).await;
    let two = format!("{}\n{}", connect(&token::of("ada")), connect(&token::of("ada")));
    for (first, code) in [
        ("x", 3501),
        ("", 3501),
        ("{}", 3501),
        (r#"{"id":1,"publish":{"channel":"a","data":1}}"#, 3501),
        (&connect("no.token.this"), 3500),
        (&two, 3501),
    ] {
        let request = post("/connection/http_stream", "", first);
        let mut stream = Stream::opened(&node, &request).await;
        let mut said = stream.json().await;
        if said["connect"].is_object() {
            said = stream.json().await;
        }
        assert_eq!(said["push"]["disconnect"]["code"], code, "{first}");
        stream.ended().await;
    }
    // An error leaves the stream, for a while, to the client.
    let request = post("/connection/http_stream", "", &connect(&token::expiring("ada", -100)));
    let mut stream = Stream::opened(&node, &request).await;
    assert_eq!(stream.json().await["error"]["code"], 109);
}

#[tokio::test]
async fn sessions_do_not_mix_and_end_with_their_streams() {
    let node = node(json!({})).await;
    let open = async || {
        let request = post("/connection/http_stream", "", &connect(&token::of("ada")));
        let mut stream = Stream::opened(&node, &request).await;
        let session = Emulated::of(&stream.json().await);
        (stream, session)
    };
    let ((mut one, first), (mut two, second)) = (open().await, open().await);
    assert_ne!(first.session, second.session);
    assert_eq!(first.say(&node, "", r#"{"id":5,"unsubscribe":{"channel":"a"}}"#).await, 204);
    assert_eq!(second.say(&node, "", r#"{"id":6,"unsubscribe":{"channel":"a"}}"#).await, 204);
    assert_eq!(
        (one.json().await["id"].as_u64(), two.json().await["id"].as_u64()),
        (Some(5), Some(6))
    );
    // Another connect, and so another stream for the session, is not to be had.
    assert_eq!(first.say(&node, "", &connect(&token::of("ada"))).await, 204);
    assert_eq!(one.json().await["push"]["disconnect"]["code"], 3501);
    one.ended().await;
    assert_eq!(first.say(&node, "", "{}").await, 404, "behind its end");
    drop(two);
    eventually("gone", || node.number("sealcast_connections") == 0.0).await;
    assert_eq!(second.say(&node, "", "{}").await, 404, "behind its client's end");
}

#[tokio::test]
async fn what_comes_behind_the_request_ends_the_stream() {
    let node = node(json!({})).await;
    let request = post("/connection/http_stream", "", &connect(&token::of("ada")));
    // A line end is let pass.
    let mut stream = Stream::opened(&node, &format!("{request}\r\n")).await;
    assert!(stream.json().await["connect"].is_object());
    let another = format!("{request}GET /health HTTP/1.1\r\nHost: it\r\n\r\n");
    let mut stream = Stream::opened(&node, &another).await;
    let mut said: Value = stream.json().await;
    if said["connect"].is_object() {
        said = stream.json().await;
    }
    assert_eq!(said["push"]["disconnect"]["code"], 3501, "{said}");
    stream.ended().await;
}

/// A request before it on the same socket is answered first, and in full.
#[tokio::test]
async fn a_stream_may_come_second_on_its_socket() {
    let node = node(json!({})).await;
    let health = "GET /health HTTP/1.1\r\nHost: it\r\n\r\n";
    let mut socket = TcpStream::connect(node.public).await.unwrap();
    socket.write_all(health.as_bytes()).await.unwrap();
    let Answer { status, .. } = read(&mut socket).await;
    assert_eq!(status, 200);
    let request = post("/connection/http_stream", "", &connect(&token::of("ada")));
    let mut stream = Stream::over(socket, &request).await;
    assert!(stream.json().await["connect"].is_object());
    // Also if they come together.
    let both = format!("{health}{request}");
    let address: SocketAddr = node.public;
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(both.as_bytes()).await.unwrap();
    let mut stream = Stream::over(socket, "").await;
    assert_eq!(stream.head.status, 200);
    let answered = stream.head.header("content-length").expect("the first answer").to_owned();
    assert_eq!(answered, "3");
    stream.skip(b"{}\n").await;
    stream.next_head().await;
    assert_eq!(stream.head.header("transfer-encoding"), Some("chunked"));
    assert!(stream.json().await["connect"].is_object());
}
