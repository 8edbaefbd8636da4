//! What one connection of many streams may not do.

use std::time::Duration;

use sealcast_wire::Encoding;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::node;
use super::wire::Http2;
use crate::support::client::{Wire, client};
use crate::support::http::read_to_end;
use crate::support::node::{API_KEY, TestNode};
use crate::support::{PATIENCE, eventually};

fn websockets(node: &TestNode) -> f64 {
    node.number("sealcast_connections{transport=\"websocket\"}")
}

#[tokio::test]
async fn they_share_the_places_of_other_websockets() {
    let node = node(json!({ "client": { "connection_limit": 2 } })).await;
    let http2 = Http2::open(&node).await;
    let first = http2.connected("ada").await;
    let mut second = Wire::connected(&node, "bob").await;
    let answer = http2.ask(http2.websocket("/connection/websocket"), None).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!((5..=10).contains(&answer.retry_after.unwrap()), "{answer:?}");
    second.is_quiet().await;
    drop(first);
    eventually("its place is free", || websockets(&node) == 1.0).await;
    http2.connected("eve").await;
}

#[tokio::test]
async fn they_count_as_connections_of_their_address() {
    let node = node(json!({ "limits": { "ip_connections": 2 } })).await;
    let http2 = Http2::open(&node).await;
    let _two = [http2.connected("ada").await, http2.connected("bob").await];
    let answer = http2.ask(http2.websocket("/connection/websocket"), None).await;
    assert_eq!((answer.status, answer.retry_after.is_some()), (503, true), "{answer:?}");
    assert!(answer.body.contains("this address"), "{answer:?}");
}

/// What its peer does not take is bounded, its end is the end of its stream alone,
/// and nothing of it stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_reads_is_ended_and_its_neighbours_go_on() {
    let options = json!({ "client": { "queue_max_size": 128 << 10 } });
    let node = node(options).await;
    let http2 = Http2::open(&node).await;
    let mut deaf = http2.connected("deaf").await;
    let mut ada = http2.connected("ada").await;
    for (socket, channel) in [(&mut deaf, "flood"), (&mut ada, "room")] {
        let subscribe = json!({ "id": 2, "subscribe": { "channel": channel } });
        assert_eq!(socket.ask(&subscribe).await["id"], 2);
    }
    let publisher = client(&node, "publisher", Encoding::Json).await;
    let filler = format!("\"{}\"", "x".repeat(1_000));
    let mut published = 0;
    while websockets(&node) > 2.0 {
        assert!(published < 4_000, "it was never ended");
        publisher.publish("flood", filler.as_bytes()).await.unwrap();
        published += 1;
    }
    publisher.publish("room", b"1").await.unwrap();
    assert_eq!(ada.hear_json().await["push"]["pub"]["data"], 1);
    deaf.reset().await;
    let budget = || node.node.as_ref().unwrap().app().policy.relay.hub().budget().held();
    eventually("nothing is held", || budget() == 0).await;
    publisher.publish("room", b"2").await.unwrap();
    assert_eq!(ada.hear_json().await["push"]["pub"]["data"], 2);
}

#[tokio::test]
async fn who_asks_for_nothing_is_sent_away_and_who_has_a_websocket_is_not() {
    let node = node(json!({ "limits": { "header_timeout": "300ms" } })).await;
    let mut busy = Http2::open(&node).await;
    let mut socket = busy.connected("ada").await;
    let idle = Http2::open(&node).await;
    assert_eq!(idle.get("/health").await.status, 200);
    let ended = timeout(PATIENCE, idle.ended).await.expect("it may stay");
    assert!(ended.unwrap(), "it is told to go");
    // Some that do not even speak.
    for begun in [&b""[..], b"PR", b"PRI * HTTP/2.0\r\n\r\n"] {
        let mut stream = TcpStream::connect(node.public).await.unwrap();
        stream.write_all(begun).await.unwrap();
        let (_, waited) = read_to_end(&mut stream).await;
        assert!(waited < PATIENCE, "{begun:?}");
    }
    assert!(timeout(Duration::from_millis(10), &mut busy.ended).await.is_err());
    let history = json!({ "id": 2, "presence": { "channel": "room" } });
    assert_eq!(socket.ask(&history).await["error"]["code"], 108);
    drop(socket);
    assert!(timeout(PATIENCE, busy.ended).await.expect("it may stay").unwrap());
    eventually("all gone", || node.number("sealcast_sockets") == 0.0).await;
}

#[tokio::test]
async fn other_requests_are_answered_too() {
    let node = node(json!({ "sse": { "enabled": true } })).await;
    let http2 = Http2::open(&node).await;
    let publish = http2
        .post("/api/publish")
        .header("x-api-key", API_KEY)
        .header("content-type", "application/json");
    let answer = http2.ask(publish, Some(r#"{"channel":"room","data":1}"#)).await;
    assert_eq!((answer.status, answer.body.contains("result")), (200, true), "{answer:?}");
    let emulation = http2.post("/emulation").header("content-type", "application/json");
    assert_eq!(http2.ask(emulation, Some("{}")).await.status, 404);
    let large = http2.post("/emulation").header("content-type", "application/json");
    let answer = http2.ask(large, Some(&"x".repeat(70_000))).await;
    assert_eq!(answer.status, 413, "{answer:?}");
    // HTTP/1.1 is spoken beside it, also where a request begins like the other's preface.
    assert_eq!(node.api("publish", &json!({ "channel": "room", "data": 1 })).await.status, 200);
}

#[tokio::test]
async fn a_connection_has_so_many_streams_and_no_more() {
    let node = node(json!({})).await;
    let http2 = Http2::open(&node).await;
    let mut open = Vec::new();
    for _ in 0..100 {
        open.push(http2.open_websocket().await);
    }
    let waits = http2.ask(http2.websocket("/connection/websocket"), None);
    assert!(timeout(Duration::from_millis(300), waits).await.is_err());
    drop(open);
    eventually("gone", || websockets(&node) == 0.0).await;
    http2.connected("ada").await;
}

/// Requests that are taken back at once (CVE-2023-44487) end their connection.
#[tokio::test]
async fn who_takes_every_request_back_is_cut_off() {
    let node = node(json!({})).await;
    let mut http2 = Http2::open(&node).await;
    for _ in 0..20_000 {
        if http2.ended.is_finished() {
            break;
        }
        if let Some(mut sent) = http2.try_send("/health").await {
            sent.send_reset(h2::Reason::CANCEL);
        }
    }
    assert!(!timeout(PATIENCE, &mut http2.ended).await.expect("it may go on").unwrap());
    Http2::open(&node).await.connected("ada").await;
}
