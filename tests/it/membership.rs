//! Who is present in a channel, and who comes and goes.

use sealcast_wire::ws::Opcode;
use serde_json::{Value, json};

use crate::support::client::Wire;
use crate::support::eventually;
use crate::support::node::TestNode;

async fn node() -> TestNode {
    let here = json!({
        "name": "here", "allow_subscribe_for_client": true,
        "presence": true, "allow_presence_for_client": true,
        "join_leave": true, "force_push_join_leave": true,
        "history_size": 10, "history_ttl": "60s", "allow_history_for_client": true,
    });
    TestNode::with(json!({ "channel": { "namespaces": [here] } })).await
}

/// Who is there, sorted, as the server API tells it.
async fn present(node: &TestNode) -> Vec<String> {
    let answer = node.api("presence", &json!({ "channel": "here:a" })).await.json();
    let present = answer["result"]["presence"].as_object().unwrap();
    let mut users: Vec<String> =
        present.values().map(|who| who["user"].as_str().unwrap().to_owned()).collect();
    users.sort();
    users
}

async fn subscribed(node: &TestNode, user: &str) -> Wire {
    let mut wire = Wire::connected(node, user).await;
    let answer = wire.ask(r#"{"id":2,"subscribe":{"channel":"here:a"}}"#).await;
    assert!(answer["subscribe"].is_object(), "{answer}");
    assert_eq!(change(&mut wire).await, ("join", user.to_owned()));
    wire
}

/// Who came or went.
async fn change(wire: &mut Wire) -> (&'static str, String) {
    let push = wire.hear_json().await;
    let user = |change: &str| push["push"][change]["info"]["user"].as_str().map(str::to_owned);
    match (user("join"), user("leave")) {
        (Some(user), None) => ("join", user),
        (None, Some(user)) => ("leave", user),
        _ => panic!("{push}"),
    }
}

#[tokio::test]
async fn who_unsubscribes_or_goes_is_present_no_longer() {
    let node = node().await;
    let mut ada = subscribed(&node, "ada").await;
    let mut bob = subscribed(&node, "bob").await;
    let eve = subscribed(&node, "eve").await;
    assert_eq!(change(&mut ada).await, ("join", "bob".into()));
    assert_eq!(change(&mut ada).await, ("join", "eve".into()));
    assert_eq!(present(&node).await, ["ada", "bob", "eve"]);

    bob.0
        .send_frame(br#"{"id":3,"unsubscribe":{"channel":"here:a"}}"#, Opcode::Text)
        .await
        .unwrap();
    assert_eq!(change(&mut ada).await, ("leave", "bob".into()));
    assert_eq!(present(&node).await, ["ada", "eve"]);
    drop(eve);
    assert_eq!(change(&mut ada).await, ("leave", "eve".into()));
    assert_eq!(present(&node).await, ["ada"]);
    drop(ada);
    eventually("gone", || node.number("sealcast_connections") == 1.0).await;
    while !present(&node).await.is_empty() {
        tokio::task::yield_now().await;
    }
}

/// A position that is not to be had, and an error instead of a subscription
/// (protocol 4.5): nobody comes, and so nobody goes.
#[tokio::test]
async fn who_is_refused_was_never_present() {
    let node = node().await;
    let mut ada = subscribed(&node, "ada").await;
    let mut bob = Wire::connected(&node, "bob").await;
    let request = json!({
        "channel": "here:a", "recover": true, "recoverable": true,
        "epoch": "another", "offset": 1, "flag": 2,
    });
    let refused = bob.refused(&json!({ "id": 2, "subscribe": request }).to_string()).await;
    assert_eq!(refused, 112);
    assert_eq!(present(&node).await, ["ada"]);
    drop(bob);
    eventually("gone", || node.number("sealcast_connections") == 1.0).await;
    ada.is_quiet().await;
    let answer: Value = ada.ask(r#"{"id":3,"presence_stats":{"channel":"here:a"}}"#).await;
    assert_eq!(answer["presence_stats"], json!({ "num_clients": 1, "num_users": 1 }));
}
