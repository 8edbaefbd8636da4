//! Publishing.

use serde_json::{Value, json};

use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::token;

fn publish(channel: &str, data: &Value) -> String {
    json!({ "id": 5, "publish": { "channel": channel, "data": data } }).to_string()
}

#[tokio::test]
async fn permissions_decide() {
    let node = TestNode::start().await;
    let mut ada = Wire::connected(&node, "ada").await;
    for channel in ["room", "anyone:a", "$room", "object:a"] {
        let answer = ada.ask(&publish(channel, &json!({}))).await;
        assert_eq!(answer, json!({ "id": 5, "publish": {} }), "{channel}");
    }
    for (channel, code) in [
        ("closed:a", 103),
        ("talk:a", 103),
        ("limited:dialog#ada", 103),
        ("nowhere:a", 102),
        ("a b", 107),
        ("é", 107),
    ] {
        assert_eq!(ada.refused(&publish(channel, &json!(1))).await, code, "{channel}");
    }
    assert_eq!(ada.closed_by(&publish("", &json!(1))).await, 3501);
}

#[tokio::test]
async fn subscribers_may_publish_where_that_is_allowed_and_only_while_they_are() {
    let node = TestNode::start().await;
    let mut ada = Wire::connected(&node, "ada").await;
    assert_eq!(ada.refused(&publish("talk:a", &json!(1))).await, 103);
    ada.ask(r#"{"id":2,"subscribe":{"channel":"talk:a"}}"#).await;
    assert_eq!(ada.refused(&publish("talk:b", &json!(1))).await, 103);
    ada.say(&publish("talk:a", &json!(1))).await;
    let mut both = [ada.hear_json().await, ada.hear_json().await];
    // Reply and push come in either order.
    both.sort_by_key(|one| one.get("push").is_some());
    assert_eq!(both[0], json!({ "id": 5, "publish": {} }));
    assert_eq!(both[1]["push"]["pub"]["data"], 1);
    ada.ask(r#"{"id":3,"unsubscribe":{"channel":"talk:a"}}"#).await;
    assert_eq!(ada.refused(&publish("talk:a", &json!(1))).await, 103);
}

#[tokio::test]
async fn the_anonymous_may_what_says_so() {
    let client = json!({ "allow_anonymous_connect_without_token": true });
    let node = TestNode::with(json!({ "client": client })).await;
    let mut nobody = Wire::connected(&node, "").await;
    assert_eq!(nobody.refused(&publish("room", &json!(1))).await, 103);
    assert!(nobody.ask(&publish("anyone:a", &json!(1))).await["publish"].is_object());
}

#[tokio::test]
async fn a_publication_says_who_published_it() {
    let node = TestNode::start().await;
    let mut bob = Wire::connected(&node, "bob").await;
    bob.ask(r#"{"id":2,"subscribe":{"channel":"room"}}"#).await;
    let mut ada = Wire::open(&node).await;
    let info = json!({ "name": "Ada", "big": 1.0 });
    let token = token::signed(json!({ "sub": "ada", "exp": token::now() + 60, "info": info }));
    let connect = json!({ "id": 1, "connect": { "token": token } });
    let client = ada.ask(&connect.to_string()).await["connect"]["client"].clone();
    ada.ask(&publish("room", &json!([1]))).await;
    let publication = bob.hear_json().await;
    let expected = json!({ "push": { "channel": "room", "pub": {
        "data": [1], "info": { "user": "ada", "client": client, "conn_info": info },
    } } });
    assert_eq!(publication, expected);
}

#[tokio::test]
async fn kinds_other_than_streams_are_refused() {
    let node = TestNode::start().await;
    let mut ada = Wire::connected(&node, "ada").await;
    let map = r#"{"id":2,"publish":{"channel":"room","type":1,"key":"k","data":1}}"#;
    assert_eq!(ada.refused(map).await, 103);
    let unknown = r#"{"id":3,"publish":{"channel":"room","type":9,"data":1,"novelty":true}}"#;
    assert_eq!(ada.ask(unknown).await, json!({ "id": 3, "publish": {} }));
}

#[tokio::test]
async fn absent_data_is_refused_and_null_is_data() {
    let node = TestNode::start().await;
    let mut ada = Wire::connected(&node, "ada").await;
    ada.ask(r#"{"id":2,"subscribe":{"channel":"talk:a"}}"#).await;
    assert_eq!(ada.refused(r#"{"id":3,"publish":{"channel":"room"}}"#).await, 107);
    ada.say(r#"{"id":3,"publish":{"channel":"talk:a","data":null}}"#).await;
    let mut both = [ada.hear().await, ada.hear().await];
    both.sort_by_key(|one| one.contains("push"));
    assert_eq!(both[0], r#"{"id":3,"publish":{}}"#);
    assert!(both[1].contains(r#""data":null"#), "{}", both[1]);
}

#[tokio::test]
async fn a_payload_may_be_as_large_as_the_limit_and_no_larger() {
    let node = TestNode::with(json!({ "limits": { "message_bytes": 1_000 } })).await;
    let mut ada = Wire::connected(&node, "ada").await;
    let text = |bytes: usize| json!("x".repeat(bytes - 2));
    assert_eq!(ada.ask(&publish("room", &text(1_000))).await["publish"], json!({}));
    assert_eq!(ada.refused(&publish("room", &text(1_001))).await, 107);
    let api = |bytes| json!({ "channel": "room", "data": text(bytes) });
    assert_eq!(node.api("publish", &api(1_000)).await.json(), json!({ "result": {} }));
    assert_eq!(node.api("publish", &api(1_001)).await.json()["error"]["code"], 107);
}

#[tokio::test]
async fn an_object_namespace_takes_objects_only() {
    let node = TestNode::start().await;
    let mut ada = Wire::connected(&node, "ada").await;
    for good in ["{}", r#" {"a":[1]}"#] {
        let frame = format!(r#"{{"id":2,"publish":{{"channel":"object:a","data":{good}}}}}"#);
        assert_eq!(ada.ask(&frame).await["publish"], json!({}), "{good}");
    }
    for bad in ["null", "[]", "1", "\"{}\"", "true"] {
        let frame = format!(r#"{{"id":2,"publish":{{"channel":"object:a","data":{bad}}}}}"#);
        assert_eq!(ada.refused(&frame).await, 107, "{bad}");
    }
}
