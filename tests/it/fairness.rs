//! A channel with many subscribers does not hold up a small one beside it, even
//! if both are in the same shard. Nothing is timed: the order of arrival tells.

use sealcast_wire::command::Publish;
use sealcast_wire::{Body, Command, Data, Request};
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::PATIENCE;
use crate::support::client::Wire;
use crate::support::descriptors;
use crate::support::node::TestNode;

/// Subscribers of the large channel: several turns of the pump.
const LARGE: usize = 1_200;
/// Small channels, so many that some are in the large one's shard: a node has
/// four shards for each core.
const SMALL: usize = 64;
/// Subscribers of each small channel.
const FEW: usize = 2;
const ROUNDS: usize = 12;
/// Stands in the last publication of a round for a channel, and nowhere else.
const MARK: u8 = b'@';

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_channel_does_not_wait_for_a_large_one() {
    descriptors::raise();
    let node = TestNode::with(json!({ "client": { "ping_interval": "3600s" } })).await;
    let mut audience = Audience::start();
    let small: Vec<String> = (0..SMALL).map(|n| format!("small-{n}")).collect();
    for _ in 0..LARGE {
        audience.seat(subscribed(&node, &["large".to_owned()]).await, Size::Large).await;
    }
    for _ in 0..FEW {
        audience.seat(subscribed(&node, &small).await, Size::Small).await;
    }
    let mut publisher = Wire::connected(&node, "publisher").await;
    // One publication makes each socket readable once, so that arrivals are seen
    // in their order whenever the audience gets to look. In a burst, one that is
    // looked at late has all of it.
    let single = rounds(&mut publisher, &mut audience, &small, 1).await;
    let burst = rounds(&mut publisher, &mut audience, &small, 60).await;
    let facts = format!(
        "of {LARGE} in the large channel, so many got its last publication after everyone in the \
         small ones got theirs, by round: {single:?}, behind a burst {burst:?}"
    );
    eprintln!("{facts}");
    // Once in a while the system lets the publisher's task rest between the two.
    for behind in [single, burst] {
        let waited = behind.iter().filter(|behind| **behind == 0).count();
        assert!(waited <= ROUNDS / 3, "{facts}");
    }
}

/// Publishes, in each round, a burst into the large channel and at once something
/// into each small one. For each round, how many of the large one's subscribers
/// were still waiting for the burst's end when the last small one was served.
async fn rounds(
    publisher: &mut Wire,
    audience: &mut Audience,
    small: &[String],
    burst: usize,
) -> Vec<usize> {
    let mut behind = Vec::new();
    for _ in 0..ROUNDS {
        publisher.0.send_all(&commands(burst, small)).await.unwrap();
        let order = audience.order().await;
        behind.push(order.iter().rev().take_while(|size| **size == Size::Large).count());
        for _ in 0..burst + SMALL {
            assert!(matches!(publisher.reply().await.body, Body::Publish));
        }
    }
    behind
}

/// A burst for the large channel, and behind it one publication for each small.
fn commands(burst: usize, small: &[String]) -> Vec<Command<'_>> {
    let large = (1..=burst).map(|n| ("large", n == burst));
    let all = large.chain(small.iter().map(|name| (name.as_str(), true)));
    (2..)
        .zip(all)
        .map(|(id, (channel, last))| {
            let data = if last { &br#""@""#[..] } else { br#""""# };
            let data = Some(Data::Json(data));
            let publish = Publish { channel: channel.into(), data, ..Publish::default() };
            Command { id, request: Request::Publish(publish) }
        })
        .collect()
}

async fn subscribed(node: &TestNode, channels: &[String]) -> TcpStream {
    let mut wire = Wire::connected(node, "subscriber").await;
    for (id, channel) in (2..).zip(channels) {
        let command = json!({ "id": id, "subscribe": { "channel": channel } });
        let answer = wire.ask(&command.to_string()).await;
        assert!(answer["subscribe"].is_object(), "{answer}");
    }
    wire.0.into_stream()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Large,
    Small,
}

/// Reads all subscribers in a thread of its own, so that the node's work does not
/// decide who is looked at first.
struct Audience {
    seats: mpsc::Sender<(std::net::TcpStream, Size)>,
    arrivals: mpsc::Receiver<Size>,
}

impl Audience {
    fn start() -> Audience {
        let (seats, mut seated) = mpsc::channel(1);
        let (arrived, arrivals) = mpsc::channel(LARGE + FEW * SMALL);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                while let Some((stream, size)) = seated.recv().await {
                    let stream = TcpStream::from_std(stream).unwrap();
                    tokio::spawn(listen(stream, size, arrived.clone()));
                }
            });
        });
        Audience { seats, arrivals }
    }

    async fn seat(&self, stream: TcpStream, size: Size) {
        self.seats.send((stream.into_std().unwrap(), size)).await.unwrap();
    }

    /// Whose marks came, in their order, when the round's last has come.
    async fn order(&mut self) -> Vec<Size> {
        let mut order = Vec::new();
        while order.len() < LARGE + FEW * SMALL {
            let arrival = timeout(PATIENCE, self.arrivals.recv()).await;
            order.push(arrival.expect("nothing comes").unwrap());
        }
        order
    }
}

async fn listen(mut stream: TcpStream, size: Size, arrived: mpsc::Sender<Size>) {
    let mut bytes = Vec::with_capacity(64 << 10);
    while stream.read_buf(&mut bytes).await.unwrap() > 0 {
        for _ in bytes.iter().filter(|byte| **byte == MARK) {
            arrived.send(size).await.unwrap();
        }
        bytes.clear();
    }
}
