//! A primary dies, and the sentinel promotes a replica that has not everything (F-24).

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::sleep;

use crate::bench::{Bench, NODES, seeds};
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
