//! Whole nodes where Redis is more than one server: one of them dies, and no client
//! loses anything or is told anything.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::nodes::{LAST, check, is_ready, kept_on, publish, read_all, subscribe};
use crate::support::client::Wire;
use crate::support::cluster::Cluster;
use crate::support::eventually;
use crate::support::node::TestNode;
use crate::support::redis::RedisServer;
use crate::support::sentinel::Watched;

/// How soon everything must be well after a replica is promoted.
const WELL_WITHIN: Duration = Duration::from_secs(5);
/// What is published in each part of the story at least.
const MANY: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn when_a_master_of_a_cluster_dies_clients_lose_nothing() {
    let mut cluster = Cluster::with_replicas(Duration::from_secs(2), 3).await;
    let mut story = Story::begin(cluster.as_node()).await;
    let mut at = 0;
    while cluster.masters[at].ask::<Vec<String>>("KEYS *:s").await.is_empty() {
        at += 1;
    }
    cluster.replicas[at].follows(&cluster.masters[at]).await;
    cluster.masters[at].kill();
    story.goes_on_with(&cluster.replicas[at]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_watched_primary_dies_clients_lose_nothing() {
    let mut watched = Watched::with_replica().await;
    let mut story = Story::begin(watched.as_node()).await;
    let replica = watched.replica.take().unwrap();
    replica.follows(&watched.primary).await;
    watched.primary.kill();
    story.goes_on_with(&replica).await;
}

/// A connection, and the offsets and numbers that came by it.
type Read = (Wire, Vec<(u64, u64)>);

/// Who is subscribed at one node hears what is published at another.
struct Story {
    nodes: [TestNode; 2],
    reading: Option<JoinHandle<Read>>,
    publisher: Wire,
    acknowledged: BTreeSet<u64>,
    next: u64,
}

impl Story {
    async fn begin(redis: Value) -> Story {
        let nodes = [kept_on(redis.clone()).await, kept_on(redis).await];
        let mut ada = Wire::connected(&nodes[0], "ada").await;
        subscribe(&mut ada).await;
        let reading = Some(tokio::spawn(read_all(ada)));
        let publisher = Wire::connected(&nodes[1], "eve").await;
        let acknowledged = BTreeSet::new();
        let mut story = Story { nodes, reading, publisher, acknowledged, next: 1 };
        for _ in 0..MANY {
            assert!(story.publish().await);
        }
        story
    }

    /// The primary has been killed, and this one takes its place.
    async fn goes_on_with(&mut self, replica: &RedisServer) {
        let mut failed = 0;
        let promoted = replica.says("INFO replication", "role:master");
        let mut promoted = std::pin::pin!(promoted);
        loop {
            let once = timeout(Duration::from_millis(20), &mut promoted).await;
            failed += usize::from(!self.publish().await);
            if once.is_ok() {
                break;
            }
        }
        assert!(failed > 0, "the fault did not bite");
        let began = Instant::now();
        while !self.publish().await || !self.nodes.iter().all(is_ready) {
            assert!(began.elapsed() < WELL_WITHIN, "it does not come back");
            sleep(Duration::from_millis(20)).await;
        }
        for _ in 0..MANY {
            assert!(self.publish().await);
        }
        assert!(publish(&mut self.publisher, LAST).await);
        let reading = self.reading.take().expect("it goes on once");
        let all = timeout(WELL_WITHIN, reading).await.expect("everything comes").unwrap();
        let (_ada, got) = all;
        check(&got, &self.acknowledged);
        let here = &self.nodes[0];
        assert!(here.number("sealcast_gaps_total") >= 1.0, "no gap was noticed");
        assert_eq!(here.number("sealcast_gap_repairs_total{result=\"lost\"}"), 0.0);
        assert_eq!(here.number("sealcast_connections"), 1.0);
        eventually("up", || here.number("sealcast_redis_up") == 1.0).await;
    }

    async fn publish(&mut self) -> bool {
        let n = self.next;
        self.next += 1;
        let done = publish(&mut self.publisher, n).await;
        if done {
            self.acknowledged.insert(n);
        }
        done
    }
}
