//! Redis comes back with another history than the one that was delivered (F-05).

use std::time::Duration;

use tokio::time::sleep;

use crate::bench::{Bench, NODES, seeds};
use crate::support::redis::RedisServer;

#[tokio::test(flavor = "multi_thread")]
async fn f05_redis_comes_back_empty() {
    comes_back("F-05 Redis back empty", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f05_redis_comes_back_as_it_was_before() {
    comes_back("F-05 Redis back with old snapshot", true).await;
}

async fn comes_back(name: &str, with_snapshot: bool) {
    for seed in seeds() {
        let mut server = RedisServer::start().await;
        let redis = [(); NODES].map(|()| server.as_node());
        let mut bench = Bench::start(name, seed, redis).await;
        if with_snapshot {
            let _: () = server.ask("SAVE").await;
        }
        // Longer than from one heartbeat to the next, and something in every channel.
        bench.goes_on(2_500, 3_000).await;
        let began = bench.now();
        server.kill();
        sleep(Duration::from_secs(1)).await;
        server.start_again().await;
        let ended = bench.now();
        let keys: usize = server.ask("DBSIZE").await;
        bench.goes_on(3_000, 4_000).await;
        let mut run = bench.end(began, ended).await;
        if with_snapshot {
            run.bit(keys > 10, "it has no snapshot");
        }
        run.bit(!run.refusals().is_empty(), "nothing was refused");
        run.holds();
        run.tells_everybody_once();
        run.disconnects_nobody();
        run.is_told_within(10_000);
        run.finish();
    }
}
