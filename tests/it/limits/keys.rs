//! The rate of a key of the server API, and calls that repeat an idempotency key: those
//! are answered before the limit is looked at.

use serde_json::{Value, json};

use super::limited;
use crate::support::api::call;
use crate::support::node::{API_KEY, TestNode};

const SLOW: &str = "a-slow-key-for-tests-0123456789";

async fn node() -> TestNode {
    TestNode::with(json!({
        "http_api": { "key": null, "keys": [
            { "name": "ops", "key": API_KEY }, { "name": "slow", "key": SLOW, "rate": "2/h" },
        ] },
        "channel": { "namespaces": [{ "name": "kept", "history_size": 10, "history_ttl": "60s" }] },
    }))
    .await
}

/// The status, and what is answered.
async fn ask(node: &TestNode, method: &str, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let answer = call(node.public, method, &[("X-API-Key", SLOW)], body.as_bytes()).await;
    (answer.status, answer.json())
}

async fn kept(node: &TestNode, channel: &str) -> usize {
    let page = json!({ "channel": channel, "limit": 10 });
    let answer = node.api("history", &page).await.json();
    answer["result"]["publications"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_publish_that_repeats_its_key_is_answered_as_before_when_nothing_is_left() {
    let node = node().await;
    let publish = |key: &str| json!({ "channel": "kept:a", "data": 1, "idempotency_key": key });
    let first = ask(&node, "publish", &publish("one")).await;
    assert_eq!((first.0, &first.1["result"]["offset"]), (200, &json!(1)), "{first:?}");
    assert_eq!(ask(&node, "publish", &publish("two")).await.0, 200);
    for (key, status) in [("three", 429), ("", 429), ("one", 200)] {
        assert_eq!(ask(&node, "publish", &publish(key)).await.0, status, "{key}");
    }
    assert_eq!(ask(&node, "publish", &publish("one")).await, first);
    let elsewhere = json!({ "channel": "kept:b", "data": 1, "idempotency_key": "one" });
    assert_eq!(ask(&node, "publish", &elsewhere).await.0, 429, "another channel");
    let body = json!({ "commands": [{ "publish": publish("one") }, { "publish": publish("x") }] });
    let (status, batch) = ask(&node, "batch", &body).await;
    assert_eq!((status, &batch["replies"][0]["publish"]), (200, &first.1["result"]), "{batch}");
    assert_eq!(batch["replies"][1]["error"]["code"], 111, "{batch}");
    assert_eq!(limited(&node, "api_key"), 4.0);
    assert_eq!((kept(&node, "kept:a").await, kept(&node, "kept:b").await), (2, 0));
    // Another caller's keys are other keys, and who is blocked is answered nothing.
    let wish = json!({ "key": "slow", "block": true, "ttl": 60, "reason": "stolen" });
    assert_eq!(node.api("limits_set", &wish).await.json(), json!({ "result": {} }));
    assert_eq!(ask(&node, "publish", &publish("one")).await.0, 403);
}

#[tokio::test]
async fn a_broadcast_is_a_repeat_if_each_channel_has_it() {
    let node = node().await;
    let broadcast =
        |channels: Value| json!({ "channels": channels, "data": 1, "idempotency_key": "one" });
    let first = ask(&node, "broadcast", &broadcast(json!(["kept:a", "kept:b"]))).await;
    assert_eq!(first.0, 200, "{first:?}");
    assert_eq!(ask(&node, "broadcast", &broadcast(json!(["kept:a"]))).await.0, 200);
    assert_eq!(ask(&node, "broadcast", &broadcast(json!(["kept:a", "kept:b"]))).await, first);
    for more in [json!(["kept:a", "kept:c"]), json!(["kept:c"]), json!([])] {
        assert_eq!(ask(&node, "broadcast", &broadcast(more.clone())).await.0, 429, "{more}");
    }
    assert_eq!((kept(&node, "kept:a").await, kept(&node, "kept:c").await), (1, 0));
}
