//! Event streams over HTTP/2: what they say, what clients say beside them, how they
//! end, and how they come back.

use sealcast_wire::{Body, Command, Encoding, Request};
use serde_json::json;
use tokio::time::timeout;

use super::reader::TRANSPORTS;
use super::streaming;
use super::wire::Http2;
use crate::stream::reader::{Emulated, Stream, connect, post};
use crate::support::node::{ORIGIN, TestNode};
use crate::support::redis::RedisServer;
use crate::support::{PATIENCE, eventually, token};

fn streams(node: &TestNode, transport: &str) -> f64 {
    node.number(&format!("sealcast_connections{{transport=\"{transport}\"}}"))
}

async fn publish(node: &TestNode, channel: &str, data: impl serde::Serialize) {
    let answer = node.api("publish", &json!({ "channel": channel, "data": data })).await;
    assert!(answer.json()["result"].is_object(), "{answer:?}");
}

#[tokio::test]
async fn each_transport_says_over_it_what_it_says_over_http1() {
    let node = streaming(json!({})).await;
    let http2 = Http2::open(&node).await;
    let filler = "x".repeat(20_000);
    for transport in TRANSPORTS {
        let mut stream = http2.subscribed(transport, "ada", "room").await;
        let bearer = format!("Authorization: Bearer {}\r\n", token::of("bob"));
        let body = match transport.starts_with("uni_") {
            true => json!({ "subs": { "room": {} } }).to_string(),
            false => r#"{"id":1,"connect":{}}"#.to_owned(),
        };
        let path = format!("/connection/{transport}");
        let old = Stream::opened(&node, post(&path, &bearer, &body)).await;
        for name in [
            "content-type",
            "cache-control",
            "pragma",
            "x-accel-buffering",
            "vary",
            "referrer-policy",
        ] {
            let told = stream.head.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!(told, old.head.header(name), "{transport}: {name}");
            assert!(told.is_some(), "{transport}: {name}");
        }
        for name in ["connection", "transfer-encoding", "content-length", "keep-alive"] {
            assert!(!stream.head.headers().contains_key(name), "{transport}: {name}");
        }
        assert_eq!(streams(&node, transport), 2.0);
        for n in 0..10 {
            publish(&node, "room", json!({ "n": n, "filler": filler })).await;
            let said = stream.next(transport).await;
            let push = if said["push"].is_object() { &said["push"] } else { &said };
            assert_eq!(push["pub"]["data"], json!({ "n": n, "filler": filler }), "{transport}");
        }
        assert_eq!(node.api("disconnect", &json!({ "user": "ada" })).await.status, 200);
        let said = stream.next(transport).await;
        let push = if said["push"].is_object() { &said["push"] } else { &said };
        assert_eq!(push["disconnect"]["code"], 3503, "{transport}: {said}");
        stream.ended().await;
        drop(old);
        eventually("gone", || streams(&node, transport) == 0.0).await;
    }
    // One connection carried all of them, and is as good as before.
    assert_eq!(http2.get("/health").await.status, 200);
}

#[tokio::test]
async fn protobuf_comes_in_whole_messages() {
    let node = streaming(json!({})).await;
    let http2 = Http2::open(&node).await;
    let connect = sealcast_wire::command::Connect {
        token: sealcast_wire::command::Token(token::of("ada").into()),
        ..Default::default()
    };
    let mut body = Vec::new();
    let command = Command { id: 1, request: Request::Connect(Box::new(connect)) };
    Encoding::Protobuf.put_command(&mut body, &command);
    let kind = "application/octet-stream";
    let request = http2.post("/connection/http_stream").header("content-type", kind);
    let mut stream = http2.stream_of(request, body).await;
    assert_eq!(stream.head.headers()["content-type"], kind);
    let data = stream.data().await.expect("a reply");
    let replies: Vec<_> = Encoding::Protobuf.replies(&data).collect();
    let [Ok(reply)] = &replies[..] else { panic!("{replies:?}") };
    assert!(matches!(&reply.body, Body::Connect(connect) if connect.session.len() == 43));
}

/// What HTTP/2 is taken for: many streams, and what is said on them, over one
/// connection.
#[tokio::test]
async fn what_clients_say_comes_beside_their_streams() {
    let node = streaming(json!({})).await;
    let http2 = Http2::open(&node).await;
    let mut clients = Vec::new();
    for n in 0..20 {
        let transport = ["sse", "http_stream"][n % 2];
        let mut stream = http2.opened(transport, &format!("user{n}"), "").await;
        let session = Emulated::of(&stream.next(transport).await);
        clients.push((transport, stream, session));
    }
    for (transport, stream, session) in &mut clients {
        let subscribe = json!({ "id": 2, "subscribe": { "channel": "room" } });
        assert_eq!(http2.say(session, &[], &subscribe).await, 204);
        assert_eq!(stream.next(transport).await["id"], 2);
    }
    let said = json!({ "id": 3, "publish": { "channel": "room", "data": "hello" } });
    assert_eq!(http2.say(&clients[7].2, &[], &said).await, 204);
    for (transport, stream, _) in &mut clients {
        let mut push = stream.next(transport).await;
        if push["id"] == 3 {
            push = stream.next(transport).await;
        }
        assert_eq!(push["push"]["pub"]["data"], "hello");
    }
    assert_eq!(node.number("sealcast_sockets"), 1.0, "all over one");
    // Also where a stream came by the other version.
    let request = post("/connection/http_stream", "", &connect(&token::of("eve")));
    let mut old = Stream::opened(&node, request).await;
    let session = Emulated::of(&old.json().await);
    let command = json!({ "id": 9, "unsubscribe": { "channel": "room" } });
    assert_eq!(http2.say(&session, &[], &command).await, 204);
    assert_eq!(old.json().await["id"], 9);
    assert_eq!(clients[0].2.say(&node, "", &command.to_string()).await, 204);
}

/// T-14 over HTTP/2, where a browser's cookies may come in several fields (RFC 9113,
/// 8.2.3).
#[tokio::test]
async fn only_the_one_who_opened_the_stream_speaks_for_it() {
    let node = streaming(json!({})).await;
    let http2 = Http2::open(&node).await;
    let request = http2.json("/connection/http_stream");
    let request = request.header("origin", ORIGIN).header("cookie", "a=1").header("cookie", "b=2");
    let mut stream = http2.stream(request, Some(&connect(&token::of("ada")))).await;
    let session = Emulated::of(&stream.next("http_stream").await);
    let command = json!({ "id": 9, "unsubscribe": { "channel": "room" } });
    for wrong in [
        &[("origin", ORIGIN), ("cookie", "a=1")][..],
        &[("origin", ORIGIN), ("cookie", "a=1"), ("cookie", "b=3")],
        &[("origin", ORIGIN)],
        &[],
    ] {
        assert_eq!(http2.say(&session, wrong, &command).await, 404, "{wrong:?}");
    }
    let evil = [("origin", "https://evil.example"), ("cookie", "a=1; b=2")];
    assert_eq!(http2.say(&session, &evil, &command).await, 403);
    for right in [
        &[("origin", ORIGIN), ("cookie", "a=1; b=2")][..],
        &[("origin", ORIGIN), ("cookie", "b=2"), ("cookie", "a=1")],
    ] {
        assert_eq!(http2.say(&session, right, &command).await, 204, "{right:?}");
        assert_eq!(stream.next("http_stream").await["id"], 9);
    }
    let home = format!("Origin: {ORIGIN}\r\nCookie: a=1; b=2\r\n");
    assert_eq!(session.say(&node, &home, &command.to_string()).await, 204, "over HTTP/1.1");
}

#[tokio::test]
async fn a_client_that_goes_is_gone_at_once_and_takes_nobody_along() {
    let node = streaming(json!({})).await;
    let http2 = Http2::open(&node).await;
    let mut stays = http2.subscribed("uni_sse", "bob", "room").await;
    for transport in TRANSPORTS {
        let goes = http2.subscribed(transport, "ada", "room").await;
        let present = async || {
            let stats = node.api("presence_stats", &json!({ "channel": "room" })).await.json();
            stats["result"]["num_clients"].as_u64().expect("a number")
        };
        assert_eq!(present().await, 2, "{transport}");
        goes.cancel();
        while present().await > 1 {
            tokio::task::yield_now().await;
        }
        publish(&node, "room", transport).await;
        assert_eq!(stays.next("uni_sse").await["pub"]["data"], transport);
    }
    let gone = "sealcast_disconnects_total{code=\"3000\"}";
    eventually("told", || node.number(gone) == 4.0).await;
    // With their connection all of its streams are gone.
    http2.ended.abort();
    drop((stays, http2));
    eventually("all gone", || node.number("sealcast_connections") == 0.0).await;
    eventually("also its socket", || node.number("sealcast_sockets") == 0.0).await;
}

/// Streams that have not said anything for long keep their connection; one that has
/// none is told to go.
#[tokio::test]
async fn a_connection_with_a_stream_may_stay() {
    let node = streaming(json!({ "limits": { "header_timeout": "300ms" } })).await;
    let http2 = Http2::open(&node).await;
    let mut stream = http2.subscribed("uni_http_stream", "ada", "room").await;
    let idle = Http2::open(&node).await;
    assert!(timeout(PATIENCE, idle.ended).await.expect("it may stay").unwrap());
    publish(&node, "room", 1).await;
    assert_eq!(stream.next("uni_http_stream").await["pub"]["data"], 1);
    stream.cancel();
    assert!(timeout(PATIENCE, http2.ended).await.expect("it may stay").unwrap());
}

#[tokio::test]
async fn a_node_that_leaves_tells_its_streams_and_ends_the_connection() {
    let mut node = streaming(json!({ "shutdown": { "lb_wait": "0s", "spread": "100ms" } })).await;
    let http2 = Http2::open(&node).await;
    let mut streams = Vec::new();
    for transport in TRANSPORTS {
        streams.push((transport, http2.subscribed(transport, "ada", "room").await));
    }
    let leaving = tokio::spawn(node.node.take().expect("runs").drain());
    for (transport, stream) in &mut streams {
        let said = stream.next(transport).await;
        let push = if said["push"].is_object() { &said["push"] } else { &said };
        assert_eq!(push["disconnect"], json!({ "code": 3001, "reason": "shutdown" }));
        stream.ended().await;
    }
    drop(streams);
    assert!(http2.ended.await.unwrap(), "it ends in order");
    leaving.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_source_comes_back_to_another_node_without_a_hole() {
    let server = RedisServer::start().await;
    let options = || {
        json!({
            "engine": { "type": "redis", "redis": { "address": server.address() } },
            "cluster": { "key": "a-cluster-key-for-tests-0123456789" },
            "shutdown": { "lb_wait": "0s", "spread": "0s" },
        })
    };
    let (mut leaves, stays) = (streaming(options()).await, streaming(options()).await);
    let http2 = Http2::open(&leaves).await;
    let mut stream = http2.subscribed("uni_sse", "ada", "room").await;
    let mut id = None;
    publish(&stays, "room", 1).await;
    while id.as_ref().is_none_or(|id: &String| !id.starts_with("1:")) {
        let block = stream.block().await.expect("not the end");
        assert!(block.id.is_none() || block.data.is_some(), "ids bear data");
        id = block.id.or(id);
    }
    leaves.node.take().expect("runs").drain().await;
    stream.next("uni_sse").await;
    stream.ended().await;
    for n in 2..5 {
        publish(&stays, "room", n).await;
    }
    let http2 = Http2::open(&stays).await;
    let connect = json!({ "token": token::of("ada"), "subs": { "room": {} } }).to_string();
    let request = http2.json("/connection/uni_sse").header("last-event-id", id.expect("one"));
    let mut stream = http2.stream(request, Some(&connect)).await;
    let said = stream.next("uni_sse").await;
    let room = &said["connect"]["subs"]["room"];
    let missed: Vec<_> = room["publications"].as_array().unwrap().iter().collect();
    assert_eq!(room["recovered"], true, "{said}");
    assert_eq!(missed.iter().map(|one| &one["data"]).collect::<Vec<_>>(), [2, 3, 4]);
    let over = http2.json("/connection/uni_sse").header("last-event-id", "over");
    assert_eq!(http2.ask(over, Some("{}")).await.status, 204);
}
