//! The users of `deploy/redis/users.acl`: what a node needs, it has, and no more.

use std::fs;

use redis::FromRedisValue;
use sealcast::broker::{Credentials, RedisConfig};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::nodes::{ask, kept_on, publication, publish, subscribe};
use super::start::refusal;
use crate::support::client::Wire;
use crate::support::process::scratch;
use crate::support::redis::RedisServer;

const PASSWORD: &str = "a-long-random-password-of-the-nodes";
/// Asks what no user of the file may.
const ADMIN: &str = "user admin on >admin-of-the-test ~* &* +@all";

/// A Redis with those users, changed by `change`.
async fn server_with(change: impl Fn(String) -> String) -> (RedisServer, RedisConfig) {
    let hash = |password: &str| -> String {
        Sha256::digest(password).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/redis/users.acl");
    let rules = fs::read_to_string(rules).unwrap();
    // Redis takes no comments here.
    let users: Vec<_> = rules.lines().filter(|line| line.starts_with("user ")).collect();
    assert_eq!(users.len(), 3, "default, relay and ops");
    let rules = users.join("\n").replace("RELAY_PASSWORD_SHA256", &hash(PASSWORD));
    let rules = rules.replace("OPS_PASSWORD_SHA256", &hash("of ops"));
    let path = scratch("acl");
    fs::write(&path, format!("{}\n{ADMIN}\n", change(rules))).unwrap();
    let server = RedisServer::with(&["--aclfile", path.to_str().unwrap()]).await;
    fs::remove_file(path).unwrap();
    let with = Credentials {
        user: Some("relay".into()),
        password: Some(PASSWORD.into()),
        ..Credentials::default()
    };
    let config = server.config_with(&with);
    (server, config)
}

/// A Redis with those users, and how a node uses it.
pub(crate) async fn server() -> (RedisServer, RedisConfig) {
    server_with(|rules| rules).await
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

/// A Redis with those users, at whose end none of them was refused anything.
pub(crate) struct Kept(pub(crate) RedisServer);

impl Drop for Kept {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let mut connection = as_admin(&self.0).get_connection().unwrap();
            let log: Vec<redis::Value> =
                redis::cmd("ACL").arg("LOG").query(&mut connection).unwrap();
            assert!(log.is_empty(), "{log:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_node_is_refused_nothing() {
    let (server, _) = server().await;
    let redis = json!({ "address": server.address(), "user": "relay", "password": PASSWORD });
    let node = kept_on(redis).await;
    let mut ada = Wire::connected(&node, "ada").await;
    subscribe(&mut ada).await;
    let mut publisher = Wire::connected(&node, "eve").await;
    assert!(publish(&mut publisher, 1).await);
    assert_eq!(publication(&mut ada).await, (1, 1));
    for method in ["presence", "presence_stats", "history", "unsubscribe"] {
        let answer = ask(&mut ada, json!({ "id": 5, method: { "channel": "kept:a" } })).await;
        assert!(answer[method].is_object(), "{answer}");
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_evicts_is_refused() {
    for policy in ["allkeys-lru", "volatile-ttl"] {
        let server = RedisServer::with(&["--maxmemory-policy", policy]).await;
        let told = refusal(server.config()).await;
        assert!(told.contains(policy) && told.contains("noeviction"), "{told}");
    }
}
