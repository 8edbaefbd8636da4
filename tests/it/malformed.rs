//! What is no WebSocket, no command, no token and no call of the server API: each
//! case with what it comes to, and the clause that says so. One node takes them
//! all, each over a connection of its own.

mod api;
mod commands;
mod filters;
mod frames;
mod messages;
mod requests;
mod subscription_tokens;
mod tokens;
mod values;

use std::collections::HashSet;

use sealcast_client::Frame;
use sealcast_wire::{Body, Encoding};
use serde_json::{Value, json};

use crate::support::PATIENCE;
use crate::support::client::Wire;
use crate::support::http::{Answer, ask};
use crate::support::node::TestNode;

/// One case.
struct Case {
    name: String,
    input: Input,
    expected: Expected,
    clause: &'static str,
}

enum Input {
    /// Bytes on the socket of a client that has connected, in JSON.
    Bytes(Vec<u8>),
    /// The first text message of a client.
    First(String),
    /// A text message of a client that has connected.
    Text(String),
    /// A binary message of a client that has connected, in Protobuf.
    Binary(Vec<u8>),
    /// A request to the public listener, and then the end.
    Request(Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// The connection ends at once, with this code.
    Close(u16),
    /// This error is the answer.
    Error(u64),
    /// This error is the one reply of a batch.
    Reply(u64),
    /// This is the answer's status, and there is no result.
    Status(u16),
}

use Expected::{Close, Error, Reply, Status};

/// The bytes cannot be a use of the protocol.
const BAD: Expected = Close(3501);

impl Case {
    fn new(
        name: impl Into<String>,
        input: Input,
        expected: Expected,
        clause: &'static str,
    ) -> Case {
        Case { name: name.into(), input, expected, clause }
    }
}

impl Input {
    fn bytes(&self) -> &[u8] {
        match self {
            Input::First(text) | Input::Text(text) => text.as_bytes(),
            Input::Bytes(bytes) | Input::Binary(bytes) | Input::Request(bytes) => bytes,
        }
    }
}

/// Text messages that come to the same, by the same clause.
fn texts<S: AsRef<str>>(
    expected: Expected,
    clause: &'static str,
    texts: impl IntoIterator<Item = S>,
) -> impl Iterator<Item = Case> {
    texts.into_iter().map(move |text| {
        let text = text.as_ref().to_owned();
        Case::new(text.clone(), Input::Text(text), expected, clause)
    })
}

#[tokio::test]
async fn frames_that_are_none() {
    check(frames::cases()).await;
}

#[tokio::test]
async fn commands_that_are_none() {
    check(commands::cases()).await;
}

#[tokio::test]
async fn values_of_the_wrong_type() {
    check(values::cases()).await;
}

#[tokio::test]
async fn filters_that_are_none() {
    check(filters::cases()).await;
}

#[tokio::test]
async fn protobuf_that_is_none() {
    check(messages::cases()).await;
}

#[tokio::test]
async fn tokens_that_are_none() {
    check(tokens::cases()).await;
}

#[tokio::test]
async fn subscription_tokens_that_are_none() {
    check(subscription_tokens::cases()).await;
}

#[tokio::test]
async fn bodies_that_are_none() {
    check(api::cases()).await;
}

#[tokio::test]
async fn requests_that_are_none() {
    check(requests::cases()).await;
}

/// Distinct by what is sent, whatever the case is called.
#[test]
fn there_are_more_than_200_distinct_cases() {
    let all: Vec<Vec<Case>> = vec![
        frames::cases(),
        commands::cases(),
        values::cases(),
        filters::cases(),
        messages::cases(),
        tokens::cases(),
        subscription_tokens::cases(),
        api::cases(),
        requests::cases(),
    ];
    let all: Vec<&Case> = all.iter().flatten().collect();
    let distinct: HashSet<&[u8]> = all.iter().map(|case| case.input.bytes()).collect();
    assert!(distinct.len() >= 200, "{} of {}", distinct.len(), all.len());
    assert!(all.iter().all(|case| case.expected != Error(100) && case.expected != Close(3004)));
    assert!(all.iter().all(|case| case.clause.contains(char::is_numeric)), "a case without clause");
}

/// Tries every case and shows all that come to something else.
async fn check(cases: Vec<Case>) {
    let node = node().await;
    let mut wrong = Vec::new();
    for Case { name, input, expected, clause } in cases {
        if let Err(came) = outcome(&node, &input, expected).await {
            let name: String = name.chars().take(120).collect();
            wrong.push(format!("{name:?}: {came} instead of {expected:?} ({clause})"));
        }
    }
    assert!(wrong.is_empty(), "{} cases\n{}\n", wrong.len(), wrong.join("\n"));
    for never in [
        "sealcast_panics_total",
        "sealcast_disconnects_total{code=\"3004\"}",
        "sealcast_command_errors_total{code=\"100\"}",
    ] {
        assert_eq!(node.number(never), 0.0, "{never}");
    }
    Wire::connected(&node, "ada").await.is_quiet().await;
    assert_eq!(node.api("info", &json!({})).await.status, 200);
}

/// Allows what some cases are about, so that nothing else refuses them.
async fn node() -> TestNode {
    let kept = json!({
        "name": "kept", "allow_subscribe_for_client": true, "allow_publish_for_client": true,
        "history_size": 10, "history_ttl": "60s", "allow_history_for_client": true,
        "allow_tags_filter": true,
    });
    let mut config = crate::support::node::config(json!({}));
    config["channel"]["namespaces"].as_array_mut().unwrap().push(kept);
    let namespaces = config["channel"]["namespaces"].take();
    TestNode::with(json!({ "channel": { "namespaces": namespaces } })).await
}

async fn outcome(node: &TestNode, input: &Input, expected: Expected) -> Result<(), String> {
    let mut wire = match input {
        Input::Request(bytes) => return answered(&ask(node.public, bytes).await, expected),
        Input::First(_) => Wire::open(node).await,
        Input::Bytes(_) | Input::Text(_) => Wire::connected(node, "ada").await,
        Input::Binary(_) => {
            let mut wire = Wire::open_protobuf(node).await;
            wire.0.connect(&node.options("ada", Encoding::Protobuf)).await.unwrap();
            wire
        }
    };
    match input {
        // The server may have closed before all is sent.
        Input::Bytes(bytes) => drop(wire.0.send_bytes(bytes).await),
        Input::First(text) | Input::Text(text) => wire.say(text).await,
        Input::Binary(bytes) => wire.say_bytes(bytes).await,
        Input::Request(_) => {}
    }
    let came = wire.0.next_frame(PATIENCE).await;
    let code = match &came {
        Ok(Frame::Close(code, _)) => {
            let code = code.unwrap_or(0);
            return if Close(code) == expected {
                Ok(())
            } else {
                Err(format!("closed with {code}"))
            };
        }
        Ok(Frame::Text(text)) => {
            let answer: Value = serde_json::from_str(text).map_err(|_| text.clone())?;
            answer["error"]["code"].as_u64()
        }
        Ok(Frame::Binary(bytes)) => match Encoding::Protobuf.replies(bytes).next() {
            Some(Ok(reply)) => match reply.body {
                Body::Error(error) => Some(u64::from(error.code)),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    if code.map(Error) != Some(expected) {
        return Err(format!("{came:?}, error {code:?}"));
    }
    if let Input::Text(_) = input {
        // An error leaves the connection as it was.
        wire.is_quiet().await;
    }
    Ok(())
}

fn answered(answer: &Answer, expected: Expected) -> Result<(), String> {
    let told = || String::from_utf8_lossy(&answer.body).chars().take(300).collect::<String>();
    let fits = match expected {
        Status(status) => answer.status == status && !told().contains("\"result\""),
        Error(code) => answer.status == 200 && answer.json()["error"]["code"] == code,
        Reply(code) => answer.status == 200 && answer.json()["replies"][0]["error"]["code"] == code,
        Close(_) => false,
    };
    if fits { Ok(()) } else { Err(format!("{} {}", answer.status, told())) }
}
