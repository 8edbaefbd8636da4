//! What is published, live, kept, and recovered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealcast_wire::command::{History, Subscribe};
use sealcast_wire::{Body, Request};
use serde_json::json;

use super::{ask, ask_raw, carries, hears, node, protobuf, publish, receives, subscribe, texts};
use crate::support::api::call;
use crate::support::client::Wire;
use crate::support::node::{API_KEY, TestNode};

/// Who publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Json,
    Protobuf,
    ApiData,
    ApiBase64,
}

impl By {
    fn texts(self) -> Vec<String> {
        let mut texts = texts::plain();
        match self {
            // A raw line feed ends a command; a carriage return does not.
            By::Json => texts.push("[1,\r2]".into()),
            By::ApiData => texts.extend(texts::with_line_ends()),
            By::Protobuf | By::ApiBase64 => {
                texts.extend(texts::with_line_ends());
                texts.extend(texts::with_space_around());
            }
        }
        texts
    }
}

#[tokio::test]
async fn from_json_clients() {
    all_ways(By::Json, "kept:json").await;
}

#[tokio::test]
async fn from_protobuf_clients() {
    all_ways(By::Protobuf, "kept:protobuf").await;
}

#[tokio::test]
async fn from_the_server_api() {
    all_ways(By::ApiData, "kept:api").await;
}

#[tokio::test]
async fn from_the_server_api_in_base64() {
    all_ways(By::ApiBase64, "kept:base64").await;
}

async fn all_ways(by: By, channel: &str) {
    let node = node().await;
    let texts = by.texts();
    let mut json = Wire::connected(&node, "ada").await;
    ask_raw(&mut json, &format!(r#"{{"id":9,"subscribe":{{"channel":"{channel}"}}}}"#)).await;
    let mut binary = protobuf(&node, "bob").await;
    subscribe(&mut binary, Subscribe { channel: channel.into(), ..Subscribe::default() }).await;
    let mut publisher = Publisher::new(&node, by).await;
    for text in &texts {
        publisher.publish(channel, text).await;
        hears(&mut json, channel, &texts::joined(text)).await;
        receives(&mut binary, text.as_bytes()).await;
    }
    let joined = || texts.iter().map(|text| texts::joined(text));
    kept(&node, channel, &texts, joined()).await;
    recovered(&node, channel, &texts, joined()).await;
}

struct Publisher<'n> {
    node: &'n TestNode,
    by: By,
    wire: Wire,
}

impl Publisher<'_> {
    async fn new(node: &TestNode, by: By) -> Publisher<'_> {
        let wire = match by {
            By::Protobuf => protobuf(node, "publisher").await,
            _ => Wire::connected(node, "publisher").await,
        };
        Publisher { node, by, wire }
    }

    async fn publish(&mut self, channel: &str, text: &str) {
        let member = match self.by {
            By::Json => {
                let members = format!(r#"{{"data":{text},"channel":"{channel}"}}"#);
                ask_raw(&mut self.wire, &format!(r#"{{"id":9,"publish":{members}}}"#)).await;
                return;
            }
            By::Protobuf => {
                let answer = publish(&mut self.wire, channel, text.as_bytes()).await;
                assert_eq!(answer, Body::Publish, "{text}");
                return;
            }
            By::ApiData => format!(r#""data":{text}"#),
            By::ApiBase64 => format!(r#""b64data":"{}""#, STANDARD.encode(text)),
        };
        let body = format!(r#"{{{member},"channel":"{channel}"}}"#);
        let key = [("X-API-Key", API_KEY)];
        let answer = call(self.node.public, "publish", &key, body.as_bytes()).await;
        assert!(answer.json()["result"]["offset"].is_u64(), "{text}: {}", answer.text());
    }
}

/// History, as clients of both encodings and a backend read it.
async fn kept(
    node: &TestNode,
    channel: &str,
    texts: &[String],
    joined: impl Iterator<Item = String>,
) {
    let mut json = Wire::connected(node, "eve").await;
    let command = format!(r#"{{"id":9,"history":{{"channel":"{channel}","limit":-1}}}}"#);
    carries(&ask_raw(&mut json, &command).await, "data", joined);

    let mut binary = protobuf(node, "eve").await;
    let history = History { channel: channel.into(), limit: -1, ..History::default() };
    let Body::History(result) = ask(&mut binary, Request::History(history)).await else { panic!() };
    let read: Vec<&[u8]> = result.publications.iter().map(|one| &one.data[..]).collect();
    assert_eq!(read, texts.iter().map(String::as_bytes).collect::<Vec<_>>());

    let answer = node.api("history", &json!({ "channel": channel, "limit": -1 })).await;
    // White space around a value is not the value's.
    carries(answer.text(), "data", texts.iter().map(|text| text.trim().to_owned()));
}

/// Recovery from the beginning, in both encodings.
async fn recovered(
    node: &TestNode,
    channel: &str,
    texts: &[String],
    joined: impl Iterator<Item = String>,
) {
    let mut json = Wire::connected(node, "joe").await;
    let members = format!(r#""channel":"{channel}","recover":true,"recoverable":true"#);
    let answer = ask_raw(&mut json, &format!(r#"{{"id":9,"subscribe":{{{members}}}}}"#)).await;
    assert!(answer.contains(r#""recovered":true"#), "{answer}");
    carries(&answer, "data", joined);

    let mut binary = protobuf(node, "joe").await;
    let request = Subscribe {
        channel: channel.into(),
        recover: true,
        recoverable: true,
        ..Subscribe::default()
    };
    let result = subscribe(&mut binary, request).await;
    assert!(result.recovered);
    let read: Vec<&[u8]> = result.publications.iter().map(|one| &one.data[..]).collect();
    assert_eq!(read, texts.iter().map(String::as_bytes).collect::<Vec<_>>());
}
