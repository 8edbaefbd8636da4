//! Payloads as large as a message may be.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealcast_wire::command::{Publish, Subscribe};
use sealcast_wire::{Command, Data, Encoding, Request};
use serde_json::{Value, json};

use super::{ask_raw, hears, node, protobuf, receives, subscribe};
use crate::support::client::Wire;

/// The largest message of a client, and the largest payload, bytes.
const MOST: usize = 65_536;
const CHANNEL: &str = "kept:large";

#[tokio::test]
async fn the_largest_payload_of_each_way_arrives_whole() {
    let node = node().await;
    let mut json = Wire::connected(&node, "ada").await;
    ask_raw(&mut json, &format!(r#"{{"id":9,"subscribe":{{"channel":"{CHANNEL}"}}}}"#)).await;
    let mut binary = protobuf(&node, "bob").await;
    subscribe(&mut binary, Subscribe { channel: CHANNEL.into(), ..Subscribe::default() }).await;

    let (head, tail) = (format!(r#"{{"id":9,"publish":{{"channel":"{CHANNEL}","data":"#), "}}");
    let by_json = text_of(MOST - head.len() - tail.len());
    let mut publisher = Wire::connected(&node, "eve").await;
    ask_raw(&mut publisher, &format!("{head}{by_json}{tail}")).await;
    hears(&mut json, CHANNEL, &by_json).await;
    receives(&mut binary, by_json.as_bytes()).await;

    let (by_protobuf, frame) = largest_in_protobuf();
    let mut publisher = protobuf(&node, "joe").await;
    publisher.say_bytes(&frame).await;
    hears(&mut json, CHANNEL, &by_protobuf).await;
    receives(&mut binary, by_protobuf.as_bytes()).await;

    let largest = text_of(MOST);
    for body in [
        json!({ "channel": CHANNEL, "data": serde_json::from_str::<Value>(&largest).unwrap() }),
        json!({ "channel": CHANNEL, "b64data": STANDARD.encode(&largest) }),
    ] {
        let answer = node.api("publish", &body).await;
        assert!(answer.json()["result"].is_object(), "{}", answer.text());
        hears(&mut json, CHANNEL, &largest).await;
        receives(&mut binary, largest.as_bytes()).await;
    }
    let larger = json!({ "channel": CHANNEL, "b64data": STANDARD.encode(text_of(MOST + 1)) });
    assert_eq!(node.api("publish", &larger).await.json()["error"]["code"], 107);
}

/// A JSON text of so many bytes.
fn text_of(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

/// A payload whose command is as large as a message may be, and the command.
fn largest_in_protobuf() -> (String, Vec<u8>) {
    let command = |text: &str| {
        let data = Some(Data::Opaque(text.as_bytes()));
        let publish = Publish { channel: CHANNEL.into(), data, kind: 0 };
        let mut frame = Vec::new();
        let command = Command { id: 9, request: Request::Publish(publish) };
        Encoding::Protobuf.put_command(&mut frame, &command);
        frame
    };
    let mut sizes = (MOST - 100..MOST).map(|bytes| {
        let text = text_of(bytes);
        let frame = command(&text);
        (text, frame)
    });
    sizes.find(|(_, frame)| frame.len() == MOST).unwrap()
}
