//! Payload bytes pass through as they are, whatever the encodings at both ends.

use sealcast_wire::command::{Publish, Subscribe};
use sealcast_wire::reply::Event;
use sealcast_wire::{Body, Data, ErrorCode, Reply, Request};
use serde_json::json;

use crate::support::client::Wire;
use crate::support::node::TestNode;

/// JSON texts that something between would like to tidy up.
const TEXTS: &[&str] = &[
    "0",
    "false",
    "\"\"",
    "[]",
    "null",
    "-0",
    "1.0",
    "1e3",
    "1E+2",
    "18446744073709551615",
    "123456789012345678901234567890.000",
    "0.1000",
    "{\"b\":1,\"a\":2,\"b\":3}",
    "{ \"a\" :\t[ 1 ,2 ] }",
    "\"\\u00e9\\/\\ud83d\\ude00\"",
    "\"é😀\u{2028}\u{2029}\u{7f}\"",
    "\"<script>&amp;\"",
    "\"\\u0000\"",
    "{\"id\":1,\"push\":{}}",
];

/// A JSON and a Protobuf connection of one user, both subscribed to `room`.
async fn pair(node: &TestNode) -> (Wire, Wire) {
    let mut json = Wire::connected(node, "ada").await;
    json.ask(r#"{"id":2,"subscribe":{"channel":"room"}}"#).await;
    let mut protobuf = protobuf(node).await;
    assert!(matches!(subscribe(&mut protobuf, "room").await, Body::Subscribe(_)));
    (json, protobuf)
}

async fn protobuf(node: &TestNode) -> Wire {
    let mut wire = Wire::open_protobuf(node).await;
    let options = node.options("bob", sealcast_wire::Encoding::Protobuf);
    wire.0.connect(&options).await.unwrap();
    wire
}

async fn subscribe(wire: &mut Wire, channel: &str) -> Body {
    let request = Subscribe { channel: channel.into(), ..Subscribe::default() };
    wire.command(2, Request::Subscribe(Box::new(request))).await;
    wire.reply().await.body
}

/// Publishes from the Protobuf connection; the reply's body.
async fn publish(wire: &mut Wire, channel: &str, data: Option<&[u8]>) -> Body {
    let data = data.map(Data::Opaque);
    let request = Publish { channel: channel.into(), data, kind: 0 };
    wire.command(3, Request::Publish(request)).await;
    loop {
        let Reply { id, body } = wire.reply().await;
        if id == 3 {
            return body;
        }
    }
}

async fn receive(wire: &mut Wire) -> Vec<u8> {
    loop {
        if let Reply { id: 0, body: Body::Push(push) } = wire.reply().await {
            let Event::Publication(publication) = push.event else { panic!("{push:?}") };
            return publication.data.to_vec();
        }
    }
}

/// The payload's text as it stands in the next publication's frame.
async fn hear_data(wire: &mut Wire) -> String {
    loop {
        let text = wire.hear().await;
        if let Some(rest) = text.strip_prefix(r#"{"push":{"channel":"room","pub":{"data":"#) {
            let end = rest.rfind(r#","info":"#).or_else(|| rest.rfind("}}}")).unwrap();
            return rest[..end].to_owned();
        }
    }
}

fn is_error(body: &Body, code: ErrorCode) -> bool {
    matches!(body, Body::Error(error) if error.code == code.code())
}

#[tokio::test]
async fn from_json_to_both() {
    let node = TestNode::start().await;
    let (mut json, mut protobuf) = pair(&node).await;
    for text in TEXTS {
        json.say(&format!(r#"{{"id":3,"publish":{{"data":{text},"channel":"room"}}}}"#)).await;
        assert_eq!(hear_data(&mut json).await, *text);
        assert_eq!(receive(&mut protobuf).await, text.as_bytes(), "{text}");
    }
}

#[tokio::test]
async fn from_protobuf_to_both() {
    let node = TestNode::start().await;
    let (mut json, _subscriber) = pair(&node).await;
    let mut other = protobuf(&node).await;
    subscribe(&mut other, "room").await;
    let mut publisher = protobuf(&node).await;
    for text in TEXTS {
        assert_eq!(publish(&mut publisher, "room", Some(text.as_bytes())).await, Body::Publish);
        assert_eq!(hear_data(&mut json).await, *text);
        assert_eq!(receive(&mut other).await, text.as_bytes(), "{text}");
    }
}

#[tokio::test]
async fn raw_line_breaks_are_left_out_towards_json_only() {
    let node = TestNode::start().await;
    let (mut json, mut receiver) = pair(&node).await;
    let mut publisher = protobuf(&node).await;
    let pretty = "\n{\n  \"a\": [\r\n 1,\n\n2 ],\t\"b\": \"\\n\"\n}\n";
    assert_eq!(publish(&mut publisher, "room", Some(pretty.as_bytes())).await, Body::Publish);
    assert_eq!(receive(&mut receiver).await, pretty.as_bytes());
    // A carriage return is a line end to some parsers.
    let joined = pretty.replace(['\r', '\n'], "");
    assert_eq!(hear_data(&mut json).await, joined);
    let body = format!(r#"{{"channel":"room","data":{}}}"#, pretty.trim());
    let key = [("X-API-Key", crate::support::node::API_KEY)];
    let answer = crate::support::api::call(node.public, "publish", &key, body.as_bytes()).await;
    assert_eq!(answer.json(), json!({ "result": {} }));
    assert_eq!(receive(&mut receiver).await, pretty.trim().as_bytes());
    assert_eq!(hear_data(&mut json).await, joined);
}

#[tokio::test]
async fn what_json_subscribers_cannot_read_is_refused() {
    let node = TestNode::start().await;
    let (mut json, mut publisher) = pair(&node).await;
    let deep = [b"[".repeat(33), b"]".repeat(33)].concat();
    for bad in [
        &b"not json"[..],
        b"\x00\xff",
        b"{",
        b"1 2",
        b"{\"a\":1}x",
        b"\"\xff\"",
        b"\"a\nb\"",
        b" ",
        b"",
        &deep,
    ] {
        let body = publish(&mut publisher, "room", Some(bad)).await;
        assert!(is_error(&body, ErrorCode::BadRequest), "{bad:?}: {body:?}");
    }
    let body = publish(&mut publisher, "room", None).await;
    assert!(is_error(&body, ErrorCode::BadRequest), "{body:?}");
    json.is_quiet().await;
}

#[tokio::test]
async fn a_binary_namespace_carries_any_bytes_between_protobuf_clients() {
    let node = TestNode::start().await;
    let mut json = Wire::connected(&node, "ada").await;
    let answer = json.refused(r#"{"id":2,"subscribe":{"channel":"bytes:a"}}"#).await;
    assert_eq!(answer, 107, "a JSON client could not read what comes");
    let mut receiver = protobuf(&node).await;
    assert!(matches!(subscribe(&mut receiver, "bytes:a").await, Body::Subscribe(_)));
    let mut publisher = protobuf(&node).await;
    for bytes in [&b"\x00\xff\n\x80"[..], b"\n\n", b"text", b"{}"] {
        assert_eq!(publish(&mut publisher, "bytes:a", Some(bytes)).await, Body::Publish);
        assert_eq!(receive(&mut receiver).await, bytes);
    }
    json.ask(r#"{"id":3,"publish":{"channel":"bytes:a","data":{"a": 1}}}"#).await;
    assert_eq!(receive(&mut receiver).await, br#"{"a": 1}"#);
}

#[tokio::test]
async fn a_binary_namespace_takes_the_empty_payload() {
    let node = TestNode::start().await;
    let mut receiver = protobuf(&node).await;
    subscribe(&mut receiver, "bytes:a").await;
    let mut publisher = protobuf(&node).await;
    // In Protobuf the empty payload is the absent one.
    assert_eq!(publish(&mut publisher, "bytes:a", None).await, Body::Publish);
    assert_eq!(receive(&mut receiver).await, b"");
}
