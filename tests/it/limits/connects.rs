//! New connections: of an address, of the node, and whose address it is.

use sealcast::limit::{Profile, Scope, TooMany, Usage, Wait};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{limited, node_under};
use crate::support::api::call;
use crate::support::client::Wire;
use crate::support::eventually;
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
        eventually("gone", || node.number("sealcast_connections") == (most - 1) as f64).await;
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

/// By times that are passed in: no test connects 2,000 times in a second.
#[test]
fn connects_of_the_node_by_the_profiles() {
    for (profile, most) in [(Profile::Strict, 200_u32), (Profile::Standard, 2_000)] {
        let (usage, limits) = (Usage::new(), profile.limits());
        let connect = |at: u32, now| usage.connect(at.to_be_bytes().into(), &limits, now);
        for at in 0..most {
            assert!(connect(at, 0).is_ok(), "{profile}: {at}");
        }
        let wait = 1_000_000_000 / u64::from(most);
        let refused = TooMany { scope: Scope::NodeConnects, wait: Wait(wait) };
        assert_eq!(connect(most, 0).map(drop), Err(refused), "{profile}");
        assert!(connect(most, wait).is_ok(), "{profile}: in time");
    }
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

/// The metrics listener has sockets of its own.
#[tokio::test]
async fn health_is_told_whatever_clients_take() {
    let limits = json!({ "http_sockets": 2, "header_timeout": "1h" });
    let node = TestNode::with(json!({ "limits": limits })).await;
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(tokio::net::TcpStream::connect(node.public).await.unwrap());
    }
    eventually("taken", || node.number("sealcast_sockets") == 2.0).await;
    let request = "GET /health/ready HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n";
    is_told_to_wait(&ask(node.public, request).await, 503);
    let metrics = node.node.as_ref().unwrap().metrics;
    assert_eq!(ask(metrics, request).await.status, 200);
}

/// A header of the PROXY protocol, version 2, for an IPv4 client.
fn announcement(client: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend(client);
    header.extend([127, 0, 0, 1, 0x30, 0x39, 0x1f, 0x40]);
    header
}

#[tokio::test]
async fn a_proxy_that_passes_bytes_on_says_for_whom() {
    let options = |trusted: &str| {
        json!({
            "http_server": { "trusted_proxies": [trusted], "proxy_protocol": true },
            "limits": { "profile": "standard", "ip_connects": "3/1h" },
        })
    };
    let request = |forwarded: &str| {
        format!(
            "GET /connection/websocket HTTP/1.1\r\nHost: it\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             X-Forwarded-For: {forwarded}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    let node = TestNode::with(options("127.0.0.0/8")).await;
    for client in [[198, 51, 100, 1], [198, 51, 100, 2]] {
        for status in [101, 101, 101, 429] {
            // The client is no proxy: what it says itself does not count.
            let all = [announcement(client), request("203.0.113.5").into_bytes()].concat();
            assert_eq!(ask(node.public, all).await.status, status);
        }
    }
    // A proxy that says nothing of its client is not served for it.
    assert_eq!(handshake(&node, "198.51.100.3").await.status, 0);
    let own = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec();
    let health = b"GET /health/live HTTP/1.1\r\nHost: it\r\n\r\n".to_vec();
    assert_eq!(ask(node.public, [own, health].concat()).await.status, 200);

    // Who is no proxy cannot speak for anyone, and needs no header.
    let node = TestNode::with(options("192.0.2.0/24")).await;
    let forged = [announcement([198, 51, 100, 1]), request("198.51.100.2").into_bytes()].concat();
    assert_eq!(ask(node.public, forged).await.status, 400);
    for status in [101, 101, 101, 429] {
        assert_eq!(handshake(&node, "198.51.100.3").await.status, status);
    }
}

#[tokio::test]
async fn the_proxy_protocol_needs_its_proxies() {
    let options = json!({ "http_server": { "proxy_protocol": true } });
    let faults = sealcast::config::parse(&crate::support::node::config(options).to_string());
    let told: Vec<_> = faults.err().unwrap().iter().map(ToString::to_string).collect();
    let expected = "http_server.proxy_protocol: needs http_server.trusted_proxies: nobody else is \
                    believed";
    assert_eq!(told, [expected]);
}

#[tokio::test]
async fn calls_of_an_api_key_and_each_command_of_a_batch() {
    let keys = json!([
        { "name": "slow", "key": "a-slow-key-0123456789", "rate": "3/1h" },
        { "name": "other", "key": "another-key-0123456789" },
    ]);
    let node = TestNode::with(json!({ "http_api": { "keys": keys } })).await;
    let slow = [("X-API-Key", "a-slow-key-0123456789")];
    for _ in 0..2 {
        assert_eq!(call(node.public, "info", &slow, b"{}").await.status, 200);
    }
    let batch = br#"{"commands":[{"info":{}},{"info":{}},{"info":{}}]}"#;
    let answer = call(node.public, "batch", &slow, batch).await.json();
    assert!(answer["replies"][0]["info"].is_object(), "{answer}");
    for refused in [1, 2] {
        assert_eq!(answer["replies"][refused]["error"]["code"], 111, "{answer}");
    }
    let refused = call(node.public, "info", &slow, b"{}").await;
    assert_eq!((refused.status, refused.json()["error"]["code"].as_u64()), (429, Some(111)));
    let retry: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1_000..=1_205).contains(&retry), "{retry}: the next is after 20 minutes");
    assert_eq!(limited(&node, "api_key"), 3.0);
    let other = [("X-API-Key", "another-key-0123456789")];
    assert_eq!(call(node.public, "info", &other, b"{}").await.status, 200);
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
