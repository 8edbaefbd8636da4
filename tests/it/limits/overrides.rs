//! What an operator sets for one user, tenant, client, address or key, by the server API
//! and by the command line.

use serde_json::{Value, json};

use super::{connected, limited};
use crate::cli::{Scratch, run};
use crate::support::api::call;
use crate::support::client::Wire;
use crate::support::eventually;
use crate::support::http::Answer;
use crate::support::node::{API_KEY, TestNode};
use sealcast_wire::Encoding;

const OTHER: &str = "another-key-for-tests-0123456789";

async fn node() -> TestNode {
    TestNode::with(json!({
        "http_api": { "key": null, "keys": [
            { "name": "ops", "key": API_KEY }, { "name": "other", "key": OTHER },
        ] },
    }))
    .await
}

async fn set(node: &TestNode, mut wish: Value) -> Value {
    let members = wish.as_object_mut().unwrap();
    members.entry("ttl").or_insert(json!(60));
    members.entry("reason").or_insert(json!("flood"));
    node.api("limits_set", &wish).await.json()
}

async fn ok(node: &TestNode, wish: Value) {
    assert_eq!(set(node, wish).await, json!({ "result": {} }));
}

/// How many of so many publishes are refused with 111.
async fn refused(wire: &mut Wire, count: usize) -> usize {
    let mut refused = 0;
    for _ in 0..count {
        let answer = wire.ask(r#"{"id":9,"publish":{"channel":"room","data":1}}"#).await;
        match answer["error"]["code"].as_u64() {
            Some(111) => refused += 1,
            None => {}
            Some(code) => panic!("{code}"),
        }
    }
    refused
}

async fn handshake(node: &TestNode) -> Answer {
    let request = "GET /connection/websocket HTTP/1.1\r\nHost: it\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    crate::support::http::ask(node.public, request).await
}

#[tokio::test]
async fn rates_of_a_user_and_of_a_connection_hold_at_once_and_end() {
    let node = node().await;
    let mut ada = [Wire::connected(&node, "ada").await, Wire::connected(&node, "ada").await];
    let mut bob = Wire::connected(&node, "bob").await;
    ok(&node, json!({ "user": "ada", "rate": "3/h" })).await;
    assert_eq!(refused(&mut ada[0], 2).await + refused(&mut ada[1], 2).await, 1);
    assert_eq!(refused(&mut bob, 10).await, 0);
    assert_eq!(limited(&node, "user"), 1.0);
    // Another one takes its place; what was used stays used, of which the millisecond
    // for one is soon over.
    ok(&node, json!({ "user": "ada", "rate": "1000/s" })).await;
    assert!(refused(&mut ada[0], 100).await < 100);
    let removed = node.api("limits_remove", &json!({ "user": "ada" })).await.json();
    assert_eq!(removed, json!({ "result": { "removed": true } }));

    let (mut eve, connect) =
        Wire::admitted(&node, json!({ "token": crate::support::token::of("eve") })).await;
    let client = connect["client"].as_str().unwrap().to_owned();
    let mut other = Wire::connected(&node, "eve").await;
    ok(&node, json!({ "client": client, "rate": "2/h", "ttl": 1 })).await;
    assert_eq!(refused(&mut eve, 3).await, 1);
    assert_eq!(refused(&mut other, 3).await, 0);
    assert_eq!(limited(&node, "connection"), 1.0);
    eventually("it is over", || node.number("sealcast_limit_overrides") == 0.0).await;
    assert_eq!(refused(&mut eve, 10).await, 0);
}

#[tokio::test]
async fn what_waits_for_a_user_is_bounded_and_for_others_as_before() {
    let node = node().await;
    let mut ada = Wire::connected(&node, "ada").await;
    let mut bob = Wire::connected(&node, "bob").await;
    for wire in [&mut ada, &mut bob] {
        wire.ask(r#"{"id":2,"subscribe":{"channel":"room"}}"#).await;
    }
    ok(&node, json!({ "user": "ada", "queue_bytes": 200 })).await;
    let publish = async |data: String| {
        node.api("publish", &json!({ "channel": "room", "data": data })).await;
    };
    publish("small".into()).await;
    assert_eq!(ada.hear_json().await["push"]["pub"]["data"], "small");
    publish("x".repeat(300)).await;
    assert_eq!(ada.closed().await, 3008);
    for _ in 0..2 {
        assert!(bob.hear_json().await["push"]["pub"].is_object());
    }
    // And for one that comes later.
    let mut ada = Wire::connected(&node, "ada").await;
    ada.ask(r#"{"id":2,"subscribe":{"channel":"room"}}"#).await;
    publish("x".repeat(300)).await;
    assert_eq!(ada.closed().await, 3008);
}

#[tokio::test]
async fn a_block_ends_what_is_there_and_lets_nothing_come() {
    let node = node().await;
    let mut ada = Wire::connected(&node, "ada").await;
    let mut bob = connected(&node, "bob", Encoding::Protobuf).await;
    ok(&node, json!({ "user": "ada", "block": true })).await;
    assert_eq!(ada.closed().await, 3503);
    let mut again = Wire::open(&node).await;
    let connect = json!({ "id": 1, "connect": { "token": crate::support::token::of("ada") } });
    assert_eq!(again.closed_by(&connect.to_string()).await, 3503);
    assert_eq!(limited(&node, "blocked"), 1.0);

    ok(&node, json!({ "address": "127.0.0.1", "block": true })).await;
    assert_eq!(bob.closed().await, 3503);
    let answer = handshake(&node).await;
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (403, true));
    node.api("limits_remove", &json!({ "address": "127.0.0.1" })).await;
    assert_eq!(handshake(&node).await.status, 101);

    let info = async || call(node.public, "info", &[("X-API-Key", OTHER)], b"{}").await;
    assert_eq!(info().await.status, 200);
    ok(&node, json!({ "key": "other", "block": true })).await;
    let blocked = info().await;
    assert_eq!((blocked.status, &blocked.json()["error"]["code"]), (403, &json!(103)));
    ok(&node, json!({ "key": "other", "rate": "1/h" })).await;
    assert_eq!((info().await.status, info().await.status), (200, 429));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_the_reason() {
    let node = node().await;
    let rows = [
        (json!({}), "exactly one of user"),
        (json!({ "user": "a", "client": "b", "block": true }), "exactly one of user"),
        (json!({ "user": "", "block": true }), "anonymous"),
        (json!({ "client": "ada", "block": true }), "no client id"),
        (json!({ "tenant": "", "block": true }), "no name of a tenant"),
        (json!({ "address": "10.0.0.0/8", "block": true }), "no IP address"),
        (json!({ "key": "", "block": true }), "no name of an API key"),
        (json!({ "key": "ops", "block": true }), "cannot block itself"),
        (json!({ "user": "a" }), "says nothing"),
        (json!({ "user": "a", "block": true, "rate": "1/s" }), "contradictory"),
        (json!({ "key": "other", "queue_bytes": 1 }), "contradictory"),
        (json!({ "user": "a", "rate": "0/s" }), "set block"),
        (json!({ "user": "a", "rate": "-1/s" }), "not a rate"),
        (json!({ "user": "a", "rate": "none" }), "hard cap"),
        (json!({ "user": "a", "rate": "10001/s" }), "hard cap"),
        (json!({ "user": "a", "rate": "99999999999/s" }), "hard cap"),
        (json!({ "user": "a", "rate": "1/25h" }), "1ms to 24h"),
        (json!({ "user": "a", "queue_messages": 0 }), "1 to 1000000"),
        (json!({ "user": "a", "queue_bytes": 67_108_865 }), "67108864"),
        (json!({ "user": "a", "block": true, "ttl": 0 }), "ttl is needed"),
        (json!({ "user": "a", "block": true, "ttl": 31_622_401 }), "ttl is needed"),
        (json!({ "user": "a", "block": true, "reason": "" }), "reason is needed"),
        (json!({ "user": "a", "block": true, "reason": "x".repeat(256) }), "reason is needed"),
    ];
    for (wish, why) in rows {
        let answer = set(&node, wish.clone()).await;
        assert_eq!(answer["error"]["code"], 107, "{wish} {answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(why), "{wish} {message}");
    }
    let negative = node.api("limits_set", &json!({ "user": "a", "queue_bytes": -1 })).await;
    assert_eq!(negative.status, 400);
    let listed = node.api("limits_list", &json!({})).await.json();
    assert_eq!(listed, json!({ "result": { "limits": [] } }));
}

#[tokio::test]
async fn the_command_line_sets_lists_and_removes() {
    let node = node().await;
    let (key, url) = (Scratch::new(API_KEY), format!("http://{}", node.public));
    let at = ["--url", &url, "--key-file", key.path()];
    let limits =
        async |words: &[&str]| run(&[&["limits", words[0]], &at[..], &words[1..]].concat()).await;
    let none = limits(&["list"]).await;
    assert_eq!((none.code, &*none.stdout), (Some(0), "none\n"), "{none:?}");
    let words =
        ["set", "--user", "ada", "--rate", "10/m burst 5", "--for", "1h", "--reason", "floods"];
    let done = limits(&words).await;
    assert_eq!((done.code, &*done.stdout), (Some(0), "set\n"), "{done:?}");
    let listed = limits(&["list"]).await.stdout;
    let (before, after) = listed.split_once(", for ").unwrap();
    assert_eq!(before, "user ada, rate 10/m burst 5");
    assert!(after.ends_with(", by ops, floods\n"), "{listed}");
    let read: Value = serde_json::from_str(&limits(&["list", "--json"]).await.stdout).unwrap();
    assert_eq!(read["limits"][0]["rate"], "10/m burst 5");
    for (code, out) in [(0, "removed\n"), (1, "")] {
        let removed = limits(&["remove", "--user", "ada"]).await;
        assert_eq!((removed.code, &*removed.stdout), (Some(code), out), "{removed:?}");
    }
    let bad =
        limits(&["set", "--key", "x", "--queue-bytes", "5", "--for", "1h", "--reason", "r"]).await;
    assert_eq!(bad.code, Some(1));
    assert!(bad.stderr.contains("contradictory: an API key has no queue"), "{}", bad.stderr);
    let wrong = Scratch::new("not-a-key-at-all-0123456789");
    let refused = run(&["limits", "list", "--url", &url, "--key-file", wrong.path()]).await;
    assert_eq!(refused.code, Some(77), "{refused:?}");
    assert!(!refused.stderr.contains("not-a-key"), "{}", refused.stderr);
}
