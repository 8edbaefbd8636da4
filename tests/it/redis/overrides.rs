//! Overrides of limits over several nodes.

use std::time::Duration;

use sealcast::limit::{Override, Subject, Terms};
use serde_json::json;
use tokio::time::sleep;

use super::nodes::{ask, node, subscribe};
use crate::broker_contract::Bench;
use crate::support::client::Wire;
use crate::support::eventually;
use crate::support::redis::RedisServer;
use crate::support::token;

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_is_told_every_node_obeys_also_one_that_starts_later() {
    let server = RedisServer::start().await;
    let nodes = [node(&server).await, node(&server).await, node(&server).await];
    let mut ada = Wire::connected(&nodes[2], "ada").await;
    let mut bob = Wire::connected(&nodes[1], "bob").await;
    subscribe(&mut bob).await;
    let wish = json!({ "user": "ada", "block": true, "ttl": 600, "reason": "secret-reason" });
    assert_eq!(nodes[0].api("limits_set", &wish).await.json(), json!({ "result": {} }));
    let wish = json!({ "user": "bob", "rate": "2/h", "ttl": 600, "reason": "r" });
    assert_eq!(nodes[0].api("limits_set", &wish).await.json(), json!({ "result": {} }));
    assert_eq!(ada.closed().await, 3503);
    for node in &nodes {
        eventually("each node knows both", || node.number("sealcast_limit_overrides") == 2.0).await;
    }
    let mut codes = Vec::new();
    for _ in 0..3 {
        let command = json!({ "id": 7, "publish": { "channel": "kept:a", "data": 1 } });
        codes.push(ask(&mut bob, command).await["error"]["code"].as_u64());
    }
    assert_eq!(codes, [None, None, Some(111)]);

    let late = node(&server).await;
    assert_eq!(late.number("sealcast_limit_overrides"), 2.0, "before anyone can connect");
    let connect = json!({ "id": 1, "connect": { "token": token::of("ada") } }).to_string();
    assert_eq!(Wire::open(&late).await.closed_by(&connect).await, 3503);

    let all: Vec<String> = server.ask("KEYS *").await;
    assert!(all.iter().all(|key| key.starts_with("sc:{") && !key.contains("ada")), "{all:?}");
    for key in all {
        if key.ends_with("}:o") || key.ends_with("}:v") {
            let ttl: i64 = server.ask(&format!("PTTL {key}")).await;
            assert!((1..=600_000).contains(&ttl), "{key} {ttl}");
        }
    }
    let listed = late.api("limits_list", &json!({})).await.json();
    assert_eq!(listed["result"]["limits"][0]["reason"], "secret-reason");
    late.api("limits_remove", &json!({ "user": "ada" })).await;
    for node in nodes.iter().chain([&late]) {
        eventually("it is gone everywhere", || node.number("sealcast_limit_overrides") == 1.0)
            .await;
    }
    Wire::connected(&nodes[2], "ada").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_missed_the_word_learns_of_it_all_the_same_and_keeps_it_while_redis_is_away() {
    let mut server = RedisServer::start().await;
    let node = node(&server).await;
    let mut ada = Wire::connected(&node, "ada").await;
    // At Redis alone: nobody is told.
    let bench = Bench::on(server.config()).await;
    let block = Terms { block: true, ..Terms::default() };
    let subject = Subject::User("ada".into());
    let one = Override { subject, terms: block, reason: "r".into(), by: "ops".into() };
    assert_eq!(bench.broker.set_override(one, Duration::from_secs(600)).await, Ok(true));
    assert_eq!(ada.closed().await, 3503);
    server.kill();
    let wish = json!({ "user": "eve", "block": true, "ttl": 600, "reason": "r" });
    let answer = node.api("limits_set", &wish).await.json();
    assert_eq!(answer["error"]["code"], 100, "{answer}");
    sleep(Duration::from_millis(1_500)).await;
    assert_eq!(node.number("sealcast_limit_overrides"), 1.0);
    let connect = json!({ "id": 1, "connect": { "token": token::of("ada") } }).to_string();
    assert_eq!(Wire::open(&node).await.closed_by(&connect).await, 3503);
}
