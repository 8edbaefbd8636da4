//! Payloads and what is told of people are bytes: they come out as they went in,
//! by whatever way and encoding (protocol 1.2, 2.1). Towards JSON, raw line ends
//! go, and nothing else. Compared are the bytes of the frames, not what they mean.

mod binary;
mod deltas;
mod infos;
mod limit;
mod publications;
mod texts;

use sealcast_client::Frame;
use sealcast_wire::command::Subscribe;
use sealcast_wire::{Body, Data, Encoding, Request, command};
use serde_json::json;

use crate::frames::field;
use crate::support::PATIENCE;
use crate::support::client::Wire;
use crate::support::node::TestNode;

/// A node with a namespace for each thing that keeps bytes.
async fn node() -> TestNode {
    let open = |name: &str, more: serde_json::Value| {
        let mut namespace = json!({
            "name": name, "allow_subscribe_for_client": true, "allow_publish_for_client": true,
            "history_size": 1_000, "history_ttl": "600s", "allow_history_for_client": true,
        });
        namespace.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        namespace
    };
    let here = json!({
        "presence": true, "allow_presence_for_client": true,
        "join_leave": true, "force_push_join_leave": true,
    });
    let namespaces = json!([
        open("kept", json!({})),
        open("here", here),
        open("delta", json!({ "delta_publish": true })),
        open("bytes", json!({ "publication_data_format": "binary" })),
    ]);
    let client = json!({
        "queue_max_size": 16 << 20,
        "history_max_publication_limit": 1_000,
        "recovery_max_publication_limit": 1_000,
    });
    TestNode::with(json!({ "client": client, "channel": { "namespaces": namespaces } })).await
}

/// A connection that speaks Protobuf.
async fn protobuf(node: &TestNode, user: &str) -> Wire {
    let mut wire = Wire::open_protobuf(node).await;
    wire.0.connect(&node.options(user, Encoding::Protobuf)).await.unwrap();
    wire
}

/// Asks in Protobuf, and takes the answer; pushes before it are passed over.
async fn ask(wire: &mut Wire, request: Request<'_>) -> Body {
    wire.command(9, request).await;
    loop {
        let reply = wire.reply().await;
        if reply.id == 9 {
            return reply.body;
        }
    }
}

/// Subscribes in Protobuf.
async fn subscribe(
    wire: &mut Wire,
    request: Subscribe<'_>,
) -> sealcast_wire::reply::SubscribeResult {
    match ask(wire, Request::Subscribe(Box::new(request))).await {
        Body::Subscribe(result) => *result,
        other => panic!("{other:?}"),
    }
}

/// Publishes in Protobuf.
async fn publish(wire: &mut Wire, channel: &str, data: &[u8]) -> Body {
    let data = Some(Data::Opaque(data));
    let publish = command::Publish { channel: channel.into(), data, kind: 0 };
    ask(wire, Request::Publish(publish)).await
}

/// Asks in JSON, and takes the answer as it stands; pushes are passed over.
async fn ask_raw(wire: &mut Wire, command: &str) -> String {
    assert!(command.starts_with(r#"{"id":9,"#), "{command}");
    wire.say(command).await;
    loop {
        let text = wire.hear().await;
        if !text.starts_with(r#"{"push":"#) {
            assert!(text.starts_with(r#"{"id":9,"#) && !text.contains(r#""error":"#), "{text}");
            return text;
        }
    }
}

/// The next publication over JSON carries exactly this text.
#[track_caller]
fn hears(wire: &mut Wire, channel: &str, expected: &str) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    let head = format!(r#"{{"push":{{"channel":"{channel}","pub":{{"data":{expected}"#);
    async move {
        loop {
            let text = wire.hear().await;
            if text.starts_with(r#"{"push":"#) {
                let rest = text.strip_prefix(&head);
                let rest = rest.unwrap_or_else(|| panic!("{place}: {text} instead of {head}"));
                let ends = rest.starts_with(",\"info\":{") || rest.starts_with(",\"offset\":");
                assert!(ends, "{place}: {text} goes on after {head}");
                return;
            }
        }
    }
}

/// The next publication over Protobuf carries exactly these bytes: field 4, data.
#[track_caller]
fn receives(wire: &mut Wire, expected: &[u8]) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    let data = [&field(4, expected.len()), expected].concat();
    async move {
        loop {
            let frame = match wire.0.next_frame(PATIENCE).await {
                Ok(Frame::Binary(frame)) => frame,
                other => panic!("{place}: {other:?} instead of a message"),
            };
            let reply = Encoding::Protobuf.replies(&frame).next().unwrap().unwrap();
            if reply.id == 0 {
                let found = frame.windows(data.len()).any(|bytes| bytes == data);
                assert!(found, "{place}: {frame:?} without {data:?}");
                return;
            }
        }
    }
}

/// A JSON text carries these values of members `name`, in order, and no more.
#[track_caller]
fn carries(text: &str, name: &str, expected: impl IntoIterator<Item = String>) {
    let mut rest = text;
    let member = format!("{{\"{name}\":");
    for value in expected {
        let wanted = format!("{member}{value},\"");
        let Some(at) = rest.find(&wanted) else { panic!("no {wanted} in {rest}") };
        rest = &rest[at + wanted.len()..];
    }
    assert!(!rest.contains(&member), "more than expected: {rest}");
}
