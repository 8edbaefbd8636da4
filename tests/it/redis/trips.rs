//! How often a publish goes to Redis: once, whatever limits hold.

use std::time::Duration;

use futures_util::StreamExt as _;
use redis::aio::Monitor;
use sealcast::broker::{Charge, IdempotencyKey, Outgoing};
use sealcast::limit::{Rate, Scope};
use tokio::time::timeout;

use super::KEEP;
use super::stored::key_of;
use crate::broker_contract::{Bench, channel, numbered};
use crate::support::PATIENCE;
use crate::support::redis::RedisServer;

const PUBLICATIONS: u64 = 20;
/// Nobody is refused anything, and the buckets stay for as long as the test looks.
const RATE: Rate = Rate::of(1_000, Duration::from_secs(3_600), 1_000);

/// A publish as it may be: kept or not, and with a key or without.
fn outgoing(n: u64, kept: bool, keyed: bool) -> Outgoing {
    let key = || IdempotencyKey { owner: "ops".into(), key: n.to_string() };
    Outgoing { keep: kept.then_some(KEEP), idempotency: keyed.then(key), ..numbered(n) }
}

fn charges(limits: usize) -> Vec<Charge> {
    let charge = |scope| Charge { scope, subject: "ada".into(), rate: RATE, share: RATE };
    [Scope::User, Scope::ApiKey].into_iter().map(charge).take(limits).collect()
}

/// What Redis is asked until it is asked this, but for what scripts ask. It executes one
/// command after the other, so nothing comes behind it that was answered before.
async fn asked(server: &RedisServer, monitor: &mut Monitor, mark: &str) -> Vec<String> {
    let _: String = server.ask(&format!("ECHO {mark}")).await;
    let mut lines = monitor.on_message::<String>();
    let mut asked = Vec::new();
    loop {
        let line = timeout(PATIENCE, lines.next()).await.expect("it goes on").expect("it stays");
        if line.contains(mark) {
            return asked;
        }
        if !line.contains(" lua] ") {
            asked.push(line);
        }
    }
}

/// The hash in the name of the only key of this kind.
async fn hash_of(server: &RedisServer, kind: &str) -> String {
    let key = key_of(server, kind).await;
    let (_, hash) = key.split_once('{').unwrap();
    hash.split_once('}').unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_publish_takes_one_trip_like_any_other() {
    let server = RedisServer::start().await;
    let bench = Bench::on(server.config()).await;
    let publish = async |n: u64, kept: bool, keyed: bool, limits: usize| {
        let sent = outgoing(n, kept, keyed);
        bench.broker.publish_within(channel("room"), sent, charges(limits)).await.unwrap();
    };
    publish(0, true, false, 1).await;
    let names = [hash_of(&server, "m").await, hash_of(&server, "b1").await];
    let address = format!("redis://{}", server.address());
    let client = redis::Client::open(address).unwrap();
    let mut monitor = client.get_async_monitor().await.unwrap();
    let mut from = 1;
    for (kept, keyed) in [(true, false), (true, true), (false, false), (false, true)] {
        for limits in 0..=2 {
            let what = format!("kept {kept}, keyed {keyed}, within {limits} limits");
            // One after the other, so that none shares the trip of another.
            for n in from..from + PUBLICATIONS {
                publish(n, kept, keyed, limits).await;
            }
            from += PUBLICATIONS;
            let asked = asked(&server, &mut monitor, &format!("mark-{from}")).await;
            let about = |line: &&String| names.iter().any(|name| line.contains(name));
            let trips: Vec<_> = asked.iter().filter(about).collect();
            assert_eq!(trips.len() as u64, PUBLICATIONS, "{what}: {trips:#?}");
            let counted = trips.iter().filter(|line| line.contains(&names[1])).count();
            assert_eq!(counted as u64, if limits > 0 { PUBLICATIONS } else { 0 }, "{what}");
        }
    }
}
