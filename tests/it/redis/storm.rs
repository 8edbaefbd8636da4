//! Whole nodes and their clients while Redis breaks in every way at a random moment,
//! and a checker of what they saw. `CHURN_SEEDS` says how many runs, from seed 1 on.
//! A seed fixes what is tried and when, not how it falls together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::Signal;
use tokio::time::{Instant, sleep, timeout};

use self::checker::Heard;
use self::crowd::Crowd;
use super::nodes::{is_ready, kept_on, node, node_at};
use crate::support::node::TestNode;
use crate::support::proxy::{Passes, Proxy};
use crate::support::redis::RedisServer;
use crate::support::sentinel::Watched;

mod checker;
mod crowd;

/// How soon everything must be well after a fault has ended.
const WELL_WITHIN: Duration = Duration::from_secs(5);
/// How soon a node says that it is not well, with what a loaded machine needs.
const SAID_WITHIN: Duration = Duration::from_millis(3_500);
/// Bytes with which a publication does not fit into what Redis holds for a client
/// before it counts.
const LONG: usize = 20_000;

/// Between the first node and Redis, or to Redis itself, which both nodes use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// F-03.
    Killed,
    /// F-06.
    Frozen,
    /// F-07.
    SubscribersKilled,
    /// F-08.
    CutOff,
    /// What is published does not come, and everything else works.
    Deaf,
    /// Redis ends connections that do not take what they are sent in time.
    Overrun,
    /// F-15.
    Full,
    /// F-16.
    Evicted,
    /// F-22.
    Truncated,
}

const FAULTS: [Fault; 9] = [
    Fault::Killed,
    Fault::Frozen,
    Fault::SubscribersKilled,
    Fault::CutOff,
    Fault::Deaf,
    Fault::Overrun,
    Fault::Full,
    Fault::Evicted,
    Fault::Truncated,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_breaks_nobody_loses_anything_without_being_told() {
    for seed in 1..=seeds() {
        join_all(FAULTS.map(|fault| run(fault, seed))).await;
    }
}

/// F-24: what was acknowledged may be lost, and then everybody is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failover_that_loses_what_was_acknowledged_is_never_silent() {
    for seed in 1..=seeds() {
        let mut watched = Watched::with_replica().await;
        let nodes = [kept_on(watched.as_node()).await, kept_on(watched.as_node()).await];
        let crowd = Crowd::at(&nodes, seed, 0).await;
        let mut random = StdRng::seed_from_u64(seed);
        sleep(Duration::from_millis(random.random_range(200..500))).await;
        let replica = watched.replica.take().unwrap();
        replica.signal(Signal::STOP);
        let _: usize = watched.primary.ask("CLIENT KILL TYPE replica").await;
        // Longer than from one heartbeat to the next.
        sleep(Duration::from_millis(random.random_range(1_500..2_500))).await;
        watched.primary.kill();
        replica.signal(Signal::CONT);
        replica.says("INFO replication", "role:master").await;
        let told = settle(crowd, &nodes, &format!("seed {seed} lossy failover")).await;
        assert!(told > 0, "the fault did not bite");
    }
}

/// F-22: what comes may be wrong while bits are, because nothing is sealed yet. But no
/// part of a node dies, nobody is disconnected, and all is well behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn flipped_bits_kill_nothing_and_leave_nothing_behind() {
    for seed in 1..=seeds() {
        let server = RedisServer::durable().await;
        let proxy = Proxy::start(server.address()).await;
        let nodes = [node_at(&proxy.address.to_string()).await, node(&server).await];
        let crowd = Crowd::at(&nodes, seed, 0).await;
        let mut random = StdRng::seed_from_u64(seed);
        sleep(Duration::from_millis(random.random_range(200..500))).await;
        proxy.set(Passes::Flipped);
        sleep(Duration::from_millis(random.random_range(2_000..4_000))).await;
        proxy.set(Passes::All);
        assert!(proxy.swallowed() > 0, "the fault did not bite");
        let facts = format!("seed {seed} flipped bits");
        well_again(&crowd, &nodes, &facts).await;
        drop(timeout(WELL_WITHIN, crowd.end(&nodes[0])).await.expect("everybody hears again"));
        // Those who come now have what is right, and nothing else.
        let crowd = Crowd::at(&nodes, seed, 0).await;
        sleep(Duration::from_millis(500)).await;
        settle(crowd, &nodes, &facts).await;
    }
}

fn seeds() -> u64 {
    std::env::var("CHURN_SEEDS").map_or(1, |seeds| seeds.parse().unwrap())
}

async fn run(fault: Fault, seed: u64) {
    let mut server = RedisServer::durable().await;
    let proxy = Proxy::start(server.address()).await;
    let nodes = [node_at(&proxy.address.to_string()).await, node(&server).await];
    let bytes = if fault == Fault::Overrun { LONG } else { 0 };
    let crowd = Crowd::at(&nodes, seed, bytes).await;
    let mut random = StdRng::seed_from_u64(seed << 8 | fault as u64);
    sleep(Duration::from_millis(random.random_range(300..1_000))).await;
    let refused = crowd.shared.refused.load(Ordering::Relaxed);
    match fault {
        Fault::Killed => {
            server.kill();
            sleep(Duration::from_secs(2)).await;
            server.start_again().await;
        }
        Fault::Frozen => {
            server.signal(Signal::STOP);
            lasts(&nodes).await;
            server.signal(Signal::CONT);
        }
        Fault::SubscribersKilled => {
            for _ in 0..5 {
                let _: usize = server.ask("CLIENT KILL TYPE pubsub").await;
                sleep(Duration::from_millis(random.random_range(300..1_200))).await;
            }
        }
        Fault::CutOff => {
            proxy.set(Passes::Nothing);
            lasts(&nodes[..1]).await;
            proxy.set(Passes::All);
        }
        Fault::Deaf => {
            proxy.set(Passes::NoPushes);
            lasts(&nodes[..1]).await;
            proxy.set(Passes::All);
        }
        Fault::Overrun => {
            set(&server, "client-output-buffer-limit", "pubsub 1 0 0").await;
            sleep(Duration::from_millis(random.random_range(500..2_500))).await;
            set(&server, "client-output-buffer-limit", "pubsub 33554432 8388608 60").await;
        }
        Fault::Full => {
            set(&server, "maxmemory", "1").await;
            sleep(Duration::from_millis(random.random_range(500..2_500))).await;
            set(&server, "maxmemory", "0").await;
        }
        Fault::Evicted => {
            let keys: Vec<String> = server.ask("KEYS *:m").await;
            let key = &keys[random.random_range(0..keys.len())];
            let _: usize = server.ask(&format!("DEL {key}")).await;
        }
        Fault::Truncated => {
            proxy.set(Passes::Half);
            sleep(Duration::from_millis(random.random_range(500..2_500))).await;
            proxy.set(Passes::All);
        }
    }
    let refused = crowd.shared.refused.load(Ordering::Relaxed) - refused;
    let told = settle(crowd, &nodes, &format!("seed {seed} {fault:?}")).await;
    let reconnects = || nodes[0].number("sealcast_pubsub_reconnects_total");
    let bitten = match fault {
        Fault::Killed | Fault::Frozen | Fault::CutOff | Fault::Full => refused > 0,
        Fault::SubscribersKilled | Fault::Overrun => reconnects() >= 1.0,
        Fault::Deaf | Fault::Truncated => proxy.swallowed() > 0,
        Fault::Evicted => told > 0,
    };
    assert!(bitten, "{fault:?} did not bite");
    if fault != Fault::Evicted {
        assert_eq!(told, 0, "{fault:?}: everything could be had");
    }
}

/// A fault that lasts so long that those nodes must say that they are not well.
async fn lasts(nodes: &[TestNode]) {
    let began = Instant::now();
    while nodes.iter().any(is_ready) {
        assert!(began.elapsed() < SAID_WITHIN, "it says that it is well");
        sleep(Duration::from_millis(10)).await;
    }
    sleep(Duration::from_secs(5).saturating_sub(began.elapsed())).await;
}

/// The fault has ended: all is well in time, and nobody misses anything. How often
/// somebody was told otherwise.
async fn settle(crowd: Crowd, nodes: &[TestNode], facts: &str) -> usize {
    let well = well_again(&crowd, nodes, facts).await;
    let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    let (acked, refused) = (count(&crowd.shared.acked), count(&crowd.shared.refused));
    let end = timeout(WELL_WITHIN, crowd.end(&nodes[0])).await;
    let (published, lineages) = end.unwrap_or_else(|_| panic!("{facts}: something never comes"));
    let heard = || lineages.iter().flat_map(|lineage| &lineage.heard);
    let told = heard().filter(|heard| matches!(heard, Heard::Told { .. })).count();
    eprintln!(
        "{facts}: {acked} acknowledged, {refused} refused, {} deliveries, {told} told, well \
         again after {} ms",
        heard().count(),
        well.as_millis()
    );
    let violations = checker::check(&published, &lineages);
    let first: Vec<_> = violations.iter().take(10).collect();
    assert!(violations.is_empty(), "{facts}: {} faults: {first:#?}", violations.len());
    told
}

/// Waits until every node is ready and publications are acknowledged; how long that was.
async fn well_again(crowd: &Crowd, nodes: &[TestNode], facts: &str) -> Duration {
    let ended = Instant::now();
    let acked = || crowd.shared.acked.load(Ordering::Relaxed);
    let first = acked();
    while !nodes.iter().all(is_ready) || acked() < first + 20 {
        assert!(ended.elapsed() < WELL_WITHIN, "{facts}: it is not well again");
        sleep(Duration::from_millis(10)).await;
    }
    ended.elapsed()
}

async fn set(server: &RedisServer, option: &str, value: &str) {
    let _: () = server.ask_words(&["CONFIG", "SET", option, value]).await;
}
