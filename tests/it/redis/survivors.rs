//! Three node processes on one Redis behind one address, and one of them is killed
//! (F-01).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use sealcast_client::{
    Client, Config, Events, Options, Subscription, SubscriptionConfig, SubscriptionEvent,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::nodes::options;
use crate::support::client::Session;
use crate::support::process::Process;
use crate::support::redis::RedisServer;
use crate::support::token;

const NODES: usize = 3;
const CLIENTS: usize = 30;
const CHANNELS: usize = 3;
/// What each publisher publishes; there is one at each node that survives.
const EACH: u64 = 150;
const PAUSE: Duration = Duration::from_millis(20);
/// How soon everybody is back and has everything.
const BACK_WITHIN: Duration = Duration::from_secs(30);
/// The number that ends a channel.
const LAST: u64 = 1_000_000;

/// What a client got: the numbers in the order in which they came.
struct Story {
    client: usize,
    got: Vec<u64>,
    /// How often it subscribed.
    subscribed: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_a_node_that_is_killed_go_on_at_another() {
    let server = RedisServer::start().await;
    let start = || Process::serve(options(server.as_node()));
    let mut nodes: Vec<Process> = (0..NODES).map(|_| start()).collect();
    let backends: Vec<SocketAddr> = nodes.iter().map(|node| node.public).collect();
    let (address, taken) = balance(backends.clone()).await;
    let mut clients = JoinSet::new();
    // One after the other, so that the nodes are used in turn.
    for number in 0..CLIENTS {
        let (client, room, events) = subscribed(address, number).await;
        clients.spawn(listen(number, (client, room), events));
    }
    let before: Vec<usize> = taken.iter().map(|count| count.load(Ordering::Relaxed)).collect();
    assert_eq!(before, [CLIENTS / NODES; NODES]);

    let mut publishers = JoinSet::new();
    for (at, node) in nodes.iter().enumerate().skip(1) {
        publishers.spawn(publish(node.url(), at as u64));
    }
    sleep(PAUSE * (EACH / 3) as u32).await;
    let victim = nodes.remove(0);
    victim.signal(Signal::KILL);
    let killed = victim.ended().await;
    assert_eq!(killed.code, None, "a signal ended it");
    let mut acknowledged: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    while let Some(published) = publishers.join_next().await {
        for (channel, n) in published.unwrap() {
            acknowledged.entry(channel).or_default().push(n);
        }
    }
    let last = Session::connect(who(&nodes[0].url(), "last")).await.unwrap();
    for channel in 0..CHANNELS {
        last.publish(&name(channel), LAST.to_string().as_bytes()).await.unwrap();
    }

    let mut orders: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    let mut moved = 0;
    while let Some(story) = clients.join_next().await {
        let Story { client, got, subscribed } = story.unwrap();
        moved += usize::from(subscribed > 1);
        let channel = client % CHANNELS;
        let mut sorted = got.clone();
        sorted.sort_unstable();
        let mut all = acknowledged[&channel].clone();
        all.push(LAST);
        all.sort_unstable();
        assert_eq!(sorted, all, "client {client}: everything, and once");
        let order = orders.entry(channel).or_insert_with(|| got.clone());
        assert_eq!(*order, got, "client {client}: one order for all");
    }
    assert_eq!(moved, CLIENTS / NODES, "those of the killed node, and no other");
    let after: usize = taken.iter().map(|count| count.load(Ordering::Relaxed)).sum();
    assert!(after >= CLIENTS + CLIENTS / NODES, "the fault did not bite: {after} connections");
}

fn name(channel: usize) -> String {
    format!("kept:{channel}")
}

fn who(url: &str, user: &str) -> Options {
    let mut options = Options::new(url);
    options.token = Some(token::of(user));
    options
}

async fn subscribed(
    address: SocketAddr,
    number: usize,
) -> (Client, Subscription, Events<SubscriptionEvent>) {
    let mut config = Config::new(format!("ws://{address}/connection/websocket"));
    config.token = Some(token::of(&format!("user-{number}")));
    let (client, _) = Client::new(config).unwrap();
    client.connect().await.unwrap();
    let config = SubscriptionConfig::default();
    let (room, events) = client.new_subscription(&name(number % CHANNELS), config).unwrap();
    room.subscribe().await.unwrap();
    room.ready().await.unwrap();
    (client, room, events)
}

async fn listen(
    client: usize,
    _alive: (Client, Subscription),
    mut events: Events<SubscriptionEvent>,
) -> Story {
    let mut story = Story { client, got: Vec::new(), subscribed: 0 };
    let listening = async {
        while story.got.last() != Some(&LAST) {
            match events.next().await.expect("it goes on") {
                SubscriptionEvent::Publication(publication) => {
                    let text = std::str::from_utf8(&publication.data).unwrap();
                    story.got.push(text.parse().unwrap());
                }
                SubscriptionEvent::Subscribed(now) => {
                    story.subscribed += 1;
                    assert!(now.recoverable);
                    assert!(now.recovered || !now.was_recovering, "client {client} lost its place");
                }
                SubscriptionEvent::Unsubscribed(cause) => panic!("client {client}: {cause}"),
                _ => {}
            }
        }
    };
    let within = BACK_WITHIN + PAUSE * EACH as u32;
    let through = timeout(within, listening).await;
    assert!(through.is_ok(), "client {client}: {} came", story.got.len());
    story
}

/// Publishes in each channel in turn; what was acknowledged.
async fn publish(url: String, publisher: u64) -> Vec<(usize, u64)> {
    let session = Session::connect(who(&url, "publisher")).await.unwrap();
    let mut published = Vec::new();
    for n in 0..EACH {
        let (channel, n) = (n as usize % CHANNELS, publisher * 10_000 + n);
        session.publish(&name(channel), n.to_string().as_bytes()).await.unwrap();
        published.push((channel, n));
        sleep(PAUSE).await;
    }
    published
}

/// One address for several nodes, each in its turn if it is there; and how many
/// connections each has got.
async fn balance(backends: Vec<SocketAddr>) -> (SocketAddr, Arc<Vec<AtomicUsize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken: Arc<Vec<_>> = Arc::new(backends.iter().map(|_| AtomicUsize::new(0)).collect());
    let counts = Arc::clone(&taken);
    tokio::spawn(async move {
        let mut turn = 0;
        while let Ok((mut near, _)) = listener.accept().await {
            let began = Instant::now();
            let mut far = loop {
                let at = turn % backends.len();
                turn += 1;
                if let Ok(far) = TcpStream::connect(backends[at]).await {
                    counts[at].fetch_add(1, Ordering::Relaxed);
                    break far;
                }
                assert!(began.elapsed() < BACK_WITHIN, "no node is there");
            };
            tokio::spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    (address, taken)
}
