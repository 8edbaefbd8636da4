//! What comes from Redis is not what it sent (F-22).

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::bench::{Bench, Run, seeds};
use crate::support::proxy::{Passes, Proxy};
use crate::support::redis::{RedisServer, as_node};

#[tokio::test(flavor = "multi_thread")]
async fn f22_what_redis_sends_is_cut_in_half() {
    for seed in seeds() {
        let mut run = damaged("F-22 truncated", seed, Passes::Half).await;
        run.loses_nothing();
        run.disconnects_nobody();
        run.catches_up_within(5_000, 5_000, 5_000);
        run.finish();
    }
}

/// Nobody can know every wrong bit: it may be one of a payload or of an offset. So
/// what counts is that no node dies or stays broken, and that whoever listens
/// behind the end has everything that was sent behind it.
#[tokio::test(flavor = "multi_thread")]
async fn f22_what_redis_sends_has_wrong_bits() {
    for seed in seeds() {
        let mut run = damaged("F-22 wrong bits", seed, Passes::Flipped).await;
        run.holds_behind_the_end(12_000);
        run.must(run.lost_connections() < 30, "clients were cut again and again");
        run.finish();
    }
}

/// Between one of the nodes and Redis.
async fn damaged(name: &str, seed: u64, how: Passes) -> Run {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.address()).await;
    let damaged = as_node(json!({ "address": proxy.address.to_string() }));
    let redis = [damaged, server.as_node(), server.as_node()];
    let mut bench = Bench::start(name, seed, redis).await;
    let began = bench.now();
    proxy.set(how);
    sleep(Duration::from_secs(4)).await;
    proxy.set(Passes::All);
    let ended = bench.now();
    // Behind the end a position that does not fit is found by the next check.
    let more = if how == Passes::Flipped { 14_000 } else { 2_000 };
    bench.goes_on(more, more + 1_000).await;
    let mut run = bench.end(began, ended).await;
    run.bit(proxy.swallowed() > 0, "nothing was damaged");
    let noticed = run.number("sealcast_redis_errors_total")
        + run.number("sealcast_pubsub_reconnects_total")
        + run.number("sealcast_gaps_total");
    run.bit(noticed > 0.0, "no node noticed anything");
    run
}
