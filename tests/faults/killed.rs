//! Somebody is killed: a node (F-01), or Redis, which comes back with everything (F-03).

use std::time::Duration;

use tokio::time::sleep;

use crate::bench::{Bench, NODES, seeds};
use crate::support::redis::RedisServer;

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
