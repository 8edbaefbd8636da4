//! The channel of each user alone.

use serde_json::{Value, json};

use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::token;

/// A node whose users have channels of their own, with further options of those.
async fn node(options: Value) -> TestNode {
    let mut personal = json!({ "enabled": true });
    personal.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    TestNode::with(json!({
        "client": {
            "subscribe_to_user_personal_channel": personal,
            "allow_anonymous_connect_without_token": true,
        },
        "channel": {
            "without_namespace": { "presence": true, "allow_user_limited_channels": true },
            "namespaces": [
                { "name": "own", "history_size": 10, "history_ttl": "60s", "force_recovery": true },
                { "name": "bytes", "publication_data_format": "binary" },
            ],
        },
    }))
    .await
}

async fn admitted(node: &TestNode, user: &str) -> (Wire, Value) {
    Wire::admitted(node, json!({ "token": token::of(user) })).await
}

#[tokio::test]
async fn each_user_is_subscribed_to_their_own_channel() {
    let node = node(json!({})).await;
    let (mut ada, result) = admitted(&node, "ada").await;
    assert_eq!(result["subs"], json!({ "#ada": {} }));
    let (mut bob, result) = admitted(&node, "bob").await;
    assert_eq!(result["subs"], json!({ "#bob": {} }));
    node.api("publish", &json!({ "channel": "#ada", "data": 1 })).await;
    let push = json!({ "push": { "channel": "#ada", "pub": { "data": 1 } } });
    assert_eq!(ada.hear_json().await, push);
    bob.is_quiet().await;
    let present = node.api("presence", &json!({ "channel": "#ada" })).await.json();
    let present = present["result"]["presence"].as_object().unwrap().clone();
    assert_eq!(present.values().map(|who| &who["user"]).collect::<Vec<_>>(), ["ada"]);
    assert_eq!(ada.refused(r##"{"id":2,"subscribe":{"channel":"#ada"}}"##).await, 105);
    assert_eq!(ada.refused(r##"{"id":3,"subscribe":{"channel":"#bob"}}"##).await, 103);
}

#[tokio::test]
async fn the_anonymous_user_has_none() {
    let node = node(json!({})).await;
    let (_nobody, result) = Wire::admitted(&node, json!({})).await;
    assert!(result.get("subs").is_none(), "{result}");
}

#[tokio::test]
async fn it_is_in_its_namespace_and_recovers() {
    let node = node(json!({ "personal_channel_namespace": "own" })).await;
    let (ada, result) = admitted(&node, "ada").await;
    let position = &result["subs"]["own:#ada"];
    assert_eq!((&position["recoverable"], &position["positioned"]), (&json!(true), &json!(true)));
    drop(ada);
    node.api("publish", &json!({ "channel": "own:#ada", "data": 1 })).await;
    let since = json!({ "recover": true, "epoch": position["epoch"], "offset": 0 });
    let request = json!({ "token": token::of("ada"), "subs": { "own:#ada": since } });
    let (_ada, result) = Wire::admitted(&node, request).await;
    let again = &result["subs"]["own:#ada"];
    assert_eq!((&again["recovered"], &again["publications"][0]["data"]), (&json!(true), &json!(1)));
}

#[tokio::test]
async fn a_user_whose_id_cannot_be_named_there_is_refused() {
    let node = node(json!({})).await;
    for user in ["zo\u{eb}", "a b", "ada,bob", "x#ada", "closed:ada", &"a".repeat(255)] {
        let connect = json!({ "id": 1, "connect": { "token": token::of(user) } });
        assert_eq!(Wire::open(&node).await.refused(&connect.to_string()).await, 107, "{user}");
    }
}

#[tokio::test]
async fn a_namespace_that_the_client_cannot_read_refuses_the_connection() {
    let node = node(json!({ "personal_channel_namespace": "bytes" })).await;
    let connect = json!({ "id": 1, "connect": { "token": token::of("ada") } });
    assert_eq!(Wire::open(&node).await.refused(&connect.to_string()).await, 107);
}

#[tokio::test]
async fn what_the_token_says_of_it_counts() {
    let node = node(json!({})).await;
    let subs = json!({ "#ada": { "data": { "hello": 1 } } });
    let claims = json!({ "sub": "ada", "exp": token::now() + 60, "subs": subs });
    let (_ada, result) = Wire::admitted(&node, json!({ "token": token::signed(claims) })).await;
    assert_eq!(result["subs"], json!({ "#ada": { "data": { "hello": 1 } } }));
}

#[tokio::test]
async fn a_refresh_counts_it_on_both_sides() {
    let node = node(json!({})).await;
    let named = |channels: Value| {
        let exp = token::now() + 60;
        let token = token::signed(json!({ "sub": "ada", "exp": exp, "channels": channels }));
        json!({ "id": 2, "refresh": { "token": token } }).to_string()
    };
    let (mut ada, _) = admitted(&node, "ada").await;
    // Whether the token names it or not, it is the same set.
    for channels in [json!([]), json!(["#ada"]), json!([])] {
        let answer = ada.ask(&named(channels)).await;
        assert_eq!(answer["refresh"]["expires"], true, "{answer}");
    }
    assert_eq!(ada.closed_by(&named(json!(["room"]))).await, 3010);
    // Who has left it gets it again by reconnecting.
    let (mut ada, _) = admitted(&node, "ada").await;
    ada.ask(r##"{"id":3,"unsubscribe":{"channel":"#ada"}}"##).await;
    assert_eq!(ada.closed_by(&named(json!([]))).await, 3010);
}

#[tokio::test]
async fn of_single_connections_the_last_one_stays() {
    let node = node(json!({ "single_connection": true })).await;
    let (mut first, _) = admitted(&node, "ada").await;
    let (mut bob, _) = admitted(&node, "bob").await;
    let (mut second, _) = admitted(&node, "ada").await;
    assert_eq!(first.closed().await, 3504);
    second.is_quiet().await;
    bob.is_quiet().await;
    // One that does not hold the channel any more may stay.
    second.ask(r##"{"id":3,"unsubscribe":{"channel":"#ada"}}"##).await;
    let (mut third, _) = admitted(&node, "ada").await;
    second.is_quiet().await;
    third.is_quiet().await;
    let (_nobody, _) = Wire::admitted(&node, json!({})).await;
    let (mut nobody, _) = Wire::admitted(&node, json!({})).await;
    nobody.is_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_single_connections_that_come_at_once_exactly_one_stays() {
    let node = node(json!({ "single_connection": true })).await;
    let connecting = (0..16).map(|_| admitted(&node, "ada"));
    let mut all = futures_util::future::join_all(connecting).await;
    let hub = node.node.as_ref().unwrap().app().policy.relay.hub();
    crate::support::eventually("one left", || hub.census().subscriptions == 1).await;
    let mut open = 0;
    for (wire, _) in &mut all {
        wire.say(r#"{"id":2,"unsubscribe":{"channel":"none"}}"#).await;
        match wire.0.next_frame(crate::support::PATIENCE).await {
            Ok(sealcast_client::Frame::Close(code, _)) => assert_eq!(code, Some(3504)),
            Ok(sealcast_client::Frame::Text(_)) => open += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(open, 1);
}
