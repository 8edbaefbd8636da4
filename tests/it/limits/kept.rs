//! What is read of a channel's history at once, and what of it is kept, at the profiles'
//! numbers and one past them.

use sealcast_wire::command::{History, Subscribe};
use sealcast_wire::reply::Body;
use sealcast_wire::{Command, Encoding, Request};
use serde_json::json;

use super::{ENCODINGS, PROFILES, connected, node_options};
use crate::support::client::Wire;
use crate::support::node::TestNode;

/// Of a page and of a recovery, in both profiles.
const MOST: usize = 300;
const CHANNEL: &str = "kept:room";

async fn node(profile: &str) -> TestNode {
    // Otherwise a strict node takes no payloads that fill a history.
    let mut options = node_options(profile, json!({ "message_bytes": 65_536 }));
    options["channel"]["namespaces"] = json!([{
        "name": "kept", "history_size": 1_000, "history_ttl": "10m", "force_recovery": true,
        "allow_subscribe_for_client": true, "allow_history_for_client": true,
    }]);
    TestNode::with(options).await
}

/// Publishes so many payloads of so many bytes.
async fn publish(node: &TestNode, count: usize, bytes: usize) {
    let body = json!({ "channel": CHANNEL, "data": "x".repeat(bytes - 2) });
    for _ in 0..count {
        let answer = node.api("publish", &body).await.json();
        assert!(answer["result"]["offset"].is_u64(), "{answer}");
    }
}

async fn ask(wire: &mut Wire, request: Request<'_>) -> Body {
    wire.0.send(Command { id: 7, request }).await.unwrap();
    loop {
        let reply = wire.reply().await;
        if reply.id == 7 {
            return reply.body;
        }
    }
}

/// How long a page is when so many are asked for.
async fn page(wire: &mut Wire, limit: i32) -> usize {
    let history = History { channel: CHANNEL.into(), limit, since: None, reverse: false };
    match ask(wire, Request::History(history)).await {
        Body::History(page) => page.publications.len(),
        other => panic!("{other:?}"),
    }
}

/// How many are recovered since this offset; `None` if it cannot be done.
async fn recovered(node: &TestNode, encoding: Encoding, offset: u64) -> Option<usize> {
    let mut wire = connected(node, "ada", encoding).await;
    let history = History { channel: CHANNEL.into(), limit: 0, since: None, reverse: false };
    let Body::History(top) = ask(&mut wire, Request::History(history)).await else { panic!() };
    let subscribe = Subscribe {
        channel: CHANNEL.into(),
        recover: true,
        recoverable: true,
        epoch: top.epoch.into(),
        offset,
        ..Subscribe::default()
    };
    match ask(&mut wire, Request::Subscribe(Box::new(subscribe))).await {
        Body::Subscribe(result) => result.recovered.then_some(result.publications.len()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_page_and_a_recovery() {
    for profile in PROFILES {
        let node = node(profile).await;
        publish(&node, MOST, 10).await;
        for encoding in ENCODINGS {
            let what = format!("{profile} {encoding:?}");
            let mut wire = connected(&node, "ada", encoding).await;
            assert_eq!(page(&mut wire, -1).await, MOST, "{what}");
            assert_eq!(recovered(&node, encoding, 0).await, Some(MOST), "{what}");
        }
        publish(&node, 1, 10).await;
        for encoding in ENCODINGS {
            let what = format!("{profile} {encoding:?}");
            let mut wire = connected(&node, "ada", encoding).await;
            for limit in [-1, 300, 301] {
                assert_eq!(page(&mut wire, limit).await, MOST, "{what}: {limit}");
            }
            assert_eq!(recovered(&node, encoding, 0).await, None, "{what}");
            assert_eq!(recovered(&node, encoding, 1).await, Some(MOST), "{what}");
        }
    }
}

#[tokio::test]
async fn the_bytes_of_a_channel() {
    // With what is kept beside it, a 64th of 4 MiB.
    const BYTES: usize = 65_536 - 256;
    for profile in PROFILES {
        let node = node(profile).await;
        let offsets = async || -> Vec<u64> {
            let body = json!({ "channel": CHANNEL, "limit": 100 });
            let answer = node.api("history", &body).await.json();
            let all = answer["result"]["publications"].as_array().unwrap().iter();
            all.map(|one| one["offset"].as_u64().unwrap()).collect()
        };
        publish(&node, 64, BYTES).await;
        assert_eq!(offsets().await, (1..=64).collect::<Vec<_>>(), "{profile}: at the number");
        publish(&node, 1, 2).await;
        assert_eq!(offsets().await, (2..=65).collect::<Vec<_>>(), "{profile}: past it");
    }
}
