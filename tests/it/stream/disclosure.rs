//! T-43: a position that a client names tells it nothing of what it may not read,
//! whatever the transport and wherever the position stands.

use serde_json::{Value, json};

use super::node;
use super::reader::{Emulated, Stream, connect, get, post};
use crate::support::node::TestNode;
use crate::support::token;

const CHANNEL: &str = "secret:room";

/// Positions that were, could be, and could not be.
fn positions(epoch: &str) -> Vec<(u64, String)> {
    let epochs = [epoch, "foreign", ""];
    let offsets = [0, 1, 2, 3, u64::MAX];
    epochs.iter().flat_map(|epoch| offsets.map(|offset| (offset, (*epoch).to_owned()))).collect()
}

#[track_caller]
fn tells_nothing(said: &Value, epoch: &str) {
    let text = said.to_string();
    for told in ["before", "\"offset\"", "\"epoch\"", "\"publications\"", epoch] {
        assert!(!text.contains(told), "{told}: {text}");
    }
}

#[tokio::test]
async fn a_position_tells_nothing_of_what_may_not_be_read() {
    let secret = json!({
        "name": "secret",
        "allow_subscribe_for_client": true,
        "history_size": 1000,
        "history_ttl": "300s",
    });
    let node = node(json!({ "channel": { "namespaces": [secret] } })).await;
    let mut epoch = String::new();
    for n in 0..3 {
        let body = json!({ "channel": CHANNEL, "data": format!("before {n}") });
        let answer = node.api("publish", &body).await.json();
        epoch = answer["result"]["epoch"].as_str().expect("an epoch").to_owned();
    }
    for (offset, named) in positions(&epoch) {
        let from = json!({ "recover": true, "offset": offset, "epoch": named });
        for transport in ["http_stream", "sse"] {
            tells_nothing(&subscribed(&node, transport, &from).await, &epoch);
        }
        let bearer = format!("Authorization: Bearer {}\r\n", token::of("eve"));
        let subs = json!({ "subs": { CHANNEL: from } }).to_string();
        let mut stream =
            Stream::opened(&node, post("/connection/uni_http_stream", &bearer, &subs)).await;
        tells_nothing(&stream.json().await, &epoch);
        let id = format!("Last-Event-ID: {offset}:{named}:{CHANNEL}\r\n");
        for request in [
            post("/connection/uni_sse", &bearer, &subs),
            get("/connection/uni_sse", &format!("{bearer}{id}"), "{}"),
        ] {
            let mut stream = Stream::opened(&node, request).await;
            let said = stream.event().await;
            tells_nothing(&said, &epoch);
            assert_eq!(said["connect"]["subs"].as_object().map(|subs| subs.len()), Some(1));
            // What is said now comes, and the id of its event names no place in the channel.
            assert_eq!(publish(&node).await, 200);
            let block = stream.block().await.expect("not the end");
            assert_eq!(block.id, None);
            let push: Value = serde_json::from_str(&block.data.expect("a push")).unwrap();
            assert_eq!(push["pub"]["data"], "now");
        }
    }
}

async fn publish(node: &TestNode) -> u16 {
    node.api("publish", &json!({ "channel": CHANNEL, "data": "now" })).await.status
}

/// The reply to a subscription over an emulated transport.
async fn subscribed(node: &TestNode, transport: &str, from: &Value) -> Value {
    let request = post(&format!("/connection/{transport}"), "", &connect(&token::of("eve")));
    let mut stream = Stream::opened(node, request).await;
    let events = transport == "sse";
    let said = if events { stream.event().await } else { stream.json().await };
    let mut command = json!({ "id": 2, "subscribe": from });
    command["subscribe"]["channel"] = CHANNEL.into();
    let session = Emulated::of(&said);
    assert_eq!(session.say(node, "", &command.to_string()).await, 204);
    let said = if events { stream.event().await } else { stream.json().await };
    assert_eq!(said["id"], 2);
    said
}
