//! Somebody is killed: a node (F-01), or Redis, which comes back with everything (F-03);
//! and nobody is, which shows what the others are measured against.

use std::time::Duration;

use tokio::time::sleep;

use crate::bench::{Bench, NODES, seeds};
use crate::checker::Ms;
use crate::support::redis::RedisServer;

#[tokio::test(flavor = "multi_thread")]
async fn f00_nothing_happens() {
    for seed in seeds() {
        let server = RedisServer::start().await;
        let redis = [(); NODES].map(|()| server.as_node());
        let mut bench = Bench::start("F-00 none", seed, redis).await;
        let began = bench.now();
        bench.goes_on(2_000, 3_000).await;
        let ended = bench.now();
        let mut run = bench.end(began, ended).await;
        run.bit(run.acked_meanwhile() > 50, "nothing was published");
        run.loses_nothing();
        run.disconnects_nobody();
        run.must_unless_stalled(run.refusals().is_empty(), "publications were refused");
        run.must_unless_stalled(
            run.number("sealcast_gaps_total") == 0.0,
            "somebody was thought to miss something",
        );
        run.finish();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f01_a_node_is_killed() {
    for seed in seeds() {
        let server = RedisServer::start().await;
        let mut bench =
            Bench::start("F-01 node killed", seed, [(); NODES].map(|()| server.as_node())).await;
        let began = bench.now();
        bench.kill(seed as usize % NODES).await;
        let ended = bench.now();
        bench.goes_on(3_000, 4_000).await;
        let mut run = bench.end(began, ended).await;
        run.bit(run.lost_connections() > 10, "few connections were cut");
        run.loses_nothing();
        run.catches_up_within(3_000, 12_000, 30_000);
        run.finish();
    }
}

/// What a node said of its clients does not outlive it for long.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long"]
async fn f01_presence_of_the_killed_ends() {
    const WITHIN: Ms = 60_000;
    for seed in seeds() {
        let server = RedisServer::start().await;
        let redis = [(); NODES].map(|()| server.as_node());
        let mut bench = Bench::start("F-01 presence after a kill", seed, redis).await;
        let before = bench.present(1).await;
        let began = bench.now();
        bench.kill(0).await;
        let (mut most, mut ends) = (0, None);
        while ends.is_none() && bench.now() < began + 2 * WITHIN {
            bench.goes_on(400, 600).await;
            let present = bench.present(1).await;
            most = most.max(present);
            // They came back elsewhere, and then what they had been is forgotten. Some come
            // and go, but there are never more than all.
            if most > before && present <= bench.subscribers() {
                ends = Some(bench.now());
            }
        }
        let mut run = bench.end(began, ends.unwrap_or(began + 2 * WITHIN)).await;
        run.bit(most > before + 5, "nobody was present twice");
        let after = ends.map(|ends| ends - began);
        run.must(after.is_some_and(|after| after < run.allowed(WITHIN)), format!("{after:?} ms"));
        run.loses_nothing();
        run.finish();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f03_redis_is_killed_and_comes_back() {
    for seed in seeds() {
        let mut server = RedisServer::durable().await;
        let mut bench =
            Bench::start("F-03 Redis killed, AOF", seed, [(); NODES].map(|()| server.as_node()))
                .await;
        let began = bench.now();
        server.kill();
        sleep(Duration::from_secs(2)).await;
        server.start_again().await;
        let ended = bench.now();
        bench.goes_on(2_000, 3_000).await;
        let mut run = bench.end(began, ended).await;
        run.bit(!run.refusals().is_empty(), "nothing was refused");
        run.bit(run.number("sealcast_gaps_total") > 0.0, "no gap was noticed");
        run.loses_nothing();
        run.disconnects_nobody();
        run.publishes_within(2_000);
        run.catches_up_within(5_000, 5_000, 5_000);
        run.finish();
    }
}
