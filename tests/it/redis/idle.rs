//! What is kept at Redis for users and addresses is forgotten once they rest: keys and
//! memory are again what they were before they came.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use sealcast::broker::{Broker, Charge, Holder, NotPublished};
use sealcast::limit::{Network, Rate, Scope};
use tokio::time::{Instant, sleep};

use crate::broker_contract::{Bench, channel, numbered};
use crate::support::PATIENCE;
use crate::support::redis::RedisServer;

/// Calls that are under way at the same time.
const TOGETHER: usize = 200;

/// What Redis holds, and how much it has forgotten by itself.
#[derive(Debug)]
struct Held {
    keys: u64,
    bytes: u64,
    expired: u64,
}

impl Held {
    async fn by(server: &RedisServer) -> Held {
        // First: what is forgotten between the two is counted below.
        let keys = server.ask("DBSIZE").await;
        let info: String = server.ask("INFO everything").await;
        let number = |name: &str| -> u64 {
            let line = info.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().parse().unwrap()
        };
        let (bytes, expired) = (number("used_memory:"), number("expired_keys:"));
        Held { keys, bytes, expired }
    }
}

/// So many users publish once each, and as many addresses are connected from, all at the
/// same time. A user's bucket is full again after `window`.
async fn come_and_go(server: &RedisServer, broker: &dyn Broker, count: usize, window: Duration) {
    let rate = Rate::of(1, window, 1);
    let users = stream::iter(0..count).for_each_concurrent(TOGETHER, async |user| {
        let subject = format!("user-{user}");
        let charge = || Charge { scope: Scope::User, subject: subject.clone(), rate, share: rate };
        let publish = || broker.publish_within(channel("room"), numbered(1), vec![charge()]);
        // Where the machine stalls it may have been taken, and the answer been lost.
        while let Err(NotPublished::Unavailable(_)) = publish().await {
            sleep(Duration::from_millis(10)).await;
        }
    });
    users.await;
    let address = |at: usize| {
        let address = Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(at).unwrap());
        Holder::Address(Network::from(IpAddr::V4(address)))
    };
    let addresses = stream::iter(0..count).for_each_concurrent(TOGETHER, async |at| {
        let _ = broker.hold(address(at), Some(100)).await;
    });
    addresses.await;
    let there = Held::by(server).await;
    assert!(there.keys >= (count * 9 / 10) as u64, "each has something: {there:?}");
    for at in 0..count {
        broker.release(&address(at));
        // Nobody waits for these, so more of them would not find a place in the queue.
        if at % TOGETHER == 0 {
            sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn is_forgotten(count: usize, window: Duration) {
    // Redis looks for what is over ten times a second, and takes longer over it.
    let server = RedisServer::with(&["--active-expire-effort", "10"]).await;
    let bench = Bench::on(server.config()).await;
    let settled = async |of: &Held| {
        let began = Instant::now();
        loop {
            let held = Held::by(&server).await;
            let within = |now: u64, then: u64| now <= then + then / 10;
            if within(held.keys, of.keys) && within(held.bytes, of.bytes) {
                return held;
            }
            assert!(began.elapsed() < window + PATIENCE, "{of:?} before, {held:?} after");
            sleep(Duration::from_millis(50)).await;
        }
    };
    // What is made once is made for the first.
    let fresh = Held::by(&server).await;
    come_and_go(&server, &*bench.broker, count / 50, Duration::from_millis(100)).await;
    let warm = settled(&Held { bytes: u64::MAX / 2, ..fresh }).await;
    come_and_go(&server, &*bench.broker, count, window).await;
    let after = settled(&warm).await;
    assert!(after.expired >= warm.expired + count as u64, "{warm:?} before, {after:?} after");
    println!(
        "redis after {count} users and as many addresses: {} keys and {} KiB before, {} and {} after",
        warm.keys,
        warm.bytes >> 10,
        after.keys,
        after.bytes >> 10,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_addresses_that_rest_take_nothing() {
    is_forgotten(3_000, Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; see scripts/long"]
async fn a_million_users_and_addresses_that_rest_take_nothing() {
    is_forgotten(1_000_000, Duration::from_secs(60)).await;
}
