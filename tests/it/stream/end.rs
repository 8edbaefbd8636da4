//! How streams end: by the server, by the client, by time.

use serde_json::json;

use super::node;
use super::reader::{Emulated, Stream, connect, post};
use crate::support::{eventually, token};

#[tokio::test]
async fn a_node_that_leaves_tells_its_streams_and_takes_no_more() {
    let mut node = node(json!({
        "shutdown": { "lb_wait": "0s", "spread": "100ms", "deadline": "9s" },
    }))
    .await;
    let request = post("/connection/http_stream", "", &connect(&token::of("ada")));
    let mut stream = Stream::opened(&node, &request).await;
    assert!(stream.json().await["connect"].is_object());
    let draining = tokio::spawn(node.node.take().expect("runs").drain());
    assert_eq!(
        stream.json().await,
        json!({ "push": { "disconnect": { "code": 3001, "reason": "shutdown" } } })
    );
    stream.ended().await;
    drop(stream);
    draining.await.expect("drained");
}

/// What is noticed at once takes presence along.
#[tokio::test]
async fn a_client_that_goes_is_gone_at_once() {
    let node = node(json!({ "channel": { "without_namespace": { "presence": true } } })).await;
    let request = post("/connection/http_stream", "", &connect(&token::of("ada")));
    let mut stream = Stream::opened(&node, &request).await;
    let session = Emulated::of(&stream.json().await);
    let subscribe = r#"{"id":2,"subscribe":{"channel":"room"}}"#;
    assert_eq!(session.say(&node, "", subscribe).await, 204);
    assert_eq!(stream.json().await["id"], 2);
    let present = async || {
        let stats = node.api("presence_stats", &json!({ "channel": "room" })).await.json();
        stats["result"]["num_clients"].as_u64().expect("a number")
    };
    assert_eq!(present().await, 1);
    drop(stream);
    let gone = "sealcast_disconnects_total{code=\"3000\"}";
    eventually("gone", || node.number(gone) == 1.0).await;
    while present().await > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_does_not_connect_or_does_not_bring_a_new_token_is_sent_away() {
    let node = node(json!({
        "client": { "expired_close_delay": "0s", "allow_anonymous_connect_without_token": false },
    }))
    .await;
    let request = post("/connection/http_stream", "", &connect(&token::expiring("ada", 5)));
    let mut stream = Stream::opened(&node, &request).await;
    let reply = stream.json().await;
    assert_eq!(reply["connect"]["expires"], true, "{reply}");
    assert_eq!(stream.json().await["push"]["disconnect"]["code"], 3005);
    stream.ended().await;
}

#[tokio::test]
async fn a_new_token_comes_by_emulation() {
    let node = node(json!({})).await;
    let request = post("/connection/http_stream", "", &connect(&token::expiring("ada", 300)));
    let mut stream = Stream::opened(&node, &request).await;
    let session = Emulated::of(&stream.json().await);
    let refresh = json!({ "id": 2, "refresh": { "token": token::of("ada") } });
    assert_eq!(session.say(&node, "", &refresh.to_string()).await, 204);
    assert_eq!(stream.json().await["refresh"]["expires"], true);
}
