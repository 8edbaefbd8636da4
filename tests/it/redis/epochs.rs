//! Streams that begin anew are counted, once for all nodes, by why they do.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::nodes::{ask, is_ready, node, publication, publish, subscribe};
use super::stored::key_of;
use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::redis::RedisServer;
use crate::support::{PATIENCE, eventually};

fn changes(node: &TestNode, cause: &str) -> f64 {
    node.number(&format!("sealcast_epoch_changes_total{{cause=\"{cause}\"}}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_stream_that_begins_is_counted_by_why() {
    let server = RedisServer::start().await;
    let (here, there) = (node(&server).await, node(&server).await);
    let counted = |cause| changes(&here, cause) + changes(&there, cause);
    let mut ada = Wire::connected(&here, "ada").await;
    let mut eve = Wire::connected(&there, "eve").await;
    subscribe(&mut ada).await;
    for n in 1..=3 {
        assert!(publish(&mut eve, n).await);
        assert_eq!(publication(&mut ada).await, (n, n));
    }
    let look = json!({ "id": 4, "history": { "channel": "kept:b", "limit": 1 } });
    assert!(ask(&mut ada, look).await["history"].is_object());
    assert_eq!(["empty", "incarnation", "rewritten"].map(counted), [2.0, 0.0, 0.0]);

    // Another entry stands where the last one was: one look proves it, for all.
    let meta = key_of(&server, "s").await.replace("}:s", "}:m");
    // The tag begins at byte 34 of where the stream stands.
    let _: usize = server.ask_words(&["SETRANGE", &meta, "34", "another-"]).await;
    let _: i64 = server.ask("CLIENT KILL TYPE pubsub").await;
    eventually("it is proved", || counted("rewritten") == 1.0).await;

    // Redis has fewer heartbeats than it acknowledged.
    eventually("ready", || is_ready(&here) && is_ready(&there)).await;
    let life = key_of(&server, "l").await;
    let _: i64 = server.ask(&format!("HSET {life} n 0")).await;
    let began = Instant::now();
    while counted("incarnation") < 1.0 {
        assert!(began.elapsed() < PATIENCE, "no stream of an older incarnation began anew");
        publish(&mut eve, 9).await;
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(["empty", "incarnation", "rewritten"].map(counted), [2.0, 1.0, 1.0]);
}

/// Whoever came to the new stream before the old one was found to be gone has missed
/// nothing, and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn who_stands_in_the_new_stream_already_is_not_told_of_the_loss_of_the_old() {
    let server = RedisServer::start().await;
    let node = node(&server).await;
    let mut ada = Wire::connected(&node, "ada").await;
    let mut eve = Wire::connected(&node, "eve").await;
    subscribe(&mut ada).await;
    for n in 1..=3 {
        assert!(publish(&mut eve, n).await);
        assert_eq!(publication(&mut ada).await, (n, n));
    }
    // As after a loss of which this node has not heard.
    let stream = key_of(&server, "s").await;
    let meta = stream.replace("}:s", "}:m");
    let _: i64 = server.ask(&format!("DEL {meta} {stream}")).await;
    let mut bob = Wire::connected(&node, "bob").await;
    subscribe(&mut bob).await;
    let _: i64 = server.ask("CLIENT KILL TYPE pubsub").await;
    let lost = || node.number("sealcast_gap_repairs_total{result=\"lost\"}");
    eventually("the old one is found to be gone", || lost() >= 1.0).await;
    let told = async |wire: &mut Wire| loop {
        let push = wire.hear_json().await["push"].take();
        if push["unsubscribe"].is_object() || push["pub"].is_object() {
            return push;
        }
    };
    assert_eq!(told(&mut ada).await["unsubscribe"]["code"], 2500);
    assert!(publish(&mut eve, 4).await);
    let push = told(&mut bob).await;
    assert_eq!((&push["pub"]["offset"], &push["pub"]["data"]), (&json!(1), &json!(4)), "{push}");
}
