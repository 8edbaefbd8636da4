//! Recovery at the socket: what the node's tail of a channel answers, and what it
//! must not.

mod churn;
mod member;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::PATIENCE;
use crate::support::client::Wire;
use crate::support::node::TestNode;

const TAIL: &str = "sealcast_recover_from_tail_total";

async fn node(ttl: &str) -> TestNode {
    let namespace = json!({
        "name": "kept", "history_size": 5, "history_ttl": ttl, "force_recovery": true,
        "allow_subscribe_for_client": true,
    });
    TestNode::with(json!({ "channel": { "namespaces": [namespace] } })).await
}

async fn publish(node: &TestNode, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        let body = json!({ "channel": "kept:room", "data": { "n": number } });
        let answer = node.api("publish", &body).await.json();
        assert_eq!(answer["result"]["offset"], number, "{answer}");
    }
}

async fn recover(node: &TestNode, offset: u64, epoch: &str) -> Value {
    let mut wire = Wire::connected(node, "bob").await;
    let subscribe = json!({ "id": 2, "subscribe": {
        "channel": "kept:room", "recover": true, "recoverable": true, "offset": offset, "epoch": epoch,
    }});
    wire.ask(&subscribe.to_string()).await["subscribe"].clone()
}

fn offsets(result: &Value) -> Vec<u64> {
    let publications = result["publications"].as_array().map(Vec::as_slice).unwrap_or_default();
    publications.iter().map(|one| one["offset"].as_u64().unwrap()).collect()
}

/// Someone who stays subscribed, so that the node has the channel; its epoch.
async fn resident(node: &TestNode) -> (Wire, String) {
    let mut wire = Wire::connected(node, "ada").await;
    let answer = wire.ask(r#"{"id":2,"subscribe":{"channel":"kept:room"}}"#).await;
    let epoch = answer["subscribe"]["epoch"].as_str().unwrap().to_owned();
    (wire, epoch)
}

#[tokio::test]
async fn a_short_absence_is_made_good_without_the_broker() {
    let node = node("60s").await;
    let (_resident, epoch) = resident(&node).await;
    publish(&node, 1..=4).await;
    let result = recover(&node, 1, &epoch).await;
    assert_eq!((offsets(&result), &result["recovered"]), (vec![2, 3, 4], &json!(true)));
    let result = recover(&node, 4, &epoch).await;
    assert_eq!((offsets(&result), &result["recovered"]), (vec![], &json!(true)));
    assert_eq!(node.number(TAIL), 2.0);
    publish(&node, 5..=7).await;
    let result = recover(&node, 1, &epoch).await;
    assert_eq!((offsets(&result), &result["recovered"]), (vec![], &Value::Null), "{result}");
    assert_eq!(result["offset"], 7, "the history holds five");
    let result = recover(&node, 3, "another").await;
    assert_eq!((&result["recovered"], &result["epoch"]), (&Value::Null, &json!(epoch)));
    assert_eq!(node.number(TAIL), 2.0, "the broker was asked");
}

#[tokio::test]
async fn what_was_removed_does_not_come_back() {
    let node = node("60s").await;
    let (_resident, epoch) = resident(&node).await;
    publish(&node, 1..=3).await;
    node.api("history_remove", &json!({ "channel": "kept:room" })).await;
    let result = recover(&node, 1, &epoch).await;
    assert_eq!((offsets(&result), &result["recovered"]), (vec![], &Value::Null), "{result}");
    publish(&node, 4..=4).await;
    let result = recover(&node, 3, &epoch).await;
    assert_eq!((offsets(&result), &result["recovered"]), (vec![4], &json!(true)));
}

#[tokio::test]
async fn what_is_too_old_does_not_come_back() {
    let node = node("1s").await;
    let (_resident, epoch) = resident(&node).await;
    publish(&node, 1..=3).await;
    let body = json!({ "channel": "kept:room", "limit": 5 });
    let expired = async {
        while node.api("history", &body).await.json()["result"]["publications"] != json!([]) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, expired).await.expect("the history expires");
    let result = recover(&node, 1, &epoch).await;
    assert_eq!((offsets(&result), &result["recovered"]), (vec![], &Value::Null), "{result}");
    assert_eq!(node.number(TAIL), 0.0);
}
