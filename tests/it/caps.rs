//! Caps at and one past their edge, and what a panic takes along.

pub(crate) mod panicking;

use std::net::SocketAddr;

use sealcast_client::{Connection, Error};
use sealcast_wire::Encoding;
use serde_json::json;
use tokio::net::TcpStream;

use crate::support::client::Wire;
use crate::support::eventually;
use crate::support::http::{Answer, ask};
use crate::support::node::TestNode;

const HANDSHAKE: &str = "GET /connection/websocket HTTP/1.1\r\nHost: it\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[track_caller]
fn is_refusal(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    let retry: u32 = answer.header("retry-after").expect("Retry-After").parse().unwrap();
    assert!((5..=10).contains(&retry), "{retry}");
}

#[tokio::test]
async fn one_connection_too_many_is_refused_and_the_others_go_on() {
    let node = TestNode::with(json!({ "client": { "connection_limit": 3 } })).await;
    let limit = "sealcast_connection_limit{transport=\"websocket\"}";
    assert_eq!(node.number(limit), 3.0);
    let mut wires = Vec::new();
    for user in ["ada", "bob", "eve"] {
        wires.push(Wire::connected(&node, user).await);
    }
    for _ in 0..5 {
        is_refusal(&ask(node.public, HANDSHAKE).await);
    }
    let limited = "sealcast_connect_attempts_total{transport=\"websocket\",result=\"limited\"}";
    assert_eq!(node.number(limited), 5.0);
    for wire in &mut wires {
        wire.is_quiet().await;
    }
    assert_eq!(node.api("info", &json!({})).await.json()["result"]["nodes"][0]["num_clients"], 3);
    // The place of one that went is free again.
    drop(wires.pop());
    eventually("gone", || node.number("sealcast_connections") == 2.0).await;
    wires.push(Wire::connected(&node, "joe").await);
    is_refusal(&ask(node.public, HANDSHAKE).await);
}

#[tokio::test]
async fn those_who_have_not_connected_yet_have_a_cap_of_their_own() {
    let node = TestNode::with(json!({ "limits": { "waiting_connections": 2 } })).await;
    let mut connected = Wire::connected(&node, "ada").await;
    let first = Wire::open(&node).await;
    let _second = Wire::open(&node).await;
    assert_eq!(node.number("sealcast_connections_waiting"), 2.0);
    is_refusal(&ask(node.public, HANDSHAKE).await);
    connected.is_quiet().await;
    // One gives its place up by connecting, one by going.
    let mut first = first;
    first.0.connect(&node.options("bob", Encoding::Json)).await.unwrap();
    let third = Wire::open(&node).await;
    is_refusal(&ask(node.public, HANDSHAKE).await);
    drop(third);
    eventually("gone", || node.number("sealcast_connections_waiting") == 1.0).await;
    let _fourth = Wire::open(&node).await;
    is_refusal(&ask(node.public, HANDSHAKE).await);
}

#[tokio::test]
async fn too_many_sockets_are_turned_away_at_the_door() {
    let node =
        TestNode::with(json!({ "limits": { "http_sockets": 4, "header_timeout": "1h" } })).await;
    let mut connected = Wire::connected(&node, "ada").await;
    // An upgraded socket is no longer among those that speak HTTP.
    eventually("upgraded", || node.number("sealcast_sockets") == 0.0).await;
    let silent = sockets(node.public, 4).await;
    eventually("accepted", || node.number("sealcast_sockets") == 4.0).await;
    for _ in 0..3 {
        is_refusal(&node.get("/health/live").await);
    }
    assert_eq!(node.number("sealcast_sockets_refused_total"), 3.0);
    connected.is_quiet().await;
    drop(silent);
    eventually("gone", || node.number("sealcast_sockets") == 0.0).await;
    assert_eq!(node.get("/health/live").await.status, 200);
}

/// T-27: sockets with half a frame each, before any of them has connected.
#[tokio::test]
async fn what_is_held_before_authentication_is_bounded_together() {
    let limits = json!({ "node_queue_bytes": 400_000, "message_deadline": "60s" });
    let node = TestNode::with(json!({ "limits": limits })).await;
    let mut wires = Vec::new();
    let mut frame = vec![0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4];
    frame.resize(60_000, b' ');
    for _ in 0..20 {
        let mut wire = Wire::open(&node).await;
        // Those before may be gone by now, this one not.
        wire.0.send_bytes(&frame).await.unwrap();
        wires.push(wire);
    }
    let shed = "sealcast_disconnects_total{code=\"3008\"}";
    eventually("some are sent away", || node.number(shed) >= 1.0).await;
    eventually("the rest is within the budget", || {
        node.number("sealcast_outbound_queue_bytes") <= 400_000.0
    })
    .await;
    drop(wires);
    eventually("given back", || node.number("sealcast_outbound_queue_bytes") == 0.0).await;
    Wire::connected(&node, "ada").await.is_quiet().await;
}

#[tokio::test]
async fn abrupt_ends_leave_nothing_behind() {
    let node = TestNode::start().await;
    for round in 0..5 {
        let mut wires = Vec::new();
        for user in ["ada", "bob", "eve"] {
            let mut wire = Wire::connected(&node, user).await;
            wire.ask(r#"{"id":2,"subscribe":{"channel":"room"}}"#).await;
            wires.push(wire);
        }
        for wire in wires {
            let stream = wire.0.into_stream();
            // A reset instead of an end, every second time.
            if round % 2 == 0 {
                socket2::SockRef::from(&stream)
                    .set_linger(Some(std::time::Duration::ZERO))
                    .unwrap();
            }
            drop(stream);
        }
    }
    eventually("gone", || node.number("sealcast_connections") == 0.0).await;
    assert_eq!(node.number("sealcast_disconnects_total"), 15.0);
    let info = node.api("info", &json!({})).await.json()["result"]["nodes"][0].clone();
    for number in ["num_clients", "num_users", "num_subs", "num_channels"] {
        assert_eq!(info[number], 0, "{info}");
    }
    assert_eq!(node.number("sealcast_connections_waiting"), 0.0);
}

#[tokio::test]
async fn a_refusal_at_the_door_is_told_even_to_those_who_send_much() {
    let node =
        TestNode::with(json!({ "limits": { "http_sockets": 1, "header_timeout": "1h" } })).await;
    let _silent = sockets(node.public, 1).await;
    eventually("accepted", || node.number("sealcast_sockets") == 1.0).await;
    let request = format!("GET / HTTP/1.1\r\nHost: it\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    is_refusal(&ask(node.public, &request).await);
    let refused = Connection::open(&node.options("ada", Encoding::Json)).await;
    assert!(
        matches!(refused, Err(Error::Refused { status: 503, retry_after: Some(_) })),
        "{refused:?}"
    );
}

async fn sockets(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut sockets = Vec::new();
    for _ in 0..count {
        sockets.push(TcpStream::connect(address).await.unwrap());
    }
    sockets
}
