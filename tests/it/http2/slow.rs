//! What waits for readers of event streams over HTTP/2: bounded as over a socket, and
//! written once for all that waits.

use serde_json::{Value, json};

use super::reader::TRANSPORTS;
use super::streaming;
use super::wire::Http2;
use crate::support::eventually;
use crate::support::node::TestNode;

/// The node's bound for each client, bytes.
const QUEUE: usize = 128 << 10;
/// What may have been taken for a stream beside its queue: a window, and what waits
/// here, in hyper, and in h2.
const TAKEN: usize = (64 + 4 * 16) << 10;

fn held(node: &TestNode) -> usize {
    node.node.as_ref().expect("runs").app().policy.relay.hub().budget().held()
}

async fn publish(node: &TestNode, channel: &str, data: &Value) {
    assert_eq!(node.api("publish", &json!({ "channel": channel, "data": data })).await.status, 200);
}

/// So many listen to the channel.
async fn listen(node: &TestNode, channel: &str, count: u64) {
    let body = json!({ "channel": channel });
    while node.api("presence_stats", &body).await.json()["result"]["num_clients"] != count {
        tokio::task::yield_now().await;
    }
}

/// One that has room for many streams, each of which may stall for itself.
fn roomy(window: u32) -> h2::client::Builder {
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(window).initial_connection_window_size(4 << 20);
    builder
}

/// Ended as slow, whether it gives a window and does not read, or gives none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_reads_is_ended_and_its_neighbours_go_on() {
    let node = streaming(json!({ "client": { "queue_max_size": QUEUE } })).await;
    let http2 = Http2::with(&node, roomy(65_535)).await;
    let narrow = Http2::with(&node, roomy(0)).await;
    let mut neighbour = http2.subscribed("sse", "ada", "room").await;
    let _deaf = http2.opened("uni_http_stream", "deaf", "flood").await;
    let _blind = narrow.opened("uni_sse", "blind", "flood").await;
    listen(&node, "flood", 2).await;
    let filler = json!("x".repeat(4_000));
    let (mut published, mut most) = (0, 0);
    // Their queues are thrown away at the moment at which they are ended.
    while held(&node) > most / 4 || most < QUEUE {
        assert!(published * 4_000 < QUEUE + TAKEN, "it was never ended");
        most = most.max(held(&node));
        publish(&node, "flood", &filler).await;
        published += 1;
    }
    publish(&node, "room", &json!("go on")).await;
    assert_eq!(neighbour.next("sse").await["push"]["pub"]["data"], "go on");
    let ended = || node.number("sealcast_disconnects_total{code=\"3008\"}");
    eventually("they are ended as slow", || ended() == 2.0).await;
    eventually("nothing is held", || held(&node) == 0).await;
    publish(&node, "room", &json!("still")).await;
    assert_eq!(neighbour.next("sse").await["push"]["pub"]["data"], "still");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gives_no_window_is_ended_when_a_write_takes_too_long() {
    let node = streaming(json!({ "limits": { "write_timeout": "300ms" } })).await;
    let http2 = Http2::with(&node, roomy(0)).await;
    let _deaf = http2.opened("uni_http_stream", "deaf", "flood").await;
    listen(&node, "flood", 1).await;
    let filler = json!("x".repeat(8_000));
    let mut published = 0;
    while held(&node) == 0 {
        assert!(published * 8_000 < TAKEN, "nothing waits for it");
        publish(&node, "flood", &filler).await;
        published += 1;
    }
    let ended = || node.number("sealcast_disconnects_total{code=\"3009\"}");
    eventually("it is ended", || ended() == 1.0).await;
    eventually("nothing is held", || held(&node) == 0).await;
}

/// One that reads slowly gets everything, whole and in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_late_gets_everything() {
    let node = streaming(json!({})).await;
    let http2 = Http2::with(&node, roomy(10_000)).await;
    for transport in TRANSPORTS {
        let mut stream = http2.subscribed(transport, "ada", transport).await;
        let data = |n: usize| json!({ "n": n, "filler": "x".repeat(40 * n) });
        for n in 0..100 {
            publish(&node, transport, &data(n)).await;
        }
        for n in 0..100 {
            let said = stream.next(transport).await;
            let push = if said["push"].is_object() { &said["push"] } else { &said };
            assert_eq!(push["pub"]["data"], data(n), "{transport}");
        }
    }
}

#[tokio::test]
async fn what_waits_together_is_one_write_for_each_stream() {
    let node = streaming(json!({})).await;
    let http2 = Http2::open(&node).await;
    let mut streams = Vec::new();
    for n in 0..20 {
        streams.push(http2.subscribed("uni_http_stream", &format!("user{n}"), "room").await);
    }
    let before = node.number("sealcast_writes_total");
    let commands: Vec<Value> =
        (0..50).map(|n| json!({ "publish": { "channel": "room", "data": n } })).collect();
    let body = json!({ "commands": commands, "parallel": true });
    assert_eq!(node.api("batch", &body).await.status, 200);
    for stream in &mut streams {
        let mut all = Vec::new();
        for _ in 0..50 {
            let said = stream.next("uni_http_stream").await;
            all.push(said["pub"]["data"].as_u64().expect("a number"));
        }
        all.sort_unstable();
        assert_eq!(all, (0..50).collect::<Vec<_>>());
    }
    let writes = node.number("sealcast_writes_total") - before;
    assert!(writes <= 20.0 * 10.0, "{writes} writes for 1,000 messages");
}
