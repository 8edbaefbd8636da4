//! How many connections a user has, and whether the time is told.

use serde_json::json;

use sealcast_client::Frame;

use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::{PATIENCE, eventually, token};

fn connect(user: &str) -> String {
    json!({ "id": 1, "connect": { "token": token::of(user) } }).to_string()
}

#[tokio::test]
async fn a_user_has_as_many_connections_as_there_may_be() {
    let node = TestNode::with(json!({ "client": { "user_connection_limit": 2 } })).await;
    let first = Wire::connected(&node, "ada").await;
    let mut second = Wire::connected(&node, "ada").await;
    assert_eq!(Wire::open(&node).await.closed_by(&connect("ada")).await, 3013);
    Wire::connected(&node, "bob").await.is_quiet().await;
    second.is_quiet().await;
    // One that goes makes room.
    let clients = |count| {
        let hub = node.node.as_ref().unwrap().app().policy.relay.hub();
        move || hub.census().clients == count
    };
    drop(first);
    eventually("bob and one of ada's are gone", clients(1)).await;
    let _third = Wire::connected(&node, "ada").await;
    assert_eq!(Wire::open(&node).await.closed_by(&connect("ada")).await, 3013);
}

#[tokio::test]
async fn the_newest_may_take_the_place_of_the_oldest() {
    let client = json!({ "user_connection_limit": 2, "user_connection_limit_answer": "replace" });
    let node = TestNode::with(json!({ "client": client })).await;
    let mut first = Wire::connected(&node, "ada").await;
    let mut second = Wire::connected(&node, "ada").await;
    let mut third = Wire::connected(&node, "ada").await;
    assert_eq!(first.closed().await, 3504);
    let _fourth = Wire::connected(&node, "ada").await;
    assert_eq!(second.closed().await, 3504);
    third.is_quiet().await;
}

#[tokio::test]
async fn a_connection_that_is_sent_away_does_not_keep_its_client_out() {
    let node = TestNode::with(json!({ "client": { "user_connection_limit": 1 } })).await;
    let mut old = Wire::connected(&node, "ada").await;
    node.api("disconnect", &json!({ "user": "ada", "disconnect": { "code": 3011 } })).await;
    // The closing handshake is not even begun by the client.
    Wire::connected(&node, "ada").await.is_quiet().await;
    assert!(matches!(old.0.next_frame(PATIENCE).await, Ok(Frame::Close(Some(3011), _))));
}

#[tokio::test]
async fn the_anonymous_are_not_counted() {
    let client =
        json!({ "user_connection_limit": 1, "allow_anonymous_connect_without_token": true });
    let node = TestNode::with(json!({ "client": client })).await;
    let _first = Wire::connected(&node, "").await;
    Wire::connected(&node, "").await.is_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_is_exact_when_all_come_at_once() {
    // With a server-side subscription, so that connecting takes more than one step.
    let client = json!({
        "user_connection_limit": 5,
        "subscribe_to_user_personal_channel": { "enabled": true },
    });
    let node = TestNode::with(json!({ "client": client })).await;
    let mut wires = Vec::new();
    for _ in 0..40 {
        wires.push(Wire::open(&node).await);
    }
    let connect = connect("ada");
    let mut admitted = 0;
    let asking = wires.iter_mut().map(async |wire| {
        wire.say(&connect).await;
        wire.0.next_frame(PATIENCE).await.unwrap()
    });
    for answer in futures_util::future::join_all(asking).await {
        match answer {
            Frame::Text(_) => admitted += 1,
            Frame::Close(code, _) => assert_eq!(code, Some(3013)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(admitted, 5);
    assert_eq!(node.node.as_ref().unwrap().app().policy.relay.hub().census().clients, 5);
}

#[tokio::test]
async fn the_time_is_told_if_that_is_wanted() {
    let node = TestNode::with(json!({ "client": { "connect_include_server_time": true } })).await;
    let before = token::now() * 1_000;
    let (_ada, result) = Wire::admitted(&node, json!({ "token": token::of("ada") })).await;
    let told = result["time"].as_u64().unwrap();
    assert!((before..before + 10_000).contains(&told), "{told} is not about {before}");
}
