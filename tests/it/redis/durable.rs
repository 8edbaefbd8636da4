//! What is acknowledged is as durable as the configuration demands, or it is not
//! acknowledged; and a Redis that cannot be so is told at the start.

use std::sync::Arc;

use futures_util::future::join_all;
use rustix::process::Signal;
use sealcast::broker::{
    Credentials, Durability, HistoryQuery, IdempotencyKey, Outgoing, RedisConfig, Unavailable,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::KEEP;
use super::nodes::{ask, kept_on};
use super::start::refusal;
use super::stored::kept;
use crate::broker_contract::{Bench, channel, number};
use crate::support::client::Wire;
use crate::support::redis::RedisServer;
use crate::support::{PATIENCE, eventually};

fn demanding(config: RedisConfig, durability: Durability) -> RedisConfig {
    RedisConfig { durability, ..config }
}

async fn replica_of(primary: &RedisServer) -> RedisServer {
    let _: () = primary.ask("CONFIG SET repl-diskless-sync-delay 0").await;
    let of = primary.port.to_string();
    let replica = RedisServer::with(&["--replicaof", "127.0.0.1", &of]).await;
    replica.says("INFO replication", "master_link_status:up").await;
    primary.says("INFO replication", "state=online").await;
    replica
}

async fn waits(server: &RedisServer) -> usize {
    let stats: String = server.ask("INFO commandstats").await;
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_wait:calls="));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_writes_later_is_refused_where_always_is_demanded() {
    let everybody = Credentials::default();
    let none: &[&str] = &[];
    for (options, why) in [
        (none, "it keeps no append-only file; set appendonly yes"),
        (&["--appendonly", "yes"], "its appendfsync is not; set appendfsync always"),
    ] {
        let server = RedisServer::with(options).await;
        let config = demanding(server.config_with(&everybody), Durability::Always);
        let told = refusal(config).await;
        assert!(told.contains("durability is always") && told.contains(why), "{told}");
    }
    let server = RedisServer::with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let told = refusal(demanding(server.config(), Durability::Always)).await;
    assert!(told.contains("grant it +config|get"), "{told}");
    let _: () = server.ask("ACL LOG RESET").await;
    let _: () = server.ask("ACL SETUSER relay +config|get").await;
    let bench = Bench::on(demanding(server.config(), Durability::Always)).await;
    assert!(bench.broker.publish(channel("room"), kept(1)).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_without_a_replica_is_refused_where_one_is_demanded() {
    let server = RedisServer::start().await;
    let told = refusal(demanding(server.config(), Durability::Replica)).await;
    assert!(told.contains("wait:1, but no replica is connected"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_that_no_replica_has() {
    let primary = RedisServer::start().await;
    let replica = replica_of(&primary).await;
    let bench = Bench::on(demanding(primary.config(), Durability::Replica)).await;
    assert_eq!(surely(&bench, 1).await, 1);
    let _: () = replica.ask("PING").await;
    replica.signal(Signal::STOP);
    for _ in 0..3 {
        // Also what was done before, and is only answered again.
        let answer = bench.broker.publish(channel("room"), once(2)).await;
        assert_eq!(answer, Err(Unavailable));
    }
    // Others do not wait for a copy.
    let query = HistoryQuery { limit: 10, ..HistoryQuery::default() };
    let page = bench.broker.history(channel("room"), query, KEEP.meta_ttl).await.unwrap();
    let there: Vec<u64> = page.publications.iter().map(|one| number(one)).collect();
    assert_eq!(there, [1, 2], "it was done, and may survive");
    replica.signal(Signal::CONT);
    replica.follows(&primary).await;
    assert_eq!(surely(&bench, 2).await, 2, "the retry is told, once there is a copy");
    assert_eq!(surely(&bench, 3).await, 3);
}

/// This number, however often it is published.
fn once(n: u64) -> Outgoing {
    let key = IdempotencyKey { owner: "backend".into(), key: n.to_string() };
    Outgoing { idempotency: Some(key), ..kept(n) }
}

/// Publishes it, again and again as a backend does; its offset.
async fn surely(bench: &Bench, n: u64) -> u64 {
    let trying = async {
        loop {
            if let Ok(position) = bench.broker.publish(channel("room"), once(n)).await {
                return position.expect("it is kept").offset;
            }
        }
    };
    timeout(PATIENCE, trying).await.expect("it is taken")
}

/// The promise costs a wait for each trip, not for each publication, and nothing where
/// it is not asked for.
#[tokio::test(flavor = "multi_thread")]
async fn what_goes_out_together_is_waited_for_together() {
    const COUNT: u64 = 200;
    let primary = RedisServer::start().await;
    let _replica = replica_of(&primary).await;
    for durability in [Durability::Everysec, Durability::Replica] {
        let bench = Bench::on(demanding(primary.config(), durability)).await;
        let before = waits(&primary).await;
        let broker = Arc::clone(&bench.broker);
        let mut asked = 0;
        // A machine that is busy may keep them for too long.
        let some = async {
            loop {
                let all = (0..COUNT).map(|n| broker.publish(channel("room"), kept(n)));
                asked += COUNT;
                if join_all(all).await.iter().any(Result::is_ok) {
                    break;
                }
            }
        };
        timeout(PATIENCE, some).await.expect("some are taken");
        let waited = waits(&primary).await - before;
        match durability {
            Durability::Replica => assert!((1..asked as usize / 4).contains(&waited), "{waited}"),
            _ => assert_eq!(waited, 0),
        }
    }
}

/// Clients, backends and batches are told alike.
#[tokio::test(flavor = "multi_thread")]
async fn who_publishes_is_told_that_it_may_be_lost() {
    let primary = RedisServer::start().await;
    let replica = replica_of(&primary).await;
    let mut redis = primary.as_node();
    redis["durability"] = "wait:1".into();
    let node = kept_on(redis).await;
    let mut eve = Wire::connected(&node, "eve").await;
    replica.signal(Signal::STOP);
    let publish = json!({ "id": 7, "publish": { "channel": "kept:a", "data": 1 } });
    let answer = ask(&mut eve, publish.clone()).await;
    assert_eq!(answer["error"]["code"], 100, "{answer}");
    assert_eq!(answer["error"]["temporary"], true, "{answer}");
    let one = json!({ "channel": "kept:a", "data": 2 });
    let code = |answer: &Value| answer["error"]["code"].clone();
    let answer = node.api("publish", &one).await.json();
    assert_eq!(code(&answer), 100, "{answer}");
    let batch = json!({ "commands": [{ "publish": one }, { "publish": one }] });
    let answer = node.api("batch", &batch).await.json();
    for reply in answer["replies"].as_array().expect("replies") {
        assert_eq!(code(reply), 100, "{answer}");
    }
    let kind = "sealcast_redis_errors_total{kind=\"replica\"}";
    assert!(node.number(kind) >= 3.0);
    replica.signal(Signal::CONT);
    replica.follows(&primary).await;
    eventually("ready", || super::nodes::is_ready(&node)).await;
    let again = async { while !ask(&mut eve, publish.clone()).await["publish"].is_object() {} };
    timeout(PATIENCE, again).await.expect("it is taken again");
}
