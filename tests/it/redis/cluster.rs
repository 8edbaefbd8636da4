//! A cluster whose slots and masters move under the broker.

use std::collections::BTreeMap;
use std::time::Duration;

use sealcast::broker::Outgoing;
use tokio::time::sleep;

use super::start::refusal;
use super::{KEEP, Listener, Publisher, ROOMS, room};
use crate::broker_contract::{Bench, channel, numbered};
use crate::support::cluster::Cluster;
use crate::support::redis::RedisServer;

/// How soon everything must be well after a replica is promoted.
const WELL_WITHIN: Duration = Duration::from_secs(5);

/// The slots of the streams at a master.
async fn slots(master: &RedisServer) -> Vec<u16> {
    let mut slots = Vec::new();
    for key in master.ask::<Vec<String>>("KEYS *:m").await {
        slots.push(master.ask(&format!("CLUSTER KEYSLOT {key}")).await);
    }
    slots
}

/// The first master at which some of the rooms lie, but not all, and how many: where they lie
/// is chance, and one may have none.
async fn some_rooms(cluster: &Cluster) -> (usize, usize) {
    for (at, master) in cluster.masters.iter().enumerate() {
        let rooms = slots(master).await.len();
        if (1..ROOMS).contains(&rooms) {
            return (at, rooms);
        }
    }
    panic!("all rooms lie at one master");
}

/// The slot in which it counts heartbeats.
async fn life(master: &RedisServer) -> u16 {
    let keys: Vec<String> = master.ask("KEYS *:l").await;
    master.ask(&format!("CLUSTER KEYSLOT {}", keys[0])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_that_move_under_traffic_leave_no_hole_that_is_not_told() {
    let cluster = Cluster::start(Duration::from_secs(10)).await;
    let mut bench = Bench::on(cluster.config()).await;
    let mut listener = Listener::start(&bench).await;
    let publisher = Publisher::start(&bench.broker);
    let moving = async {
        publisher.goes_on(200).await;
        let mut moved = 0;
        for from in 0..cluster.masters.len() {
            let master = &cluster.masters[from];
            for slot in [slots(master).await, vec![life(master).await]].concat() {
                let to = (from + 1) % cluster.masters.len();
                cluster.move_keys(slot, from, to).await;
                // What is sent to and fro meanwhile.
                publisher.goes_on(2 * ROOMS).await;
                cluster.move_slot(slot, from, to).await;
                moved += 1;
                publisher.goes_on(5 * ROOMS).await;
            }
        }
        moved
    };
    let moved = listener.during(&mut bench, moving).await;
    assert!(moved >= ROOMS + 3, "each room once, or more often");
    // One that moved again before it was subscribed is told once.
    listener.is_told(&mut bench, ROOMS).await;
    assert_eq!(publisher.failures(), 0, "what is sent elsewhere is done there");
    let published = publisher.stop().await;
    listener.has_within(&mut bench, &published, WELL_WITHIN).await;
    assert!(listener.missed > 0, "the fault did not bite");
}

/// A move that is not brought to its end: the stream is there, who listens is here.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_while_a_slot_is_half_moved_comes_all_the_same() {
    let cluster = Cluster::start(Duration::from_secs(10)).await;
    let mut bench = Bench::on(cluster.config()).await;
    let mut listener = Listener::start(&bench).await;
    let publish = async |bench: &Bench| {
        let mut published = BTreeMap::new();
        for n in 0..ROOMS {
            let kept = Outgoing { keep: Some(KEEP), ..numbered(n as u64) };
            let position = bench.broker.publish(channel(&room(n)), kept).await.unwrap().unwrap();
            published.insert((n, position.offset), n as u64);
        }
        published
    };
    // A stream of which a part is missing cannot be used while its slot moves.
    let before = publish(&bench).await;
    listener.has(&mut bench, &before).await;
    let mut from = 0;
    while slots(&cluster.masters[from]).await.is_empty() {
        from += 1;
    }
    let slot = slots(&cluster.masters[from]).await[0];
    cluster.move_keys(slot, from, (from + 1) % cluster.masters.len()).await;
    let published = publish(&bench).await;
    listener.has(&mut bench, &published).await;
    assert_eq!((listener.gaps, listener.missed), (1, 1), "told, and read");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_master_is_killed_its_replica_is_used_and_gaps_are_told() {
    let mut cluster = Cluster::with_replicas(Duration::from_secs(2), 3).await;
    let mut bench = Bench::on(cluster.config()).await;
    let mut listener = Listener::start(&bench).await;
    let publisher = Publisher::start(&bench.broker);
    listener.during(&mut bench, publisher.goes_on(200)).await;
    let mut published = publisher.stop().await;
    // Only now is there surely something of every room.
    let (at, rooms) = some_rooms(&cluster).await;
    let replica = cluster.replicas.remove(at);
    replica.follows(&cluster.masters[at]).await;
    cluster.masters[at].kill();
    let publisher = Publisher::start(&bench.broker);
    let promoted = replica.says("INFO replication", "role:master");
    listener.during(&mut bench, promoted).await;
    assert!(publisher.failures() > 0, "the fault did not bite");
    listener.is_told(&mut bench, rooms).await;
    let well = async {
        loop {
            let failures = publisher.failures();
            publisher.goes_on(10 * ROOMS).await;
            if publisher.failures() == failures {
                break;
            }
        }
    };
    let well = tokio::time::timeout(WELL_WITHIN, listener.during(&mut bench, well)).await;
    assert!(well.is_ok(), "it does not come back");
    published.extend(publisher.stop().await);
    listener.has_within(&mut bench, &published, WELL_WITHIN).await;
    assert_eq!(listener.gaps, rooms, "no other channel was told anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_of_it_is_killed_and_comes_back_nothing_is_lost() {
    let mut cluster = Cluster::durable(Duration::from_secs(10)).await;
    let mut bench = Bench::on(cluster.config()).await;
    let mut listener = Listener::start(&bench).await;
    let publisher = Publisher::start(&bench.broker);
    let restarting = async {
        publisher.goes_on(200).await;
        for master in &mut cluster.masters {
            master.kill();
        }
        sleep(Duration::from_secs(1)).await;
        let failures = publisher.failures();
        for master in &mut cluster.masters {
            master.start_again().await;
        }
        cluster.stands().await;
        (failures, publisher.goes_on(20 * ROOMS).await)
    };
    let (failures, back) = listener.during(&mut bench, restarting).await;
    assert!(failures > 0, "the fault did not bite");
    assert!(back < WELL_WITHIN, "publishing took {back:?} to come back");
    listener.is_told(&mut bench, ROOMS).await;
    let published = publisher.stop().await;
    listener.has_within(&mut bench, &published, WELL_WITHIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_streams_of_a_master_that_came_back_empty_begin_anew() {
    let mut cluster = Cluster::start(Duration::from_secs(10)).await;
    let bench = Bench::on(cluster.config()).await;
    let mut before = BTreeMap::new();
    for n in 0..ROOMS {
        let kept = Outgoing { keep: Some(KEEP), ..numbered(n as u64) };
        let position = bench.broker.publish(channel(&room(n)), kept).await.unwrap().unwrap();
        before.insert(n, position.epoch);
    }
    let (at, empty) = some_rooms(&cluster).await;
    // Until a heartbeat is counted that the node remembers.
    let count = async || {
        let keys: Vec<String> = cluster.masters[at].ask("KEYS *:l").await;
        cluster.masters[at].ask::<u64>(&format!("HGET {} n", keys[0])).await
    };
    let first = count().await;
    while count().await < first + 2 {
        sleep(Duration::from_millis(50)).await;
    }
    cluster.masters[at].kill();
    cluster.masters[at].start_again().await;
    cluster.stands().await;
    let mut anew = 0;
    for (n, epoch) in before {
        let now = loop {
            let kept = Outgoing { keep: Some(KEEP), ..numbered(100) };
            match bench.broker.publish(channel(&room(n)), kept).await {
                Ok(position) => break position.unwrap(),
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        };
        assert_eq!(now.offset, if now.epoch == epoch { 2 } else { 1 }, "{n}");
        anew += usize::from(now.epoch != epoch);
    }
    assert_eq!(anew, empty);
    let incarnations = cluster.masters[at].ask::<Vec<String>>("KEYS *:l").await;
    let raised: u64 = cluster.masters[at].ask(&format!("HGET {} i", incarnations[0])).await;
    assert_eq!(raised, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_cluster_is_not_taken_for_one() {
    let server = RedisServer::start().await;
    let seed = sealcast::broker::Endpoint::parse(&server.address(), &Default::default()).unwrap();
    let topology = sealcast::broker::Topology::Cluster(vec![seed]);
    let told = refusal(crate::support::redis::config(topology)).await;
    assert!(told.contains("cluster support disabled"), "{told}");
}
