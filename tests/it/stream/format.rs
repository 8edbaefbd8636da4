//! What stands on the wire of each transport, and its head.

use sealcast_wire::{Body, Command, Encoding, Request};
use serde_json::{Value, json};

use super::node;
use super::reader::{Emulated, Stream, connect, get, post};
use crate::support::eventually;
use crate::support::token;

#[tokio::test]
async fn an_http_stream_is_lines_of_replies_in_chunks() {
    let node = node(json!({})).await;
    let request = post("/connection/http_stream", "", &connect(&token::of("ada")));
    let mut stream = Stream::opened(&node, &request).await;
    for (name, value) in [
        ("content-type", "text/plain; charset=utf-8"),
        ("cache-control", "private, no-cache, no-store, must-revalidate, max-age=0"),
        ("x-accel-buffering", "no"),
        ("x-content-type-options", "nosniff"),
        ("connection", "close"),
    ] {
        assert_eq!(stream.head.header(name), Some(value));
    }
    let reply = stream.json().await;
    let Emulated { session, node: id } = Emulated::of(&reply);
    assert_eq!(session.len(), 43, "256 bits: {reply}");
    assert_eq!(id.len(), 36, "{reply}");
    assert_eq!((&reply["connect"]["ping"], &reply["connect"]["pong"]), (&json!(25), &json!(true)));
    let told = "sealcast_connections{transport=\"http_stream\"}";
    assert_eq!(node.number(told), 1.0);
    drop(stream);
    // At once, not at the next ping.
    eventually("gone", || node.number(told) == 0.0).await;
}

#[tokio::test]
async fn protobuf_is_whole_messages_behind_their_lengths_in_chunks() {
    let node = node(json!({})).await;
    let token = token::of("ada");
    let mut body = Vec::new();
    let request = sealcast_wire::command::Connect {
        token: sealcast_wire::command::Token(token.into()),
        ..Default::default()
    };
    let command = Command { id: 1, request: Request::Connect(Box::new(request)) };
    Encoding::Protobuf.put_command(&mut body, &command);
    let head = post("/connection/http_stream", "", "")
        .replace("application/json", "application/octet-stream")
        .replace("Content-Length: 0", &format!("Content-Length: {}", body.len()));
    let mut stream = Stream::opened(&node, [head.as_bytes(), &body].concat()).await;
    assert_eq!(stream.head.header("content-type"), Some("application/octet-stream"));
    let chunk = stream.chunk().await.expect("a chunk");
    let replies: Vec<_> = Encoding::Protobuf.replies(&chunk).collect();
    let [Ok(reply)] = &replies[..] else { panic!("{replies:?}") };
    let Body::Connect(result) = &reply.body else { panic!("{reply:?}") };
    assert_eq!((reply.id, result.session.len(), result.node.len()), (1, 43, 36));
}

#[tokio::test]
async fn an_event_stream_has_one_event_for_each_reply() {
    let node = node(json!({ "compat": { "sse_token_in_url": true } })).await;
    let connect = connect(&token::of("ada"));
    for request in [get("/connection/sse", "", &connect), post("/connection/sse", "", &connect)] {
        let mut stream = Stream::opened(&node, &request).await;
        assert_eq!(stream.head.header("content-type"), Some("text/event-stream; charset=utf-8"));
        assert_eq!(stream.chunk().await.as_deref(), Some(&b"\r\n"[..]), "at once");
        let chunk = String::from_utf8(stream.chunk().await.expect("a chunk")).unwrap();
        let data = chunk.strip_prefix("data: ").and_then(|rest| rest.strip_suffix("\n\n"));
        let reply: Value = serde_json::from_str(data.expect("one event")).unwrap();
        assert_eq!(reply["id"], 1, "{reply}");
        assert_eq!(Emulated::of(&reply).session.len(), 43);
    }
}

/// T-41: whatever is in a payload, one event comes, with exactly that.
#[tokio::test]
async fn no_payload_breaks_an_event() {
    let node = node(json!({})).await;
    let mut stream =
        Stream::opened(&node, &post("/connection/sse", "", &connect(&token::of("ada")))).await;
    let session = Emulated::of(&stream.event().await);
    let subscribe = r#"{"id":2,"subscribe":{"channel":"room"}}"#;
    assert_eq!(session.say(&node, "", subscribe).await, 204);
    assert_eq!(stream.event().await["id"], 2);
    let listening = json!({ "token": token::of("bob"), "subs": { "room": {} } }).to_string();
    let mut listener = Stream::opened(&node, &post("/connection/uni_sse", "", &listening)).await;
    assert!(listener.event().await["connect"].is_object());
    for text in [
        "a\nb",
        "a\r\nb",
        "a\rb",
        "\n\ndata: {\"push\":{}}\n\n",
        "id: 1\nevent: x\nretry: 0",
        "\u{0}\u{feff}\u{2028}\u{2029}",
        ": comment",
        "",
    ] {
        let body = json!({ "channel": "room", "data": { "text": text } });
        assert_eq!(node.api("publish", &body).await.status, 200);
        let block = loop {
            let block = stream.block().await.expect("not the end");
            if block.data.is_some() {
                break block;
            }
        };
        let push: Value = serde_json::from_str(block.data.as_deref().unwrap()).unwrap();
        assert_eq!(push["push"]["pub"]["data"]["text"], text);
        assert_eq!((block.id, block.retry), (None, None));
        assert_eq!(listener.event().await["pub"]["data"]["text"], text);
    }
    // White space of a pretty payload is not content.
    let pretty = "{\n  \"channel\": \"room\",\r\n  \"data\": {\n    \"a\":\r\n 1\r }\n}";
    let key = [("X-API-Key", crate::support::node::API_KEY)];
    let answer = crate::support::api::call(node.public, "publish", &key, pretty.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(stream.event().await["push"]["pub"]["data"], json!({ "a": 1 }));
}
