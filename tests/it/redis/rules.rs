//! The users of `deploy/redis/users.acl`: what a node needs, it has, and no more.

use std::fs;

use redis::FromRedisValue;
use sealcast::broker::RedisConfig;
use serde_json::json;

use super::nodes::{ask, kept_on, publication, publish, subscribe};
use super::start::refusal;
use crate::support::client::Wire;
use crate::support::process::scratch;
use crate::support::redis::{RedisServer, users};

/// Asks what no user of the file may.
const ADMIN: &str = "user admin on >admin-of-the-test ~* &* +@all";

/// A Redis with those users, changed by `change`.
async fn server_with(change: impl Fn(String) -> String) -> (RedisServer, RedisConfig) {
    let rules: Vec<_> = users().collect();
    assert_eq!(rules.len(), 3, "default, relay and ops");
    let rules = rules.join("\n");
    let path = scratch("acl");
    fs::write(&path, format!("{}\n{ADMIN}\n", change(rules))).unwrap();
    let server = RedisServer::with(&["--aclfile", path.to_str().unwrap()]).await;
    fs::remove_file(path).unwrap();
    let config = server.config();
    (server, config)
}

fn as_admin(server: &RedisServer) -> redis::Client {
    redis::Client::open(format!("redis://admin:admin-of-the-test@{}", server.address())).unwrap()
}

async fn admin<T: FromRedisValue>(server: &RedisServer, command: &[&str]) -> T {
    let mut connection = as_admin(server).get_multiplexed_async_connection().await.unwrap();
    let mut ask = redis::Cmd::new();
    ask.arg(command);
    ask.query_async(&mut connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_node_is_refused_nothing() {
    let (server, _) = server_with(|rules| rules).await;
    let node = kept_on(server.as_node()).await;
    let mut ada = Wire::connected(&node, "ada").await;
    subscribe(&mut ada).await;
    let mut publisher = Wire::connected(&node, "eve").await;
    assert!(publish(&mut publisher, 1).await);
    assert_eq!(publication(&mut ada).await, (1, 1));
    for method in ["presence", "presence_stats", "history", "unsubscribe"] {
        let answer = ask(&mut ada, json!({ "id": 5, method: { "channel": "kept:a" } })).await;
        assert!(answer[method].is_object(), "{answer}");
    }
    // What a ticket stands for.
    let app = node.node.as_ref().expect("not drained").app();
    let broker = app.policy.relay.broker();
    let life = std::time::Duration::from_secs(30);
    broker.put_once([7; 32], "sealed".into(), life).await.expect("kept");
    assert!(broker.put_once([7; 32], "other".into(), life).await.is_err(), "nothing is replaced");
    assert_eq!(broker.take_once([7; 32]).await, Ok(Some("sealed".into())));
    assert_eq!(broker.take_once([7; 32]).await, Ok(None));
    let log: Vec<redis::Value> = admin(&server, &["ACL", "LOG"]).await;
    assert!(log.is_empty(), "{log:?}");
    let users: Vec<String> = admin(&server, &["ACL", "USERS"]).await;
    assert_eq!(users, ["admin", "default", "ops", "relay"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_lacks_a_permission_is_told_at_the_start() {
    for (right, lacks) in [
        ("+@stream", "script"),
        ("+@sortedset", "script"),
        ("+publish", "script"),
        ("+subscribe", "subscribe"),
        ("~sc:*", "key"),
        ("&sc:*", "channel"),
    ] {
        let without = |rules: String| {
            let users = rules.lines().map(|user| match user.starts_with("user relay") {
                true => user.replace(&format!(" {right}"), ""),
                false => user.to_owned(),
            });
            users.collect::<Vec<_>>().join("\n")
        };
        let (_server, config) = server_with(without).await;
        let told = refusal(config).await;
        assert!(told.contains("may not do what is needed"), "{right}: {told}");
        assert!(told.to_lowercase().contains(lacks), "{right}: {told}");
    }
}
