//! Channels that a client names in its connect command and that nobody granted.

use serde_json::{Value, json};

use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::token;

/// What a connect with these `subs` gets.
async fn connect(node: &TestNode, subs: Value) -> (Wire, Value) {
    Wire::admitted(node, json!({ "token": token::of("ada"), "subs": subs })).await
}

fn names(result: &Value) -> Vec<&str> {
    result["subs"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test]
async fn what_the_client_could_subscribe_to_is_subscribed() {
    let node = TestNode::start().await;
    let (mut ada, result) =
        connect(&node, json!({ "room": {}, "limited:dialog#ada,bob": {} })).await;
    assert_eq!(names(&result), ["limited:dialog#ada,bob", "room"]);
    node.api("publish", &json!({ "channel": "room", "data": 1 })).await;
    assert_eq!(ada.hear_json().await["push"]["pub"]["data"], 1);
    assert_eq!(ada.refused(r#"{"id":2,"subscribe":{"channel":"room"}}"#).await, 105);
}

#[tokio::test]
async fn anything_else_is_passed_over_without_a_word() {
    let node = TestNode::start().await;
    let subs = json!({
        "closed:a": {}, "$room": {}, "limited:dialog#bob": {}, "bytes:a": {}, "": {},
        "a b": {}, "\u{e9}": {}, "room": {},
    });
    let (mut ada, result) = connect(&node, subs).await;
    assert_eq!(names(&result), ["room"]);
    ada.is_quiet().await;
}

#[tokio::test]
async fn an_unknown_namespace_ends_the_connection() {
    let node = TestNode::start().await;
    for name in ["nowhere:a", "$nowhere:a"] {
        let request = json!({ "token": token::of("ada"), "subs": { (name): {} } });
        let connect = json!({ "id": 1, "connect": request }).to_string();
        assert_eq!(Wire::open(&node).await.closed_by(&connect).await, 3501, "{name}");
    }
    // What the token names is another matter.
    let claims = json!({ "sub": "ada", "exp": token::now() + 60, "channels": ["nowhere:a"] });
    let connect = json!({ "id": 1, "connect": { "token": token::signed(claims) } }).to_string();
    assert_eq!(Wire::open(&node).await.refused(&connect).await, 102);
}

#[tokio::test]
async fn the_anonymous_choose_what_is_open_to_them() {
    let client = json!({ "allow_anonymous_connect_without_token": true });
    let node = TestNode::with(json!({ "client": client })).await;
    let subs = json!({ "room": {}, "anyone:a": {}, "limited:dialog#": {} });
    let (_nobody, result) = Wire::admitted(&node, json!({ "subs": subs })).await;
    assert_eq!(names(&result), ["anyone:a"]);
}

#[tokio::test]
async fn there_are_at_most_as_many_as_a_connection_may_have() {
    let node = TestNode::with(json!({ "client": { "channel_limit": 3 } })).await;
    let subs = json!({ "a": {}, "b": {}, "c": {}, "d": {} });
    let (mut ada, result) = connect(&node, subs.clone()).await;
    assert_eq!(names(&result), ["a", "b", "c"], "the rest is passed over");
    assert_eq!(ada.refused(r#"{"id":2,"subscribe":{"channel":"e"}}"#).await, 106);
    // Granted ones come first, and are never passed over.
    let of = |channels: Value| {
        let claims = json!({ "sub": "ada", "exp": token::now() + 60, "channels": channels });
        json!({ "token": token::signed(claims), "subs": subs })
    };
    let (_, result) = Wire::admitted(&node, of(json!(["x", "y"]))).await;
    assert_eq!(names(&result), ["a", "x", "y"]);
    let connect = json!({ "id": 1, "connect": of(json!(["w", "x", "y", "z"])) }).to_string();
    assert_eq!(Wire::open(&node).await.closed_by(&connect).await, 3505);
}

#[tokio::test]
async fn it_recovers_like_a_granted_one() {
    let history = json!({
        "allow_subscribe_for_client": true, "history_size": 10, "history_ttl": "60s",
        "force_recovery": true,
    });
    let node = TestNode::with(json!({ "channel": { "without_namespace": history } })).await;
    let (ada, result) = connect(&node, json!({ "room": {} })).await;
    let epoch = result["subs"]["room"]["epoch"].clone();
    drop(ada);
    for n in 1..=3 {
        node.api("publish", &json!({ "channel": "room", "data": n })).await;
    }
    let since = json!({ "recover": true, "epoch": epoch, "offset": 1 });
    let (mut ada, result) = connect(&node, json!({ "room": since })).await;
    let room = &result["subs"]["room"];
    assert_eq!((&room["recovered"], &room["offset"]), (&json!(true), &json!(1)));
    let data: Vec<&Value> =
        room["publications"].as_array().unwrap().iter().map(|one| &one["data"]).collect();
    assert_eq!(data, [2, 3]);
    node.api("publish", &json!({ "channel": "room", "data": 4 })).await;
    assert_eq!(ada.hear_json().await["push"]["pub"]["offset"], 4);
}

#[tokio::test]
async fn a_refresh_with_the_same_token_lets_it_be() {
    let node = TestNode::start().await;
    let channels = |channels: Value| {
        let claims = json!({ "sub": "ada", "exp": token::now() + 60, "channels": channels });
        token::signed(claims)
    };
    let refresh = |token: String| json!({ "id": 2, "refresh": { "token": token } }).to_string();
    let request = json!({ "token": channels(json!(["own"])), "subs": { "room": {}, "own": {} } });
    let (mut ada, result) = Wire::admitted(&node, request).await;
    assert_eq!(names(&result), ["own", "room"]);
    for _ in 0..2 {
        let answer = ada.ask(&refresh(channels(json!(["own"])))).await;
        assert_eq!(answer["refresh"]["expires"], true, "{answer}");
    }
    // A token that grants it now makes another set.
    assert_eq!(ada.closed_by(&refresh(channels(json!(["own", "room"])))).await, 3010);
}
