//! Expensive work: as much at once as may be, and one more (S4-53).

use serde_json::json;

use super::node_under;
use crate::support::client::Wire;

const HISTORY: &str = r#"{"id":2,"history":{"channel":"open:a","limit":1}}"#;
const PRESENCE: &str = r#"{"id":3,"presence":{"channel":"open:a"}}"#;

#[tokio::test]
async fn pages_are_read_for_so_many_at_once_and_who_has_no_turn_is_told() {
    let node = node_under("standard", json!({})).await;
    let relay = &node.node.as_ref().unwrap().app().policy.relay;
    let mut wire = Wire::connected(&node, "ada").await;
    let mut turns = Vec::new();
    for _ in 0..63 {
        turns.push(relay.page_turn().await.unwrap());
    }
    assert_eq!(node.number("sealcast_work_running{work=\"page\"}"), 63.0);
    assert_eq!(node.number("sealcast_work_limit{work=\"page\"}"), 64.0);
    assert!(wire.ask(HISTORY).await["history"].is_object(), "the 64th");
    turns.push(relay.page_turn().await.unwrap());
    assert_eq!(wire.refused(HISTORY).await, 111, "the 65th, after a second");
    assert_eq!(wire.refused(PRESENCE).await, 111);
    let answer = node.api("history", &json!({ "channel": "open:a", "limit": 1 })).await;
    assert_eq!(answer.json()["error"]["code"], 111, "the server API too");
    assert_eq!(node.number("sealcast_work_refused_total{work=\"page\"}"), 3.0);
    // What is no page goes on meanwhile.
    let publish = r#"{"id":4,"publish":{"channel":"open:a","data":1}}"#;
    assert!(wire.ask(publish).await["publish"].is_object());
    let subscribe = r#"{"id":5,"subscribe":{"channel":"open:a"}}"#;
    assert!(wire.ask(subscribe).await["subscribe"].is_object());
    drop(turns);
    assert!(wire.ask(HISTORY).await["history"].is_object());
    assert!(wire.ask(PRESENCE).await["presence"].is_object());
}

#[tokio::test]
async fn so_many_batches_run_at_once_and_one_more_is_told_to_come_back() {
    let node = node_under("standard", json!({})).await;
    let relay = &node.node.as_ref().unwrap().app().policy.relay;
    let batch = json!({ "commands": [{ "publish": { "channel": "open:a", "data": 1 } }] });
    let mut turns = Vec::new();
    for _ in 0..15 {
        turns.push(relay.batch_turn().await.unwrap());
    }
    assert_eq!(node.api("batch", &batch).await.status, 200, "the 16th");
    turns.push(relay.batch_turn().await.unwrap());
    let before = node.number("sealcast_messages_total{dir=\"in\"}");
    let answer = node.api("batch", &batch).await;
    let retry: u64 = answer.header("retry-after").expect("Retry-After").parse().unwrap();
    assert_eq!((answer.status, (5..10).contains(&retry)), (503, true), "{answer:?}");
    assert_eq!(node.number("sealcast_messages_total{dir=\"in\"}"), before, "nothing was done");
    // A call that is no batch is not of this work.
    let one = node.api("publish", &json!({ "channel": "open:a", "data": 1 })).await;
    assert_eq!(one.status, 200);
    drop(turns);
    assert_eq!(node.api("batch", &batch).await.status, 200);
}
