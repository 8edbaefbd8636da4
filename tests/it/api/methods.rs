//! What each method makes of good, odd and bad requests.

use serde_json::{Value, json};

use crate::support::api::call;
use crate::support::client::Wire;
use crate::support::node::{API_KEY, TestNode};

const KEY: (&str, &str) = ("X-API-Key", API_KEY);
const BY_STATUS: (&str, &str) = ("X-Centrifugo-Error-Mode", "transport");

/// A node whose channels without namespace keep history and presence.
async fn keeping() -> TestNode {
    let without = json!({ "presence": true, "history_size": 100, "history_ttl": "60s" });
    TestNode::with(json!({ "channel": { "without_namespace": without } })).await
}

async fn code(node: &TestNode, method: &str, body: Value) -> Value {
    let answer = node.api(method, &body).await;
    assert_eq!(answer.status, 200, "{method} {body}");
    let answer = answer.json();
    if answer["result"].is_object() { Value::Null } else { answer["error"]["code"].clone() }
}

#[tokio::test]
async fn each_method_refuses_what_it_cannot_do() {
    let node = keeping().await;
    let long = "a".repeat(256);
    for (method, body, expected) in [
        ("broadcast", json!({ "channels": ["a"] }), Value::Null),
        ("broadcast", json!({ "channels": null, "data": 1 }), json!(107)),
        ("subscribe", json!({ "user": "ada" }), json!(107)),
        ("subscribe", json!({ "user": "ada", "channel": "nowhere:a" }), json!(102)),
        ("subscribe", json!({ "user": "ada", "channel": "a" }), Value::Null),
        ("unsubscribe", json!({ "user": "ada", "channel": "" }), json!(107)),
        ("unsubscribe", json!({ "user": "ada", "channel": "nowhere:a" }), json!(102)),
        ("unsubscribe", json!({ "user": "ada", "channel": "a" }), Value::Null),
        ("disconnect", json!({ "user": "ada", "whitelist": ["x"] }), Value::Null),
        ("disconnect", json!({ "user": "a".repeat(256) }), json!(107)),
        ("refresh", json!({ "user": "ada", "expire_at": -1 }), Value::Null),
        ("presence", json!({ "channel": long }), json!(107)),
        ("presence", json!({ "channel": "é" }), json!(107)),
        ("presence", json!({ "channel": "talk:a" }), json!(108)),
        ("presence", json!({ "channel": "nowhere:a" }), json!(102)),
        ("presence_stats", json!({ "channel": "talk:a" }), json!(108)),
        ("presence_stats", json!({}), json!(107)),
        ("history", json!({ "channel": "talk:a" }), json!(108)),
        ("history", json!({ "channel": "a", "limit": null, "since": null }), Value::Null),
        ("history", json!({ "channel": "a", "since": { "offset": null } }), Value::Null),
        ("history", json!({ "channel": "a", "since": { "epoch": "other" } }), json!(112)),
        ("history", json!({ "channel": "a", "reverse": true, "since": {} }), json!(107)),
        (
            "history",
            json!({ "channel": "a", "reverse": true, "since": { "offset": 0, "epoch": "" } }),
            json!(107),
        ),
        ("history_remove", json!({ "channel": "talk:a" }), json!(108)),
        ("history_remove", json!({ "channel": "nowhere:a" }), json!(102)),
        ("rpc", json!({ "method": "ping" }), json!(104)),
        ("rpc", json!({}), json!(104)),
        ("map_publish", json!({ "channel": "a", "key": "k", "data": 1 }), json!(107)),
        ("map_remove", json!({ "channel": "a", "key": "k" }), json!(107)),
        ("map_read_state", json!({ "channel": "a" }), json!(107)),
        ("map_read_stream", json!({ "channel": "a" }), json!(107)),
        ("map_stats", json!({ "channel": "nowhere:a" }), json!(102)),
        ("map_clear", json!({}), json!(107)),
        ("shared_poll_publish", json!({ "channel": "a", "key": "k", "version": 1 }), json!(108)),
        ("shared_poll_publish", json!({ "channel": "nowhere:a" }), json!(102)),
    ] {
        assert_eq!(code(&node, method, body.clone()).await, expected, "{method} {body}");
    }
    let answer = node.api("rpc", &json!({ "method": "x" })).await.json();
    assert_eq!(answer, json!({ "error": { "code": 104, "message": "not found" } }));
}

#[tokio::test]
async fn only_codes_and_reasons_that_can_be_sent_end_a_connection() {
    let node = TestNode::start().await;
    let mut ada = Wire::connected(&node, "ada").await;
    for (code_given, reason) in [
        (0, ""),
        (1000, ""),
        (2999, ""),
        (3000, ""),
        (5000, ""),
        (65_536, ""),
        (4_294_967_295_u32, ""),
        (4000, &*"r".repeat(124)),
        (4000, &*"é".repeat(62)),
        (4000, "{\"code\":1}"),
    ] {
        let body = json!({ "user": "ada", "disconnect": { "code": code_given, "reason": reason } });
        assert_eq!(code(&node, "disconnect", body).await, 107, "{code_given} {reason}");
    }
    ada.is_quiet().await;
    let body = json!({ "user": "ada", "disconnect": { "code": 4999, "reason": "r".repeat(123) } });
    assert_eq!(code(&node, "disconnect", body).await, Value::Null);
    assert_eq!(ada.closed().await, 4999);
}

#[tokio::test]
async fn pages_of_history() {
    let node = keeping().await;
    for n in 1..=5 {
        let body = json!({ "channel": "a", "data": n, "tags": { "n": n.to_string() } });
        assert_eq!(node.api("publish", &body).await.json()["result"]["offset"], n);
    }
    for (page, expected) in [
        (json!({}), vec![]),
        (json!({ "limit": 0 }), vec![]),
        (json!({ "limit": 2 }), vec![1, 2]),
        (json!({ "limit": -1 }), vec![1, 2, 3, 4, 5]),
        (json!({ "limit": -9_000_000_000_i64, "reverse": true }), vec![5, 4, 3, 2, 1]),
        (json!({ "limit": 2, "since": { "offset": 2, "epoch": "" } }), vec![3, 4]),
        (json!({ "limit": 2, "reverse": true, "since": { "offset": 3 } }), vec![2, 1]),
    ] {
        let mut body = page.clone();
        body["channel"] = json!("a");
        let answer = node.api("history", &body).await.json();
        let kept = answer["result"]["publications"].as_array().unwrap();
        let got: Vec<i64> = kept.iter().map(|one| one["offset"].as_i64().unwrap()).collect();
        assert_eq!(got, expected, "{page}");
        assert_eq!(answer["result"]["offset"], 5);
        for one in kept {
            assert_eq!(one["tags"]["n"], one["data"].to_string(), "{answer}");
        }
    }
}

#[tokio::test]
async fn what_is_kept_of_bytes_that_are_no_json() {
    let bytes = json!({
        "name": "bytes", "publication_data_format": "binary",
        "history_size": 10, "history_ttl": "60s",
    });
    let node = TestNode::with(json!({ "channel": { "namespaces": [bytes] } })).await;
    for (body, offset) in [
        (json!({ "channel": "bytes:a", "b64data": "AP8=" }), 1),
        (json!({ "channel": "bytes:a" }), 2),
        (json!({ "channel": "bytes:a", "data": { "a": 1 } }), 3),
    ] {
        assert_eq!(node.api("publish", &body).await.json()["result"]["offset"], offset, "{body}");
    }
    let kept = node.api("history", &json!({ "channel": "bytes:a", "limit": -1 })).await.json();
    let expected = json!([
        { "data": null, "b64data": "AP8=", "offset": 1 },
        { "data": null, "b64data": "", "offset": 2 },
        { "data": { "a": 1 }, "offset": 3 },
    ]);
    assert_eq!(kept["result"]["publications"], expected);
}

#[tokio::test]
async fn keys_and_versions_hold_for_each_channel() {
    let node = keeping().await;
    let mut body = json!({ "channels": ["a", "b"], "data": 1, "idempotency_key": "k" });
    let offsets = |answer: Value| -> Vec<u64> {
        let responses = answer["result"]["responses"].as_array().unwrap().clone();
        responses.iter().map(|one| one["result"]["offset"].as_u64().unwrap()).collect()
    };
    node.api("publish", &json!({ "channel": "b", "data": 0 })).await;
    for _ in 0..2 {
        assert_eq!(offsets(node.api("broadcast", &body).await.json()), [1, 2]);
    }
    body["idempotency_key"] = json!("other");
    assert_eq!(offsets(node.api("broadcast", &body).await.json()), [2, 3]);
    for (version, epoch, offset) in
        [(5, "e", 1), (5, "e", 1), (4, "e", 1), (6, "e", 2), (1, "f", 3), (0, "f", 4)]
    {
        let body = json!({ "channel": "c", "data": 1, "version": version, "version_epoch": epoch });
        let answer = node.api("publish", &body).await.json();
        assert_eq!(answer["result"]["offset"], offset, "{body}");
    }
    let long = json!({ "channel": "c", "data": 1, "version": 9, "version_epoch": "e".repeat(65) });
    assert_eq!(code(&node, "publish", long).await, 107);
}

#[tokio::test]
async fn channels_are_listed_by_pattern() {
    let node = TestNode::start().await;
    let mut ada = Wire::connected(&node, "ada").await;
    for channel in ["room", "room-1", "room-2", "talk:a", "talk:b/c"] {
        ada.ask(&json!({ "id": 2, "subscribe": { "channel": channel } }).to_string()).await;
    }
    for (pattern, expected) in [
        ("", vec!["room", "room-1", "room-2", "talk:a", "talk:b/c"]),
        ("*", vec!["room", "room-1", "room-2", "talk:a", "talk:b/c"]),
        ("room-?", vec!["room-1", "room-2"]),
        ("room-[2-9]", vec!["room-2"]),
        ("{room,talk:a}", vec!["room", "talk:a"]),
        ("talk:*", vec!["talk:a", "talk:b/c"]),
        ("Room", vec![]),
    ] {
        let answer = node.api("channels", &json!({ "pattern": pattern })).await.json();
        let listed = answer["result"]["channels"].as_object().unwrap();
        assert_eq!(listed.keys().collect::<Vec<_>>(), expected, "{pattern}");
        assert!(listed.values().all(|one| *one == json!({ "num_clients": 1 })), "{answer}");
    }
    for bad in ["[", "{a", "a}", "[9-0]", "é", &"{a,b}".repeat(40_000)] {
        assert_eq!(code(&node, "channels", json!({ "pattern": bad })).await, 107, "{bad:.9}");
    }
}

#[tokio::test]
async fn a_batch_runs_one_method_a_command() {
    let node = keeping().await;
    let commands = json!([
        { "history": { "channel": "a" }, "publish": { "channel": "a", "data": 1 } },
        { "publish": null, "presence_stats": { "channel": "a" } },
        { "publish": null },
        {},
        { "batch": { "commands": [] } },
        { "unknown": {}, "info": {}, "connections": {} },
        { "publish": { "channel": 1 } },
        { "publish": [] },
        { "unsubscribe": { "user": "", "channel": "a" } },
    ]);
    let body = json!({ "commands": commands, "parallel": true, "novelty": 1 });
    let answer = node.api("batch", &body).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let replies = answer.json()["replies"].as_array().unwrap().clone();
    assert_eq!(replies[0]["publish"]["offset"], 1);
    assert_eq!(replies[1], json!({ "presence_stats": { "num_clients": 0, "num_users": 0 } }));
    for (at, code) in [(2, 104), (3, 104), (4, 104), (6, 107), (7, 107)] {
        assert_eq!(replies[at]["error"]["code"], code, "{at}: {replies:?}");
    }
    assert!(replies[5]["info"]["nodes"].is_array());
    assert_eq!(replies[8], json!({ "unsubscribe": {} }));

    for none in ["null", "{}", r#"{"commands":[]}"#, r#"{"commands":null}"#] {
        let answer = call(node.public, "batch", &[KEY, BY_STATUS], none.as_bytes()).await;
        assert_eq!((answer.status, answer.text()), (200, "{}"), "{none}");
    }
    let escaped = r#"{"commands":[{"publi\u0073h":{"channel":"e","data":1}}]}"#;
    let answer = call(node.public, "batch", &[KEY], escaped.as_bytes()).await.json();
    assert_eq!(answer["replies"][0]["publish"]["offset"], 1);
    for bad in [
        r#"{"commands":{}}"#,
        r#"{"commands":[1]}"#,
        r#"{"commands":[null]}"#,
        r#"{"commands":[],"parallel":1}"#,
    ] {
        assert_eq!(call(node.public, "batch", &[KEY], bad.as_bytes()).await.status, 400, "{bad}");
    }
    let many = |count: usize| json!({ "commands": vec![json!({ "x": 1 }); count] }).to_string();
    let most = call(node.public, "batch", &[KEY], many(1_000).as_bytes()).await;
    assert_eq!(most.json()["replies"].as_array().unwrap().len(), 1_000);
    assert_eq!(call(node.public, "batch", &[KEY], many(1_001).as_bytes()).await.status, 400);
}

#[tokio::test]
async fn a_short_batch_cannot_ask_for_endless_replies() {
    let node = keeping().await;
    let large = json!({ "channel": "a", "data": "x".repeat(60_000) });
    for _ in 0..10 {
        node.api("publish", &large).await;
    }
    let read = json!({ "history": { "channel": "a", "limit": -1 } });
    let answer = node.api("batch", &json!({ "commands": vec![read; 100] })).await;
    assert!(answer.body.len() < 18 << 20, "{} bytes", answer.body.len());
    let replies = answer.json()["replies"].as_array().unwrap().clone();
    assert_eq!(replies.len(), 100);
    assert_eq!(replies[20]["history"]["offset"], 10);
    let over = json!({ "error": { "code": 106, "message": "limit exceeded" } });
    assert_eq!(replies[99], over);
}

#[tokio::test]
async fn depth_is_bounded_where_it_matters() {
    let node = TestNode::start().await;
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for (depth, error) in [(32, false), (33, true), (100_000, true)] {
        let body = format!(r#"{{"channel":"room","data":{}}}"#, nested(depth));
        let answer = call(node.public, "publish", &[KEY], body.as_bytes()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["error"]["code"] == 107, error, "{depth}");
    }
    let body = format!(r#"{{"channel":"room","data":1,"novelty":{}}}"#, nested(100_000));
    let answer = call(node.public, "publish", &[KEY], body.as_bytes()).await;
    assert_eq!((answer.status, answer.text()), (200, r#"{"result":{}}"#));
    let body = format!(r#"{{"commands":[{{"publish":{}}}]}}"#, nested(100_000));
    let answer = call(node.public, "batch", &[KEY], body.as_bytes()).await.json();
    assert_eq!(answer["replies"][0]["error"]["code"], 107);
}

#[tokio::test]
async fn errors_by_status() {
    let configured = TestNode::with(json!({ "http_api": { "error_mode": "transport" } })).await;
    let asked = TestNode::start().await;
    for (node, headers) in [(&configured, vec![KEY]), (&asked, vec![KEY, BY_STATUS])] {
        for (method, body, status, code) in [
            ("publish", json!({ "channel": "nowhere:a", "data": 1 }), 404, 102),
            ("rpc", json!({}), 404, 104),
            ("publish", json!({}), 400, 107),
            ("history", json!({ "channel": "room" }), 400, 108),
        ] {
            let answer = call(node.public, method, &headers, body.to_string().as_bytes()).await;
            assert_eq!((answer.status, &answer.json()["code"]), (status, &json!(code)), "{method}");
            assert_eq!(answer.header("content-type"), Some("application/json"));
        }
        let fine = call(node.public, "publish", &headers, br#"{"channel":"a","data":1}"#).await;
        assert_eq!((fine.status, fine.text()), (200, r#"{"result":{}}"#));
        let body = br#"{"channels":["nowhere:a"],"data":1}"#;
        let broadcast = call(node.public, "broadcast", &headers, body).await;
        assert_eq!(broadcast.status, 200);
        assert_eq!(broadcast.json()["result"]["responses"][0]["error"]["code"], 102);
        let body = br#"{"commands":[{"rpc":{}}]}"#;
        let batch = call(node.public, "batch", &headers, body).await;
        assert_eq!(
            (batch.status, &batch.json()["replies"][0]["error"]["code"]),
            (200, &json!(104))
        );
    }
    let other = [KEY, ("X-Centrifugo-Error-Mode", "loud")];
    assert_eq!(call(asked.public, "rpc", &other, b"{}").await.status, 200);
}
