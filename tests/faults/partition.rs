//! One of the nodes is cut off from Redis, in both directions or in one, and the
//! others are not (F-08).

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::bench::{Bench, seeds};
use crate::support::proxy::{Passes, Proxy};
use crate::support::redis::{RedisServer, as_node};

/// After so long without Redis, who has a position is told that it is stale.
const STALE_AFTER: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn f08_a_node_is_cut_off_both_ways() {
    is_cut_off("F-08 partition both ways 6 s", Passes::Nothing, Duration::from_millis(6_500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f08_a_node_is_cut_off_from_what_redis_answers() {
    is_cut_off("F-08 partition from Redis 6 s", Passes::NothingFrom, Duration::from_millis(6_500))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long"]
async fn f08_a_node_is_cut_off_for_15_seconds_each_way() {
    let time = Duration::from_secs(15);
    is_cut_off("F-08 partition both ways 15 s", Passes::Nothing, time).await;
    is_cut_off("F-08 partition from Redis 15 s", Passes::NothingFrom, time).await;
    is_cut_off("F-08 partition to Redis 15 s", Passes::NothingTo, time).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long"]
async fn f08_a_node_is_cut_off_for_40_seconds() {
    let time = Duration::from_secs(40);
    is_cut_off("F-08 partition both ways 40 s", Passes::Nothing, time).await;
}

async fn is_cut_off(name: &str, how: Passes, time: Duration) {
    for seed in seeds() {
        let server = RedisServer::start().await;
        let proxy = Proxy::start(server.address()).await;
        let cut_off = as_node(json!({ "address": proxy.address.to_string() }));
        let redis = [cut_off, server.as_node(), server.as_node()];
        let mut bench = Bench::start(name, seed, redis).await;
        let began = bench.now();
        proxy.set(how);
        sleep(time).await;
        proxy.set(Passes::All);
        let ended = bench.now();
        bench.goes_on(3_000, 4_000).await;
        let mut run = bench.end(began, ended).await;
        run.bit(run.refusals().len() > 5, "no publication was refused");
        run.must(run.acked_meanwhile() > 50, "the other nodes took nothing");
        if time < STALE_AFTER {
            run.loses_nothing();
        } else {
            run.holds();
            run.must(run.told() == 0, "everything could be had");
            // Those at that node, and nobody else.
            let (all, away) = (run.subscribers(), run.were_sent_away());
            let some = (all / 10..all / 2).contains(&away);
            run.must(some, format!("{away} of {all} were sent away"));
            run.must(run.sent_away() == away, "somebody was sent away twice");
        }
        run.disconnects_nobody();
        run.must(run.steady() >= run.subscribers() / 2, "the others' subscribers noticed");
        run.others_are_as_quick();
        run.says_so(0, 3_000, 5_000);
        run.catches_up_within(5_000, 5_000, 5_000);
        run.finish();
    }
}
