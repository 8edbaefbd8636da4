//! Redis has no room: it refuses to write (F-15), or throws away what it was to keep
//! (F-16).

use serde_json::Value;

use crate::bench::{Bench, NODES, seeds};
use crate::support::redis::RedisServer;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long"]
async fn f15_redis_is_full() {
    for seed in seeds() {
        let server = RedisServer::start().await;
        let mut bench = Bench::start("F-15 Redis full, noeviction", seed, on(&server)).await;
        let began = bench.now();
        set(&server, "maxmemory", "1").await;
        bench.goes_on(6_000, 8_000).await;
        set(&server, "maxmemory", "0").await;
        let ended = bench.now();
        bench.goes_on(2_000, 3_000).await;
        let mut run = bench.end(began, ended).await;
        run.bit(run.refusals().len() > 10, "few publications were refused");
        run.loses_nothing();
        run.disconnects_nobody();
        run.publishes_within(2_000);
        run.catches_up_within(5_000, 5_000, 5_000);
        run.finish();
    }
}

/// A node that finds Redis like that does not start, which is tested with the other
/// checks at the start; here it is set under way. Not by age, as with `allkeys-lru`:
/// keys of retries are the oldest, and nobody misses them.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long"]
async fn f16_redis_evicts() {
    for seed in seeds() {
        let server = RedisServer::start().await;
        let mut bench = Bench::start("F-16 Redis evicts, allkeys", seed, on(&server)).await;
        let began = bench.now();
        set(&server, "maxmemory-policy", "allkeys-random").await;
        for _ in 0..3 {
            // As much as it has now: whatever is written throws something out.
            set(&server, "maxmemory", &used(&server).await.to_string()).await;
            bench.goes_on(1_500, 2_000).await;
        }
        set(&server, "maxmemory", "0").await;
        set(&server, "maxmemory-policy", "noeviction").await;
        let ended = bench.now();
        // Behind the end a position that does not fit is found by the next check.
        bench.goes_on(14_000, 15_000).await;
        let evicted = stat(&server, "evicted_keys:").await;
        let mut run = bench.end(began, ended).await;
        run.bit(evicted > 10, "nothing was thrown away");
        run.bit(run.told() + run.sent_away() > 0, "nobody had to be told");
        run.is_never_silent();
        run.disconnects_nobody();
        run.finish();
    }
}

fn on(server: &RedisServer) -> [Value; NODES] {
    [(); NODES].map(|()| server.as_node())
}

async fn set(server: &RedisServer, option: &str, value: &str) {
    let _: () = server.ask_words(&["CONFIG", "SET", option, value]).await;
}

async fn used(server: &RedisServer) -> u64 {
    stat(server, "used_memory:").await
}

async fn stat(server: &RedisServer, name: &str) -> u64 {
    let info: String = server.ask("INFO everything").await;
    let line = info.lines().find_map(|line| line.strip_prefix(name)).expect("Redis says so");
    line.trim().parse().unwrap()
}
