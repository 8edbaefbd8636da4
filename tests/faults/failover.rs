//! A primary dies, and the sentinel promotes a replica that has not everything (F-24).

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::sleep;

use crate::bench::{Bench, NODES, seeds};
use crate::support::redis::RedisServer;
use crate::support::sentinel::Watched;

#[tokio::test(flavor = "multi_thread")]
async fn f24_a_failover_loses_what_was_acknowledged_and_everybody_is_told() {
    for seed in seeds() {
        let mut watched = Watched::with_replica().await;
        let redis = [(); NODES].map(|()| watched.as_node());
        let mut bench = Bench::start("F-24 failover, replica paused", seed, redis).await;
        let replica = watched.replica.take().unwrap();
        let began = bench.now();
        let (acked, _) = bench.answers();
        replica.signal(Signal::STOP);
        let _: usize = watched.primary.ask("CLIENT KILL TYPE replica").await;
        // Longer than from one heartbeat to the next.
        bench.goes_on(2_000, 3_000).await;
        let missed = bench.answers().0 - acked;
        watched.primary.kill();
        sleep(Duration::from_millis(100)).await;
        replica.signal(Signal::CONT);
        replica.says("INFO replication", "role:master").await;
        let ended = bench.now();
        bench.goes_on(3_000, 4_000).await;
        let mut run = bench.end(began, ended).await;
        run.bit(missed > 20, "the replica has everything");
        run.bit(run.told() > 0, "nobody had to be told");
        run.holds();
        run.tells_everybody_once();
        run.disconnects_nobody();
        run.publishes_within(5_000);
        run.finish();
    }
}

/// As before, but publications count only when the replica has them: what was
/// acknowledged is there, whoever is the primary then.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long"]
async fn f24_with_wait_1_a_failover_loses_nothing_that_was_acknowledged() {
    for seed in seeds() {
        let mut watched = Watched::with_replica().await;
        let redis = [(); NODES].map(|()| {
            let mut node = watched.as_node();
            node["durability"] = "wait:1".into();
            node
        });
        let mut bench = Bench::start("F-24 failover, wait:1", seed, redis).await;
        let replica = watched.replica.take().unwrap();
        let began = bench.now();
        replica.signal(Signal::STOP);
        let _: usize = watched.primary.ask("CLIENT KILL TYPE replica").await;
        // Answers that are on their way arrive.
        bench.goes_on(1_000, 1_500).await;
        let (acked, refused) = bench.answers();
        bench.goes_on(2_000, 3_000).await;
        let (acked_alone, refused_alone) = bench.answers();
        let (written, alone_until) = (entries(&watched.primary).await, bench.now());
        watched.primary.kill();
        sleep(Duration::from_millis(100)).await;
        replica.signal(Signal::CONT);
        let kept = entries(&replica).await;
        // At once, not after some seconds in case others want a copy as well.
        let _: () = replica.ask("CONFIG SET repl-diskless-sync-delay 0").await;
        replica.says("INFO replication", "role:master").await;
        // Without a replica of its own nothing is acknowledged by the new one either.
        watched.primary.start_again().await;
        let follow = format!("REPLICAOF 127.0.0.1 {}", replica.port);
        let _: () = watched.primary.ask(&follow).await;
        replica.says("INFO replication", "state=online").await;
        let ended = bench.now();
        bench.goes_on(3_000, 4_000).await;
        let mut run = bench.end(began, ended).await;
        run.bit(written > kept + 20, "the replica has everything");
        run.bit(refused_alone > refused + 20, "no publication was refused");
        let alone = acked_alone - acked;
        run.must(alone == 0, format!("{alone} were acknowledged without a replica"));
        let acked = run.acked_until(alone_until);
        run.must(kept >= acked, format!("{acked} were acknowledged, and {kept} are there"));
        run.bit(run.told() > 0, "nobody had to be told");
        run.holds();
        run.tells_everybody_once();
        run.disconnects_nobody();
        run.publishes_within(5_000);
        run.finish();
    }
}

/// Publications that all its streams hold.
async fn entries(server: &RedisServer) -> usize {
    let mut all = 0;
    for stream in server.ask::<Vec<String>>("KEYS *:s").await {
        all += server.ask::<usize>(&format!("XLEN {stream}")).await;
    }
    all
}
