//! Who publishes: backends by the server API, with keys and retries, and clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::RngExt as _;
use sealcast_client::{CallError, Client, Config};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::{Shared, channel, token_of};
use crate::checker::{Answer, Attempt, Id, Place, Published, Stream};
use crate::support::http;
use crate::support::node::API_KEY;

/// How long a backend waits for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A backend: each publication at any node, with a key of its own. One in ten it
/// sends again although it was acknowledged, and most that failed.
pub(super) async fn backend(
    shared: Arc<Shared>,
    number: usize,
    pause: Duration,
    stop: watch::Receiver<bool>,
) -> Vec<Published> {
    let mut random = shared.random(100_000 + number);
    let mut published = Vec::new();
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !*stop.borrow() {
        ticks.tick().await;
        let at = random.random_range(0..shared.size.channels());
        let id = shared.next_id();
        let mut one = Published { id, channel: at, attempts: Vec::new() };
        loop {
            let node = shared.nodes[random.random_range(0..shared.nodes.len())];
            let attempt = publish(&shared, node, at, id).await;
            let again = match attempt.answer {
                Answer::Acked(_) => random.random_bool(0.1),
                Answer::Refused | Answer::Unanswered => random.random_bool(0.6),
            };
            one.attempts.push(attempt);
            if !again || one.attempts.len() == 4 {
                break;
            }
        }
        published.push(one);
    }
    published
}

/// A client that publishes; it is not told where.
pub(super) async fn writer(
    shared: Arc<Shared>,
    number: usize,
    pause: Duration,
    stop: watch::Receiver<bool>,
) -> Vec<Published> {
    let mut random = shared.random(100_000 + number);
    let mut config = Config::new(shared.url());
    config.token = Some(token_of(100_000 + number));
    let (client, events) = Client::new(config).unwrap();
    drop(events);
    client.connect().await.unwrap();
    let mut published = Vec::new();
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !*stop.borrow() {
        ticks.tick().await;
        let at = random.random_range(0..shared.size.channels());
        let id = shared.next_id();
        let sent = shared.clock.now();
        let answer = match client.publish(&channel(at), shared.payload(id)).await {
            Ok(()) => Answer::Acked(None),
            Err(CallError::Refused { .. }) => Answer::Refused,
            Err(CallError::Timeout | CallError::Unanswered) => Answer::Unanswered,
            // It was not sent.
            Err(CallError::NotConnected | CallError::BufferFull) => continue,
            Err(error) => panic!("{error}"),
        };
        count(&shared, &answer);
        let attempt = Attempt { sent, answered: shared.clock.now(), answer };
        published.push(Published { id, channel: at, attempts: vec![attempt] });
    }
    published
}

/// Publishes a new one until it is acknowledged.
pub(super) async fn surely(
    shared: &Shared,
    node: SocketAddr,
    at: usize,
    within: Duration,
) -> Published {
    let id = shared.next_id();
    let mut one = Published { id, channel: at, attempts: Vec::new() };
    let began = Instant::now();
    while !one.is_acked() {
        assert!(began.elapsed() < within, "nothing is acknowledged: {:?}", one.attempts.last());
        if !one.attempts.is_empty() {
            sleep(Duration::from_millis(50)).await;
        }
        one.attempts.push(publish(shared, node, at, id).await);
    }
    one
}

/// One attempt of a backend at a node.
pub(crate) async fn publish(shared: &Shared, node: SocketAddr, at: usize, id: Id) -> Attempt {
    let body = format!(
        r#"{{"channel":"{}","idempotency_key":"{id}","data":{}}}"#,
        channel(at),
        shared.payload(id)
    );
    let sent = shared.clock.now();
    let answer = match call(node, "publish", &body).await {
        None => Answer::Unanswered,
        Some(answer) => match answer["result"]["offset"].as_u64() {
            Some(offset) => {
                let epoch = answer["result"]["epoch"].as_str().expect("an epoch").into();
                Answer::Acked(Some(Place { epoch, offset }))
            }
            None => {
                assert!(answer["error"]["code"].is_u64(), "{answer}");
                Answer::Refused
            }
        },
    };
    count(shared, &answer);
    Attempt { sent, answered: shared.clock.now(), answer }
}

/// A channel's stream, by the server API.
pub(crate) async fn read_stream(shared: &Shared, node: SocketAddr, at: usize) -> Stream {
    let body = json!({ "channel": channel(at), "limit": -1 }).to_string();
    let answer = call(node, "history", &body).await.expect("history is answered");
    let result = &answer["result"];
    let entry = |one: &Value| {
        let id = one["data"]["id"].as_u64().filter(|id| {
            let sent: Value = serde_json::from_str(&shared.payload(*id)).unwrap();
            sent == one["data"]
        });
        (one["offset"].as_u64().unwrap(), id.unwrap_or(Id::MAX))
    };
    let entries = result["publications"].as_array().expect("publications");
    let epoch = result["epoch"].as_str().expect("an epoch").into();
    Stream { channel: at, epoch, entries: entries.iter().map(entry).collect() }
}

/// How many subscriptions a channel has, as a node says.
pub(crate) async fn count_present(node: SocketAddr, at: usize) -> u64 {
    let body = json!({ "channel": channel(at) }).to_string();
    let answer = call(node, "presence_stats", &body).await.expect("presence is answered");
    answer["result"]["num_clients"].as_u64().expect("a number")
}

fn count(shared: &Shared, answer: &Answer) {
    let counter = match answer {
        Answer::Acked(_) => &shared.acked,
        Answer::Refused | Answer::Unanswered => &shared.refused,
    };
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Calls a method; nothing if the node does not answer.
async fn call(node: SocketAddr, method: &str, body: &str) -> Option<Value> {
    let calling = async {
        let mut stream = TcpStream::connect(node).await.ok()?;
        let request = format!(
            "POST /api/{method} HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\
             X-API-Key: {API_KEY}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut bytes = Vec::new();
        loop {
            if let Some(answer) = http::parse(&bytes) {
                return serde_json::from_slice(&answer.body).ok();
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
    };
    timeout(ANSWER_WITHIN, calling).await.ok().flatten()
}
