//! What counts for an address and a user, at its number and one past it, in both
//! profiles and over every transport.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::limited;
use crate::stream::reader::{Stream, post};
use crate::support::node::{TestNode, lay_over};
use crate::support::{PATIENCE, eventually, token};

pub(super) const TRANSPORTS: [&str; 6] =
    ["websocket", "uni_websocket", "http_stream", "sse", "uni_http_stream", "uni_sse"];

/// A node behind a proxy on this machine with every transport on, and the profile's
/// numbers but for these.
pub(super) async fn node(profile: &str, limits: Value) -> TestNode {
    let mut options = json!({
        "http_server": { "trusted_proxies": ["127.0.0.0/8"] },
        "limits": { "profile": profile, "ip_connections": null },
        "client": { "user_connection_limit": null },
    });
    for transport in &TRANSPORTS[1..] {
        options[*transport] = json!({ "enabled": true });
    }
    lay_over(&mut options["limits"], limits);
    TestNode::with(options).await
}

/// What came of a request for a connection by `user` from this address.
pub(super) async fn begin(node: &TestNode, transport: &str, user: &str, address: &str) -> Stream {
    let path = format!("/connection/{transport}");
    let forwarded = format!("X-Forwarded-For: {address}\r\n");
    let connect = json!({ "token": token::of(user) });
    let request = match transport {
        "websocket" | "uni_websocket" => format!(
            "GET {path} HTTP/1.1\r\nHost: it\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             {forwarded}\r\n"
        ),
        "http_stream" | "sse" => {
            post(&path, &forwarded, &json!({ "id": 1, "connect": connect }).to_string())
        }
        _ => post(&path, &forwarded, &connect.to_string()),
    };
    Stream::open(node, request).await
}

#[track_caller]
pub(super) fn is_told_to_wait(stream: &Stream, status: u16, what: &str) {
    assert_eq!(stream.head.status, status, "{what}: {:?}", stream.head);
    let retry: u32 = stream.head.header("retry-after").expect("Retry-After").parse().unwrap();
    assert!((1..=15).contains(&retry), "{what}: {retry}");
}

pub(super) fn is_open(stream: &Stream) -> bool {
    matches!(stream.head.status, 101 | 200)
}

#[tokio::test]
async fn connects_of_an_address() {
    for (profile, most, millis) in [("strict", 10, 1_000), ("standard", 60, 167)] {
        let node = node(profile, json!({ "ip_connections": 10_000 })).await;
        for (at, transport) in TRANSPORTS.into_iter().enumerate() {
            let (what, address) = (format!("{profile} {transport}"), format!("198.51.100.{at}"));
            let (began, mut passed, before) = (Instant::now(), 0, limited(&node, "address"));
            for asked in 0..most + 3 {
                let stream = begin(&node, transport, "ada", &address).await;
                if is_open(&stream) {
                    passed += 1;
                } else {
                    assert!(asked >= most, "{what}: {asked}");
                    is_told_to_wait(&stream, 429, &what);
                }
            }
            let brought = began.elapsed().as_millis() as usize / millis;
            assert!((most..=most + brought + 1).contains(&passed), "{what}: {passed}");
            let refused = limited(&node, "address") - before;
            assert_eq!(refused as usize, most + 3 - passed, "{what}");
        }
    }
}

#[tokio::test]
async fn connections_of_an_address() {
    for (profile, most) in [("strict", 20), ("standard", 200)] {
        let lifted = json!({ "ip_connects": "none", "node_connects": "none" });
        let node = node(profile, lifted).await;
        for transport in TRANSPORTS {
            let what = format!("{profile} {transport}");
            let before = limited(&node, "address_connections");
            let mut held = Vec::new();
            for at in 0..most {
                let stream = begin(&node, transport, &format!("user-{at}"), "198.51.100.1").await;
                assert!(is_open(&stream), "{what}: {at}: {:?}", stream.head);
                held.push(stream);
            }
            let over = begin(&node, transport, "ada", "198.51.100.1").await;
            is_told_to_wait(&over, 503, &what);
            assert_eq!(limited(&node, "address_connections") - before, 1.0, "{what}");
            assert!(is_open(&begin(&node, transport, "ada", "198.51.100.2").await), "{what}");
            drop(held);
            eventually("gone", || node.number("sealcast_connections") == 0.0).await;
        }
    }
}

/// The code of the disconnect that comes first, if it is one.
async fn told(stream: &mut Stream, transport: &str) -> Option<u64> {
    let said = match transport {
        "sse" | "uni_sse" => stream.event().await,
        _ => stream.json().await,
    };
    let disconnect = if said["push"].is_object() { &said["push"] } else { &said };
    disconnect["disconnect"]["code"].as_u64()
}

#[tokio::test]
async fn connections_of_a_user_over_streams() {
    for (profile, most) in [("strict", 3), ("standard", 10)] {
        let node = node(profile, json!({ "ip_connects": "none" })).await;
        for transport in &TRANSPORTS[2..] {
            let what = format!("{profile} {transport}");
            let mut held = Vec::new();
            for at in 0..=most {
                let mut stream = begin(&node, transport, transport, "198.51.100.1").await;
                assert_eq!(stream.head.status, 200, "{what}");
                let expected = (at == most).then_some(3013);
                let told = tokio::time::timeout(PATIENCE, told(&mut stream, transport));
                assert_eq!(told.await.unwrap(), expected, "{what}: {at}");
                held.push(stream);
            }
        }
        assert_eq!(limited(&node, "user_connections"), 4.0, "{profile}");
    }
}
