//! Recovery under churn: clients that drop and come back at random while others
//! publish, and history is trimmed, expires and is removed meanwhile. Whoever was
//! not told otherwise has everything, once, in order. `CHURN_SEEDS` says how
//! many runs, from seed 1 on.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sealcast_wire::Encoding;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::member::{Member, Story};
use crate::support::PATIENCE;
use crate::support::client::client;
use crate::support::node::TestNode;

const CLIENTS: usize = 200;
/// Two channels of each kind; what becomes of their history.
const KINDS: [&str; 4] = ["roomy", "small", "short", "cleared"];
const CHANNELS: usize = 2 * KINDS.len();
/// How long others publish.
const TIME: Duration = Duration::from_secs(3);
const PUBLISHERS: usize = 8;

/// A channel's top when nobody publishes any more.
pub(super) type Tops = Option<Arc<Vec<u64>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_is_not_told_otherwise_has_everything_once_and_in_order() {
    let seeds = std::env::var("CHURN_SEEDS").map_or(1, |seeds| seeds.parse().unwrap());
    for seed in 1..=seeds {
        run(seed).await;
    }
}

pub(super) fn name(channel: usize) -> String {
    format!("{}:{}", KINDS[channel % KINDS.len()], channel / KINDS.len())
}

/// Whether nothing is ever lost of its history within a run.
pub(super) fn is_roomy(channel: usize) -> bool {
    channel.is_multiple_of(KINDS.len())
}

async fn run(seed: u64) {
    let namespace = |name, size: usize, ttl| {
        json!({ "name": name, "history_size": size, "history_ttl": ttl, "force_recovery": true,
                "allow_subscribe_for_client": true, "allow_publish_for_client": true })
    };
    // Every other run is without tails, so that the broker is asked as well.
    let tail = if seed % 2 == 1 { 1 << 20 } else { 0 };
    let node = TestNode::with(json!({
        "limits": { "queue_messages": 100_000, "node_tail_bytes": tail },
        "client": { "recovery_max_publication_limit": 100_000 },
        "channel": { "namespaces": [
            namespace("roomy", 100_000, "60s"), namespace("small", 20, "60s"),
            namespace("short", 100_000, "100ms"), namespace("cleared", 100_000, "60s"),
        ]},
    }))
    .await;
    let (tops, over) = watch::channel(None);
    // Those who never drop know the whole truth.
    let mut residents = JoinSet::new();
    for channel in 0..CHANNELS {
        let options = node.options("resident", Encoding::Json);
        let mut member = Member::new(usize::MAX, seed, options, vec![channel], over.clone());
        member.come_back().await;
        residents.spawn(member.stay());
    }
    let mut members = JoinSet::new();
    for number in 0..CLIENTS {
        let encoding = [Encoding::Json, Encoding::Protobuf][number % 2];
        let options = node.options(&format!("user-{}", number % 50), encoding);
        let channels = vec![number % CHANNELS, (number + 1 + number / CHANNELS) % CHANNELS];
        members.spawn(Member::new(number, seed, options, channels, over.clone()).live());
    }
    let acked = publish(&node, seed).await;
    tops.send(Some(Arc::new(ends(&node).await))).unwrap();
    let mut truth: HashMap<usize, BTreeMap<u64, u64>> = HashMap::new();
    for story in residents.join_all().await {
        for (channel, offset, id) in story.received {
            let known = truth.entry(channel).or_default().insert(offset, id);
            assert_eq!(known, None, "seed {seed}: {} {offset} came twice", name(channel));
        }
    }
    let stories = members.join_all().await;
    check_truth(seed, &truth, &acked);
    for story in &stories {
        for (channel, offset, id) in &story.received {
            let meant = truth[channel].get(offset);
            assert_eq!(meant, Some(id), "seed {seed}: {} {offset} is another's", name(*channel));
        }
    }
    something_happened(seed, &node, &stories, acked.len());
}

/// Everything acknowledged was published once, where it should be, and the
/// residents have every offset.
fn check_truth(
    seed: u64,
    truth: &HashMap<usize, BTreeMap<u64, u64>>,
    acked: &BTreeMap<u64, usize>,
) {
    let mut found = HashMap::new();
    for (channel, stream) in truth {
        for ((offset, id), expected) in stream.iter().zip(1..) {
            assert_eq!(*offset, expected, "seed {seed}: a hole in {}", name(*channel));
            let twice = *id > 0 && found.insert(*id, *channel).is_some();
            assert!(!twice, "seed {seed}: {id} stands twice");
        }
    }
    for (id, channel) in acked {
        assert_eq!(found.get(id), Some(channel), "seed {seed}: {id} was acknowledged and is lost");
    }
}

/// Publishes by clients and by the server API, and removes history now and then;
/// what was acknowledged, and where.
async fn publish(node: &TestNode, seed: u64) -> BTreeMap<u64, usize> {
    let stop = AtomicBool::new(false);
    let next = AtomicU64::new(1);
    let one = async |number: u64| {
        let mut random = StdRng::seed_from_u64((seed << 32) | (1_000 + number));
        let mut acked = BTreeMap::new();
        let client = client(node, &format!("publisher-{number}"), Encoding::Json).await;
        while !stop.load(Ordering::Relaxed) {
            let channel = random.random_range(..CHANNELS);
            let id = next.fetch_add(1, Ordering::Relaxed);
            if number.is_multiple_of(2) {
                client.publish(&name(channel), id.to_string().as_bytes()).await.unwrap();
            } else {
                let body = json!({ "channel": name(channel), "data": id });
                let answer = node.api("publish", &body).await.json();
                assert!(answer["result"]["offset"].is_u64(), "{answer}");
            }
            acked.insert(id, channel);
            tokio::time::sleep(Duration::from_millis(random.random_range(0..8))).await;
        }
        acked
    };
    let remove = async {
        while !stop.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(150)).await;
            for channel in (0..CHANNELS).filter(|channel| name(*channel).starts_with("cleared")) {
                node.api("history_remove", &json!({ "channel": name(channel) })).await;
            }
        }
    };
    let end = async {
        tokio::time::sleep(TIME).await;
        stop.store(true, Ordering::Relaxed);
    };
    let publishing = futures_util::future::join_all((0..PUBLISHERS as u64).map(one));
    let (acked, (), ()) = tokio::join!(publishing, remove, end);
    acked.into_iter().flatten().collect()
}

/// Ends each channel with a publication of 0; their offsets.
async fn ends(node: &TestNode) -> Vec<u64> {
    let mut tops = Vec::new();
    for channel in 0..CHANNELS {
        let body = json!({ "channel": name(channel), "data": 0 });
        let answer = node.api("publish", &body).await.json();
        tops.push(answer["result"]["offset"].as_u64().unwrap());
    }
    tops
}

/// A run in which too little happened proves nothing.
fn something_happened(seed: u64, node: &TestNode, stories: &[Story], acked: usize) {
    let sum = |count: fn(&Story) -> usize| stories.iter().map(count).sum::<usize>();
    let drops = sum(|story| story.drops);
    let recovered = sum(|story| story.recovered);
    let brought = sum(|story| story.brought_back);
    let told = sum(|story| story.told);
    let received = sum(|story| story.received.len());
    let tail = node.number("sealcast_recover_from_tail_total");
    eprintln!(
        "seed {seed}: {acked} acknowledged, {drops} drops, {recovered} recoveries, of them {tail} \
         from the tail, brought back {brought} of {received} received, {told} told that something \
         is missing"
    );
    assert!(acked > 300 && drops > 2 * CLIENTS && recovered > CLIENTS && told > 20, "too little");
    assert!(brought > 500 && received > 10 * brought / 9, "too little");
    assert_eq!(tail > 50.0, seed % 2 == 1, "{tail} from the tail");
}

/// How long a member may take for what is going to happen.
pub(super) const LONG: Duration = Duration::from_secs(3 * PATIENCE.as_secs());
