//! What a node says when it cannot use its Redis: it does not start.

use sealcast::broker::{Credentials, Feed, Redis, RedisConfig, Sharding};
use sealcast::metrics::Metrics;
use sealcast::server::unix_time;
use serde_json::json;

use crate::support::process;
use crate::support::redis::RedisServer;

pub(super) async fn refusal(config: RedisConfig) -> String {
    let (feed, _receivers) = Feed::new(Sharding::new(1), 0);
    match Redis::start(config, feed, (unix_time, &Metrics::new("test"))).await {
        Ok(_) => panic!("it starts"),
        Err(unfit) => unfit.to_string(),
    }
}

#[tokio::test]
async fn a_password_that_is_wrong_or_missing_is_told_at_once_and_not_shown() {
    let server = RedisServer::with(&["--requirepass", "the-right-one"]).await;
    for password in [None, Some("hunter2".to_owned())] {
        let with = Credentials { password, ..Credentials::default() };
        let told = refusal(server.config_with(&with)).await;
        assert!(told.contains("refuses the user or the password"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    let with = Credentials { password: Some("the-right-one".into()), ..Credentials::default() };
    let (feed, _receivers) = Feed::new(Sharding::new(1), 0);
    let metrics = Metrics::new("test");
    let started = Redis::start(server.config_with(&with), feed, (unix_time, &metrics)).await;
    assert!(started.is_ok());
}

#[tokio::test]
async fn a_member_of_a_cluster_is_not_a_single_primary() {
    let server = RedisServer::member(&[]).await;
    let told = refusal(server.config()).await;
    assert!(told.contains("runs as cluster"), "{told}");
}

#[tokio::test]
async fn a_node_without_its_redis_ends_and_says_where_it_looked() {
    let mut server = RedisServer::start().await;
    server.kill();
    let path = process::scratch("json");
    let engine = json!({
        "type": "redis",
        "redis": { "address": format!("redis://:hunter2@{}", server.address()) },
    });
    let config = crate::support::node::config(json!({
        "engine": engine, "cluster": { "key": "a-cluster-key-for-tests-0123456789" },
    }));
    std::fs::write(&path, config.to_string()).unwrap();
    let ended = process::run(&["serve", "--config", path.to_str().unwrap()]).await;
    std::fs::remove_file(path).unwrap();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let told = format!("cannot reach Redis at redis://{}", server.address());
    assert!(ended.stderr.contains(&told), "{}", ended.stderr);
    assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    assert!(ended.stdout.is_empty(), "{}", ended.stdout);
}
