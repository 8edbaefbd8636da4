//! What clients say by `/emulation`: what comes of it, in which order, and for whom.

use serde_json::{Value, json};

use super::node;
use super::reader::{Emulated, Stream, connect, post};
use crate::support::http::ask;
use crate::support::node::{ORIGIN, TestNode};
use crate::support::redis::RedisServer;
use crate::support::{eventually, token};

async fn opened(node: &TestNode, headers: &str) -> (Stream, Emulated) {
    let request = post("/connection/http_stream", headers, &connect(&token::of("ada")));
    let mut stream = Stream::opened(node, &request).await;
    let session = Emulated::of(&stream.json().await);
    (stream, session)
}

#[tokio::test]
async fn commands_are_answered_on_the_stream_in_their_order() {
    let node = node(json!({})).await;
    let (mut stream, session) = opened(&node, "").await;
    let several = "{\"id\":2,\"subscribe\":{\"channel\":\"room\"}}\n\
        {\"id\":3,\"publish\":{\"channel\":\"room\",\"data\":1}}";
    assert_eq!(session.say(&node, "", several).await, 204);
    assert_eq!(stream.json().await["id"], 2);
    // Replies and pushes each in their order.
    let (mut replies, mut pushes) = (Vec::new(), Vec::new());
    let mut take = async |stream: &mut Stream, count: usize| {
        for _ in 0..count {
            let said = stream.json().await;
            match said["push"]["pub"]["data"].as_u64() {
                Some(n) => pushes.push(n),
                None => replies.push(said["id"].as_u64().expect("a reply")),
            }
        }
    };
    take(&mut stream, 2).await;
    for n in 10..60 {
        let publish = json!({ "id": n, "publish": { "channel": "room", "data": n } });
        assert_eq!(session.say(&node, "", &publish.to_string()).await, 204);
    }
    take(&mut stream, 100).await;
    assert_eq!(replies, [vec![3], (10..60).collect()].concat());
    assert_eq!(pushes, [vec![1], (10..60).collect()].concat());
    let history = json!({ "id": 90, "presence": { "channel": "room" } }).to_string();
    assert_eq!(session.say(&node, "", &history).await, 204);
    assert_eq!(stream.json().await["error"]["code"], 108);
}

#[tokio::test]
async fn a_pong_comes_by_a_request_like_any_command() {
    let node = node(json!({ "client": { "ping_interval": "3s", "pong_timeout": "2s" } })).await;
    let (mut stream, session) = opened(&node, "").await;
    for _ in 0..3 {
        assert_eq!(stream.json().await, json!({}));
        assert_eq!(session.say(&node, "", "{}").await, 204);
    }
    let disconnect = loop {
        let said = stream.json().await;
        if said != json!({}) {
            break said;
        }
    };
    assert_eq!(disconnect["push"]["disconnect"]["code"], 3012, "{disconnect}");
    stream.ended().await;
}

/// T-14: nothing tells apart a session that is not there and one of somebody else.
#[tokio::test]
async fn only_the_one_who_opened_the_stream_speaks_for_it() {
    let node =
        node(json!({ "client": { "allowed_origins": [ORIGIN, "https://b.example"] } })).await;
    let home = format!("Origin: {ORIGIN}\r\nCookie: a=1; b=2\r\n");
    let (mut stream, session) = opened(&node, &home).await;
    let publish = json!({ "id": 9, "publish": { "channel": "room", "data": 1 } }).to_string();
    let wrong = [
        format!("Origin: {ORIGIN}\r\nCookie: a=1; b=3\r\n"),
        format!("Origin: {ORIGIN}\r\nCookie: a=1\r\n"),
        format!("Origin: {ORIGIN}\r\n"),
        "Origin: https://b.example\r\nCookie: a=1; b=2\r\n".to_owned(),
        String::new(),
    ];
    let refusal = |session: &Emulated, headers: &str| {
        let body = json!({ "session": session.session, "node": session.node, "data": publish });
        ask(node.public, post("/emulation", headers, &body.to_string()))
    };
    let strangers = [
        Emulated { session: "x".repeat(43), node: session.node.clone() },
        Emulated { session: String::new(), node: session.node.clone() },
        Emulated { session: session.session.clone(), node: uuid::Uuid::new_v4().to_string() },
        Emulated { session: session.session.clone(), node: session.node.to_uppercase() + " " },
        Emulated { session: session.session.clone(), node: String::new() },
    ];
    let mut answers = Vec::new();
    for headers in &wrong {
        answers.push(refusal(&session, headers).await);
    }
    for stranger in &strangers {
        answers.push(refusal(stranger, &home).await);
    }
    for answer in answers {
        assert_eq!((answer.status, answer.text()), (404, "no such session\n"), "{answer:?}");
    }
    assert_eq!(session.say(&node, "Origin: https://evil.example\r\n", &publish).await, 403);
    // In another order they are the same.
    let home = format!("Origin: {ORIGIN}\r\nCookie: b=2; a=1\r\n");
    assert_eq!(session.say(&node, &home, &publish).await, 204);
    assert_eq!(stream.json().await["id"], 9, "the first that was carried out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_reaches_a_stream_of_another_node() {
    let server = RedisServer::start().await;
    let options = || {
        json!({
            "engine": { "type": "redis", "redis": { "address": server.address() } },
            "cluster": { "key": "a-cluster-key-for-tests-0123456789" },
        })
    };
    let (one, two) = (node(options()).await, node(options()).await);
    let know = |node: &TestNode| node.node.as_ref().unwrap().app().cluster.nodes().len() == 2;
    eventually("they know each other", || know(&one) && know(&two)).await;
    let home = format!("Origin: {ORIGIN}\r\n");
    let (mut stream, session) = opened(&one, &home).await;
    let mut expected: Vec<Value> = Vec::new();
    for n in 2..40 {
        let node = if n % 3 == 0 { &one } else { &two };
        let command = json!({ "id": n, "unsubscribe": { "channel": "room" } }).to_string();
        assert_eq!(session.say(node, &home, &command).await, 204);
        expected.push(json!({ "id": n, "unsubscribe": {} }));
    }
    for expected in expected {
        assert_eq!(stream.json().await, expected);
    }
    assert_eq!(session.say(&two, "", "{}").await, 404, "bound there too");
    let stranger = Emulated { session: "y".repeat(43), node: session.node.clone() };
    assert_eq!(stranger.say(&two, &home, "{}").await, 404);
    drop(stream);
    let told = "sealcast_connections{transport=\"http_stream\"}";
    eventually("gone", || one.number(told) == 0.0).await;
    assert_eq!(session.say(&two, &home, "{}").await, 404);
}
