//! Only what Redis pushes is hit, and nothing else: a node must not be deaf for long,
//! and nobody may notice (F-07).

use std::time::Duration;

use tokio::time::sleep;

use crate::bench::{Bench, NODES, seeds};
use crate::checker::Ms;
use crate::crowd::Size;
use crate::support::proxy::{Passes, Proxy};
use crate::support::redis::{RedisServer, as_node};

/// How soon what was missed must have come.
const REPAIRED_WITHIN: Ms = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn f07_subscribers_are_killed_at_redis() {
    are_killed("F-07 pubsub killed, 4 times", 4).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long"]
async fn f07_subscribers_are_killed_at_redis_for_a_minute() {
    are_killed("F-07 pubsub killed, 20 times", 20).await;
}

async fn are_killed(name: &str, times: usize) {
    for seed in seeds() {
        let server = RedisServer::start().await;
        let redis = [(); NODES].map(|()| server.as_node());
        let mut bench = Bench::start(name, seed, redis).await;
        let began = bench.now();
        let mut killed = 0;
        for _ in 0..times {
            killed += server.ask::<usize>("CLIENT KILL TYPE pubsub").await;
            bench.goes_on(2_500, 3_500).await;
        }
        let ended = bench.now();
        let mut run = bench.end(began, ended).await;
        run.bit(killed >= times * (NODES - 1), "nodes were not hit each time");
        let reconnects = run.number("sealcast_pubsub_reconnects_total");
        run.bit(reconnects >= killed as f64, "the link was not made anew each time");
        run.bit(run.number("sealcast_gaps_total") > 0.0, "no gap was noticed");
        run.loses_nothing();
        run.disconnects_nobody();
        run.must_unless_stalled(run.refusals().is_empty(), "publications were refused");
        // Late means more than a second.
        run.catches_up_within(REPAIRED_WITHIN, REPAIRED_WITHIN, REPAIRED_WITHIN);
        run.finish();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_pushes_do_not_come_and_everything_else_works() {
    for seed in seeds() {
        let server = RedisServer::start().await;
        let proxy = Proxy::start(server.address()).await;
        let deaf = as_node(serde_json::json!({ "address": proxy.address.to_string() }));
        let redis = [deaf, server.as_node(), server.as_node()];
        let mut bench = Bench::start("F-07 one node deaf 6 s", seed, redis).await;
        let began = bench.now();
        proxy.set(Passes::NoPushes);
        sleep(Duration::from_millis(6_500)).await;
        proxy.set(Passes::All);
        let ended = bench.now();
        bench.goes_on(2_000, 3_000).await;
        let mut run = bench.end(began, ended).await;
        run.bit(proxy.swallowed() > 0, "nothing was lost on the way");
        run.bit(run.number("sealcast_gap_repairs_total{result=\"repaired\"}") > 0.0, "no repair");
        run.loses_nothing();
        run.disconnects_nobody();
        run.must_unless_stalled(run.refusals().is_empty(), "publications were refused");
        run.says_so(0, 3_000, 5_000);
        run.catches_up_within(5_000, 5_000, 5_000);
        run.finish();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_redis_drops_subscribers_that_do_not_keep_up() {
    for seed in seeds() {
        let server = RedisServer::start().await;
        let redis = [(); NODES].map(|()| server.as_node());
        // What does not fit into what Redis holds for a client before it counts.
        let size = Size { bytes: 20_000, ..Size::usual() };
        let mut bench = Bench::of(size, "F-07 output buffer overrun", seed, redis).await;
        let limit = async |value: &str| {
            let words = ["CONFIG", "SET", "client-output-buffer-limit", value];
            let _: () = server.ask_words(&words).await;
        };
        let began = bench.now();
        limit("pubsub 1 0 0").await;
        bench.goes_on(4_000, 5_000).await;
        limit("pubsub 33554432 8388608 60").await;
        let ended = bench.now();
        bench.goes_on(2_000, 3_000).await;
        let mut run = bench.end(began, ended).await;
        let reconnects = run.number("sealcast_pubsub_reconnects_total");
        run.bit(reconnects >= 1.0, "no link was dropped");
        run.loses_nothing();
        run.disconnects_nobody();
        run.catches_up_within(5_000, 5_000, 5_000);
        run.finish();
    }
}
