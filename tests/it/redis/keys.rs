//! The rate of a key of the server API over several nodes.

use serde_json::{Value, json};

use super::nodes::options;
use crate::support::api::call;
use crate::support::eventually;
use crate::support::node::{API_KEY, TestNode, lay_over};
use crate::support::redis::RedisServer;

const NODES: usize = 3;
const SLOW: &str = "a-slow-key-for-tests-0123456789";
const OTHER: &str = "another-slow-key-for-tests-0123456789";

async fn nodes(server: &RedisServer) -> Vec<TestNode> {
    let keys = json!([
        { "name": "ops", "key": API_KEY },
        { "name": "slow", "key": SLOW, "rate": "40/h" },
        { "name": "other", "key": OTHER, "rate": "30/h" },
    ]);
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        let mut all = options(server.as_node());
        lay_over(&mut all, json!({ "http_api": { "key": null, "keys": keys } }));
        nodes.push(TestNode::with(all).await);
    }
    nodes
}

async fn ask(node: &TestNode, key: &str, method: &str, body: Value) -> (u16, Value) {
    let body = body.to_string();
    let answer = call(node.public, method, &[("X-API-Key", key)], body.as_bytes()).await;
    (answer.status, answer.json())
}

/// How many of so many calls pass, at each node in turn.
async fn passed(nodes: &[TestNode], key: &str, method: &str, body: Value, count: usize) -> usize {
    let mut passed = 0;
    for n in 0..count {
        let (status, answer) = ask(&nodes[n % NODES], key, method, body.clone()).await;
        let code = answer["error"]["code"].as_u64();
        assert!(matches!((status, code), (200, None) | (200 | 429, Some(111))), "{answer}");
        passed += usize::from(code.is_none());
    }
    passed
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_publish_nothing_count_over_all_nodes_without_a_trip_each() {
    let server = RedisServer::start().await;
    let nodes = nodes(&server).await;
    let room = json!({ "channel": "kept:a" });
    let sum = |selector: &str| nodes.iter().map(|node| node.number(selector)).sum::<f64>();
    assert_eq!(passed(&nodes, SLOW, "presence_stats", room.clone(), 24).await, 24);
    let draws = sum(r#"sealcast_redis_op_seconds_count{op="draw"}"#);
    assert!((1.0..=18.0).contains(&draws), "{draws} for 24 calls, at most two at a time");
    // Those that publish take from the same number.
    let publish = json!({ "channel": "kept:a", "data": 1 });
    let published = passed(&nodes, SLOW, "publish", publish.clone(), 12).await;
    // Each node may have drawn one that nobody has used.
    assert!((12 - NODES..=12).contains(&published), "{published}");
    let rest = passed(&nodes, SLOW, "presence_stats", room.clone(), 30).await;
    assert_eq!(24 + published + rest, 40, "at the number, and not past it");
    assert_eq!(passed(&nodes, SLOW, "publish", publish, 9).await, 0);
    assert_eq!(passed(&nodes, OTHER, "info", json!({}), 9).await, 9, "another key");
    let refused = sum(r#"sealcast_rate_limited_total{scope="api_key"}"#);
    assert_eq!(refused, (12 - published + 30 - rest + 9) as f64);
}

/// Whatever of it is a repeat. One that is refused reaches nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_counts_over_all_nodes_even_if_its_first_channel_is_a_repeat() {
    let server = RedisServer::start().await;
    let nodes = nodes(&server).await;
    let broadcast =
        |channels: Value| json!({ "channels": channels, "data": 1, "idempotency_key": "one" });
    let first = ask(&nodes[0], SLOW, "broadcast", broadcast(json!(["kept:a"]))).await;
    assert_eq!(first.0, 200, "{first:?}");
    let mut through = 1;
    for n in 0..60 {
        let body = broadcast(json!(["kept:a", format!("kept:{n}")]));
        through += passed(&nodes[n % NODES..], SLOW, "broadcast", body, 1).await;
    }
    assert_eq!(through, 40, "at the number, and not past it");
    let mut written = 0;
    for n in 0..60 {
        let page = json!({ "channel": format!("kept:{n}"), "limit": 1 });
        let answer = nodes[0].api("history", &page).await.json();
        written += answer["result"]["publications"].as_array().unwrap().len();
    }
    assert_eq!(written, 39, "what is refused is not written");
    let again = ask(&nodes[1], SLOW, "broadcast", broadcast(json!(["kept:a"]))).await;
    assert_eq!(again, first, "a whole repeat is answered as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_answered_at_a_node_that_has_nothing_left() {
    let server = RedisServer::start().await;
    let nodes = nodes(&server).await;
    let publish = |key: &str| json!({ "channel": "kept:a", "data": 1, "idempotency_key": key });
    let first = ask(&nodes[0], SLOW, "publish", publish("first")).await;
    assert_eq!(first.1["result"]["offset"], 1, "{first:?}");
    let info = passed(&nodes, SLOW, "info", json!({}), 60).await;
    assert_eq!(info, 39);
    for node in &nodes {
        assert_eq!(ask(node, SLOW, "publish", publish("first")).await, first);
        let other = ask(node, SLOW, "publish", publish("other")).await;
        assert_eq!(other.1["error"]["code"], 111, "{other:?}");
        // What the cluster refused the node knows, and the repeat is answered all the same.
        assert_eq!(ask(node, SLOW, "publish", publish("other")).await.0, 429);
        assert_eq!(ask(node, SLOW, "publish", publish("first")).await, first);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_each_node_lets_a_key_have_its_share() {
    let mut server = RedisServer::start().await;
    let nodes = nodes(&server).await;
    for node in &nodes {
        let relay = &node.node.as_ref().unwrap().app().policy.relay;
        eventually("they know each other", || relay.live_nodes() == NODES).await;
    }
    server.kill();
    for node in &nodes {
        eventually("it is told", || node.number("sealcast_limits_local_share") == 1.0).await;
        let mut passed = 0;
        for _ in 0..12 {
            passed += usize::from(ask(node, OTHER, "info", json!({})).await.0 == 200);
        }
        assert_eq!(passed, 10, "a third of 30");
    }
}
