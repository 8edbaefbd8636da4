//! Order under churn: clients that subscribe, publish and vanish at random, and a
//! checker of what they saw. `CHURN_SEEDS` says how many runs, from seed 1 on.
//! A seed fixes what the clients try, not how it falls together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sealcast_client::session::Event;
use sealcast_wire::command::Publish;
use sealcast_wire::{Command, Data, Encoding, Request};
use serde_json::json;
use tokio::task::JoinSet;

use self::checker::{Id, Published};
use self::member::{Clock, Member, Story};
use crate::support::client::{Wire, client};
use crate::support::eventually;
use crate::support::node::TestNode;

mod checker;
mod member;

const CLIENTS: usize = 200;
/// Clients among them that stay from beginning to end.
const STEADY: usize = 20;
/// Channels in which there is always somebody, and then those that empty and fill.
const BUSY: usize = 9;
const QUIET: usize = 15;
/// What each client does.
const ACTIONS: usize = 60;
/// The publication that ends a channel is this and the channel's number.
const LAST: Id = 1_000_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_order_nothing_twice_and_nothing_acknowledged_lost() {
    let seeds = std::env::var("CHURN_SEEDS").map_or(1, |seeds| seeds.parse().unwrap());
    for seed in 1..=seeds {
        let story = run(seed).await;
        let violations = checker::check(&story.log);
        let first: Vec<_> = violations.iter().take(20).collect();
        assert!(violations.is_empty(), "seed {seed}: {} faults: {first:#?}", violations.len());
        something_happened(seed, &story);
    }
}

async fn run(seed: u64) -> Story {
    // Whoever is not scheduled for a while is not slow.
    let node = TestNode::with(json!({ "limits": { "queue_messages": 100_000 } })).await;
    let crowd = Arc::new(Crowd {
        channels: (0..BUSY + QUIET).map(|n| format!("room-{n}")).collect(),
        clock: Clock::default(),
        settled: AtomicUsize::new(0),
    });
    let mut members = JoinSet::new();
    for number in 0..CLIENTS {
        let encoding = [Encoding::Json, Encoding::Protobuf][number % 2];
        let options = node.options(&format!("user-{}", number % 50), encoding);
        let crowd = Arc::clone(&crowd);
        members.spawn(async move {
            let mut member =
                Member::new(number, seed, options, &crowd.channels, BUSY, &crowd.clock);
            member.live(ACTIONS, number < STEADY).await;
            member.settle(1).await;
            crowd.settled.fetch_add(1, Ordering::SeqCst);
            while !crowd.has_settled() {
                member.listen(Duration::from_millis(20)).await;
            }
            member.listen_out(LAST).await
        });
    }
    let mut all = Story::default();
    let collect = async {
        while let Some(story) = members.join_next().await {
            all.add(story.unwrap());
        }
    };
    let (last, ()) = tokio::join!(publish_last(&node, &crowd), collect);
    all.log.published.extend(last);
    let hub = node.node.as_ref().unwrap().app().policy.relay.hub();
    eventually("nothing is left of those who went", || {
        let census = hub.census();
        (census.clients, census.subscriptions, hub.budget().held()) == (0, 0, 0)
    })
    .await;
    all
}

/// What the clients share.
struct Crowd {
    channels: Vec<String>,
    clock: Clock,
    /// How many will not publish any more.
    settled: AtomicUsize,
}

impl Crowd {
    fn has_settled(&self) -> bool {
        self.settled.load(Ordering::SeqCst) == CLIENTS
    }
}

/// Ends every channel with one more publication, when nobody else publishes.
async fn publish_last(node: &TestNode, crowd: &Crowd) -> Vec<(Id, Published)> {
    while !crowd.has_settled() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let publisher = client(node, "last", Encoding::Json).await;
    let mut published = Vec::new();
    for (channel, name) in crowd.channels.iter().enumerate() {
        let sent = crowd.clock.tick();
        let id = LAST + channel as Id;
        publisher.publish(name, id.to_string().as_bytes()).await.unwrap();
        published.push((id, Published { channel, connection: usize::MAX, sent, acked: true }));
    }
    published
}

/// A run in which too little happened proves nothing.
fn something_happened(seed: u64, story: &Story) {
    let Story { log, connections, drops, refused } = story;
    let acked = log.published.values().filter(|published| published.acked).count();
    let unanswered = log.published.len() - acked - refused;
    let delivered: usize = log.subscriptions.iter().map(|all| all.received.len()).sum();
    let held = log.subscriptions.iter().filter(|subscription| subscription.held).count();
    let owed: usize = log.subscriptions.iter().map(|all| checker::owed(log, all).count()).sum();
    let facts = format!(
        "seed {seed}: {connections} connections, {drops} dropped, {} subscriptions, {held} held, \
         {acked} acknowledged, {refused} refused, {unanswered} unanswered, {delivered} deliveries, \
         {owed} of them owed",
        log.subscriptions.len()
    );
    eprintln!("{facts}");
    let enough = *drops > 2 * CLIENTS
        && *connections > 3 * CLIENTS
        && log.subscriptions.len() > 4 * CLIENTS
        && held >= CLIENTS
        && acked > 20 * CLIENTS
        && unanswered > 0
        && delivered > 100_000
        && owed > 50_000;
    assert!(enough, "too little happened: {facts}");
}

/// However much a client publishes at once: what the node cannot carry out at
/// once waits its turn, and is not overtaken by what came later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_client_sends_at_once_keeps_its_order() {
    const COUNT: u64 = 1_000;
    let node = TestNode::start().await;
    let subscriber = client(&node, "subscriber", Encoding::Json).await;
    subscriber.subscribe("room").await.unwrap();
    let mut publisher = Wire::connected(&node, "publisher").await;
    let numbers: Vec<String> = (0..COUNT).map(|n| n.to_string()).collect();
    let commands: Vec<Command<'_>> = (2..)
        .zip(&numbers)
        .map(|(id, number)| {
            let data = Some(Data::Json(number.as_bytes()));
            let publish = Publish { channel: "room".into(), data, ..Publish::default() };
            Command { id, request: Request::Publish(publish) }
        })
        .collect();
    publisher.0.send_all(&commands).await.unwrap();
    let mut came = Vec::new();
    for _ in 0..COUNT {
        match subscriber.next_event().await {
            Event::Publication { publication, .. } => came.push(publication.data),
            other => panic!("{other:?}"),
        }
    }
    if let Some(at) = came.iter().zip(&numbers).position(|(came, sent)| *came != sent.as_bytes()) {
        panic!("instead of {at} and so on came {:?}", &came[at..came.len().min(at + 8)]);
    }
}
