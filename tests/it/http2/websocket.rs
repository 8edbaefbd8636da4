//! WebSockets over HTTP/2: their handshake, and that they are like any others.

use sealcast_wire::Encoding;
use sealcast_wire::ws::{self, Opcode};
use serde_json::json;

use super::node;
use super::wire::{Heard, Http2};
use crate::support::client::client;
use crate::support::node::ORIGIN;
use crate::support::{eventually, token};

#[tokio::test]
async fn many_share_a_connection_with_requests_and_each_is_like_any_other() {
    let node = node(json!({})).await;
    let http2 = Http2::open(&node).await;
    assert!(http2.takes_websockets());
    let mut ada = http2.connected("ada").await;
    let mut bob = http2.connected("bob").await;
    for socket in [&mut ada, &mut bob] {
        let subscribe = json!({ "id": 2, "subscribe": { "channel": "room" } });
        assert_eq!(socket.ask(&subscribe).await["id"], 2);
    }
    assert_eq!(node.number("sealcast_connections{transport=\"websocket\"}"), 2.0);
    assert_eq!(http2.get("/health").await.status, 200);
    // What others say reaches them in order, and whole where it takes several frames.
    let publisher = client(&node, "eve", Encoding::Json).await;
    let filler = "x".repeat(20_000);
    for n in 0..50 {
        let data = json!({ "n": n, "filler": filler }).to_string();
        publisher.publish("room", data.as_bytes()).await.unwrap();
    }
    for socket in [&mut ada, &mut bob] {
        for n in 0..50 {
            let push = socket.hear_json().await;
            assert_eq!(push["push"]["pub"]["data"]["n"], n);
            assert_eq!(push["push"]["pub"]["data"]["filler"], filler);
        }
    }
    // And what one of them says.
    let publish = json!({ "id": 3, "publish": { "channel": "room", "data": "hello" } });
    let said = [ada.ask(&publish).await, ada.hear_json().await];
    assert!(said.iter().any(|reply| reply["publish"].is_object()), "{said:?}");
    assert_eq!(bob.hear_json().await["push"]["pub"]["data"], "hello");
    // One that goes takes nothing along.
    drop(ada);
    eventually("gone", || node.number("sealcast_connections{transport=\"websocket\"}") == 2.0)
        .await;
    bob.say(Opcode::Ping, b"still there?").await;
    assert_eq!(bob.hear().await, Heard::Pong(b"still there?".to_vec()));
}

#[tokio::test]
async fn the_handshake_chooses_what_it_chooses_over_http1() {
    let node = node(json!({ "uni_websocket": { "enabled": true } })).await;
    let http2 = Http2::open(&node).await;
    let offering = |list: &str| {
        http2.websocket("/connection/websocket").header("sec-websocket-protocol", list)
    };
    let (_, head) = http2.granted(offering("other, centrifuge-json")).await;
    assert_eq!(head.headers()["sec-websocket-protocol"], "centrifuge-json");
    assert!(!head.headers().contains_key("sec-websocket-accept"));
    assert!(!head.headers().contains_key("connection"));
    let (mut protobuf, head) = http2.granted(offering("centrifuge-protobuf")).await;
    assert_eq!(head.headers()["sec-websocket-protocol"], "centrifuge-protobuf");
    let mut command = Vec::new();
    let connect = sealcast_wire::command::Connect {
        token: sealcast_wire::command::Token(token::of("ada").into()),
        ..Default::default()
    };
    let connect = sealcast_wire::Request::Connect(Box::new(connect));
    let connect = sealcast_wire::Command { id: 1, request: connect };
    Encoding::Protobuf.put_command(&mut command, &connect);
    protobuf.say(Opcode::Binary, &command).await;
    assert!(matches!(protobuf.hear().await, Heard::Binary(_)));
    // A client that only listens.
    let bearer = json!({ "token": token::of("ada"), "subs": {} }).to_string();
    let listening = http2.websocket("/connection/uni_websocket");
    let (mut listener, _) = http2.granted(listening).await;
    listener.say(Opcode::Text, bearer.as_bytes()).await;
    assert!(listener.hear_json().await["connect"].is_object());
}

/// RFC 8441, 5, and the order in which the node looks.
#[tokio::test]
async fn each_handshake_has_its_answer() {
    let node = node(json!({})).await;
    let http2 = Http2::open(&node).await;
    let good = || http2.websocket("/connection/websocket");
    let tunnel = |protocol| {
        http2.tunnel("/connection/websocket", protocol).header("sec-websocket-version", "13")
    };
    let rows = [
        ("another protocol", tunnel("connect-udp"), 501),
        ("webtransport", tunnel("webtransport"), 501),
        ("no version", http2.tunnel("/connection/websocket", "websocket"), 426),
        ("two versions", good().header("sec-websocket-version", "13"), 426),
        ("version 8", good().header("sec-websocket-version", "8"), 426),
        ("an unknown sub-protocol", good().header("sec-websocket-protocol", "graphql-ws"), 400),
        ("an evil page", good().header("origin", "https://evil.example"), 403),
        (
            "an evil page that wants another protocol",
            { tunnel("connect-udp").header("origin", "https://evil.example") },
            403,
        ),
        ("another path", http2.websocket("/connection/other"), 405),
        ("health", http2.websocket("/health"), 405),
        ("what is not enabled", http2.websocket("/connection/uni_websocket"), 404),
        ("a stream", http2.websocket("/connection/sse"), 405),
        ("the server API", http2.websocket("/api/info"), 405),
    ];
    for (name, request, status) in rows {
        let answer = http2.ask(request, None).await;
        assert_eq!(answer.status, status, "{name}: {answer:?}");
    }
    // Without CONNECT there is none, and a request that looks like one of HTTP/1.1 is none.
    assert_eq!(http2.get("/connection/websocket").await.status, 400);
    let old = hyper::Request::builder()
        .uri(format!("http://{}/connection/websocket", node.public))
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(http2.ask(old, None).await.status, 400);
    let many = (0..65).fold(good(), |request, n| request.header(format!("x-{n}"), "x"));
    assert_eq!(http2.ask(many, None).await.status, 431);
    assert_eq!(node.number("sealcast_connections"), 0.0);
    // The connection is as good as before.
    http2.connected("ada").await;
}

/// T-01 over HTTP/2: the same rows as over HTTP/1.1.
#[tokio::test]
async fn the_origin_decides_before_anything_else() {
    let node = node(json!({})).await;
    let http2 = Http2::open(&node).await;
    let rows = crate::handshake::origins();
    assert!(rows.iter().filter(|(.., granted)| !granted).count() >= 25);
    for (name, headers, granted) in rows {
        let mut request = http2.websocket("/connection/websocket");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if granted {
            http2.granted(request).await;
        } else {
            let answer = http2.ask(request, None).await;
            assert_eq!(answer.status, 403, "{name}: {answer:?}");
        }
    }
    let request = http2.websocket("/connection/websocket").header("origin", ORIGIN);
    http2.granted(request).await;
}

#[tokio::test]
async fn connections_end_with_their_codes_and_the_streams_in_order() {
    let node = node(json!({})).await;
    let http2 = Http2::open(&node).await;
    let refused = json!({ "id": 1, "connect": { "token": "no.token.this" } }).to_string();
    let large = vec![b' '; 70_000];
    let mut unmasked = Vec::new();
    ws::put_frame(&mut unmasked, Opcode::Text, b"{}");
    let mut masked = Vec::new();
    ws::put_masked_frame(&mut masked, Opcode::Text, [1, 2, 3, 4], &large);
    // Of a frame that is only announced nothing more need come.
    masked.truncate(100);
    let mut text = Vec::new();
    ws::put_masked_frame(&mut text, Opcode::Text, [1, 2, 3, 4], b"\xff\xff");
    let mut bad_token = Vec::new();
    ws::put_masked_frame(&mut bad_token, Opcode::Text, [1, 2, 3, 4], refused.as_bytes());
    for (what, bytes, code) in [
        ("a bad token", bad_token, 3500),
        ("a large frame", masked, 1009),
        ("no mask", unmasked, 1002),
        ("no UTF-8", text, 1007),
    ] {
        let mut socket = http2.open_websocket().await;
        socket.say_bytes(bytes).await;
        assert_eq!(socket.closed().await, Some(code), "{what}");
    }
    // The client's own close is answered, and its end without one is an end.
    let mut socket = http2.connected("ada").await;
    let mut body = Vec::new();
    ws::put_close_body(&mut body, 1000, "");
    socket.say(Opcode::Close, &body).await;
    assert_eq!(socket.closed().await, Some(1000));
    let mut socket = http2.connected("ada").await;
    socket.end();
    assert_eq!(socket.hear().await, Heard::End);
    // A backend's word, and the node's leave.
    let mut socket = http2.connected("bob").await;
    let disconnect = json!({ "user": "bob", "disconnect": { "code": 4321, "reason": "so" } });
    assert_eq!(node.api("disconnect", &disconnect).await.status, 200);
    assert_eq!(socket.closed().await, Some(4321));
    eventually("all gone", || node.number("sealcast_connections") == 0.0).await;
    assert_eq!(node.number("sealcast_sockets"), 1.0, "they shared one");
}

#[tokio::test]
async fn a_node_that_leaves_sends_them_away_and_ends_the_connection() {
    let mut node = node(json!({ "shutdown": { "lb_wait": "0s", "spread": "0s" } })).await;
    let http2 = Http2::open(&node).await;
    let mut socket = http2.connected("ada").await;
    let node = node.node.take().unwrap();
    let leaving = tokio::spawn(node.drain());
    assert_eq!(socket.closed().await, Some(3001));
    drop(socket);
    assert!(http2.ended.await.unwrap(), "the connection ends in order");
    leaving.await.unwrap();
}
