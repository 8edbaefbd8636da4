//! Three node processes on one Redis, many channels, and publications at a steady
//! rate: subscribers at every node have everything, once and in one order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sealcast_client::session::Event;
use sealcast_client::{Error, Options};
use sealcast_wire::Encoding;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::support::client::Session;
use crate::support::process::Process;
use crate::support::redis::RedisServer;
use crate::support::token;

const NODES: usize = 3;
const CHANNELS: usize = 500;
/// Subscribers at each node, who share its channels.
const READERS: usize = 5;
/// Publishers at each node.
const PUBLISHERS: usize = 2;
/// Publications a second, of all publishers.
const PACE: usize = 5_000;
/// What a publisher waits for at the same time, at most.
const WAITING: usize = 200;
/// How long everything may take on whatever machine; nothing else depends on time.
const PATIENCE: Duration = Duration::from_secs(180);

/// The number that is published last in each channel.
const LAST: u64 = u64::MAX;

/// What each channel has brought to someone: the numbers, by offset, up to the last.
type Heard = BTreeMap<String, Vec<u64>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn subscribers_at_three_nodes_have_everything_of_many_channels() {
    publish_for(1).await;
}

/// As `docs/performance.md` says.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "takes half a minute; see scripts/long"]
async fn subscribers_at_three_nodes_have_everything_of_a_long_run() {
    publish_for(20).await;
}

/// So many seconds, if the machine keeps up.
async fn publish_for(seconds: usize) {
    let all = seconds * PACE;
    let server = RedisServer::start().await;
    let nodes: Vec<Process> =
        (0..NODES).map(|_| Process::serve(options(server.as_node()))).collect();
    let mut readers = JoinSet::new();
    for node in &nodes {
        for reader in 0..READERS {
            let session = connected(node, &format!("reader-{reader}")).await;
            let channels: Vec<String> = (reader..CHANNELS).step_by(READERS).map(name).collect();
            for subscribed in join_all(channels.iter().map(|name| session.subscribe(name))).await {
                subscribed.unwrap();
            }
            readers.spawn(listen(session, channels.len()));
        }
    }
    let mut sessions = Vec::new();
    for node in &nodes {
        for publisher in 0..PUBLISHERS {
            let session = connected(node, &format!("publisher-{publisher}")).await;
            sessions.push(Arc::new(session));
        }
    }
    let began = Instant::now();
    let publishers: Vec<_> = sessions
        .iter()
        .enumerate()
        .map(|(publisher, session)| tokio::spawn(publish(Arc::clone(session), publisher, all)))
        .collect();
    let mut acknowledged = BTreeSet::new();
    for publisher in publishers {
        acknowledged.extend(publisher.await.unwrap());
    }
    let published = began.elapsed();
    for channel in 0..CHANNELS {
        while !try_publish(&sessions[0], channel, LAST).await {}
    }
    let mut heard: BTreeMap<String, Vec<Vec<u64>>> = BTreeMap::new();
    while let Some(reader) = readers.join_next().await {
        for (channel, numbers) in reader.unwrap() {
            heard.entry(channel).or_default().push(numbers);
        }
    }
    assert_eq!(heard.len(), CHANNELS);
    let mut came = BTreeSet::new();
    for (channel, at_nodes) in heard {
        assert_eq!(at_nodes.len(), NODES, "{channel}");
        let first = &at_nodes[0];
        assert!(at_nodes.iter().all(|numbers| numbers == first), "{channel}: one order for all");
        for n in first {
            assert!(name(*n as usize % CHANNELS) == channel && came.insert(*n), "{n}: twice");
        }
    }
    // What was not acknowledged may have come or not.
    let lost: Vec<_> = acknowledged.difference(&came).collect();
    assert!(lost.is_empty(), "lost {lost:?}");
    assert!(acknowledged.len() > all / 2, "{} acknowledged", acknowledged.len());
    println!(
        "redis nodes: {NODES} processes, {CHANNELS} channels, {all} publications at {:.0} a second \
         (asked for: {PACE}), {} acknowledged, every node delivered all of them once and in order",
        all as f64 / published.as_secs_f64(),
        acknowledged.len(),
    );
}

/// Without what makes everyone hear of everyone who comes.
fn options(redis: Value) -> Value {
    let namespace = json!({
        "name": "kept",
        "allow_subscribe_for_client": true,
        "allow_publish_for_client": true,
        "history_size": 100,
        "history_ttl": "10m",
        "force_recovery": true,
    });
    json!({
        "engine": { "type": "redis", "redis": redis },
        "cluster": { "key": "a-cluster-key-for-tests-0123456789" },
        "channel": { "namespaces": [namespace] },
    })
}

fn name(channel: usize) -> String {
    format!("kept:{channel}")
}

async fn connected(node: &Process, user: &str) -> Session {
    let mut options = Options::new(node.url());
    options.token = Some(token::of(user));
    options.encoding = Encoding::Protobuf;
    options.timeout = PATIENCE;
    Session::connect(options).await.unwrap()
}

/// Takes publications, without a hole in any channel, until so many have ended.
async fn listen(session: Session, mut channels: usize) -> Heard {
    let mut heard = Heard::new();
    let mut ended = BTreeSet::new();
    let listening = async {
        while channels > 0 {
            let Event::Publication { channel, publication } = session.next_event().await else {
                panic!("something else than a publication")
            };
            let numbers = heard.entry(channel.to_string()).or_default();
            let n = std::str::from_utf8(&publication.data).unwrap().parse().unwrap();
            if !ended.contains(&channel) {
                assert_eq!(publication.offset, numbers.len() as u64 + 1, "{channel}");
                if n == LAST {
                    channels -= 1;
                    ended.insert(channel);
                } else {
                    numbers.push(n);
                }
            }
        }
    };
    let through = timeout(PATIENCE, listening).await;
    assert!(through.is_ok(), "{channels} channels have not ended");
    heard
}

/// A share of all publications, as fast as agreed even if answers take their time; what
/// was acknowledged.
async fn publish(session: Arc<Session>, publisher: usize, all: usize) -> Vec<u64> {
    const ALL: usize = NODES * PUBLISHERS;
    let mut pace = interval(Duration::from_secs(1) * ALL as u32 / PACE as u32);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut waiting = JoinSet::new();
    let mut acknowledged = Vec::new();
    for n in (publisher..all).step_by(ALL) {
        pace.tick().await;
        if waiting.len() >= WAITING {
            acknowledged.extend(waiting.join_next().await.unwrap().unwrap());
        }
        let session = Arc::clone(&session);
        waiting.spawn(async move {
            let n = n as u64;
            try_publish(&session, n as usize % CHANNELS, n).await.then_some(n)
        });
    }
    acknowledged.extend(waiting.join_all().await.into_iter().flatten());
    acknowledged
}

/// Whether it was acknowledged. A machine that stalls may let a call to Redis take too
/// long.
async fn try_publish(session: &Session, channel: usize, n: u64) -> bool {
    match session.publish(&name(channel), n.to_string().as_bytes()).await {
        Ok(()) => true,
        Err(Error::Error { code: 100, .. }) => false,
        Err(error) => panic!("{error}"),
    }
}
