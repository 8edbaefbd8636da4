//! Presence of many.

use futures_util::future::join_all;
use sealcast::broker::PresenceStats;

use super::stored::who;
use crate::broker_contract::{Bench, channel};
use crate::support::redis::RedisServer;

const MANY: usize = 10_000;

/// How often Redis has carried out a command.
async fn calls(server: &RedisServer, command: &str) -> u64 {
    let stats: String = server.ask("INFO commandstats").await;
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:")));
    let calls = line.and_then(|line| line.strip_prefix("calls=")?.split(',').next()?.parse().ok());
    calls.unwrap_or(0)
}

/// What is asked each time costs the same however many are there.
#[tokio::test(flavor = "multi_thread")]
async fn counting_ten_thousand_reads_none_of_them() {
    let server = RedisServer::start().await;
    let bench = Bench::on(server.config()).await;
    for group in 0..MANY / 500 {
        let enter = |n: usize| {
            let n = group * 500 + n;
            let who = who(&format!("user-{}", n % 4_000), &format!("client-{n}"));
            bench.broker.enter(channel("room"), who)
        };
        let entered = join_all((0..500).map(enter)).await;
        assert!(entered.iter().all(Result::is_ok));
    }
    let stats = bench.broker.presence_stats(channel("room")).await.unwrap();
    assert_eq!(stats, PresenceStats { clients: MANY, users: 4_000 });
    let all = ["hlen", "hgetall", "hkeys", "hvals", "hscan", "zrange", "zcard"];
    let mut before = Vec::new();
    for command in all {
        before.push(calls(&server, command).await);
    }
    for _ in 0..5 {
        bench.broker.presence_stats(channel("room")).await.unwrap();
    }
    for (command, before) in all.iter().zip(before) {
        let more = calls(&server, command).await - before;
        let expected = if *command == "hlen" { 10 } else { 0 };
        assert_eq!(more, expected, "{command}");
    }
}
