//! Error codes (protocol 3.7).

use serde_json::json;

use super::{Row, Told, away, error_in, never, provoked};
use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::token;

pub(super) fn rows() -> Vec<Row> {
    vec![
        provoked!(100, "internal server error", broker_is_away).temporary(),
        never(
            101,
            "unauthorized",
            "who has not authenticated has no connection to ask over: it is closed with 3500 or 3501",
        ),
        provoked!(102, "unknown channel", unknown_namespace),
        provoked!(103, "permission denied", closed_namespace),
        provoked!(104, "method not found", rpc_of_a_backend),
        provoked!(105, "already subscribed", subscribed_twice),
        provoked!(106, "limit exceeded", one_channel_too_many),
        provoked!(107, "bad request", name_too_long),
        provoked!(108, "not available", rpc_of_a_client),
        provoked!(109, "token expired", expired_token),
        provoked!(110, "expired", connection_expired_beforehand),
        provoked!(111, "too many requests", second_of_two_in_an_hour).temporary(),
        provoked!(112, "unrecoverable position", position_of_another_stream),
        never(
            113,
            "concurrent pagination",
            "only map subscriptions are paginated, and those are refused with 103",
        )
        .temporary(),
    ]
}

async fn broker_is_away() -> Told {
    let mut ada = away::connected().await;
    ada.ask(r#"{"id":2,"subscribe":{"channel":"room"}}"#).await;
    error_in(&ada.ask(r#"{"id":3,"publish":{"channel":"room","data":1}}"#).await)
}

async fn unknown_namespace() -> Told {
    answer_to(r#"{"id":2,"subscribe":{"channel":"nowhere:a"}}"#).await
}

async fn closed_namespace() -> Told {
    answer_to(r#"{"id":2,"publish":{"channel":"closed:a","data":1}}"#).await
}

/// Only the server API says that a method is not there, and by another text
/// (protocol 12.15), as clients have no way to name one that is not.
async fn rpc_of_a_backend() -> Told {
    let node = TestNode::start().await;
    let answer = node.api("rpc", &json!({ "method": "anything" })).await.json();
    assert_eq!(answer["error"]["message"], "not found", "{answer}");
    let code = answer["error"]["code"].as_u64().unwrap();
    Told::Said { code: code.try_into().unwrap(), text: "method not found".into(), temporary: false }
}

async fn subscribed_twice() -> Told {
    let node = TestNode::start().await;
    let mut ada = Wire::connected(&node, "ada").await;
    ada.ask(r#"{"id":2,"subscribe":{"channel":"room"}}"#).await;
    error_in(&ada.ask(r#"{"id":3,"subscribe":{"channel":"room"}}"#).await)
}

async fn one_channel_too_many() -> Told {
    let node = TestNode::with(json!({ "client": { "channel_limit": 1 } })).await;
    let mut ada = Wire::connected(&node, "ada").await;
    ada.ask(r#"{"id":2,"subscribe":{"channel":"room"}}"#).await;
    error_in(&ada.ask(r#"{"id":3,"subscribe":{"channel":"other"}}"#).await)
}

async fn name_too_long() -> Told {
    let name = "a".repeat(256);
    answer_to(&json!({ "id": 2, "subscribe": { "channel": name } }).to_string()).await
}

async fn rpc_of_a_client() -> Told {
    answer_to(r#"{"id":2,"rpc":{"method":"anything","data":1}}"#).await
}

async fn expired_token() -> Told {
    answer_to_token(token::expiring("ada", -60)).await
}

async fn second_of_two_in_an_hour() -> Told {
    let node = TestNode::with(json!({ "limits": { "conn_commands": "1/h" } })).await;
    let mut ada = Wire::connected(&node, "ada").await;
    ada.ask(r#"{"id":2,"publish":{"channel":"room","data":1}}"#).await;
    error_in(&ada.ask(r#"{"id":3,"publish":{"channel":"room","data":1}}"#).await)
}

/// The token is good, and says that the connection is over (protocol 3.2).
async fn connection_expired_beforehand() -> Told {
    let now = token::now();
    let claims = json!({ "sub": "ada", "exp": now + 600, "expire_at": now - 60 });
    answer_to_token(token::signed(claims)).await
}

async fn position_of_another_stream() -> Told {
    let kept = json!({
        "name": "kept", "history_size": 10, "history_ttl": "60s",
        "allow_history_for_client": true,
    });
    let node = TestNode::with(json!({ "channel": { "namespaces": [kept] } })).await;
    let mut ada = Wire::connected(&node, "ada").await;
    let since = r#"{"offset":1,"epoch":"another"}"#;
    let history = format!(r#"{{"id":2,"history":{{"channel":"kept:a","since":{since}}}}}"#);
    error_in(&ada.ask(&history).await)
}

async fn answer_to(command: &str) -> Told {
    let node = TestNode::start().await;
    error_in(&Wire::connected(&node, "ada").await.ask(command).await)
}

async fn answer_to_token(token: String) -> Told {
    let node = TestNode::start().await;
    let connect = json!({ "id": 1, "connect": { "token": token } });
    error_in(&Wire::open(&node).await.ask(&connect.to_string()).await)
}
