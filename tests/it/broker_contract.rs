//! The contract of [`sealcast::broker::Broker`], for each broker there is.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{FutureExt as _, join};
use sealcast::broker::{
    Broker, CALL_TIMEOUT, Delivery, FEED_CAPACITY, Feed, Memory, Outgoing, Redis, RedisConfig,
    Sharding, Unavailable,
};
use sealcast::metrics::Metrics;
use sealcast::server::unix_time;
use sealcast_wire::reply::ClientInfo;
use sealcast_wire::{Channel, Publication};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, timeout};

use crate::support::{PATIENCE, eventually};

/// A broker with the feed of one node behind it.
pub(crate) struct Bench {
    pub(crate) broker: Arc<dyn Broker>,
    sharding: Sharding,
    feed: Vec<Receiver<Delivery>>,
    /// If that is the broker: it forgets when it is swept.
    memory: Option<Arc<Memory>>,
    /// Lives as long as the broker that needs it.
    _servers: Option<Box<dyn Any + Send>>,
}

/// A module of tests, one for each promise.
macro_rules! promises {
    ($name:ident, $make:expr, $test:meta, [$($promise:ident,)*]) => {
        mod $name {
            $(#[$test]
            async fn $promise() {
                super::$promise($make.await).await;
            })*
        }
    };
}

mod brokers;
mod once;
mod overrides;
mod presence;
mod streams;

/// What every broker promises.
macro_rules! contract {
    ($name:ident, $make:expr) => {
        promises!(
            $name,
            $make,
            tokio::test(flavor = "multi_thread"),
            [
                a_subscriber_gets_what_is_published_afterwards_as_it_was,
                a_channel_has_one_order_whoever_publishes,
                publishes_take_effect_in_the_order_in_which_they_began,
                after_unsubscribing_nothing_comes_until_subscribed_again,
                subscribing_and_unsubscribing_again_change_nothing,
                publishing_for_nobody_is_fine,
                a_probe_comes_to_every_shard_behind_what_was_published_before,
                dropping_a_call_that_has_begun_harms_nobody,
            ]
        );
    };
}

/// What a broker without a network promises beside that: a full feed holds back
/// who publishes. Time stands still in these, until everybody waits for it.
macro_rules! in_process_contract {
    ($name:ident, $make:expr) => {
        promises!(
            $name,
            $make,
            tokio::test(start_paused = true),
            [
                a_publish_into_a_full_feed_waits_and_fails_in_time,
                a_publish_into_a_full_feed_succeeds_when_there_is_room,
                a_publish_that_waited_is_not_overtaken_when_there_is_room,
                a_publish_that_is_dropped_while_it_waits_leaves_nothing,
                a_full_shard_holds_back_nobody_else,
                a_probe_of_a_full_feed_fails_in_time,
                without_a_node_behind_it_every_publish_fails,
            ]
        );
    };
}

contract!(memory, super::brokers::memory());
contract!(redis, super::brokers::redis());
contract!(sentinel, super::brokers::sentinel());
contract!(several, super::brokers::several());
contract!(cluster, super::brokers::cluster());
in_process_contract!(memory_feed, super::brokers::memory());

const SHARDS: usize = 4;

async fn a_subscriber_gets_what_is_published_afterwards_as_it_was(mut bench: Bench) {
    let sent = Publication {
        data: "{\"text\":\"\u{1f98a}\"}".into(),
        info: Some(ClientInfo {
            user: "ada".into(),
            client: "one".into(),
            conn_info: "{}".into(),
            ..Default::default()
        }),
        tags: [("key".to_owned(), "value".to_owned())].into(),
        ..Publication::default()
    };
    bench.broker.subscribe(channel("room")).await.unwrap();
    for passes in [false, true] {
        let out = Outgoing { passing: passes, ..outgoing(sent.clone()) };
        bench.broker.publish(channel("room"), out).await.unwrap();
        let (_, delivery) = bench.next().await;
        let Delivery::Publication { channel: came, publication, passing, .. } = delivery else {
            panic!("{delivery:?}")
        };
        assert_eq!((came.as_str(), &*publication), ("room", &sent));
        assert_eq!(passing, passes);
        bench.is_quiet().await;
    }
}

async fn a_channel_has_one_order_whoever_publishes(mut bench: Bench) {
    const PUBLISHERS: u64 = 8;
    const EACH: u64 = 200;
    for name in ["room", "other"] {
        bench.broker.subscribe(channel(name)).await.unwrap();
    }
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let broker = Arc::clone(&bench.broker);
            tokio::spawn(async move {
                for n in 0..EACH {
                    let number = numbered(publisher * EACH + n);
                    broker.publish(channel(["room", "other"][(n % 2) as usize]), number).await?;
                }
                Ok::<(), Unavailable>(())
            })
        })
        .collect();
    // Each publisher's own come in its order, once each, and none is missing.
    let mut next: BTreeMap<(u64, String), u64> = BTreeMap::new();
    for _ in 0..PUBLISHERS * EACH {
        let (name, n) = bench.next_number().await;
        let first = u64::from(name == "other");
        let next = next.entry((n / EACH, name)).or_insert(first);
        assert_eq!(n % EACH, *next, "of publisher {}", n / EACH);
        *next += 2;
    }
    for publisher in publishers {
        publisher.await.unwrap().unwrap();
    }
    bench.is_quiet().await;
}

/// However they are looked after later: as many as do not fit, and more than
/// tokio lets one task do in one go.
async fn publishes_take_effect_in_the_order_in_which_they_began(mut bench: Bench) {
    bench.broker.subscribe(channel("room")).await.unwrap();
    let count = FEED_CAPACITY as u64 * 4;
    let mut waiting = Vec::new();
    for n in 0..count {
        let broker = Arc::clone(&bench.broker);
        let publish = async move { broker.publish(channel("room"), numbered(n)).await };
        let mut publish = publish.boxed();
        match (&mut publish).now_or_never() {
            Some(done) => assert_eq!(done, Ok(None)),
            None => waiting.push(publish),
        }
    }
    tokio::task::yield_now().await;
    let waiting: Vec<_> = waiting.into_iter().rev().map(tokio::spawn).collect();
    for n in 0..count {
        assert_eq!(bench.next_number().await, ("room".to_owned(), n));
    }
    for publish in waiting {
        assert_eq!(publish.await.unwrap(), Ok(None));
    }
}

async fn after_unsubscribing_nothing_comes_until_subscribed_again(mut bench: Bench) {
    bench.broker.subscribe(channel("room")).await.unwrap();
    bench.broker.publish(channel("room"), numbered(1)).await.unwrap();
    assert_eq!(bench.next_number().await.1, 1);
    bench.broker.unsubscribe(channel("room")).await.unwrap();
    bench.broker.publish(channel("room"), numbered(2)).await.unwrap();
    bench.is_quiet().await;
    bench.broker.subscribe(channel("room")).await.unwrap();
    bench.broker.publish(channel("room"), numbered(3)).await.unwrap();
    assert_eq!(bench.next_number().await.1, 3);
}

async fn subscribing_and_unsubscribing_again_change_nothing(mut bench: Bench) {
    bench.broker.unsubscribe(channel("room")).await.unwrap();
    for _ in 0..3 {
        bench.broker.subscribe(channel("room")).await.unwrap();
    }
    bench.broker.publish(channel("room"), numbered(1)).await.unwrap();
    assert_eq!(bench.next_number().await.1, 1);
    bench.is_quiet().await;
    for _ in 0..2 {
        bench.broker.unsubscribe(channel("room")).await.unwrap();
        bench.broker.publish(channel("room"), numbered(2)).await.unwrap();
        bench.is_quiet().await;
    }
}

async fn publishing_for_nobody_is_fine(mut bench: Bench) {
    bench.broker.subscribe(channel("room")).await.unwrap();
    for n in 0..2 * FEED_CAPACITY as u64 {
        bench.broker.publish(channel("nobody"), numbered(n)).await.unwrap();
    }
    bench.is_quiet().await;
}

async fn a_probe_comes_to_every_shard_behind_what_was_published_before(mut bench: Bench) {
    let names = one_name_a_shard(&bench.sharding);
    for (n, name) in names.iter().enumerate() {
        bench.broker.subscribe(channel(name)).await.unwrap();
        for _ in 0..3 {
            bench.broker.publish(channel(name), numbered(n as u64)).await.unwrap();
        }
    }
    bench.broker.probe(7).await.unwrap();
    for name in &names {
        bench.broker.publish(channel(name), numbered(99)).await.unwrap();
    }
    let mut came = vec![Vec::new(); SHARDS];
    for _ in 0..SHARDS * 5 {
        match bench.next().await {
            (shard, Delivery::Probe(mark)) => came[shard].push(format!("probe {mark}")),
            (shard, Delivery::Publication { publication, .. }) => {
                came[shard].push(number(&publication).to_string());
            }
            (_, delivery) => panic!("{delivery:?}"),
        }
    }
    for (shard, came) in came.iter().enumerate() {
        let n = shard.to_string();
        assert_eq!(*came, [&n, &n, &n, "probe 7", "99"], "shard {shard}");
    }
}

async fn dropping_a_call_that_has_begun_harms_nobody(mut bench: Bench) {
    bench.broker.subscribe(channel("room")).await.unwrap();
    let _ = bench.broker.publish(channel("room"), numbered(1)).now_or_never();
    let _ = bench.broker.subscribe(channel("other")).now_or_never();
    let _ = bench.broker.unsubscribe(channel("third")).now_or_never();
    bench.broker.publish(channel("room"), numbered(2)).await.unwrap();
    // What was dropped may or may not have happened, but not later than this.
    let first = bench.next_number().await.1;
    assert!(first == 2 || (first == 1 && bench.next_number().await.1 == 2));
    bench.is_quiet().await;
}

async fn a_publish_into_a_full_feed_waits_and_fails_in_time(mut bench: Bench) {
    bench.fill("room").await;
    let began = Instant::now();
    let answer = bench.broker.publish(channel("room"), numbered(1_000)).await;
    assert_eq!((answer, began.elapsed()), (Err(Unavailable), CALL_TIMEOUT));
    for n in 0..FEED_CAPACITY as u64 {
        assert_eq!(bench.next_number().await.1, n);
    }
    // It was never sent, and the broker goes on.
    bench.broker.publish(channel("room"), numbered(1_001)).await.unwrap();
    assert_eq!(bench.next_number().await.1, 1_001);
}

async fn a_publish_into_a_full_feed_succeeds_when_there_is_room(mut bench: Bench) {
    bench.fill("room").await;
    let broker = Arc::clone(&bench.broker);
    let room = async {
        tokio::time::sleep(CALL_TIMEOUT - Duration::from_millis(1)).await;
        assert_eq!(bench.next_number().await.1, 0);
    };
    let (answer, ()) = join(broker.publish(channel("room"), numbered(1_000)), room).await;
    assert_eq!(answer, Ok(None));
    for n in (1..FEED_CAPACITY as u64).chain([1_000]) {
        assert_eq!(bench.next_number().await.1, n);
    }
}

async fn a_publish_that_waited_is_not_overtaken_when_there_is_room(mut bench: Bench) {
    bench.fill("room").await;
    let broker = Arc::clone(&bench.broker);
    let mut first = broker.publish(channel("room"), numbered(1_000));
    assert_eq!((&mut first).now_or_never(), None);
    for n in 0..3 {
        assert_eq!(bench.next_number().await.1, n);
    }
    let mut second = broker.publish(channel("room"), numbered(1_001));
    let begun = (&mut second).now_or_never();
    assert_eq!(first.await, Ok(None));
    if begun.is_none() {
        assert_eq!(second.await, Ok(None));
    }
    for n in (3..FEED_CAPACITY as u64).chain([1_000, 1_001]) {
        assert_eq!(bench.next_number().await.1, n);
    }
}

async fn a_publish_that_is_dropped_while_it_waits_leaves_nothing(mut bench: Bench) {
    bench.fill("room").await;
    let broker = Arc::clone(&bench.broker);
    let mut first = broker.publish(channel("room"), numbered(1_000));
    assert_eq!((&mut first).now_or_never(), None);
    let mut second = broker.publish(channel("room"), numbered(1_001));
    assert_eq!((&mut second).now_or_never(), None);
    drop(first);
    for n in 0..FEED_CAPACITY as u64 {
        assert_eq!(bench.next_number().await.1, n);
    }
    assert_eq!(second.await, Ok(None), "its place in the line was not lost with the other's");
    assert_eq!(bench.next_number().await.1, 1_001);
    bench.is_quiet().await;
}

async fn a_full_shard_holds_back_nobody_else(mut bench: Bench) {
    let names = one_name_a_shard(&bench.sharding);
    for name in &names {
        bench.broker.subscribe(channel(name)).await.unwrap();
    }
    bench.fill(&names[0]).await;
    let began = Instant::now();
    for name in &names[1..] {
        bench.broker.publish(channel(name), numbered(1_000)).await.unwrap();
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
}

async fn a_probe_of_a_full_feed_fails_in_time(mut bench: Bench) {
    let names = one_name_a_shard(&bench.sharding);
    bench.fill(&names[SHARDS - 1]).await;
    let began = Instant::now();
    let answer = bench.broker.probe(7).await;
    assert_eq!((answer, began.elapsed()), (Err(Unavailable), CALL_TIMEOUT));
}

async fn without_a_node_behind_it_every_publish_fails(mut bench: Bench) {
    bench.broker.subscribe(channel("room")).await.unwrap();
    bench.feed.clear();
    let answer = bench.broker.publish(channel("room"), numbered(1)).await;
    assert_eq!(answer, Err(Unavailable));
    assert_eq!(bench.broker.probe(7).await, Err(Unavailable));
}

impl Bench {
    /// One node on a Redis that runs.
    pub(crate) async fn on(config: RedisConfig) -> Bench {
        let sharding = Sharding::new(SHARDS);
        let (feed, receivers) = Feed::new(sharding.clone(), 1 << 20);
        let metrics = Metrics::new("test");
        let started = Redis::start(config, feed, (unix_time, &metrics)).await;
        let (broker, works) = started.unwrap_or_else(|unfit| panic!("{unfit}"));
        for (_, work) in works {
            tokio::spawn(work);
        }
        eventually("every link stands", || {
            metrics.render().lines().any(|line| line == "sealcast_redis_up 1")
        })
        .await;
        Bench { broker, sharding, feed: receivers, memory: None, _servers: None }
    }

    /// The next delivery, and the shard by which it came.
    pub(crate) async fn next(&mut self) -> (usize, Delivery) {
        let feed = &mut self.feed;
        let next = poll_fn(|context| {
            for (shard, receiver) in feed.iter_mut().enumerate() {
                if let Poll::Ready(delivery) = receiver.poll_recv(context) {
                    return Poll::Ready((shard, delivery.expect("the broker keeps its feed")));
                }
            }
            Poll::Pending
        });
        let (shard, delivery) = timeout(PATIENCE, next).await.expect("nothing comes");
        if let Delivery::Publication { channel, .. } = &delivery {
            assert_eq!(self.sharding.of(channel), shard, "{channel} has another shard");
        }
        (shard, delivery)
    }

    /// The next publication of [`numbered`], and its channel.
    async fn next_number(&mut self) -> (String, u64) {
        match self.next().await {
            (_, Delivery::Publication { channel, publication, .. }) => {
                (channel.as_str().to_owned(), number(&publication))
            }
            (_, delivery) => panic!("{delivery:?}"),
        }
    }

    /// Nothing is on its way.
    async fn is_quiet(&mut self) {
        let came = self.rest().await;
        assert!(came.is_empty(), "{came:?}");
    }

    /// What is on its way: everything that comes before a mark that is sent now.
    pub(crate) async fn rest(&mut self) -> Vec<Delivery> {
        static MARK: AtomicU64 = AtomicU64::new(1_000);
        let sent = MARK.fetch_add(1, Ordering::Relaxed);
        self.broker.probe(sent).await.unwrap();
        let (mut rest, mut marks) = (Vec::new(), Vec::new());
        while marks.len() < SHARDS {
            match self.next().await {
                (shard, Delivery::Probe(mark)) if mark == sent => marks.push(shard),
                (_, delivery) => rest.push(delivery),
            }
        }
        marks.sort_unstable();
        assert_eq!(marks, (0..SHARDS).collect::<Vec<_>>());
        rest
    }

    /// Subscribes, and publishes as much as the feed holds, counting from 0.
    async fn fill(&mut self, name: &str) {
        self.broker.subscribe(channel(name)).await.unwrap();
        for n in 0..FEED_CAPACITY as u64 {
            self.broker.publish(channel(name), numbered(n)).await.unwrap();
        }
        // So that what begins now can do more in one go than tokio's budget has left.
        tokio::task::yield_now().await;
    }
}

/// A channel of each shard, in order.
fn one_name_a_shard(sharding: &Sharding) -> Vec<String> {
    let all = || (0..).map(|n: u32| format!("room-{n}"));
    (0..SHARDS)
        .map(|shard| all().find(|name| sharding.of(&channel(name)) == shard).unwrap())
        .collect()
}

pub(crate) fn channel(name: &str) -> Channel {
    Channel::parse(name).unwrap()
}

pub(crate) fn numbered(n: u64) -> Outgoing {
    outgoing(Publication { data: n.to_string().into(), ..Publication::default() })
}

/// Published once to who listens, and not kept.
fn outgoing(publication: Publication) -> Outgoing {
    Outgoing { publication, ..Outgoing::default() }
}

pub(crate) fn number(publication: &Publication) -> u64 {
    std::str::from_utf8(&publication.data).unwrap().parse().unwrap()
}
