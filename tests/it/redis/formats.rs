//! What another version of the nodes has put at Redis: nobody misreads it, and it is
//! said and counted.

use sealcast::broker::{PresenceStats, Unavailable};
use serde_json::json;

use super::nodes::{ask, is_ready, node};
use super::start::refusal;
use super::stored::{key_of, who};
use crate::broker_contract::{Bench, channel};
use crate::support::client::Wire;
use crate::support::eventually;
use crate::support::node::TestNode;
use crate::support::redis::RedisServer;

fn unreadable(node: &TestNode) -> f64 {
    node.number("sealcast_redis_errors_total{kind=\"record\"}")
}

/// What is entered now is kept in this version.
#[tokio::test(flavor = "multi_thread")]
async fn each_format_that_is_stored_has_its_version() {
    let server = RedisServer::start().await;
    let bench = Bench::on(server.config()).await;
    bench.broker.enter(channel("room"), who("ada", "one")).await.unwrap();
    let users = key_of(&server, "u").await;
    assert_eq!(server.ask::<String>(&format!("HGET {users} v")).await, "1");
    let present = key_of(&server, "p").await;
    let record: Vec<u8> = server.ask(&format!("HGET {present} one")).await;
    assert_eq!(record[0], 1);
    let life = key_of(&server, "l").await;
    assert_eq!(server.ask::<String>(&format!("HGET {life} v")).await, "1");
    let list = key_of(&server, "a").await;
    assert!(server.ask::<String>(&format!("GET {list}")).await.starts_with("1 "));
    // The version is nobody, and goes with the last.
    let stats = bench.broker.presence_stats(channel("room")).await.unwrap();
    assert_eq!(stats, PresenceStats { clients: 1, users: 1 });
    bench.broker.exit(channel("room"), "one".into()).await.unwrap();
    assert_eq!(server.ask::<usize>(&format!("EXISTS {users} {present}")).await, 0);
    let stats = bench.broker.presence_stats(channel("room")).await.unwrap();
    assert_eq!(stats, PresenceStats::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_present_in_another_format_is_not_read_and_not_touched() {
    let server = RedisServer::start().await;
    let bench = Bench::on(server.config()).await;
    let room = || channel("room");
    bench.broker.enter(room(), who("ada", "one")).await.unwrap();
    let (users, present) = (key_of(&server, "u").await, key_of(&server, "p").await);
    for (change, back) in [
        (vec!["HSET", &users, "v", "2"], vec!["HSET", &users, "v", "1"]),
        // Before there were versions.
        (vec!["HDEL", &users, "v"], vec!["HSET", &users, "v", "1"]),
    ] {
        let _: usize = server.ask_words(&change).await;
        let before: Vec<Vec<u8>> = server.ask(&format!("HGETALL {present}")).await;
        assert_eq!(bench.broker.presence(room()).await, Err(Unavailable), "{change:?}");
        assert_eq!(bench.broker.presence_stats(room()).await, Err(Unavailable));
        assert_eq!(bench.broker.enter(room(), who("bob", "two")).await, Err(Unavailable));
        assert_eq!(bench.broker.exit(room(), "one".into()).await, Err(Unavailable));
        let after: Vec<Vec<u8>> = server.ask(&format!("HGETALL {present}")).await;
        assert_eq!(before, after);
        assert_eq!(bench.broker.enter(channel("other"), who("bob", "two")).await, Ok(()));
        let _: usize = server.ask_words(&back).await;
        assert!(bench.broker.presence(room()).await.is_ok());
    }
    // Someone alone, as a newer node might say it.
    let _: usize = server.ask_words(&["HSET", &present, "one", "\u{2}whatever comes"]).await;
    assert_eq!(bench.broker.presence(room()).await, Err(Unavailable));
}

/// Redis throws away what it likes, if it is told to: one key of several, too.
#[tokio::test(flavor = "multi_thread")]
async fn users_that_redis_threw_away_are_counted_again() {
    let server = RedisServer::start().await;
    let bench = Bench::on(server.config()).await;
    let room = || channel("room");
    for (user, client) in [("ada", "one"), ("ada", "two"), ("bob", "three")] {
        bench.broker.enter(room(), who(user, client)).await.unwrap();
    }
    let (users, present) = (key_of(&server, "u").await, key_of(&server, "p").await);
    let lost = async || assert_eq!(server.ask::<usize>(&format!("DEL {users}")).await, 1);
    let stats = |clients, users| Ok(PresenceStats { clients, users });
    lost().await;
    assert_eq!(bench.broker.presence_stats(room()).await, stats(3, 2));
    assert!(server.ask::<i64>(&format!("PTTL {users}")).await > 0, "it goes by itself");
    lost().await;
    bench.broker.enter(room(), who("eve", "four")).await.unwrap();
    assert_eq!(bench.broker.presence_stats(room()).await, stats(4, 3));
    lost().await;
    bench.broker.exit(room(), "three".into()).await.unwrap();
    assert_eq!(bench.broker.presence_stats(room()).await, stats(3, 2));
    // Not if there is someone whom another version has entered.
    let _: usize = server.ask_words(&["HSET", &present, "five", "\u{2}whatever comes"]).await;
    lost().await;
    assert_eq!(bench.broker.enter(room(), who("eve", "six")).await, Err(Unavailable));
    assert_eq!(server.ask::<usize>(&format!("EXISTS {users}")).await, 0, "untouched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_says_and_counts_what_it_cannot_read() {
    let server = RedisServer::start().await;
    let node = node(&server).await;
    let mut ada = Wire::connected(&node, "ada").await;
    super::nodes::subscribe(&mut ada).await;
    let asked = json!({ "id": 5, "presence": { "channel": "kept:a" } });
    assert!(ask(&mut ada, asked.clone()).await["presence"].is_object());
    assert_eq!(unreadable(&node), 0.0);
    let users = key_of(&server, "u").await;
    let _: usize = server.ask(&format!("HSET {users} v 2")).await;
    let answer = ask(&mut ada, asked).await;
    assert_eq!(answer["error"]["code"], 100, "{answer}");
    assert!(unreadable(&node) >= 1.0 && is_ready(&node));
    // What the heartbeats say it does not know any more, and says so again and again.
    let (before, life) = (unreadable(&node), key_of(&server, "l").await);
    let _: usize = server.ask(&format!("HSET {life} v 2")).await;
    eventually("it is counted", || unreadable(&node) > before + 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_does_not_start_beside_what_it_cannot_read() {
    let server = RedisServer::start().await;
    drop(Bench::on(server.config()).await);
    let life = key_of(&server, "l").await;
    let _: usize = server.ask(&format!("HSET {life} v 2")).await;
    let told = refusal(server.config()).await;
    assert!(told.contains("unknown format 2; run the version that wrote it"), "{told}");
    let _: usize = server.ask(&format!("HSET {life} v 1")).await;
    let list = key_of(&server, "a").await;
    let _: () = server.ask(&format!("SET {list} another")).await;
    let told = refusal(server.config()).await;
    assert!(told.contains("list of primaries is kept in an unknown format"), "{told}");
}
