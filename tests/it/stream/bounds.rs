//! What streams may take: places of their own, and what waits for a reader that does
//! not read.

use serde_json::{Value, json};
use tokio::net::TcpSocket;

use super::node;
use super::reader::{Emulated, Stream, connect, get, post};
use crate::support::client::Wire;
use crate::support::http::ask;
use crate::support::node::TestNode;
use crate::support::{eventually, token};

/// The node's bound for each client, bytes.
const QUEUE: usize = 128 << 10;

fn held(node: &TestNode) -> usize {
    node.node.as_ref().expect("runs").app().policy.relay.hub().budget().held()
}

/// S4-50: one too many is told when to come back, whatever kind of stream it is;
/// WebSockets have places of their own.
#[tokio::test]
async fn one_stream_too_many_is_refused_and_websockets_are_not() {
    let node = node(json!({
        "limits": { "sse_connections": 2 },
        "client": { "connection_limit": 1, "allow_anonymous_connect_without_token": true },
    }))
    .await;
    assert_eq!(node.number("sealcast_connection_limit{transport=\"sse\"}"), 2.0);
    let emulated = post("/connection/http_stream", "", &connect(&token::of("ada")));
    let listening = get("/connection/uni_sse", "", "{}");
    let mut first = Stream::opened(&node, &emulated).await;
    assert!(first.json().await["connect"].is_object());
    let mut second = Stream::opened(&node, &listening).await;
    assert!(second.event().await["connect"].is_object());
    for request in [&emulated, &listening] {
        let answer = ask(node.public, request).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        let retry: u32 = answer.header("retry-after").expect("Retry-After").parse().unwrap();
        assert!((5..=10).contains(&retry), "{retry}");
    }
    let limited = "sealcast_connect_attempts_total{transport=\"uni_sse\",result=\"limited\"}";
    assert_eq!(node.number(limited), 1.0);
    let mut wire = Wire::connected(&node, "bob").await;
    wire.is_quiet().await;
    drop(first);
    let told = "sealcast_connections{transport=\"http_stream\"}";
    eventually("gone", || node.number(told) == 0.0).await;
    let mut again = Stream::opened(&node, &emulated).await;
    assert!(again.json().await["connect"].is_object());
}

/// A stream is written to like a WebSocket, so one that stalls ends like one, and
/// what it gets before is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stalls_is_ended_as_slow_between_two_messages() {
    let node = node(json!({ "client": { "queue_max_size": QUEUE } })).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let socket = socket.connect(node.public).await.unwrap();
    let request = post("/connection/sse", "", &connect(&token::of("ada")));
    let mut stream = Stream::over(socket, &request).await;
    let session = Emulated::of(&stream.event().await);
    let subscribe = r#"{"id":2,"subscribe":{"channel":"room"}}"#;
    assert_eq!(session.say(&node, "", subscribe).await, 204);
    assert_eq!(stream.event().await["id"], 2);
    let filler = "x".repeat(1_000);
    let (mut published, mut most) = (0, 0);
    // Its queue is thrown away at the moment at which it is ended.
    while held(&node) > most / 2 || most < QUEUE / 2 {
        assert!(published < 8_000, "it was never ended");
        most = most.max(held(&node));
        let body = json!({ "channel": "room", "data": { "n": published, "filler": filler } });
        assert_eq!(node.api("publish", &body).await.status, 200);
        published += 1;
    }
    let mut came = 0;
    loop {
        let said: Value = stream.event().await;
        if let Some(disconnect) = said["push"].get("disconnect") {
            assert_eq!(disconnect["code"], 3008, "{said}");
            break;
        }
        assert_eq!(said["push"]["pub"]["data"]["n"], came, "in order and whole");
        came += 1;
    }
    assert!(came > 0 && came < published, "{came} of {published}");
    stream.ended().await;
    drop(stream);
    eventually("nothing is held", || held(&node) == 0).await;
}

/// The bench of writes: what waits together is one write for each stream.
#[tokio::test]
async fn what_waits_together_is_one_write_for_each_stream() {
    let node = node(json!({})).await;
    let bearer = format!("Authorization: Bearer {}\r\n", token::of("ada"));
    let subs = json!({ "subs": { "room": {} } }).to_string();
    let mut streams = Vec::new();
    for _ in 0..20 {
        let request = post("/connection/uni_http_stream", &bearer, &subs);
        let mut stream = Stream::opened(&node, &request).await;
        assert!(stream.json().await["connect"]["subs"]["room"].is_object());
        streams.push(stream);
    }
    let before = node.number("sealcast_writes_total");
    let commands: Vec<Value> =
        (0..50).map(|n| json!({ "publish": { "channel": "room", "data": n } })).collect();
    let body = json!({ "commands": commands, "parallel": true });
    assert_eq!(node.api("batch", &body).await.status, 200);
    for stream in &mut streams {
        let mut all = Vec::new();
        for _ in 0..50 {
            all.push(stream.json().await["pub"]["data"].as_u64().expect("a number"));
        }
        all.sort_unstable();
        assert_eq!(all, (0..50).collect::<Vec<_>>());
    }
    let writes = node.number("sealcast_writes_total") - before;
    assert!(writes <= 20.0 * 10.0, "{writes} writes for 1,000 messages");
}
