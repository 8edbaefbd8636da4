//! The end of single subscriptions.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::{eventually, token};

async fn node(grace: &str) -> TestNode {
    TestNode::with(json!({ "client": { "expired_sub_close_delay": grace } })).await
}

#[tokio::test]
async fn one_that_the_server_made_ends_the_connection_after_the_grace() {
    let node = node("500ms").await;
    let mut ada = Wire::connected(&node, "ada").await;
    let body = json!({ "user": "ada", "channel": "room", "expire_at": token::now() + 4 });
    assert_eq!(node.api("subscribe", &body).await.json(), json!({ "result": {} }));
    let made = Instant::now();
    let push = ada.hear_json().await;
    assert_eq!(
        push,
        json!({ "push": { "channel": "room", "subscribe": {} } }),
        "no expiry is told"
    );
    assert_eq!(ada.closed().await, 3006);
    // Up to a second less than four, for the clock's seconds, and the grace.
    let lived = made.elapsed();
    assert!(lived >= Duration::from_secs(3) && lived < Duration::from_secs(10), "{lived:?}");
    eventually("counted", || node.number("sealcast_disconnects_total{code=\"3006\"}") == 1.0).await;
}

#[tokio::test]
async fn one_of_the_client_itself_ends_alone() {
    let node = node("200ms").await;
    let mut ada = Wire::connected(&node, "ada").await;
    let claims = json!({ "sub": "ada", "channel": "room", "exp": token::now() + 4 });
    let subscribe = json!({ "channel": "room", "token": token::signed(claims) });
    let answer = ada.ask(&json!({ "id": 2, "subscribe": subscribe }).to_string()).await;
    assert_eq!(answer["subscribe"]["expires"], true, "{answer}");
    let push = ada.hear_json().await;
    assert_eq!(push["push"]["unsubscribe"]["code"], 2501, "{push}");
    ada.is_quiet().await;
}

#[tokio::test]
async fn a_backend_can_extend_what_it_made() {
    let node = node("200ms").await;
    let mut ada = Wire::connected(&node, "ada").await;
    let until = |at: u64| json!({ "user": "ada", "channel": "room", "expire_at": at });
    node.api("subscribe", &until(token::now() + 4)).await;
    ada.hear().await;
    node.api("subscribe", &until(token::now() + 60)).await;
    assert!(ada.hear_json().await["push"]["subscribe"].is_object());
    tokio::time::sleep(Duration::from_millis(4_800)).await;
    ada.is_quiet().await;
}

#[tokio::test]
async fn a_time_that_is_over_is_refused() {
    let node = TestNode::start().await;
    let mut ada = Wire::connected(&node, "ada").await;
    for past in [1, -1, i64::try_from(token::now()).unwrap()] {
        let body = json!({ "user": "ada", "channel": "room", "expire_at": past });
        let answer = node.api("subscribe", &body).await.json();
        let error = json!({ "code": 107, "message": "expire_at is over already" });
        assert_eq!(answer, json!({ "error": error }), "{past}");
        let batch = json!({ "commands": [{ "subscribe": body }] });
        let answer = node.api("batch", &batch).await.json();
        assert_eq!(answer, json!({ "replies": [{ "error": error }] }), "{past}");
    }
    ada.is_quiet().await;
    // 0 is no time at all.
    let body = json!({ "user": "ada", "channel": "room", "expire_at": 0 });
    assert_eq!(node.api("subscribe", &body).await.json(), json!({ "result": {} }));
}

#[tokio::test]
async fn only_what_the_client_made_can_it_refresh() {
    let node = TestNode::start().await;
    let claims = json!({ "sub": "ada", "exp": token::now() + 60, "channels": ["room"] });
    let (mut ada, _) = Wire::admitted(&node, json!({ "token": token::signed(claims) })).await;
    let claims = json!({ "sub": "ada", "channel": "room", "exp": token::now() + 60 });
    let refresh = json!({ "channel": "room", "token": token::signed(claims) });
    let refresh = json!({ "id": 2, "sub_refresh": refresh }).to_string();
    assert_eq!(ada.closed_by(&refresh).await, 3501);
}

#[tokio::test]
async fn a_token_for_a_time_that_is_over_makes_nothing() {
    let node = TestNode::start().await;
    let mut ada = Wire::connected(&node, "ada").await;
    let token = |over: u64| {
        let expire_at = token::now() - over;
        let claims = json!({ "sub": "ada", "channel": "room", "exp": token::now() + 60, "expire_at": expire_at });
        token::signed(claims)
    };
    let subscribe =
        |token: String| json!({ "id": 2, "subscribe": { "channel": "room", "token": token } });
    assert_eq!(ada.refused(&subscribe(token(60)).to_string()).await, 110);
    // Within what clocks may differ by, another token is all that is needed.
    assert_eq!(ada.refused(&subscribe(token(3)).to_string()).await, 109);
    ada.ask(r#"{"id":2,"subscribe":{"channel":"room"}}"#).await;
    for over in [3, 60] {
        let refresh = json!({ "channel": "room", "token": token(over) });
        let refresh = json!({ "id": 3, "sub_refresh": refresh });
        assert_eq!(ada.refused(&refresh.to_string()).await, 110);
    }
    let claims = json!({ "sub": "ada", "exp": token::now() + 60, "expire_at": token::now() - 60 });
    let refresh = json!({ "id": 4, "refresh": { "token": token::signed(claims) } });
    assert_eq!(ada.refused(&refresh.to_string()).await, 110);
    ada.is_quiet().await;
}
