//! Redis is away for longer, and comes back as it was: killed (F-04), or frozen (F-06).

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::sleep;

use crate::bench::{Bench, NODES, Run, seeds};
use crate::checker::Ms;
use crate::support::redis::RedisServer;

/// A publication is refused so soon while Redis is away, and then at once.
const REFUSED_WITHIN: Ms = 600;
/// How much more memory a node may take meanwhile, KiB.
const MORE_MEMORY: u64 = 64 << 10;
/// How many more tasks.
const MORE_TASKS: f64 = 300.0;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long"]
async fn f04_redis_is_away_for_20_seconds() {
    for seed in seeds() {
        let mut server = RedisServer::durable().await;
        let mut bench = Bench::start("F-04 Redis away 20 s", seed, on(&server)).await;
        let before = Held::by(&bench).await;
        let began = bench.now();
        server.kill();
        sleep(Duration::from_secs(20)).await;
        let meanwhile = Held::by(&bench).await;
        server.start_again().await;
        let ended = bench.now();
        bench.goes_on(3_000, 4_000).await;
        let mut run = bench.end(began, ended).await;
        run.bit(run.refusals().len() > 100, "few publications were refused");
        refuses_in_time(&mut run);
        refuses_at_once(&mut run);
        meanwhile.is_like(&before, &mut run);
        is_well_again(&mut run);
        run.finish();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f06_redis_is_frozen_for_5_seconds() {
    is_frozen("F-06 Redis frozen 5 s", Duration::from_millis(5_500)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long"]
async fn f06_redis_is_frozen_for_15_seconds() {
    is_frozen("F-06 Redis frozen 15 s", Duration::from_secs(15)).await;
}

async fn is_frozen(name: &str, time: Duration) {
    for seed in seeds() {
        let server = RedisServer::start().await;
        let mut bench = Bench::start(name, seed, on(&server)).await;
        let before = Held::by(&bench).await;
        let began = bench.now();
        server.signal(Signal::STOP);
        sleep(time).await;
        let meanwhile = Held::by(&bench).await;
        server.signal(Signal::CONT);
        let ended = bench.now();
        bench.goes_on(3_000, 4_000).await;
        let mut run = bench.end(began, ended).await;
        run.bit(run.refusals().len() > 10, "few publications were refused");
        refuses_in_time(&mut run);
        meanwhile.is_like(&before, &mut run);
        is_well_again(&mut run);
        run.finish();
    }
}

fn on(server: &RedisServer) -> [serde_json::Value; NODES] {
    [(); NODES].map(|()| server.as_node())
}

fn refuses_in_time(run: &mut Run) {
    let longest = run.refusals().into_iter().max().unwrap_or_default();
    let allowed = run.allowed(REFUSED_WITHIN);
    run.must(longest <= allowed, format!("refused after {longest} ms > {allowed}"));
}

/// The breaker is open.
fn refuses_at_once(run: &mut Run) {
    let mut times = run.refusals();
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    run.must(middle < 100, format!("half of the refusals took {middle} ms or more"));
}

fn is_well_again(run: &mut Run) {
    run.loses_nothing();
    run.disconnects_nobody();
    for node in 0..NODES {
        run.says_so(node, 3_000, 5_000);
    }
    run.publishes_within(2_000);
    run.catches_up_within(5_000, 5_000, 5_000);
}

/// What nodes hold.
struct Held {
    resident: Vec<u64>,
    tasks: f64,
}

impl Held {
    async fn by(bench: &Bench) -> Held {
        let mut held = Held { resident: Vec::new(), tasks: 0.0 };
        for node in 0..NODES {
            held.resident.push(bench.node(node).resident());
            held.tasks += bench.number(node, "sealcast_tasks").await;
        }
        held
    }

    fn is_like(&self, before: &Held, run: &mut Run) {
        for (now, before) in self.resident.iter().zip(&before.resident) {
            run.must(*now < before + MORE_MEMORY, format!("{before} KiB became {now}"));
        }
        let more = self.tasks - before.tasks;
        run.must(before.tasks > 0.0 && more < MORE_TASKS, format!("{more} more tasks"));
    }
}
