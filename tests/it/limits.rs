//! Every number of the limit profiles at it and one past it, in both profiles and
//! both encodings, and what is told.

mod commands;
mod connects;
mod crowds;
mod flood;
mod floods;
mod full;
mod held;
mod kept;
mod keys;
mod memory;
mod overrides;
mod page;
mod shaped;
mod sizes;
mod streams;
mod tenants;
mod times;
mod transports;
mod turns;
mod waiting;

use sealcast_wire::reply::Body;
use sealcast_wire::ws::Opcode;
use sealcast_wire::{Command, Encoding, Request};
use serde_json::{Value, json};

use crate::support::client::Wire;
use crate::support::node::TestNode;

/// The profiles that limit rates.
const PROFILES: [&str; 2] = ["strict", "standard"];
const ENCODINGS: [Encoding; 2] = [Encoding::Json, Encoding::Protobuf];
const TOO_MANY: u32 = 111;

/// A node under a profile's own numbers, changed by what `limits` says.
async fn node_under(profile: &str, limits: Value) -> TestNode {
    TestNode::with(node_options(profile, limits)).await
}

fn node_options(profile: &str, limits: Value) -> Value {
    let mut options = json!({
        "client": { "allow_anonymous_connect_without_token": true },
        "limits": { "profile": profile, "ip_connections": null },
        "channel": { "namespaces": [{
            "name": "open",
            "allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true,
            "allow_publish_for_client": true, "allow_publish_for_anonymous": true,
            "presence": true, "allow_presence_for_client": true,
            "history_size": 10, "history_ttl": "60s", "allow_history_for_client": true,
        }] },
    });
    for (name, value) in limits.as_object().unwrap() {
        options["limits"][name] = value.clone();
    }
    options
}

async fn connected(node: &TestNode, user: &str, encoding: Encoding) -> Wire {
    if encoding == Encoding::Json {
        return Wire::connected(node, user).await;
    }
    let mut wire = Wire::open_protobuf(node).await;
    wire.0.connect(&node.options(user, encoding)).await.unwrap();
    wire
}

/// Says all of these in one frame, with the ids from 2 on, and takes as many answers:
/// the code of each that is refused, in the order of the ids, and 0 of the others.
async fn batch(wire: &mut Wire, encoding: Encoding, requests: Vec<Request<'_>>) -> Vec<u32> {
    let mut answers = vec![u32::MAX; requests.len()];
    say_all(wire, encoding, requests).await;
    for _ in 0..answers.len() {
        let reply = loop {
            let reply = wire.reply().await;
            if reply.id > 0 {
                break reply;
            }
        };
        let at = usize::try_from(reply.id).unwrap() - 2;
        assert_eq!(answers[at], u32::MAX, "answered twice: {reply:?}");
        answers[at] = match reply.body {
            Body::Error(error) => {
                assert!(error.code != TOO_MANY || error.temporary, "{error:?}");
                error.code
            }
            _ => 0,
        };
    }
    answers
}

async fn say_all(wire: &mut Wire, encoding: Encoding, requests: Vec<Request<'_>>) {
    let mut frame = Vec::new();
    for (id, request) in (2..).zip(requests) {
        if encoding == Encoding::Json && !frame.is_empty() {
            frame.push(b'\n');
        }
        let id = if request == Request::Pong { 0 } else { id };
        encoding.put_command(&mut frame, &Command { id, request });
    }
    let opcode = if encoding == Encoding::Json { Opcode::Text } else { Opcode::Binary };
    wire.0.send_frame(&frame, opcode).await.unwrap();
}

fn refused(answers: &[u32]) -> usize {
    answers.iter().filter(|code| **code == TOO_MANY).count()
}

fn limited(node: &TestNode, scope: &str) -> f64 {
    node.number(&format!("sealcast_rate_limited_total{{scope=\"{scope}\"}}"))
}
