//! Bytes that are no JSON, between those who speak Protobuf.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealcast_wire::command::{History, Subscribe};
use sealcast_wire::{Body, Request};
use serde_json::json;

use super::{ask, node, protobuf, publish, receives, subscribe};
use crate::support::client::Wire;
use crate::support::token;

const CHANNEL: &str = "bytes:a";

fn payloads() -> Vec<Vec<u8>> {
    vec![
        (0..=255).collect(),
        b"\x00".to_vec(),
        b"\n\r\n".to_vec(),
        b"\xff\xfe\x80".to_vec(),
        b"not json".to_vec(),
        // What looks like the protocol's own.
        b"\x22\x02\x08\x01\x0a\x00".to_vec(),
        (0..60_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect(),
    ]
}

#[tokio::test]
async fn any_bytes_survive_live_kept_and_recovered() {
    let node = node().await;
    let mut subscriber = protobuf(&node, "bob").await;
    subscribe(&mut subscriber, Subscribe { channel: CHANNEL.into(), ..Subscribe::default() }).await;
    let mut publisher = protobuf(&node, "ada").await;
    for payload in payloads() {
        assert_eq!(publish(&mut publisher, CHANNEL, &payload).await, Body::Publish);
        receives(&mut subscriber, &payload).await;
        let body = json!({ "channel": CHANNEL, "b64data": STANDARD.encode(&payload) });
        node.api("publish", &body).await;
        receives(&mut subscriber, &payload).await;
    }
    let twice: Vec<Vec<u8>> = payloads().into_iter().flat_map(|one| [one.clone(), one]).collect();

    let history = History { channel: CHANNEL.into(), limit: -1, ..History::default() };
    let Body::History(kept) = ask(&mut publisher, Request::History(history)).await else {
        panic!()
    };
    assert!(kept.publications.iter().map(|one| &one.data[..]).eq(twice.iter().map(|one| &one[..])));

    let request = Subscribe {
        channel: CHANNEL.into(),
        recover: true,
        recoverable: true,
        ..Subscribe::default()
    };
    let result = subscribe(&mut publisher, request).await;
    assert!(result.recovered);
    let recovered = result.publications.iter().map(|one| &one.data[..]);
    assert!(recovered.eq(twice.iter().map(|one| &one[..])));

    let answer = node.api("history", &json!({ "channel": CHANNEL, "limit": -1 })).await.json();
    let kept = answer["result"]["publications"].as_array().unwrap();
    assert_eq!(kept.len(), twice.len());
    for (publication, payload) in kept.iter().zip(&twice) {
        assert_eq!(publication["b64data"], STANDARD.encode(payload), "{publication}");
        assert!(publication["data"].is_null(), "{publication}");
    }
}

/// Nothing that is no JSON may stand in a JSON message.
#[tokio::test]
async fn who_reads_json_is_not_sent_them() {
    let node = node().await;
    let mut publisher = protobuf(&node, "ada").await;
    publish(&mut publisher, CHANNEL, b"\x00\xff").await;

    let mut json = Wire::connected(&node, "bob").await;
    let history = format!(r#"{{"id":2,"history":{{"channel":"{CHANNEL}","limit":1}}}}"#);
    assert_eq!(json.refused(&history).await, 107);
    json.is_quiet().await;

    let subscribe = json!({ "user": "bob", "channel": CHANNEL });
    assert_eq!(node.api("subscribe", &subscribe).await.json()["error"]["code"], 107);
    let claims = json!({ "sub": "eve", "exp": token::now() + 600, "channels": [CHANNEL] });
    let connect = json!({ "id": 1, "connect": { "token": token::signed(claims) } });
    assert_eq!(Wire::open(&node).await.refused(&connect.to_string()).await, 107);
    publish(&mut publisher, CHANNEL, b"\x00\xff").await;
    json.is_quiet().await;
}
