//! What a backend publishes again is published once (protocol 7.3; R-46), and
//! what is older than what was published, not at all.

use serde_json::{Value, json};

use crate::support::client::Wire;
use crate::support::node::TestNode;

async fn node() -> TestNode {
    let kept = json!({
        "name": "kept", "allow_subscribe_for_client": true, "allow_history_for_client": true,
        "history_size": 10, "history_ttl": "60s",
    });
    let open = json!({ "name": "open", "allow_subscribe_for_client": true });
    TestNode::with(json!({ "channel": { "namespaces": [kept, open] } })).await
}

async fn publish(node: &TestNode, channel: &str, data: u32, more: Value) -> Value {
    let mut body = json!({ "channel": channel, "data": data });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = node.api("publish", &body).await.json();
    assert!(answer["result"].is_object(), "{answer}");
    answer["result"].clone()
}

async fn subscribed(node: &TestNode, channel: &str) -> Wire {
    let mut wire = Wire::connected(node, "ada").await;
    wire.ask(&json!({ "id": 2, "subscribe": { "channel": channel } }).to_string()).await;
    wire
}

async fn hear_data(wire: &mut Wire) -> Value {
    wire.hear_json().await["push"]["pub"]["data"].clone()
}

#[tokio::test]
async fn a_repeated_key_publishes_once_and_is_answered_the_same() {
    let node = node().await;
    let key = |key: &str| json!({ "idempotency_key": key });
    for channel in ["kept:a", "open:a"] {
        let mut ada = subscribed(&node, channel).await;
        let first = publish(&node, channel, 1, key("one")).await;
        assert_eq!(publish(&node, channel, 2, key("one")).await, first);
        let body = json!({ "channels": [channel], "data": 3, "idempotency_key": "one" });
        let answer = node.api("broadcast", &body).await.json();
        assert_eq!(answer["result"]["responses"][0]["result"], first, "{answer}");
        publish(&node, channel, 4, key("two")).await;
        publish(&node, channel, 5, key("")).await;
        publish(&node, channel, 6, key("")).await;
        for data in [1, 4, 5, 6] {
            assert_eq!(hear_data(&mut ada).await, data);
        }
        ada.is_quiet().await;
    }
    // A key is of one channel.
    let other = publish(&node, "kept:b", 7, key("one")).await;
    assert_eq!(other["offset"], 1);
}

#[tokio::test]
async fn what_is_not_newer_is_not_published() {
    let node = node().await;
    let mut ada = subscribed(&node, "kept:a").await;
    let version = |version: u64, epoch: &str| json!({ "version": version, "version_epoch": epoch });
    for (data, more, published) in [
        (1, version(5, "a"), true),
        (2, version(5, "a"), false),
        (3, version(4, "a"), false),
        (4, version(6, "a"), true),
        (5, version(1, "b"), true),
        (6, version(0, ""), true),
    ] {
        publish(&node, "kept:a", data, more).await;
        if published {
            assert_eq!(hear_data(&mut ada).await, data);
        }
    }
    ada.is_quiet().await;
}
