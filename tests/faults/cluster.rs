//! Redis Cluster: a master is killed, slots move, and all of it restarts.

use std::time::Duration;

use tokio::time::sleep;

use crate::bench::{Bench, NODES, seeds};
use crate::support::cluster::Cluster;

/// So long a master is silent before its replica takes its place.
const SILENT: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long"]
async fn a_master_is_killed_and_its_replica_takes_its_place() {
    for seed in seeds() {
        let mut cluster = Cluster::with_replicas(SILENT, 1).await;
        let redis = [(); NODES].map(|()| cluster.as_node());
        let mut bench = Bench::start("Cluster: master killed", seed, redis).await;
        let began = bench.now();
        // What it took and has not passed on yet may be lost, and then is told.
        cluster.masters[0].kill();
        cluster.replicas[0].says("INFO replication", "role:master").await;
        let ended = bench.now();
        bench.goes_on(4_000, 5_000).await;
        let mut run = bench.end(began, ended).await;
        run.bit(run.refusals().len() > 5, "few publications were refused");
        run.holds();
        run.tells_nobody_twice();
        run.disconnects_nobody();
        run.catches_up_within(5_000, 5_000, 5_000);
        run.finish();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long"]
async fn slots_move_under_load() {
    for seed in seeds() {
        let cluster = Cluster::start(Duration::from_secs(10)).await;
        let redis = [(); NODES].map(|()| cluster.as_node());
        let mut bench = Bench::start("Cluster: slots moved", seed, redis).await;
        let began = bench.now();
        let mut moved = 0;
        for from in 0..cluster.masters.len() {
            let to = (from + 1) % cluster.masters.len();
            let mut slots = Vec::new();
            for key in cluster.masters[from].ask::<Vec<String>>("KEYS *:m").await {
                slots.push(cluster.masters[from].ask(&format!("CLUSTER KEYSLOT {key}")).await);
            }
            for slot in slots.into_iter().take(3) {
                cluster.move_slot(slot, from, to).await;
                moved += 1;
                bench.goes_on(300, 600).await;
            }
        }
        let ended = bench.now();
        let mut run = bench.end(began, ended).await;
        run.bit(moved >= 3, "few slots moved");
        run.bit(run.number("sealcast_gaps_total") > 0.0, "no gap was noticed");
        run.loses_nothing();
        run.disconnects_nobody();
        run.catches_up_within(5_000, 5_000, 5_000);
        run.finish();
    }
}

/// Without persistence: it comes back with its slots, and empty.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long"]
async fn the_whole_cluster_restarts() {
    for seed in seeds() {
        let mut cluster = Cluster::start(Duration::from_secs(10)).await;
        let redis = [(); NODES].map(|()| cluster.as_node());
        let mut bench = Bench::start("Cluster: all restarted, empty", seed, redis).await;
        bench.goes_on(2_000, 3_000).await;
        let began = bench.now();
        for master in &mut cluster.masters {
            master.kill();
        }
        sleep(Duration::from_secs(1)).await;
        for master in &mut cluster.masters {
            master.start_again().await;
        }
        for master in &cluster.masters {
            master.says("CLUSTER INFO", "cluster_state:ok").await;
        }
        let ended = bench.now();
        bench.goes_on(4_000, 5_000).await;
        let mut run = bench.end(began, ended).await;
        run.bit(!run.refusals().is_empty(), "nothing was refused");
        run.holds();
        run.tells_everybody_once();
        run.disconnects_nobody();
        run.is_told_within(10_000);
        run.publishes_within(5_000);
        run.finish();
    }
}
