//! A run: nodes behind one address, the workload, a fault, and what is to hold.

mod run;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::balancer::Balancer;
use crate::checker::{Log, Ms, check};
use crate::crowd::{Clock, Crowd, Size, count_present, read_stream};
use crate::support::http::ask;
use crate::support::node::number;
use crate::support::process::Process;

pub(crate) use run::Run;

pub(crate) const NODES: usize = 3;
/// How long everybody goes on after the nodes are well again.
const AFTER: Duration = Duration::from_secs(1);
/// How long it may take until they are: what is longer ends a run.
const WELL_WITHIN: Duration = Duration::from_secs(40);

/// With which seeds.
pub(crate) fn seeds() -> Vec<u64> {
    let seeds = std::env::var("FAULT_SEEDS").unwrap_or_else(|_| "1".into());
    seeds.split(',').map(|seed| seed.trim().parse().expect("FAULT_SEEDS: numbers")).collect()
}

/// Three nodes and everybody who uses them.
pub(crate) struct Bench {
    name: String,
    seed: u64,
    clock: Clock,
    /// None if it was killed.
    nodes: Vec<Option<Process>>,
    balancer: Balancer,
    crowd: Crowd,
    random: StdRng,
    lag: Arc<AtomicU64>,
}

impl Bench {
    /// Of the usual size; `redis` is how each node's configuration says where that is.
    pub(crate) async fn start(name: &str, seed: u64, redis: [Value; NODES]) -> Bench {
        Bench::of(Size::usual(), name, seed, redis).await
    }

    pub(crate) async fn of(size: Size, name: &str, seed: u64, redis: [Value; NODES]) -> Bench {
        let clock = Clock::start();
        let starting = redis.map(|redis| spawn_blocking(|| Process::serve(options(redis))));
        let nodes: Vec<Process> =
            join_all(starting).await.into_iter().map(|node| node.expect("it starts")).collect();
        let addresses: Vec<SocketAddr> = nodes.iter().map(|node| node.public).collect();
        let balancer = Balancer::start(&addresses, clock).await;
        let began = Instant::now();
        while !(0..NODES).all(|node| balancer.is_ready(node)) {
            assert!(began.elapsed() < WELL_WITHIN, "the nodes do not become ready");
            sleep(Duration::from_millis(20)).await;
        }
        let crowd = Crowd::start(size, seed, clock, balancer.address, addresses).await;
        let lag = Arc::new(AtomicU64::new(0));
        tokio::spawn(measure_lag(Arc::clone(&lag)));
        let mut bench = Bench {
            name: name.into(),
            seed,
            clock,
            nodes: nodes.into_iter().map(Some).collect(),
            balancer,
            crowd,
            random: StdRng::seed_from_u64(seed),
            lag,
        };
        // Faults begin at another moment with each seed.
        bench.goes_on(1_000, 2_000).await;
        bench
    }

    pub(crate) fn now(&self) -> Ms {
        self.clock.now()
    }

    /// Everybody goes on for a while that the seed chooses, milliseconds.
    pub(crate) async fn goes_on(&mut self, least: Ms, most: Ms) {
        let time = self.random.random_range(least..=most);
        sleep(Duration::from_millis(time)).await;
    }

    /// `kill -9`.
    pub(crate) async fn kill(&mut self, node: usize) {
        let node = self.nodes[node].take().expect("it lives");
        node.signal(Signal::KILL);
        assert_eq!(node.ended().await.code, None, "the signal ended it");
    }

    pub(crate) fn node(&self, node: usize) -> &Process {
        self.nodes[node].as_ref().expect("it lives")
    }

    /// Publications that were acknowledged so far, and that were not.
    pub(crate) fn answers(&self) -> (usize, usize) {
        let shared = &self.crowd.shared;
        (shared.acked.load(Ordering::Relaxed), shared.refused.load(Ordering::Relaxed))
    }

    /// How many subscriptions this node says there are, in all channels.
    pub(crate) async fn present(&self, node: usize) -> u64 {
        let mut present = 0;
        for channel in 0..self.crowd.shared.channels() {
            present += count_present(self.node(node).public, channel).await;
        }
        present
    }

    /// How many there are at most, if no one is counted twice.
    pub(crate) fn subscribers(&self) -> u64 {
        self.crowd.shared.subscribers()
    }

    /// A number of a node, summed over its labels.
    pub(crate) async fn number(&self, node: usize, selector: &str) -> f64 {
        number(&metrics(self.node(node)).await, selector)
    }

    /// The fault is over: everybody goes on until the nodes have been well for a
    /// while, then comes to an end, and the checker looks.
    pub(crate) async fn end(self, began: Ms, ended: Ms) -> Run {
        let Bench { name, seed, clock, nodes, balancer, crowd, lag, .. } = self;
        let alive: Vec<usize> = (0..NODES).filter(|at| nodes[*at].is_some()).collect();
        let mut complaints = Vec::new();
        let waiting = Instant::now();
        while !alive.iter().all(|node| balancer.is_ready(*node)) {
            if waiting.elapsed() > WELL_WITHIN {
                complaints.push("a node does not become ready".to_owned());
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
        sleep(AFTER).await;
        let lives: Vec<&Process> = nodes.iter().flatten().collect();
        let shared = Arc::clone(&crowd.shared);
        let lost = shared.lost.lock().clone();
        let entry = lives[0].public;
        let (published, lineages) = crowd.end(entry).await;
        let mut log = Log { published, lineages, streams: Vec::new() };
        for channel in 0..shared.channels() {
            log.streams.push(read_stream(&shared, entry, channel).await);
        }
        let mut numbers = Vec::new();
        for node in &lives {
            let rendered = metrics(node).await;
            if number(&rendered, "sealcast_panics_total") > 0.0 {
                complaints.push("a panic".to_owned());
            }
            numbers.push(rendered);
        }
        let logs = lives.iter().map(|node| node.log()).collect();
        Run {
            name,
            seed,
            began,
            ended,
            over: clock.now(),
            verdict: check(&log),
            log,
            lost,
            balancer,
            numbers,
            logs,
            lag: lag.load(Ordering::Relaxed),
            elsewhere: None,
            excused: 0,
            complaints,
        }
    }
}

/// A node with the namespace `kept`, on this Redis.
fn options(redis: Value) -> Value {
    let namespace = json!({
        "name": "kept",
        "allow_subscribe_for_client": true,
        "allow_publish_for_client": true,
        "history_size": 10_000,
        "history_ttl": "10m",
        "force_recovery": true,
        "presence": true,
    });
    json!({
        "engine": { "type": "redis", "redis": redis },
        "cluster": { "key": "a-cluster-key-for-tests-0123456789" },
        "channel": { "namespaces": [namespace] },
    })
}

async fn metrics(node: &Process) -> String {
    let request = "GET /metrics HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n";
    ask(node.metrics, request).await.text().to_owned()
}

/// How late a timer was at most, milliseconds: what a loaded machine takes from
/// everybody.
async fn measure_lag(lag: Arc<AtomicU64>) {
    const EACH: Duration = Duration::from_millis(50);
    loop {
        let began = Instant::now();
        sleep(EACH).await;
        let late = began.elapsed().saturating_sub(EACH).as_millis() as u64;
        lag.fetch_max(late, Ordering::Relaxed);
    }
}
