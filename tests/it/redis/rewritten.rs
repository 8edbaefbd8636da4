//! Redis comes back with another history than the one that was delivered, and
//! everyone who must know is told, once; and nothing else makes anyone believe it.

use std::time::Duration;

use redis::Value as Raw;
use sealcast::broker::{Delivery, HistoryError, HistoryQuery, Page, Since, Unrecoverable};
use sealcast_client::Frame;
use sealcast_wire::Position;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::KEEP;
use super::nodes::{ask, node, publication, publish, subscribe};
use super::stored::{kept, key_of};
use crate::broker_contract::{Bench, channel};
use crate::support::client::Wire;
use crate::support::redis::RedisServer;

const TOLD_WITHIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_comes_back_empty_is_told_once_to_everyone() {
    comes_back_without(false).await;
}

/// With the same epochs, and offsets that will be given again.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_comes_back_as_it_was_before_is_told_once_to_everyone() {
    comes_back_without(true).await;
}

async fn comes_back_without(snapshot: bool) {
    let mut server = RedisServer::start().await;
    let (here, there) = (node(&server).await, node(&server).await);
    let (mut ada, mut bob) =
        (Wire::connected(&here, "ada").await, Wire::connected(&there, "bob").await);
    let mut publisher = Wire::connected(&there, "eve").await;
    let epoch = subscribe(&mut ada).await["subscribe"]["epoch"].take();
    subscribe(&mut bob).await;
    for n in 1..=6 {
        if n == 4 && snapshot {
            let _: () = server.ask("SAVE").await;
        }
        assert!(publish(&mut publisher, n).await);
        assert!(publish_unheard(&mut publisher).await);
        for wire in [&mut ada, &mut bob] {
            assert_eq!(publication(wire).await, (n, n));
        }
    }
    // Long enough for a heartbeat to be acknowledged that is lost as well.
    sleep(Duration::from_millis(1_500)).await;
    server.kill();
    server.start_again().await;
    if snapshot {
        let keys: usize = server.ask("DBSIZE").await;
        assert!(keys > 0, "the fault did not bite: it has no snapshot");
    }
    for wire in [&mut ada, &mut bob] {
        let told = timeout(TOLD_WITHIN, unsubscribed(wire)).await.expect("is told");
        assert_eq!(told["unsubscribe"]["code"], 2500, "{told}");
    }
    // As a client does then; and one that was not connected asks for a channel in
    // which nobody was, whose offsets are given again meanwhile.
    for wire in [&mut ada, &mut bob] {
        let answer = recover(wire, "kept:a", &epoch).await;
        assert_ne!(answer["recovered"], true, "{answer}");
        assert_ne!(answer["epoch"], epoch, "{answer}");
    }
    for _ in 0..6 {
        assert!(publish_unheard(&mut publisher).await);
    }
    let mut late = Wire::connected(&here, "carl").await;
    let answer = recover(&mut late, "kept:unheard", &epoch).await;
    assert_ne!(answer["recovered"], true, "{answer}");
    for n in 1..=3 {
        assert!(publish(&mut publisher, 100 + n).await);
    }
    for wire in [&mut ada, &mut bob] {
        for n in 1..=3 {
            assert_eq!(publication(wire).await, (n, 100 + n), "nothing from before, and no more");
        }
        // Two more beats: nobody is told again.
        let quiet = timeout(Duration::from_millis(2_500), unsubscribed(wire)).await;
        assert!(quiet.is_err(), "told again: {quiet:?}");
    }
}

async fn publish_unheard(wire: &mut Wire) -> bool {
    let command = json!({ "id": 8, "publish": { "channel": "kept:unheard", "data": {} } });
    ask(wire, command).await["publish"].is_object()
}

async fn recover(wire: &mut Wire, channel: &str, epoch: &Value) -> Value {
    let request = json!({
        "channel": channel, "recover": true, "recoverable": true, "offset": 6, "epoch": epoch,
    });
    let mut answer = ask(wire, json!({ "id": 9, "subscribe": request })).await;
    assert!(answer["subscribe"].is_object(), "{answer}");
    answer["subscribe"].take()
}

/// The next unsubscribe; joins and leaves are passed over.
async fn unsubscribed(wire: &mut Wire) -> Value {
    loop {
        let Ok(Frame::Text(text)) = wire.0.next_frame(TOLD_WITHIN).await else {
            panic!("the connection stands")
        };
        let push = serde_json::from_str::<Value>(&text).unwrap()["push"].take();
        if push["unsubscribe"].is_object() {
            return push;
        }
        assert!(push["join"].is_object() || push["leave"].is_object(), "{push}");
    }
}

/// A node that has three publications of a room, and where it stands.
async fn three(server: &RedisServer) -> (Bench, Position) {
    let mut bench = Bench::on(server.config()).await;
    bench.broker.subscribe(channel("room")).await.unwrap();
    let mut at = None;
    for n in 1..=3 {
        at = bench.broker.publish(channel("room"), kept(n)).await.unwrap();
        bench.next().await;
    }
    (bench, at.unwrap())
}

async fn behind(bench: &Bench, from: &Position) -> Result<Page, HistoryError> {
    bench.broker.behind(channel("room"), from.clone(), 100, KEEP.meta_ttl).await
}

/// Lets the only stream stand elsewhere, in what begins like its last record.
async fn rewrite(server: &RedisServer, offset: Option<u8>, tag: Option<&str>) {
    let meta = key_of(server, "m").await;
    let offset = offset.map(|offset| ("2", format!("\0\0\0\0\0\0\0{}", char::from(offset))));
    for (at, bytes) in offset.into_iter().chain(tag.map(|tag| ("34", tag.to_owned()))) {
        let _: usize = server.ask_words(&["SETRANGE", &meta, at, &bytes]).await;
    }
}

async fn top(bench: &Bench) -> Position {
    let query = HistoryQuery::default();
    bench.broker.history(channel("room"), query, KEEP.meta_ttl).await.unwrap().position
}

#[tokio::test(flavor = "multi_thread")]
async fn what_contradicts_the_last_entry_that_was_seen_begins_the_stream_anew() {
    for (offset, tag) in [(Some(2), None), (None, Some("another-")), (Some(4), Some("another-"))] {
        let server = RedisServer::start().await;
        let (bench, at) = three(&server).await;
        assert_eq!(behind(&bench, &at).await.unwrap().position, at, "all is well before");
        rewrite(&server, offset, tag).await;
        if offset == Some(4) {
            // Older ones are there, so it was not trimmed.
            let stream = key_of(&server, "s").await;
            let _: usize = server.ask(&format!("XDEL {stream} 3-0")).await;
        }
        let proved = behind(&bench, &at).await;
        assert_eq!(proved, Err(Unrecoverable.into()), "{offset:?} {tag:?}");
        let now = top(&bench).await;
        assert_eq!(now.offset, 0);
        assert_ne!(now.epoch, at.epoch, "{offset:?} {tag:?}");
        assert_eq!(behind(&bench, &at).await, Err(Unrecoverable.into()));
        assert_eq!(top(&bench).await, now, "once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_position_or_a_removed_history_changes_nothing() {
    let server = RedisServer::start().await;
    let (bench, at) = three(&server).await;
    for (offset, epoch) in [(9, &*at.epoch), (3, "another"), (9, "")] {
        let since = Some(Since { offset, epoch: epoch.into() });
        let query = HistoryQuery { limit: 10, since, reverse: false };
        let read = bench.broker.history(channel("room"), query, KEEP.meta_ttl).await;
        assert!(read.is_err() || read.is_ok_and(|page| page.publications.is_empty()));
        assert_eq!(top(&bench).await, at);
    }
    bench.broker.remove_history(channel("room")).await.unwrap();
    assert_eq!(behind(&bench, &at).await.unwrap().position, at);
    // Whatever was between may have been removed as well.
    rewrite(&server, Some(4), Some("another-")).await;
    let at = Position { offset: 4, ..at };
    let from = Position { offset: 3, ..at.clone() };
    assert_eq!(behind(&bench, &from).await.unwrap().position, at);
    // A node that saw nothing of it, and stands further behind than there are entries.
    let other = Bench::on(server.config()).await;
    let from = Position { offset: 1, ..at.clone() };
    assert_eq!(behind(&other, &from).await.unwrap().position, at);
}

/// Whoever may publish at Redis can send any message: the node asks the stream.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_another_predecessor_is_only_a_reason_to_ask() {
    let server = RedisServer::start().await;
    let (mut bench, at) = three(&server).await;
    let stream = key_of(&server, "s").await;
    let client = redis::Client::open(format!("redis://{}", server.address())).unwrap();
    let mut direct = client.get_multiplexed_async_connection().await.unwrap();
    let mut read = redis::cmd("XRANGE");
    read.arg(&stream).arg("3").arg("3");
    let entries: Vec<(String, Vec<Raw>)> = read.query_async(&mut direct).await.unwrap();
    let [_, Raw::BulkString(record)] = &entries[0].1[..] else { panic!("{entries:?}") };
    let mut forged = record.clone();
    // The offset's last byte, and the predecessor's tag.
    forged[9] = 4;
    forged[42..50].fill(7);
    let topic = stream.replace("}:s", "}:t");
    let mut publish = redis::cmd("PUBLISH");
    publish.arg(topic).arg(forged);
    let receivers: usize = publish.query_async(&mut direct).await.unwrap();
    assert_eq!(receivers, 1);
    let (_, first) = bench.next().await;
    assert!(matches!(first, Delivery::Gap { .. }), "{first:?}");
    assert_eq!(behind(&bench, &at).await.unwrap().position, at, "the stream says otherwise");
    assert_eq!(top(&bench).await, at);
}
