//! New connections: of an address, of the node, and whose address it is.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{limited, node_under};
use crate::support::client::Wire;
use crate::support::http::{Answer, ask};
use crate::support::node::TestNode;

/// A handshake from the client that a proxy names.
async fn handshake(node: &TestNode, forwarded: &str) -> Answer {
    let forwarded = match forwarded {
        "" => String::new(),
        forwarded => format!("X-Forwarded-For: {forwarded}\r\n"),
    };
    let request = format!(
        "GET /connection/websocket HTTP/1.1\r\nHost: it\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{forwarded}\r\n"
    );
    ask(node.public, request).await
}

#[track_caller]
fn is_told_to_wait(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    let retry: u32 = answer.header("retry-after").expect("Retry-After").parse().unwrap();
    assert!((1..=15).contains(&retry), "{retry}");
}

/// A node behind a proxy on this machine, and the profile's numbers.
async fn behind_proxy(profile: &str, limits: Value) -> TestNode {
    let mut options = json!({
        "http_server": { "trusted_proxies": ["127.0.0.0/8"] },
        "limits": { "profile": profile, "ip_connections": null },
    });
    for (name, value) in limits.as_object().unwrap() {
        options["limits"][name] = value.clone();
    }
    TestNode::with(options).await
}

#[tokio::test]
async fn connects_of_an_address_at_the_number_and_one_past_it() {
    for (profile, most, millis) in [("strict", 10, 1_000), ("standard", 60, 167)] {
        let node = node_under(profile, json!({})).await;
        let began = Instant::now();
        let mut passed = 0;
        for _ in 0..most + 5 {
            let answer = handshake(&node, "").await;
            if answer.status == 101 {
                passed += 1;
            } else {
                is_told_to_wait(&answer, 429);
            }
        }
        let brought = began.elapsed().as_millis() as usize / millis;
        assert!((most..=most + brought + 1).contains(&passed), "{profile}: {passed}");
        assert_eq!(limited(&node, "address") as usize, most + 5 - passed);
    }
}

#[tokio::test]
async fn connections_of_an_address_at_the_number_and_one_past_it() {
    for (profile, most) in [("strict", 20), ("standard", 200)] {
        let node = node_under(profile, json!({ "ip_connects": "none" })).await;
        let mut wires = Vec::new();
        for _ in 0..most {
            wires.push(Wire::open(&node).await);
        }
        is_told_to_wait(&handshake(&node, "").await, 503);
        assert_eq!(limited(&node, "address_connections"), 1.0);
        // Who is there goes on, and a place that is given back is free.
        drop(wires.pop());
        crate::support::eventually("gone", || {
            node.number("sealcast_connections") == (most - 1) as f64
        })
        .await;
        wires.push(Wire::connected(&node, "ada").await);
        is_told_to_wait(&handshake(&node, "").await, 503);
        wires.pop().unwrap().is_quiet().await;
    }
}

#[tokio::test]
async fn connects_of_the_node() {
    let limits = json!({ "ip_connects": "none", "node_connects": "5/1h" });
    let node = node_under("standard", limits).await;
    for _ in 0..5 {
        assert_eq!(handshake(&node, "").await.status, 101);
    }
    let refused = handshake(&node, "").await;
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(limited(&node, "node_connects"), 1.0);
}

#[tokio::test]
async fn clients_of_a_trusted_proxy_have_a_limit_each_and_cannot_choose_their_address() {
    let node = behind_proxy("standard", json!({ "ip_connects": "3/1h" })).await;
    for client in ["198.51.100.1", "198.51.100.2", "2001:db8::1"] {
        for at in 0..3 {
            // Whatever a client writes itself stands to the left of what the proxy saw.
            let forwarded = format!("203.0.113.{at}, {client}");
            assert_eq!(handshake(&node, &forwarded).await.status, 101, "{forwarded}");
        }
        let forwarded = format!("203.0.113.9, {client}");
        assert_eq!(handshake(&node, &forwarded).await.status, 429, "{forwarded}");
    }
    // A /64 is one address.
    assert_eq!(handshake(&node, "2001:db8::2").await.status, 429);
    assert_eq!(handshake(&node, "2001:db8:0:1::2").await.status, 101);
}

#[tokio::test]
async fn who_is_no_trusted_proxy_is_not_believed() {
    let node = node_under("standard", json!({ "ip_connects": "3/1h" })).await;
    for at in 0..3 {
        assert_eq!(handshake(&node, &format!("198.51.100.{at}")).await.status, 101);
    }
    assert_eq!(handshake(&node, "198.51.100.9").await.status, 429);
}

#[tokio::test]
async fn other_numbers_hold_at_once_after_a_reload_and_what_was_used_stays_used() {
    let options = |connects: &str| {
        let limits = json!({ "profile": "standard", "ip_connects": connects });
        json!({ "limits": limits })
    };
    let node = TestNode::with(options("3/1h")).await;
    let reload = |connects: &str| {
        let config = crate::support::node::config(options(connects)).to_string();
        let loaded = sealcast::config::parse(&config);
        node.node.as_ref().unwrap().reload(loaded).unwrap();
    };
    for status in [101, 101, 101, 429] {
        assert_eq!(handshake(&node, "").await.status, status);
    }
    reload("3/1h");
    assert_eq!(handshake(&node, "").await.status, 429, "nothing is forgotten");
    reload("3/1h burst 4");
    assert_eq!(handshake(&node, "").await.status, 101);
    reload("none");
    for _ in 0..10 {
        assert_eq!(handshake(&node, "").await.status, 101);
    }
}
