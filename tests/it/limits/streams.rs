//! The same numbers over streams, whose commands come by requests of their own: at
//! each and one past it, for every command of a batch.

use serde_json::{Value, json};

use super::{PROFILES, node_options};
use crate::stream::reader::{Emulated, Stream, connect, post};
use crate::support::node::{TestNode, lay_over};
use crate::support::token;

const TRANSPORTS: [&str; 2] = ["http_stream", "sse"];

async fn node(profile: &str, limits: Value) -> TestNode {
    let mut options = node_options(profile, limits);
    lay_over(
        &mut options,
        json!({ "sse": { "enabled": true }, "http_stream": { "enabled": true } }),
    );
    TestNode::with(options).await
}

/// A connected client.
struct Client {
    stream: Stream,
    session: Emulated,
    events: bool,
}

impl Client {
    async fn connected(node: &TestNode, transport: &str, user: &str) -> Client {
        let connect = connect(&token::of(user));
        let events = transport == "sse";
        let request = post(&format!("/connection/{transport}"), "", &connect);
        let mut stream = Stream::opened(node, &request).await;
        let reply = if events { stream.event().await } else { stream.json().await };
        Client { session: Emulated::of(&reply), stream, events }
    }

    /// Says all of these in one request, with the ids from 2 on; the code of each
    /// answer, and 0 of those that are not refused, in the order of the ids.
    async fn batch(&mut self, node: &TestNode, commands: &[Value]) -> Vec<u64> {
        let lines: Vec<String> = (2..)
            .zip(commands)
            .map(|(id, command)| {
                let mut command = command.clone();
                command["id"] = json!(id);
                command.to_string()
            })
            .collect();
        assert_eq!(self.session.say(node, "", &lines.join("\n")).await, 204);
        let mut codes = vec![u64::MAX; commands.len()];
        for _ in commands {
            let reply = loop {
                let reply =
                    if self.events { self.stream.event().await } else { self.stream.json().await };
                if reply["id"].as_u64().is_some() {
                    break reply;
                }
            };
            let at = usize::try_from(reply["id"].as_u64().unwrap()).unwrap() - 2;
            codes[at] = reply["error"]["code"].as_u64().unwrap_or(0);
        }
        codes
    }
}

fn refused(codes: &[u64]) -> usize {
    codes.iter().filter(|code| **code == 111).count()
}

#[tokio::test]
async fn commands_and_subscribes_of_one_connection() {
    for profile in PROFILES {
        let lifted = json!({ "node_commands": "none", "user_messages": "none",
            "ip_connects": "none", "ip_connections": 1_000 });
        let node = node(profile, lifted).await;
        for transport in TRANSPORTS {
            let publish = json!({ "publish": { "channel": "open:room", "data": 1 } });
            let history = json!({ "history": { "channel": "open:room", "limit": 1 } });
            let unsubscribe = json!({ "unsubscribe": { "channel": "open:room" } });
            for (command, most) in [(publish, 20), (history, 20), (unsubscribe, 128)] {
                let what = format!("{command} {profile} {transport}");
                let mut client = Client::connected(&node, transport, "ada").await;
                let codes = client.batch(&node, &vec![command.clone(); most + 1]).await;
                assert_eq!((refused(&codes), codes[most]), (1, 111), "{what}: {codes:?}");
                let mut client = Client::connected(&node, transport, "ada").await;
                let codes = client.batch(&node, &vec![command; most]).await;
                assert_eq!(refused(&codes), 0, "{what}: {codes:?}");
            }
        }
    }
}

#[tokio::test]
async fn messages_of_one_user() {
    for profile in PROFILES {
        let lifted = json!({ "node_commands": "none", "conn_commands": "none" });
        let node = node(profile, lifted).await;
        for transport in TRANSPORTS {
            let publish = json!({ "publish": { "channel": "open:room", "data": 1 } });
            let mut client = Client::connected(&node, transport, transport).await;
            let codes = client.batch(&node, &vec![publish; 22]).await;
            // 600 ms bring another one.
            assert!((1..=2).contains(&refused(&codes)), "{profile} {transport}: {codes:?}");
            assert_eq!(refused(&codes[..20]), 0, "{profile} {transport}: {codes:?}");
        }
    }
}

#[tokio::test]
async fn payloads_and_channels() {
    for (profile, bytes, channels) in [("strict", 1_024, 32), ("standard", 65_536, 128)] {
        let lifted = json!({ "subscribe": "none", "conn_bytes": "none" });
        let mut lifted = lifted;
        // So that a request of the largest payload fits.
        lay_over(&mut lifted, json!({ "message_bytes": bytes }));
        let mut options = node_options(profile, lifted);
        lay_over(
            &mut options,
            json!({
                "sse": { "enabled": true }, "http_stream": { "enabled": true },
                "websocket": { "message_size_limit": 256 << 10 },
            }),
        );
        let node = TestNode::with(options).await;
        for transport in TRANSPORTS {
            let mut client = Client::connected(&node, transport, "ada").await;
            let publish = |size: usize| json!({ "publish": { "channel": "open:room", "data": "x".repeat(size - 2) } });
            // Together they would be more than a request may bring.
            for (size, code) in [(bytes, 0), (bytes + 1, 107)] {
                let codes = client.batch(&node, &[publish(size)]).await;
                assert_eq!(codes, [code], "{profile} {transport} {size}");
            }
            let subscribe = |at: usize| json!({ "subscribe": { "channel": format!("open:{at}") } });
            let all: Vec<Value> = (0..=channels).map(subscribe).collect();
            let codes = client.batch(&node, &all).await;
            let over: Vec<_> = codes.into_iter().filter(|code| *code != 0).collect();
            assert_eq!(over, [106], "{profile} {transport}");
        }
    }
}
