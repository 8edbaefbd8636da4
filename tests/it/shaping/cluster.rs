//! Three nodes on one Redis: cursors, and drawing.
//!
//! `SHAPED_CURSORS` says how many cursors there are, and if it is set, their latency
//! counts; `SHAPED_SECONDS` how long they move; `CHURN_SEEDS` how many times is drawn,
//! each time at another pace.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sealcast_client::{Client, Config, SubscriptionConfig, SubscriptionEvent};
use sealcast_wire::Encoding;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::support::client::{Wire, client};
use crate::support::node::TestNode;
use crate::support::redis::RedisServer;
use crate::support::{PATIENCE, descriptors, token};

const NODES: usize = 3;
/// How often a cursor moves in a second, and how often that may go out.
const PACE: u32 = 60;
const RATE: u32 = 10;

fn env(name: &str, or: u64) -> u64 {
    std::env::var(name).map_or(or, |number| number.parse().unwrap())
}

async fn nodes(server: &RedisServer) -> Vec<TestNode> {
    let mut options = super::options();
    options["engine"] = json!({ "type": "redis", "redis": server.as_node() });
    options["cluster"] = json!({ "key": "a-cluster-key-for-tests-0123456789" });
    // All come from one address, and a machine that is busy is not slow.
    options["limits"] =
        json!({ "profile": "none", "ip_connections": 10_000, "queue_messages": 100_000 });
    options["client"] = json!({ "queue_max_size": 32 << 20 });
    join_all((0..NODES).map(|_| TestNode::with(options.clone()))).await
}

/// A subscriber, and the task that gives what it got when `enough` says so.
async fn subscriber<T: Send + 'static>(
    node: &TestNode,
    encoding: Encoding,
    channel: &str,
    mut state: T,
    mut enough: impl FnMut(&mut T, &str, &[u8]) -> bool + Send + 'static,
) -> JoinHandle<T> {
    let mut config = Config::new(node.url());
    config.encoding = encoding;
    config.token = Some(token::of("bob"));
    let (client, events) = Client::new(config).unwrap();
    drop(events);
    client.connect().await.unwrap();
    let (subscription, mut events) =
        client.new_subscription(channel, SubscriptionConfig::default()).unwrap();
    subscription.subscribe().await.unwrap();
    timeout(PATIENCE, subscription.ready()).await.unwrap().unwrap();
    tokio::spawn(async move {
        let _kept = (client, subscription);
        loop {
            let event = timeout(6 * PATIENCE, events.next()).await.expect("something comes");
            match event.expect("the client stays") {
                SubscriptionEvent::Publication(publication) => {
                    let who = publication.info.as_ref().expect("who published it").client.clone();
                    if enough(&mut state, &who, &publication.data) {
                        return state;
                    }
                }
                SubscriptionEvent::Subscribed(_) => {}
                SubscriptionEvent::Subscribing(cause) if cause.code == 0 => {}
                other => panic!("{other:?}"),
            }
        }
    })
}

/// What one subscriber saw of all cursors.
#[derive(Default)]
struct Seen {
    /// Of each: how often, the newest, and when it came first.
    cursors: BTreeMap<String, (u32, u64, Option<Instant>)>,
    settled: BTreeSet<String>,
    latencies: Vec<u64>,
}

/// A run: how many moves there were, and what each subscriber saw.
struct Run {
    moves: u64,
    took: Duration,
    seen: Vec<Seen>,
}

impl Run {
    fn p99(&self) -> Duration {
        let mut all: Vec<u64> = self.seen.iter().flat_map(|seen| seen.latencies.clone()).collect();
        all.sort_unstable();
        Duration::from_micros(all[(all.len() * 99 / 100).min(all.len() - 1)])
    }

    fn got(&self) -> usize {
        self.seen.iter().map(|seen| seen.latencies.len()).sum()
    }
}

/// Cursors move in a channel, a third of them at each node, and a subscriber at each
/// node sees them until all have come to rest.
async fn cursors(nodes: &[TestNode], channel: &'static str, count: usize, length: Duration) -> Run {
    let clock = Instant::now();
    let now = move || u64::try_from(clock.elapsed().as_micros()).unwrap();
    let publishers = (0..count).zip(nodes.iter().cycle());
    let publishers = publishers
        .map(async |(at, node)| client(node, &format!("user-{at}"), Encoding::Json).await);
    let publishers = join_all(publishers).await;
    let mut subscribers = Vec::new();
    for (node, encoding) in nodes.iter().zip([Encoding::Json, Encoding::Protobuf].iter().cycle()) {
        let enough = move |seen: &mut Seen, who: &str, data: &[u8]| {
            let data: Value = serde_json::from_slice(data).unwrap();
            let at = data["at"].as_u64().unwrap();
            let cursor = seen.cursors.entry(who.to_owned()).or_default();
            assert!(cursor.0 == 0 || at > cursor.1, "in order");
            *cursor = (cursor.0 + 1, at, cursor.2.or(Some(Instant::now())));
            seen.latencies.push(now() - at);
            if data["rests"] == true {
                seen.settled.insert(who.to_owned());
            }
            seen.settled.len() == count
        };
        subscribers.push(subscriber(node, *encoding, channel, Seen::default(), enough).await);
    }
    let began = Instant::now();
    let moving = publishers.into_iter().enumerate().map(|(at, session)| {
        tokio::spawn(async move {
            let mut pace = interval(Duration::from_secs(1) / PACE);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // Not all at the same time.
            tokio::time::sleep(Duration::from_micros(at as u64 * 997 % 16_000)).await;
            let mut moves = 0_u64;
            loop {
                pace.tick().await;
                moves += 1;
                let rests = began.elapsed() >= length;
                let data = json!({ "at": now(), "x": moves, "y": 480, "rests": rests });
                session.publish(channel, data.to_string().as_bytes()).await.unwrap();
                if rests {
                    // It stays, so that the end of a connection changes nothing.
                    return (moves, session);
                }
            }
        })
    });
    let moved: Vec<_> = join_all(moving).await.into_iter().map(Result::unwrap).collect();
    let took = began.elapsed();
    let seen = join_all(subscribers).await.into_iter().map(Result::unwrap).collect();
    Run { moves: moved.iter().map(|(moves, _)| moves).sum(), took, seen }
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_over_three_nodes_go_out_at_their_rate_and_come_to_rest() {
    let count = usize::try_from(env("SHAPED_CURSORS", 30)).unwrap();
    let length = Duration::from_secs(env("SHAPED_SECONDS", 1));
    // Both ends of every connection are here.
    descriptors::raise();
    let server = RedisServer::start().await;
    let nodes = nodes(&server).await;
    let shaped = cursors(&nodes, "cursors:a", count, length).await;
    for seen in &shaped.seen {
        assert_eq!(seen.cursors.len(), count);
        for (times, _, first) in seen.cursors.values() {
            // From the first to the last, and the two at the ends.
            let most = first.unwrap().elapsed().as_secs_f64() * f64::from(RATE) + 2.0;
            assert!(f64::from(*times) <= most, "{times} of which {most} may be");
        }
    }
    let sum =
        |step: &str| -> f64 { nodes.iter().map(|node| super::shaped(node, "latest", step)).sum() };
    assert_eq!(sum("taken") as u64, shaped.moves);
    assert_eq!(sum("taken"), sum("merged") + sum("sent"));
    assert_eq!(sum("sent") as usize * NODES, shaped.got(), "Redis has no more than goes out");
    let keys: Vec<String> = server.ask("KEYS *").await;
    for key in keys {
        let kind: String = server.ask_words(&["TYPE", &key]).await;
        assert_ne!(kind, "stream", "{key}: no history is written");
    }
    let row = |what: &str, run: &Run| {
        let rate = run.moves as f64 / run.took.as_secs_f64() / count as f64;
        println!(
            "shaping {what}: {count} cursors at {rate:.0} Hz, 3 nodes: {} in, {} to each subscriber, p99 {:.1} ms",
            run.moves,
            run.got() / NODES,
            run.p99().as_secs_f64() * 1e3,
        );
    };
    row("latest, 10", &shaped);
    let plain = cursors(&nodes, "plain:a", count, length).await;
    assert_eq!(plain.got() as u64, plain.moves * NODES as u64, "unshaped, everybody gets all");
    row("off       ", &plain);
    // Short runs beside other tests say nothing about time.
    if std::env::var_os("SHAPED_CURSORS").is_some() {
        let most = plain.p99() + Duration::from_millis(100);
        assert!(shaped.p99() < most, "{:?} shaped, {:?} unshaped", shaped.p99(), plain.p99());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_drawing_over_three_nodes_everything_arrives_in_order() {
    const PENS: usize = 9;
    const POINTS: usize = 120;
    let server = RedisServer::start().await;
    let nodes = nodes(&server).await;
    for seed in 1..=env("CHURN_SEEDS", 1) {
        let channel = format!("drawing:{seed}");
        let mut subscribers = Vec::new();
        for (node, encoding) in
            nodes.iter().zip([Encoding::Json, Encoding::Protobuf].iter().cycle())
        {
            let mut points = 0;
            let enough = move |seen: &mut BTreeMap<String, Vec<usize>>, who: &str, data: &[u8]| {
                seen.entry(who.to_owned()).or_default().push(serde_json::from_slice(data).unwrap());
                points += 1;
                points == PENS * POINTS
            };
            subscribers.push(subscriber(node, *encoding, &channel, BTreeMap::new(), enough).await);
        }
        let drawing = (0..PENS).zip(nodes.iter().cycle()).map(async |(pen, node)| {
            let mut wire = Wire::connected(node, &format!("pen-{pen}")).await;
            let mut random = StdRng::seed_from_u64(seed * 100 + pen as u64);
            for point in 0..POINTS {
                wire.say(&super::frame(&channel, [point.to_string()])).await;
                if random.random_ratio(1, 4) {
                    tokio::time::sleep(Duration::from_millis(random.random_range(0..30))).await;
                }
            }
            for _ in 0..POINTS {
                let answer = wire.hear_json().await;
                assert!(answer["publish"].is_object(), "{answer}");
            }
        });
        join_all(drawing).await;
        let all: Vec<usize> = (0..POINTS).collect();
        for seen in join_all(subscribers).await {
            let seen = seen.unwrap();
            assert_eq!(seen.len(), PENS);
            for (pen, points) in seen {
                assert_eq!(points, all, "seed {seed}, {pen}");
            }
        }
        let publications: f64 = nodes.iter().map(|node| super::shaped(node, "batch", "sent")).sum();
        let taken: f64 = nodes.iter().map(|node| super::shaped(node, "batch", "taken")).sum();
        assert_eq!(taken as u64, seed * (PENS * POINTS) as u64);
        assert!(publications < taken, "something was joined");
        println!("seed {seed}: {taken} points so far in {publications} publications");
    }
}
