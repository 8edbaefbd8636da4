//! Batches and broadcasts of the server API, whose trips to Redis are one.

use serde_json::{Value, json};

use super::nodes::node;
use crate::support::redis::RedisServer;

const COUNT: u64 = 150;

/// Where each publication of a batch came to stand.
fn offsets(body: &Value) -> Vec<u64> {
    let replies = body["replies"].as_array().expect("replies");
    replies.iter().filter_map(|reply| reply["publish"]["offset"].as_u64()).collect()
}

#[tokio::test]
async fn publications_of_a_batch_keep_their_order_and_what_follows_sees_them() {
    let server = RedisServer::start().await;
    let node = node(&server).await;
    let publish =
        |n: u64| json!({ "publish": { "channel": format!("kept:{}", n % 2), "data": n } });
    let mut commands: Vec<Value> = (0..COUNT).map(publish).collect();
    commands.push(json!({ "history": { "channel": "kept:0", "limit": 1000 } }));
    commands.push(publish(0));
    let answer = node.api("batch", &json!({ "commands": commands })).await;
    let body = answer.json();
    let expected: Vec<u64> = (0..COUNT).map(|n| n / 2 + 1).chain([COUNT / 2 + 1]).collect();
    assert_eq!(offsets(&body), expected, "{body}");
    let history = &body["replies"][COUNT as usize]["history"]["publications"];
    let seen: Vec<u64> =
        history.as_array().unwrap().iter().map(|one| one["data"].as_u64().unwrap()).collect();
    let even: Vec<u64> = (0..COUNT).step_by(2).collect();
    assert_eq!(seen, even, "all of the batch so far, in order, and nothing behind it");
}

#[tokio::test]
async fn a_broadcast_answers_for_each_channel_in_order() {
    let server = RedisServer::start().await;
    let node = node(&server).await;
    let mut channels: Vec<String> = (0..COUNT).map(|n| format!("kept:{n}")).collect();
    channels.insert(1, "no such namespace:x".to_owned());
    channels.push("kept:0".to_owned());
    let answer = node.api("broadcast", &json!({ "channels": channels, "data": 1 })).await;
    let body = answer.json();
    let responses = body["result"]["responses"].as_array().expect("responses");
    assert_eq!(responses.len(), channels.len());
    for (channel, response) in channels.iter().zip(responses).skip(2) {
        let first = u64::from(channel == "kept:0");
        assert_eq!(response["result"]["offset"], 1 + first, "{channel}: {response}");
    }
    assert_eq!(responses[0]["result"]["offset"], 1);
    assert!(responses[1]["error"]["code"].is_u64(), "{}", responses[1]);
}
