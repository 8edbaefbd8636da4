//! Several keys, each with what it may do.

use serde_json::{Value, json};

use crate::support::api::call;
use crate::support::client::Wire;
use crate::support::node::{API_KEY, TestNode};

const NEWS: &str = "key-of-the-news-desk-0123456789";
const PUBLISHER: &str = "key-of-a-publisher-0123456789";
const NOTHING: &str = "key-that-may-do-nothing-0123456789";
const NOWHERE: &str = "key-that-reaches-no-channel-0123456789";

/// All methods but those that reach beyond channels, with a request for `channel`.
fn requests(channel: &str) -> Vec<(&'static str, Value)> {
    let named = json!({ "channel": channel });
    let of_user = json!({ "channel": channel, "user": "ada" });
    let since = json!({ "channel": channel, "limit": 1, "since": { "offset": 0, "epoch": "" } });
    vec![
        ("publish", json!({ "channel": channel, "data": 1 })),
        ("subscribe", of_user.clone()),
        ("unsubscribe", of_user),
        ("presence", named.clone()),
        ("presence_stats", named.clone()),
        ("history", since),
        ("history_remove", named.clone()),
        ("map_publish", named.clone()),
        ("map_remove", named.clone()),
        ("map_read_state", named.clone()),
        ("map_read_stream", named.clone()),
        ("map_stats", named.clone()),
        ("map_clear", named.clone()),
        ("shared_poll_publish", named),
    ]
}

async fn node() -> TestNode {
    let namespace = |name: &str| {
        json!({
            "name": name, "allow_subscribe_for_client": true, "presence": true,
            "history_size": 10, "history_ttl": "60s",
        })
    };
    TestNode::with(json!({
        "http_api": { "keys": [
            { "name": "news", "key": NEWS, "channels": ["news:*", "sport"] },
            { "name": "publisher", "key": PUBLISHER, "methods": ["publish", "broadcast"] },
            { "name": "nothing", "key": NOTHING, "methods": [] },
            { "name": "nowhere", "key": NOWHERE, "channels": [] },
        ] },
        "channel": { "namespaces": [namespace("news"), namespace("chat")] },
    }))
    .await
}

async fn ask(node: &TestNode, key: &str, method: &str, body: &Value) -> Value {
    let answer =
        call(node.public, method, &[("X-API-Key", key)], body.to_string().as_bytes()).await;
    assert_eq!(answer.status, 200, "{method} {body}");
    answer.json()
}

fn denied() -> Value {
    json!({ "error": { "code": 103, "message": "permission denied" } })
}

#[tokio::test]
async fn a_key_with_channels_touches_and_learns_of_no_others() {
    let node = node().await;
    let mut ada = Wire::connected(&node, "ada").await;
    for channel in ["news:a", "chat:a"] {
        ada.ask(&json!({ "id": 2, "subscribe": { "channel": channel } }).to_string()).await;
        node.api("publish", &json!({ "channel": channel, "data": 0 })).await;
        assert_eq!(ada.hear_json().await["push"]["channel"], channel);
    }

    // Namespaces that exist and those that do not are refused alike.
    for other in ["chat:a", "chat:news:a", "$news:a", "NEWS:a", "room", "unknown:a"] {
        for (method, request) in requests(other) {
            assert_eq!(ask(&node, NEWS, method, &request).await, denied(), "{method} {other}");
        }
    }
    for (method, request) in [
        ("info", json!({})),
        ("rpc", json!({ "method": "ping" })),
        ("disconnect", json!({ "user": "ada" })),
        ("refresh", json!({ "user": "ada", "expired": true })),
        ("limits_set", json!({ "user": "ada", "block": true, "ttl": 60, "reason": "r" })),
        ("limits_list", json!({})),
        ("limits_remove", json!({ "user": "ada" })),
    ] {
        assert_eq!(ask(&node, NEWS, method, &request).await, denied(), "{method}");
    }
    ada.is_quiet().await;
    let kept = node.api("history", &json!({ "channel": "chat:a", "limit": -1 })).await.json();
    assert_eq!(kept["result"]["publications"].as_array().unwrap().len(), 1, "{kept}");

    let listed = ask(&node, NEWS, "channels", &json!({})).await;
    assert_eq!(listed, json!({ "result": { "channels": { "news:a": { "num_clients": 1 } } } }));
    for pattern in ["*", "chat:*", "{news,chat}:*"] {
        let listed = ask(&node, NEWS, "channels", &json!({ "pattern": pattern })).await;
        let listed = listed["result"]["channels"].as_object().unwrap();
        assert!(!listed.contains_key("chat:a"), "{pattern}: {listed:?}");
    }
    assert_eq!(
        ask(&node, NOWHERE, "channels", &json!({})).await,
        json!({ "result": { "channels": {} } })
    );
    assert_eq!(
        node.number(r#"sealcast_api_calls_total{key="news",method="info",result="103"}"#),
        1.0
    );
    assert_eq!(
        node.number(r#"sealcast_api_calls_total{key="nowhere",method="channels",result="ok"}"#),
        1.0
    );
}

#[tokio::test]
async fn what_a_key_names_it_may_do() {
    let node = node().await;
    let mut ada = Wire::connected(&node, "ada").await;
    for (method, request) in requests("news:a") {
        let answer = ask(&node, NEWS, method, &request).await;
        let absent = method.starts_with("map_") || method.starts_with("shared_");
        let expected =
            if absent { answer["error"]["code"] != 103 } else { answer["result"].is_object() };
        assert!(expected, "{method}: {answer}");
    }
    assert!(ada.hear_json().await["push"]["subscribe"].is_object());
    assert_eq!(ada.hear_json().await["push"]["unsubscribe"]["code"], 2000);
    // A pattern holds for the whole name.
    let sport = json!({ "channel": "sport", "data": 1 });
    assert_eq!(ask(&node, NEWS, "publish", &sport).await, json!({ "result": {} }));
    let other = json!({ "channel": "sports", "data": 1 });
    assert_eq!(ask(&node, NEWS, "publish", &other).await, denied());

    let chat = json!({ "channel": "chat:a", "channels": ["chat:a"], "data": 1 });
    for method in ["publish", "broadcast"] {
        assert!(ask(&node, PUBLISHER, method, &chat).await["result"].is_object(), "{method}");
    }
    for method in ["history", "presence", "channels", "info", "disconnect", "map_publish"] {
        assert_eq!(ask(&node, PUBLISHER, method, &chat).await, denied(), "{method}");
    }
    for (method, request) in requests("chat:a") {
        assert_eq!(ask(&node, NOTHING, method, &request).await, denied(), "{method}");
        assert_eq!(ask(&node, NOWHERE, method, &request).await, denied(), "{method}");
    }
    assert!(ask(&node, API_KEY, "info", &json!({})).await["result"]["nodes"].is_array());
}

#[tokio::test]
async fn in_broadcasts_and_batches_each_channel_is_looked_at_alone() {
    let node = node().await;
    let body = json!({ "channels": ["news:a", "chat:a", "sport"], "data": 1 });
    let answer = ask(&node, NEWS, "broadcast", &body).await;
    let responses = answer["result"]["responses"].as_array().unwrap();
    assert_eq!(responses[0]["result"]["offset"], 1, "{answer}");
    assert_eq!(responses[1], denied(), "{answer}");
    assert_eq!(responses[2], json!({ "result": {} }), "{answer}");

    let commands = json!([
        { "publish": { "channel": "news:a", "data": 2 } },
        { "publish": { "channel": "chat:a", "data": 2 } },
        { "info": {} },
        { "presence_stats": { "channel": "news:a" } },
    ]);
    let answer = ask(&node, NEWS, "batch", &json!({ "commands": commands })).await;
    let replies = answer["replies"].as_array().unwrap();
    assert_eq!(replies[0]["publish"]["offset"], 2, "{answer}");
    assert_eq!(replies[1..3], [denied(), denied()], "{answer}");
    assert_eq!(replies[3]["presence_stats"]["num_clients"], 0, "{answer}");

    let answer = ask(&node, NOTHING, "batch", &json!({ "commands": commands })).await;
    assert_eq!(answer, json!({ "replies": [denied(), denied(), denied(), denied()] }));
    let none = node.api("history", &json!({ "channel": "chat:a" })).await.json();
    assert_eq!(none["result"]["offset"], 0, "{none}");
}

#[tokio::test]
async fn errors_by_status_have_one_for_a_denied_permission() {
    let node = node().await;
    let headers = [("X-API-Key", NEWS), ("X-Centrifugo-Error-Mode", "transport")];
    let answer = call(node.public, "info", &headers, b"{}").await;
    assert_eq!((answer.status, answer.json()), (403, denied()["error"].clone()));
}

#[tokio::test]
async fn a_repeated_key_of_another_caller_publishes() {
    let node = node().await;
    let body = json!({ "channel": "news:a", "data": 1, "idempotency_key": "once" });
    for (key, offset) in [(API_KEY, 1), (NEWS, 2), (PUBLISHER, 3), (API_KEY, 1), (NEWS, 2)] {
        let answer = ask(&node, key, "publish", &body).await;
        assert_eq!(answer["result"]["offset"], offset, "{key}");
    }
}

#[tokio::test]
async fn no_key_is_in_the_metrics() {
    let node = node().await;
    for key in [API_KEY, NEWS, "a-wrong-key-0123456789"] {
        call(node.public, "channels", &[("X-API-Key", key)], b"{}").await;
    }
    let rendered = node.node.as_ref().unwrap().app().policy.relay.hub().metrics().render();
    assert!(rendered.contains(r#"sealcast_api_calls_total{key="default",method="channels""#));
    assert!(rendered.contains(r#"key="news""#));
    assert!(!rendered.contains("0123456789"));
}
